"""Comparisons of pairs of configs: paired over blocks, choices made on other blocks than those that score them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from analysis.arrays import FloatArray
from analysis.configs import Config
from analysis.findings.evidence import CannotTest, Comparison, Evidence, Quantity, by_context, in_points
from analysis.uncertainty import estimate

AlikeRows = tuple[list[int], list[int]]
"""Rows of the left and of the right side, all trained alike."""

ALIKE = "such configs that agree on everything else"


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side of a comparison: its name, the rows that stand for it, all rows they were chosen from, its point.

    A side that is no config, such as a line, has a name alone.
    """

    name: str
    rows: tuple[int, ...] = ()
    candidates: tuple[int, ...] = ()
    point: tuple[float, float] | None = None

    def renamed(self, name: str) -> "Side":
        """The same side by another name."""
        return Side(name=name, rows=self.rows, candidates=self.candidates, point=self.point)


class SideNames(TypedDict):
    """Names of the two sides of a comparison."""

    left: str
    right: str


def side_of(
    evidence: Evidence, name: str, chosen_KS: npt.ArrayLike, candidates: Sequence[int] = (), *, task: int = -1
) -> Side:
    """A side from the rows that stand for it (groups, blocks), which are at its point after a task (-1: the last)."""
    rows_KS = np.atleast_2d(np.asarray(chosen_KS, dtype=np.int64))
    rows = tuple(np.unique(rows_KS).tolist())
    if task == -1:
        aka, azs = (values_of(evidence, quantity, rows_KS) for quantity in ("AKA", "AZS"))
    else:
        assert evidence.paths is not None
        aka, azs = np.moveaxis(evidence.paths[rows_KS, np.arange(rows_KS.shape[1]), task], -1, 0)
    return Side(
        name=name,
        rows=rows,
        candidates=tuple(sorted({*candidates, *rows})),
        point=(float(aka.mean()), float(azs.mean())),
    )


def placeless(evidence: Evidence, name: str, chosen: npt.ArrayLike, candidates: Sequence[int]) -> Side:
    """A side that is itself a difference, and so has no point; the rows `chosen` for it are (..., blocks)."""
    known = side_of(evidence, name, np.reshape(np.asarray(chosen), (-1, evidence.blocks)), candidates)
    return Side(name=name, rows=known.rows, candidates=known.candidates)


def values_of(evidence: Evidence, quantity: Quantity, chosen_KS: npt.ArrayLike) -> FloatArray:
    """The quantity of chosen rows, each on its block (groups, blocks)."""
    rows_KS = np.asarray(chosen_KS, dtype=np.int64)
    return np.asarray(evidence.values[quantity][rows_KS, np.arange(rows_KS.shape[-1])], dtype=float)


def comparison_of(
    difference_PS: FloatArray,
    quantity: Quantity,
    left: Side,
    right: Side,
    *,
    scope: str | None = None,
    margin: float | None = None,
) -> Comparison:
    """A comparison from the differences (pairs, blocks) and both sides."""
    return Comparison(
        scope=scope,
        left=left.name,
        right=right.name,
        quantity=quantity,
        difference=estimate(difference_PS.mean(axis=0)),
        pairs=len(difference_PS),
        positive_pairs=int(np.sum(difference_PS.mean(axis=1) > 0)),
        left_point=left.point,
        right_point=right.point,
        margin=margin,
        left_configs=_numbers(left.rows),
        right_configs=_numbers(right.rows),
        candidates=_numbers((*left.candidates, *right.candidates)),
    )


def of_pairs(
    evidence: Evidence,
    pairs: Sequence[tuple[int, int]],
    quantity: Quantity,
    *,
    left: str,
    right: str,
    scope: str | None = None,
    allowance: float = 0.0,
) -> Comparison:
    """The mean over pairs, per block; every pair counts the same. The left may be worse by the allowance."""
    return of_best(
        evidence, [([a], [b]) for a, b in pairs], quantity, left=left, right=right, scope=scope, allowance=allowance
    )


def of_best(
    evidence: Evidence,
    alike: Sequence[tuple[Sequence[int], Sequence[int]]],
    quantity: Quantity,
    *,
    left: str,
    right: str,
    scope: str | None = None,
    by: Quantity = "GM",
    margin: float | None = None,
    allowance: float = 0.0,
) -> Comparison:
    """The best of the left minus the best of the right rows, as the mean over what is alike.

    Per block, both are chosen on the other blocks, `by` their highest. The left may be worse by the allowance.
    """
    left_KS, right_KS = (np.array([evidence.highest(rows[side], by) for rows in alike]) for side in (0, 1))
    return comparison_of(
        values_of(evidence, quantity, left_KS) - values_of(evidence, quantity, right_KS) + allowance,
        quantity,
        side_of(evidence, plus(left, allowance), left_KS, [row for rows, _ in alike for row in rows]),
        side_of(evidence, right, right_KS, [row for _, rows in alike for row in rows]),
        scope=scope,
        margin=margin,
    )


def of_paths(
    evidence: Evidence,
    pairs: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]],
    quantity: Quantity,
    task: int,
    *,
    left: str,
    right: str,
) -> Comparison:
    """AKA or AZS after a task, mean over pairs of rows, or of a row for every block."""
    assert evidence.paths is not None
    value_CS = evidence.paths[:, :, task, 0 if quantity == "AKA" else 1]
    blocks = np.arange(evidence.blocks)
    sides = [np.array([np.broadcast_to(rows, len(blocks)) for rows in side]) for side in zip(*pairs, strict=True)]
    return comparison_of(
        value_CS[sides[0], blocks] - value_CS[sides[1], blocks],
        quantity,
        side_of(evidence, left, sides[0], task=task),
        side_of(evidence, right, sides[1], task=task),
    )


def per_group(
    evidence: Evidence,
    pairs: Sequence[tuple[int, int]],
    quantity: Quantity,
    name_of: Callable[[Config], str],
    *,
    left: str,
    right: str,
) -> tuple[Comparison, ...]:
    """The same comparison for each group of pairs, so that one that disagrees can be seen; none for a single group."""
    groups: dict[str, list[tuple[int, int]]] = {}
    for pair in pairs:
        groups.setdefault(name_of(evidence.configs[pair[0]]), []).append(pair)
    if len(groups) < 2:
        return ()
    return tuple(
        of_pairs(evidence, members, quantity, scope=name, left=left, right=right)
        for name, members in sorted(groups.items())
    )


# -- who is compared with whom -----------------------------------------------------------------------------------------


def pairs_by(evidence: Evidence, rows: Sequence[int], axis: str) -> list[tuple[int, int]]:
    """All pairs of some rows that differ in one numeric axis only, the smaller value first."""
    return [
        (a, b) if (evidence.configs[a].number(axis) or 0.0) < (evidence.configs[b].number(axis) or 0.0) else (b, a)
        for group in by_context(evidence, rows, (axis,))
        for a, b in combinations([row for row in group if evidence.configs[row].number(axis) is not None], 2)
    ]


def between(
    evidence: Evidence, differ: Sequence[str], left: Callable[[Config], bool], right: Callable[[Config], bool]
) -> list[tuple[int, int]]:
    """All pairs of a left and a right config that agree outside `differ`."""
    return [
        (a, b)
        for group in by_context(evidence, evidence.rows(), differ)
        for a in group
        for b in group
        if left(evidence.configs[a]) and right(evidence.configs[b])
    ]


def trained_alike(
    evidence: Evidence, left: Sequence[int], right: Sequence[int], differ: Sequence[str]
) -> list[AlikeRows]:
    """Rows of both sides for every way of training that both have."""
    groups = by_context(evidence, [*left, *right], differ)
    pairs = [([row for row in group if row in left], [row for row in group if row in right]) for group in groups]
    return [(ours, theirs) for ours, theirs in pairs if ours and theirs]


def at_common_rates(evidence: Evidence, alike: Sequence[AlikeRows]) -> list[AlikeRows]:
    """The same sides at the learning rates that both have, so that neither has more to choose from."""
    found = []
    for sides in alike:
        rates = set.intersection(*({evidence.rate(row) for row in rows} for rows in sides))
        left, right = ([row for row in rows if evidence.rate(row) in rates] for rows in sides)
        if rates:
            found.append((left, right))
    return found


def ends_of(
    evidence: Evidence, rows: Sequence[int], size: Callable[[Config], float | None], differ: Sequence[str]
) -> list[AlikeRows]:
    """For every way of training with two sizes or more: the rows of the largest and those of the smallest."""
    found = []
    for group in by_context(evidence, rows, differ):
        sizes = {row: value for row in group if (value := size(evidence.configs[row])) is not None}
        if len(set(sizes.values())) > 1:
            largest, smallest = (
                [row for row, value in sizes.items() if value == end]
                for end in (max(sizes.values()), min(sizes.values()))
            )
            found.append((largest, smallest))
    return found


def lacks(sides: Sequence[tuple[Sequence[object], str]]) -> CannotTest:
    """What a study lacks: the needs without rows, or configs that agree where every need has some."""
    needs = tuple(dict.fromkeys(need for rows, need in sides if not rows))
    return CannotTest(needs or (ALIKE,))


def plus(name: str, allowance: float) -> str:
    """The name of a side with the allowance that is added to it, so that it may be worse by that much."""
    if not allowance:
        return name
    return f"{name} {'plus' if allowance > 0 else 'less'} {in_points(abs(allowance))}"


def _numbers(rows: Sequence[int]) -> tuple[int, ...]:
    return tuple(sorted({row + 1 for row in rows}))
