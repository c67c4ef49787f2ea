"""What a claim may look at, and the comparisons that test it; `pairs` and `matchups` make these of configs.

A comparison held if its interval lies above zero; it did not hold if all of the interval is below the smallest
difference worth naming. One of equality asks for an interval within a margin. Rows are places in `Evidence.configs`;
the config of row r has the number r + 1 in the report.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from scipy import special

from analysis.arrays import FloatArray, IntArray
from analysis.configs import ALONE, PLAIN, AxisValue, Config, context
from analysis.frontier import Frontier
from analysis.roles import RATE, STANDARD, Roles
from analysis.tables.tables import Tables
from analysis.uncertainty import MIN_BLOCKS, Estimate, honest_choice

Verdict = Literal["held", "did not hold", "undecided", "not tested"]
Quantity = Literal["AKA", "AZS", "GM", "gain", "score"]
Subject = Literal["methods", "full", "plain"]
"""What a claim looks at: all methods without merging, full fine-tuning whatever is merged, or that without merging."""

NEGLIGIBLE = 0.001
"""0.1 accuracy points: an interval that ends below this refutes a claim."""
LEAST_MARGIN = 0.01
"""1 accuracy point: the least margin in AZS, and that in AKA where no joint anchor says how much there is to learn."""
PLANE_SHARE = 0.05
"""The margin in AKA, as a share of what joint training learns."""
TEST_ERRORS = 2.0
"""The margin in AZS, in standard errors of the mean of the held-out test sets."""

Way = tuple[tuple[str, AxisValue], ...]
"""How configs were trained: axes with their values."""

AVERAGE = "lerp"
"""The rule that arXiv 2408.14471 merges by."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """`left` minus `right` in one quantity, paired over blocks and averaged over pairs of configs; a fraction.

    `scope` names the configs compared where these are not all that the claim is about. With a `margin` the claim is
    that the sides are equal to within it. The points are (AKA, AZS) of the sides; None for a side that is no config.
    `left_configs` and `right_configs` are the numbers of the configs that stand for a side on some block, `candidates`
    those of all that they were chosen from.
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
    left_configs: tuple[int, ...] = ()
    right_configs: tuple[int, ...] = ()
    candidates: tuple[int, ...] = ()

    @property
    def distances(self) -> tuple[float, float]:
        """How far the difference lies on the side of `held` and on that of `did not hold`; negative: on the other."""
        value = self.difference.value
        if self.margin is None:
            return value, NEGLIGIBLE - value
        return self.margin - abs(value), abs(value) - self.margin

    @cached_property
    def p_values(self) -> tuple[float, float] | None:
        """Two-sided p of a distance of 0, for `held` and for `did not hold`; None below `MIN_BLOCKS` blocks."""
        se, blocks = self.difference.se, self.difference.blocks
        if se is None or blocks < MIN_BLOCKS:
            return None
        held, fell = (_p_value(distance, se, blocks) for distance in self.distances)
        return held, fell

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
            return "undecided", f"the interval reaches beyond {in_points(self.margin)} either way"
        if low > 0:
            return "held", None
        if high < NEGLIGIBLE:
            return "did not hold", None
        return "undecided", "the interval contains zero"


@dataclass(frozen=True, kw_only=True)
class Test:
    """The comparisons of a claim, which holds if all the decisive ones hold; `further` ones show what stands behind.

    `missing` names what the study lacks for parts of the claim: without it the claim can fail, but not hold. Without
    what is `unasked` it can hold, and the finding says that this part was not asked.
    """

    decisive: tuple[Comparison, ...]
    further: tuple[Comparison, ...] = ()
    missing: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()


@dataclass(frozen=True)
class CannotTest:
    """What a study lacks to test a claim."""

    needs: tuple[str, ...]


NO_LINE = "a joint anchor that learned, without which there is no trade-off line"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Configs and their values (configs, blocks); for the gain these are pseudo-values. `zero_shot_aka` is (blocks,).

    `margins` are the differences within which two sides count as equal. `paths` is AKA and AZS after every task
    (configs, blocks, tasks + 1, 2); None where numbers of tasks differ. `alone` is, for configs that were trained on
    one data set, its score before and after (blocks, 2), by row. `kept` are the rows that a claim looks at, None: all;
    `others` says that the study has configs that were trained in another way. `sizes` is evidence on the size of the
    model where studies of other sizes are asked, too: it goes on after these configs with those that all sizes have.
    """

    configs: tuple[Config, ...]
    values: Mapping[Quantity, FloatArray]
    margins: Mapping[Quantity, float]
    zero_shot_aka: FloatArray
    paths: FloatArray | None = None
    alone: Mapping[int, FloatArray] = field(default_factory=dict)
    kept: frozenset[int] | None = None
    others: bool = False
    sizes: "Evidence | None" = None

    @property
    def roles(self) -> Roles:
        """What the study's tables say of their columns and methods."""
        return self.configs[0].roles if self.configs else STANDARD

    @cached_property
    def own_axes(self) -> tuple[str, ...]:
        """Axes in which two methods may differ and still be compared: each is judged at its best."""
        return (*self.roles.of_role(self._names, "method"), RATE)

    @cached_property
    def merge_axes(self) -> tuple[str, ...]:
        """Axes that say what is merged, and how."""
        return self.roles.of_role(self._names, "merging")

    @property
    def _names(self) -> dict[str, None]:
        return dict.fromkeys(name for config in self.configs for name in config.axes)

    @property
    def tasks(self) -> int:
        """Number of tasks of every config; 0 where it differs."""
        return 0 if self.paths is None else self.paths.shape[2] - 1

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return len(self.zero_shot_aka)

    def rows(self, *, method: str | None = None, timeline: str | None = None, rank: float | None = None) -> list[int]:
        """Configs trained on the stream with these values, all of them where a value is not given.

        With a method: those of the method alone, without a penalty or a projection composed with it.
        """
        return [
            row
            for row, config in enumerate(self.configs)
            if config.trained
            and config.axes.get(ALONE) is None
            and (self.kept is None or row in self.kept)
            and (method is None or config.axes["method"] == method)
            and (method is None or (config.axes.get("penalty") is None and config.axes.get("projection") is None))
            and (timeline is None or config.timeline == timeline)
            and (rank is None or config.number("rank") == rank)
        ]

    @property
    def of_sizes(self) -> "Evidence":
        """What a claim about the size of the model looks at: the studies of several sizes, or this one."""
        return self.sizes or self

    @property
    def whole(self) -> "Evidence":
        """The same with all rows of the study."""
        return replace(self, kept=None)

    def rate(self, row: int) -> float:
        """The learning rate of a config."""
        return self.configs[row].number(RATE) or 0.0

    def highest(self, rows: Sequence[int], quantity: Quantity) -> IntArray:
        """Per block, which of some rows is highest in a quantity on the other blocks."""
        return np.asarray(rows)[honest_choice(self.values[quantity][list(rows)])]

    def usual(self, about: Sequence[str] = (), of: Subject | None = None) -> "Evidence":
        """The same, as a claim looks at it: at configs that were trained in the way that most configs were.

        A way is the values of all axes outside `about` that are no setting of a method or of merging. So an ablation
        that a study makes for one claim says nothing about another. Of ways that equally many configs have, the one
        counts whose values most configs have; where they do not differ in this either, all of them do.
        """
        skipped = (*self.own_axes, *self.merge_axes, *about)
        ways = {row: context(self.configs[row], differ=skipped) for row in self.rows()}
        counts, values = Counter(ways.values()), Counter(item for way in ways.values() for item in way)
        ranks = {way: (count, sum(values[item] for item in way)) for way, count in counts.items()}
        most = max(ranks.values(), default=None)
        top = {way for way, rank in ranks.items() if rank == most}
        chosen = {own for own in counts if own in top or any(self._alike(own, way) for way in top)}
        usual = {row for row, own in ways.items() if own in chosen}
        others = len(usual) < len(ways)
        if of in ("full", "plain"):
            usual.intersection_update(self.rows(method="full"))
        if of in ("methods", "plain"):
            usual.intersection_update(averaging(self, PLAIN))
        sizes = None if self.sizes is None else self.sizes.usual(about, of)
        return replace(self, kept=frozenset(usual), others=others, sizes=sizes)

    def _alike(self, one: Way, other: Way) -> bool:
        """Whether two ways of training agree; an axis that applies to one of them alone cannot disagree."""
        return all(
            value == right or (None in (value, right) and not self.roles.is_switch(name))
            for (name, value), (_, right) in zip(one, other, strict=True)
        )


def evidence_of(frontier: Frontier, tables: Tables | None = None) -> Evidence:
    """The evidence of a study; its tables are needed for sizes of test sets and for scores of single data sets."""
    samples = frontier.samples
    values: dict[Quantity, FloatArray] = {"AKA": samples.aka, "AZS": samples.azs, "GM": samples.gm}
    if samples.gain is not None:
        values["gain"] = samples.gain
    configs = tuple(result.config for result in frontier.results)
    return Evidence(
        configs=configs,
        values=values,
        margins=margins_of(frontier, tables),
        zero_shot_aka=samples.zero_shot[:, 0],
        paths=samples.paths,
        alone={} if tables is None else _alone(tables, configs),
    )


def margins_of(frontier: Frontier, tables: Tables | None) -> dict[Quantity, float]:
    """Margins as shares of the plane: what joint training learns in AKA, what test sets can tell apart in AZS.

    That in GM is what both together change GM by at the zero-shot point; the gain is in points of AZS.
    """
    aka, azs = frontier.zero_shot.point
    learned = 0.0 if frontier.joint is None or frontier.no_gain else abs(frontier.joint.point[0] - aka)
    own = PLANE_SHARE * learned or LEAST_MARGIN
    other = max(LEAST_MARGIN, TEST_ERRORS * (0.0 if tables is None else _test_error(tables)))
    both = (own * math.sqrt(azs / aka) + other * math.sqrt(aka / azs)) / 2 if aka and azs else LEAST_MARGIN
    return {"AKA": own, "AZS": other, "GM": both, "gain": other}


def in_points(margin: float) -> str:
    """A margin in words."""
    size = f"{100 * margin:.1f}".removesuffix(".0")
    return f"{size} point" if size == "1" else f"{size} points"


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


def _p_value(distance: float, se: float, blocks: int) -> float:
    if se == 0:
        return 0.0 if distance > 0 else 1.0
    return min(1.0, 2 * float(special.stdtr(blocks - 1, -distance / se)))


def _test_error(tables: Tables) -> float:
    """The standard error of the zero-shot AZS, from the sizes of the held-out test sets; 0 without scores."""
    scores = tables.end_scores
    held_out = scores[(scores["group"] == "holdout") & (scores["task"] == 0)]
    sets = held_out.groupby("dataset", observed=True).agg({"value": "mean", "n": "first"})
    variance = sets["value"] * (1 - sets["value"]) / sets["n"]
    return math.sqrt(variance.sum()) / len(sets) if len(sets) else 0.0


def _alone(tables: Tables, configs: Sequence[Config]) -> dict[int, FloatArray]:
    """The score of its one data set before and after training, of every config that names one."""
    rows = {row: str(name) for row, config in enumerate(configs) if (name := config.axes.get(ALONE)) is not None}
    found = {}
    for row, name in rows.items():
        trials = tables.trials.loc[tables.trials["config_id"] == configs[row].config_id, ["trial", "block"]]
        scores = tables.end_scores[tables.end_scores["dataset"] == name].merge(trials, on="trial")
        by_block: pd.DataFrame = scores.pivot(index="block", columns="task", values="value")
        if by_block.shape[1] == 2:
            found[row] = by_block.reindex(list(tables.blocks)).to_numpy(dtype=float)
    return found
