"""The sentences that open a report: which config to choose, how sure that is, and what to choose under a limit.

Every sentence says its numbers with their intervals. Where blocks cannot decide, a sentence says so and names what
would.
"""

from dataclasses import dataclass

from analysis.advice.decision import MAX_LOSS, Against, Decision
from analysis.frontier import MIN_SLIDE, Frontier, Result
from analysis.plane.choices import Choice
from analysis.uncertainty import MAX_BLOCKS, MIN_BLOCKS, Estimate, blocks_for
from analysis.writing.sentences import named
from analysis.writing.wording import amount, percent, points, share, upper


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One question a reader has, and one short paragraph that answers it from this study's numbers."""

    question: str
    text: str


_NO_CHOICE = (
    "There is nothing to choose: configs were trained on different data sets alone, while AKA is a mean over all data "
    "sets, and so the highest says which data set it was, not how to train. Finding 21 says what each data set teaches."
)


def decision_sentences(
    frontier: Frontier, decision: Decision, *, deciding: str | None = None, following: str | None = None
) -> tuple[Answer, ...]:
    """The paragraphs that open a report.

    Args:
        frontier: the study's frontier.
        decision: the study's decision.
        deciding: the sentence on trials that would decide an undecided lead.
        following: the sentence on what to do next.
    """
    if frontier.on_different_data:
        return (Answer(question="Choose", text=_NO_CHOICE),)
    found = [Answer(question="Choose", text=_choose(frontier, decision))]
    most = 100 * (MAX_LOSS if decision.max_loss is None else decision.max_loss)
    loss = f"you may lose at most {most:g} point{'' if most == 1 else 's'} of AZS"
    learned = "you must learn at least half of what joint training learns"
    limited = _limited(frontier, decision.at_loss)
    if decision.at_learning is None:
        found.append(Answer(question=f"If {loss}", text=limited))
    elif (other := _limited(frontier, decision.at_learning)) == limited:
        found.append(Answer(question=f"If {loss}, or {learned}", text=limited))
    else:
        found += [Answer(question=f"If {loss}", text=limited), Answer(question=f"If {learned}", text=other)]
    if decision.baseline is not None:
        found.append(Answer(question="Against plain fine-tuning", text=_compared(decision.headline, decision.baseline)))
    found.append(Answer(question="How sure that is", text=_sure(frontier, decision, deciding)))
    if following is not None:
        found.append(Answer(question="Next", text=following))
    return tuple(found)


def _choose(frontier: Frontier, decision: Decision) -> str:
    result, z, n = decision.headline, frontier.zero_shot, len(frontier.blocks)
    over = f" ({n} block{'s' if n > 1 else ''})"
    if result.gain is None:
        text = f"{upper(named(result))} has the highest geometric mean of AKA and AZS, {percent(result.gm)} %{over}."
        text += f" A gain over the trade-off line is not defined: {frontier.no_gain}."
    elif result.gain.value > 0:
        doubt = "" if result.gain.low is None or result.gain.low > 0 else "Best so far, but not shown to beat routing: "
        name = named(result) if doubt else upper(named(result))
        text = f"{doubt}{name} keeps {amount(result.gain)} AZS points more than routing requests between the"
        text += f" zero-shot and the joint model would at the same accumulation{over}."
    else:
        text = f"No config that learned lies above the trade-off line. Nearest to it is {named(result)}, which keeps"
        text += f" {amount(result.gain)} AZS points less than routing requests between the zero-shot and the joint"
        text += f" model would at the same accumulation{over}."
    learned, lost = result.aka.value - z.aka.value, z.azs.value - result.azs.value
    text += f" AKA goes from {percent(z.aka.value)} % to {percent(result.aka)} %,"
    text += f" AZS from {percent(z.azs.value)} % to {percent(result.azs)} %"
    if learned <= 0:
        return f"{text}: it learned nothing."
    if frontier.joint is not None and result.slide is not None:
        text += f": {100 * result.slide:.0f} % of what joint training learns"
        joint_lost = z.azs.value - frontier.joint.azs.value
        if lost <= 0:
            text += ", without a loss that shows"
        elif joint_lost > 0:
            text += f", for {100 * lost / joint_lost:.0f} % of what it forgets"
    if decision.max_loss is not None and lost > decision.max_loss:
        text += f". That is a larger loss than the {100 * decision.max_loss:g} points of AZS that this study allows"
    return f"{text}."


def _sure(frontier: Frontier, decision: Decision, deciding: str | None) -> str:
    winner, gain, n = frontier.winner, decision.headline.gain, len(frontier.blocks)
    parts = []
    if n < MIN_BLOCKS:
        parts.append(f"With {n} block{'s' if n > 1 else ''} there is no interval; {MIN_BLOCKS} are the least.")
    elif gain is not None and gain.low is not None and gain.high is not None and gain.low <= 0 <= gain.high:
        parts.append("The interval of its gain contains zero: it may lie on either side of the line.")
        parts.append(_told_by(gain))
    if winner is not None:
        if winner.candidates < len(frontier.results):
            parts.append(
                f"It is the best of the {winner.candidates} of {len(frontier.results)} configs that learned at least "
                f"{100 * MIN_SLIDE:.0f} % of what joint training learns."
            )
        if winner.honest_gain is not None and len(frontier.results) > 1:
            parts.append(
                f"A config chosen so, but on blocks that do not score it, gains {points(winner.honest_gain)} points; "
                f"{winner.agreeing_blocks} of {n} such choices elect this one."
            )
    second = decision.runner_up
    if second is not None and second.difference.low is not None:
        ahead = second.difference.low > 0
        what = "points of gain" if gain is not None else "points of GM"
        parts.append(
            f"It is {amount(second.difference)} {what} ahead of {named(second.other)}: "
            + ("a decided lead." if ahead else "too little to tell them apart.")
        )
        if not ahead and deciding is not None:
            parts.append(deciding)
    return " ".join(parts) or "There is nothing to compare it with."


def _told_by(gain: Estimate) -> str:
    """How many blocks would tell a gain from zero."""
    blocks = blocks_for(gain, abs(gain.value))
    if blocks is None:
        return f"More blocks will hardly tell: even {MAX_BLOCKS} would be too few for so small a gain at this spread."
    more = max(1, blocks - gain.blocks)
    return f"About {more} more block{'s' if more > 1 else ''} would tell, if gain and spread stay as they are."


def _compared(result: Result, against: Against) -> str:
    more = against.difference.value >= 0
    what = "gain" if result.gain is not None else "GM"
    text = f"{upper(named(against.other))} is full fine-tuning without merging at its best."
    text += f" No. {result.number} has {amount(against.difference)} points {'more' if more else 'less'} {what}"
    if against.relative_cost is not None:
        text += f" at {share(against.relative_cost)} its compute (MAFs)"
    text += "."
    split = against.dominance.split
    if split is None:
        return f"{text} {upper(str(against.dominance.reason))}."
    chances = (
        (split.a_dominates, "learns more and keeps more"),
        (split.a_learns_more, "learns more and keeps less"),
        (split.a_retains_more, "keeps more and learns less"),
        (split.b_dominates, "learns less and keeps less"),
    )
    likely = [(p, words) for p, words in sorted(chances, reverse=True) if p >= 0.05]
    return f"{text} It {'; it '.join(f'{words} with probability {p:.2f}' for p, words in likely[:2])}."


def _limited(frontier: Frontier, choice: Choice) -> str:
    if choice.row is None or choice.learned is None or choice.lost is None:
        return f"{upper(str(choice.no_row))}."
    result = frontier.results[choice.row]
    text = f"Use {named(result)}: AKA {points(choice.learned)} points, AZS {points(_minus(choice.lost))} points"
    if choice.honest_learned is not None and choice.honest_lost is not None:
        text += f". Chosen so on other blocks, expect AKA {points(choice.honest_learned)}"
        text += f" and AZS {points(_minus(choice.honest_lost))}"
    return f"{text}."


def _minus(value: Estimate) -> Estimate:
    return Estimate(value=-value.value, se=value.se, half_width=value.half_width, blocks=value.blocks)
