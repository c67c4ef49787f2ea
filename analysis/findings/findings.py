"""Findings: what two papers say of continual updating, evaluated on whatever study is given.

A claim is one small pure function in `CLAIMS`: it names the paired comparisons that test it, or what the study lacks,
and the verdict follows from the decisive ones (see `verdicts`). To add a claim, add a function and a row.

How often that is wrong, by `python -m tests.analysis.error_rates`: in 200 synthetic studies without any effect, claims
that something is larger held in 0-3.5 % at 3 and at 5 blocks. True claims of one to eight parts, each true by the
smallest difference worth naming, did not hold in 2-3 %; could any part refute a claim alone, one of eight parts would
in 18 %. Claims that something is no worse by a point, true there, held in 8-68 % at 3 blocks and 51-99 % at 5.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from analysis.findings.evidence import Case, Comparison, Evidence, Missing, Verdict, evidence_of
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
from analysis.findings.verdicts import ALPHA, decide, more_blocks
from analysis.frontier import Frontier
from analysis.tables.tables import Tables
from analysis.uncertainty import MAX_BLOCKS, holm

SHOWN_CONFIGS = 3


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A claim with its verdict; the first `decisive` comparisons decide.

    `reason` says why it is undecided or not tested, `missing` what the study lacks for the claim or a part of it.
    `p_value` is that of the side to which it leans, `adjusted` the same after Holm over all claims tested here, and
    `stands` whether a verdict is left after that (None where there is none). `config_ids` are the configs whose values
    enter the decisive comparisons, `compared` says them. For an undecided claim `blocks_needed` further blocks of
    `blocks_configs` (config ids) would decide it, None if no advisable number would; `advice` says it.
    """

    number: int
    claim: str
    source: str
    verdict: Verdict
    reason: str | None
    missing: tuple[str, ...]
    decisive: int
    comparisons: tuple[Comparison, ...]
    p_value: float | None = None
    adjusted: float | None = None
    stands: bool | None = None
    config_ids: tuple[str, ...] = ()
    compared: str | None = None
    blocks_needed: int | None = None
    blocks_configs: tuple[str, ...] = ()
    advice: str | None = None

    @property
    def decided(self) -> bool:
        """Whether it held or did not hold."""
        return self.verdict in ("held", "did not hold")


Claim = Callable[[Evidence], Case | Missing]
"""The comparisons that test a claim, or what the study lacks for it."""

METHODS_PART = "arXiv 2408.14471, section 5"
MERGING_PART = "arXiv 2408.14471, section 5.2"
RECIPES_PART = "arXiv 2408.14471, section 6"
SANITY_PART = "arXiv 2408.14471, section 3.4"
DATA_PART = "arXiv 2408.14471, on data"
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
    ("SI brings nothing over full fine-tuning on either axis.", METHODS_PART, si_brings_nothing),
    (
        "EMA- and ZS-merge keep the zero-shot AZS at first, learn as much as fine-tuning in the end, lie above the "
        "trade-off line then, and gain most with the first update.",
        MERGING_PART,
        merging_gains_from_the_start,
    ),
    (
        "A larger merge weight w raises retention (AZS) and lowers accumulation (AKA).",
        MERGING_PART,
        larger_merge_weight_keeps_more,
    ),
    (
        "Learning rates have a middle: the largest retains least, from the first task on, the smallest learns least.",
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
        "Meta-schedules of cosine lose accumulation; those of rsqrt keep it, retain more and end above the line.",
        RECIPES_PART,
        rsqrt_keeps_what_cosine_loses,
    ),
    (
        "Larger models learn as much or more, and forget less.",
        RECIPES_PART,
        larger_models_learn_more_and_forget_less,
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
    ("After the whole stream, all orderings end alike.", DATA_PART, orderings_end_alike),
    (
        "To replay earlier tasks is crucial, and matters more than to replay pretraining data.",
        DATA_PART,
        buffer_matters_more_than_pool,
    ),
    (
        "Fine-tuned on a data set alone, the model scores higher on it than zero-shot, whichever it is.",
        SANITY_PART,
        every_data_set_teaches,
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
    (
        "The lead of EMA-merge over fine-tuning grows with tasks, compute and model size.",
        TIME,
        advantage_grows,
    ),
)


def evaluate_findings(frontier: Frontier, tables: Tables | None = None) -> tuple[Finding, ...]:
    """Every claim of `CLAIMS` on this study; one of them looks at scores of single data sets, in its tables."""
    evidence = evidence_of(frontier, tables)
    return corrected([find(evidence, number) for number in range(1, len(CLAIMS) + 1)])


def find(evidence: Evidence, number: int) -> Finding:
    """One claim alone, by its number, without what multiple testing leaves of it."""
    text, source, claim = CLAIMS[number - 1]
    return finding_of(evidence, claim(evidence), number=number, text=text, source=source)


def corrected(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The same findings with what multiple testing leaves of them, by Holm over all that are tested."""
    adjusted = holm([finding.p_value for finding in findings])
    return tuple(
        replace(finding, adjusted=p, stands=None if p is None or not finding.decided else p < ALPHA)
        for finding, p in zip(findings, adjusted, strict=True)
    )


def finding_of(evidence: Evidence, outcome: Case | Missing, *, number: int, text: str, source: str) -> Finding:
    """What a claim's comparisons, or what the study lacks for them, come to."""
    if isinstance(outcome, Missing):
        return Finding(
            number=number,
            claim=text,
            source=source,
            verdict="not tested",
            reason=f"the study lacks {'; '.join(outcome.needs)}",
            missing=outcome.needs,
            decisive=0,
            comparisons=(),
        )
    decision = decide(outcome)
    numbers = sorted({n for part in outcome.decisive for n in (*part.left_configs, *part.right_configs)})
    more = more_blocks(outcome) if decision.verdict == "undecided" else None
    return Finding(
        number=number,
        claim=text,
        source=source,
        verdict=decision.verdict,
        reason=decision.reason,
        missing=outcome.missing,
        decisive=len(outcome.decisive),
        comparisons=(*outcome.decisive, *outcome.further),
        p_value=decision.p_value,
        config_ids=_ids(evidence, numbers),
        compared=_named(evidence, numbers),
        blocks_needed=None if more is None else more.blocks,
        blocks_configs=() if more is None else _ids(evidence, more.configs),
        advice=None if more is None else _advice(evidence, outcome, more.blocks, more.configs, at_least=more.at_least),
    )


def multiplicity_note(findings: Sequence[Finding]) -> str:
    """What a reader should expect of so many verdicts, and which of them are left when that is corrected for."""
    tested = [finding for finding in findings if finding.verdict != "not tested"]
    decided = [finding for finding in tested if finding.decided]
    standing = [str(finding.number) for finding in decided if finding.stands]
    if not decided:
        return f"{len(tested)} of {len(findings)} claims are tested here, and none is decided."
    chance = ALPHA * len(tested)
    many = "is" if len(decided) == 1 else "are"
    kept = f"no. {', '.join(standing)} stand{'s' if len(standing) == 1 else ''}" if standing else "none of them stands"
    return (
        f"{len(tested)} of {len(findings)} claims are tested here, each at {100 * (1 - ALPHA):g} %: if all of them lay "
        f"at their thresholds, about {chance:.1f} would still be decided by chance; {len(decided)} {many}. "
        f"After Holm's correction over all {len(tested)}, {kept}."
    )


def _advice(evidence: Evidence, case: Case, blocks: int | None, numbers: Sequence[int], *, at_least: bool) -> str:
    """Which further trials would decide a claim, in words."""
    have = case.decisive[0].difference.blocks
    if at_least:
        return f"At least {blocks} more block{_s(blocks)} of {_named(evidence, numbers)}."
    if blocks is not None:
        return (
            f"About {blocks} more block{_s(blocks)} ({have + blocks} in all) of {_named(evidence, numbers)} would "
            "decide it, with even odds, if the differences and their spread stay as they are."
        )
    if case.missing and all(part.verdict == "held" for part in case.decisive):
        return "More blocks cannot decide it: the study lacks configs."
    return (
        f"More blocks will hardly decide it: even {MAX_BLOCKS} would be too few for a difference so close to its "
        "threshold, at this spread."
    )


def _s(count: int | None) -> str:
    return "" if count == 1 else "s"


def _ids(evidence: Evidence, numbers: Sequence[int]) -> tuple[str, ...]:
    return tuple(evidence.configs[number - 1].config_id for number in numbers)


def _named(evidence: Evidence, numbers: Sequence[int]) -> str:
    """Some of the configs by number and label, and how many there are."""
    shown = [f"no. {number} ({evidence.configs[number - 1].label})" for number in numbers[:SHOWN_CONFIGS]]
    more = len(numbers) - len(shown)
    count = "1 config" if len(numbers) == 1 else f"{len(numbers)} configs"
    return f"{count}: {'; '.join(shown)}" + (f"; and {more} more" if more else "")
