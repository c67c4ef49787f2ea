"""Penalties: coefficient * sum of importance * (theta - anchor)^2, which pulls parameters towards an anchor.

All have this one form, and add its gradient, 2 * coefficient * importance * (theta - anchor), to the loss's before
clipping. They differ in importance and anchor, and in what they leave for later tasks, their carry:

    EWC      Fisher matrix    start of the task    fisher/<parameter>: gamma * F + F of the task
    SI       Omega            start of the task    omega/<parameter>: Omega + that of the task
    L2 init  1                pretrained weights   init/<parameter>: the first values of what the base model lacks

The first task has no Fisher matrix and no Omega, so that nothing pulls. Sources and deviations stand in `Ewc`, `Si` and
`L2Init`.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from trainables.methods.parts import Ewc, L2Init, Penalty, Si


class Memory(Protocol):
    """The memory of a penalty, told by the training loop how far it is. Gradients are those of the loss alone."""

    def before_step(self) -> None:
        """A step's gradients are in `.grad`, and nothing has changed them yet."""

    def after_step(self) -> None:
        """The parameters have moved."""

    def after_extra_pass(self) -> None:
        """All steps are done, and the gradients of one more batch are in `.grad`."""

    def carry(self) -> dict[str, Tensor]:
        """The tensors that later tasks need, on the CPU; to be asked for once, at the end. The caller owns them."""


class Pull:
    """The penalty that acts on a task; a parameter without importance has no term in it."""

    def __init__(self, coefficient: float, terms: "list[Term]") -> None:
        self._coefficient = coefficient
        self._terms = terms if coefficient else []  # a strength of 0 changes nothing, not even the sign of a zero

    @torch.no_grad()
    def add_gradient(self) -> None:
        """Add the gradient of the penalty to `.grad`: 2 * coefficient * importance * (theta - anchor).

        It comes after the backward pass, so that a memory sees the gradients of the loss alone before it.
        """
        for parameter, anchor, importance in self._terms:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad.addcmul_(parameter - anchor, importance, value=2 * self._coefficient)

    @torch.no_grad()
    def value(self) -> float:
        """The value of the penalty."""
        squares = [
            (importance * (p - anchor).square()).sum(dtype=torch.float64) for p, anchor, importance in self._terms
        ]
        return self._coefficient * float(sum(squares))


class Term(NamedTuple):
    """A parameter with its anchor and importance on the same device; importance broadcasts to its shape."""

    parameter: nn.Parameter
    anchor: Tensor
    importance: Tensor


class Penalised(NamedTuple):
    """A penalty at work: the pull on this task, and the memory for later ones."""

    pull: Pull
    memory: Memory


def build(
    penalty: Penalty | None,
    parameters: Mapping[str, nn.Parameter],
    *,
    carry: Mapping[str, Tensor],
    base: Mapping[str, Tensor],
) -> Penalised:
    """The penalty of a task on `parameters`, which hold the task's start; None pulls nowhere and keeps nothing.

    Args:
        penalty: which one.
        parameters: those that train, by name.
        carry: the tensors that the update at the start has left; empty for the first task.
        base: the pretrained weights by name; an adapter's parameters are not among them.
    """
    match penalty:
        case None:
            return Penalised(Pull(0.0, []), Kept({}))
        case Ewc(strength=strength, gamma=gamma):
            fisher = _carried("fisher/", carry, parameters)
            # Half, since arXiv 1612.00796 has lambda / 2 (eq. 3), and 1703.04200 has no half (eq. 4).
            pull = Pull(strength / 2, _terms(parameters, _places(parameters), fisher))
            return Penalised(pull, Fisher(parameters, fisher, gamma=gamma))
        case Si(strength=strength, xi=xi):
            omega = _carried("omega/", carry, parameters)
            start = _places(parameters)
            pull = Pull(strength, _terms(parameters, start, omega))
            return Penalised(pull, PathIntegral(parameters, start, omega, xi=xi))
        case L2Init(strength=strength):
            # An adapter's factors are not in the base model, so their anchor is their first value, carried along.
            own = {f"init/{name}": _copy(parameter) for name, parameter in parameters.items() if name not in base}
            own |= {name: carry[name] for name in own if name in carry}
            terms = [
                Term(p, (base[name] if name in base else own[f"init/{name}"]).to(p.device), p.new_ones(()))
                for name, p in parameters.items()
            ]
            return Penalised(Pull(strength, terms), Kept(own))


class Kept:
    """A memory that keeps the tensors that it was given, and learns nothing."""

    def __init__(self, carry: dict[str, Tensor]) -> None:
        self._carry = carry

    def before_step(self) -> None:
        """Nothing."""

    def after_step(self) -> None:
        """Nothing."""

    def after_extra_pass(self) -> None:
        """Nothing."""

    def carry(self) -> dict[str, Tensor]:
        """The given tensors."""
        return self._carry


class Fisher:
    """The Fisher matrix: gamma * F + mean over the extra passes of the squared gradient.

    A pass has a whole batch, so the squares are of mean gradients, as in the reference of arXiv 2408.14471.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], earlier: Mapping[str, Tensor], *, gamma: float) -> None:
        self._parameters, self._earlier, self._gamma = parameters, earlier, gamma
        self._squares = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
        self._passes = 0

    def before_step(self) -> None:
        """Nothing."""

    def after_step(self) -> None:
        """Nothing."""

    def after_extra_pass(self) -> None:
        """Add the squared gradients; a parameter without a gradient adds nothing."""
        self._passes += 1
        for name, parameter in self._parameters.items():
            if parameter.grad is not None:
                self._squares[name].addcmul_(parameter.grad, parameter.grad)

    def carry(self) -> dict[str, Tensor]:
        """The Fisher matrix of all tasks so far."""
        assert self._passes
        own = {name: squares / self._passes for name, squares in self._squares.items()}
        total = {name: self._gamma * self._earlier[name] + own[name] if self._earlier else own[name] for name in own}
        return {f"fisher/{name}": _copy(tensor) for name, tensor in total.items()}


class PathIntegral:
    """The importance of SI: Omega + max(omega, 0) / (move over the task ^ 2 + xi) (arXiv 1703.04200, eqs. 3 and 5).

    omega = - sum over steps of gradient * move is the share of a parameter in the fall of the loss. Where a parameter
    moved up its gradient on the whole, omega is negative and would push away from the anchor, so it counts as 0. xi
    keeps a parameter that has hardly moved from an importance without bound.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        start: Mapping[str, Tensor],
        earlier: Mapping[str, Tensor],
        *,
        xi: float,
    ) -> None:
        self._parameters, self._start, self._earlier, self._xi = parameters, start, earlier, xi
        self._omega = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
        self._before: dict[str, tuple[Tensor, Tensor]] = {}

    @torch.no_grad()
    def before_step(self) -> None:
        """Keep the gradients and places before the penalty, clipping and the optimiser change them."""
        self._before = {
            name: (parameter.grad.clone(), parameter.clone())
            for name, parameter in self._parameters.items()
            if parameter.grad is not None
        }

    @torch.no_grad()
    def after_step(self) -> None:
        """Add the step to the path integral, by the whole move: weight decay is part of it."""
        for name, (gradient, place) in self._before.items():
            self._omega[name].addcmul_(gradient, self._parameters[name] - place, value=-1.0)

    def after_extra_pass(self) -> None:
        """Nothing."""

    @torch.no_grad()
    def carry(self) -> dict[str, Tensor]:
        """The importance of all tasks so far."""
        carry = {}
        for name, parameter in self._parameters.items():
            own = self._omega[name].clamp(min=0) / ((parameter - self._start[name]).square() + self._xi)
            carry[f"omega/{name}"] = _copy(self._earlier[name] + own if self._earlier else own)
        return carry


def _carried(prefix: str, carry: Mapping[str, Tensor], parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """The tensors that earlier tasks have left for every parameter, on its device; empty in the first task."""
    if not any(name.startswith(prefix) for name in carry):
        return {}
    return {name: carry[f"{prefix}{name}"].to(parameter.device) for name, parameter in parameters.items()}


def _places(parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Copies of the parameters as they are now."""
    return {name: parameter.detach().clone() for name, parameter in parameters.items()}


def _terms(
    parameters: Mapping[str, nn.Parameter], anchors: Mapping[str, Tensor], importance: Mapping[str, Tensor]
) -> list[Term]:
    return [Term(parameters[name], anchors[name], tensor) for name, tensor in importance.items()]


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True)
