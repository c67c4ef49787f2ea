"""Where to put the labels of marks: next to them, and not on each other."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from analysis.arrays import FloatArray

NEAR = (1.0, 1.9)
FAR = (1.0, 1.9, 2.8, 4.0, 5.5, 7.0)
"""Rings for names: these are wider than numbers, and more of them stand next to each other."""

SMALL = 0.9
"""The half width of a label, in reaches, up to which its width does not push it farther off."""


class Box(NamedTuple):
    """A rectangle in pixels."""

    x: float
    y: float
    width: float
    height: float


def place(
    anchors: Sequence[tuple[float, float]],
    *,
    sizes: Sequence[tuple[float, float]],
    obstacles: Sequence[tuple[float, float]],
    bounds: Box,
    reach: float = 11.0,
    rings: Sequence[float] = NEAR,
) -> tuple[tuple[float, float], ...]:
    """Centre of each label: of the places around its mark the one that covers least, in the order of `anchors`.

    Args:
        anchors: the marks that get a label, in pixels.
        sizes: width and height of each label.
        obstacles: all marks.
        bounds: labels stay inside.
        reach: distance from a mark to the centre of a small label; wide ones stand as far off with their edge.
        rings: distances to try, as multiples of the reach; of equally good places the nearest is taken.
    """
    others, placed = np.array(obstacles).reshape(-1, 2), np.empty((0, 4))
    for mark, size in zip(anchors, sizes, strict=True):
        wide = max(0.0, size[0] / 2 - SMALL * reach)
        aside = np.array([[math.copysign(wide, dx) * (abs(dx) > 0), 0.0] for dx, _ in _PLACES])
        centres = np.concatenate([np.array(mark) + far * reach * np.array(_PLACES) + aside for far in rings])
        cost = _cost(centres, size, mark, wide=wide, obstacles=others, placed=placed, bounds=bounds)
        best = np.lexsort((_distances(centres, np.array([mark]), wide)[:, 0] // reach, cost))[0]
        placed = np.vstack([placed, [*centres[best], *size]])
    return tuple((float(x), float(y)) for x, y in placed[:, :2])


def spread(wanted: Sequence[float], *, gap: float, low: float, high: float) -> tuple[float, ...]:
    """Positions on a line near the wanted ones, at least `gap` apart and in their order, inside [low, high] if all fit.

    Neighbours that are too close become one cluster around the mean of what they want.
    """
    order = sorted(range(len(wanted)), key=lambda i: (wanted[i], i))
    clusters: list[list[int]] = []

    def start(cluster: Sequence[int]) -> float:
        length = gap * (len(cluster) - 1)
        middle = sum(wanted[i] for i in cluster) / len(cluster)
        return max(low, min(middle - length / 2, high - length))

    for i in order:
        clusters.append([i])
        while len(clusters) > 1 and start(clusters[-1]) < start(clusters[-2]) + gap * len(clusters[-2]):
            last = clusters.pop()
            clusters[-1] = clusters[-1] + last
    places = {i: start(cluster) + gap * k for cluster in clusters for k, i in enumerate(cluster)}
    return tuple(places[i] for i in range(len(wanted)))


_PLACES = ((1, -0.8), (-1, -0.8), (1, 0.8), (-1, 0.8), (0, -1.2), (1.2, 0), (-1.2, 0), (0, 1.2))


def _cost(
    centres_P2: FloatArray,
    size: tuple[float, float],
    mark: tuple[float, float],
    *,
    wide: float,
    obstacles: FloatArray,
    placed: FloatArray,
    bounds: Box,
) -> FloatArray:
    """What a label covers at each of some places: labels count most, then marks, then nearness to strange marks."""
    half = np.array(size) / 2
    low = np.array([bounds.x, bounds.y]) + half
    high = np.array([bounds.x + bounds.width, bounds.y + bounds.height]) - half
    outside = ((centres_P2 < low) | (centres_P2 > high)).any(axis=1)
    own = _distances(centres_P2, np.array([mark]), wide)
    strangers = np.sum(_distances(centres_P2, obstacles, wide) < own - 0.04, axis=1)
    marks = np.sum((np.abs(obstacles - centres_P2[:, np.newaxis]) < half + 4).all(axis=2), axis=1)
    room = (placed[:, 2:] + np.array(size)) / 2
    labels = np.sum((np.abs(placed[:, :2] - centres_P2[:, np.newaxis]) < room).all(axis=2), axis=1)
    return np.asarray(10.0 * outside + 3.0 * labels + marks + 0.6 * np.minimum(strangers, 2))


def _distances(centres_P2: FloatArray, points_O2: FloatArray, wide: float) -> FloatArray:
    """Distances (P, O) from labels to points; the middle of a wide label is a line, as long as its extra width."""
    apart = np.abs(points_O2 - centres_P2[:, np.newaxis])
    return np.asarray(np.hypot(np.maximum(0.0, apart[..., 0] - wide), apart[..., 1]))
