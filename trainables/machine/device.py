"""The kind of the device that a process computes on: another kind sums in another order, and gives other bits."""

import platform
import re
from functools import cache
from pathlib import Path


@cache
def device_name(device: str) -> str:
    """The name that its maker gave the device, such as NVIDIA H200.

    Args:
        device: "cpu", "cuda", "cuda:1" and so on; a GPU that is not there has no other name.
    """
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device) if torch.cuda.is_available() else device
    return _cpu_name()


def _cpu_name() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:  # another system
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()
