"""The claims of two papers on continual updating, a row each: number, words, source, and the function that tests it.

To add a claim, write a small pure function of `Evidence` in the module of its topic, and a row here with the next
number. Reports and tests cite numbers, so a number never changes and is never given twice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from analysis.findings.evidence import CannotTest, Evidence, Test, evidence_of
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
    both_towers_beat_one,
    compute_helps_merging_alone,
    larger_models_learn_more_and_forget_less,
    learning_rates_have_a_middle,
    meta_schedules_retain_more,
    pretrained_temperature_closes_the_gap,
    rsqrt_keeps_what_cosine_loses,
    schedules_within_a_task_are_alike,
)
from analysis.findings.streams import buffer_matters_more_than_pool, every_data_set_teaches, orderings_end_alike
from analysis.findings.times import advantage_grows, offline_merging_is_worse, places_change_much, rules_change_little
from analysis.frontier import Frontier
from analysis.tables.tables import Tables


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A published claim; `test` names the comparisons that test it in a study, or what the study lacks for them."""

    number: int
    text: str
    source: str
    test: Callable[[Evidence], Test | CannotTest]


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

CLAIMS = by_number(
    Claim(
        number=1,
        text="Without merging, full fine-tuning accumulates most (AKA) and retains least (AZS).",
        source=METHODS_PART,
        test=full_accumulates_most_and_retains_least,
    ),
    Claim(
        number=2,
        text="LNFit and BitFit retain more and accumulate less than the other methods do on average.",
        source=METHODS_PART,
        test=selective_tuning_retains_most,
    ),
    Claim(
        number=3,
        text="LoRA and DoRA lie between full fine-tuning and LNFit/BitFit on both axes, and below the trade-off line.",
        source=METHODS_PART,
        test=adapters_lie_between,
    ),
    Claim(
        number=4,
        text="A higher rank of LoRA moves along the same trade-off: more AKA at an equal gain.",
        source=METHODS_PART,
        test=rank_moves_along_the_line,
    ),
    Claim(
        number=5,
        text="VeRA behaves like LNFit and BitFit: its AKA is nearer theirs than LoRA's.",
        source=METHODS_PART,
        test=vera_is_like_selective_tuning,
    ),
    Claim(
        number=6,
        text="GaLore lies between full fine-tuning and LoRA/DoRA: it learns more and retains less than these.",
        source=METHODS_PART,
        test=galore_lies_between,
    ),
    Claim(
        number=7,
        text=(
            "EWC retains more than full fine-tuning, at an AKA that stays nearer zero-shot; a weaker penalty learns "
            "more."
        ),
        source=METHODS_PART,
        test=ewc_holds_on,
    ),
    Claim(
        number=8,
        text="SI brings nothing over full fine-tuning on either axis.",
        source=METHODS_PART,
        test=si_brings_nothing,
    ),
    Claim(
        number=9,
        text=(
            "EMA- and ZS-merge keep the zero-shot AZS at first, learn as much as fine-tuning in the end, lie above "
            "the trade-off line then, and gain most with the first update."
        ),
        source=MERGING_PART,
        test=merging_gains_from_the_start,
    ),
    Claim(
        number=10,
        text="A larger merge weight w raises retention (AZS) and lowers accumulation (AKA).",
        source=MERGING_PART,
        test=larger_merge_weight_keeps_more,
    ),
    Claim(
        number=11,
        text=(
            "Learning rates have a middle: the largest retains least, from the first task on, the smallest learns "
            "least."
        ),
        source=RECIPES_PART,
        test=learning_rates_have_a_middle,
    ),
    Claim(
        number=12,
        text="Within a task, a cosine and a reciprocal square root of the steps do the same.",
        source=RECIPES_PART,
        test=schedules_within_a_task_are_alike,
    ),
    Claim(
        number=13,
        text="Meta-schedules over tasks retain more than schedules that begin anew with every task.",
        source=RECIPES_PART,
        test=meta_schedules_retain_more,
    ),
    Claim(
        number=14,
        text="Meta-schedules of cosine lose accumulation; those of rsqrt keep it, retain more and end above the line.",
        source=RECIPES_PART,
        test=rsqrt_keeps_what_cosine_loses,
    ),
    Claim(
        number=15,
        text="Larger models learn as much or more, and forget less.",
        source=RECIPES_PART,
        test=larger_models_learn_more_and_forget_less,
    ),
    Claim(
        number=16,
        text="More compute improves the trade-off of merging, and not that of fine-tuning.",
        source=RECIPES_PART,
        test=compute_helps_merging_alone,
    ),
    Claim(
        number=17,
        text="To tune both towers beats a locked image or text tower.",
        source=RECIPES_PART,
        test=both_towers_beat_one,
    ),
    Claim(
        number=18,
        text="To go on from the pretrained temperature forgets less in the first task than to reset it.",
        source=RECIPES_PART,
        test=pretrained_temperature_closes_the_gap,
    ),
    Claim(
        number=19,
        text="After the whole stream, all orderings end alike.",
        source=DATA_PART,
        test=orderings_end_alike,
    ),
    Claim(
        number=20,
        text="To replay earlier tasks is crucial, and matters more than to replay pretraining data.",
        source=DATA_PART,
        test=buffer_matters_more_than_pool,
    ),
    Claim(
        number=21,
        text="Fine-tuned on a data set alone, the model scores higher on it than zero-shot, whichever it is.",
        source=SANITY_PART,
        test=every_data_set_teaches,
    ),
    Claim(
        number=22,
        text="Offline merging of all updates is worse than EMA-merge.",
        source=TIME,
        test=offline_merging_is_worse,
    ),
    Claim(
        number=23,
        text=(
            "With start and serve fixed, other merge rules bring no more than a point of GM over the weighted average."
        ),
        source=TIME,
        test=rules_change_little,
    ),
    Claim(
        number=24,
        text="Where tasks start and what is served changes more than the rule does, and EMA/EMA is best.",
        source=TIME,
        test=places_change_much,
    ),
    Claim(
        number=25,
        text="The lead of EMA-merge over fine-tuning grows with tasks, compute and model size.",
        source=TIME,
        test=advantage_grows,
    ),
)


def evaluate_findings(frontier: Frontier, tables: Tables | None = None) -> tuple[Finding, ...]:
    """Every claim on a study; the one about single data sets needs the scores in its tables."""
    evidence = evidence_of(frontier, tables)
    return corrected([find(evidence, number) for number in CLAIMS])


def find(evidence: Evidence, number: int) -> Finding:
    """One claim alone, by its number and before the correction for multiple testing."""
    claim = CLAIMS[number]
    return finding_of(evidence, claim.test(evidence), number=number, text=claim.text, source=claim.source)
