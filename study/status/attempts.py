"""Attempts: what the log says of every time a trial was started, where it ran, how far it came and why it ended.

An attempt is **wasted** from the last task that it finished (or from its begin) to its end, when that end was no good
one: it failed, its node or its run was killed, or the run was interrupted. What it finished is in the store and is not
computed again. A run that was killed says nothing of its end: its attempts end with its last line in the log.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal

from study.folder.folder import Folder
from study.folder.log import Log

End = Literal["running", "done", "stopped", "failed", "retried", "interrupted", "killed"]
"""How an attempt ended. "stopped": by early stopping; "interrupted": with its run, by Ctrl-C or SIGTERM; "killed": with
its run, and nobody said so."""

WASTED: frozenset[End] = frozenset({"failed", "retried", "interrupted", "killed"})
_RECENT = 100
"""Tasks over which the rate is taken."""


@dataclass(kw_only=True)
class Attempt:
    """One time that a trial ran. Times are seconds since 1970.

    `task` is the last one that it finished, at the time `last`; `tasks` are those that no attempt had finished before.
    `gpus` are what it held. `node`, `device` and `gpus` are None as long as the log does not say.
    """

    trial: str
    began: float
    last: float
    task: int | None = None
    tasks: int = 0
    ended: float | None = None
    end: End = "running"
    reason: str | None = None
    node: str | None = None
    device: str | None = None
    device_name: str | None = None
    gpus: float | None = None

    def seconds(self, now: float) -> float:
        """How long the attempt has run by `now`."""
        return max(0.0, (now if self.ended is None else self.ended) - self.began)

    @property
    def held_gpus(self) -> float:
        """GPUs that the attempt held; one if the log only says that it ran on a GPU."""
        if self.gpus is None:
            return float((self.device or "").startswith("cuda"))
        return self.gpus

    @property
    def wasted_seconds(self) -> float:
        """Seconds after the attempt's last finished task, if the attempt did not end well."""
        return max(0.0, self.ended - self.last) if self.end in WASTED and self.ended is not None else 0.0


@dataclass(kw_only=True)
class Run:
    """One `retune run`: from its first line in the log to its last."""

    began: float
    last: float
    tasks: int = 0
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    errors: dict[str, str] = field(default_factory=dict)

    def tasks_per_second(self, now: float) -> float | None:
        """The rate over the last hundred new tasks; over all tasks of the run while there are fewer."""
        if not self.recent:
            return None
        since = self.began if self.tasks < _RECENT else self.recent[0]
        return len(self.recent) / max(now - since, 1e-9)


class Attempts:
    """Reads a study's log, and goes on reading where it stopped.

    Args:
        folder: of the study.
    """

    def __init__(self, folder: Folder) -> None:
        self._log = Log(folder.log_file)
        self._open: dict[str, Attempt] = {}
        self._reached: dict[str, int] = {}
        self.all: list[Attempt] = []
        self.run: Run | None = None

    def read(self) -> None:
        """Read the new lines of the log."""
        for row in self._log.new():
            self._take(row)

    def settle(self) -> None:
        """End open attempts, since nobody works on the study: they were killed by the last line of the log."""
        if self.run is not None:
            self._close_all("killed", self.run.last)

    def _take(self, row: dict[str, Any]) -> None:
        event, now = row["event"], float(row["time"])
        if event == "run_started":
            self.settle()
            self.run = Run(began=now, last=now)
        if self.run is None:
            return
        self.run.last = max(self.run.last, now)
        trial = row.get("trial")
        if event == "run_ended":
            self._close_all("interrupted", now)
        elif trial is not None:
            self._of_trial(str(trial), event, now, row)

    def _of_trial(self, trial: str, event: str, now: float, row: dict[str, Any]) -> None:
        assert self.run is not None
        if event == "trial_failed":
            self.run.errors[trial] = str(row.get("error"))
        if event == "trial_started":
            self._close(trial, "killed", now)
            self._open[trial] = Attempt(trial=trial, began=now, last=now)
            self.all.append(self._open[trial])
        attempt = self._open.get(trial)
        if attempt is None:
            return
        attempt.node = row.get("host", attempt.node)
        attempt.device = row.get("device", attempt.device)
        attempt.device_name = row.get("device_name", attempt.device_name)
        attempt.gpus = row.get("gpus", attempt.gpus)
        if event == "task":
            attempt.task, attempt.last = row["task"], now
            if row["task"] > self._reached.get(trial, 0):  # a trial that is tried again says its old tasks again
                self._reached[trial] = row["task"]
                attempt.tasks += 1
                self.run.tasks += 1
                self.run.recent.append(now)
        elif event in _ENDS:
            self._close(trial, _ENDS[event], now, row.get("error") or row.get("reason"))

    def _close(self, trial: str, end: End, now: float, reason: str | None = None) -> None:
        attempt = self._open.pop(trial, None)
        if attempt is not None:
            attempt.end, attempt.ended, attempt.reason = end, now, reason

    def _close_all(self, end: End, now: float) -> None:
        for trial in tuple(self._open):
            self._close(trial, end, now)


_ENDS: dict[str, End] = {
    "trial_done": "done",
    "trial_stopped": "done",
    "trial_failed": "failed",
    "trial_retried": "retried",
}
"""Events that end an attempt."""
