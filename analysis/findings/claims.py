"""The claims of two papers on continual updating, a row each: number, words, rule, source, and the function of a test.

The rule says in a sentence when a claim holds, in the words of `TERMS`; the report and docs/report.md show both.

To add a claim, write a small pure function of `Evidence` in the module of its topic, and a row here with the next
number. Reports and tests cite numbers, so a number never changes and is never given twice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from analysis.findings.evidence import CannotTest, Evidence, Subject, Test, evidence_of
from analysis.findings.findings import Finding, corrected, finding_of
from analysis.findings.merges import larger_merge_weight_keeps_more, merging_gains_from_the_start
from analysis.findings.methods import (
    adapters_lie_between,
    ewc_holds_on,
    full_accumulates_most_and_retains_least,
    galore_lies_between,
    rank_moves_along_the_line,
    selective_tuning_retains_most,
    si_brings_nothing,
    vera_is_like_selective_tuning,
)
from analysis.findings.recipes import (
    SCHEDULE_AXES,
    both_towers_beat_one,
    compute_helps_merging_alone,
    larger_models_learn_more_and_forget_less,
    learning_rates_have_a_middle,
    meta_schedules_retain_more,
    pretrained_temperature_closes_the_gap,
    rsqrt_keeps_what_cosine_loses,
    schedules_within_a_task_are_alike,
)
from analysis.findings.sizes import SIZE_AXES
from analysis.findings.streams import (
    BUFFER_AXES,
    ORDER_AXES,
    buffer_matters_more_than_pool,
    every_data_set_teaches,
    orderings_end_alike,
)
from analysis.findings.times import advantage_grows, offline_merging_is_worse, places_change_much, rules_change_little
from analysis.frontier import Frontier
from analysis.tables.tables import Tables


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A published claim; `test` names the comparisons that test it in a study, or what the study lacks for them.

    `rule` says when it holds. `of` says what it looks at, and `about` names the axes of training that it is about: in
    all others it looks at the values that most configs have.
    """

    number: int
    text: str
    rule: str
    source: str
    test: Callable[[Evidence], Test | CannotTest]
    of: Subject = "methods"
    about: tuple[str, ...] = ()


def by_number(*claims: Claim) -> Mapping[int, Claim]:
    """Claims by their numbers, which must all differ."""
    found: dict[int, Claim] = {}
    for claim in claims:
        if claim.number in found:
            raise ValueError(
                f"two claims have the number {claim.number}: {found[claim.number].text!r} and {claim.text!r}; give the "
                "newer one the next free number"
            )
        found[claim.number] = claim
    return found


METHODS_PART = "arXiv 2408.14471, section 5"
MERGING_PART = "arXiv 2408.14471, section 5.2"
RECIPES_PART = "arXiv 2408.14471, section 6"
SANITY_PART = "arXiv 2408.14471, section 3.4"
DATA_PART = "arXiv 2408.14471, on data"
TIME = "arXiv 2412.06712"

TERMS = (
    "A claim holds if all parts of its rule do, and looks only at configs that were trained in the way that most "
    "configs of the study were, save for what the claim is about; from 9 on, but for 17 and 21, at full fine-tuning "
    'alone, plain or merged. "Best" is the highest GM, chosen on the blocks that do not score it. "The margin" is 5 % '
    "of what joint training learns in AKA, in AZS and gain the larger of 1 point and 2 standard errors of the held-"
    "out test sets, and in GM what both come to; over studies of models of several sizes it is the mean of theirs."
)
"""What the words of all rules mean."""

CLAIMS = by_number(
    Claim(
        number=1,
        text="Without merging, full fine-tuning accumulates most (AKA) and retains least (AZS).",
        rule=(
            "Full fine-tuning's highest AKA is above the highest of LoRA, DoRA, VeRA, GaLore, LNFit, BitFit and EWC, "
            "and at its best its AZS is below the lowest of these at their best."
        ),
        source=METHODS_PART,
        test=full_accumulates_most_and_retains_least,
    ),
    Claim(
        number=2,
        text="LNFit and BitFit retain most (AZS) and accumulate least (AKA).",
        rule=(
            "The lower AZS of LNFit and BitFit is above the highest of full fine-tuning, LoRA, DoRA and GaLore, and "
            "their higher AKA below the lowest of these, each at its best."
        ),
        source=METHODS_PART,
        test=selective_tuning_retains_most,
    ),
    Claim(
        number=3,
        text="LoRA and DoRA lie between full fine-tuning and LNFit/BitFit, and below the trade-off line.",
        rule=(
            "The mean of LoRA and DoRA over their ranks has less AKA than full fine-tuning, more than LNFit/BitFit, "
            "and a gain below zero, each at its best."
        ),
        source=METHODS_PART,
        test=adapters_lie_between,
    ),
    Claim(
        number=4,
        text="A higher rank of LoRA moves along the same trade-off: more AKA at an equal gain.",
        rule=(
            "LoRA of the highest rank has more AKA than of the lowest, and a gain that is equal to within the "
            "margin, each at its best."
        ),
        source=METHODS_PART,
        test=rank_moves_along_the_line,
    ),
    Claim(
        number=5,
        text="VeRA behaves like LNFit and BitFit: its AKA is nearer theirs than LoRA's.",
        rule=(
            "VeRA's AKA is nearer LNFit's and BitFit's than LoRA's, each at its best; it holds only where VeRA "
            "learned more than the margin."
        ),
        source=METHODS_PART,
        test=vera_is_like_selective_tuning,
    ),
    Claim(
        number=6,
        text="GaLore lies between full fine-tuning and LoRA/DoRA: it learns more and retains less than these.",
        rule=(
            "GaLore has more AKA and less AZS than the mean of LoRA and DoRA, and more AZS than full fine-tuning, "
            "each at its best."
        ),
        source=METHODS_PART,
        test=galore_lies_between,
    ),
    Claim(
        number=7,
        text=(
            "EWC retains more than full fine-tuning, at an AKA that stays nearer zero-shot; a weaker penalty learns "
            "more."
        ),
        rule=(
            "EWC has more AZS than full fine-tuning and an AKA nearer zero-shot, and with several strengths more AKA "
            "at the lowest than at the highest, each at its best."
        ),
        source=METHODS_PART,
        test=ewc_holds_on,
    ),
    Claim(
        number=8,
        text="SI brings nothing over full fine-tuning on either axis.",
        rule="Neither AKA nor AZS of SI is above full fine-tuning's plus the margin, each at its best.",
        source=METHODS_PART,
        test=si_brings_nothing,
    ),
    Claim(
        number=9,
        text=(
            "EMA- and ZS-merge keep the zero-shot AZS at first, learn as much as fine-tuning in the end, and lie "
            "above the trade-off line then."
        ),
        rule=(
            "At the learning rate at which fine-tuning is best, EMA-merge and ZS-merge at their best w end above the "
            "line, with at least fine-tuning's AKA less the margin, and have after the first task at least zero-"
            "shot's AZS less the margin."
        ),
        source=MERGING_PART,
        test=merging_gains_from_the_start,
        of="full",
    ),
    Claim(
        number=10,
        text="A larger merge weight w raises retention (AZS) and lowers accumulation (AKA).",
        rule="Over all pairs of EMA- or ZS-merge that differ in w alone, the larger w has more AZS and less AKA.",
        source=MERGING_PART,
        test=larger_merge_weight_keeps_more,
        of="full",
    ),
    Claim(
        number=11,
        text=(
            "Learning rates have a middle: the largest retains less, from the first task on, the smallest learns less."
        ),
        rule=(
            "The best learning rate but the ends has more AZS than the largest, in the end and after the first task, "
            "and more AKA than the largest and the smallest."
        ),
        source=RECIPES_PART,
        test=learning_rates_have_a_middle,
        of="plain",
    ),
    Claim(
        number=12,
        text="Within a task, a cosine and a reciprocal square root of the steps do the same.",
        rule="AKA and AZS of cosine and rsqrt, both begun anew with every task, are equal to within the margin.",
        source=RECIPES_PART,
        test=schedules_within_a_task_are_alike,
        of="plain",
        about=SCHEDULE_AXES,
    ),
    Claim(
        number=13,
        text="Meta-schedules over tasks retain more than schedules that begin anew with every task.",
        rule="Meta-schedules of cosine and those of rsqrt have more AZS than the schedule they are made of.",
        source=RECIPES_PART,
        test=meta_schedules_retain_more,
        of="plain",
        about=SCHEDULE_AXES,
    ),
    Claim(
        number=14,
        text="Meta-schedules of cosine lose accumulation; those of rsqrt keep it and end above the trade-off line.",
        rule=(
            "Meta-schedules of cosine lose more AKA than the margin, those of rsqrt do not, and these at their best "
            "rate lie above the line."
        ),
        source=RECIPES_PART,
        test=rsqrt_keeps_what_cosine_loses,
        of="plain",
        about=SCHEDULE_AXES,
    ),
    Claim(
        number=15,
        text="Larger models learn as much or more, and forget less.",
        rule=(
            "From its own zero-shot point, the largest model rises in AKA by at least as much as the smallest less "
            "the margin, and its change in AZS is above the other's, each at its best rate."
        ),
        source=RECIPES_PART,
        test=larger_models_learn_more_and_forget_less,
        of="plain",
        about=SIZE_AXES,
    ),
    Claim(
        number=16,
        text="More compute improves the trade-off of merging, and not that of fine-tuning.",
        rule=(
            "From the fewest to the most steps, the gain of EMA-merge at its best rises, and that of fine-tuning at "
            "its best by no more than the margin."
        ),
        source=RECIPES_PART,
        test=compute_helps_merging_alone,
        of="full",
        about=("steps",),
    ),
    Claim(
        number=17,
        text="To tune both towers beats a locked image or text tower.",
        rule=(
            "Full fine-tuning has more GM than a locked image tower and than a locked text tower, each at its best "
            "of the learning rates that both have."
        ),
        source=RECIPES_PART,
        test=both_towers_beat_one,
    ),
    Claim(
        number=18,
        text="To go on from the pretrained temperature forgets less in the first task than to reset it.",
        rule="After the first task, the pretrained temperature has more AZS than one that is reset.",
        source=RECIPES_PART,
        test=pretrained_temperature_closes_the_gap,
        of="plain",
        about=("temperature",),
    ),
    Claim(
        number=19,
        text="After the whole stream, all orderings end alike.",
        rule="After the last task, GM of every ordering is equal to that of the random one to within the margin.",
        source=DATA_PART,
        test=orderings_end_alike,
        of="full",
        about=ORDER_AXES,
    ),
    Claim(
        number=20,
        text="To replay earlier tasks is crucial, and matters more than to replay pretraining data.",
        rule=(
            "GM with both replays, and GM without pretraining data, are above GM without a buffer, in ways of "
            "training that the study has with all three."
        ),
        source=DATA_PART,
        test=buffer_matters_more_than_pool,
        of="full",
        about=BUFFER_AXES,
    ),
    Claim(
        number=21,
        text="Fine-tuned on a data set alone, the model scores higher on it than zero-shot, whichever it is.",
        rule="Every data set's score, at the best settings, is higher after training on it alone than zero-shot.",
        source=SANITY_PART,
        test=every_data_set_teaches,
    ),
    Claim(
        number=22,
        text="Offline merging of all updates is worse than EMA-merge.",
        rule="EMA-merge has more GM than offline merging, each at its best.",
        source=TIME,
        test=offline_merging_is_worse,
        of="full",
    ),
    Claim(
        number=23,
        text="With start and serve fixed, other merge rules bring next to nothing in GM over the weighted average.",
        rule=(
            "The weighted average plus the margin has more GM than the best of all other rules with the same start "
            "and serve."
        ),
        source=TIME,
        test=rules_change_little,
        of="full",
    ),
    Claim(
        number=24,
        text="Where tasks start and what is served changes more than the rule does, and EMA/EMA is best.",
        rule=(
            "EMA/EMA has more GM than the best other pair of start and serve, and the best and the worst pair differ "
            "by more than the best and the worst rule."
        ),
        source=TIME,
        test=places_change_much,
        of="full",
    ),
    Claim(
        number=25,
        text="The lead of EMA-merge over fine-tuning grows with tasks, compute and model size.",
        rule=(
            "EMA-merge's lead in GM over fine-tuning, each at its best, is larger after the last task than after "
            "half of them, at the most steps than at the fewest, and, where there are two sizes, in the largest model "
            "than in the smallest."
        ),
        source=TIME,
        test=advantage_grows,
        of="full",
        about=("steps", *SIZE_AXES),
    ),
)


def evaluate_findings(frontier: Frontier, tables: Tables | None = None) -> tuple[Finding, ...]:
    """Every claim on a study; margins and the one about single data sets need the scores in its tables."""
    evidence = evidence_of(frontier, tables)
    return corrected([find(evidence, number) for number in CLAIMS])


def find(evidence: Evidence, number: int) -> Finding:
    """One claim alone, by its number and before the correction for multiple testing."""
    claim = CLAIMS[number]
    seen = evidence.usual(claim.about, claim.of)
    return finding_of(seen, claim.test(seen), number=number, text=claim.text, rule=claim.rule, source=claim.source)
