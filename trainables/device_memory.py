"""The memory of the device that a trial computes on, where it is too small: what is said, and what to do about it."""

import contextlib
from collections.abc import Iterator

import torch

from trainables.runtime import TrainingError

REMEDIES = "lower batch_size, choose a method or a model that takes less, or compute on a larger device"

_SAID = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
"""Words of torch where memory ran out and the type of its error says nothing of it."""


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
