"""Findings 1 to 8, methods without merging (arXiv 2408.14471, section 5): each method at its own best config.

What "best" means, and why a method that learns nothing cannot profit from it, is said in `matchups`.
"""

from collections.abc import Sequence
from itertools import pairwise

from analysis.configs import PLAIN, short
from analysis.findings.evidence import NO_LINE, CannotTest, Comparison, Evidence, Quantity, Test, by_family
from analysis.findings.matchups import (
    Contender,
    Matchup,
    Pick,
    above_zero_shot,
    below_the_line,
    compare,
    farther_from_zero_shot,
    matchups_of,
    middle_above,
)
from analysis.findings.pairs import lacks, of_best, of_pairs

SELECTIVE = ("lnfit", "bitfit")
LOW_RANK = ("lora", "dora")
RIVALS = (*LOW_RANK, "vera", "galore", *SELECTIVE, "ewc")
"""What 1 sets against full fine-tuning: locked towers are left to 17, and SI to 8."""
LEARNERS = ("full", *LOW_RANK, "galore")
"""What 2 sets against LNFit and BitFit: VeRA is left to 5, and EWC to 7."""
ENDS: tuple[Pick, ...] = ("highest", "lowest")
AKA_AND_GAIN: tuple[Quantity, ...] = ("AKA", "gain")
UNALIKE = CannotTest(("configs of these methods that were trained alike, so on all axes that are no method's own",))


def full_accumulates_most_and_retains_least(evidence: Evidence) -> Test | CannotTest:
    """Full fine-tuning against the highest AKA and the lowest AZS of the others; these are chosen on other blocks.

    AKA is that of each method at its highest, since the claim is about what a method accumulates at most.
    """
    matchups = _extremes(evidence, ("full",), RIVALS)
    if isinstance(matchups, CannotTest):
        return matchups
    full, others = matchups[0].contenders[:2]
    return Test(
        decisive=(compare(matchups, 0, 2, "AKA", by="AKA"), compare(matchups, 3, 1, "AZS")),
        further=(*_against_each(evidence, full, others.rows, "AKA", by="AKA"), *_against_lora(evidence, full)),
    )


def selective_tuning_retains_most(evidence: Evidence) -> Test | CannotTest:
    """The lower AZS of LNFit and BitFit against the highest of the others, and the lowest AKA against their higher.

    The others are those that the papers set against them, so that no other method in the grid has a say.
    """
    matchups = _extremes(evidence, SELECTIVE, LEARNERS)
    if isinstance(matchups, CannotTest):
        return matchups
    highest_own, lowest_own, highest, lowest = 0, 1, 2, 3
    own, others = (matchups[0].contenders[place].picked("mean") for place in (0, 2))
    return Test(
        decisive=(compare(matchups, lowest_own, highest, "AZS"), compare(matchups, lowest, highest_own, "AKA")),
        further=tuple(_against_each(evidence, own, others.rows, "AZS")),
    )


def adapters_lie_between(evidence: Evidence) -> Test | CannotTest:
    """LoRA and DoRA (mean over both and their ranks) between full fine-tuning and LNFit/BitFit in AKA, below the line.

    AZS against both, which 1 and 2 decide, is shown.
    """
    matchups = _matchups(evidence, LOW_RANK, ("full",), SELECTIVE)
    if isinstance(matchups, CannotTest):
        return matchups
    if "gain" not in evidence.values:
        return CannotTest((NO_LINE,))
    low_rank, full, selective = 0, 1, 2
    contenders = matchups[0].contenders
    further = [compare(matchups, low_rank, full, "AZS"), compare(matchups, selective, low_rank, "AZS")]
    for own in _families(evidence, contenders[low_rank].rows):
        each = matchups_of(evidence, own, *contenders[1:])
        if each and own.name != contenders[low_rank].name:
            further += [compare(each, full, 0, "AKA"), compare(each, 0, full, "AZS"), below_the_line(each, 0)]
    return Test(
        decisive=(
            compare(matchups, full, low_rank, "AKA"),
            compare(matchups, low_rank, selective, "AKA"),
            below_the_line(matchups, low_rank),
        ),
        further=tuple(further),
    )


def rank_moves_along_the_line(evidence: Evidence) -> Test | CannotTest:
    """LoRA of the highest against LoRA of the lowest rank: more AKA, and a gain that is equal to within the margin."""
    ranks = _ranks(evidence)
    if len(ranks) < 2:
        return CannotTest((f"{_need(evidence, 'lora')} of {'another rank' if ranks else 'two ranks'}",))
    if "gain" not in evidence.values:
        return CannotTest((NO_LINE,))
    by_rank = [_families(evidence, evidence.rows(method="lora", timeline=PLAIN, rank=rank))[0] for rank in ranks]
    matchups = matchups_of(evidence, by_rank[-1], by_rank[0])
    if not matchups:
        return UNALIKE
    steps = [matchups_of(evidence, high, low) for low, high in pairwise(by_rank) if len(by_rank) > 2]
    further = tuple(compare(step, 0, 1, name) for step in steps if step for name in AKA_AND_GAIN)
    return Test(
        decisive=(compare(matchups, 0, 1, "AKA"), compare(matchups, 0, 1, "gain", margin=evidence.margins["gain"])),
        further=further,
    )


def vera_is_like_selective_tuning(evidence: Evidence) -> Test | CannotTest:
    """VeRA lies on LNFit's and BitFit's side of the middle between them and LoRA, in AKA, where it learned something.

    At a rate too small for it anything lies there, so without having learned it cannot hold.
    """
    matchups = _matchups(evidence, ("vera",), ("lora",), SELECTIVE)
    if isinstance(matchups, CannotTest):
        return matchups
    learned = above_zero_shot(matchups, 0)
    return Test(
        decisive=(middle_above(matchups, (1, 2), 0),),
        further=(learned, compare(matchups, 1, 0, "AKA"), compare(matchups, 0, 2, "AKA")),
        missing=() if learned.verdict == "held" else ("a learning rate at which VeRA is shown to learn something",),
    )


def galore_lies_between(evidence: Evidence) -> Test | CannotTest:
    """GaLore against the mean of LoRA and DoRA on both axes, and against full fine-tuning in AZS."""
    matchups = _matchups(evidence, ("galore",), LOW_RANK, ("full",))
    if isinstance(matchups, CannotTest):
        return matchups
    galore, low_rank, full = 0, 1, 2
    return Test(
        decisive=(
            compare(matchups, galore, low_rank, "AKA"),
            compare(matchups, galore, full, "AZS"),
            compare(matchups, low_rank, galore, "AZS"),
        ),
        further=(compare(matchups, full, galore, "AKA"),),
    )


def ewc_holds_on(evidence: Evidence) -> Test | CannotTest:
    """EWC against full fine-tuning; with several strengths also its weakest against its strongest, in AKA."""
    matchups = _matchups(evidence, ("ewc",), ("full",))
    if isinstance(matchups, CannotTest):
        return matchups
    decisive = [compare(matchups, 0, 1, "AZS"), farther_from_zero_shot(matchups, 1, 0)]
    ewc = matchups[0].contenders[0]
    strengths = {
        row: strength for row in ewc.rows if (strength := evidence.configs[row].number("strength")) is not None
    }
    if len(set(strengths.values())) > 1:
        weak, strong = (
            Contender(name=name, rows=tuple(row for row, strength in strengths.items() if strength == end))
            for name, end in (
                ("EWC of the lowest strength", min(strengths.values())),
                ("EWC of the highest strength", max(strengths.values())),
            )
        )
        ends = matchups_of(evidence, weak, strong)
        if ends:
            decisive.append(compare(ends, 0, 1, "AKA"))
    return Test(decisive=tuple(decisive), further=(compare(matchups, 1, 0, "AKA"),))


def si_brings_nothing(evidence: Evidence) -> Test | CannotTest:
    """Full fine-tuning plus the margin against SI on both axes."""
    matchups = _matchups(evidence, ("si",), ("full",))
    if isinstance(matchups, CannotTest):
        return matchups
    axes: tuple[Quantity, ...] = ("AKA", "AZS")
    return Test(decisive=tuple(compare(matchups, 1, 0, name, allowance=evidence.margins[name]) for name in axes))


# -- contenders -------------------------------------------------------------------------------------------------------


def _matchups(evidence: Evidence, *groups: tuple[str, ...]) -> tuple[Matchup, ...] | CannotTest:
    """Matchups of contenders that are some methods each, or what the study lacks for them."""
    contenders = [_contender(evidence, *methods) for methods in groups]
    if not all(one.rows for one in contenders):
        return lacks([(one.rows, _need(evidence, *methods)) for one, methods in zip(contenders, groups, strict=True)])
    return matchups_of(evidence, *contenders) or UNALIKE


def _need(evidence: Evidence, *methods: str) -> str:
    """Methods without merging, in words and as a study names them."""
    names = " or ".join(evidence.roles.method(method).name for method in methods)
    return f"{names} without merging (method {' or '.join(methods)}, timeline {PLAIN})"


def _contender(evidence: Evidence, *methods: str) -> Contender:
    """The plain configs of some methods without merging, as far as the study has them."""
    rows = {method: evidence.rows(method=method, timeline=PLAIN) for method in methods}
    present = [method for method in methods if rows[method]]
    return Contender(
        name="/".join(evidence.roles.method(method).name for method in present),
        rows=tuple(row for method in present for row in rows[method]),
    )


def _extremes(evidence: Evidence, own: tuple[str, ...], others: tuple[str, ...]) -> tuple[Matchup, ...] | CannotTest:
    """Matchups of the highest and the lowest of some methods, and the highest and the lowest of others."""
    sides = [_contender(evidence, *methods) for methods in (own, others)]
    if not all(side.rows for side in sides):
        return lacks(
            [(side.rows, _need(evidence, *methods)) for side, methods in zip(sides, (own, others), strict=True)]
        )
    return matchups_of(evidence, *(side.picked(end) for side in sides for end in ENDS)) or UNALIKE


def _families(evidence: Evidence, rows: Sequence[int]) -> list[Contender]:
    """One contender per family."""
    return [
        Contender(name=evidence.configs[family[0]].family, rows=tuple(family)) for family in by_family(evidence, rows)
    ]


def _ranks(evidence: Evidence) -> list[float]:
    rows = evidence.rows(method="lora", timeline=PLAIN)
    return sorted({rank for row in rows if (rank := evidence.configs[row].number("rank")) is not None})


def _against_each(
    evidence: Evidence, one: Contender, rows: Sequence[int], quantity: Quantity, *, by: Quantity = "GM"
) -> tuple[Comparison, ...]:
    """A contender against every family, unless there is only one."""
    families = _families(evidence, rows)
    found = [matchups_of(evidence, one.picked("mean"), family) for family in families]
    return tuple(compare(matchups, 0, 1, quantity, by=by) for matchups in found if matchups and len(families) > 1)


def _against_lora(evidence: Evidence, full: Contender) -> list[Comparison]:
    """AKA against LoRA of the lowest rank: each at the learning rate of its highest AKA, then at every common rate."""
    ranks = _ranks(evidence)
    if not ranks:
        return []
    lora = _families(evidence, evidence.rows(method="lora", timeline=PLAIN, rank=ranks[0]))[0]
    alike = [(matchup.rows(0), matchup.rows(1)) for matchup in matchups_of(evidence, full, lora)]
    if not alike:
        return []
    found = [
        of_best(
            evidence, alike, "AKA", by="AKA", left=f"{full.name} at its best lr", right=f"{lora.name} at its best lr"
        )
    ]
    pairs = [(a, b) for ours, theirs in alike for a in ours for b in theirs if evidence.rate(a) == evidence.rate(b)]
    for rate in sorted({evidence.rate(a) for a, _ in pairs}):
        same = [pair for pair in pairs if evidence.rate(pair[0]) == rate]
        at = f"at lr {short(rate)}"
        found.append(of_pairs(evidence, same, "AKA", left=f"{full.name} {at}", right=f"{lora.name} {at}"))
    return found
