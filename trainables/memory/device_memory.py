"""The memory of the device that a trial computes on: whether a step fits, and what to do where it does not.

A step that does not fit has its activations computed again (`recompute`); one that does not fit even so is refused
before anything is trained. Estimates are those of `counting`, and a device with less memory than they say fails late.
"""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import torch

from trainables.config import Recipe
from trainables.counting.steps import recomputed_peak, step_cost
from trainables.frozen import ConfigError
from trainables.runtime import Recompute, TrainingError
from trainables.workloads.workload import Workload

MARGIN = 0.08
"""The share of a device's memory that no step is given: for CUDA's own state and kernels, and for fragmentation."""

GB = 1e9

REMEDIES = "lower batch_size, choose a method or a model that takes less, or compute on a larger device"

_SAID = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
"""Words of torch where memory ran out and the type of its error says nothing of it."""


class Peaks(NamedTuple):
    """The estimated peak bytes of a step as it is, and of one that computes its activations again."""

    plain: int
    recomputed: int


def peaks(recipe: Recipe, workload: Workload) -> Peaks:
    """Estimate the peak bytes of a step of a recipe, without weights or a device."""
    method, batch_size, precision, averages = recipe.method, recipe.batch_size, recipe.precision, recipe.averages
    if method.trains_nothing:
        return Peaks(0, 0)
    return Peaks(
        step_cost(method, workload, batch_size, precision=precision, averages=averages).peak_bytes,
        recomputed_peak(method, workload, batch_size, precision=precision, averages=averages),
    )


def is_recomputed(recipe: Recipe, needed: Peaks, *, recompute: Recompute, device_bytes: int) -> bool:
    """Whether steps of a recipe compute their activations again on a device of so much memory.

    Raises:
        ConfigError: they do not fit, as far as `recompute` lets them.
    """
    room = (1 - MARGIN) * device_bytes
    if recompute != "on" and needed.plain <= room:
        return False
    if recompute != "off" and needed.recomputed <= room:
        return True
    takes = f"{needed.plain / GB:.3g} GB"
    if recompute != "off":
        takes += f", and {needed.recomputed / GB:.3g} GB where activations are computed again"
    remedies = [
        f"lower batch_size ({recipe.batch_size})",
        *(["set `resources: {recompute: auto}`"] if needed.recomputed <= room else []),
        "choose a method or a model that takes less",
        "give a trial all of a GPU (`resources: {gpus: 1}`), or a larger one",
    ]
    raise ConfigError(
        f"memory: a step of {recipe.method.name} on {recipe.batch_size} samples in {recipe.precision} takes about "
        f"{takes}; a trial here has {device_bytes / GB:.3g} GB of its device, {room / GB:.3g} GB of them for steps; "
        f"{', or '.join([', '.join(remedies[:-1]), remedies[-1]])}"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that the memory of the device, or of this machine, ran out."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(said in str(error) for said in _SAID)


@contextlib.contextmanager
def memory_errors(doing: str) -> Iterator[None]:
    """Make of memory that runs out an error that is not tried again: with the same device it would run out again.

    Args:
        doing: what is done, and on how much, for the message.

    Raises:
        TrainingError: the memory ran out.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        raise TrainingError(f"{doing} ran out of memory; {REMEDIES} ({first})") from error
