"""A study as an Optuna journal: what optuna-dashboard and `optuna.visualization` open.

One Optuna trial is one config, with its means over blocks; both objectives, AKA and AZS, are maximised. The file is
made anew from plan, store and log, and the same study gives the same bytes: times are those of the log, and the name
that Optuna gives to the writing process is a fixed one. Nothing ever reads it back.
"""

import contextlib
import json
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces.space import AXES, CAN_BE_NONE, Scalar
from study.definition.search import Constraints
from study.folder.folder import Folder
from study.planning.plan import PlannedTrial
from study.planning.trials import Row
from study.results.gain import Anchors, mean
from study.results.reader import Results
from study.status.observer import Observer
from study.status.status import TrialStatus
from trainables.files import whole
from trainables.machine.quiet_logs import silenced
from trainables.metrics import Summary
from trainables.store.store import StoreError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

OBJECTIVES = ("AKA", "AZS")
_LOG_RATIO = 10
"""Of the largest to the smallest value of an axis: from there on it is shown on a logarithmic scale."""

_WRITER = "retune"
"""In place of the random name that Optuna gives to a process that writes."""


def export_study(folder: Folder, out: Path) -> dict[str, int]:
    """Write the journal, whole or not at all; returns the number of configs in each state.

    Raises:
        ConfigError: it is not a study's folder.
        StoreError: the file cannot be written.
    """
    observer = Observer(folder)
    now = observer.take_status()
    exported = tuple(_exported(observer, now.by_trial))
    lines = _journal(
        now.study,
        exported,
        distributions=distributions([one.params for one in exported]),
        attributes=_attributes(observer.anchors),
    )
    try:
        with whole(out) as file:
            file.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{out}: cannot be written ({error.strerror})") from error
    return dict(Counter(one.state for one in exported))


# -- configs -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A config as Optuna shows it; `state` is the name of an Optuna state, `values` are those of a finished config."""

    state: str
    values: tuple[float, float] | None
    params: Mapping[str, Scalar]
    attributes: Mapping[str, Any]
    constraints: Mapping[str, float]
    began: float | None
    ended: float | None


def _exported(observer: Observer, trials: Sequence[TrialStatus]) -> Iterator[Exported]:
    """The configs of a study in the order of its plan, without the anchors."""
    groups: dict[str, list[int]] = defaultdict(list)
    for i, one in enumerate(trials):
        if one.kind == "trial":
            groups[one.config_id].append(i)
    planned, axes = observer.plan.trials, _varying([observer.rows[own[0]] for own in groups.values()])
    observer.results.fetch(key for own in groups.values() for i in own for key in _path_keys(planned[i], trials[i]))
    times = {one.trial: (one.began, one.ended) for one in observer.attempts}  # the last attempt of each
    first: dict[str, float] = {}
    for attempt in observer.attempts:
        first.setdefault(attempt.trial, attempt.began)
    search = observer.definition.search
    for own in groups.values():
        of = [trials[i] for i in own]
        done = [one for one in of if one.state == "done"]
        end = mean([one.end for one in done if one.end is not None]) if done else None
        line = observer.anchors.line([one.block for one in done])
        mafs = _mean([one.cost_mafs for one in done])
        flops = _mean([one.cost_flops for one in done])
        row = observer.rows[own[0]]
        state = _state(of)
        yield Exported(
            state=state,
            values=(end.aka, end.azs) if end is not None and state == "COMPLETE" else None,
            params={name: _plain(row[name]) for name in axes if row[name] is not None},
            attributes={
                "config_id": of[0].config_id,
                "config": of[0].config,
                "trials": [one.trial for one in of],
                "blocks": [one.block for one in of],
                "status": dict(Counter(one.state for one in of)),
                "AKA": None if end is None else end.aka,
                "AZS": None if end is None else end.azs,
                "GM": None if end is None else end.gm,
                "gain": None if line is None or end is None else 100 * line.gain(end.aka, end.azs),
                "cost_mafs": mafs,
                "cost_flops": flops,
                "path": list(_path([planned[i] for i in own], of, observer.results)),
            },
            constraints={}
            if search is None or end is None
            else dict(
                _constraints(search.constraints, end, observer.anchors, [one.block for one in done], mafs, flops)
            ),
            began=min((first[one.trial] for one in of if one.trial in first), default=None),
            ended=max(
                (ended for one in of if (ended := times.get(one.trial, (0.0, None))[1]) is not None), default=None
            ),
        )


def _state(trials: Sequence[TrialStatus]) -> str:
    """The state of a config, from its trials together; with some done and others waiting it is running."""
    states = {one.state for one in trials}
    if states == {"done"}:
        return "COMPLETE"
    if "failed" in states:
        return "FAIL"
    if "stopped" in states and states <= {"stopped", "done"}:
        return "PRUNED"
    return "WAITING" if states == {"waiting"} else "RUNNING"


def _path_keys(planned: PlannedTrial, trial: TrialStatus) -> Iterator[str]:
    return (step.scores for step in planned.steps[: trial.task + 1] if trial.aka is not None)


def _path(planned: Sequence[PlannedTrial], trials: Sequence[TrialStatus], results: Results) -> Iterator[list[float]]:
    """[task, AKA, AZS] after every task that all blocks have finished."""
    for task in range(min((one.task if one.aka is not None else -1) for one in trials) + 1):
        points = [results.summary(one.steps[task].scores) for one in planned]
        if any(point is None for point in points):
            return
        over = mean(point for point in points if point is not None)
        yield [task, over.aka, over.azs]


def _constraints(
    asked: Constraints, end: Summary, anchors: Anchors, blocks: Sequence[str], mafs: float | None, flops: float | None
) -> Iterator[tuple[str, float]]:
    """The constraints of a search in Optuna's form: a value above 0 breaks the constraint."""
    if asked.retention_loss is not None and all(block in anchors.zero_shot for block in blocks):
        before = mean(anchors.zero_shot[block] for block in blocks)
        yield "retention_loss", before.azs - end.azs - asked.retention_loss
    if asked.cost_mafs is not None and mafs is not None:
        yield "cost_mafs", mafs - asked.cost_mafs
    if asked.cost_flops is not None and flops is not None:
        yield "cost_flops", flops - asked.cost_flops


def _attributes(anchors: Anchors) -> dict[str, Any]:
    """Attributes of the Optuna study as a whole."""
    points = {"zero-shot": anchors.zero_shot, "joint": anchors.joint}
    means = {name: mean(of.values()) for name, of in points.items() if of}
    return {"made by": "retune", **{f"{name} AKA, AZS": [point.aka, point.azs] for name, point in means.items()}}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return sum(known) / len(known) if known else None


# -- axes --------------------------------------------------------------------------------------------------------------


def _varying(rows: Sequence[Row]) -> tuple[str, ...]:
    """Axes in which configs differ; where a timeline starts and serves is said by its name, if all have one."""
    said = {"start", "serve"} if all(row["timeline"] is not None for row in rows) else set()
    found = {
        name: {repr(row[name]) for row in rows if row[name] is not None or name in CAN_BE_NONE}
        for name in AXES.keys() - said
    }
    return tuple(name for name in AXES if len(found.get(name, ())) > 1)


def _plain(value: Any) -> Scalar:
    """A value of an axis in a type that Optuna allows."""
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value


def distributions(params: Iterable[Mapping[str, Scalar]]) -> dict[str, "BaseDistribution"]:
    """One distribution for each name, over all values in the study: Optuna has no spaces that change."""
    values: dict[str, set[Any]] = defaultdict(set)
    for one in params:
        for name, value in one.items():
            values[name].add(value)
    return {name: _distribution(of) for name, of in values.items()}


def _distribution(values: set[Any]) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    kinds = {type(value) for value in values}
    if not kinds <= {int, float}:
        return CategoricalDistribution(sorted(values, key=lambda value: (str(type(value)), value)))
    low, high = min(values), max(values)
    log = low > 0 and high / low >= _LOG_RATIO
    return IntDistribution(low, high, log=log) if kinds == {int} else FloatDistribution(low, high, log=log)


# -- the file ----------------------------------------------------------------------------------------------------------


def _journal(
    study: str,
    exported: Sequence[Exported],
    *,
    distributions: Mapping[str, "BaseDistribution"],
    attributes: Mapping[str, Any],
) -> Iterator[str]:
    """The lines of a journal, as Optuna's own file backend would write them."""
    import optuna
    from optuna.storages.journal import BaseJournalBackend

    class Lines(BaseJournalBackend):
        """A journal in memory: a file would be locked and synchronised once a line."""

        def __init__(self) -> None:
            self.logs: list[dict[str, Any]] = []

        def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
            return self.logs[log_number_from:]

        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            self.logs.extend(logs)

    backend = Lines()
    with silenced("optuna"), _experimental():
        made = optuna.create_study(
            storage=optuna.storages.JournalStorage(backend), study_name=study, directions=["maximize", "maximize"]
        )
        made.set_metric_names(list(OBJECTIVES))
        for name, value in attributes.items():
            made.set_user_attr(name, value)
        for one in exported:
            made.add_trial(_trial(one, distributions))
    return (json.dumps({**log, "worker_id": _WRITER}, separators=(",", ":")) + "\n" for log in backend.logs)


def _trial(one: Exported, distributions: Mapping[str, "BaseDistribution"]) -> "FrozenTrial":
    from optuna.trial import TrialState, create_trial

    state = TrialState[one.state]
    trial = create_trial(
        state=state,
        values=one.values,
        params=dict(one.params),
        distributions={name: distributions[name] for name in one.params},
        user_attrs=dict(one.attributes),
        constraints=dict(one.constraints),
    )
    trial.datetime_start = None if state == TrialState.WAITING else _time(one.began)
    trial.datetime_complete = _time(one.ended) if state.is_finished() else None
    return trial


def _time(seconds: float | None) -> datetime:
    """A time of the log; the begin of 1970 where the log is gone."""
    return datetime.fromtimestamp(seconds or 0.0, UTC)


@contextlib.contextmanager
def _experimental() -> Iterator[None]:
    """Silence the warning that names of objectives are experimental; without names they would be 0 and 1."""
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
