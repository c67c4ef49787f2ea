"""What a study decides, in numbers: the config to choose, against a baseline and the runner-up, and under limits.

`writing.answers` says these numbers in sentences.
"""

from dataclasses import dataclass

from analysis.configs import PLAIN
from analysis.frontier import Frontier, Result
from analysis.plane.choices import Choice, least_lost, most_learned
from analysis.plane.dominance import Dominance, dominance
from analysis.plane.points import jackknife
from analysis.uncertainty import Estimate, estimate

MAX_LOSS = 0.01
"""The loss of AZS that many would accept: 1 point."""

LEARNED_SHARE = 0.5
"""The share of joint training's learning that many would ask for; the report says half."""


@dataclass(frozen=True, kw_only=True)
class Against:
    """The headline's config against another one: gain (GM where there is no line) and place in the plane.

    `relative_cost` is the headline's MAFs as a multiple of the other's.
    """

    other: Result
    difference: Estimate
    dominance: Dominance
    relative_cost: float | None


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The config that the report is about, against a baseline and the runner-up, and choices under limits.

    `max_loss` is the AZS that the study may give, None where it does not say; `at_loss` gives no more than that, or
    than `MAX_LOSS`. `baseline` is full fine-tuning without merging at its best, None if that is not in the study or
    is the headline itself. `min_learned` is the AKA that `at_learning` asks for, None where there is no line.
    """

    headline: Result
    baseline: Against | None
    runner_up: Against | None
    max_loss: float | None
    at_loss: Choice
    min_learned: float | None
    at_learning: Choice | None


def decide(frontier: Frontier, *, max_loss: float | None = None) -> Decision:
    """The decision of a study, which may lose `max_loss` of AZS (None: the study does not say how much)."""
    headline = frontier.headline
    others = [method.best for method in frontier.methods if method.best.number != headline.number]
    plain = next((r for r in others if r.config.is_full and r.config.timeline in (None, PLAIN)), None)
    second = None if frontier.winner is None else frontier.winner.runner_up
    if second is None:
        second = next((result for result in frontier.results if result.number != headline.number), None)
    joint = frontier.points.joint
    min_learned = None if joint is None else LEARNED_SHARE * float((joint - frontier.points.zero_shot)[:, 0].mean())
    return Decision(
        headline=headline,
        baseline=None if plain is None else _against(frontier, headline, plain),
        runner_up=None if second is None else _against(frontier, headline, second),
        max_loss=max_loss,
        at_loss=most_learned(frontier.points, max_loss=MAX_LOSS if max_loss is None else max_loss),
        min_learned=min_learned,
        at_learning=None if min_learned is None else least_lost(frontier.points, min_learned=min_learned),
    )


def _against(frontier: Frontier, one: Result, other: Result) -> Against:
    rows = [one.number - 1, other.number - 1]  # results are in the order of their numbers
    a, b = rows
    if frontier.points.joint is None:
        difference = estimate(frontier.samples.gm[a] - frontier.samples.gm[b])
    else:
        gains = jackknife(frontier.points.rows(rows), lambda means: means.gain)
        difference = estimate(gains.pseudo[0] - gains.pseudo[1], value=float(gains.value[0] - gains.value[1]))
    own, its = one.cost_mafs, other.cost_mafs
    both = frontier.samples.aka[a] - frontier.samples.aka[b], frontier.samples.azs[a] - frontier.samples.azs[b]
    return Against(
        other=other,
        difference=difference,
        dominance=dominance(list(zip(*both, strict=True))),
        relative_cost=None if own is None or not its else own / its,
    )
