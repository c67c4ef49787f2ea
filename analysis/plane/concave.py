"""A concave, never rising curve y(x) through noisy points: least squares under shape constraints.

y = c - sum_k b_k (x - kappa_k)_+ with all b_k >= 0 has every such curve with knots at the data, so that non-negative
least squares solves the whole problem (concave regression of Hildreth 1954, without a QP solver). It regresses on x
as if x had no noise, which flattens it a little: where a method has one dial, its path is the better curve.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from analysis.pareto import FloatArray


@dataclass(frozen=True, kw_only=True)
class Concave:
    """A curve that is `level` up to its first knot and falls by `bends[k]` AZS per AKA more after `knots[k]`."""

    level: float
    knots: FloatArray
    bends: FloatArray

    def at(self, x: npt.ArrayLike) -> FloatArray:
        """Heights at any x; right of the data the last slope goes on."""
        return np.asarray(self.level - _hinges(np.asarray(x, dtype=float), self.knots) @ self.bends, dtype=float)


def fit_concave(x: npt.ArrayLike, y: npt.ArrayLike, *, pin: tuple[float, float] | None = None) -> Concave:
    """The concave, never rising curve with least squared error in y; with a pin, it starts there and cannot be higher.

    Args:
        x: AKA of points (N,).
        y: AZS of points (N,).
        pin: (AKA, AZS) that the curve passes through, such as the zero-shot point; left of it the curve is level.
    """
    xs, ys = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if xs.ndim != 1 or xs.shape != ys.shape or len(xs) == 0:
        raise ValueError(f"x and y must be vectors of one length above 0, got shapes {xs.shape} and {ys.shape}")
    knots = np.unique(xs) if pin is None else np.unique(np.append(xs[xs > pin[0]], pin[0]))
    hinges = _hinges(xs, knots[:-1])
    if pin is None:
        # The level is free, so it is projected out: a curve through the means of the hinges and of y.
        middle, height = hinges.mean(axis=0), float(ys.mean())
    else:
        middle, height = np.zeros(hinges.shape[1]), pin[1]
    bends = nnls(middle - hinges, ys - height)[0] if hinges.shape[1] else np.zeros(0)
    return Concave(level=height + float(middle @ bends), knots=knots[:-1], bends=np.asarray(bends, dtype=float))


def _hinges(x: FloatArray, knots: FloatArray) -> FloatArray:
    return np.asarray(np.maximum(x[..., np.newaxis] - knots, 0.0), dtype=float)
