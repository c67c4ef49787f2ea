"""What configs reach on every block, on most and on any: attainment surfaces of the accumulation-retention plane.

On one block, a point is attained if some config is at least as good in both AKA and AZS: all points below a staircase.
The level-l surface bounds what is attained on at least l of S blocks (Grunert da Fonseca et al. 2001). At each AKA it
is the l-th largest of the S staircases. A level counts blocks: it is no confidence level. The configs must be the same
on every block, or the surfaces would show how many there are. What is attained on any block is the frontier of all
trials pooled, which noise alone raises.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.arrays import FloatArray


@dataclass(frozen=True, kw_only=True)
class Surface:
    """Corners of a staircase by rising AKA `x` (and falling AZS `y`), attained on at least `level` of the blocks."""

    level: int
    blocks: int
    x: FloatArray
    y: FloatArray

    @property
    def words(self) -> str:
        """What the level means."""
        if self.blocks == 1:
            return "on the only block"
        if self.level == self.blocks:
            return f"on all {self.blocks} blocks"
        return f"on at least {self.level} of {self.blocks} blocks"


def surfaces(x_CS: npt.ArrayLike, y_CS: npt.ArrayLike) -> tuple[Surface, ...]:
    """The surfaces of one block, of more than half of the blocks, and of all; each level once where blocks are few."""
    grid_G, heights_SG = _staircases(*_cloud(x_CS, y_CS))
    ranked_LG = _ranked(heights_SG)
    return tuple(_surface(grid_G, ranked_LG, level) for level in sorted({1, len(ranked_LG) // 2 + 1, len(ranked_LG)}))


def _cloud(x_CS: npt.ArrayLike, y_CS: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    x, y = np.asarray(x_CS, dtype=float), np.asarray(y_CS, dtype=float)
    if x.ndim != 2 or x.shape != y.shape or x.size == 0:
        raise ValueError(f"x and y must be of one shape (configs, blocks), got {x.shape} and {y.shape}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("x and y must be finite: every config must have run on every block")
    return x, y


def _staircases(x_CS: FloatArray, y_CS: FloatArray) -> tuple[FloatArray, FloatArray]:
    """All x in rising order, and per block the largest y at this x or right of it (minus infinity if there is none)."""
    grid_G, column = np.unique(x_CS, return_inverse=True)
    heights_SG = np.full((x_CS.shape[1], len(grid_G)), -np.inf)
    rows = np.broadcast_to(np.arange(x_CS.shape[1]), x_CS.shape)
    # `maximum.at` and not an assignment: configs that share an AKA share a column, where the highest counts.
    np.maximum.at(heights_SG, (rows, column.reshape(x_CS.shape)), y_CS)
    return grid_G, np.asarray(np.maximum.accumulate(heights_SG[:, ::-1], axis=1)[:, ::-1], dtype=float)


def _ranked(heights_SG: FloatArray) -> FloatArray:
    """Row l - 1 is the l-th largest staircase at each x."""
    return np.asarray(np.sort(heights_SG, axis=0)[::-1], dtype=float)


def _surface(grid_G: FloatArray, ranked_LG: FloatArray, level: int) -> Surface:
    height_G = ranked_LG[level - 1]
    corner_G = height_G > np.append(height_G[1:], -np.inf)
    return Surface(level=level, blocks=len(ranked_LG), x=grid_G[corner_G], y=height_G[corner_G])
