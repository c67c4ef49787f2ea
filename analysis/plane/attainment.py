"""What configs reach on every block, on most and on any: attainment surfaces of the accumulation-retention plane.

On one block, a point is attained if some config is at least as good in both AKA and AZS: all points below a staircase.
The level-l surface bounds what is attained on at least l of S blocks (Grunert da Fonseca et al. 2001). At each AKA it
is the l-th largest of the S staircases. A level counts blocks: it is no confidence level. The configs must be the same
on every block, or the surfaces would show how many there are. "Any" is the frontier of all trials pooled, which noise
alone raises.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from analysis.pareto import FloatArray, IntArray, nondominated

Label = Literal["any", "most", "all"]


@dataclass(frozen=True, kw_only=True)
class Surface:
    """Corners of a staircase by rising AKA `x` (and falling AZS `y`), attained on at least `level` of the blocks."""

    level: int
    blocks: int
    x: FloatArray
    y: FloatArray

    @property
    def label(self) -> Label | None:
        """The name of the level, None for one between."""
        return next((label for label, level in _levels(self.blocks).items() if level == self.level), None)

    @property
    def words(self) -> str:
        """What the level means."""
        if self.blocks == 1:
            return "on the only block"
        if self.level == self.blocks:
            return f"on all {self.blocks} blocks"
        return f"on at least {self.level} of {self.blocks} blocks"


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How much the attained sets of the blocks differ, in units of area (AKA times AZS).

    `expectation` is the Vorob'ev expectation: the smallest level surface whose area is at least `mean_area`, that of
    the blocks' own sets. `deviation` is the mean area in which a block's set differs from it (Binois et al. 2015).
    """

    expectation: Surface
    mean_area: float
    deviation: float

    @property
    def relative(self) -> float | None:
        """The deviation as a share of the mean area; None where nothing is attained."""
        return self.deviation / self.mean_area if self.mean_area > 0 else None


@dataclass(frozen=True, kw_only=True)
class AttainmentDifference:
    """Blocks on which A attains a cell minus blocks on which B does, an integer from -S to S.

    Cell (i, j) is x_edges[i] < AKA <= x_edges[i + 1], y_edges[j] < AZS <= y_edges[j + 1]; the difference is exactly
    `levels[i, j]` on all of it, and zero right of and above the grid. The grid is as coarse as this allows.
    """

    x_edges: FloatArray
    y_edges: FloatArray
    levels: IntArray
    blocks: int


def surface(x_CS: npt.ArrayLike, y_CS: npt.ArrayLike, *, level: int) -> Surface:
    """The surface of what is attained on at least `level` blocks."""
    x, y = _cloud(x_CS, y_CS)
    if not 1 <= level <= x.shape[1]:
        raise ValueError(f"level must be from 1 to the number of blocks ({x.shape[1]}), got {level}")
    grid_G, heights_SG = _staircases(x, y)
    return _surface(grid_G, _ranked(heights_SG), level)


def surfaces(x_CS: npt.ArrayLike, y_CS: npt.ArrayLike) -> tuple[Surface, ...]:
    """The surfaces "any", "most" (more than half) and "all"; with 2 blocks without "most", with 1 block only "all"."""
    grid_G, heights_SG = _staircases(*_cloud(x_CS, y_CS))
    ranked_LG = _ranked(heights_SG)
    return tuple(_surface(grid_G, ranked_LG, level) for level in _levels(len(ranked_LG)).values())


def spread(x_CS: npt.ArrayLike, y_CS: npt.ArrayLike, *, reference: tuple[float, float]) -> Spread:
    """Vorob'ev expectation and deviation of the attained sets above and right of `reference`."""
    grid_G, heights_SG = _staircases(*_cloud(x_CS, y_CS))
    width_G = np.diff(np.maximum(grid_G, reference[0]), prepend=reference[0])
    above_SG = np.maximum(heights_SG - reference[1], 0.0)
    ranked_LG = _ranked(above_SG)
    mean_area = float((above_SG @ width_G).mean())
    areas_L = ranked_LG @ width_G
    areas_L[0] = max(areas_L[0], mean_area)  # true but for rounding
    level = int(np.flatnonzero(areas_L >= mean_area)[-1]) + 1
    deviation = float((np.abs(above_SG - ranked_LG[level - 1]) @ width_G).mean())
    return Spread(expectation=_surface(grid_G, _ranked(heights_SG), level), mean_area=mean_area, deviation=deviation)


def attainment_difference(
    a: tuple[npt.ArrayLike, npt.ArrayLike], b: tuple[npt.ArrayLike, npt.ArrayLike], *, reference: tuple[float, float]
) -> AttainmentDifference:
    """Where A attains more often than B, above and right of `reference`; sides are (x_CS, y_CS) on the same blocks."""
    sides = [_cloud(*side) for side in (a, b)]
    blocks = sides[0][0].shape[1]
    if sides[1][0].shape[1] != blocks:
        raise ValueError(f"both sides need the same blocks, got {blocks} and {sides[1][0].shape[1]}")
    fronts = [[_front(x[:, s], y[:, s]) for s in range(blocks)] for x, y in sides]
    corners = np.concatenate([front for side in fronts for front in side])
    right, top = (np.unique(corners[:, i][corners[:, i] > reference[i]]) for i in (0, 1))
    levels = np.zeros((len(right), len(top)), dtype=np.int64)
    for side, sign in zip(fronts, (1, -1), strict=True):
        for front in side:
            below = np.append(front[:, 1], -np.inf)[np.searchsorted(front[:, 0], right, side="left")]
            levels += sign * (below[:, None] >= top[None, :])
    keep_x, keep_y = _changes(levels), _changes(levels.T)
    return AttainmentDifference(
        x_edges=np.concatenate(([reference[0]], right[keep_x])),
        y_edges=np.concatenate(([reference[1]], top[keep_y])),
        levels=levels[np.ix_(keep_x, keep_y)],
        blocks=blocks,
    )


def _cloud(x_CS: npt.ArrayLike, y_CS: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    x, y = np.asarray(x_CS, dtype=float), np.asarray(y_CS, dtype=float)
    if x.ndim != 2 or x.shape != y.shape or x.size == 0:
        raise ValueError(f"x and y must be of one shape (configs, blocks), got {x.shape} and {y.shape}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("x and y must be finite: every config must have run on every block")
    return x, y


def _levels(blocks: int) -> dict[Label, int]:
    if blocks == 1:
        return {"all": 1}
    if blocks == 2:
        return {"any": 1, "all": 2}
    return {"any": 1, "most": blocks // 2 + 1, "all": blocks}


def _staircases(x_CS: FloatArray, y_CS: FloatArray) -> tuple[FloatArray, FloatArray]:
    """All x in rising order, and per block the largest y at this x or right of it (minus infinity if there is none)."""
    grid_G, column = np.unique(x_CS, return_inverse=True)
    heights_SG = np.full((x_CS.shape[1], len(grid_G)), -np.inf)
    rows = np.broadcast_to(np.arange(x_CS.shape[1]), x_CS.shape)
    np.maximum.at(heights_SG, (rows, column.reshape(x_CS.shape)), y_CS)
    return grid_G, np.asarray(np.maximum.accumulate(heights_SG[:, ::-1], axis=1)[:, ::-1], dtype=float)


def _ranked(heights_SG: FloatArray) -> FloatArray:
    """Row l - 1 is the l-th largest staircase at each x."""
    return np.asarray(np.sort(heights_SG, axis=0)[::-1], dtype=float)


def _surface(grid_G: FloatArray, ranked_LG: FloatArray, level: int) -> Surface:
    height_G = ranked_LG[level - 1]
    corner_G = height_G > np.append(height_G[1:], -np.inf)
    return Surface(level=level, blocks=len(ranked_LG), x=grid_G[corner_G], y=height_G[corner_G])


def _front(x: FloatArray, y: FloatArray) -> FloatArray:
    """The non-dominated points (K, 2) by rising x."""
    return np.asarray(np.unique(np.stack((x, y), axis=1)[nondominated(x, y)], axis=0), dtype=float)


def _changes(levels_XY: IntArray) -> IntArray:
    """Rows that differ from the next one, and the last row: where cells that are alike end."""
    if len(levels_XY) == 0:
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(np.append((levels_XY[1:] != levels_XY[:-1]).any(axis=1), True))
