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

from trainables.methods.method import Ewc, L2Init, Si


class Memory(Protocol):
    """What a penalty keeps of a task; the training loop tells it where it is. Gradients are those of the loss alone."""

    def before_step(self) -> None:
        """A step's gradients are in `.grad`, and nothing has changed them yet."""

    def after_step(self) -> None:
        """The parameters have moved."""

    def after_extra_pass(self) -> None:
        """All steps are done, and the gradients of one more batch are in `.grad`."""

    def carry(self) -> dict[str, Tensor]:
        """What later tasks need, on the CPU; to be asked for once, at the end, and then the caller's."""


class Pull:
    """The penalty that acts on a task: where there is no importance, there is no term."""

    def __init__(self, coefficient: float, terms: "list[Term]") -> None:
        self._coefficient = coefficient
        self._terms = terms if coefficient else []  # a strength of 0 changes nothing, not even the sign of a zero

    @torch.no_grad()
    def add_gradient(self) -> None:
        """Add the penalty's gradient to `.grad`."""
        for parameter, anchor, importance in self._terms:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad.addcmul_(parameter - anchor, importance, value=2 * self._coefficient)

    @torch.no_grad()
    def value(self) -> float:
        """The penalty."""
        squares = [
            (importance * (p - anchor).square()).sum(dtype=torch.float64) for p, anchor, importance in self._terms
        ]
        return self._coefficient * float(sum(squares))


class Term(NamedTuple):
    """Anchor and importance of a parameter; they are on its device, and importance broadcasts to its shape."""

    parameter: nn.Parameter
    anchor: Tensor
    importance: Tensor


class Penalised(NamedTuple):
    """A penalty at work: what pulls now, and what remembers for later."""

    pull: Pull
    memory: Memory


def build(
    penalty: Ewc | Si | L2Init | None,
    parameters: Mapping[str, nn.Parameter],
    *,
    carry: Mapping[str, Tensor],
    base: Mapping[str, Tensor],
) -> Penalised:
    """The penalty of a task on `parameters`, which hold the task's start; None pulls nowhere and keeps nothing.

    Args:
        penalty: which one.
        parameters: those that train, by name.
        carry: what the update that made the start has left; empty for the first task.
        base: the pretrained weights by name; an adapter's parameters are not among them.
    """
    match penalty:
        case None:
            return Penalised(Pull(0.0, []), Kept({}))
        case Ewc(strength=strength, gamma=gamma):
            fisher = _carried("fisher/", carry, parameters)
            pull = Pull(strength / 2, _terms(parameters, _places(parameters), fisher))
            return Penalised(pull, Fisher(parameters, fisher, gamma=gamma))
        case Si(strength=strength, xi=xi):
            omega = _carried("omega/", carry, parameters)
            start = _places(parameters)
            pull = Pull(strength, _terms(parameters, start, omega))
            return Penalised(pull, PathIntegral(parameters, start, omega, xi=xi))
        case L2Init(strength=strength):
            own = {f"init/{name}": _copy(parameter) for name, parameter in parameters.items() if name not in base}
            own |= {name: carry[name] for name in own if name in carry}
            terms = [
                Term(p, (base[name] if name in base else own[f"init/{name}"]).to(p.device), p.new_ones(()))
                for name, p in parameters.items()
            ]
            return Penalised(Pull(strength, terms), Kept(own))


class Kept:
    """A memory of what was known from the start."""

    def __init__(self, carry: dict[str, Tensor]) -> None:
        self._carry = carry

    def before_step(self) -> None:
        """Nothing."""

    def after_step(self) -> None:
        """Nothing."""

    def after_extra_pass(self) -> None:
        """Nothing."""

    def carry(self) -> dict[str, Tensor]:
        """What was given."""
        return self._carry


class Fisher:
    """gamma * F + mean over the extra passes of the squared gradient."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], earlier: Mapping[str, Tensor], *, gamma: float) -> None:
        self._parameters, self._earlier, self._gamma = parameters, earlier, gamma
        self._squares = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
        self._passes = 0

    def before_step(self) -> None:
        """Nothing."""

    def after_step(self) -> None:
        """Nothing."""

    def after_extra_pass(self) -> None:
        """Add the squared gradients; a parameter without one has none to add."""
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
    """Omega + max(omega, 0) / (move over the task ^ 2 + xi), with omega = - sum over steps of gradient * move.

    A negative omega, of a parameter that moved against its gradient on the whole, would push away from the anchor.
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
        """Keep gradients and places."""
        self._before = {
            name: (parameter.grad.clone(), parameter.clone())
            for name, parameter in self._parameters.items()
            if parameter.grad is not None
        }

    @torch.no_grad()
    def after_step(self) -> None:
        """Add the step to the integral: the whole move, with decay and whatever else moved the parameter."""
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
    """What earlier tasks have left, for every parameter and on its device; empty if there was none."""
    if not any(name.startswith(prefix) for name in carry):
        return {}
    return {name: carry[f"{prefix}{name}"].to(parameter.device) for name, parameter in parameters.items()}


def _places(parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Where the parameters are now."""
    return {name: parameter.detach().clone() for name, parameter in parameters.items()}


def _terms(
    parameters: Mapping[str, nn.Parameter], anchors: Mapping[str, Tensor], importance: Mapping[str, Tensor]
) -> list[Term]:
    return [Term(parameters[name], anchors[name], tensor) for name, tensor in importance.items()]


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True)
