"""GaLore: AdamW on low-rank projections of the gradients of 2-D weights (arXiv 2403.03507, algorithm 2).

    R = U^T G V,   W <- (1 - lr * decay) * W + scale * U step(R) V^T,   step: AdamW without decay

U and V are leading singular vectors of a recent gradient; one of them is the identity unless `side` is full. Moments
are small, the gradient is not. Deviations: decay comes before the move, as in torch, not after; singular vectors have a
fixed sign, and come from the eigenvectors of a small matrix; a weight whose smaller side is at most the rank trains by
plain AdamW, as do all that are not 2-D.

Shapes: M rows, N columns, S the shorter and L the longer of them, R rank.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from trainables.methods.parts import Galore, Optimiser


class GaloreAdamW:
    """The optimiser; without a projection it is AdamW. A parameter without a gradient is neither moved nor decayed.

    Moments stay when a projector changes, as in the paper and in its code. The gap between two projectors is counted in
    a parameter's own steps, of which the first makes the first projector.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], projection: Galore | None, optimiser: Optimiser) -> None:
        self._weights: list[_Weight] = []
        plain: list[nn.Parameter] = []
        for parameter in parameters:
            if projection is not None and is_projected(parameter.shape, projection):
                self._weights.append(_Weight(parameter, projection))
            else:
                plain.append(parameter)
        self._adamw = torch.optim.AdamW(
            [*plain, *(weight.move_low for weight in self._weights)],
            lr=optimiser.lr,
            betas=(optimiser.beta1, optimiser.beta2),
            eps=optimiser.eps,
            weight_decay=optimiser.weight_decay,
            fused=True,
        )
        self._lr, self._decay = optimiser.lr, optimiser.weight_decay

    def set_lr(self, lr: float) -> None:
        """Set the learning rate of the next steps."""
        self._lr = lr
        for group in self._adamw.param_groups:
            group["lr"] = lr

    def zero_grad(self) -> None:
        """Drop all gradients."""
        self._adamw.zero_grad()
        for weight in self._weights:
            weight.parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters by one step."""
        # One AdamW steps on plain and projected parameters alike, so that both share its arithmetic to the bit.
        for weight in self._weights:
            weight.project()
        self._adamw.step()
        for weight in self._weights:
            weight.move(keep=1 - self._lr * self._decay)


def is_projected(shape: Sequence[int], projection: Galore) -> bool:
    """Whether the gradient of a parameter of this shape is projected."""
    return len(shape) == 2 and min(shape) > projection.rank


def state_numbers(shape: Sequence[int], projection: Galore | None) -> int:
    """The count of numbers that AdamW keeps for a parameter of this shape: two moments, and a projector if it has one.

    As the paper counts (table 1): without the projected gradient and step, which are as small as a moment.
    """
    if projection is None or not is_projected(shape, projection):
        return 2 * math.prod(shape)
    left, right = _sides(shape, projection)
    moments = 2 * math.prod(_low_shape(shape, projection))
    return moments + projection.rank * (shape[0] * left + shape[1] * right)


class Projector(NamedTuple):
    """Orthonormal columns that project one side of a gradient, or both; None stands for the identity."""

    left_MR: Tensor | None  # noqa: N815
    right_NR: Tensor | None  # noqa: N815

    @classmethod
    def of(cls, gradient_MN: Tensor, projection: Galore) -> Self:
        """The leading singular vectors of a gradient.

        As long as a projector lives, the sign of a singular vector cancels: it flips a row or column of R, of the
        first moment and of the step alike. Moments outlive projectors, so the sign is fixed: a vector's largest entry
        is positive.
        """
        # A gradient that is not finite has no singular vectors. It makes the weight NaN, for the caller to report.
        finite_MN = gradient_MN.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        left, right = _sides(gradient_MN.shape, projection)
        wide = gradient_MN.shape[0] < gradient_MN.shape[1]
        wide_SL = (finite_MN if wide else finite_MN.T).double()
        short_SR = _leading(wide_SL, projection.rank)
        short = _fix_signs(short_SR).to(gradient_MN) if (left if wide else right) else None
        # Where the gradient's rank is smaller than the projector's, columns of G^T U are 0, and those of Q orthonormal.
        long_LR = torch.linalg.qr(wide_SL.T @ short_SR).Q if (right if wide else left) else None
        long = None if long_LR is None else _fix_signs(long_LR).to(gradient_MN)
        return cls(short, long) if wide else cls(long, short)

    def down(self, gradient_MN: Tensor) -> Tensor:
        """The projected gradient."""
        half = gradient_MN if self.left_MR is None else self.left_MR.T @ gradient_MN
        return half if self.right_NR is None else half @ self.right_NR

    def up(self, low: Tensor) -> Tensor:
        """A move in the projected space, back in M x N."""
        half = low if self.left_MR is None else self.left_MR @ low
        return half if self.right_NR is None else half @ self.right_NR.T


class _Weight:
    """A projected parameter and `move_low`, the parameter that AdamW sees in its place.

    `move_low` is set to zero before each step, so that weight decay has nothing to shrink there and the step leaves
    AdamW's move in it. The weight itself is decayed and moved in `move`.
    """

    def __init__(self, parameter: nn.Parameter, projection: Galore) -> None:
        self.parameter, self._projection = parameter, projection
        self.move_low = nn.Parameter(parameter.new_zeros(_low_shape(parameter.shape, projection)))
        self._projector = Projector(None, None)
        self._steps = 0

    def project(self) -> None:
        gradient = self.parameter.grad
        if gradient is None:
            return
        if self._steps % self._projection.gap == 0:
            self._projector = Projector.of(gradient, self._projection)
        self._steps += 1
        self.move_low.zero_()
        self.move_low.grad = self._projector.down(gradient)

    def move(self, *, keep: float) -> None:
        if self.move_low.grad is None:
            return
        self.parameter.mul_(keep).add_(self._projector.up(self.move_low), alpha=self._projection.scale)
        self.move_low.grad = None


def _sides(shape: Sequence[int], projection: Galore) -> tuple[bool, bool]:
    """Whether rows, and whether columns are projected: std takes the shorter side, and the columns of a square."""
    rows, columns = shape
    match projection.side:
        case "std":
            return rows < columns, rows >= columns
        case "reverse_std":
            return rows >= columns, rows < columns
        case side:
            return side in ("left", "full"), side in ("right", "full")


def _low_shape(shape: Sequence[int], projection: Galore) -> tuple[int, int]:
    left, right = _sides(shape, projection)
    return projection.rank if left else shape[0], projection.rank if right else shape[1]


def _leading(wide_SL: Tensor, rank: int) -> Tensor:
    """The leading left singular vectors of a matrix in fp64: the leading eigenvectors of its Gram matrix.

    That takes a third of the time of a singular value decomposition where one side is four times the other. A Gram
    matrix squares the ratio of singular values, and underflows in fp32; fp64 has the digits for what was fp32.
    """
    _, vectors_SS = torch.linalg.eigh(wide_SL @ wide_SL.T)
    leading: Tensor = vectors_SS[:, -rank:].flip(1)  # they ascend
    return leading


def _fix_signs(vectors: Tensor) -> Tensor:
    """The columns, each with the sign that makes its entry of largest magnitude positive."""
    return vectors * vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
