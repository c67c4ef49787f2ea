"""A trial on the pocket benchmark from the command line: its lines, its errors, the same bits as in this process."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trainables import cycle
from trainables.__main__ import main
from trainables.build import Builder
from trainables.config import TrialConfig
from trainables.frozen import parse
from trainables.metrics import summarise
from trainables.runtime import Runtime
from trainables.store.local import LocalStore
from trainables.workloads.catalogue import open_workload

CONFIG: dict[str, Any] = {
    "workload": {"name": "pocket", "pool": 512},
    "stream": {"tasks": 2},
    "recipe": {"steps": 2, "batch_size": 32, "optimiser": {"lr": 1e-3}},
    "timeline": {"name": "ema", "w": 0.5},
}
OTHER = {
    **CONFIG,
    "timeline": {"name": "finetune"},
    "recipe": {**CONFIG["recipe"], "method": {"name": "lora", "rank": 2}},
}


def payloads(folder: Path) -> dict[str, bytes]:
    """Files of a store but for records, which hold measured times."""
    return {p.name: p.read_bytes() for kind in ("updates", "scores", "costs") for p in folder.glob(f"{kind}/??/*")}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "config.json"
    path.write_text(json.dumps(CONFIG))
    return path


@pytest.fixture(scope="module")
def fresh(written: Path, cache: Path) -> tuple[str, Path]:
    """Output and store of the trial in a process of its own."""
    assert cache.is_dir()
    store = written.parent / "store"
    done = subprocess.run(
        [sys.executable, "-m", "trainables", str(written), "--store", str(store)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout, store


def test_a_line_of_json_after_every_task(fresh: tuple[str, Path]) -> None:
    rows = [json.loads(line) for line in fresh[0].splitlines()]
    assert [row["task"] for row in rows] == [0, 1, 2]
    for row in rows:
        assert row.keys() == {"task", "aka", "azs", "gm"}
        assert row["gm"] == pytest.approx((row["aka"] * row["azs"]) ** 0.5)
        assert 0 <= row["gm"] <= 1


def test_same_bits_after_another_trial_in_this_process(fresh: tuple[str, Path], cache: Path, tmp_path: Path) -> None:
    """And with the pictures in another folder: neither a worker's past nor its paths enter the numbers."""
    shutil.copytree(cache, tmp_path / "cache", copy_function=os.symlink)
    runtime = Runtime(cache=tmp_path / "cache")
    config, other = (parse(TrialConfig, value, source="test") for value in (CONFIG, OTHER))
    builder = Builder(open_workload(config.workload, runtime), LocalStore(tmp_path / "store"), runtime)
    cycle.run(other, builder, lambda *_: None)
    lines: list[str] = []
    cycle.run(
        config,
        builder,
        lambda step, scores: lines.append(json.dumps({"task": step.task, **summarise(scores)._asdict()})),
    )
    assert lines == fresh[0].splitlines()
    ours = payloads(tmp_path / "store")
    assert payloads(fresh[1]).items() <= ours.items()
    assert len(ours) > len(payloads(fresh[1]))


def test_again_over_the_same_store_trains_nothing(
    fresh: tuple[str, Path], written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in fresh[1].rglob("*")}
    assert main([str(written), "--store", str(fresh[1])]) == 0
    assert capsys.readouterr().out == fresh[0]
    assert {path: path.stat().st_mtime_ns for path in fresh[1].rglob("*")} == before


def test_config_from_standard_input(
    fresh: tuple[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(CONFIG)))
    assert main(["-", "--store", str(fresh[1])]) == 0
    assert capsys.readouterr().out == fresh[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "{path}: not JSON: "),
        ("[]", "{path}: the whole document: "),
        ('{"recipe": {"steps": 1}, "sed": 1}', "{path}: sed: unknown key; did you mean seed? allowed here: order, "),
        ('{"recipe": {"steps": 0}}', "{path}: recipe.steps: 0 given; allowed: greater than or equal to 1"),
        ('{"recipe": {"steps": NaN}}', "{path}: recipe.steps: nan given; allowed: "),
        (None, "{path}: No such file or directory; give a JSON file of a trial's config"),
    ],
    ids=["bad JSON", "a list", "unknown key", "bad value", "nan", "missing file"],
)
def test_wrong_input_is_one_line_and_status_2(
    text: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.json"
    if text is not None:
        path.write_text(text)
    assert main([str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(message.format(path=path))
    assert err.count("\n") == 1


def test_more_tasks_than_concepts_is_wrong_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**CONFIG, "stream": {"tasks": 5000}}))
    assert main([str(path)]) == 2
    assert "tasks: 5000 given; the stream has " in capsys.readouterr().err


def test_failed_trial_is_one_line_and_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**CONFIG, "recipe": {**CONFIG["recipe"], "optimiser": {"lr": 1e30}}}))
    assert main([str(path)]) == 1
    err = capsys.readouterr().err
    assert err.startswith("the trial failed: the loss was ")
    assert "lr 1e+30" in err
    assert err.count("\n") == 1


def test_store_that_cannot_be_written_is_one_line_and_status_1(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "store").touch()
    assert main([str(written), "--store", str(tmp_path / "store")]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"the trial failed: {tmp_path / 'store'}")
    assert err.count("\n") == 1


def test_damage_is_told(
    fresh: tuple[str, Path], written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    shutil.copytree(fresh[1], store)
    damaged = min(store.glob("scores/??/*"))
    damaged.write_bytes(b"")
    assert main([str(written), "--store", str(store)]) == 0
    out, err = capsys.readouterr()
    assert out == fresh[0]
    assert err.startswith(f"warning: {damaged} was damaged")
    assert err.count("\n") == 1
    assert payloads(store) == payloads(fresh[1])
