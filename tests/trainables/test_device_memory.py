"""Memory that runs out is told once, with what to do, and is not tried again."""

import pytest
import torch
from torch import Tensor, nn

from tests.trainables import toys
from trainables.build import Builder
from trainables.device_memory import is_out_of_memory, memory_errors
from trainables.lineages import Lineages
from trainables.runtime import Runtime, TrainingError
from trainables.store.memory import MemoryStore
from trainables.workloads.clip.batch import ClipBatch

MORE_THAN_ANY_MACHINE_ADDRESSES = 2**50


def allocates_too_much(_: nn.Module, __: ClipBatch) -> Tensor:
    """A real failure of torch's allocator on the CPU."""
    return torch.empty(MORE_THAN_ANY_MACHINE_ADDRESSES)


def fails_as_on_a_gpu(_: nn.Module, __: ClipBatch) -> Tensor:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nGPU 0 has ...")


@pytest.mark.parametrize(
    ("loss", "said"),
    [(allocates_too_much, "can't allocate memory"), (fails_as_on_a_gpu, r"\(CUDA out of memory. Tried .* GiB\.\)$")],
)
def test_a_step_without_memory_ends_the_trial_with_remedies(loss: object, said: str) -> None:
    own = toys.workload()
    own.loss = loss  # type: ignore[method-assign, assignment]
    update = list(Lineages(toys.IDENTITY).of(toys.trial()))[1].update
    assert update is not None
    store = MemoryStore()
    with pytest.raises(TrainingError, match=f"training full on 12 samples a step on cpu ran out.*lower batch.*{said}"):
        Builder(own, store, Runtime()).weights(update)
    assert not store.keys("updates")


def test_numpy_and_libraries_of_cuda_run_out_of_it_too() -> None:
    assert is_out_of_memory(MemoryError("Unable to allocate 8.00 PiB"))
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"))
    assert not is_out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes") as caught, memory_errors("evaluation"):
        raise RuntimeError("shapes differ")
    assert caught.type is RuntimeError
