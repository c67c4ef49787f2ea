"""Steps that do not fit a device are made to fit, or refused; memory that runs out is told once, with what to do."""

import pytest
import torch
from torch import Tensor, nn

from search_spaces.space import Scalar
from tests.trainables import toys
from trainables import cycle
from trainables.build import Builder
from trainables.frozen import ConfigError
from trainables.lineages import Lineages
from trainables.memory.device_memory import MARGIN, Peaks, is_out_of_memory, is_recomputed, memory_errors, peaks
from trainables.nodes import Update
from trainables.runtime import Recompute, Runtime, TrainingError
from trainables.store.memory import MemoryStore
from trainables.train import Start, recomputes, train
from trainables.workloads.clip.batch import ClipBatch

WORKLOAD = toys.workload()
ROOM = 1 - MARGIN

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


# -- estimates against a device ----------------------------------------------------------------------------------------


def update_of(**axes: Scalar) -> Update:
    found = list(Lineages(toys.IDENTITY).of(toys.trial(**axes)))[1].update
    assert found is not None
    return found


def device_for(needed: int) -> int:
    """The bytes of a device on which a step just fits."""
    return int(needed / ROOM) + 1


@pytest.mark.parametrize(
    ("recompute", "gigabytes", "again"),
    [
        ("auto", 120, False),
        ("auto", 80, True),
        ("on", 120, True),
        ("on", 80, True),
        ("off", 120, False),
        ("auto", 100 / ROOM + 0.1, False),
        ("auto", 100 / ROOM - 0.1, True),
    ],
)
def test_activations_are_computed_again_where_a_step_does_not_fit(
    *, recompute: Recompute, gigabytes: float, again: bool
) -> None:
    needed = Peaks(plain=100 * 10**9, recomputed=40 * 10**9)
    got = is_recomputed(toys.trial().recipe, needed, recompute=recompute, device_bytes=int(gigabytes * 1e9))
    assert got is again


@pytest.mark.parametrize(
    ("recompute", "gigabytes", "said"),
    [
        (
            "auto",
            40,
            "memory: a step of full on 12 samples in fp32 takes about 100 GB, and 40 GB where activations are computed "
            "again; a trial here has 40 GB of its device, 36.8 GB of them for steps; lower batch_size (12), choose a "
            "method or a model that takes less, or give a trial all of a GPU (`resources: {gpus: 1}`), or a larger one",
        ),
        ("on", 40, "takes about 100 GB, and 40 GB where activations are computed again; a trial"),
        ("off", 80, "takes about 100 GB; a trial here has 80 GB"),
        ("off", 80, "lower batch_size (12), set `resources: {recompute: auto}`, choose"),
    ],
)
def test_what_does_not_fit_is_refused_with_numbers_and_remedies(
    recompute: Recompute, gigabytes: float, said: str
) -> None:
    needed = Peaks(plain=100 * 10**9, recomputed=40 * 10**9)
    with pytest.raises(ConfigError) as caught:
        is_recomputed(toys.trial().recipe, needed, recompute=recompute, device_bytes=int(gigabytes * 1e9))
    assert said in str(caught.value)


def test_a_device_of_unknown_memory_computes_again_only_if_told_to() -> None:
    """Nothing is estimated: CPUs pay for none of this."""
    recipe = toys.trial(batch_size=10**7).recipe
    assert [recomputes(recipe, WORKLOAD, Runtime(recompute=how)) for how in ("auto", "off", "on")] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize("method", ["full", "lora", "ewc"])
def test_training_on_a_small_device_gives_the_same_bits(method: str) -> None:
    what = update_of(method=method, batch_size=64)
    needed = peaks(what.recipe, WORKLOAD)
    assert needed.recomputed < needed.plain
    small, large = (Runtime(device_bytes=device_for(one)) for one in (needed.recomputed, needed.plain))
    assert recomputes(what.recipe, WORKLOAD, small)
    assert not recomputes(what.recipe, WORKLOAD, large)
    one, other = (train(what, Start(state=WORKLOAD.base(), carry={}), WORKLOAD, runtime) for runtime in (small, large))
    assert one.losses == other.losses
    assert all(torch.equal(other.state[name], tensor) for name, tensor in one.state.items())


def test_a_trial_that_does_not_fit_ends_before_anything_is_computed() -> None:
    """It needs no device where the store has its updates."""
    config, store = toys.trial(), MemoryStore()
    small = Runtime(device_bytes=peaks(config.recipe, WORKLOAD).recomputed // 2)
    with pytest.raises(TrainingError, match="memory: a step of full on 12 samples in fp32 takes about"):
        cycle.run(config, Builder(WORKLOAD, store, small), lambda *_: None)
    assert not store.keys("scores")
    assert not store.keys("updates")
    cycle.run(config, Builder(WORKLOAD, store, Runtime()), lambda *_: None)
    for key in store.keys("scores"):
        store.delete("scores", key)
    cycle.run(config, Builder(WORKLOAD, store, small), lambda *_: None)
    assert store.keys("scores")
