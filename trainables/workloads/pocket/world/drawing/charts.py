"""Charts: nine kinds of charts of random numbers, to tell apart.

Each function draws one random example for each picture, as masks [N, 32, 32] in [0, 1]; grey is a second ink. The
axes' corner is at the lower left; heights go upwards from the base line.
"""

from collections.abc import Callable, Sequence

import numpy as np

from trainables.workloads.pocket.world.drawing.circle import angle, cosine, length, sine
from trainables.workloads.pocket.world.drawing.fields import COLUMNS, ROWS, SIDE, bar, box, disc
from trainables.workloads.pocket.world.drawing.masks import fill, outline, over
from trainables.workloads.pocket.world.drawing.randomness import Draws, Floats, Ints

_LEFT, _BASE = -13.0, 13.0


def charts(names: Sequence[str], which_N: Ints, draws: Draws) -> Floats:
    """Charts of these kinds; `which_N` are places in `names`, keys of `CHARTS`."""
    masks = np.empty((len(draws), SIDE, SIDE), dtype=np.float32)
    for k in np.unique(which_N):
        rows = np.flatnonzero(which_N == k)
        masks[rows] = CHARTS[names[k]](draws.branch("chart", rows))
    return masks


def _bar(draws: Draws) -> Floats:
    mask, count_N = _axes(draws), 3 + draws.below(4)
    step_N = (26 / count_N).astype(np.float32)
    heights = draws.uniforms(6, 4, 24)
    for k in range(6):
        left_N = np.where(k < count_N, _LEFT + 1.5 + step_N * k, 4 * SIDE).astype(np.float32)
        mask = over(mask, 1.0, fill(box(left_N, _BASE - heights[:, k], left_N + step_N * 0.7, _flat(draws, _BASE))))
    return mask


def _pie(draws: Draws) -> Floats:
    count_N = 3 + draws.below(3)
    shares = np.where(np.arange(5) < count_N[:, None], draws.uniforms(5, 0.5, 1.5), 0)
    ends = shares.astype(np.float32)
    for k in range(1, 5):
        ends[:, k] += ends[:, k - 1]
    ends = ends / ends[:, 4:]
    start_N = draws.uniform()[:, None, None]
    place = angle(COLUMNS, ROWS) + start_N
    place = place - np.floor(place)
    radius = length(COLUMNS, ROWS)
    tone = np.zeros((len(draws), SIDE, SIDE), dtype=np.float32)
    cut = np.full_like(tone, SIDE)
    for k, own in enumerate((0.6, 0.25, 0.75, 0.45, 1.0)):
        begin = ends[:, k - 1, None, None] if k else np.zeros((1, 1, 1), dtype=np.float32)
        tone = np.where((place >= begin) & (place < ends[:, k, None, None]), np.float32(own), tone)
        off = np.abs(place - begin)
        cut = np.minimum(cut, np.minimum(off, 1 - off) * radius * np.float32(6.28))
    inside = fill(draws.uniform(10.5, 14)[:, None, None] - radius)
    return inside * tone * fill(cut - np.float32(0.5))


def _line(draws: Draws) -> Floats:
    mask, heights = _axes(draws), _walk(draws)
    for k in range(5):
        x0, x1 = (_flat(draws, _LEFT + 2 + 5 * j) for j in (k, k + 1))
        mask = over(mask, 1.0, fill(bar(x0, _BASE - heights[:, k], x1, _BASE - heights[:, k + 1], 2.0)))
    return mask


def _area(draws: Draws) -> Floats:
    mask, heights = _axes(draws), _walk(draws)
    at = np.minimum(np.maximum((COLUMNS[0] - np.float32(_LEFT + 1)) / np.float32(5.2), 0), np.float32(4.999))
    first = at.astype(np.int64)
    top = heights[:, first] + (at - first).astype(np.float32) * (heights[:, first + 1] - heights[:, first])
    under = np.minimum(ROWS - (np.float32(_BASE) - top[:, None]), np.float32(_BASE) - ROWS)
    sides = np.minimum(COLUMNS - np.float32(_LEFT + 1), np.float32(14) - COLUMNS)
    return over(mask, 0.86, fill(np.minimum(under, sides)))


def _scatter(draws: Draws) -> Floats:
    mask = _axes(draws)
    for _ in range(14):
        x_N, y_N = np.moveaxis(draws.uniforms(2, -1, 1), 1, 0)
        mask = over(mask, 1.0, fill(disc(np.float32(12.2) * x_N + 2, np.float32(12) * y_N - 1, 1.3)))
    return mask


def _bubble(draws: Draws) -> Floats:
    mask, sizes = _axes(draws), draws.ranked(3)
    radii = np.array((2.5, 4.0, 5.5), dtype=np.float32)
    for k in range(3):
        x_N, y_N = _flat(draws, 8 * (k - 1) + 1) + draws.uniform(-1.5, 1.5), draws.uniform(-8, 7)
        mask = over(mask, 0.78, fill(disc(x_N, y_N, radii[sizes[:, k]])))
    return mask


def _radar(draws: Draws) -> Floats:
    corners = (5 + draws.below(2))[:, None, None].astype(np.float32)
    reach = np.concatenate((draws.uniforms(6, 4, 12.5),) * 2, axis=1)
    place = angle(COLUMNS, ROWS) + np.float32(0.25)
    at = (place - np.floor(place)) * corners
    first = np.minimum(np.floor(at), corners - 1)
    share = at - first
    after = np.where(first + 1 >= corners, 0, first + 1).astype(np.int64)
    rows = np.arange(len(draws))[:, None, None]
    near, far = reach[rows, first.astype(np.int64)], reach[rows, after]
    radius = length(COLUMNS, ROWS)
    mask = np.float32(0.94) * fill(near + share * (far - near) - radius)
    bow = 1 - 4 * share * (1 - share) * np.where(corners == 5, np.float32(0.19), np.float32(0.134))
    mask = over(mask, 0.6, outline(np.float32(13.5) * bow - radius, width_px=_flat(draws, 1.0)))
    for k in range(6):
        turn_N = (np.minimum(k, corners[:, 0, 0] - 1) / corners[:, 0, 0]).astype(np.float32) - np.float32(0.25)
        zero_N = _flat(draws, 0)
        spoke = bar(zero_N, zero_N, 13 * cosine(turn_N), 13 * sine(turn_N), 0.6)
        mask = over(mask, 0.6, np.float32(0.7) * fill(spoke))
    return mask


def _heatmap(draws: Draws) -> Floats:
    cells = (4 + draws.below(2))[:, None, None]
    step = 28 / cells.astype(np.float32)
    column, row = (np.floor((places + 14) / step) for places in (COLUMNS, ROWS))
    inside = (column >= 0) & (column < cells) & (row >= 0) & (row < cells)
    number = np.where(inside, row * 5 + column, 0).astype(np.int64)
    tone = draws.uniforms(25, 0.08, 1.0)[np.arange(len(draws))[:, None, None], number]
    gap = np.minimum(COLUMNS + 14 - column * step, ROWS + 14 - row * step)
    return np.where(inside, tone * fill(gap - np.float32(0.4)), 0).astype(np.float32)


def _box(draws: Draws) -> Floats:
    mask = _axes(draws)
    for k in range(3):
        x_N = _flat(draws, 8 * (k - 1) + 1)
        low_N, high_N = draws.uniform(4, 7), draws.uniform(21, 25)
        first_N, third_N = draws.uniform(9, 12), draws.uniform(15, 19)
        mask = over(mask, 1.0, fill(bar(x_N, _BASE - low_N, x_N, _BASE - high_N, 1.0)))
        body = box(x_N - np.float32(2.5), _BASE - third_N, x_N + np.float32(2.5), _BASE - first_N)
        mask = over(mask, 0.47, fill(body))
        mask = over(mask, 1.0, outline(body, width_px=_flat(draws, 1.0)))
    return mask


CHARTS: dict[str, Callable[[Draws], Floats]] = {
    "bar": _bar,
    "pie": _pie,
    "line": _line,
    "area": _area,
    "scatter": _scatter,
    "bubble": _bubble,
    "radar": _radar,
    "heatmap": _heatmap,
    "boxplot": _box,
}


def _axes(draws: Draws) -> Floats:
    """Axes in grey, in seven of ten pictures."""
    tone_N = np.where(draws.uniform() < 0.7, np.float32(0.6), np.float32(0))[:, None, None]
    left, base, end = _flat(draws, _LEFT), _flat(draws, _BASE + 0.5), _flat(draws, 15)
    return tone_N * fill(np.maximum(bar(left, -end, left, base, 1.0), bar(left, base, end, base, 1.0)))


def _walk(draws: Draws) -> Floats:
    """Six heights [N, 6], each not far from the one before."""
    heights, steps = draws.uniforms(1, 7, 20), draws.uniforms(5, -6.5, 6.5)
    for k in range(5):
        heights = np.concatenate((heights, heights[:, -1:] + steps[:, k : k + 1]), axis=1)
    return np.minimum(np.maximum(heights, 3), 26)


def _flat(draws: Draws, value: float) -> Floats:
    return np.full(len(draws), value, dtype=np.float32)
