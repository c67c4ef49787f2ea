"""Claims about methods without merging, of arXiv 2408.14471, section 5: each method at its own best config.

What "best" means, and why a method that learns nothing cannot profit from it, is said in `contests`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from analysis.configs import PLAIN, method_name
from analysis.contests import (
    MARGIN,
    Contest,
    Pick,
    Side,
    below_the_line,
    compare,
    contests_of,
    farther_from_zero_shot,
    middle_above,
)
from analysis.evidence import Case, Comparison, Evidence, Quantity, by_family

SELECTIVE = ("lnfit", "bitfit")
LOW_RANK = ("lora", "dora")
AKA_AND_GAIN: tuple[Quantity, ...] = ("AKA", "gain")
NO_GAIN = "the gain is not defined without a joint anchor that learned"
UNMATCHED = "these methods were not trained alike: no configs agree on all axes that are no method's own"


def full_accumulates_most_and_retains_least(evidence: Evidence) -> Case | str:
    """Full fine-tuning against the highest AKA and the lowest AZS of all others; these are chosen on other blocks."""
    full = _side(evidence, "full")
    others = _others(evidence, full)
    if not full.rows or not others:
        return "it needs full fine-tuning and another method, both without merging"
    highest, lowest = _pick("the highest of the others", others, "highest"), _pick("the lowest", others, "lowest")
    contests = contests_of(evidence, full, highest, lowest)
    if not contests:
        return UNMATCHED
    return Case(
        decisive=(
            replace(compare(contests, 0, 1, "AKA"), right=_extreme(contests, 1, "AKA", "highest")),
            replace(compare(contests, 2, 0, "AZS"), left=_extreme(contests, 2, "AZS", "lowest")),
        ),
        further=_against_each(evidence, full, others, "AKA"),
    )


def selective_tuning_retains_most(evidence: Evidence) -> Case | str:
    """Against the MEAN of the other methods: the nearest of them may be one that learned as little.

    Each of the two against the nearest other method is shown, and does not decide.
    """
    selective = _side(evidence, *SELECTIVE)
    others = _others(evidence, selective)
    if not selective.rows or not others:
        return "it needs LNFit or BitFit and another method, both without merging"
    contests = contests_of(evidence, selective, _pick("the mean of the others", others, "mean"))
    if not contests:
        return UNMATCHED
    further = []
    highest, lowest = _pick("highest", others, "highest"), _pick("lowest", others, "lowest")
    for own in _families(evidence, selective.rows):
        near = contests_of(evidence, own, highest, lowest)
        if near:
            further.append(replace(compare(near, 0, 1, "AZS"), right=_extreme(near, 1, "AZS", "highest")))
            further.append(replace(compare(near, 2, 0, "AKA"), left=_extreme(near, 2, "AKA", "lowest")))
    return Case(decisive=(compare(contests, 0, 1, "AZS"), compare(contests, 1, 0, "AKA")), further=tuple(further))


def adapters_lie_between(evidence: Evidence) -> Case | str:
    """LoRA and DoRA (mean over both and their ranks) against full fine-tuning, LNFit/BitFit and the line."""
    sides = _side(evidence, *LOW_RANK), _side(evidence, "full"), _side(evidence, *SELECTIVE)
    if not all(side.rows for side in sides):
        return "it needs LoRA or DoRA, full fine-tuning, and LNFit or BitFit, all without merging"
    if "gain" not in evidence.values:
        return NO_GAIN
    contests = contests_of(evidence, *sides)
    if not contests:
        return UNMATCHED
    low_rank, full, selective = 0, 1, 2
    further: list[Comparison] = []
    for own in _families(evidence, sides[0].rows):
        each = contests_of(evidence, own, *sides[1:])
        if each and own.name != sides[0].name:
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


def rank_moves_along_the_line(evidence: Evidence) -> Case | str:
    """LoRA of the highest against LoRA of the lowest rank: more AKA, and a gain that is equal to within `MARGIN`."""
    rows = evidence.rows(method="lora", timeline=PLAIN)
    ranks = sorted({rank for row in rows if (rank := evidence.configs[row].number("rank")) is not None})
    if len(ranks) < 2:
        return "it needs LoRA of two ranks without merging"
    if "gain" not in evidence.values:
        return NO_GAIN
    sides = [_families(evidence, evidence.rows(method="lora", timeline=PLAIN, rank=rank))[0] for rank in ranks]
    contests = contests_of(evidence, sides[-1], sides[0])
    if not contests:
        return UNMATCHED
    steps = [contests_of(evidence, high, low) for low, high in pairwise(sides) if len(sides) > 2]
    further = tuple(compare(step, 0, 1, name) for step in steps if step for name in AKA_AND_GAIN)
    return Case(
        decisive=(compare(contests, 0, 1, "AKA"), compare(contests, 0, 1, "gain", margin=MARGIN)), further=further
    )


def vera_is_like_selective_tuning(evidence: Evidence) -> Case | str:
    """VeRA lies on LNFit's and BitFit's side of the middle between them and LoRA, in AKA."""
    sides = _side(evidence, "vera"), _side(evidence, "lora"), _side(evidence, *SELECTIVE)
    if not all(side.rows for side in sides):
        return "it needs VeRA, LoRA, and LNFit or BitFit, all without merging"
    contests = contests_of(evidence, *sides)
    if not contests:
        return UNMATCHED
    further = (compare(contests, 1, 0, "AKA"), compare(contests, 0, 2, "AKA"))
    return Case(decisive=(middle_above(contests, (1, 2), 0),), further=further)


def galore_lies_between(evidence: Evidence) -> Case | str:
    """GaLore against the mean of LoRA and DoRA on both axes, and against full fine-tuning in AZS."""
    sides = _side(evidence, "galore"), _side(evidence, *LOW_RANK), _side(evidence, "full")
    if not all(side.rows for side in sides):
        return "it needs GaLore, LoRA or DoRA, and full fine-tuning, all without merging"
    contests = contests_of(evidence, *sides)
    if not contests:
        return UNMATCHED
    galore, low_rank, full = 0, 1, 2
    return Case(
        decisive=(
            compare(contests, galore, low_rank, "AKA"),
            compare(contests, galore, full, "AZS"),
            compare(contests, low_rank, galore, "AZS"),
        ),
        further=(compare(contests, full, galore, "AKA"),),
    )


def ewc_holds_on(evidence: Evidence) -> Case | str:
    """EWC against full fine-tuning; with several strengths also its weakest against its strongest, in AKA."""
    ewc, full = _side(evidence, "ewc"), _side(evidence, "full")
    if not ewc.rows or not full.rows:
        return "it needs EWC and full fine-tuning, both without merging"
    contests = contests_of(evidence, ewc, full)
    if not contests:
        return UNMATCHED
    decisive = [compare(contests, 0, 1, "AZS"), farther_from_zero_shot(contests, 1, 0)]
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


def si_changes_nothing(evidence: Evidence) -> Case | str:
    """SI and full fine-tuning are equal to within `MARGIN` on both axes."""
    sides = _side(evidence, "si"), _side(evidence, "full")
    if not all(side.rows for side in sides):
        return "it needs SI and full fine-tuning, both without merging"
    contests = contests_of(evidence, *sides)
    if not contests:
        return UNMATCHED
    return Case(decisive=(compare(contests, 0, 1, "AKA", margin=MARGIN), compare(contests, 0, 1, "AZS", margin=MARGIN)))


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


def _against_each(evidence: Evidence, side: Side, rows: Sequence[int], quantity: Quantity) -> tuple[Comparison, ...]:
    """A side against every family, unless there is only one."""
    families = _families(evidence, rows)
    found = [contests_of(evidence, side, family) for family in families]
    return tuple(compare(contests, 0, 1, quantity) for contests in found if contests and len(families) > 1)


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
