"""Findings, advice and configs in sentences, as the page, its opening paragraphs and the commands print them."""

from collections import Counter
from collections.abc import Iterator, Sequence

from analysis.advice.recommend import Recommendation
from analysis.findings.evidence import Comparison, in_points
from analysis.findings.findings import Finding, multiplicity_note
from analysis.frontier import Result
from analysis.writing.wording import amount, cost, percent, upper


def named(result: Result) -> str:
    """The number and the label of a config."""
    return f"no. {result.number} ({result.config.label})"


def comparison_sentence(comparison: Comparison) -> str:
    """A comparison in words."""
    side = "above" if comparison.difference.value >= 0 else "below"
    subject = upper(comparison.left) if comparison.scope is None else f"{comparison.scope}: {comparison.left}"
    size = f"{amount(comparison.difference)} points of {comparison.quantity}"
    text = f"{subject} is {size} {side} {comparison.right}"
    notes = []
    if comparison.margin is not None:
        notes.append(f"equal means within {in_points(comparison.margin)}")
    if comparison.pairs > 1:
        notes.append(f"mean of {comparison.pairs} pairs; {comparison.positive_pairs} of them above")
    return f"{text} ({'; '.join(notes)})" if notes else text


def levels(comparison: Comparison) -> str | None:
    """AKA and AZS of both sides, so that a side that won by learning nothing can be seen; None if no side has them."""
    points = [point for point in (comparison.left_point, comparison.right_point) if point is not None]
    shown = [f"{percent(aka)} / {percent(azs)}" for aka, azs in points]
    return f"AKA / AZS {' against '.join(shown)} %" if shown else None


def finding_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """Every finding as text: the verdict, what was compared, and what would decide it."""
    for finding in findings:
        yield f"{finding.verdict:>14}  {finding.number:>2}. {finding.claim} [{finding.source}]"
        for item in finding.comparisons[: finding.decisive]:
            yield f"{'':>16}    {comparison_sentence(item)}: {item.verdict}"
        for note in (finding.compared, not_asked(finding) if finding.decided else finding.reason, finding.advice):
            if note:
                yield f"{'':>16}    {upper(note).rstrip('.')}."
    yield ""
    yield multiplicity_note(findings)
    counts = Counter(finding.verdict for finding in findings)
    yield ", ".join(f"{number} {verdict}" for verdict, number in counts.most_common())


def not_asked(finding: Finding) -> str | None:
    """What a decided finding leaves open, since the study lacks configs for it; None where that is nothing."""
    return f"not asked, for want of {'; '.join(finding.missing)}" if finding.missing else None


def deciding(recommendation: Recommendation) -> str | None:
    """The sentence that names the best repeat; None without one."""
    repeat = next((item for item in recommendation.items if item.kind == "repeat" and item.result is not None), None)
    if repeat is None or repeat.result is None:
        return None
    unit = "" if recommendation.cost_unit == "trials" else f" {recommendation.cost_unit}"
    price_tag = f" ({cost(repeat.cost)}{unit})" if unit else ""
    return f"To decide it, run {named(repeat.result)} on one more block{price_tag}."


def following(recommendation: Recommendation) -> str | None:
    """The first advice in words."""
    if not recommendation.items:
        return None
    first = recommendation.items[0]
    if first.kind == "stop":
        return f"Stop here. {upper(first.reason)}"
    unit = "" if recommendation.cost_unit == "trials" else f" for {cost(first.cost)} {recommendation.cost_unit}"
    size = f"{first.trials} trial{'s' if first.trials != 1 else ''}{unit}"
    return f"Run {'again ' if first.kind == 'repeat' else ''}{first.label} ({size}). {upper(first.reason)}"


def advice_lines(recommendation: Recommendation) -> Iterator[str]:
    """Every item of advice as a line of text, and why there are not more."""
    for item in recommendation.items:
        worth = f"{100 * item.expected_gain:.2f} % of the box" if item.trials else ""
        unit = "" if recommendation.cost_unit == "trials" else f" for {cost(item.cost)} {recommendation.cost_unit}"
        size = f" ({worth}{unit}, {item.trials} trial{'s' if item.trials != 1 else ''})" if item.trials else ""
        yield f"{item.kind}: {item.label}{size}: {item.reason}"
    if not recommendation.items:
        yield "no advice"
    for one in recommendation.refused:
        yield f"no new config of {one.scope}: {one.reason}"
