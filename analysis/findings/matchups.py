"""Comparisons of methods, each at its own best config, which is chosen on the blocks that do not score it.

The best config has the highest GM, which has its optimum at a middle learning rate: a method is judged neither where it
learns nothing nor where it keeps nothing. Where the papers say "accumulates most", it has the highest AKA. Each
comparison says AKA and AZS of both sides, so that a method that learned nothing cannot pass for a good one.

A method whose learning rates tie is judged at an arbitrary one of them, which may differ from block to block: its AKA
then has a wide interval, and claims about it stay undecided more often than at a fixed rate.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from analysis.arrays import FloatArray, IntArray
from analysis.configs import matched
from analysis.findings.evidence import Comparison, Evidence, Quantity, by_context, by_family
from analysis.findings.pairs import Side, comparison_of, plus, side_of, values_of
from analysis.uncertainty import leave_one_out_means, pseudo_values

Pick = Literal["mean", "highest", "lowest"]


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One competitor: the mean of some families of configs, or the one of them that is highest or lowest."""

    name: str
    rows: tuple[int, ...]
    pick: Pick = "mean"

    def picked(self, pick: Pick) -> "Contender":
        """The highest or the lowest of the same families."""
        return replace(self, pick=pick)


@dataclass(frozen=True, kw_only=True)
class Matchup:
    """Contenders that were trained alike, each with the rows of its families."""

    evidence: Evidence
    contenders: tuple[Contender, ...]
    families: tuple[tuple[tuple[int, ...], ...], ...]

    def rows(self, place: int) -> list[int]:
        """All rows of the contender at a place."""
        return [row for family in self.families[place] for row in family]

    def chosen(self, place: int, quantity: Quantity, *, by: Quantity = "GM") -> IntArray:
        """Rows that stand for a contender (families, blocks): the best of each family, or the extreme in a quantity.

        The best of a family is highest in what is chosen `by`.
        """
        best_FS = np.array([self.evidence.highest(rows, by) for rows in self.families[place]])
        pick = self.contenders[place].pick
        if pick == "mean":
            return best_FS
        values_CS, blocks = self.evidence.values[quantity], np.arange(best_FS.shape[1])
        others_CS = leave_one_out_means(values_CS).T if len(blocks) > 1 else values_CS
        score_FS = others_CS[best_FS, blocks] * (1 if pick == "highest" else -1)
        return np.asarray(best_FS[np.argmax(score_FS, axis=0), blocks][np.newaxis], dtype=np.int64)

    def value(self, place: int, quantity: Quantity, *, by: Quantity = "GM") -> FloatArray:
        """The value of a contender (blocks,), the mean over the rows that stand for it."""
        chosen_FS = self.chosen(place, quantity, by=by)
        return np.asarray(values_of(self.evidence, quantity, chosen_FS).mean(axis=0), dtype=float)


def matchups_of(evidence: Evidence, *contenders: Contender) -> tuple[Matchup, ...]:
    """One matchup for every way of training (all axes that are no method's own) that all contenders have."""
    found = []
    for group in by_context(evidence, contenders[0].rows, evidence.own_axes):
        lead = evidence.configs[group[0]]
        rows = [
            group,
            *(
                [row for row in other.rows if matched(lead, evidence.configs[row], differ=evidence.own_axes)]
                for other in contenders[1:]
            ),
        ]
        if all(rows):
            families = tuple(tuple(map(tuple, by_family(evidence, own))) for own in rows)
            found.append(Matchup(evidence=evidence, contenders=contenders, families=families))
    return tuple(found)


def compare(
    matchups: Sequence[Matchup],
    left: int,
    right: int,
    quantity: Quantity,
    *,
    by: Quantity = "GM",
    margin: float | None = None,
    allowance: float = 0.0,
) -> Comparison:
    """The left contender minus the right one, each at its best, as the mean over matchups.

    The best is chosen `by` its highest value. The left may be worse by the allowance.
    """
    values = [[m.value(place, quantity, by=by) for m in matchups] for place in (left, right)]
    ours, theirs = (_side_of(matchups, place, quantity, by) for place in (left, right))
    return comparison_of(
        np.asarray(values[0]) - np.asarray(values[1]) + allowance,
        quantity,
        ours.renamed(plus(ours.name, allowance)),
        theirs,
        margin=margin,
    )


def below_the_line(matchups: Sequence[Matchup], place: int) -> Comparison:
    """How far a contender lies below the line between zero-shot and joint: minus its gain."""
    gains = np.asarray([matchup.value(place, "gain") for matchup in matchups])
    return comparison_of(-gains, "AZS", Side(name="The line at its AKA"), _side_of(matchups, place, "gain"))


def middle_above(matchups: Sequence[Matchup], ends: tuple[int, int], place: int) -> Comparison:
    """How much nearer in AKA a contender is to the second end than to the first: the middle of both ends minus it.

    The sign is turned where the first end has the lower AKA.
    """
    first, second, own = (np.asarray([matchup.value(i, "AKA") for matchup in matchups]) for i in (*ends, place))
    sign = 1.0 if first.mean() >= second.mean() else -1.0
    low, high = (_side_of(matchups, end, "AKA") for end in ends)
    assert low.point is not None
    assert high.point is not None
    middle = Side(
        name=f"the middle between {low.name} and {high.name}",
        rows=(*low.rows, *high.rows),
        candidates=(*low.candidates, *high.candidates),
        point=((low.point[0] + high.point[0]) / 2, (low.point[1] + high.point[1]) / 2),
    )
    ours = _side_of(matchups, place, "AKA")
    left, right = (middle, ours) if sign > 0 else (ours, middle)
    return comparison_of(sign * ((first + second) / 2 - own), "AKA", left, right)


def farther_from_zero_shot(matchups: Sequence[Matchup], left: int, right: int) -> Comparison:
    """How much farther the AKA of the left contender is from zero-shot than that of the right one.

    The size of a difference is not linear in block means, so the comparison is of jackknife pseudo-values.
    """
    evidence = matchups[0].evidence
    moved_LKS = np.asarray([[m.value(i, "AKA") - evidence.zero_shot_aka for m in matchups] for i in (left, right)])

    def farther(moved_LK: FloatArray) -> FloatArray:
        return np.asarray(np.abs(moved_LK[0]) - np.abs(moved_LK[1]), dtype=float)

    whole_K = farther(moved_LKS.mean(axis=-1))
    if moved_LKS.shape[-1] < 2:
        values_KS = whole_K[:, np.newaxis]
    else:
        values_KS = pseudo_values(whole_K, np.array([farther(part) for part in leave_one_out_means(moved_LKS)]))
    ours, theirs = _side_of(matchups, left, "AKA"), _side_of(matchups, right, "AKA")
    return comparison_of(
        values_KS,
        "AKA",
        ours.renamed(f"the distance of {ours.name} from zero-shot"),
        theirs.renamed(f"that of {theirs.name}"),
    )


def above_zero_shot(matchups: Sequence[Matchup], place: int) -> Comparison:
    """How far the AKA of a contender is above zero-shot by more than the margin, which nothing learned may be."""
    evidence = matchups[0].evidence
    margin = evidence.margins["AKA"]
    values = np.asarray([matchup.value(place, "AKA") - evidence.zero_shot_aka - margin for matchup in matchups])
    ours = _side_of(matchups, place, "AKA")
    return comparison_of(values, "AKA", ours.renamed(plus(ours.name, -margin)), Side(name="zero-shot"))


def _side_of(matchups: Sequence[Matchup], place: int, quantity: Quantity, by: Quantity = "GM") -> Side:
    """A contender as a side of a comparison; its point is the mean over matchups, however many families each has."""
    chosen = [matchup.chosen(place, quantity, by=by) for matchup in matchups]
    every = [side_of(m.evidence, "", rows, m.rows(place)) for m, rows in zip(matchups, chosen, strict=True)]
    return Side(
        name=_name(matchups, place, chosen),
        rows=tuple(row for one in every for row in one.rows),
        candidates=tuple(row for one in every for row in one.candidates),
        point=(float(np.mean([_point(one)[0] for one in every])), float(np.mean([_point(one)[1] for one in every]))),
    )


def _name(matchups: Sequence[Matchup], place: int, chosen: Sequence[IntArray]) -> str:
    """The contender's own name; an extreme of several families bears the name of the one that is chosen most often."""
    contender = matchups[0].contenders[place]
    if contender.pick == "mean":
        return contender.name
    names = [matchups[0].evidence.configs[int(row)].family for rows in chosen for row in rows[0]]
    family, times = Counter(names).most_common(1)[0]
    count = max(len(matchup.families[place]) for matchup in matchups)
    if count == 1:
        return family
    if times == len(names):
        return f"{family} (the {contender.pick} of {count})"
    return f"the {contender.pick} of {count} ({family} in {times} of {len(names)} choices)"


def _point(one: Side) -> tuple[float, float]:
    assert one.point is not None
    return one.point
