"""Final points of configs and anchors, per block and as means, and the jackknife of anything computed from the means.

A statistic is a function of `Means`. Its interval comes from the delete-one-block jackknife: a block is taken away from
all configs AND from both anchors, so that noise which they share cancels (see `uncertainty`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis import pareto
from analysis.arrays import FloatArray
from analysis.uncertainty import Estimate, estimate, pseudo_values


@dataclass(frozen=True, kw_only=True)
class Means:
    """Mean AKA `x` and AZS `y` of configs (C,), and the anchors' mean (AKA, AZS)."""

    x: FloatArray
    y: FloatArray
    zero_shot: FloatArray
    joint: FloatArray | None

    @property
    def gain(self) -> FloatArray:
        """AZS above the Z-J line (C,); there must be a line."""
        return pareto.gain(self.x, self.y, zero_shot=self.zero_shot, joint=self._end)

    @property
    def slide(self) -> FloatArray:
        """Share of what joint training learns (C,); there must be a line."""
        return pareto.slide(self.x, zero_shot=self.zero_shot, joint=self._end)

    @property
    def _end(self) -> FloatArray:
        assert self.joint is not None
        return self.joint


@dataclass(frozen=True, kw_only=True)
class Points:
    """AKA `x` and AZS `y` of configs (configs, blocks), and the anchors' (blocks, 2): fractions.

    `joint` is None where there is no Z-J line; it repeats one mean where J was not trained on every block.
    """

    x: FloatArray
    y: FloatArray
    zero_shot: FloatArray
    joint: FloatArray | None

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return int(self.x.shape[1])

    def means(self, *, without: int | None = None) -> Means:
        """Means over blocks, with one of them left out if asked for."""
        kept = [block for block in range(self.blocks) if block != without]
        return Means(
            x=self.x[:, kept].mean(axis=1),
            y=self.y[:, kept].mean(axis=1),
            zero_shot=self.zero_shot[kept].mean(axis=0),
            joint=None if self.joint is None else self.joint[kept].mean(axis=0),
        )

    def rows(self, rows: Sequence[int]) -> "Points":
        """The same anchors with some of the configs."""
        chosen = np.asarray(rows, dtype=np.int64)
        return Points(x=self.x[chosen], y=self.y[chosen], zero_shot=self.zero_shot, joint=self.joint)


@dataclass(frozen=True, kw_only=True)
class Jackknife:
    """A statistic (...), and its pseudo-values (..., blocks); with one block these are the statistic itself."""

    value: FloatArray
    pseudo: FloatArray


def jackknife(points: Points, statistic: Callable[[Means], npt.ArrayLike]) -> Jackknife:
    """A statistic of the means, of any shape, and what each block says about it."""
    value = np.asarray(statistic(points.means()), dtype=float)
    if points.blocks < 2:
        return Jackknife(value=value, pseudo=value[..., np.newaxis])
    # The whole statistic is computed again without each block: its parts may be maxima, which do not add up.
    left_out = [np.asarray(statistic(points.means(without=block)), dtype=float) for block in range(points.blocks)]
    return Jackknife(value=value, pseudo=pseudo_values(value, np.stack(left_out)))


def estimate_of(
    points: Points, statistic: Callable[[Means], npt.ArrayLike], *, bias_corrected: bool = False
) -> Estimate:
    """A scalar statistic with its interval, around its value on the means or around the bias-corrected one.

    The area below a frontier of noisy means is too large, since a maximum is taken over them; the mean of the
    pseudo-values takes nearly all of that away.
    """
    found = jackknife(points, statistic)
    return estimate(found.pseudo, value=None if bias_corrected else float(found.value))
