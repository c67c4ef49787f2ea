"""Progress of a run: what is counted, logged and told."""

import io
from pathlib import Path

from study.folder.folder import Folder
from study.running.progress import Progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def progress(folder: Path, out: io.StringIO, clock: Clock) -> Progress:
    names = {"a": "full lr=0.001", "b": "lora"}
    return Progress(Folder(path=folder), trials=2, tasks=6, trial_names=names, out=out, clock=clock)


def test_counts_rate_and_time_left(tmp_path: Path) -> None:
    clock = Clock()
    shown = progress(tmp_path, io.StringIO(), clock)
    shown.started("a")
    clock.now = 30.0
    shown.task("a", 0)
    shown.task("a", 1)
    assert shown.line() == "0/2 trials done, 1 running | 1/6 tasks, 2/min | 0:30 elapsed, 2:30 left"
    shown.task("a", 2)
    shown.done("a")
    assert shown.line().startswith("1/2 trials done, 0 running | 2/6 tasks")
    shown.error("b", "out of memory", final=True)
    assert "1 failed" in shown.line()
    assert shown.failed == {"b": "out of memory"}


def test_a_search_knows_no_totals_and_stopped_trials_are_counted_apart(tmp_path: Path) -> None:
    clock, out = Clock(), io.StringIO()
    shown = Progress(Folder(path=tmp_path), trials=None, tasks=None, trial_names={}, out=out, clock=clock)
    shown.started("a")
    shown.task("a", 1)
    shown.stopped_early("a", 1, "3 of 4 were ahead")
    clock.now = 60.0
    assert shown.line() == "0 trials done, 0 running, 1 stopped early | 1 tasks, 1/min | 1:00 elapsed, ? left"
    events = [(row["event"], row.get("task")) for row in Folder(path=tmp_path).events()]
    assert events == [("trial_started", None), ("task", 1), ("trial_stopped", 1)]


def test_failures_are_named_in_words(tmp_path: Path) -> None:
    out = io.StringIO()
    shown = progress(tmp_path, out, Clock())
    shown.error("a", "the loss was nan", final=False)
    assert "trial a (full lr=0.001) failed and is tried again: the loss was nan" in out.getvalue()
    assert not shown.failed
