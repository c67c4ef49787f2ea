"""The knee of a frontier: its point furthest above the Z-J line, and how sure it is that it is this one.

This is the knee of the chord definition, in accuracy points and without any scaling of the axes. Where joint training
forgets, it is also the vertex whose price interval contains what the line charges for learning.
"""

import math
from dataclasses import dataclass

import numpy as np

from analysis import pareto
from analysis.arrays import FloatArray
from analysis.plane.points import Means, Points, jackknife
from analysis.uncertainty import Estimate, estimate


@dataclass(frozen=True, kw_only=True)
class Knee:
    """The knee; `row` is None where it is the zero-shot point, above which no config lies.

    It is the best choice for anyone who pays `low` to `high` AZS per AKA (None: any price above). `stability` is the
    share of refits with one block left out that elect the same point (None with one block). `gain` is that of a chosen
    maximum: too large by its winner's curse.
    """

    row: int | None
    point: tuple[float, float]
    gain: Estimate
    low: float
    high: float | None
    stability: float | None


def knee_of(points: Points) -> Knee | None:
    """The knee of the hull of configs and the zero-shot point; None where there is no line."""
    if points.joint is None:
        return None
    means = points.means()
    x, y = _with_zero_shot(means)
    vertices = pareto.hull(x, y)
    prices = pareto.prices(x[vertices], y[vertices])
    knee = _elected(means)
    place = int(np.flatnonzero(vertices == knee)[0])
    high = float(prices.high[place])
    # Refits elect knees of their own, which says how stable this one is; the gain below stays that of this one.
    refits = [_elected(points.means(without=block)) for block in range(points.blocks)] if points.blocks > 1 else []
    gain = jackknife(points, lambda left: _gains(left)[knee])
    return Knee(
        row=None if knee == 0 else knee - 1,
        point=(float(x[knee]), float(y[knee])),
        gain=estimate(gain.pseudo, value=float(gain.value)),
        low=float(prices.low[place]),
        high=high if math.isfinite(high) else None,
        stability=float(np.mean([other == knee for other in refits])) if refits else None,
    )


def _elected(means: Means) -> int:
    """Which vertex is the knee: 0 for the zero-shot point, 1 for the first config."""
    vertices = pareto.hull(*_with_zero_shot(means))
    return int(vertices[np.argmax(_gains(means)[vertices])])


def _with_zero_shot(means: Means) -> tuple[FloatArray, FloatArray]:
    return np.append(means.zero_shot[0], means.x), np.append(means.zero_shot[1], means.y)


def _gains(means: Means) -> FloatArray:
    return np.append(0.0, means.gain)
