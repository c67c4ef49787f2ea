"""What a claim may look at, and comparisons of pairs of configs: paired over blocks, choices made on other blocks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, TypedDict

import numpy as np

from analysis.configs import METHOD_AXES, Config, context
from analysis.frontier import Frontier
from analysis.pareto import BoolArray, FloatArray, IntArray
from analysis.uncertainty import (
    MIN_BLOCKS,
    Estimate,
    estimate,
    honest_choice,
)

Verdict = Literal["held", "did not hold", "undecided", "not tested"]
Quantity = Literal["AKA", "AZS", "GM", "gain"]

NEGLIGIBLE = 0.001
"""0.1 accuracy points: an interval that ends below this refutes a claim."""

OWN_AXES = (*sorted(METHOD_AXES), "lr")
"""In these two methods may differ and still be compared: each is judged at its best."""
AVERAGE = "lerp"
"""The rule that arXiv 2408.14471 merges by."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """`left` minus `right` in one quantity, paired over blocks and averaged over pairs of configs; a fraction.

    `scope` names the configs compared where these are not all that the claim is about. With a `margin` the claim is
    that the sides are equal to within it. The points are (AKA, AZS) of the sides; None for a side that is no config.
    """

    scope: str | None
    left: str
    right: str
    quantity: Quantity
    difference: Estimate
    pairs: int
    positive_pairs: int
    left_point: tuple[float, float] | None
    right_point: tuple[float, float] | None
    margin: float | None = None

    @property
    def verdict(self) -> Verdict:
        """What this comparison alone says."""
        return self._decide()[0]

    @property
    def reason(self) -> str | None:
        """Why it is undecided, if it is."""
        return self._decide()[1]

    def _decide(self) -> tuple[Verdict, str | None]:
        low, high = self.difference.low, self.difference.high
        if low is None or high is None:
            few = "1 block gives" if self.difference.blocks == 1 else f"{self.difference.blocks} blocks give"
            return "undecided", f"{few} no interval; at least {MIN_BLOCKS} are needed"
        if self.margin is not None:
            if -self.margin < low and high < self.margin:
                return "held", None
            if low > self.margin or high < -self.margin:
                return "did not hold", None
            return "undecided", f"the interval reaches beyond {100 * self.margin:g} point either way"
        if low > 0:
            return "held", None
        if high < NEGLIGIBLE:
            return "did not hold", None
        return "undecided", "the interval contains zero"


class Sides(TypedDict):
    """Names of the two sides of a comparison."""

    left: str
    right: str


@dataclass(frozen=True, kw_only=True)
class Case:
    """The comparisons of a claim, which holds if all the decisive ones hold; `further` ones show what stands behind."""

    decisive: tuple[Comparison, ...]
    further: tuple[Comparison, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Configs and their values (configs, blocks); for the gain these are pseudo-values. `zero_shot_aka` is (blocks,).

    `paths` is AKA and AZS after every task (configs, blocks, tasks + 1, 2); None where numbers of tasks differ.

    `criterion` is what the best config of a method is chosen by, among those that `learned` on the other blocks.
    """

    configs: tuple[Config, ...]
    values: Mapping[Quantity, FloatArray]
    criterion: FloatArray
    learned: BoolArray | None
    zero_shot_aka: FloatArray
    paths: FloatArray | None = None

    def rows(self, *, method: str | None = None, timeline: str | None = None, rank: float | None = None) -> list[int]:
        """Trained configs with these values, all of them where a value is not given.

        With a method: those of the method alone, without a penalty or a projection composed with it.
        """
        return [
            row
            for row, config in enumerate(self.configs)
            if config.trained
            and (method is None or config.axes["method"] == method)
            and (method is None or (config.axes.get("penalty") is None and config.axes.get("projection") is None))
            and (timeline is None or config.timeline == timeline)
            and (rank is None or config.number("rank") == rank)
        ]

    def best(self, rows: Sequence[int]) -> IntArray:
        """Per block, which of some rows is best according to the other blocks."""
        chosen = list(rows)
        eligible = None if self.learned is None else self.learned[chosen]
        return np.asarray(chosen)[honest_choice(self.criterion[chosen], eligible_CS=eligible)]


def evidence_of(frontier: Frontier) -> Evidence:
    """The evidence of a study."""
    samples = frontier.samples
    values: dict[Quantity, FloatArray] = {"AKA": samples.aka, "AZS": samples.azs, "GM": samples.gm}
    if samples.gain is not None:
        values["gain"] = samples.gain
    return Evidence(
        configs=tuple(result.config for result in frontier.results),
        values=values,
        criterion=samples.gm if samples.gain is None else samples.gain,
        learned=samples.learned,
        zero_shot_aka=samples.zero_shot[:, 0],
        paths=samples.paths,
    )


def by_family(evidence: Evidence, rows: Sequence[int]) -> list[list[int]]:
    """Rows grouped by family."""
    groups: dict[str, list[int]] = {}
    for row in rows:
        groups.setdefault(evidence.configs[row].family, []).append(row)
    return list(groups.values())


def averaging(evidence: Evidence, timeline: str | None = None) -> list[int]:
    """Configs that merge by a weighted average alone, or not at all; nothing is interpolated with the base on top."""
    return [
        row
        for row in evidence.rows(timeline=timeline)
        if (axes := evidence.configs[row].axes).get("rule") in (None, AVERAGE)
        and axes.get("lines") is None
        and axes.get("wise_ft") is None
        and axes.get("merge_logit_scale") in (None, "merge")
    ]


def by_context(evidence: Evidence, rows: Sequence[int], differ: Sequence[str]) -> list[list[int]]:
    """Rows grouped by all axes outside `differ`."""
    groups: dict[object, list[int]] = {}
    for row in rows:
        groups.setdefault(context(evidence.configs[row], differ=differ), []).append(row)
    return list(groups.values())


def pairs_by(evidence: Evidence, axis: str) -> list[tuple[int, int]]:
    """All pairs that differ in one numeric axis only, the smaller value first."""
    return [
        (a, b) if (evidence.configs[a].number(axis) or 0.0) < (evidence.configs[b].number(axis) or 0.0) else (b, a)
        for group in by_context(evidence, evidence.rows(), (axis,))
        for a, b in combinations([row for row in group if evidence.configs[row].number(axis) is not None], 2)
    ]


# -- pairs of configs --------------------------------------------------------------------------------------------------


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
    """Mean over pairs, per block; every pair counts the same. The left may be worse by the allowance."""
    rows = np.asarray(pairs)
    return _of_choices(
        evidence,
        [(np.full(_blocks(evidence), a), np.full(_blocks(evidence), b)) for a, b in rows],
        quantity,
        left=left,
        right=right,
        scope=scope,
        allowance=allowance,
    )


def of_best(
    evidence: Evidence,
    contests: Sequence[tuple[Sequence[int], Sequence[int]]],
    quantity: Quantity,
    *,
    left: str,
    right: str,
    margin: float | None = None,
    allowance: float = 0.0,
) -> Comparison:
    """Best of the left minus best of the right rows of each contest, in the quantity itself.

    Per block, both are chosen on the other blocks. The left may be worse by the allowance.
    """

    def best(rows: Sequence[int]) -> IntArray:
        return np.asarray(rows)[honest_choice(evidence.values[quantity][list(rows)])]

    choices = [(best(a), best(b)) for a, b in contests]
    return _of_choices(evidence, choices, quantity, left=left, right=right, margin=margin, allowance=allowance)


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


def _blocks(evidence: Evidence) -> int:
    return int(evidence.criterion.shape[1])


def _of_choices(
    evidence: Evidence,
    choices: Sequence[tuple[IntArray, IntArray]],
    quantity: Quantity,
    *,
    left: str,
    right: str,
    scope: str | None = None,
    margin: float | None = None,
    allowance: float = 0.0,
) -> Comparison:
    """Mean over contests of the chosen left minus the chosen right rows, each of them (blocks,)."""
    left_KS, right_KS = (np.asarray(rows) for rows in zip(*choices, strict=True))
    blocks = np.arange(_blocks(evidence))

    def mean(name: Quantity, rows_KS: IntArray) -> float:
        return float(evidence.values[name][rows_KS, blocks].mean())

    return comparison_of(
        evidence.values[quantity][left_KS, blocks] - evidence.values[quantity][right_KS, blocks] + allowance,
        quantity,
        left=f"{left} plus {100 * allowance:g} point" if allowance else left,
        right=right,
        scope=scope,
        margin=margin,
        points=((mean("AKA", left_KS), mean("AZS", left_KS)), (mean("AKA", right_KS), mean("AZS", right_KS))),
    )


def comparison_of(
    difference_PS: FloatArray,
    quantity: Quantity,
    *,
    left: str,
    right: str,
    points: tuple[tuple[float, float] | None, tuple[float, float] | None],
    scope: str | None = None,
    margin: float | None = None,
) -> Comparison:
    """From the differences (pairs, blocks) and the points of both sides."""
    return Comparison(
        scope=scope,
        left=left,
        right=right,
        quantity=quantity,
        difference=estimate(difference_PS.mean(axis=0)),
        pairs=len(difference_PS),
        positive_pairs=int(np.sum(difference_PS.mean(axis=1) > 0)),
        left_point=points[0],
        right_point=points[1],
        margin=margin,
    )
