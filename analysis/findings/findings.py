"""Findings: what two papers say of continual updating, evaluated on whatever study is given.

A finding is a published claim with a verdict. The claim's own function (see `claims`) names the paired comparisons that
test it, or what the study lacks for them; the verdict follows from the decisive comparisons (see `verdicts`).

How often verdicts are wrong (`python -m tests.analysis.error_rates`): in 200 synthetic studies without any effect,
claims that something is larger held in 0-3.5 % at 3 and at 5 blocks. True claims of one to eight parts, each true by
the smallest difference worth naming, did not hold in 2-3 %; could any part refute a claim alone, one of eight parts
would in 18 %. Claims that something is no worse by a margin, true there, held in 8-68 % at 3 blocks and 51-98 % at 5.
Where all claims are true by a few points, 15 of 25 held in 80 % of studies or more at 3 blocks, and 21 at 5.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from analysis.findings.evidence import CannotTest, Comparison, Evidence, Test, Verdict
from analysis.findings.verdicts import ALPHA, decide, more_blocks
from analysis.uncertainty import MAX_BLOCKS, holm

SHOWN_CONFIGS = 3
AMONG = " (among configs that were trained in the way that most were)"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A claim with its verdict, and the rule of it in a sentence; the first `decisive` comparisons decide.

    `reason` says why it is undecided or not tested, `missing` what the study lacks for the claim or a part of it.
    `p_value` is that of the side to which it leans, `adjusted` the same after Holm over all claims tested here, and
    `stands` whether a verdict is left after that (None where there is none). `config_ids` are the configs whose values
    enter the decisive comparisons, `compared` says them. For an undecided claim `blocks_needed` further blocks of
    `blocks_configs` (config ids) would decide it, None if no advisable number would; `advice` says it.
    """

    number: int
    claim: str
    rule: str
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


def corrected(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The same findings with what multiple testing leaves of them, by Holm over all that are tested."""
    adjusted = holm([finding.p_value for finding in findings])
    return tuple(
        replace(finding, adjusted=p, stands=None if p is None or not finding.decided else p < ALPHA)
        for finding, p in zip(findings, adjusted, strict=True)
    )


def finding_of(
    evidence: Evidence, outcome: Test | CannotTest, *, number: int, text: str, rule: str, source: str
) -> Finding:
    """The finding that a claim's comparisons, or what the study lacks for them, lead to."""
    if isinstance(outcome, CannotTest):
        return Finding(
            number=number,
            claim=text,
            rule=rule,
            source=source,
            verdict="not tested",
            reason=f"the study lacks {'; '.join(outcome.needs)}{AMONG if evidence.others else ''}",
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
        rule=rule,
        source=source,
        verdict=decision.verdict,
        reason=decision.reason,
        missing=(*outcome.missing, *outcome.unasked),
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


def _advice(evidence: Evidence, test: Test, blocks: int | None, numbers: Sequence[int], *, at_least: bool) -> str:
    """Which further trials would decide a claim, in words."""
    have = test.decisive[0].difference.blocks
    if at_least:
        return f"At least {blocks} more block{_s(blocks)} of {_named(evidence, numbers)}."
    if blocks is not None:
        return (
            f"About {blocks} more block{_s(blocks)} ({have + blocks} in all) of {_named(evidence, numbers)} would "
            "decide it, with even odds, if the differences and their spread stay as they are."
        )
    if test.missing and all(part.verdict == "held" for part in test.decisive):
        return "More blocks cannot decide it: the study lacks configs."
    return (
        f"More blocks will hardly decide it: even {MAX_BLOCKS} would be too few for a difference so close to its "
        "threshold, at this spread."
    )


def _s(count: int | None) -> str:
    return "" if count == 1 else "s"


def _ids(evidence: Evidence, numbers: Sequence[int]) -> tuple[str, ...]:
    return tuple(evidence.of_sizes.configs[number - 1].config_id for number in numbers)


def _named(evidence: Evidence, numbers: Sequence[int]) -> str:
    """Some of the configs by number and label, and how many there are."""
    configs = evidence.of_sizes.configs
    shown = [f"no. {number} ({configs[number - 1].label})" for number in numbers[:SHOWN_CONFIGS]]
    more = len(numbers) - len(shown)
    count = "1 config" if len(numbers) == 1 else f"{len(numbers)} configs"
    return f"{count}: {'; '.join(shown)}" + (f"; and {more} more" if more else "")
