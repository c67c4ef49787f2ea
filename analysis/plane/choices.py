"""Choices under a constraint: what learns most for a given loss of retention, what loses least for a given learning.

The config that looks best among many is partly the luckiest, and so is one that just keeps a limit. Hence the honest
values: for every block the choice is made on the OTHER blocks, limit included, and scored on this one. They say what to
expect of choosing this way, and whether the limit will be kept.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analysis.arrays import BoolArray, FloatArray
from analysis.plane.points import Means, Points
from analysis.uncertainty import Estimate, estimate

ROUNDING = 1e-9
STAY = -1
"""The choice of not updating: the zero-shot model learns nothing and loses nothing."""

Rule = Callable[[FloatArray, FloatArray], int | None]
"""The row to choose by what configs learn and lose; None where no config keeps the limit."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The config chosen on all blocks, what it learns (AKA above zero-shot) and loses (AZS below it): fractions.

    `eligible` counts configs that keep the limit on all blocks. `agreeing_blocks` counts blocks whose honest choice is
    this one. `no_row` and `no_honest` are the reasons for what is None.
    """

    row: int | None
    learned: Estimate | None
    lost: Estimate | None
    honest_learned: Estimate | None
    honest_lost: Estimate | None
    agreeing_blocks: int
    eligible: int
    no_row: str | None
    no_honest: str | None


def most_learned(points: Points, *, max_loss: float) -> Choice:
    """The config that learns most among those that lose at most `max_loss` AZS; if none learns anything, none."""
    if max_loss < 0:
        raise ValueError(f"max_loss is a loss of AZS, 0 or more, got {max_loss}")

    def rule(learned_C: FloatArray, lost_C: FloatArray) -> int:
        worth = np.where(_keeps(-lost_C, -max_loss), learned_C, -np.inf)
        best = int(np.argmax(worth))
        return best if worth[best] > 0 else STAY

    eligible = _keeps(-_lost(points.means()), -max_loss)
    nothing = f"no config that loses at most {_points(max_loss)} of AZS learns anything"
    return _choice(points, rule, eligible=eligible, nothing=nothing)


def least_lost(points: Points, *, min_learned: float) -> Choice:
    """The config that loses least among those that learn at least `min_learned` AKA; it may retain more than before."""
    if min_learned <= 0:
        raise ValueError(f"min_learned is a gain of AKA above 0, got {min_learned}")

    def rule(learned_C: FloatArray, lost_C: FloatArray) -> int | None:
        worth = np.where(_keeps(learned_C, min_learned), -lost_C, -np.inf)
        best = int(np.argmax(worth))
        return best if np.isfinite(worth[best]) else None

    eligible = _keeps(_learned(points.means()), min_learned)
    nothing = f"no config learns {_points(min_learned)} of AKA"
    return _choice(points, rule, eligible=eligible, nothing=nothing)


def _points(share: float) -> str:
    return "1 point" if share == 0.01 else f"{100 * share:g} points"


def _choice(points: Points, rule: Rule, *, eligible: BoolArray, nothing: str) -> Choice:
    means, blocks = points.means(), np.arange(points.blocks)
    row = rule(_learned(means), _lost(means))
    learned_CS = points.x - points.zero_shot[:, 0]
    lost_CS = points.zero_shot[:, 1] - points.y
    honest, no_honest = _honest_rows(points, rule, nothing)
    stays = row is None or row == STAY
    # The last row is the zero-shot model's, where STAY points to.
    honest_learned, honest_lost = (
        None if honest is None else estimate(np.vstack([values, np.zeros(points.blocks)])[honest, blocks])
        for values in (learned_CS, lost_CS)
    )
    return Choice(
        row=None if stays else row,
        learned=None if stays else estimate(learned_CS[row]),
        lost=None if stays else estimate(lost_CS[row]),
        honest_learned=honest_learned,
        honest_lost=honest_lost,
        agreeing_blocks=0 if honest is None else sum(other == row for other in honest),
        eligible=int(eligible.sum()),
        no_row=nothing if stays else None,
        no_honest=no_honest,
    )


def _honest_rows(points: Points, rule: Rule, nothing: str) -> tuple[list[int] | None, str | None]:
    """For each block the row chosen on the other ones, or why there is none."""
    if points.blocks < 2:
        return None, "choosing on other blocks needs at least 2 blocks"
    left_out = [points.means(without=block) for block in range(points.blocks)]
    rows = [rule(_learned(means), _lost(means)) for means in left_out]
    found = [row for row in rows if row is not None]
    if len(found) < len(rows):
        return None, f"{nothing}, as the other blocks see it, for {len(rows) - len(found)} of {len(rows)} blocks"
    return found, None


def _learned(means: Means) -> FloatArray:
    return np.asarray(means.x - means.zero_shot[0], dtype=float)


def _lost(means: Means) -> FloatArray:
    return np.asarray(means.zero_shot[1] - means.y, dtype=float)


def _keeps(values: FloatArray, least: float) -> BoolArray:
    return np.asarray(values >= least - ROUNDING, dtype=bool)
