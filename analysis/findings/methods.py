"""Findings 1 to 8, methods without merging (arXiv 2408.14471, section 5): each method at its own best config.

What "best" means, and why a method that learns nothing cannot profit from it, is said in `contests`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from analysis.configs import PLAIN, method_name, short
from analysis.findings.contests import (
    Contest,
    Pick,
    Side,
    below_the_line,
    compare,
    contests_of,
    farther_from_zero_shot,
    middle_above,
)
from analysis.findings.evidence import MARGIN, NO_LINE, Case, Comparison, Evidence, Missing, Quantity, by_family
from analysis.findings.pairs import lacks, of_best, of_pairs

SELECTIVE = ("lnfit", "bitfit")
LOW_RANK = ("lora", "dora")
AKA_AND_GAIN: tuple[Quantity, ...] = ("AKA", "gain")
UNALIKE = Missing(("configs of these methods that were trained alike, so on all axes that are no method's own",))
OTHER_METHOD = "another method without merging"


def full_accumulates_most_and_retains_least(evidence: Evidence) -> Case | Missing:
    """Full fine-tuning against the highest AKA and the lowest AZS of all others; these are chosen on other blocks."""
    full = _side(evidence, "full")
    others = _others(evidence, full)
    if not full.rows or not others:
        return lacks([(full.rows, _need("full")), (others, OTHER_METHOD)])
    highest, lowest = _pick("the highest of the others", others, "highest"), _pick("the lowest", others, "lowest")
    contests = contests_of(evidence, full, highest, lowest)
    if not contests:
        return UNALIKE
    return Case(
        decisive=(
            replace(compare(contests, 0, 1, "AKA"), right=_extreme(contests, 1, "AKA", "highest")),
            replace(compare(contests, 2, 0, "AZS"), left=_extreme(contests, 2, "AZS", "lowest")),
        ),
        further=(*_against_each(evidence, full, others, "AKA"), *_against_lora(evidence, full)),
    )


def selective_tuning_retains_most(evidence: Evidence) -> Case | Missing:
    """Against the MEAN of the other methods: the nearest of them may be one that learned as little.

    Each of the two against the nearest other method is shown, and does not decide.
    """
    selective = _side(evidence, *SELECTIVE)
    others = _others(evidence, selective)
    if not selective.rows or not others:
        return lacks([(selective.rows, _need(*SELECTIVE)), (others, OTHER_METHOD)])
    contests = contests_of(evidence, selective, _pick("the mean of the others", others, "mean"))
    if not contests:
        return UNALIKE
    further = []
    highest, lowest = _pick("highest", others, "highest"), _pick("lowest", others, "lowest")
    for own in _families(evidence, selective.rows):
        near = contests_of(evidence, own, highest, lowest)
        if near:
            further.append(replace(compare(near, 0, 1, "AZS"), right=_extreme(near, 1, "AZS", "highest")))
            further.append(replace(compare(near, 2, 0, "AKA"), left=_extreme(near, 2, "AKA", "lowest")))
    return Case(decisive=(compare(contests, 0, 1, "AZS"), compare(contests, 1, 0, "AKA")), further=tuple(further))


def adapters_lie_between(evidence: Evidence) -> Case | Missing:
    """LoRA and DoRA (mean over both and their ranks) against full fine-tuning, LNFit/BitFit and the line."""
    contests = _contests(evidence, LOW_RANK, ("full",), SELECTIVE)
    if isinstance(contests, Missing):
        return contests
    if "gain" not in evidence.values:
        return Missing((NO_LINE,))
    low_rank, full, selective = 0, 1, 2
    sides = contests[0].sides
    further: list[Comparison] = []
    for own in _families(evidence, sides[low_rank].rows):
        each = contests_of(evidence, own, *sides[1:])
        if each and own.name != sides[low_rank].name:
            further += [compare(each, full, 0, "AKA"), compare(each, 0, full, "AZS"), below_the_line(each, 0)]
    return Case(
        decisive=(
            compare(contests, full, low_rank, "AKA"),
            compare(contests, low_rank, selective, "AKA"),
            compare(contests, low_rank, full, "AZS"),
            compare(contests, selective, low_rank, "AZS"),
            below_the_line(contests, low_rank),
        ),
        further=tuple(further),
    )


def rank_moves_along_the_line(evidence: Evidence) -> Case | Missing:
    """LoRA of the highest against LoRA of the lowest rank: more AKA, and a gain that is equal to within `MARGIN`."""
    ranks = _ranks(evidence)
    if len(ranks) < 2:
        return Missing((f"{_need('lora')} of {'another rank' if ranks else 'two ranks'}",))
    if "gain" not in evidence.values:
        return Missing((NO_LINE,))
    sides = [_families(evidence, evidence.rows(method="lora", timeline=PLAIN, rank=rank))[0] for rank in ranks]
    contests = contests_of(evidence, sides[-1], sides[0])
    if not contests:
        return UNALIKE
    steps = [contests_of(evidence, high, low) for low, high in pairwise(sides) if len(sides) > 2]
    further = tuple(compare(step, 0, 1, name) for step in steps if step for name in AKA_AND_GAIN)
    return Case(
        decisive=(compare(contests, 0, 1, "AKA"), compare(contests, 0, 1, "gain", margin=MARGIN)), further=further
    )


def vera_is_like_selective_tuning(evidence: Evidence) -> Case | Missing:
    """VeRA lies on LNFit's and BitFit's side of the middle between them and LoRA, in AKA."""
    contests = _contests(evidence, ("vera",), ("lora",), SELECTIVE)
    if isinstance(contests, Missing):
        return contests
    further = (compare(contests, 1, 0, "AKA"), compare(contests, 0, 2, "AKA"))
    return Case(decisive=(middle_above(contests, (1, 2), 0),), further=further)


def galore_lies_between(evidence: Evidence) -> Case | Missing:
    """GaLore against the mean of LoRA and DoRA on both axes, and against full fine-tuning in AZS."""
    contests = _contests(evidence, ("galore",), LOW_RANK, ("full",))
    if isinstance(contests, Missing):
        return contests
    galore, low_rank, full = 0, 1, 2
    return Case(
        decisive=(
            compare(contests, galore, low_rank, "AKA"),
            compare(contests, galore, full, "AZS"),
            compare(contests, low_rank, galore, "AZS"),
        ),
        further=(compare(contests, full, galore, "AKA"),),
    )


def ewc_holds_on(evidence: Evidence) -> Case | Missing:
    """EWC against full fine-tuning; with several strengths also its weakest against its strongest, in AKA."""
    contests = _contests(evidence, ("ewc",), ("full",))
    if isinstance(contests, Missing):
        return contests
    decisive = [compare(contests, 0, 1, "AZS"), farther_from_zero_shot(contests, 1, 0)]
    ewc = contests[0].sides[0]
    strengths = {
        row: strength for row in ewc.rows if (strength := evidence.configs[row].number("strength")) is not None
    }
    if len(set(strengths.values())) > 1:
        weak, strong = (
            Side(name=name, rows=tuple(row for row, strength in strengths.items() if strength == end))
            for name, end in (
                ("EWC of the lowest strength", min(strengths.values())),
                ("EWC of the highest strength", max(strengths.values())),
            )
        )
        ends = contests_of(evidence, weak, strong)
        if ends:
            decisive.append(compare(ends, 0, 1, "AKA"))
    return Case(decisive=tuple(decisive), further=(compare(contests, 1, 0, "AKA"),))


def si_brings_nothing(evidence: Evidence) -> Case | Missing:
    """Full fine-tuning plus `MARGIN` against SI on both axes."""
    contests = _contests(evidence, ("si",), ("full",))
    if isinstance(contests, Missing):
        return contests
    axes: tuple[Quantity, ...] = ("AKA", "AZS")
    return Case(decisive=tuple(compare(contests, 1, 0, name, allowance=MARGIN) for name in axes))


# -- sides -------------------------------------------------------------------------------------------------------------


def _contests(evidence: Evidence, *groups: tuple[str, ...]) -> tuple[Contest, ...] | Missing:
    """Contests of sides that are some methods each, or what the study lacks for one."""
    sides = [_side(evidence, *methods) for methods in groups]
    if not all(side.rows for side in sides):
        return lacks([(side.rows, _need(*methods)) for side, methods in zip(sides, groups, strict=True)])
    return contests_of(evidence, *sides) or UNALIKE


def _need(*methods: str) -> str:
    """Methods without merging, in words and as a study names them."""
    names = " or ".join(method_name(method) for method in methods)
    return f"{names} without merging (method {' or '.join(methods)}, timeline {PLAIN})"


def _side(evidence: Evidence, *methods: str) -> Side:
    """The plain configs of some methods without merging, as far as the study has them."""
    rows = {method: evidence.rows(method=method, timeline=PLAIN) for method in methods}
    present = [method for method in methods if rows[method]]
    return Side(
        name="/".join(method_name(method) for method in present),
        rows=tuple(row for method in present for row in rows[method]),
    )


def _others(evidence: Evidence, side: Side) -> tuple[int, ...]:
    """All trained configs without merging that are not of a side."""
    return tuple(row for row in evidence.rows(timeline=PLAIN) if row not in side.rows)


def _pick(name: str, rows: tuple[int, ...], pick: Pick) -> Side:
    return Side(name=name, rows=rows, pick=pick)


def _families(evidence: Evidence, rows: Sequence[int]) -> list[Side]:
    """One side per family."""
    return [Side(name=evidence.configs[family[0]].family, rows=tuple(family)) for family in by_family(evidence, rows)]


def _ranks(evidence: Evidence) -> list[float]:
    rows = evidence.rows(method="lora", timeline=PLAIN)
    return sorted({rank for row in rows if (rank := evidence.configs[row].number("rank")) is not None})


def _against_each(evidence: Evidence, side: Side, rows: Sequence[int], quantity: Quantity) -> tuple[Comparison, ...]:
    """A side against every family, unless there is only one."""
    families = _families(evidence, rows)
    found = [contests_of(evidence, side, family) for family in families]
    return tuple(compare(contests, 0, 1, quantity) for contests in found if contests and len(families) > 1)


def _against_lora(evidence: Evidence, full: Side) -> list[Comparison]:
    """AKA against LoRA of the lowest rank: each at the learning rate of its highest AKA, then at every common rate."""
    ranks = _ranks(evidence)
    if not ranks:
        return []
    lora = _families(evidence, evidence.rows(method="lora", timeline=PLAIN, rank=ranks[0]))[0]
    alike = [(contest.rows(0), contest.rows(1)) for contest in contests_of(evidence, full, lora)]
    if not alike:
        return []
    found = [of_best(evidence, alike, "AKA", left=f"{full.name} at its best lr", right=f"{lora.name} at its best lr")]
    pairs = [(a, b) for ours, theirs in alike for a in ours for b in theirs if _rate(evidence, a) == _rate(evidence, b)]
    for rate in sorted({_rate(evidence, a) for a, _ in pairs}):
        same = [pair for pair in pairs if _rate(evidence, pair[0]) == rate]
        at = f"at lr {short(rate)}"
        found.append(of_pairs(evidence, same, "AKA", left=f"{full.name} {at}", right=f"{lora.name} {at}"))
    return found


def _rate(evidence: Evidence, row: int) -> float:
    return evidence.configs[row].number("lr") or 0.0


def _extreme(contests: Sequence[Contest], side: int, quantity: Quantity, kind: str) -> str:
    """An extreme of several families by the name of the one that is chosen most often."""
    evidence = contests[0].evidence
    chosen = [evidence.configs[int(row)].family for c in contests for row in c.chosen(side, quantity)[0]]
    family, times = Counter(chosen).most_common(1)[0]
    count = max(len(contest.families[side]) for contest in contests)
    if count == 1:
        return family
    if times == len(chosen):
        return f"{family} (the {kind} of {count} others)"
    return f"the {kind} of {count} others ({family} in {times} of {len(chosen)} choices)"
