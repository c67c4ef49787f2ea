"""Findings 9 and 10, merging over a stream (arXiv 2408.14471, section 5.2).

Merging means the weighted average, as there; other rules have a finding of their own in `times`.
"""

from collections.abc import Sequence

import numpy as np

from analysis.configs import PLAIN, Config, matched, short
from analysis.findings.evidence import MARGIN, NO_LINE, CannotTest, Comparison, Evidence, Test, averaging, by_context
from analysis.findings.pairs import (
    Side,
    SideNames,
    comparison_of,
    of_best,
    of_pairs,
    pairs_by,
    per_group,
    placeless,
    side_of,
    trained_alike,
    values_of,
)
from analysis.roles import RATE

NAMES = {"ema": "EMA-merge", "zs": "ZS-merge"}


def merging_gains_from_the_start(evidence: Evidence) -> Test | CannotTest:
    """EMA- and ZS-merge, each at its best gain: at the end, and after the first task.

    At the end: the gain, and AKA against fine-tuning's highest less `MARGIN`. After the first task: AZS against
    zero-shot's less `MARGIN`, and the rise in AKA against the mean rise over a later task.
    """
    decisive: list[Comparison] = []
    missing: list[str] = []
    for timeline, name in NAMES.items():
        merged = averaging(evidence, timeline)
        if not merged:
            missing.append(f"{name} (timeline {timeline})")
            continue
        if "gain" not in evidence.values:
            missing.append(NO_LINE)
        else:
            decisive += _at_the_end(evidence, merged, name, missing)
        if evidence.tasks < 2:
            missing.append("two tasks or more, as many in every config")
        else:
            decisive += _after_the_first(evidence, merged, name)
    if not decisive:
        return CannotTest(tuple(dict.fromkeys(missing)))
    return Test(decisive=tuple(decisive), further=_against_finetuning(evidence), missing=tuple(dict.fromkeys(missing)))


def larger_merge_weight_keeps_more(evidence: Evidence) -> Test | CannotTest:
    """The larger merge weight against the smaller in AZS, and the smaller against the larger in AKA.

    Both are means over all pairs that agree on everything else.
    """
    pairs = pairs_by(evidence, "w")
    if not pairs:
        return CannotTest(("two merge weights w in configs that agree on everything else",))
    turned = [(high, low) for low, high in pairs]
    raises: SideNames = {"left": "the larger w", "right": "the smaller w"}
    lowers: SideNames = {"left": "the smaller w", "right": "the larger w"}
    return Test(
        decisive=(of_pairs(evidence, turned, "AZS", **raises), of_pairs(evidence, pairs, "AKA", **lowers)),
        further=(
            *per_group(evidence, turned, "AZS", _family_and_timeline, **raises),
            *per_group(evidence, pairs, "AKA", _family_and_timeline, **lowers),
        ),
    )


def free_axes(evidence: Evidence) -> tuple[str, ...]:
    """Axes in which the sides of a claim may differ: both merge the same updates, each as is best for it."""
    return (*evidence.merge_axes, RATE, "lifetime")


# -- parts of 9 --------------------------------------------------------------------------------------------------------


def _at_the_end(evidence: Evidence, rows: Sequence[int], name: str, missing: list[str]) -> list[Comparison]:
    alike = trained_alike(evidence, rows, averaging(evidence, PLAIN), free_axes(evidence))
    groups = [ours for ours, _ in alike] or by_context(evidence, rows, free_axes(evidence))
    merged = np.array([evidence.best(group) for group in groups])
    ours = side_of(evidence, f"{name} at its best", merged, rows)
    found = [comparison_of(values_of(evidence, "gain", merged), "gain", ours, Side(name="the trade-off line"))]
    if not alike:
        missing.append(f"fine-tuning without merging (timeline {PLAIN}) that agrees on everything else")
        return found
    plain = np.array([evidence.highest(theirs, "AKA") for _, theirs in alike])
    theirs = side_of(
        evidence,
        f"fine-tuning less {100 * MARGIN:g} point",
        plain,
        [row for _, theirs in alike for row in theirs],
    )
    difference = values_of(evidence, "AKA", merged) - values_of(evidence, "AKA", plain) + MARGIN
    return [*found, comparison_of(difference, "AKA", ours, theirs)]


def _after_the_first(evidence: Evidence, rows: Sequence[int], name: str) -> list[Comparison]:
    assert evidence.paths is not None
    merged = [evidence.best(group) for group in by_context(evidence, rows, free_axes(evidence))]
    path_KSTQ = np.array([evidence.paths[chosen, np.arange(len(chosen))] for chosen in merged])
    aka, azs = path_KSTQ[..., 0], path_KSTQ[..., 1]
    later = (aka[..., -1] - aka[..., 1]) / (aka.shape[-1] - 2)
    start = float(aka[..., 0].mean()), float(azs[..., 0].mean())
    return [
        comparison_of(
            azs[..., 1] - azs[..., 0] + MARGIN,
            "AZS",
            side_of(evidence, f"{name} after the first task", merged, rows, task=1),
            Side(name=f"zero-shot less {100 * MARGIN:g} point", point=start),
        ),
        comparison_of(
            aka[..., 1] - aka[..., 0] - later,
            "AKA",
            placeless(evidence, f"the rise of {name} over the first task", merged, rows),
            Side(name="its mean rise over a later one"),
        ),
    ]


def _against_finetuning(evidence: Evidence) -> tuple[Comparison, ...]:
    """Gain of EMA-merge (best w, chosen on the other blocks; then every w) minus fine-tuning's, same method and lr."""
    if "gain" not in evidence.values:
        return ()
    ema, plain = averaging(evidence, "ema"), averaging(evidence, PLAIN)
    # Merging folds adapters after each task: its twin is the fine-tuning that folds them, where there is one.
    plain = sorted(plain, key=lambda row: evidence.configs[row].axes.get("lifetime") == "continue")
    alike = [
        (left, right[:1])
        for left in by_context(evidence, ema, ("w",))
        if (right := [r for r in plain if _twins(evidence, evidence.configs[left[0]], evidence.configs[r])])
    ]
    if not alike:
        return ()
    pairs = [(row, right[0]) for left, right in alike for row in left]
    weights = sorted({evidence.configs[a].number("w") or 0.0 for a, _ in pairs})
    best = of_best(evidence, alike, "gain", left="EMA-merge at its best w", right="fine-tuning at the same lr")
    each = (
        of_pairs(
            evidence,
            [pair for pair in pairs if (evidence.configs[pair[0]].number("w") or 0.0) == weight],
            "gain",
            left=f"EMA-merge at w={short(weight)}",
            right="fine-tuning at the same lr",
        )
        for weight in weights
    )
    return (best, *each)


def _twins(evidence: Evidence, left: Config, right: Config) -> bool:
    """Whether two configs are one method, trained alike."""
    return left.family == right.family and matched(left, right, differ=evidence.merge_axes)


def _family_and_timeline(config: Config) -> str:
    return f"{config.family}, {config.timeline_name}"
