"""All that Ray Tune calls: the searcher and the scheduler that ask a source of trials, and callbacks that tell of it.

A callback that raises would end the study, so callbacks only count, and write what they hear into progress and log.
"""

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.exceptions import RayError
from ray.tune import Callback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import ConcurrencyLimiter, Searcher

from study.folder.folder import Folder
from study.planning.plan import PlannedTrial
from study.running.progress import Progress
from study.running.retries import Retries
from study.running.trial_source import Idle, TrialSource
from trainables.metrics import Summary

_SECONDS = 5.0
"""How often nodes are counted."""

_WIDTH = 200
"""Letters of what Ray says that are told."""


# -- trials for Ray ----------------------------------------------------------------------------------------------------


class SourceSearcher(Searcher):  # type: ignore[misc]
    """Suggests the trials of a source: None while none is ready, FINISHED when there are no more.

    What Ray calls a trial is one try of ours: one that failed is suggested anew. Ray's own recovery does not tell whose
    fault it was, and gives up a trial whose node dies just when a process that ran another takes it over.
    """

    def __init__(self, source: TrialSource, tries: Retries) -> None:
        super().__init__()
        self._source = source
        self._tries = tries
        self._trials: dict[str, PlannedTrial] = {}
        self._told: set[str] = set()
        self._again: list[PlannedTrial] = []

    def __getstate__(self) -> dict[str, Any]:
        """Give Ray no state: it would write a file that nobody reads."""
        return {}

    def suggest(self, trial_id: str) -> Any:
        """The config of the next trial."""
        planned = self._again.pop(0) if self._again else self._source.next()
        if isinstance(planned, Idle):
            return Searcher.FINISHED if planned is Idle.END and not self._trials else None  # one may have to run again
        trial = planned.trial
        self._trials[trial_id] = planned
        asked = {
            "trial": trial.config.canonical(),
            "evaluate_at": list(planned.evaluate_at),
            "evaluation": planned.evaluation.canonical(),
        }
        # As text: Ray copies a config, and takes it apart again with every report.
        return {"id": trial.id, "method": trial.config.recipe.method.name, "asked": json.dumps(asked)}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Count a finished task, or the failure that a trial reports before it ends."""
        name = self._trials[trial_id].trial.id
        if "task" in result:
            self._tries.went_on(name)
        elif "failed" in result:
            self._tries.failed(name, hopeless=result["final"])
            self._told.add(trial_id)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """End a trial, or suggest it again after an error that does not end it for good."""
        planned = self._trials.pop(trial_id)
        if error and trial_id not in self._told:
            self._tries.died(planned.trial.id)
        if error and not self._tries.is_over(planned.trial.id):
            self._again.append(planned)
        else:
            self._source.ended(planned.trial.id, failed=self._tries.is_over(planned.trial.id))

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Accept any metric, since none is needed."""
        return True

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: store and decisions are on the disk."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


class SourceScheduler(FIFOScheduler):  # type: ignore[misc]
    """Runs trials in the order suggested, and stops those that their source stops after a task."""

    _supports_buffered_results = False  # a trial must not go on while its result waits

    def __init__(self, source: TrialSource) -> None:
        super().__init__()
        self._source = source

    def __getstate__(self) -> dict[str, Any]:
        """Give Ray no state, as the searcher does."""
        return {}

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Tell Ray whether a trial goes on after a task."""
        if "task" not in result:
            return str(TrialScheduler.CONTINUE)
        summary = Summary(result["aka"], result["azs"], result["gm"])
        stops = self._source.reached(str(trial.config["id"]), result["task"], summary)
        return str(TrialScheduler.STOP if stops else TrialScheduler.CONTINUE)

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """Prefer no trial: Ray starts those that wait in its order, and nothing is ever paused.

        The method of the base class looks at all trials of the run to find that out, each time that anything happens.
        """


# -- what Ray tells ----------------------------------------------------------------------------------------------------


class RayProgress(Callback):  # type: ignore[misc]
    """Translates Ray's trials into ours, and writes what workers have to say into the study's log.

    Args:
        progress: of the run.
        folder: of the study.
        tries: says whether a trial that failed is tried again.
    """

    def __init__(self, progress: Progress, folder: Folder, tries: Retries) -> None:
        self._progress, self._folder, self._tries = progress, folder, tries
        self._told: set[str] = set()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tell that a trial runs."""
        self._progress.started(_name(trial))

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Any],
        trial: Any,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        """Pass on what a trial reports: a finished task, the reason why it cannot go on, events for the log."""
        for event in result.pop("events", ()):
            self._folder.log(**event)
        if "failed" in result:
            self._told.add(trial.trial_id)
            self._error(trial, result["failed"].strip().splitlines()[0])
        elif "task" in result:
            self._progress.task(_name(trial), result["task"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tell that a trial ended well, unless it was stopped or has said that it failed."""
        if _name(trial) not in self._progress.failed and _name(trial) not in self._progress.stopped:
            self._progress.done(_name(trial))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tell of an error that ended a try; if the trial itself reported none, its worker died."""
        if trial.trial_id not in self._told:
            said = _said_by_ray(trial)
            reason = f"its worker died: {said.splitlines()[-1].strip()[:_WIDTH]}"
            self._folder.log("trial_error", trial=_name(trial), error=reason, traceback=said)
            self._error(trial, reason)

    def _error(self, trial: Any, reason: str) -> None:
        self._progress.error(_name(trial), reason, final=self._tries.is_over(_name(trial)))


class Capacity(Callback):  # type: ignore[misc]
    """Lets as many trials run at once as the nodes have room for, also when nodes join or leave meanwhile.

    Args:
        limiter: what it sets.
        slots: counts how many there is room for.
        tell: takes a line when that changes.
    """

    def __init__(self, limiter: ConcurrencyLimiter, slots: Callable[[], int], tell: Callable[[str], None]) -> None:
        self._limiter, self._count, self._tell = limiter, slots, tell
        self._slots = limiter.max_concurrent
        self._next = time.monotonic() + _SECONDS

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Count the nodes' room again, now and then."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _SECONDS
        with contextlib.suppress(RayError):  # the head does not answer just now
            before, self._slots = self._slots, self._count()
            if self._slots != before:
                room = f"up to {self._slots} trials at once" if self._slots else "no node has room for a trial now"
                self._tell(f"the cluster's nodes changed: {room}, {before} before")
            self._limiter.max_concurrent = max(1, self._slots)


def _name(trial: Any) -> str:
    return str(trial.config["id"])


def _said_by_ray(trial: Any) -> str:
    """All that Ray says of the error that ended a trial."""
    try:
        return Path(trial.error_file).read_text().strip()
    except (OSError, TypeError):  # TypeError: there is no file
        return "it does not say why"
