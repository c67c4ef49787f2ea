"""Work over several processes: one that is killed is told, and all end with the one that asked for them."""

import signal
import subprocess
import sys

import psutil
import pytest

from tests.study import command
from trainables.machine.processes import RunError, spread


def test_a_killed_process_is_told() -> None:
    with pytest.raises(RunError, match="was killed"):
        list(spread(signal.raise_signal, [signal.SIGKILL, signal.SIGKILL], 2))


def test_processes_end_with_a_killed_parent() -> None:
    code = (
        "import time; from trainables.machine.processes import spread; print(list(spread(time.sleep, [300, 300], 2)))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    command.wait_until(lambda: len(_workers(parent.pid)) == 2, what="two processes have begun")
    children = psutil.Process(parent.pid).children(recursive=True)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


def _workers(parent: int) -> list[psutil.Process]:
    """Those that wait for the parent's end, in a thread of its own."""
    children = psutil.Process(parent).children()
    return [one for one in children if "spawn_main" in " ".join(one.cmdline()) and one.num_threads() > 1]
