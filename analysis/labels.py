"""Where to put the labels of marks: next to them, and not on each other."""

import math
from collections.abc import Sequence
from typing import NamedTuple

NEAR = (1.0, 1.9)
FAR = (1.0, 1.9, 2.8, 4.0, 5.5, 7.0)
"""Rings for names, which are wider than numbers and more of them next to each other."""

SMALL = 0.9
"""Half width of a label, in reaches, that stands no farther off because of its width."""


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
    placed: list[Box] = []
    for (x, y), size in zip(anchors, sizes, strict=True):
        wide = max(0.0, size[0] / 2 - SMALL * reach)
        best = min(
            (
                Box(x + far * reach * dx + math.copysign(wide, dx) * (abs(dx) > 0), y + far * reach * dy, *size)
                for far in rings
                for dx, dy in _PLACES
            ),
            key=lambda box: (
                _cost(box, (x, y), wide=wide, obstacles=obstacles, placed=placed, bounds=bounds),
                _distance(box, (x, y), wide) // reach,
            ),
        )
        placed.append(best)
    return tuple((box.x, box.y) for box in placed)


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
    box: Box,
    mark: tuple[float, float],
    *,
    wide: float,
    obstacles: Sequence[tuple[float, float]],
    placed: Sequence[Box],
    bounds: Box,
) -> float:
    """What a label (a box around its centre) covers: labels count most, then marks, then nearness to strange marks."""
    x, y, half_w, half_h = box.x, box.y, box.width / 2, box.height / 2
    outside = not (
        bounds.x + half_w <= x <= bounds.x + bounds.width - half_w
        and bounds.y + half_h <= y <= bounds.y + bounds.height - half_h
    )
    own = _distance(box, mark, wide)
    strangers = sum(_distance(box, other, wide) < own - 0.04 for other in obstacles)
    marks = sum(abs(ox - x) < half_w + 4 and abs(oy - y) < half_h + 4 for ox, oy in obstacles)
    labels = sum(
        abs(other.x - x) < (other.width + box.width) / 2 and abs(other.y - y) < (other.height + box.height) / 2
        for other in placed
    )
    return 10.0 * outside + 3.0 * labels + marks + 0.6 * min(strangers, 2)


def _distance(box: Box, point: tuple[float, float], wide: float) -> float:
    """From a point to the middle of a label, which is a line as long as the label is wider than a number."""
    return math.hypot(max(0.0, abs(point[0] - box.x) - wide), point[1] - box.y)
