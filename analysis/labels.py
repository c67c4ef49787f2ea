"""Where to put the labels of marks: next to them, and not on each other."""

from collections.abc import Sequence
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle in pixels."""

    x: float
    y: float
    width: float
    height: float


def place(
    anchors: Sequence[tuple[float, float]],
    *,
    size: tuple[float, float],
    obstacles: Sequence[tuple[float, float]],
    bounds: Box,
    reach: float = 11.0,
) -> tuple[tuple[float, float], ...]:
    """Centre of each label: of 16 places around its mark the one that covers least, in the order of `anchors`.

    Args:
        anchors: the marks that get a label, in pixels.
        size: width and height of a label.
        obstacles: all marks.
        bounds: labels stay inside.
        reach: distance from a mark to its label's centre; places twice as far away are tried as well.
    """
    placed: list[tuple[float, float]] = []
    for x, y in anchors:
        best = min(
            ((x + far * reach * dx, y + far * reach * dy) for far in (1.0, 1.9) for dx, dy in _PLACES),
            key=lambda centre: (
                _cost(centre, (x, y), size=size, obstacles=obstacles, placed=placed, bounds=bounds),
                (centre[0] - x) ** 2 + (centre[1] - y) ** 2 > (1.5 * reach) ** 2,
            ),
        )
        placed.append(best)
    return tuple(placed)


_PLACES = ((1, -0.8), (-1, -0.8), (1, 0.8), (-1, 0.8), (0, -1.2), (1.2, 0), (-1.2, 0), (0, 1.2))


def _cost(
    centre: tuple[float, float],
    mark: tuple[float, float],
    *,
    size: tuple[float, float],
    obstacles: Sequence[tuple[float, float]],
    placed: Sequence[tuple[float, float]],
    bounds: Box,
) -> float:
    x, y = centre
    half_w, half_h = size[0] / 2, size[1] / 2
    outside = not (
        bounds.x + half_w <= x <= bounds.x + bounds.width - half_w
        and bounds.y + half_h <= y <= bounds.y + bounds.height - half_h
    )
    own = (x - mark[0]) ** 2 + (y - mark[1]) ** 2
    strangers = sum((ox - x) ** 2 + (oy - y) ** 2 < own - 1 for ox, oy in obstacles)
    marks = sum(abs(ox - x) < half_w + 4 and abs(oy - y) < half_h + 4 for ox, oy in obstacles)
    labels = sum(abs(px - x) < size[0] and abs(py - y) < size[1] for px, py in placed)
    return 10.0 * outside + 3.0 * labels + marks + 0.6 * min(strangers, 2)
