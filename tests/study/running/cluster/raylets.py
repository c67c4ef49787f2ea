"""A Ray cluster of real raylets on this machine, each with a folder of its own, as machines have.

Ray's `cluster_utils` runs in a process of its own, which reads a command a line; the cluster ends with it.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

_NOT_THEIRS = ("RETUNE_CACHE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL")
"""Variables that the driver has and the nodes do not, unless they travel."""

_BYTES = 100 * 2**20
"""Of a node's object store, which nothing here fills."""


@dataclass(frozen=True, kw_only=True)
class Raylet:
    """A node: the process of its raylet, and its folder."""

    pid: int
    folder: Path

    @property
    def children(self) -> list[psutil.Process]:
        """Its agents and workers."""
        return psutil.Process(self.pid).children(recursive=True)

    def kill(self) -> None:
        """The machine is gone at once, with all that ran on it."""
        children = self.children
        for pid in (self.pid, *(child.pid for child in children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class Raylets:
    """A cluster whose head runs no trials."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(24)}
        theirs = {name: value for name, value in os.environ.items() if name not in _NOT_THEIRS}
        self._environment = {**theirs, **self.variables, "RAY_USAGE_STATS_ENABLED": "0"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.study.running.cluster.raylets", str(folder / "head")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment,
        )
        self.address: str = self._answer()["address"]

    def add(self, name: str, **resources: Any) -> Raylet:
        """Add a node with resources by the names of `ray start`."""
        return Raylet(pid=self._ask({"folder": str(self.folder / name), **resources})["pid"], folder=self.folder / name)

    @contextlib.contextmanager
    def blind(self, name: str, hidden: Path) -> Iterator[None]:
        """Add a node that has another, empty folder in a place, as another machine would."""
        start = f"{sys.executable} -m ray.scripts.scripts start --address {self.address} --block --num-cpus 1"
        options = f"--object-store-memory {_BYTES} --temp-dir {self.folder / name} --disable-usage-stats"
        node = subprocess.Popen(
            [*_HIDING, "sh", "-c", f"mount -t tmpfs none {hidden} && {start} {options}"],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            for process in psutil.Process(node.pid).children(recursive=True):
                process.kill()
            node.kill()
            node.wait()

    def pretend(self, ray: str, python: str) -> None:
        """Let the head say that it has these versions."""
        self._ask({"ray": ray, "python": python})

    def nodes(self) -> int:
        """How many nodes are alive."""
        return int(self._ask({"count": True})["nodes"])

    def end(self) -> None:
        """End all processes of the cluster."""
        children = psutil.Process(self._process.pid).children(recursive=True)
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate(timeout=30)
        _, alive = psutil.wait_procs(children, timeout=10)
        for process in alive:
            process.kill()

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise AssertionError("the cluster has ended")


@contextlib.contextmanager
def raylets() -> Iterator[Raylets]:
    """A cluster, in a folder with a short name: names of sockets may have a hundred letters only."""
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
    cluster = Raylets(folder)
    try:
        yield cluster
    finally:
        cluster.end()
        shutil.rmtree(folder, ignore_errors=True)


_HIDING = ("unshare", "--map-root-user", "--mount")


def may_hide() -> bool:
    """Whether a process may have a file system of its own here."""
    return subprocess.run([*_HIDING, "true"], capture_output=True).returncode == 0


def _serve(head: str) -> None:
    from ray._raylet import GcsClient  # type: ignore[attr-defined]
    from ray.cluster_utils import Cluster

    common = {"object_store_memory": _BYTES, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "temp_dir": head, **common})
    gcs = GcsClient(address=cluster.address)
    print(json.dumps({"address": cluster.address}), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        if "ray" in command:
            said = json.dumps({"ray_version": command["ray"], "python_version": command["python"]})
            gcs.internal_kv_put(b"CLUSTER_METADATA", said.encode(), True, b"cluster")  # noqa: FBT003 - overwrite
            answer = {}
        elif "count" in command:
            answer = {"nodes": sum(node.state == 0 for node in gcs.get_all_node_info().values())}
        else:
            node = cluster.add_node(temp_dir=command.pop("folder"), wait=False, **common, **command)
            answer = {"pid": node.all_processes["raylet"][0].process.pid}
        print(json.dumps(answer), flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    _serve(sys.argv[1])
