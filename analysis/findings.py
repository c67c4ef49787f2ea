"""Findings: claims about continual updating, evaluated on whatever study is given.

A claim is one small pure function in `CLAIMS`: it names the paired comparisons that test it, and the verdict follows
from the decisive ones. Such a comparison held if the interval of its difference lies above zero; it did not hold if all
of the interval is below the smallest difference worth naming; else it is undecided. Claims of equality ask for an
interval within a margin. A claim held if all its decisive comparisons held, and did not hold if one of them did not. To
add a claim, add a function and a row.

On 150 synthetic studies without any effect, a claim with one decisive comparison was decided either way in 5-8 % at 3
blocks and 3-13 % at 5 (most for the best of three learning rates, whose interval is a little too short), and held in
1-6 %. Claims 1-7 (200 studies, one learning rate, 3 blocks): held in 0-4 %; those of several parts were refuted in
7-25 %, because any part can do it. With three rates that tie in gain and differ in AKA, claim 5 held in 14 %.
"""

from collections.abc import Callable
from dataclasses import dataclass

from analysis.evidence import Case, Comparison, Evidence, Verdict, evidence_of
from analysis.frontier import Frontier
from analysis.merge_claims import (
    advantage_grows_with_tasks,
    first_update_of_merging_is_free,
    larger_merge_weight_lowers_accumulation,
    merging_ends_above_the_line,
    offline_merging_is_worse,
    places_change_much,
    rules_change_little,
)
from analysis.method_claims import (
    adapters_lie_between,
    ewc_holds_on,
    full_accumulates_most_and_retains_least,
    galore_lies_between,
    rank_moves_along_the_line,
    selective_tuning_retains_most,
    si_changes_nothing,
    vera_is_like_selective_tuning,
)
from analysis.recipe_claims import (
    ema_merge_gains_over_finetuning,
    full_accumulates_more_than_lora,
    larger_learning_rate_lowers_retention,
    larger_merge_weight_raises_retention,
)
from analysis.stream_claims import (
    both_towers_beat_one,
    buffer_matters_more_than_pool,
    compute_helps_merging_alone,
    learning_rates_have_a_middle,
    meta_schedules_retain_more,
    orderings_end_alike,
    pretrained_temperature_closes_the_gap,
    rsqrt_keeps_what_cosine_loses,
    schedules_within_a_task_are_alike,
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A claim with its verdict; `reason` says why it is not decided. The first `decisive` comparisons decide."""

    number: int
    claim: str
    source: str
    verdict: Verdict
    reason: str | None
    decisive: int
    comparisons: tuple[Comparison, ...]


Claim = Callable[[Evidence], Case | str]
"""The comparisons that test a claim, or the reason why the study cannot test it."""

METHODS_PART = "arXiv 2408.14471, section 5"
RECIPES_PART = "arXiv 2408.14471, section 6"
TIME = "arXiv 2412.06712"

CLAIMS: tuple[tuple[str, str, Claim], ...] = (
    (
        "Without merging, full fine-tuning accumulates most (AKA) and retains least (AZS).",
        METHODS_PART,
        full_accumulates_most_and_retains_least,
    ),
    (
        "LNFit and BitFit retain more and accumulate less than the other methods do on average.",
        METHODS_PART,
        selective_tuning_retains_most,
    ),
    (
        "LoRA and DoRA lie between full fine-tuning and LNFit/BitFit on both axes, and below the trade-off line.",
        METHODS_PART,
        adapters_lie_between,
    ),
    (
        "A higher rank of LoRA moves along the same trade-off: more AKA at an equal gain.",
        METHODS_PART,
        rank_moves_along_the_line,
    ),
    (
        "VeRA behaves like LNFit and BitFit: its AKA is nearer theirs than LoRA's.",
        METHODS_PART,
        vera_is_like_selective_tuning,
    ),
    (
        "GaLore lies between full fine-tuning and LoRA/DoRA: it learns more and retains less than these.",
        METHODS_PART,
        galore_lies_between,
    ),
    (
        "EWC retains more than full fine-tuning, at an AKA that stays nearer zero-shot; a weaker penalty learns more.",
        METHODS_PART,
        ewc_holds_on,
    ),
    ("SI does the same as full fine-tuning on both axes.", METHODS_PART, si_changes_nothing),
    (
        "Full fine-tuning accumulates more than LoRA of the lowest rank.",
        METHODS_PART,
        full_accumulates_more_than_lora,
    ),
    ("A larger learning rate lowers retention (AZS).", RECIPES_PART, larger_learning_rate_lowers_retention),
    (
        "EMA-merge lies further above the trade-off line than plain fine-tuning.",
        METHODS_PART,
        ema_merge_gains_over_finetuning,
    ),
    ("A larger merge weight w raises retention (AZS).", METHODS_PART, larger_merge_weight_raises_retention),
    ("A larger merge weight w lowers accumulation (AKA).", METHODS_PART, larger_merge_weight_lowers_accumulation),
    (
        "EMA-merge and ZS-merge end above the trade-off line, with at least the AKA of fine-tuning.",
        METHODS_PART,
        merging_ends_above_the_line,
    ),
    (
        "The first update of EMA-merge and ZS-merge costs no AZS, and brings more AKA than a later one.",
        METHODS_PART,
        first_update_of_merging_is_free,
    ),
    ("Offline merging of all updates is worse than EMA-merge.", TIME, offline_merging_is_worse),
    (
        "With start and serve fixed, other merge rules bring no more than a point of GM over the weighted average.",
        TIME,
        rules_change_little,
    ),
    (
        "Where tasks start and what is served changes more than the rule does, and EMA/EMA is best.",
        TIME,
        places_change_much,
    ),
    ("The lead of EMA-merge over fine-tuning grows with the number of tasks.", TIME, advantage_grows_with_tasks),
    (
        "Learning rates have a middle: the largest retains least, and the smallest accumulates least.",
        RECIPES_PART,
        learning_rates_have_a_middle,
    ),
    (
        "Within a task, a cosine and a reciprocal square root of the steps do the same.",
        RECIPES_PART,
        schedules_within_a_task_are_alike,
    ),
    (
        "Meta-schedules over tasks retain more than schedules that begin anew with every task.",
        RECIPES_PART,
        meta_schedules_retain_more,
    ),
    (
        "Meta-schedules of rsqrt keep the accumulation that those of cosine lose.",
        RECIPES_PART,
        rsqrt_keeps_what_cosine_loses,
    ),
    (
        "More compute improves the trade-off of merging, and not that of fine-tuning.",
        RECIPES_PART,
        compute_helps_merging_alone,
    ),
    ("To tune both towers beats a locked image or text tower.", RECIPES_PART, both_towers_beat_one),
    (
        "To go on from the pretrained temperature forgets less in the first task than to reset it.",
        RECIPES_PART,
        pretrained_temperature_closes_the_gap,
    ),
    ("After the whole stream, all orderings end alike.", RECIPES_PART, orderings_end_alike),
    (
        "To replay earlier tasks is crucial, and matters more than to replay pretraining data.",
        RECIPES_PART,
        buffer_matters_more_than_pool,
    ),
)


def evaluate_findings(frontier: Frontier) -> tuple[Finding, ...]:
    """Every claim of `CLAIMS` on this study."""
    evidence = evidence_of(frontier)
    return tuple(
        _finding(number, text, source, claim(evidence)) for number, (text, source, claim) in enumerate(CLAIMS, start=1)
    )


def _finding(number: int, text: str, source: str, outcome: Case | str) -> Finding:
    case = Case(decisive=()) if isinstance(outcome, str) else outcome
    verdict, reason = ("not tested", outcome) if isinstance(outcome, str) else _verdict(outcome)
    return Finding(
        number=number,
        claim=text,
        source=source,
        verdict=verdict,
        reason=reason,
        decisive=len(case.decisive),
        comparisons=(*case.decisive, *case.further),
    )


def _verdict(case: Case) -> tuple[Verdict, str | None]:
    """All must hold; one that fails is enough against the claim."""
    verdicts = [comparison.verdict for comparison in case.decisive]
    if "did not hold" in verdicts:
        return "did not hold", None
    if "undecided" in verdicts:
        reasons = dict.fromkeys(item.reason for item in case.decisive if item.reason is not None)
        return "undecided", "; ".join(reasons)
    return "held", None
