"""What an update costs: FLOPs, and memory-adjusted FLOPs (MAFs), counted on the meta device; nothing is computed.

MAFs = FLOPs * (peak memory of the method / peak memory of full fine-tuning), arXiv 2408.14471, section 4. FLOPs are
those of torch's counter: matrix products, convolutions and attention, forward and backward, two per multiply-add.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from trainables.methods.attach import adapt
from trainables.methods.galore import state_numbers
from trainables.methods.method import Ewc, Method, Si, named
from trainables.metrics import Cost
from trainables.workloads.workload import Batch, Workload


class StepCost(NamedTuple):
    """Cost of one optimiser step: FLOPs, and an estimate of the peak memory in bytes."""

    flops: int
    peak_bytes: int


def step_cost(method: Method, workload: Workload, batch_size: int, *, averages: bool = False) -> StepCost:
    """Cost of a step on `batch_size` samples; one that averages weights over steps holds one more copy of what trains.

    FLOPs are those of the plain computation, whatever savings a workload finds in its batches. Peak memory is estimated
    as parameters + gradients and optimiser state of what trains + what a penalty remembers + what autograd keeps for
    the backward pass, each storage once. It leaves out transient buffers.
    """
    with torch.device("meta"):
        model = adapt(method, workload, workload.architecture()).train()
        batch = Batch(*(tensor.to("meta") for tensor in workload.example(batch_size)))
        trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        kept: dict[int, int] = {}
        counter = FlopCounterMode(display=False)
        with counter, saved_tensors_hooks(lambda tensor: _keep(kept, tensor), lambda tensor: tensor):
            workload.loss(model, batch).backward()
    weights: dict[int, int] = {}
    for parameter in model.parameters():
        _keep(weights, parameter)
    activations = sum(size for storage, size in kept.items() if storage not in weights)
    copies = 1 + averages + (0 if method.penalty is None else _COPIES[method.penalty.name])
    training = sum(
        parameter.element_size() * (copies * parameter.numel() + state_numbers(parameter.shape, method.projection))
        for parameter in trainable
    )
    return StepCost(counter.get_total_flops(), sum(weights.values()) + training + activations)


_COPIES = {"ewc": 3, "si": 5, "l2init": 1}
"""Copies of what trains that a penalty holds: EWC its anchor, Fisher matrix and squares; SI its anchor, importance and
path integral, and gradient and weights before a step; L2 init the pretrained weights."""


@lru_cache(maxsize=128)
def cost_per_step(method: Method, workload: Workload, batch_size: int, *, averages: bool = False) -> Cost:
    """FLOPs and MAFs of one optimiser step."""
    if method.is_frozen:
        return Cost(flops=0.0, mafs=0.0)
    own = step_cost(method, workload, batch_size, averages=averages)
    full = step_cost(named("full"), workload, batch_size)
    return Cost(flops=float(own.flops), mafs=own.flops * own.peak_bytes / full.peak_bytes)


@lru_cache(maxsize=128)
def update_bytes(method: Method, workload: Workload) -> int:
    """Bytes of a stored update: what trains, and once more what EWC and SI remember of it."""
    if method.is_frozen:
        return 0
    with torch.device("meta"):
        model = adapt(method, workload, workload.architecture())
    copies = 2 if isinstance(method.penalty, Ewc | Si) else 1
    return copies * sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)


@lru_cache(maxsize=8)
def forward_flops(workload: Workload) -> float:
    """FLOPs of the loss's forward pass per sample: both towers."""
    with torch.device("meta"), torch.no_grad():
        batch = Batch(*(tensor.to("meta") for tensor in workload.example(2)))
        counter = FlopCounterMode(display=False)
        with counter:
            workload.loss(workload.architecture(), batch)
    return counter.get_total_flops() / 2


def _keep(sizes: dict[int, int], tensor: Tensor) -> Tensor:
    storage = tensor.untyped_storage()
    sizes[storage._cdata] = storage.nbytes()
    return tensor
