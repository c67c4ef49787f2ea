"""The price of a step: by hand, against a real step, and without computing one."""

import pytest
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tests.trainables import toys
from trainables.config import Recipe
from trainables.counting.steps import cost_per_step, step_cost
from trainables.methods.method import METHODS, Method, named
from trainables.runtime import Runtime
from trainables.workloads.catalogue import open_workload
from trainables.workloads.clip.workload import ClipWorkload
from trainables.workloads.pocket.settings import Pocket

WORKLOAD = toys.workload()


def recipe(method: str, batch_size: int, **settings: object) -> Recipe:
    return Recipe(method=named(method, **settings), batch_size=batch_size, steps=1)


def tower(*, layers: int, length: int, width: int, mlp: int, samples: int) -> int:
    """FLOPs of a transformer's forward pass: four products by the width, two of attention, two of the MLP."""
    rows = samples * length
    one = 2 * rows * width * 4 * width + 4 * samples * length * length * width + 4 * rows * width * mlp
    return layers * one


def by_hand(samples: int) -> tuple[int, int]:
    """FLOPs of the toy: the first convolution, and all other products."""
    convolution = 2 * samples * 4 * (3 * 8 * 8) * 32
    image = tower(layers=2, length=5, width=32, mlp=64, samples=samples) + 2 * samples * 32 * 12
    text = tower(layers=2, length=5, width=16, mlp=64, samples=samples) + 2 * samples * 16 * 12
    logits = 2 * (2 * samples * samples * 12)
    return convolution, image + text + logits


@pytest.mark.parametrize("samples", [2, 4, 33])
def test_full_is_its_closed_form(samples: int) -> None:
    """Backward costs twice the forward pass, but once for the convolution, whose input needs no gradient."""
    convolution, rest = by_hand(samples)
    assert step_cost(named("full"), WORKLOAD, samples).flops == 2 * convolution + 3 * rest


@pytest.mark.parametrize("workload", [WORKLOAD, open_workload(Pocket(), Runtime())], ids=["toy", "pocket"])
def test_full_is_what_a_real_step_counts(workload: ClipWorkload) -> None:
    """With attention as plain products: of its fused kernels torch counts other FLOPs in every version, or none."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        workload.loss(workload.architecture().train(), workload.example(8)).backward()
    assert step_cost(named("full"), workload, 8).flops == counter.get_total_flops()


def test_full_has_mafs_equal_to_flops() -> None:
    cost = cost_per_step(recipe("full", 16), WORKLOAD)
    assert cost.flops == cost.mafs == step_cost(named("full"), WORKLOAD, 16).flops


@pytest.mark.parametrize("samples", [4, 64])
def test_lora_needs_fewer_flops_and_less_memory(samples: int) -> None:
    full, small, large = (
        step_cost(m, WORKLOAD, samples) for m in (named("full"), named("lora", rank=1), named("lora", rank=4))
    )
    assert small.flops < large.flops < full.flops
    assert small.peak_bytes < large.peak_bytes < full.peak_bytes
    cost = cost_per_step(recipe("lora", samples, rank=1), WORKLOAD)
    assert cost.mafs == pytest.approx(small.flops * small.peak_bytes / full.peak_bytes)
    assert cost.mafs < cost.flops


def test_memory_holds_weights_gradients_and_moments() -> None:
    weights = sum(4 * parameter.numel() for parameter in WORKLOAD.architecture().parameters())
    small, large = (step_cost(named("full"), WORKLOAD, samples).peak_bytes for samples in (2, 4))
    assert small > 4 * weights
    # What is kept for the backward pass grows with the batch, and the rest does not.
    assert 4 * weights + 2 * (small - 4 * weights) == pytest.approx(large, rel=0.01)


@pytest.mark.parametrize("method", [named("full"), named("lora", rank=2), named("ewc")], ids=["full", "lora", "ewc"])
def test_nothing_is_computed(method: Method) -> None:
    """A batch that no memory could hold is counted all the same."""
    cost = step_cost(method, WORKLOAD, 10_000_000)
    assert cost.peak_bytes > 10**12


def test_cost_does_not_depend_on_what_was_asked_before() -> None:
    assert step_cost(named("full"), WORKLOAD, 8) == step_cost(named("full"), toys.workload(), 8)
    step_cost(named("lora", rank=2), WORKLOAD, 8)
    assert step_cost(named("full"), WORKLOAD, 8) == step_cost(named("full"), toys.workload(), 8)


@pytest.mark.parametrize("name", sorted(METHODS.keys() - {"zeroshot", "full"}))
def test_price_of_every_method(name: str) -> None:
    """What trains less costs less, and a penalty or a projection changes memory alone."""
    workload = open_workload(Pocket(), Runtime())
    own, full = step_cost(named(name), workload, 32), step_cost(named("full"), workload, 32)
    row = METHODS[name]
    if row.group in ("penalised", "projected"):
        assert own.flops == full.flops
    elif row.group == "selective":
        assert own.flops < full.flops
    if row.part == "penalty":
        assert own.peak_bytes > full.peak_bytes
    elif row.group != "adapter":
        assert own.peak_bytes < full.peak_bytes


def test_zeroshot_costs_nothing() -> None:
    assert cost_per_step(recipe("zeroshot", 16), WORKLOAD) == (0.0, 0.0)
