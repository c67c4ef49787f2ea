"""Progress of a run: trials and tasks are counted, logged, and told in one line."""

import time
from collections.abc import Callable, Mapping
from typing import TextIO

from study.folder.folder import Folder
from trainables.machine.progress_line import ProgressLine, clock_time


class Progress:
    """Counts trials and tasks, writes the log, and tells a person how far the run is.

    Args:
        folder: the study's folder, for its log.
        trials: trials that the run has to finish; None where nobody knows yet how many there will be.
        tasks: of these trials together; what is scored before the first is none.
        trial_names: trial id -> a short description for messages; it may grow.
        out: where the line goes; None: standard error.
    """

    def __init__(
        self,
        folder: Folder,
        *,
        trials: int | None,
        tasks: int | None,
        trial_names: Mapping[str, str],
        out: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._names, self._line = folder, trial_names, ProgressLine(out, clock)
        self._trials, self._tasks = trials, tasks
        self._done, self._tasks_done = 0, 0
        self._running: set[str] = set()
        self._reached: dict[str, int] = {}
        self.failed: dict[str, str] = {}
        self.stopped: dict[str, int] = {}

    def started(self, trial: str) -> None:
        """Note that a trial runs."""
        self._running.add(trial)
        self._folder.log("trial_started", trial=trial)
        self._show()

    def task(self, trial: str, task: int) -> None:
        """Note that a trial reported a task."""
        self._running.add(trial)
        self._tasks_done += task > self._reached.get(trial, 0)  # a trial that is tried again starts from task 0
        self._reached[trial] = max(task, self._reached.get(trial, 0))
        self._folder.log("task", trial=trial, task=task)
        self._show()

    def done(self, trial: str) -> None:
        """Note that a trial ended well."""
        self._running.discard(trial)
        self._done += 1
        self._folder.log("trial_done", trial=trial)
        self._show(is_last=self._closed == self._trials)

    def stopped_early(self, trial: str, task: int, reason: str) -> None:
        """Note that a trial ended with a task, before its stream did."""
        self._running.discard(trial)
        self.stopped[trial] = task
        self._folder.log("trial_stopped", trial=trial, task=task, reason=reason)
        self._show(is_last=self._closed == self._trials)

    def error(self, trial: str, reason: str, *, final: bool) -> None:
        """Note that a trial failed; it is tried again unless the failure is final."""
        self._running.discard(trial)
        self._folder.log("trial_failed" if final else "trial_retried", trial=trial, error=reason)
        if final:
            self.failed[trial] = reason
        fate = "failed" if final else "failed and is tried again"
        self.say(f"trial {trial} ({self._names.get(trial, '')}) {fate}: {reason}")

    @property
    def _closed(self) -> int:
        return self._done + len(self.stopped)

    def say(self, message: str) -> None:
        """Print a message that stays, on a line of its own."""
        self._line.say(message)

    def line(self) -> str:
        """The progress line."""
        elapsed = self._line.elapsed
        rate = self._tasks_done / elapsed if elapsed > 0 else 0.0
        left = clock_time((self._tasks - self._tasks_done) / rate) if rate > 0 and self._tasks is not None else "?"
        failed = f", {len(self.failed)} failed" if self.failed else ""
        stopped = f", {len(self.stopped)} stopped early" if self.stopped else ""
        trials = "" if self._trials is None else f"/{self._trials}"
        tasks = "" if self._tasks is None else f"/{self._tasks}"
        return (
            f"{self._done}{trials} trials done, {len(self._running)} running{stopped}{failed} | "
            f"{self._tasks_done}{tasks} tasks, {60 * rate:.0f}/min | "
            f"{clock_time(elapsed)} elapsed, {left} left"
        )

    def _show(self, *, is_last: bool = False) -> None:
        self._line.show(self.line, is_last=is_last)
