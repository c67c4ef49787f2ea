"""Geometry of the accumulation-retention plane: Pareto set, routing hull, areas and the linear trade-off line.

Pure functions of arrays; x is AKA, y is AZS, both are maximised, and no input is changed. The hull is the upper concave
free-disposal hull: every point on it can be reached by sending a random share of the requests to one model and the rest
to another, because AKA and AZS are means over examples (the ROC convex hull of Provost & Fawcett 2001). The line is the
zero-shot to joint line of arXiv 2408.14471.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from analysis.arrays import BoolArray, FloatArray, IntArray


class Prices(NamedTuple):
    """Price interval of each hull vertex, in AZS per AKA; the last `high` is infinite."""

    low: FloatArray
    high: FloatArray


def nondominated(x: npt.ArrayLike, y: npt.ArrayLike) -> BoolArray:
    """Whether no other point is at least as good in both axes and better in one; equal points keep each other."""
    xs, ys = _plane(x, y)
    # From right to left, and downward within one x: what lies strictly farther right has been seen when a point's turn
    # comes, so one pass decides. Points with the same x are judged by the first of them, the highest.
    order = np.lexsort((-ys, -xs))
    x_down, y_down = xs[order], ys[order]
    first = np.ones(len(xs), dtype=bool)
    first[1:] = x_down[1:] != x_down[:-1]
    start = np.maximum.accumulate(np.where(first, np.arange(len(xs)), 0))
    best_so_far = np.maximum.accumulate(y_down)
    best_right = np.where(start > 0, best_so_far[start - 1], -np.inf)
    mask = np.zeros(len(xs), dtype=bool)
    mask[order] = (best_right < y_down) & (y_down >= y_down[start])
    return mask


def hull(x: npt.ArrayLike, y: npt.ArrayLike) -> IntArray:
    """Indices of the vertices of the upper concave free-disposal hull by rising x; no points inside an edge."""
    xs, ys = _plane(x, y)
    candidates = np.flatnonzero(nondominated(xs, ys))
    order = candidates[np.lexsort((candidates, xs[candidates]))]
    chain: list[tuple[float, float, int]] = []
    for point in zip(xs[order].tolist(), ys[order].tolist(), order.tolist(), strict=True):
        if chain and chain[-1][0] == point[0]:
            continue  # an equal point: two non-dominated points with one x have one y
        while len(chain) >= 2 and _turns_left(chain[-2], chain[-1], point):
            chain.pop()
        chain.append(point)
    return np.array([i for _, _, i in chain], dtype=np.int64)


def prices(x: npt.ArrayLike, y: npt.ArrayLike) -> Prices:
    """Price intervals of hull vertices given by rising x: vertex i maximises y + p * x for p in [low_i, high_i]."""
    xs, ys = _plane(x, y)
    edge = -np.diff(ys) / np.diff(xs)
    return Prices(low=np.concatenate(([0.0], edge)), high=np.concatenate((edge, [np.inf])))


def hull_area(x: npt.ArrayLike, y: npt.ArrayLike, *, reference: tuple[float, float], until: float = np.inf) -> float:
    """Area below the hull, above and right of `reference`, left of `until`; edges that cross a side are cut there."""
    xs, ys = _plane(x, y)
    vertices = hull(xs, ys)
    if len(vertices) == 0 or xs[vertices[-1]] <= reference[0]:
        return 0.0
    vx, vy = xs[vertices], ys[vertices]
    end = min(float(vx[-1]), max(until, reference[0]))
    inner = vx[(vx > reference[0]) & (vx < end)]
    knots = np.concatenate(([reference[0]], inner, [end]))
    heights = np.interp(knots, vx, vy) - reference[1]
    left_h, right_h, width = heights[:-1], heights[1:], np.diff(knots)
    # An edge that sinks below the reference counts as the triangle before it crosses; 1.0 avoids a division by zero.
    drop = np.where(left_h > right_h, left_h - right_h, 1.0)
    whole = 0.5 * (left_h + right_h) * width
    cut = np.where(left_h > 0, 0.5 * left_h * left_h / drop * width, 0.0)
    return float(np.sum(np.where(right_h >= 0, whole, cut)))


def staircase_area(x: npt.ArrayLike, y: npt.ArrayLike, *, reference: tuple[float, float]) -> float:
    """Hypervolume: area dominated by the points and above and right of `reference` (Zitzler & Thiele 1998)."""
    xs, ys = _plane(x, y)
    inside = (xs > reference[0]) & (ys > reference[1])
    xs, ys = xs[inside], ys[inside]
    front = nondominated(xs, ys)
    order = np.argsort(xs[front], kind="stable")
    fx, fy = xs[front][order], ys[front][order]
    return float(np.sum(np.diff(fx, prepend=reference[0]) * (fy - reference[1])))


def slope(zero_shot: npt.ArrayLike, joint: npt.ArrayLike) -> FloatArray:
    """Slope of the Z-J line: (y_J - y_Z) / (x_J - x_Z). Points lie on the last axis, so leading axes broadcast."""
    z, j = np.asarray(zero_shot, dtype=float), np.asarray(joint, dtype=float)
    return np.asarray((j[..., 1] - z[..., 1]) / (j[..., 0] - z[..., 0]), dtype=float)


def gain(x: npt.ArrayLike, y: npt.ArrayLike, *, zero_shot: npt.ArrayLike, joint: npt.ArrayLike) -> FloatArray:
    """AZS above the Z-J line at equal AKA: y - (y_Z + slope * (x - x_Z)); zero at both anchors."""
    z = np.asarray(zero_shot, dtype=float)
    on_line = z[..., 1] + slope(z, joint) * (np.asarray(x, dtype=float) - z[..., 0])
    return np.asarray(np.asarray(y, dtype=float) - on_line, dtype=float)


def slide(x: npt.ArrayLike, *, zero_shot: npt.ArrayLike, joint: npt.ArrayLike) -> FloatArray:
    """Position along the Z-J line: (x - x_Z) / (x_J - x_Z); 0 learned nothing, 1 learned as much as the joint model."""
    z, j = np.asarray(zero_shot, dtype=float), np.asarray(joint, dtype=float)
    return np.asarray((np.asarray(x, dtype=float) - z[..., 0]) / (j[..., 0] - z[..., 0]), dtype=float)


def _plane(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    xs, ys = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if xs.ndim != 1 or xs.shape != ys.shape:
        raise ValueError(f"x and y must be vectors of one length, got shapes {xs.shape} and {ys.shape}")
    if not (np.isfinite(xs).all() and np.isfinite(ys).all()):
        raise ValueError("x and y must be finite: a NaN would silently count as non-dominated")
    return xs, ys


def _turns_left(a: tuple[float, float, int], b: tuple[float, float, int], c: tuple[float, float, int]) -> bool:
    """True where b lies on or below the edge from a to c."""
    return (b[0] - a[0]) * (c[1] - a[1]) >= (b[1] - a[1]) * (c[0] - a[0])
