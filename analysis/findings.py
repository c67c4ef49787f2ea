"""Findings: claims about continual updating, evaluated on whatever study is given.

A claim is one small pure function in `CLAIMS`: it names the paired comparisons that test it, and the verdict follows
from the first of them (the decisive one). With the interval of its difference above zero the claim held; with all of it
below the smallest difference worth naming it did not hold; else it is undecided. To add one, add a function and a row.

On 150 synthetic studies without any effect, a claim was decided either way in 5-8 % at 3 blocks and 3-13 % at 5 (most
for the best of three learning rates, whose interval is a little too short), and held in 1-6 %.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from analysis.configs import Config, context, family_name, matched, short
from analysis.frontier import Frontier
from analysis.pareto import FloatArray
from analysis.uncertainty import MIN_BLOCKS, Estimate, estimate, honest_choice

Verdict = Literal["held", "did not hold", "undecided", "not tested"]
Quantity = Literal["AKA", "AZS", "gain"]

NEGLIGIBLE = 0.001
"""0.1 accuracy points: an interval that ends below this refutes a claim."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """`left` minus `right` in one quantity, paired over blocks and averaged over pairs of configs; a fraction.

    `scope` names the configs compared where these are not all that the claim is about.
    """

    scope: str | None
    left: str
    right: str
    quantity: Quantity
    difference: Estimate
    pairs: int
    positive_pairs: int


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A claim with its verdict; `comparisons` starts with the decisive one, `reason` says why it is not decided."""

    number: int
    claim: str
    verdict: Verdict
    reason: str | None
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a claim may look at: configs and their values (configs, blocks); for the gain these are pseudo-values."""

    configs: tuple[Config, ...]
    values: Mapping[Quantity, FloatArray]

    def rows(self, *, method: str | None = None, timeline: str | None = None, rank: float | None = None) -> list[int]:
        """Configs with these values, all of them where a value is not given."""
        return [
            row
            for row, config in enumerate(self.configs)
            if (method is None or config.axes["method"] == method)
            and (timeline is None or config.timeline == timeline)
            and (rank is None or config.number("rank") == rank)
        ]


def full_accumulates_more_than_lora(evidence: Evidence) -> "tuple[Comparison, ...] | str":
    """Each at its own best learning rate (chosen on the other blocks), then at every learning rate that both have."""
    ranks = [rank for row in evidence.rows(method="lora") if (rank := evidence.configs[row].number("rank")) is not None]
    full = evidence.rows(method="full", timeline="finetune")
    lora = evidence.rows(method="lora", timeline="finetune", rank=min(ranks, default=-1.0))
    if not full or not lora:
        return "it needs full fine-tuning and LoRA, both without merging"
    differ = ("method", "rank", "lr")
    contests = [
        (left, right)
        for left in _by_context(evidence, full, differ)
        if (right := [r for r in lora if matched(evidence.configs[left[0]], evidence.configs[r], differ=differ)])
    ]
    if not contests:
        return "no full and LoRA configs agree on all other axes"
    lora_name = family_name(evidence.configs[lora[0]].axes)
    best = _of_best(evidence, contests, "AKA", left="full at its best lr", right=f"{lora_name} at its best lr")
    same_lr = [
        (a, b) for a in full for b in lora if matched(evidence.configs[a], evidence.configs[b], differ=differ[:2])
    ]
    rates = sorted({evidence.configs[a].number("lr") or 0.0 for a, _ in same_lr})
    each = (
        _of_pairs(
            evidence,
            [pair for pair in same_lr if (evidence.configs[pair[0]].number("lr") or 0.0) == rate],
            "AKA",
            left=f"full at lr {short(rate)}",
            right=f"{lora_name} at lr {short(rate)}",
        )
        for rate in rates
    )
    return (best, *each)


def larger_learning_rate_lowers_retention(evidence: Evidence) -> "tuple[Comparison, ...] | str":
    """AZS at the smaller minus AZS at the larger learning rate, over all pairs that agree on everything else."""
    pairs = [
        (a, b) if (evidence.configs[a].number("lr") or 0.0) < (evidence.configs[b].number("lr") or 0.0) else (b, a)
        for group in _by_context(evidence, evidence.rows(), ("lr",))
        for a, b in combinations([row for row in group if evidence.configs[row].number("lr") is not None], 2)
    ]
    if not pairs:
        return "it needs configs that differ in the learning rate only"
    return (
        _of_pairs(evidence, pairs, "AZS", left="the smaller lr", right="the larger lr"),
        *_per_group(evidence, pairs, "AZS", "lr"),
    )


def ema_merge_gains_over_finetuning(evidence: Evidence) -> "tuple[Comparison, ...] | str":
    """Gain of EMA-merge (best w, chosen on the other blocks; then every w) minus fine-tuning's, same method and lr."""
    if "gain" not in evidence.values:
        return "the gain is not defined without a joint anchor that learned"
    ema, plain = evidence.rows(timeline="ema"), evidence.rows(timeline="finetune")
    if not ema or not plain:
        return "it needs EMA-merge and plain fine-tuning"
    differ = ("timeline", "rule", "w")
    contests = [
        (left, right[:1])
        for left in _by_context(evidence, ema, ("w",))
        if (right := [r for r in plain if matched(evidence.configs[left[0]], evidence.configs[r], differ=differ)])
    ]
    if not contests:
        return "no EMA-merge and fine-tuning configs agree on all other axes"
    pairs = [(row, right[0]) for left, right in contests for row in left]
    weights = sorted({evidence.configs[a].number("w") or 0.0 for a, _ in pairs})
    each = (
        _of_pairs(
            evidence,
            [pair for pair in pairs if (evidence.configs[pair[0]].number("w") or 0.0) == weight],
            "gain",
            left=f"EMA-merge at w={short(weight)}",
            right="fine-tuning",
        )
        for weight in weights
    )
    return (_of_best(evidence, contests, "gain", left="EMA-merge at its best w", right="fine-tuning"), *each)


def larger_merge_weight_raises_retention(evidence: Evidence) -> "tuple[Comparison, ...] | str":
    """AZS at the larger minus AZS at the smaller merge weight, over all pairs that agree on everything else."""
    pairs = [
        (a, b) if (evidence.configs[a].number("w") or 0.0) > (evidence.configs[b].number("w") or 0.0) else (b, a)
        for group in _by_context(evidence, evidence.rows(), ("w",))
        for a, b in combinations([row for row in group if evidence.configs[row].number("w") is not None], 2)
    ]
    if not pairs:
        return "it needs configs that differ in the merge weight only"
    return (
        _of_pairs(evidence, pairs, "AZS", left="the larger w", right="the smaller w"),
        *_per_group(evidence, pairs, "AZS", "w"),
    )


Claim = Callable[[Evidence], "tuple[Comparison, ...] | str"]
"""The comparisons that test a claim, the decisive one first, or the reason why the study cannot test it."""

CLAIMS: tuple[tuple[str, Claim], ...] = (
    ("Full fine-tuning accumulates more than LoRA of the lowest rank.", full_accumulates_more_than_lora),
    ("A larger learning rate lowers retention (AZS).", larger_learning_rate_lowers_retention),
    ("EMA-merge lies further above the trade-off line than plain fine-tuning.", ema_merge_gains_over_finetuning),
    ("A larger merge weight w raises retention (AZS).", larger_merge_weight_raises_retention),
)


def evaluate_findings(frontier: Frontier) -> tuple[Finding, ...]:
    """Every claim of `CLAIMS` on this study."""
    values: dict[Quantity, FloatArray] = {"AKA": frontier.samples.aka, "AZS": frontier.samples.azs}
    if frontier.samples.gain is not None:
        values["gain"] = frontier.samples.gain
    evidence = Evidence(configs=tuple(result.config for result in frontier.results), values=values)
    return tuple(_finding(number, text, claim(evidence)) for number, (text, claim) in enumerate(CLAIMS, start=1))


def _finding(number: int, text: str, outcome: tuple[Comparison, ...] | str) -> Finding:
    if isinstance(outcome, str):
        return Finding(number=number, claim=text, verdict="not tested", reason=outcome, comparisons=())
    verdict, reason = _verdict(outcome[0].difference)
    return Finding(number=number, claim=text, verdict=verdict, reason=reason, comparisons=outcome)


def _verdict(difference: Estimate) -> tuple[Verdict, str | None]:
    if difference.low is None or difference.high is None:
        few = "1 block gives" if difference.blocks == 1 else f"{difference.blocks} blocks give"
        return "undecided", f"{few} no interval; at least {MIN_BLOCKS} are needed"
    if difference.low > 0:
        return "held", None
    if difference.high < NEGLIGIBLE:
        return "did not hold", None
    return "undecided", "the interval contains zero"


def _by_context(evidence: Evidence, rows: Sequence[int], differ: Sequence[str]) -> list[list[int]]:
    """Rows grouped by all axes outside `differ`."""
    groups: dict[object, list[int]] = {}
    for row in rows:
        groups.setdefault(context(evidence.configs[row], differ=differ), []).append(row)
    return list(groups.values())


def _of_pairs(
    evidence: Evidence,
    pairs: Sequence[tuple[int, int]],
    quantity: Quantity,
    *,
    left: str,
    right: str,
    scope: str | None = None,
) -> Comparison:
    """Mean over pairs, per block; every pair counts the same."""
    values_CS = evidence.values[quantity]
    rows = np.asarray(pairs)
    difference_PS = values_CS[rows[:, 0]] - values_CS[rows[:, 1]]
    return _comparison(difference_PS, quantity, left=left, right=right, scope=scope)


def _of_best(
    evidence: Evidence,
    contests: Sequence[tuple[Sequence[int], Sequence[int]]],
    quantity: Quantity,
    *,
    left: str,
    right: str,
) -> Comparison:
    """Best of the left minus best of the right rows of each contest; per block, both are chosen on the other blocks."""
    values_CS = evidence.values[quantity]
    difference_PS = np.array([_best(values_CS[list(a)]) - _best(values_CS[list(b)]) for a, b in contests])
    return _comparison(difference_PS, quantity, left=left, right=right)


def _best(values_RS: FloatArray) -> FloatArray:
    return np.asarray(values_RS[honest_choice(values_RS), np.arange(values_RS.shape[1])], dtype=float)


def _per_group(
    evidence: Evidence, pairs: Sequence[tuple[int, int]], quantity: Quantity, axis: str
) -> tuple[Comparison, ...]:
    """The same comparison for each family and timeline, so that one that disagrees can be seen."""
    groups: dict[str, list[tuple[int, int]]] = {}
    for pair in pairs:
        config = evidence.configs[pair[0]]
        groups.setdefault(f"{config.family}, {config.timeline_name}", []).append(pair)
    sides = ("smaller", "larger") if axis == "lr" else ("larger", "smaller")
    return tuple(
        _of_pairs(
            evidence, members, quantity, scope=name, left=f"the {sides[0]} {axis}", right=f"the {sides[1]} {axis}"
        )
        for name, members in sorted(groups.items())
        if len(groups) > 1
    )


def _comparison(
    difference_PS: FloatArray, quantity: Quantity, *, left: str, right: str, scope: str | None = None
) -> Comparison:
    return Comparison(
        scope=scope,
        left=left,
        right=right,
        quantity=quantity,
        difference=estimate(difference_PS.mean(axis=0)),
        pairs=len(difference_PS),
        positive_pairs=int(np.sum(difference_PS.mean(axis=1) > 0)),
    )
