"""The memory of this machine, and the part of it that one of its processes may take."""

import contextlib
import sys
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


_DRIVER = Path("/proc/driver/nvidia")


def gpu_bytes() -> int | None:
    """The memory of the smallest GPU that this process may use; None where there is none.

    Without a driver torch is not loaded to find that out.
    """
    if not _DRIVER.exists() and "torch" not in sys.modules:
        return None
    import torch

    found = [torch.cuda.get_device_properties(i).total_memory for i in range(torch.cuda.device_count())]
    return min(found, default=None)
