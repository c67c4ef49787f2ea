"""A method attached to a model: which parameters train, and how they fold back into the workload's own layout."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

from trainables.config import Full, Lora
from trainables.randomness import torch_seed
from trainables.workloads.workload import State, Workload


class Attached(NamedTuple):
    """The module that the training loop sees, and its weights as a state of the workload's own layout."""

    model: nn.Module
    fold: Callable[[], dict[str, Tensor]]

    @property
    def trainable(self) -> list[nn.Parameter]:
        """Parameters that the optimiser changes."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]


def attach(method: Full | Lora, workload: Workload, start: State, *, seed: int, task: int) -> Attached:
    """Attach `method` to a model that holds `start`. What an adapter draws depends on (seed, task) alone."""
    model = workload.architecture()
    model.load_state_dict(start)
    with torch_seed("adapter", seed, task):
        model = adapt(method, workload, model)
    if isinstance(method, Full):
        return Attached(model, lambda: snapshot(model))
    from trainables.methods import low_rank

    return Attached(model, lambda: workload.fuse(snapshot(low_rank.fold(model))))


def adapt(method: Full | Lora, workload: Workload, model: nn.Module) -> nn.Module:
    """The module that `method` trains: `model` itself, changed in place so that only what trains requires gradients."""
    if isinstance(method, Full):
        return model
    from trainables.methods import low_rank  # peft takes seconds to import, and only adapters need it

    split = workload.split(model)
    split.requires_grad_(requires_grad=False)
    return low_rank.inject(split, method, workload.adaptable(split))


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """A copy of a model's weights on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
