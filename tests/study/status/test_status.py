"""`retune status`: what it says of finished, running and killed studies, once, renewed, and for programs."""

import contextlib
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.frontier import build_frontier
from analysis.tables.loading import load_tables
from study.folder.folder import Folder
from study.planning.plan import make_plan
from study.status.observer import status
from study.status.view import lines
from tests.study import command, quick


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quick.finish(tmp_path_factory.mktemp("status"))


@pytest.fixture(scope="module")
def now(finished: Path) -> dict[str, Any]:
    status, out, err = quick.retune("status", finished, "--json")
    assert (status, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    return found


def said(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(status(Folder(path=folder)).as_json())
    return found


def test_programs_find_what_they_look_for_under_stable_names(now: dict[str, Any]) -> None:
    counts = ("trials", "done", "running", "stopped", "failed", "waiting", "tasks_done", "tasks")
    assert list(now) == [
        *("study", "numerics", "state", "live", *counts, "updates_unique", "updates_trained", "updates_in_store"),
        *("tasks_per_minute", "elapsed_seconds", "seconds_left", "spent", "best", "best_configs"),
        *("methods", "nodes", "by_trial", "errors", "device_names"),
    ]
    assert list(now["spent"]) == ["flops", "mafs", "worker_hours", "gpu_hours", "wasted_hours", "wasted_attempts"]
    assert list(now["best"]) == ["config", "config_id", "trial", "aka", "azs", "gm", "gain", "blocks"]
    assert list(now["nodes"][0]) == [
        *("node", "devices", "running", "attempts", "failed", "tasks_done", "tasks_per_minute"),
        *("worker_hours", "gpu_hours", "wasted_hours", "last_seen"),
    ]
    assert list(now["by_trial"][0]) == [
        *("trial", "kind", "method", "config", "config_id", "block", "state", "task", "tasks", "aka", "azs", "gm"),
        *("gain", "cost_flops", "cost_mafs", "attempts", "seconds", "wasted_seconds", "node", "device", "error"),
    ]


def test_a_finished_study_is_all_done_and_was_paid_once(now: dict[str, Any], finished: Path) -> None:
    assert (now["state"], now["live"], now["done"], now["trials"]) == ("finished", False, quick.TRIALS, quick.TRIALS)
    assert (now["tasks_done"], now["tasks"], now["updates_trained"]) == (quick.TASKS, quick.TASKS, quick.UPDATES)
    home = Folder(path=finished)
    passes = sum(recipe.passes for recipe in make_plan(home.definition(), "").unique_updates.values())
    (cost,) = {key: json.loads(home.store().get("costs", key) or b"") for key in home.store().keys("costs")}.values()
    assert now["spent"]["mafs"] == pytest.approx(passes * cost["mafs"])
    assert now["spent"]["flops"] == pytest.approx(sum(row["spent"]["flops"] for row in now["methods"]))
    assert now["spent"]["wasted_attempts"] == now["spent"]["wasted_hours"] == 0
    assert 0 < now["spent"]["worker_hours"] < 1
    assert [(row["method"], row["done"]) for row in now["methods"]] == [("joint", 2), ("full", 12)]
    assert [(row["node"], row["tasks_done"]) for row in now["nodes"]] == [(os.uname().nodename, quick.TASKS)]


def test_trials_say_what_the_tables_say(now: dict[str, Any], finished: Path) -> None:
    ends = pd.read_parquet(finished / "tables" / "tasks.parquet").groupby("trial").last()
    for row in now["by_trial"]:
        expected = ends.loc[row["trial"]]
        assert {name: row[name] for name in ("aka", "azs", "gm", "cost_mafs", "cost_flops")} == dict(
            expected[["aka", "azs", "gm", "cost_mafs", "cost_flops"]]
        )
        assert (row["state"], row["attempts"], row["task"]) == ("done", 1, expected["task"])


def test_the_best_gains_are_those_of_the_report(now: dict[str, Any], finished: Path) -> None:
    frontier = build_frontier(load_tables(finished))
    gains = {one.config.config_id: 100 * one.gain.value for one in frontier.results if one.gain is not None}
    assert len(gains) == quick.CONFIGS
    for one in now["best_configs"]:
        assert one["gain"] == pytest.approx(gains[one["config_id"]])
        assert one["blocks"] == 2
    assert now["best"]["gain"] == pytest.approx(max(gains.values()))


def test_a_reader_gets_a_screen_and_every_trial_if_asked_for(finished: Path) -> None:
    short = text(finished)
    assert len(short.splitlines()) <= 24
    for part in ("quick: finished", "14/14 done", "MAFs", "best gain", "joint", "full", os.uname().nodename):
        assert part in short
    assert "\nwaste" not in short
    ids = set(pd.read_parquet(finished / "tables" / "trials.parquet")["trial"])
    assert {line.split()[0] for line in text(finished, trials=True).splitlines() if line} >= ids


LONG = quick.STUDY.replace("tasks: 3", "tasks: 12")


@pytest.mark.slow
def test_a_killed_run_is_told_with_what_it_wasted_and_one_that_goes_on_is_watched_to_its_end(tmp_path: Path) -> None:
    study, run = quick.write(tmp_path, LONG), tmp_path / "run"
    process = command.start("run", study, "--dir", run, "--inline")
    command.wait_until(lambda: b'"task": 5' in log(run), what="a task")
    now = said(run)
    assert (now["state"], now["live"], now["running"]) == ("running", True, 1)
    assert now["tasks_per_minute"] > 0
    assert now["seconds_left"] > 0
    command.kill(process)
    now = said(run)
    assert (now["state"], now["running"]) == ("not running", 0)
    assert now["spent"]["wasted_attempts"] == 1
    assert now["spent"]["wasted_hours"] == pytest.approx(sum(row["wasted_seconds"] for row in now["by_trial"]) / 3600)
    assert f"go on with: retune run {run}/study.yaml" in text(run)

    process = command.start("run", study, "--dir", run, "--inline")
    command.wait_until(lambda: log(run).count(b"run_started") == 2, what="the second run")
    rows = [json.loads(line) for line in command.ok("status", run, "--watch", "--json", "--every", "0.3").splitlines()]
    process.communicate()
    assert process.returncode == 0
    assert len(rows) > 1
    assert [row["live"] for row in rows] == [True] * (len(rows) - 1) + [False]
    assert sorted(row["tasks_done"] for row in rows) == [row["tasks_done"] for row in rows]
    assert rows[-1]["done"] == rows[-1]["trials"]
    assert rows[-1]["spent"]["wasted_attempts"] == 1
    assert "1 attempt failed" in text(run)


def text(folder: Path, *, trials: bool = False) -> str:
    return "\n".join(lines(status(Folder(path=folder)), folder=str(folder), trials=trials))


def log(run: Path) -> bytes:
    path = run / "log.jsonl"
    return path.read_bytes() if path.is_file() else b""


def test_a_terminal_is_renewed_in_place_and_ctrl_c_ends_it(finished: Path) -> None:
    ours, theirs = pty.openpty()
    with (finished / ".lock").open("a+") as lock:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX)  # as a run holds it
        watch = [sys.executable, "-m", "study", "status", str(finished), "--watch", "--every", "0.1"]
        process = subprocess.Popen(watch, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"})
        os.close(theirs)
        shown = b""
        end = time.monotonic() + 60
        while shown.count(b"quick: running") < 3:
            assert time.monotonic() < end, shown
            shown += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        while process.poll() is None:  # a full terminal would hold it
            assert time.monotonic() < end + 30, shown
            if select.select([ours], [], [], 0.05)[0]:
                with contextlib.suppress(OSError):  # its other end is closed
                    shown += os.read(ours, 4096)
        assert process.returncode == 130
    assert re.search(rb"\x1b\[\d*A", shown), shown  # the cursor goes up
    assert b"Traceback" not in shown
    os.close(ours)


def test_a_trial_that_has_not_begun_has_no_scores_though_the_zero_shot_model_has(tmp_path: Path) -> None:
    folder = quick.finish(tmp_path, _TWO.format(rates="0.1"))
    wider = command.write_study(tmp_path, _TWO.format(rates="0.1, 0.2"))
    (folder / "study.yaml").write_text(wider.read_text())
    rows = status(Folder(path=folder)).by_trial
    assert [(row.state, row.aka is None) for row in rows] == [("done", False), ("waiting", True)]


_TWO = "name: two\nworkload: {{name: noop}}\nfixed: {{tasks: 2, steps: 2}}\ngrid: [{{lr: [{rates}]}}]\njoint: null\n"


def test_work_on_different_kinds_of_devices_is_told(finished: Path, now: dict[str, Any], tmp_path: Path) -> None:
    (name,) = now["device_names"]
    assert now["device_names"] == {name: quick.TRIALS}
    mixed = tmp_path / "mixed"
    shutil.copytree(finished, mixed)
    log = mixed / "log.jsonl"
    first, _, rest = log.read_text().partition(json.dumps(name))
    log.write_text(f'{first}"NVIDIA H200"{rest}')
    told, plain = (
        [line for line in lines(status(Folder(path=folder)), folder=".", trials=False) if line.startswith("devices")]
        for folder in (mixed, finished)
    )
    assert [line.partition(":")[0] for line in told] == [
        f"devices   NVIDIA H200 (1 attempt), {name} ({quick.TRIALS - 1} attempts)"
    ]
    assert not plain
