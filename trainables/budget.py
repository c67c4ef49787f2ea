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

from trainables.config import Full, Lora
from trainables.methods.attach import adapt
from trainables.metrics import Cost
from trainables.workloads.workload import Batch, Workload


class StepCost(NamedTuple):
    """Cost of one optimiser step: FLOPs, and an estimate of the peak memory in bytes."""

    flops: int
    peak_bytes: int


def step_cost(method: Full | Lora, workload: Workload, batch_size: int) -> StepCost:
    """Cost of a step on `batch_size` samples.

    Peak memory is estimated as parameters + trainable parameters * 3 (gradient and two moments) + what autograd keeps
    for the backward pass, each storage once. It leaves out transient buffers.
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
    training = 3 * sum(parameter.untyped_storage().nbytes() for parameter in trainable)
    return StepCost(counter.get_total_flops(), sum(weights.values()) + training + activations)


@lru_cache(maxsize=64)
def cost_per_step(method: Full | Lora, workload: Workload, batch_size: int) -> Cost:
    """FLOPs and MAFs of one optimiser step."""
    own, full = step_cost(method, workload, batch_size), step_cost(Full(), workload, batch_size)
    return Cost(flops=float(own.flops), mafs=own.flops * own.peak_bytes / full.peak_bytes)


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
