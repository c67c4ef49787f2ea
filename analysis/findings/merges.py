"""Findings 9 and 10, merging full fine-tuning over a stream (arXiv 2408.14471, section 5.2).

Merging means the weighted average, as there; other rules have a finding of their own in `times`.
"""

from collections.abc import Sequence

import numpy as np

from analysis.arrays import IntArray
from analysis.configs import PLAIN, Config, short
from analysis.findings.evidence import NO_LINE, CannotTest, Comparison, Evidence, Quantity, Test, averaging, by_context
from analysis.findings.pairs import (
    AlikeRows,
    Side,
    SideNames,
    at_common_rates,
    comparison_of,
    of_best,
    of_pairs,
    pairs_by,
    per_group,
    placeless,
    plus,
    side_of,
    trained_alike,
    values_of,
)
from analysis.roles import RATE

NAMES = {"ema": "EMA-merge", "zs": "ZS-merge"}


def merging_gains_from_the_start(evidence: Evidence) -> Test | CannotTest:
    """EMA- and ZS-merge, each at the learning rate at which fine-tuning is best, and there at its best w.

    At the end: the gain, and AKA against fine-tuning's less the margin. After the first task: AZS against zero-shot's
    less the margin. Shown are the other rates and weights, and whether the first task teaches more than later ones.
    """
    decisive: list[Comparison] = []
    further: list[Comparison] = []
    missing: list[str] = []
    plain = averaging(evidence, PLAIN)
    for timeline, name in NAMES.items():
        merged = averaging(evidence, timeline)
        if not merged:
            missing.append(f"{name} (timeline {timeline})")
            continue
        alike = at_common_rates(evidence, trained_alike(evidence, merged, plain, free_axes(evidence)))
        if not alike:
            missing.append(f"full fine-tuning without merging (timeline {PLAIN}) at a learning rate of {name}")
        at_end, at_first, rise = _parts(evidence, merged, alike, name)
        if "gain" not in evidence.values:
            missing.append(NO_LINE)
        if evidence.tasks < 2:
            missing.append("two tasks or more, as many in every config")
        decisive += [*at_end, *at_first]
        further += [*rise, *_at_every_rate(evidence, alike, name), *_at_every_weight(evidence, alike, name)]
    if not decisive:
        return CannotTest(tuple(dict.fromkeys(missing)))
    return Test(decisive=tuple(decisive), further=tuple(further), missing=tuple(dict.fromkeys(missing)))


def larger_merge_weight_keeps_more(evidence: Evidence) -> Test | CannotTest:
    """The larger merge weight against the smaller in AZS, and the smaller against the larger in AKA.

    Both are means over all pairs of EMA- or ZS-merge that agree on everything else.
    """
    pairs = pairs_by(evidence, [row for timeline in NAMES for row in averaging(evidence, timeline)], "w")
    if not pairs:
        return CannotTest(("EMA- or ZS-merge at two weights w, in configs that agree on everything else",))
    turned = [(high, low) for low, high in pairs]
    raises: SideNames = {"left": "the larger w", "right": "the smaller w"}
    lowers: SideNames = {"left": "the smaller w", "right": "the larger w"}
    return Test(
        decisive=(of_pairs(evidence, turned, "AZS", **raises), of_pairs(evidence, pairs, "AKA", **lowers)),
        further=(
            *per_group(evidence, turned, "AZS", _timeline, **raises),
            *per_group(evidence, pairs, "AKA", _timeline, **lowers),
        ),
    )


def free_axes(evidence: Evidence) -> tuple[str, ...]:
    """Axes in which the sides of a claim may differ: both merge the same updates, each as is best for it."""
    return (*evidence.merge_axes, RATE, "lifetime")


# -- parts of 9 --------------------------------------------------------------------------------------------------------


def _parts(
    evidence: Evidence, merged: Sequence[int], alike: Sequence[AlikeRows], name: str
) -> tuple[list[Comparison], list[Comparison], list[Comparison]]:
    """The parts at the end and after the first task, and the rise over it, which is shown alone."""
    margins = evidence.margins
    chosen = [_at_one_rate(evidence, *sides) for sides in alike]
    plain_KS = np.array([theirs for _, theirs in chosen])
    ours_KS = np.array(
        [ours for ours, _ in chosen]
        or [evidence.highest(group, "GM") for group in by_context(evidence, merged, free_axes(evidence))]
    )
    ours = side_of(evidence, f"{name} at its best w", ours_KS, merged)
    at_end, at_first, rise = [], [], []
    if "gain" in evidence.values:
        gains_KS = values_of(evidence, "gain", ours_KS)
        at_end.append(comparison_of(gains_KS, "gain", ours, Side(name="the trade-off line")))
    if alike:
        every = [row for _, theirs in alike for row in theirs]
        rival = plus("fine-tuning at the same lr", -margins["AKA"])
        difference = values_of(evidence, "AKA", ours_KS) - values_of(evidence, "AKA", plain_KS) + margins["AKA"]
        at_end.append(comparison_of(difference, "AKA", ours, side_of(evidence, rival, plain_KS, every)))
    if evidence.tasks > 1:
        assert evidence.paths is not None
        aka, azs = np.moveaxis(evidence.paths[ours_KS, np.arange(evidence.blocks)], -1, 0)
        start = Side(
            name=plus("zero-shot", -margins["AZS"]), point=(float(aka[..., 0].mean()), float(azs[..., 0].mean()))
        )
        first = side_of(evidence, f"{name} after the first task", ours_KS, merged, task=1)
        at_first.append(comparison_of(azs[..., 1] - azs[..., 0] + margins["AZS"], "AZS", first, start))
        later = (aka[..., -1] - aka[..., 1]) / max(1, evidence.tasks - 1)
        rose = placeless(evidence, f"the rise of {name} over the first task", ours_KS, merged)
        rise.append(
            comparison_of(aka[..., 1] - aka[..., 0] - later, "AKA", rose, Side(name="its mean rise over a later one"))
        )
    return at_end, at_first, rise


def _at_one_rate(evidence: Evidence, merged: Sequence[int], plain: Sequence[int]) -> tuple[IntArray, IntArray]:
    """Per block, the best of fine-tuning and the best of merging at the same learning rate, by GM on other blocks."""
    theirs_S = evidence.highest(plain, "GM")
    best_S = {rate: evidence.highest(rows, "GM") for rate, rows in _by_rate(evidence, merged).items()}
    ours_S = np.array([best_S[evidence.rate(row)][block] for block, row in enumerate(theirs_S.tolist())])
    return ours_S, theirs_S


def _by_rate(evidence: Evidence, rows: Sequence[int]) -> dict[float, list[int]]:
    rates = sorted({evidence.rate(row) for row in rows})
    return {rate: [row for row in rows if evidence.rate(row) == rate] for rate in rates}


def _at_every_rate(evidence: Evidence, alike: Sequence[AlikeRows], name: str) -> list[Comparison]:
    """AKA and AZS of merging (best w) against fine-tuning, at every learning rate that both have."""
    at_rate: dict[float, list[AlikeRows]] = {}
    for ours, theirs in alike:
        plain = _by_rate(evidence, theirs)
        for rate, rows in _by_rate(evidence, ours).items():
            at_rate.setdefault(rate, []).append((rows, plain[rate]))
    axes: tuple[Quantity, ...] = ("AKA", "AZS")
    return [
        of_best(evidence, at_rate[rate], axis, left=f"{name} at lr {short(rate)}", right="fine-tuning there")
        for rate in sorted(at_rate)
        for axis in axes
    ]


def _at_every_weight(evidence: Evidence, alike: Sequence[AlikeRows], name: str) -> list[Comparison]:
    """The gain of merging at every w, the mean over rates, minus that of fine-tuning at the same rates."""
    if "gain" not in evidence.values:
        return []
    pairs = [(a, b) for ours, theirs in alike for a in ours for b in theirs if evidence.rate(a) == evidence.rate(b)]
    weights = sorted({evidence.configs[a].number("w") or 0.0 for a, _ in pairs})
    return [
        of_pairs(
            evidence,
            [pair for pair in pairs if (evidence.configs[pair[0]].number("w") or 0.0) == weight],
            "gain",
            left=f"{name} at w={short(weight)}",
            right="fine-tuning at the same lr",
        )
        for weight in weights
    ]


def _timeline(config: Config) -> str:
    return config.timeline_name
