"""Interrupted and resumed is equal to uninterrupted, to the bit; nothing that was trained is trained again."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
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
    """A run that nothing interrupts."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    command.ok("run", study, "--dir", folder)
    return folder


def test_the_store_holds_exactly_the_unique_updates_of_the_plan(undisturbed: Path, study: Path) -> None:
    planned = json.loads(command.ok_here("plan", study, "--dir", undisturbed, "--json"))
    assert planned["updates_unique"] == len(command.updates(undisturbed)) < planned["updates_total"]
    assert planned["updates_in_store"] == planned["updates_unique"]
    assert planned["trials"] == 5


def test_killed_at_many_moments_and_resumed_equals_undisturbed(undisturbed: Path, study: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    total = len(command.updates(undisturbed))
    trained: dict[str, int] = {}
    for moment in (0, 4):
        driver = command.start("run", study, "--dir", folder)
        command.wait_until(_reached(folder, moment, driver), what=f"{moment} updates")
        command.kill(driver)
        trained = _nothing_trained_again(trained, folder)
    driver = command.start("run", study, "--dir", folder)
    command.wait_until(_reached(folder, min(7, total - 3), driver), what="work before a worker dies")
    _kill_a_worker(driver)
    _, errors = driver.communicate(timeout=300)
    assert driver.returncode == 0, errors
    _nothing_trained_again(trained, folder)
    assert len(command.updates(folder)) == total
    command.assert_same_tables(undisturbed, folder)


def test_ctrl_c_and_sigterm_end_gently_and_a_second_ctrl_c_at_once(
    undisturbed: Path, study: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    for moment, signals in ((1, (signal.SIGINT,)), (4, (signal.SIGTERM,)), (6, (signal.SIGINT, signal.SIGINT))):
        driver = command.start("run", study, "--dir", folder)
        command.wait_until(_reached(folder, moment, driver), what=f"{moment} updates")
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
    command.ok_here("run", study, "--dir", folder, "--inline")  # a study does not mind where it is continued
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


def test_without_ray_the_numbers_are_the_same(undisturbed: Path, study: Path, tmp_path: Path) -> None:
    command.ok_here("run", study, "--dir", tmp_path / "run", "--inline")
    command.assert_same_tables(undisturbed, tmp_path / "run")


def _reached(folder: Path, count: int, driver: Command) -> Callable[[], bool]:
    """Whether the store holds `count` updates; 0: whether the run has begun."""

    def reached() -> bool:
        assert driver.poll() is None, driver.communicate()[1]
        return len(command.updates(folder)) >= count if count else (folder / "log.jsonl").is_file()

    return reached


def _nothing_trained_again(before: dict[str, int], folder: Path) -> dict[str, int]:
    after = command.updates(folder)
    assert before.items() <= after.items()
    return after


def _kill_a_worker(driver: Command) -> None:
    workers = [p for p in psutil.Process(driver.pid).children(recursive=True) if p.name().startswith("ray::")]
    assert workers
    os.kill(max(workers, key=lambda p: sum(p.cpu_times()[:2])).pid, signal.SIGKILL)
