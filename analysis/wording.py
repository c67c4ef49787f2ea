"""Numbers in words: percent, points with their intervals, costs, and the sentences that open the report."""

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.evidence import Comparison
from analysis.frontier import MIN_SLIDE, Frontier, Result, Vertex, learners
from analysis.uncertainty import MIN_BLOCKS, Estimate

PLUS_MINUS = "\u00b1"
MINUS = "\u2212"
TIMES = "\u00d7"
NONE = "\u2013"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One question a reader has, and one short paragraph that answers it from this study's numbers."""

    question: str
    text: str


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
    if vertex.high is None:
        return f"more than {vertex.low:.2f}" if vertex.low > 0 else "any price"
    return f"less than {vertex.high:.2f}" if vertex.low == 0 else f"{vertex.low:.2f} to {vertex.high:.2f}"


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
    subject = _upper(comparison.left) if comparison.scope is None else f"{comparison.scope}: {comparison.left}"
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


def answers(frontier: Frontier) -> tuple[Answer, ...]:
    """The opening sentences."""
    found = [*_gain_answers(frontier)]
    learned = [frontier.results[row] for row in learners(frontier.results)]
    learned = [r for r in learned if r.aka.value > frontier.zero_shot.aka.value]
    if learned:
        retains = max(learned, key=lambda r: (r.azs.value, -r.number))
        found.append(Answer(question="Retains most", text=_retains(retains, frontier)))
    else:
        found.append(Answer(question="Retains most", text="No config has a higher AKA than the zero-shot model."))
    most = max(frontier.results, key=lambda r: (r.aka.value, -r.number))
    found.append(Answer(question="Learns most", text=_learns(most, frontier)))
    return tuple(found)


def _gain_answers(frontier: Frontier) -> Sequence[Answer]:
    winner = frontier.winner
    if winner is None or winner.result.gain is None:
        best = frontier.results[0]
        return (
            Answer(
                question="Largest gain",
                text=f"Not defined: {frontier.no_gain}. By the geometric mean of AKA and AZS, {named(best)} is best "
                f"with GM {percent(best.gm)} %.",
            ),
            Answer(question="What it buys", text=_buys(best, frontier)),
        )
    return (
        Answer(question="Largest gain", text=_largest_gain(frontier)),
        Answer(question="What it buys", text=_buys(winner.result, frontier)),
    )


def _largest_gain(frontier: Frontier) -> str:
    winner = frontier.winner
    assert winner is not None
    assert winner.result.gain is not None
    gain, n = winner.result.gain, len(frontier.blocks)
    if gain.value > 0:
        text = f"{_upper(named(winner.result))} retains {amount(gain)} AZS points more than"
    else:
        text = f"No config that learned lies above the line; the best, {named(winner.result)},"
        text += f" retains {amount(gain)} AZS points less than"
    text += " routing requests at random between the zero-shot and the joint model would at the same AKA"
    text += f" ({n} block{'s' if n > 1 else ''})."
    if winner.candidates < len(frontier.results):
        text += f" It is the best of the {winner.candidates} configs that learned at least {100 * MIN_SLIDE:.0f} %"
        text += " of what joint training learns; the others hardly moved."
    if gain.low is None:
        text += f" With fewer than {MIN_BLOCKS} blocks this has no interval."
    elif gain.low <= 0 < gain.value:
        text += " The interval contains zero: it is not shown to lie above the line."
    if winner.honest_gain is not None and len(frontier.results) > 1:
        text += (
            f" Chosen without the block that scores it, the winner gains {points(winner.honest_gain)};"
            f" {winner.agreeing_blocks} of {n} such choices elect this config."
        )
    if winner.runner_up is not None and winner.lead is not None and winner.lead.low is not None:
        decided = "a decided lead" if winner.lead.low > 0 else "too little to tell them apart"
        text += f" It is {amount(winner.lead)} points ahead of {named(winner.runner_up)}: {decided}."
    return text


def _buys(result: Result, frontier: Frontier) -> str:
    z = frontier.zero_shot
    learned, lost = result.aka.value - z.aka.value, z.azs.value - result.azs.value
    text = f"From the zero-shot model it goes from {percent(z.aka.value)} % to {percent(result.aka)} % AKA"
    text += f" ({points(learned)} points) and from {percent(z.azs.value)} % to {percent(result.azs)} % AZS"
    text += f" ({points(-lost)} points)"
    if learned <= 0:
        text += ". It learned nothing"
    elif frontier.joint is not None and result.slide is not None:
        text += f". That is {100 * result.slide:.0f} % of what joint training learns"
        joint_lost = z.azs.value - frontier.joint.azs.value
        if lost <= 0:
            text += ", without any loss of AZS"
        elif joint_lost > 0:
            text += f", for {100 * lost / joint_lost:.0f} % of what it forgets"
    return text + "."


def _retains(result: Result, frontier: Frontier) -> str:
    return (
        f"Among configs that learned, {named(result)}: {percent(result.azs)} % AZS"
        f" ({points(result.azs.value - frontier.zero_shot.azs.value)} points from zero-shot)"
        f" at {percent(result.aka)} % AKA."
    )


def _learns(result: Result, frontier: Frontier) -> str:
    change = result.aka.value - frontier.zero_shot.aka.value
    text = "No config learned anything; the highest AKA has " if change <= 0 else ""
    text += (
        f"{named(result)}: {percent(result.aka)} % AKA ({points(change)} points from zero-shot)"
        f" at {percent(result.azs)} % AZS"
    )
    text = _upper(text)
    if frontier.joint is not None:
        text += f"; the joint model has {percent(frontier.joint.aka)} % and {percent(frontier.joint.azs)} %"
    return text + "."


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


def _digits(value: float, *, signed: bool) -> str:
    text = f"{100 * value:{'+' if signed else ''}.2f}"
    if float(text) == 0:
        text = "0.00"
    return text.replace("-", MINUS)


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]
