"""The memory of this machine, and the part of it that one of its processes may take."""

import contextlib
from pathlib import Path

import psutil

from trainables.machine.processes import usable_cpus


def memory_bytes() -> int:
    """Memory that processes may use here: that of the machine, or of the container that they are in."""
    limits = [psutil.virtual_memory().total]
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # another system, or "max"
            limits.append(int(Path(file).read_text()))
    return min(limits)


def fair_bytes(*, threads: int) -> int:
    """The memory that a process has where processes of so many threads fill the cores of this machine."""
    return memory_bytes() * min(threads, usable_cpus()) // usable_cpus()
