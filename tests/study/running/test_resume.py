"""Interrupted and resumed is equal to uninterrupted, to the bit; nothing that was trained is trained again."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.study import command
from tests.study.zygote import Command

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return command.write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def undisturbed(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without Ray that nothing interrupts."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    command.ok_here("run", study, "--dir", folder, "--inline")
    return folder


def test_the_store_holds_exactly_the_unique_updates_of_the_plan(undisturbed: Path, study: Path) -> None:
    planned = json.loads(command.ok_here("plan", study, "--dir", undisturbed, "--json"))
    assert planned["updates_unique"] == len(command.updates(undisturbed)) < planned["updates_total"]
    assert planned["updates_in_store"] == planned["updates_unique"]
    assert planned["trials"] == 5


def test_a_worker_is_killed_on_ray_and_the_numbers_are_the_same(undisturbed: Path, study: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    driver = _begun(study, folder, updates=4)
    _kill_a_worker(driver)
    _, errors = driver.communicate(timeout=300)
    assert driver.returncode == 0, errors
    assert len(command.updates(folder)) == len(command.updates(undisturbed))
    command.assert_same_tables(undisturbed, folder)


@pytest.mark.thorough
def test_undisturbed_on_ray_the_numbers_are_the_same(undisturbed: Path, study: Path, tmp_path: Path) -> None:
    command.ok("run", study, "--dir", tmp_path / "run")
    command.assert_same_tables(undisturbed, tmp_path / "run")


LONG = """
name: long
workload: {name: noop}
fixed: {tasks: 20, steps: 80, batch_size: 32, lr: 1e-3}
grid: [{timeline: finetune}]
blocks: 2
joint: null
"""


@pytest.fixture(scope="module")
def undisturbed_long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long")
    command.ok_here("run", command.write_study(folder, LONG), "--dir", folder / "run", "--inline")
    return folder / "run"


def test_ended_gently_and_killed_on_ray_and_resumed_equals_undisturbed(undisturbed_long: Path, tmp_path: Path) -> None:
    study, folder = command.write_study(tmp_path, LONG), tmp_path / "run"
    _end_by((signal.SIGTERM,), _begun(study, folder, updates=4))
    trained = command.updates(folder)
    command.kill(_begun(study, folder, updates=len(trained) + 4))
    trained = _nothing_trained_again(trained, folder)
    command.ok_here("run", study, "--dir", folder, "--inline")  # a study does not mind where it is continued
    _nothing_trained_again(trained, folder)
    command.assert_same_tables(undisturbed_long, folder)


@pytest.mark.thorough
@pytest.mark.parametrize("signals", [(signal.SIGINT,), (signal.SIGINT, signal.SIGINT)])
def test_ctrl_c_ends_gently_and_a_second_one_at_once(
    undisturbed_long: Path, tmp_path: Path, signals: tuple[signal.Signals, ...]
) -> None:
    study, folder = command.write_study(tmp_path, LONG), tmp_path / "run"
    _end_by(signals, _begun(study, folder, updates=4))
    command.ok_here("run", study, "--dir", folder, "--inline")
    command.assert_same_tables(undisturbed_long, folder)


@pytest.mark.thorough
def test_killed_at_many_moments(undisturbed: Path, study: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    trained: dict[str, int] = {}
    for moment in (0, 2, 5):
        command.kill(_begun(study, folder, updates=moment))
        trained = _nothing_trained_again(trained, folder)
    command.ok("run", study, "--dir", folder)
    _nothing_trained_again(trained, folder)
    assert len(command.updates(folder)) == len(command.updates(undisturbed))
    command.assert_same_tables(undisturbed, folder)


def test_tables_and_ray_files_may_be_deleted(undisturbed: Path, study: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    before = command.updates(folder)
    for name in ("tables", "ray"):
        shutil.rmtree(folder / name, ignore_errors=True)
        command.ok_here("run", study, "--dir", folder)
        command.assert_same_tables(undisturbed, folder)
        assert command.updates(folder) == before


def _begun(study: Path, folder: Path, *, updates: int) -> Command:
    """A run on Ray that has come to a number of updates; 0: that has begun."""
    driver = command.start("run", study, "--dir", folder)

    def reached() -> bool:
        assert driver.poll() is None, driver.communicate()[1]
        return len(command.updates(folder)) >= updates if updates else (folder / "log.jsonl").is_file()

    command.wait_until(reached, what=f"{updates} updates")
    return driver


def _end_by(signals: tuple[signal.Signals, ...], driver: Command) -> None:
    """End a run by signals: it says how to go on, and leaves no process behind."""
    children = psutil.Process(driver.pid).children(recursive=True)
    for number in signals:
        driver.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            driver.wait(timeout=0.3)
    _, errors = driver.communicate(timeout=60)
    assert driver.returncode == 130, errors
    assert "Traceback" not in errors
    assert "same command" in errors
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


def _nothing_trained_again(before: dict[str, int], folder: Path) -> dict[str, int]:
    after = command.updates(folder)
    assert before.items() <= after.items()
    return after


def _kill_a_worker(driver: Command) -> None:
    workers = [p for p in psutil.Process(driver.pid).children(recursive=True) if p.name().startswith("ray::")]
    assert workers
    os.kill(max(workers, key=lambda p: sum(p.cpu_times()[:2])).pid, signal.SIGKILL)
