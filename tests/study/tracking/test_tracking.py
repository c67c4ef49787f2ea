"""Trackers read back by their own libraries after a killed and a resumed run, and trackers that fail or hang."""

import json
import socket
import struct
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from mlflow import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb.proto import wandb_internal_pb2

from study.folder.folder import Folder
from study.status.observer import status
from study.tracking import companion
from tests.study import command, quick

pytestmark = pytest.mark.filterwarnings("ignore")  # of the trackers' libraries, which we only call

STUDY = quick.STUDY.replace("tasks: 3", "tasks: 8") + "tracking: [tensorboard, mlflow, wandb]\n"
VALUES = ("aka", "azs", "gm", "cost_mafs", "cost_flops")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study whose first run was killed when something had been written."""
    folder = tmp_path_factory.mktemp("tracking")
    study, run = quick.write(folder, STUDY), folder / "run"
    process = command.start("run", study, "--dir", run, "--inline")
    record = run / "tracking" / "tensorboard" / "written.jsonl"
    command.wait_until(lambda: record.is_file() and record.stat().st_size > 0, what="a point in TensorBoard")
    command.kill(process)
    command.wait_until(lambda: not beside(run), what="the end of the process beside the study", seconds=30)
    for _ in range(5):  # a busy machine may give the trackers too little time, which the next run makes up for
        assert quick.retune("run", study, "--dir", run, "--inline")[0] == 0
        if not any(row["event"] == "tracking_off" for row in Folder(path=run).last_run()):
            return run
    raise AssertionError((run / "log.jsonl").read_text())


def beside(run: Path) -> list[int]:
    """Processes that track this study, or were started by one that does."""
    return [p.pid for p in psutil.process_iter(["cmdline"]) if str(run) in " ".join(p.info["cmdline"] or ())]


@pytest.fixture(scope="module")
def tasks(run: Path) -> pd.DataFrame:
    """The table of tasks, with the gain over the line of each block."""
    frame = pd.read_parquet(run / "tables" / "tasks.parquet")
    gains = {one.trial: one.gain for one in status(Folder(path=run)).by_trial}
    return frame.assign(gain=frame["trial"].map(gains))


def of_trials(tasks: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(trial): rows for trial, rows in tasks.groupby("trial")}


@pytest.mark.slow
def test_tensorboard_has_every_point(run: Path, tasks: pd.DataFrame) -> None:
    folders = {
        path.name.rpartition("-")[2]: path for path in (run / "tracking" / "tensorboard").iterdir() if path.is_dir()
    }
    assert folders.keys() == set(tasks["trial"])
    twice = 0
    for trial, rows in of_trials(tasks).items():
        events = EventAccumulator(str(folders[trial]))
        events.Reload()
        for name in VALUES:
            points = events.Scalars(name)
            twice += len(points) - len(rows)
            expected = dict(zip(rows["task"], rows[name], strict=True))
            assert {one.step: one.value for one in points} == pytest.approx(expected)
        assert events.Scalars("gain")[-1].value == pytest.approx(rows["gain"].iloc[-1], abs=1e-5)
        assert len({one.step for one in events.Scalars("gain")}) == len(rows)
    assert 0 <= twice <= len(VALUES) * 9  # a kill may come between a write and its record


@pytest.mark.slow
def test_mlflow_has_a_run_a_trial_below_one_for_the_study(run: Path, tasks: pd.DataFrame) -> None:
    client = MlflowClient(tracking_uri=f"sqlite:///{run / 'tracking' / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("retune")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [one for one in runs if "mlflow.parentRunId" not in one.data.tags]
    assert (parent.info.run_name, parent.info.status) == ("quick", "FINISHED")
    children = {one.data.tags["retune.trial"]: one for one in runs if one is not parent}
    assert len(runs) == 1 + len(children)
    assert children.keys() == set(tasks["trial"])
    for trial, rows in of_trials(tasks).items():
        one = children[trial]
        assert one.info.status == "FINISHED"
        assert one.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert one.data.metrics == pytest.approx({name: rows[name].iloc[-1] for name in (*VALUES, "gain")})
    ema = next(one for one in children.values() if one.data.tags["timeline"] == "ema")
    assert (ema.data.params["w"], ema.data.params["method"]) == ("0.5", "full")
    history = client.get_metric_history(ema.info.run_id, "aka")
    assert sorted({point.step for point in history}) == list(range(9))


@pytest.mark.slow
def test_wandb_has_a_run_a_trial_in_a_group_and_was_offline(run: Path, tasks: pd.DataFrame) -> None:
    points: dict[str, dict[int, float]] = defaultdict(dict)
    for path in (run / "tracking" / "wandb" / "wandb").glob("offline-run-*/run-*.wandb"):
        for record in records(path):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                assert (record.run.run_group, list(record.run.tags)) in [("quick", ["full"]), ("quick", ["joint"])]
            if kind == "history":
                row = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
                if "aka" in row:  # a gain may have come by itself, later
                    points[path.stem.removeprefix("run-quick-")][row["task"]] = row["aka"]
    expected = {trial: dict(zip(rows["task"], rows["aka"], strict=True)) for trial, rows in of_trials(tasks).items()}
    assert points.keys() == expected.keys()
    for trial in expected:
        assert points[trial] == pytest.approx(expected[trial])


def records(path: Path) -> Iterator[Any]:
    """Records of a .wandb file: protocol buffers in the log format of LevelDB, after seven bytes of its own."""
    data, at, whole = path.read_bytes(), 7, b""
    while at < len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        whole, at = whole + data[at + 7 : at + 7 + length], at + 7 + length
        if kind in (1, 4):
            record: Any = wandb_internal_pb2.Record()  # type: ignore[attr-defined]
            record.ParseFromString(whole)
            yield record
            whole = b""


@pytest.mark.slow
def test_a_study_that_is_done_and_tracked_writes_nothing_more(run: Path) -> None:
    records = {path: path.read_bytes() for path in (run / "tracking").glob("*/written.jsonl")}
    assert len(records) == 3
    files = sorted(path for path in (run / "tracking").rglob("*") if "mlflow" not in path.parts)
    assert quick.retune("run", run / "study.yaml", "--dir", run, "--inline")[0] == 0
    assert {path: path.read_bytes() for path in records} == records
    assert sorted(path for path in (run / "tracking").rglob("*") if "mlflow" not in path.parts) == files
    assert not beside(run)


@contextmanager
def silent() -> Iterator[int]:
    """A server that takes every connection and never answers; gives its port."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        yield server.getsockname()[1]


@pytest.mark.slow
def test_trackers_that_fail_and_hang_cost_a_study_nothing_but_a_warning_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(companion, "PATIENCE_SECONDS", 10.0)
    study, folder = quick.write(tmp_path, quick.STUDY + "tracking: [mlflow, wandb, tensorboard]\n"), tmp_path / "run"
    with silent() as port:
        for name, value in {
            "MLFLOW_TRACKING_URI": "http://127.0.0.1:1",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
            "WANDB_BASE_URL": f"http://127.0.0.1:{port}",
            "WANDB_API_KEY": 40 * "0",
        }.items():
            monkeypatch.setenv(name, value)
        assert quick.retune("run", study, "--dir", folder, "--inline")[0] == 0
    err = capfd.readouterr().err
    events = list(Folder(path=folder).events())
    off = {row["tracker"]: row["error"] for row in events if row["event"] == "tracking_off"}
    assert off.keys() == {"mlflow", "wandb"}
    assert "still not done" in off["wandb"]
    assert err.count("warning: tracking: mlflow is off") == err.count("warning: tracking: wandb is off") == 1
    assert "Traceback" not in err
    done = {row["event"]: row["time"] for row in events if row["event"] in ("run_started", "run_ended")}
    assert time.time() - done["run_ended"] < 60
    written = (folder / "tracking" / "tensorboard" / "written.jsonl").read_text().splitlines()
    assert sum(len(json.loads(line)["points"]) for line in written) == quick.TASKS + quick.TRIALS
    assert not beside(folder)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("[wandb]", 'pip install "retune[wandb]"'),
        ("[tensorbord]", "'tensorboard', 'mlflow' or 'wandb'"),
        ("[wandb, wandb]", "each once"),
    ],
)
def test_wrong_input_is_one_message_and_status_2(
    tmp_path: Path, given: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # as if it were not installed
    study = quick.write(tmp_path, quick.STUDY + f"tracking: {given}\n")
    status, _, err = quick.retune("run", study, "--dir", tmp_path / "run", "--inline")
    assert status == 2
    assert said in err
    assert not (tmp_path / "run").exists()
