"""Masks: from signed distances to shares of ink in [0, 1], and what a bad lens or a coarse scan makes of them.

Shapes: [N, 32, 32]. Sums are written out tap by tap, so that their order and thus their bits are the same everywhere.
"""

import numpy as np

from trainables.workloads.pocket.world.drawing.fields import SIDE
from trainables.workloads.pocket.world.drawing.randomness import Floats


def fill(distance: Floats, *, weight_px: Floats | float = 0.0, softness_px: Floats | float = 1.0) -> Floats:
    """The inside, `weight_px` thicker on each side, with an edge `softness_px` wide."""
    thicker = distance + _wide(weight_px)
    return np.minimum(np.maximum(thicker / _wide(softness_px) + np.float32(0.5), 0), 1)


def outline(distance: Floats, *, width_px: Floats) -> Floats:
    """A line `width_px` wide along the edge."""
    return fill(_wide(width_px) / 2 - np.abs(distance))


def over(mask: Floats, tone: Floats | float, above: Floats) -> Floats:
    """The mask with ink of this tone put over it."""
    return mask + above * (_wide(tone) - mask)


def blurred(mask: Floats, passes: int, *, wrapped: bool = False) -> Floats:
    """The mask after so many passes of a (1, 2, 1) filter along both axes: a blur of sqrt(passes / 2) pixels."""
    for _ in range(passes):
        for axis in (1, 2):
            before, after = (_shifted(mask, by, axis, wrapped=wrapped) for by in (1, -1))
            mask = (before + after) * np.float32(0.25) + mask * np.float32(0.5)
    return mask


def coarsened(mask: Floats, cells: int) -> Floats:
    """The mask as a scan of `cells` x `cells` pixels would keep it, enlarged again."""
    return enlarged(_shrunk(_shrunk(mask, cells).transpose(0, 2, 1), cells).transpose(0, 2, 1))


def enlarged(small: Floats) -> Floats:
    """Small square masks, enlarged to [N, 32, 32] with linear interpolation."""
    return _stretched(_stretched(small).transpose(0, 2, 1)).transpose(0, 2, 1)


def _shrunk(mask: Floats, cells: int) -> Floats:
    """Means of rows, [N, cells, W]: a cell has a share of each row that it overlaps."""
    height = SIDE / cells
    made = np.zeros((len(mask), cells, mask.shape[2]), dtype=np.float32)
    for cell in range(cells):
        for row in range(SIDE):
            share = min(row + 1, (cell + 1) * height) - max(row, cell * height)
            if share > 1e-6:
                made[:, cell] += mask[:, row] * np.float32(share / height)
    return made


def _stretched(small: Floats) -> Floats:
    """Rows between the rows, [N, 32, W]."""
    cells = small.shape[1]
    at = np.clip((np.arange(SIDE, dtype=np.float32) + np.float32(0.5)) * np.float32(cells / SIDE) - 0.5, 0, cells - 1)
    first = np.minimum(at.astype(np.int64), cells - 2)
    share = (at - first).astype(np.float32)[:, None]
    rows: Floats = small[:, first] + share * (small[:, first + 1] - small[:, first])
    return rows


def _shifted(mask: Floats, by: int, axis: int, *, wrapped: bool) -> Floats:
    places = np.arange(SIDE) + by
    return np.take(mask, places % SIDE if wrapped else np.clip(places, 0, SIDE - 1), axis=axis)


def _wide(value: Floats | float) -> Floats:
    value = np.asarray(value, dtype=np.float32)
    return value.reshape(-1, 1, 1) if value.ndim == 1 else value
