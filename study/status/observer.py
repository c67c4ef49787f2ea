"""Looking at a study's folder: how a status is made, once or again and again while somebody watches."""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from study.folder.folder import Folder, is_held
from study.planning.plan import Known, Plan, PlannedStep, PlannedTrial, stored_keys
from study.planning.trials import Row
from study.results.gain import Anchors, Finished, anchors, key_of, ranked
from study.results.labels import describe, varying
from study.results.reader import Results
from study.results.tables import trial_row
from study.status.attempts import WASTED, Attempt, Attempts
from study.status.status import STATES, MethodStatus, NodeStatus, Spent, State, Status, TrialStatus
from trainables.metrics import Summary

_SHOWN = 3
"""Best configs that a status names."""


def status(folder: Folder) -> Status:
    """The status of a study's folder.

    Raises:
        ConfigError: it is not a study's folder.
    """
    return Observer(folder).take_status()


def failures(folder: Folder) -> dict[str, str]:
    """Trials that the last run gave up, with their errors."""
    attempts = Attempts(folder)
    attempts.read()
    return {} if attempts.run is None else attempts.run.errors


class Observer:
    """Takes the status of a study's folder again and again; values that were read once are kept.

    `anchors` and `definition` are those of the last look.

    Args:
        folder: of the study.

    Raises:
        ConfigError: it is not a study's folder.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._store = folder.store()
        self._results = Results(self._store)
        self._attempts = Attempts(folder)
        self.anchors = Anchors(zero_shot={}, joint={})
        self._plan_again()

    @property
    def plan(self) -> Plan:
        """The plan of the study as it is now."""
        return self._plan

    @property
    def rows(self) -> Sequence[Row]:
        """What every trial of the plan is, as in the table of trials."""
        return self._rows

    @property
    def attempts(self) -> Sequence[Attempt]:
        """All attempts that the log tells of."""
        return self._attempts.all

    @property
    def results(self) -> Results:
        """What has been read of the store."""
        return self._results

    def take_status(self) -> Status:
        """Look at the folder, and make its status."""
        if self._folder.changed() != self._changed:
            self._plan_again()
        live = is_held(self._folder)  # before the log: a run that ends in between has written all of it
        have, trained = stored_keys(self._store), self._store.keys("records")
        self._attempts.read()
        if not live:
            self._attempts.settle()
        seen = _Seen(
            plan=self._plan,
            rows=self._rows,
            words=self._words,
            have=have,
            trained=trained | have.updates,  # weights may have been let go, their records never are
            results=self._results,
            attempts=self._attempts,
            live=live,
            now=time.time(),
        )
        self.anchors = anchors(self._plan, seen.summary, "end")
        return seen.status(self.definition.name, self._numerics, self.anchors)

    def _plan_again(self) -> None:
        """Plan the study again: it may have grown since, also while somebody watches."""
        self._changed = self._folder.changed()
        self.definition, self._numerics = self._folder.definition(), self._folder.numerics
        self._plan = self._folder.plan()
        self._rows = [trial_row(planned, "waiting") for planned in self._plan.trials]
        axes = varying(row for row in self._rows if row["kind"] == "trial")
        self._words = [describe(row, axes) for row in self._rows]


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """All that one status is made from; `rows` and `words` are in the order of the plan's trials."""

    plan: Plan
    rows: Sequence[Row]
    words: Sequence[str]
    have: Known
    trained: Collection[str]
    results: Results
    attempts: Attempts
    live: bool
    now: float

    def status(self, study: str, numerics: int, points: Anchors) -> Status:
        last = [self._last_step(planned) for planned in self.plan.trials]
        self.results.fetch(self._key(step) for step in last if step is not None)
        trials = [self._trial(i, step, points) for i, step in enumerate(last)]
        run = self.attempts.run if self.live else None
        rate = None if run is None else run.tasks_per_second(self.now)
        left = [one for one in trials if one.state not in _CLOSED]
        best = ranked(_finished(trials), points)
        unique, stored = self.plan.all_updates, self.have.updates
        return Status(
            study=study,
            numerics=numerics,
            state="running" if self.live else "not running" if left or self.plan.is_open else "finished",
            live=self.live,
            trials=len(trials),
            **_by_state(trials),
            tasks_done=sum(one.task for one in trials),
            tasks=sum(one.tasks for one in trials),
            updates_unique=len(unique),
            updates_trained=sum(key in self.trained for key in unique),
            updates_in_store=sum(key in stored for key in unique),
            tasks_per_minute=None if rate is None else 60 * rate,
            elapsed_seconds=None if run is None else self.now - run.began,
            seconds_left=None if not rate or self.plan.is_open else sum(one.tasks - one.task for one in left) / rate,
            spent=self._spent(self._paid.values(), self.attempts.all),
            best=best[0] if best else None,
            best_configs=tuple(best[:_SHOWN]),
            methods=tuple(self._methods(trials, points)),
            nodes=tuple(self._nodes()),
            by_trial=tuple(trials),
            errors={one.trial: one.error for one in trials if one.state == "failed" and one.error is not None},
            device_names=dict(Counter(one.device_name for one in self.attempts.all if one.device_name is not None)),
        )

    # -- trials --------------------------------------------------------------------------------------------------------

    def _last_step(self, planned: PlannedTrial) -> PlannedStep | None:
        """The last step before the first one without scores; None if there is none."""
        last = None
        for step in planned.steps:
            if step.scores not in self.have.scores:
                break
            last = step
        return last

    def _key(self, step: PlannedStep) -> str:
        """The key of a step's scores: those on all test images if the store has them."""
        key = key_of(step, "end")
        return key if key in self.have.scores else step.scores

    def summary(self, key: str) -> Summary | None:
        """What a key of scores says, if the store has it."""
        return self.results.summary(key) if key in self.have.scores else None

    def _trial(self, i: int, last: PlannedStep | None, points: Anchors) -> TrialStatus:
        planned, row = self.plan.trials[i], self.rows[i]
        own = self._attempts_by_trial.get(row["trial"], [])
        attempt = own[-1] if own else None
        state = self._state(planned, attempt)
        begun = last is not None and (last.task > 0 or bool(own))  # zero-shot alone is of all trials
        end = self.summary(self._key(last)) if last is not None and begun else None
        line = points.line([row["block"]]) if state == "done" else None
        cost = None if last is None else self.results.cost(planned.cost)
        passes = 0 if last is None else sum(step.passes for step in planned.steps[: last.task + 1])
        return TrialStatus(
            trial=row["trial"],
            kind=row["kind"],
            method=row["method"],
            config=self.words[i],
            config_id=row["config_id"],
            block=row["block"],
            state=state,
            task=0 if last is None else last.task,
            tasks=len(planned.steps) - 1,
            aka=None if end is None else end.aka,
            azs=None if end is None else end.azs,
            gm=None if end is None else end.gm,
            gain=None if line is None or end is None else 100 * line.gain(end.aka, end.azs),
            cost_flops=None if cost is None else float(passes * cost.flops),
            cost_mafs=None if cost is None else float(passes * cost.mafs),
            attempts=len(own),
            seconds=None if attempt is None else attempt.seconds(self.now),
            wasted_seconds=sum(one.wasted_seconds for one in own),
            node=None if attempt is None else attempt.node,
            device=None if attempt is None else attempt.device,
            error=self._errors.get(row["trial"]) if state == "failed" else None,
        )

    def _state(self, planned: PlannedTrial, attempt: Attempt | None) -> State:
        if planned.is_done(self.have):
            return "stopped" if planned.is_stopped else "done"
        if attempt is not None and attempt.end == "running":
            return "running"
        return "failed" if planned.trial.id in self._errors else "waiting"

    @property
    def _errors(self) -> Mapping[str, str]:
        return {} if self.attempts.run is None else self.attempts.run.errors

    @cached_property
    def _attempts_by_trial(self) -> dict[str, list[Attempt]]:
        found: dict[str, list[Attempt]] = defaultdict(list)
        for one in self.attempts.all:
            found[one.trial].append(one)
        return found

    # -- what was paid -------------------------------------------------------------------------------------------------

    @cached_property
    def _paid(self) -> dict[str, tuple[str, float, float]]:
        """(method, FLOPs, MAFs) of each trained update, paid once by the first trial that has the update."""
        found: dict[str, tuple[str, float, float]] = {}
        for planned in self.plan.trials:
            cost = self.results.cost(planned.cost) if planned.cost in self.have.costs else None
            if cost is None:
                continue
            for step in planned.steps:
                if step.update is not None and step.update in self.trained and step.update not in found:
                    found[step.update] = (planned.trial.method, step.passes * cost.flops, step.passes * cost.mafs)
        return found

    def _spent(self, paid: Iterable[tuple[str, float, float]], attempts: Collection[Attempt]) -> Spent:
        prices = list(paid)
        return Spent(
            flops=math.fsum(flops for _, flops, _ in prices),
            mafs=math.fsum(mafs for _, _, mafs in prices),
            worker_hours=_hours(one.seconds(self.now) for one in attempts),
            gpu_hours=_hours(one.seconds(self.now) * one.held_gpus for one in attempts),
            wasted_hours=_hours(one.wasted_seconds for one in attempts),
            wasted_attempts=sum(one.end in WASTED for one in attempts),
        )

    def _methods(self, trials: Sequence[TrialStatus], points: Anchors) -> Iterator[MethodStatus]:
        groups: dict[str, list[TrialStatus]] = defaultdict(list)
        for one in trials:
            groups[one.method].append(one)
        paid: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
        for price in self._paid.values():
            paid[price[0]].append(price)
        for method, own in groups.items():
            attempts = [attempt for one in own for attempt in self._attempts_by_trial.get(one.trial, ())]
            yield MethodStatus(
                method=method,
                trials=len(own),
                **_by_state(own),
                tasks_done=sum(one.task for one in own),
                tasks=sum(one.tasks for one in own),
                spent=self._spent(paid[method], attempts),
                best=next(iter(ranked(_finished(own), points)), None),
            )

    def _nodes(self) -> Iterator[NodeStatus]:
        """Machines of the last run; attempts that never said where they ran are left out."""
        run = self.attempts.run
        if run is None:
            return
        groups: dict[str, list[Attempt]] = defaultdict(list)
        for one in self.attempts.all:
            if one.began >= run.began and one.node is not None:
                groups[one.node].append(one)
        until = self.now if self.live else run.last
        for node, own in sorted(groups.items()):
            tasks = sum(one.tasks for one in own)
            yield NodeStatus(
                node=node,
                devices=tuple(sorted({one.device for one in own if one.device is not None})),
                running=sum(one.end == "running" for one in own),
                attempts=len(own),
                failed=sum(one.end in ("failed", "retried") for one in own),
                tasks_done=tasks,
                tasks_per_minute=60 * tasks / max(until - min(one.began for one in own), 1e-9),
                worker_hours=_hours(one.seconds(self.now) for one in own),
                gpu_hours=_hours(one.seconds(self.now) * one.held_gpus for one in own),
                wasted_hours=_hours(one.wasted_seconds for one in own),
                last_seen=max(one.last if one.ended is None else one.ended for one in own),
            )


_CLOSED: frozenset[State] = frozenset({"done", "stopped"})
"""States of trials that nobody goes on with."""


def _by_state(trials: Iterable[TrialStatus]) -> dict[State, int]:
    counts = Counter(one.state for one in trials)
    return {state: counts[state] for state in STATES}


def _finished(trials: Iterable[TrialStatus]) -> Iterator[Finished]:
    for one in trials:
        if one.state == "done" and one.kind == "trial" and one.end is not None:
            yield Finished(trial=one.trial, config=one.config, config_id=one.config_id, block=one.block, end=one.end)


def _hours(seconds: Iterable[float]) -> float:
    return math.fsum(seconds) / 3600
