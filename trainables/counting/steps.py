"""The cost of a step: FLOPs, and memory-adjusted FLOPs (MAFs).

MAFs = FLOPs * (peak memory of the method / peak memory of full fine-tuning), arXiv 2408.14471, section 4. Both are
those of a forward and a backward pass, counted by `passes`, and of what the optimiser and a penalty keep.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from trainables.config import Precision, Recipe
from trainables.counting.passes import estimated_peak, flops_of_passes, without_values
from trainables.memory.recompute import recompute
from trainables.methods.attach import adapt
from trainables.methods.galore import GaloreAdamW, state_numbers
from trainables.methods.method import Method, named
from trainables.methods.parts import Ewc, Optimiser
from trainables.metrics import Accounting, Cost
from trainables.workloads.workload import Workload, to_device


class StepCost(NamedTuple):
    """The cost of one optimiser step: FLOPs, and the peak memory in bytes."""

    flops: int
    peak_bytes: int


PAPER_FISHER_SAMPLES = 50_000
PAPER_TARGETS = ("q", "k", "v", "mlp_out")
PAPER_ADAPTERS = ("lora", "dora", "vera")


@lru_cache(maxsize=256)
def step_cost(
    method: Method, workload: Workload, batch_size: int, *, precision: Precision = "fp32", averages: bool = False
) -> StepCost:
    """The cost of a step on `batch_size` samples; an average over steps is one more copy of the trained parameters.

    FLOPs are those of the plain computation, whatever savings a workload finds in its batches. Peak memory is the most
    that weights, batch, activations and gradients take at once, with attention by a fused kernel, as on a GPU, plus the
    optimiser state of the trained parameters and the memory of a penalty.
    """
    flops, peak, trained = _passes_of(_alone(method), workload, batch_size, precision)
    return StepCost(flops, peak + _kept_over_steps(trained, method, averages=averages))


class _Passes(NamedTuple):
    """FLOPs and peak bytes of a forward and a backward pass, and the parameters that train, on the meta device."""

    flops: int
    peak_bytes: int
    trained: Sequence[Tensor]


@lru_cache(maxsize=256)
def _passes_of(method: Method, workload: Workload, batch_size: int, precision: Precision) -> _Passes:
    """The passes of a method that is `_alone`."""
    model = _on_meta(method, workload)
    trained = [parameter.detach() for parameter in _trained(model)]
    return _Passes(*_counted(model, workload, batch_size, precision), trained)


def _counted(model: nn.Module, workload: Workload, batch_size: int, precision: Precision) -> tuple[int, int]:
    """FLOPs and peak bytes of the passes of a model on the meta device."""
    flops = flops_of_passes(model, workload, batch_size)
    with without_values(model, workload, batch_size) as batch:
        return flops, estimated_peak(model, batch, workload, precision)


def _on_meta(method: Method, workload: Workload) -> nn.Module:
    with torch.device("meta"):
        return adapt(method, workload, workload.architecture()).train()


def recomputed_peak(
    method: Method, workload: Workload, batch_size: int, *, precision: Precision = "fp32", averages: bool = False
) -> int:
    """The peak bytes of a step whose backward pass computes the model's blocks again; else as in `step_cost`."""
    alone = _alone(method)
    trained = _passes_of(alone, workload, batch_size, precision).trained
    peak = _recomputed_passes(alone, workload, batch_size, precision)
    return peak + _kept_over_steps(trained, method, averages=averages)


@lru_cache(maxsize=256)
def _recomputed_passes(method: Method, workload: Workload, batch_size: int, precision: Precision) -> int:
    model = _on_meta(method, workload)
    recompute(workload.blocks(model))
    with without_values(model, workload, batch_size) as batch:
        return estimated_peak(model, batch, workload, precision)


def _alone(method: Method) -> Method:
    """The method without penalty and projection, which have no passes of their own: one count serves all of them."""
    return method.model_copy(update={"penalty": None, "projection": None})


@lru_cache(maxsize=256)
def paper_step_cost(method: Method, workload: Workload, batch_size: int, *, precision: Precision = "fp32") -> StepCost:
    """The cost of a step as the table of arXiv 2408.14471 counts it, where that differs from `step_cost`.

    Its LoRA, DoRA and VeRA make the whole update of every adapted weight (q, k, v and mlp_out), whose gradient then
    costs what a full one does, whatever the rank. Its EWC pays for the Fisher matrix, once a task, in every step.
    """
    own = step_cost(method, workload, batch_size, precision=precision)
    if isinstance(method.penalty, Ewc):
        return own._replace(flops=own.flops * (1 + math.ceil(PAPER_FISHER_SAMPLES / batch_size)))
    if method.adapter is None or method.adapter.name not in PAPER_ADAPTERS:
        return own
    dense = _dense_adapter_cost(workload, batch_size, precision)
    factors = _passes_of(_alone(method), workload, batch_size, precision).trained
    return dense._replace(peak_bytes=dense.peak_bytes + 2 * 4 * sum(p.numel() for p in factors))


@lru_cache(maxsize=16)
def _dense_adapter_cost(workload: Workload, batch_size: int, precision: Precision) -> StepCost:
    """The cost of passes with full updates of q, k, v and mlp_out, which take as much memory as these weights again."""
    adapted = {p.parameter for p in workload.identity.anatomy.projections if p.target in PAPER_TARGETS}
    with torch.device("meta"):
        model = workload.architecture().train()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in adapted)
    updates = _bytes(_trained(model))
    flops, peak = _counted(model, workload, batch_size, precision)
    return StepCost(flops, peak + updates)


def measured_peak(
    method: Method, workload: Workload, batch_size: int, device: str, *, precision: Precision = "fp32"
) -> int:
    """The peak bytes of a step on a CUDA device, as its allocator counts them, plus the memory of a penalty.

    `step_cost` estimates the same without a device. Devices and kernels differ in it, so keys and studies never see it.

    Raises:
        torch.OutOfMemoryError: it does not fit.
    """
    model = adapt(method, workload, workload.architecture()).to(device).train()
    trained = _trained(model)
    optimiser = GaloreAdamW(trained, method.projection, Optimiser())
    batch = to_device(workload.example(batch_size), device)
    for _ in range(2):  # from the second step on the optimiser has its state
        torch.cuda.reset_peak_memory_stats(device)
        optimiser.zero_grad()
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = workload.loss(model, batch)
        loss.backward()
        optimiser.step()
    return torch.cuda.max_memory_allocated(device) + _remembered(trained, method)


def _kept_over_steps(trained: Sequence[Tensor], method: Method, *, averages: bool) -> int:
    """The bytes of the optimiser's moments, of the memory of a penalty, and of an average over steps."""
    moments = sum(p.element_size() * state_numbers(p.shape, method.projection) for p in trained)
    return moments + _remembered(trained, method) + averages * _bytes(trained)


def _remembered(trained: Sequence[Tensor], method: Method) -> int:
    return 0 if method.penalty is None else method.penalty.copies * _bytes(trained)


def _trained(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _bytes(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.element_size() * tensor.numel() for tensor in tensors)


def cost_per_step(recipe: Recipe, workload: Workload, accounting: Accounting = "ours") -> Cost:
    """FLOPs and MAFs of one optimiser step of a recipe."""
    method, batch_size, precision = recipe.method, recipe.batch_size, recipe.precision
    if method.trains_nothing:
        return Cost(flops=0.0, mafs=0.0)
    if accounting == "paper":
        own = paper_step_cost(method, workload, batch_size, precision=precision)
    else:
        own = step_cost(method, workload, batch_size, precision=precision, averages=recipe.averages)
    full = step_cost(named("full"), workload, batch_size, precision=precision, averages=False)  # often the same call
    return Cost(flops=float(own.flops), mafs=own.flops * own.peak_bytes / full.peak_bytes)


@lru_cache(maxsize=128)
def update_bytes(method: Method, workload: Workload) -> int:
    """The bytes of a stored update: the trained parameters, and as much again where a penalty stores its memory."""
    if method.trains_nothing:
        return 0
    with torch.device("meta"):
        model = adapt(method, workload, workload.architecture())
    keeps = method.penalty is not None and method.penalty.keeps
    return (2 if keeps else 1) * _bytes(_trained(model))
