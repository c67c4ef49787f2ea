"""The runtime of a trial: device, threads and folders, none of which enters a key.

The same hardware with the same thread count gives the same bits. Another device or thread count sums in another
order and gives the same numbers up to rounding; the runner gives all trials of a study the same.
"""

import os
import platform
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import platformdirs

Recompute = Literal["auto", "on", "off"]
"""Whether the backward pass computes activations again: always, never, or where a step would not fit without."""


class TrainingError(RuntimeError):
    """Training gave no usable weights; the message says where and what to change. A second try would fail alike."""


def cache_folder() -> Path:
    """The folder of files that can be made again: `RETUNE_CACHE`, else the user's cache folder."""
    return Path(os.environ.get("RETUNE_CACHE") or platformdirs.user_cache_dir("retune"))


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Device, threads and cache folder of a process.

    Attributes:
        device: "cpu", "cuda", "cuda:1" and so on.
        threads: of the CPU.
        cache: folder of files that can be made again.
        cache_gb: bounds what a workload decodes into the cache, in 1e9 bytes; None: half of the free disk.
        recompute: whether activations are computed again, which saves memory, takes time, and gives the same bits.
        device_bytes: the memory of the device, or of this process's share of it; None: not known, and not asked for.
    """

    device: str = "cpu"
    threads: int = 1
    cache: Path = field(default_factory=cache_folder)
    cache_gb: float | None = None
    recompute: Recompute = "auto"
    device_bytes: int | None = None

    @property
    def kind(self) -> str:
        """The kind of the device: "cpu" or "cuda"."""
        return self.device.split(":")[0]

    def apply(self) -> None:
        """Set the process up: the thread count, and only kernels that give the same bits each time.

        Raises:
            TrainingError: the process has no such device.
        """
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        import torch

        if self.kind == "cuda" and not torch.cuda.is_available():
            raise TrainingError(
                f"device {self.device}: {platform.node()} has none that this process may use; ask for no GPUs "
                "(`resources: {gpus: 0}`), or compute on CPUs where GPUs are only counted (`resources: {device: cpu}`)"
            )

        torch.set_num_threads(self.threads)
        torch.use_deterministic_algorithms(mode=True)
        torch.backends.cudnn.benchmark = False

    def on_share(self, gpus: float) -> "Runtime":
        """The runtime of a process on this machine that holds a share of a GPU, and may take as much of its memory."""
        if self.kind != "cuda":
            return self
        import torch

        total = torch.cuda.get_device_properties(self.device).total_memory
        return replace(self, device_bytes=int(min(1.0, gpus) * total))
