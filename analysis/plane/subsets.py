"""Areas that a random subset of the points would have, in closed form: what k configs find on average.

A frontier gets larger with every config tried, so two methods are compared at one number k of configs, drawn without
replacement (as tuning curves are, arXiv 2311.09480). Nothing is drawn here. A cell of the grid counts unless all of its
dominators are missing from the subset; an edge between two points counts if both are in the subset and nothing above
the edge is. Both chances are hypergeometric, so the sums are exact.
"""

from math import comb

import numpy as np
import numpy.typing as npt

from analysis.arrays import FloatArray, IntArray

TOLERANCE = 1e-12
"""Share of the plane's extent within which three points count as collinear."""


def expected_staircase_area(x: npt.ArrayLike, y: npt.ArrayLike, *, k: int, reference: tuple[float, float]) -> float:
    """Mean of `pareto.staircase_area` over all subsets of k of the points."""
    xs, ys = _shifted(x, y, k, reference)
    inside = (xs > 0) & (ys > 0)
    across, up = np.sort(xs[inside]), np.sort(ys[inside])
    right_of = (xs[inside] >= across[:, np.newaxis]).astype(float)
    above = (ys[inside] >= up[:, np.newaxis]).astype(float)
    dominators = np.rint(right_of @ above.T).astype(np.int64)
    reached = 1.0 - _chances(len(xs), k, needed=0)[dominators]
    return float(np.diff(across, prepend=0.0) @ reached @ np.diff(up, prepend=0.0))


def expected_hull_area(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    k: int,
    reference: tuple[float, float],
    free: tuple[float, float] | None = None,
) -> float:
    """Mean of `pareto.hull_area` over all subsets of k of the points, each with the point `free` added."""
    xs, ys = _shifted(x, y, k, reference)
    n = len(xs)
    if free is not None:
        xs, ys = np.append(xs, free[0] - reference[0]), np.append(ys, free[1] - reference[1])
    order = np.lexsort((ys, xs))
    xs, ys, paid = xs[order], ys[order], order < n
    chances = [_chances(n, k, needed=needed) for needed in range(3)]

    def chance(blocks_QP: npt.NDArray[np.bool_], needed_Q: IntArray) -> FloatArray:
        """The chance that all needed points are drawn and no blocking one; it is 0 if the free point blocks."""
        drawn = np.choose(needed_Q, [table[np.minimum((blocks_QP & paid).sum(axis=1), n)] for table in chances])
        return np.where((blocks_QP & ~paid).any(axis=1), 0.0, drawn)

    # The area left of the hull's first vertex is a rectangle as high as that vertex: the highest point that is drawn.
    rank = np.empty(len(xs), dtype=np.int64)
    rank[np.lexsort((xs, ys))] = np.arange(len(xs))
    higher = rank > rank[:, np.newaxis]
    total = float(np.sum(np.maximum(xs, 0.0) * np.maximum(ys, 0.0) * chance(higher, paid.astype(np.int64))))

    flat = TOLERANCE * np.ptp(xs) * np.ptp(ys) if len(xs) else 0.0
    places = np.arange(len(xs))
    for left in range(len(xs)):
        dx, dy = xs - xs[left], ys - ys[left]
        rights = np.flatnonzero((dx > 0) & (dy < 0))
        if len(rights) == 0:
            continue
        height = dx[rights, np.newaxis] * dy - dy[rights, np.newaxis] * dx
        # Of points on the edge, and of equal ones, those that come between in the order split it.
        between = (places > left) & (places < rights[:, np.newaxis])
        blocks = (height > flat) | ((np.abs(height) <= flat) & between)
        needed = paid[left].astype(np.int64) + paid[rights]
        total += float(np.sum(_below(xs[left], ys[left], xs[rights], ys[rights]) * chance(blocks, needed)))
    return total


def _shifted(
    x: npt.ArrayLike, y: npt.ArrayLike, k: int, reference: tuple[float, float]
) -> tuple[FloatArray, FloatArray]:
    xs, ys = np.asarray(x, dtype=float) - reference[0], np.asarray(y, dtype=float) - reference[1]
    if not 1 <= k <= len(xs):
        raise ValueError(f"subsets of k = {k} need at least one and at most all of the {len(xs)} points")
    return xs, ys


def _chances(n: int, k: int, *, needed: int) -> FloatArray:
    """Chance that k of n hold `needed` given ones and none of b others, for b = 0 to n."""
    whole = comb(n, k)
    return np.array(
        [
            comb(n - needed - b, k - needed) / whole if k >= needed and n - needed - b >= k - needed else 0.0
            for b in range(n + 1)
        ]
    )


def _below(x: float, y: float, right_x: FloatArray, right_y: FloatArray) -> FloatArray:
    """Area below falling edges from one point to others, as far as it is above and right of the origin."""
    slope = (right_y - y) / (right_x - x)
    start, end = max(x, 0.0), np.minimum(right_x, x - y / slope)
    heights = y + slope * (start - x) + np.maximum(right_y, 0.0)
    return np.asarray(np.where(end > start, 0.5 * (end - start) * heights, 0.0), dtype=float)
