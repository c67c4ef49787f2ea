"""Numbers in words: percent, points with their intervals, costs and prices."""

from collections import Counter
from collections.abc import Iterator, Sequence

from analysis.advice.recommend import Recommendation
from analysis.findings.evidence import Comparison
from analysis.findings.findings import Finding, multiplicity_note
from analysis.frontier import Result, Vertex
from analysis.uncertainty import MIN_BLOCKS, Estimate

PLUS_MINUS = "\u00b1"
MINUS = "\u2212"
TIMES = "\u00d7"
NONE = "\u2013"


def percent(value: Estimate | float | None) -> str:
    """A fraction as a percentage, with its interval (or standard error) if it has one; no unit sign."""
    return _number(value, signed=False)


def points(value: Estimate | float | None) -> str:
    """A difference of fractions in points, with sign and interval."""
    return _number(value, signed=True)


def amount(value: Estimate) -> str:
    """The size of a difference in points, without its sign, for sentences that say more or less."""
    absolute = Estimate(value=abs(value.value), se=value.se, half_width=value.half_width, blocks=value.blocks)
    return _number(absolute, signed=False)


def plain(value: Estimate | float | None) -> str:
    """A number as it is, with its interval (or standard error) if it has one."""
    if value is None:
        return NONE
    if not isinstance(value, Estimate):
        return _rounded(value)
    if value.half_width is not None:
        return f"{_rounded(value.value)} {PLUS_MINUS} {value.half_width:.2f}"
    return _rounded(value.value) if value.se is None else f"{_rounded(value.value)} (se {value.se:.2f})"


def chance(value: float | None) -> str:
    """A probability."""
    if value is None:
        return NONE
    return "< 0.01" if value < 0.01 else "> 0.99" if value > 0.99 else f"{value:.2f}"


def cost(value: float | None) -> str:
    """A count of operations with an SI prefix."""
    if value is None:
        return NONE
    for size, prefix in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {prefix}"
    return f"{value:.3g}"


def share(value: float | None) -> str:
    """A cost as a multiple of another."""
    return NONE if value is None else f"{value:.2f}{TIMES}"


def seconds(value: float | None) -> str:
    """A duration."""
    if value is None:
        return NONE
    if value < 120:
        return f"{value:.3g} s"
    return f"{value / 60:.3g} min" if value < 7200 else f"{value / 3600:.3g} h"


def price(vertex: Vertex) -> str:
    """The prices at which a hull vertex is best, in AZS points per AKA point."""
    return prices(vertex.low, vertex.high)


def prices(low: float, high: float | None) -> str:
    """The prices at which a point is best, in AZS points per AKA point."""
    if high is None:
        return f"more than {low:.2f}" if low > 0 else "any price"
    return f"less than {high:.2f}" if low == 0 else f"{low:.2f} to {high:.2f}"


def deciding(recommendation: Recommendation) -> str | None:
    """The sentence that names the repeat of which most is expected."""
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


def finding_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """Every finding as text: the verdict, what was compared, and what would decide it."""
    for finding in findings:
        yield f"{finding.verdict:>14}  {finding.number:>2}. {finding.claim} [{finding.source}]"
        for item in finding.comparisons[: finding.decisive]:
            yield f"{'':>16}    {comparison_sentence(item)}: {item.verdict}"
        for note in (finding.compared, None if finding.decided else finding.reason, finding.advice):
            if note:
                yield f"{'':>16}    {upper(note).rstrip('.')}."
    yield ""
    yield multiplicity_note(findings)
    counts = Counter(finding.verdict for finding in findings)
    yield ", ".join(f"{number} {verdict}" for verdict, number in counts.most_common())


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


def named(result: Result) -> str:
    """A config by number and label."""
    return f"no. {result.number} ({result.config.label})"


def blocks_note(blocks: int) -> str:
    """What a plus-minus means with this many blocks."""
    if blocks >= MIN_BLOCKS:
        return f"{PLUS_MINUS} is a 95 % interval over {blocks} blocks (Student's t, {blocks - 1} degrees of freedom)"
    if blocks == MIN_BLOCKS - 1:
        return "with 2 blocks only standard errors (se) are given: an interval would be too wide to use"
    return "with one block there is no measure of noise: no interval and no standard error"


def comparison_sentence(comparison: Comparison) -> str:
    """A comparison in words."""
    side = "above" if comparison.difference.value >= 0 else "below"
    subject = upper(comparison.left) if comparison.scope is None else f"{comparison.scope}: {comparison.left}"
    size = f"{amount(comparison.difference)} points of {comparison.quantity}"
    text = f"{subject} is {size} {side} {comparison.right}"
    notes = []
    if comparison.margin is not None:
        notes.append(f"equal means within {100 * comparison.margin:g} point")
    if comparison.pairs > 1:
        notes.append(f"mean of {comparison.pairs} pairs; {comparison.positive_pairs} of them above")
    return f"{text} ({'; '.join(notes)})" if notes else text


def levels(comparison: Comparison) -> str | None:
    """AKA and AZS of both sides, so that a side that won by learning nothing can be seen; None if no side has them."""
    shown = [_point(point) for point in (comparison.left_point, comparison.right_point) if point is not None]
    return f"AKA / AZS {' against '.join(shown)} %" if shown else None


def _point(point: tuple[float, float]) -> str:
    return f"{_digits(point[0], signed=False)} / {_digits(point[1], signed=False)}"


def _number(value: Estimate | float | None, *, signed: bool) -> str:
    if value is None:
        return NONE
    if not isinstance(value, Estimate):
        return _digits(value, signed=signed)
    text = _digits(value.value, signed=signed)
    if value.half_width is not None:
        return f"{text} {PLUS_MINUS} {100 * value.half_width:.2f}"
    return text if value.se is None else f"{text} (se {100 * value.se:.2f})"


def _rounded(value: float) -> str:
    text = f"{value:.2f}"
    return ("0.00" if float(text) == 0 else text).replace("-", MINUS)


def _digits(value: float, *, signed: bool) -> str:
    text = f"{100 * value:{'+' if signed else ''}.2f}"
    if float(text) == 0:
        text = "0.00"
    return text.replace("-", MINUS)


def upper(text: str) -> str:
    """With a capital letter in front."""
    return text[0].upper() + text[1:]
