"""Attempts from the log: where they ran, how they ended, and what of their time was in vain."""

import json
from pathlib import Path
from typing import Any

import pytest

from study.folder.folder import Folder
from study.status.attempts import Attempts

Line = tuple[float, str, dict[str, Any]]


def written(folder: Path, *rows: Line, tail: str = "") -> Attempts:
    """The attempts of a log with these lines."""
    lines = [json.dumps({"time": time, "pid": 1, "event": event, **values}) for time, event, values in rows]
    with (folder / "log.jsonl").open("a") as file:
        file.write("".join(f"{line}\n" for line in lines) + tail)
    attempts = Attempts(Folder(path=folder))
    attempts.read()
    return attempts


A, B = {"trial": "a"}, {"trial": "b"}
BEGIN: list[Line] = [
    (100.0, "run_started", {"study": "s"}),
    (101.0, "trial_started", A),
    (102.0, "worker", {**A, "host": "n1", "device": "cuda", "device_name": "NVIDIA H200", "gpus": 0.5}),
    (103.0, "task", {**A, "task": 0}),
    (110.0, "task", {**A, "task": 1}),
]


def test_an_attempt_knows_where_it_ran_and_how_far_it_came(tmp_path: Path) -> None:
    attempts = written(tmp_path, *BEGIN, (130.0, "trial_done", A))
    (one,) = attempts.all
    assert one.device_name == "NVIDIA H200"
    assert (one.node, one.device, one.held_gpus, one.task, one.tasks, one.end) == ("n1", "cuda", 0.5, 1, 1, "done")
    assert (one.seconds(1000.0), one.wasted_seconds) == (29.0, 0.0)


@pytest.mark.parametrize(
    ("event", "values", "end"),
    [
        ("trial_retried", {**A, "error": "node n1 died"}, "retried"),
        ("trial_failed", {**A, "error": "the loss was nan"}, "failed"),
        ("run_ended", {"done": 0}, "interrupted"),
        ("run_started", {"study": "s"}, "killed"),
    ],
)
def test_what_follows_the_last_finished_task_is_wasted_if_the_end_was_no_good_one(
    tmp_path: Path, event: str, values: dict[str, Any], end: str
) -> None:
    attempts = written(tmp_path, *BEGIN, (117.0, "task", {**B, "task": 1}), (120.0, event, values))
    (one,) = attempts.all
    assert (one.end, one.reason) == (end, values.get("error"))
    # A run that was killed has said nothing at its end: its last line counts.
    assert one.wasted_seconds == (7.0 if end == "killed" else 10.0)


def test_a_run_that_was_killed_and_never_started_again_ends_with_its_last_line(tmp_path: Path) -> None:
    attempts = written(tmp_path, *BEGIN)
    assert attempts.all[0].end == "running"
    attempts.settle()
    assert (attempts.all[0].end, attempts.all[0].wasted_seconds) == ("killed", 0.0)


def test_a_trial_that_is_tried_again_says_its_old_tasks_again_and_they_do_not_count(tmp_path: Path) -> None:
    again: list[Line] = [
        (120.0, "trial_retried", {**A, "error": "x"}),
        (121.0, "trial_started", A),
        (122.0, "task", {**A, "task": 0}),
        (123.0, "task", {**A, "task": 1}),
        (140.0, "task", {**A, "task": 2}),
    ]
    attempts = written(tmp_path, *BEGIN, *again)
    assert [one.tasks for one in attempts.all] == [1, 1]
    assert attempts.run is not None
    assert attempts.run.tasks == 2
    assert attempts.run.tasks_per_second(150.0) == pytest.approx(2 / 50)
    resumed = written(
        tmp_path, (200.0, "run_started", {}), (201.0, "trial_started", A), (202.0, "task", {**A, "task": 2})
    )
    assert resumed.run is not None
    assert resumed.run.tasks_per_second(210.0) is None


def test_the_rate_of_a_long_run_is_that_of_its_last_hundred_tasks(tmp_path: Path) -> None:
    slow: list[Line] = [(200.0 + 100 * i, "task", {**A, "task": 2 + i}) for i in range(50)]
    fast: list[Line] = [(6000.0 + i, "task", {**A, "task": 60 + i}) for i in range(101)]
    attempts = written(tmp_path, *BEGIN, *slow, *fast)
    assert attempts.run is not None
    assert attempts.run.tasks_per_second(6100.0) == pytest.approx(1.0, rel=0.02)


def test_reading_goes_on_where_it_stopped_and_waits_for_a_line_that_is_being_written(tmp_path: Path) -> None:
    attempts = written(tmp_path, *BEGIN, tail='{"time": 120.0, "event": "trial_d')
    assert attempts.all[0].end == "running"
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('one", "trial": "a"}\nnot JSON at all\n[]\n')
    attempts.read()
    attempts.read()
    assert [one.end for one in attempts.all] == ["done"]


def test_a_log_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    attempts = Attempts(Folder(path=tmp_path / "none"))
    attempts.read()
    assert (attempts.all, attempts.run) == ([], None)
