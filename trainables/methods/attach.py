"""A method attached to a model: which parameters train, and how the result becomes plain weights again."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor, nn

from trainables.methods import scope
from trainables.methods.method import Method
from trainables.workloads.workload import State, Workload


class Attached(NamedTuple):
    """The module that the training loop sees.

    Attributes:
        model: the module.
        own: gives the adapter's tensors by name; none without an adapter.
        fold: gives the weights of the model, or of a copy of it, in the workload's own layout. It ends the training of
            that model: an adapter becomes part of its layers, on the CPU, so that the same tensors give the same bits
            when they are read from a store.
    """

    model: nn.Module
    own: Callable[[], dict[str, Tensor]]
    fold: Callable[[nn.Module], dict[str, Tensor]]

    @property
    def trainable(self) -> dict[str, nn.Parameter]:
        """The parameters that the optimiser changes, by name."""
        return {name: parameter for name, parameter in self.model.named_parameters() if parameter.requires_grad}


def attach(
    method: Method,
    workload: Workload,
    start: State,
    *,
    seed: int,
    task: int,
    adapter: Mapping[str, Tensor] | None = None,
) -> Attached:
    """Attach `method` to a model that holds `start`.

    Args:
        method: selects and adapts the parameters.
        workload: has the architecture.
        start: weights; of an adapter that continues, those that it was first put on.
        seed: seed of the trial.
        task: number of the task that made the adapter; an adapter's random draws depend on (seed, task) alone.
        adapter: the tensors of an adapter that continues, as `own` gave them.
    """
    model = workload.architecture()
    model.load_state_dict(start)
    model = adapt(method, workload, model, seed=seed, task=task)
    if method.adapter is None:
        return Attached(model, dict, snapshot)
    from trainables.methods import adapters

    if adapter is not None:
        adapters.load_own_state(model, adapter)
    return Attached(
        model,
        lambda: _copies(adapters.own_state(model)),
        lambda trained: workload.fuse(snapshot(adapters.fold(trained.cpu()))),
    )


def adapt(method: Method, workload: Workload, model: nn.Module, *, seed: int = 0, task: int = 0) -> nn.Module:
    """The module that `method` trains: `model`, changed in place so that only trained parameters require gradients."""
    anatomy = workload.identity.anatomy
    trained = scope.trained(method, anatomy)
    if method.adapter is not None:
        from trainables.methods import adapters  # peft takes seconds to import, and only adapters need it

        projections = scope.adapted(method.adapter, anatomy)
        model = adapters.inject(workload.split(model), method.adapter, projections, seed=seed, task=task)
        for name in trained:  # what trains beside an adapter is no projection, so its name is the model's own
            model.get_parameter(name).requires_grad_()
        return model
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trained)
    return model


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """A copy of a model's weights on the CPU."""
    return _copies(model.state_dict())


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
