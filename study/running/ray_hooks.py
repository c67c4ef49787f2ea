"""Ray Tune's events, told to the run's progress and log, and the nodes counted now and then.

A callback that raises would end the study, so these only count.
"""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.exceptions import RayError
from ray.tune import Callback
from ray.tune.search import ConcurrencyLimiter

from study.folder.folder import Folder
from study.running.progress import Progress
from study.running.retries import Tries

_SECONDS = 5.0
"""How often nodes are counted."""

_WIDTH = 200
"""Letters of what Ray says that are told."""


class RayProgress(Callback):  # type: ignore[misc]
    """Translates Ray's trials into ours, and writes what workers have to say into the study's log.

    Args:
        progress: of the run.
        folder: of the study.
        tries: says whether a trial that failed is tried again.
    """

    def __init__(self, progress: Progress, folder: Folder, tries: Tries) -> None:
        self._progress, self._folder, self._tries = progress, folder, tries
        self._told: set[str] = set()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial runs."""
        self._progress.started(_name(trial))

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Any],
        trial: Any,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        """A trial reported a task, or why it cannot go on, or just what is to be logged."""
        for event in result.pop("events", ()):
            self._folder.log(**event)
        if "failed" in result:
            self._told.add(trial.trial_id)
            self._error(trial, result["failed"].strip().splitlines()[0])
        elif "task" in result:
            self._progress.task(_name(trial), result["task"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial ended, well unless it was stopped, or said that it failed."""
        if _name(trial) not in self._progress.failed and _name(trial) not in self._progress.stopped:
            self._progress.done(_name(trial))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A try ended with an error; its worker died unless it said before what went wrong."""
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
        """Now and then, count again."""
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
