"""Studies on a cluster of real raylets: nodes join and die, GPUs are shared, and what cannot work is refused at once.

GPUs are logical: Ray counts them, and nothing is computed on one.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from study.folder.folder import Folder
from tests.s3 import Server
from tests.study import command
from tests.study.running.cluster.raylets import Raylet, Raylets, may_hide, raylets
from tests.study.zygote import Command

pytestmark = pytest.mark.slow

_STUDY = """
name: cluster
workload: {name: noop}
fixed: {tasks: 6, steps: 300, batch_size: 32, lr: 1e-3}
grid:
  - {method: full}
  - {method: ewc, strength: [1.0, 2.0]}
joint: null
resources: {gpus: 1, device: cpu, by_method: {ewc: {gpus: 0.5}}}
retries: 0
"""

_SHORT = """
name: short
workload: {name: noop}
fixed: {tasks: 2, steps: 2, batch_size: 32}
grid: [{lr: [1e-3, 2e-3]}]
joint: null
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Raylets]:
    with raylets() as cluster:
        yield cluster


def test_other_versions_a_wrong_token_and_no_address_at_all_are_told_at_once(cluster: Raylets) -> None:
    began = time.monotonic()
    said = _connect(cluster.address, cluster.variables | {"RAY_AUTH_TOKEN": "0" * 48})
    assert said.startswith(f"ConfigError the Ray cluster at {cluster.address} refuses this process's token")
    assert "RAY_AUTH_TOKEN" in said
    versions = _connect(cluster.address, cluster.variables)
    assert versions.startswith("connected ")
    ray, python = versions.removeprefix("connected ").split()
    cluster.pretend(ray="2.41.0", python="3.10.4")
    said = _connect(cluster.address, cluster.variables)
    cluster.pretend(ray=ray, python=python)
    assert "runs Ray 2.41.0 on Python 3.10.4" in said
    assert f"Ray {ray} on Python {python}" in said
    assert time.monotonic() - began < 90


@pytest.mark.thorough
@pytest.mark.skipif(not may_hide(), reason="this machine lets nobody mount a folder for one process alone")
def test_a_node_needs_to_see_the_store_and_not_the_folder(cluster: Raylets, s3: Server, tmp_path: Path) -> None:
    folder, before = tmp_path / "run", cluster.nodes()
    folder.mkdir()
    with cluster.blind("blind", hidden=folder):
        command.wait_until(lambda: cluster.nodes() > before, what="a node that has another folder in this place")
        arguments = ("--dir", folder, "--address", cluster.address)
        done = command.retune("run", command.write_study(tmp_path, _SHORT), *arguments, **cluster.variables)
        assert done.returncode == 1
        assert f"does not see the store, {folder}/store" in done.stderr
        assert "store: s3://" in done.stderr
        assert not command.updates(folder)
        study = command.write_study(tmp_path, f"{_SHORT}store: {s3.make_bucket('cluster')}\n")
        command.ok("run", study, *arguments, **cluster.variables)
    assert command.tables(folder)["trials"]["status"].to_list() == ["done", "done"]
    command.wait_until(lambda: cluster.nodes() == before, what="the end of the node")


def test_a_study_outlives_its_nodes(cluster: Raylets, tmp_path: Path) -> None:
    study = command.write_study(tmp_path, _STUDY)
    reference, folder = tmp_path / "inline", tmp_path / "run"
    command.ok_here("run", study, "--dir", reference, "--inline")
    first = cluster.add("first", num_cpus=2, num_gpus=1)
    driver = command.start("run", study, "--dir", folder, "--address", cluster.address, **cluster.variables)
    command.wait_until(_true_while(driver, lambda: bool(command.updates(folder))), what="the first update")
    for worker in first.children:  # as a machine that has stalled: it gives no slot, and says nothing
        worker.send_signal(signal.SIGSTOP)
    second = cluster.add("second", num_cpus=2, num_gpus=1)
    command.wait_until(_true_while(driver, lambda: _has_worked(second, folder)), what="work on the node that joined")
    trained = command.updates(folder)
    first.kill()
    _, errors = driver.communicate(timeout=300)

    assert driver.returncode == 0, errors
    assert "Traceback" not in errors
    command.assert_same_tables(reference, folder)
    assert trained.items() <= command.updates(folder).items()
    assert "its worker died" in errors  # which is no failure of the trial: it has no retries
    log = list(Folder(path=folder).events())
    assert {row["gpus"] for row in log if row["event"] == "worker"} == {0.5, 1.0}
    assert _at_once(log, gpus=0.5) == 2
    assert not list((folder / "store" / "sight").iterdir())
    packages = next(second.folder.glob("session_*/runtime_resources/working_dir_files/_ray_pkg_*/"))
    assert {path.name for path in packages.iterdir()} == {"study", "trainables", "search_spaces", "analysis"}


def _connect(address: str, variables: dict[str, str]) -> str:
    code = """
import platform, sys
from study.running.cluster.connection import connected
try:
    with connected(sys.argv[1], threads=1):
        import ray
        print("connected", ray.__version__, platform.python_version())
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, address], env={**os.environ, **variables}, capture_output=True, text=True
    )
    return done.stdout.strip()


def _true_while(driver: Command, condition: Callable[[], bool]) -> Callable[[], bool]:
    def holds() -> bool:
        assert driver.poll() is None, driver.communicate()[1]
        return condition()

    return holds


def _has_worked(raylet: Raylet, folder: Path) -> bool:
    workers = {row["pid"] for row in Folder(path=folder).events() if row["event"] == "worker"}
    return bool(workers & {child.pid for child in raylet.children})


def _at_once(log: list[dict[str, Any]], *, gpus: float) -> int:
    """The most trials with so many GPUs that worked at the same time."""
    running: set[str] = set()
    most = 0
    for row in log:
        if row["event"] == "worker" and row["gpus"] == gpus:
            running.add(row["trial"])
        elif row["event"] in ("trial_done", "trial_retried"):
            running.discard(row["trial"])
        most = max(most, len(running))
    return most
