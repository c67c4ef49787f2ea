"""Words: signs, intervals, and sentences that stay true for studies in which nothing worked."""

from dataclasses import replace

import pytest

from analysis import wording
from analysis.frontier import Frontier, build_frontier
from analysis.tables import make_tables
from analysis.uncertainty import Estimate, estimate
from tests.analysis.worlds import World, frames

SMALL = World(learned={("full", None): 0.8, ("lora", 2): 0.5}, timelines=("finetune", "ema"), rates=(1e-4,), tasks=1)


def frontier_of(world: World) -> Frontier:
    tables = frames(world)
    return build_frontier(make_tables(tables["trials"], tables["tasks"], tables["scores"], name="study"))


def answers_of(world: World) -> dict[str, str]:
    return {answer.question: answer.text for answer in wording.answers(frontier_of(world))}


@pytest.mark.parametrize(
    ("value", "as_percent", "as_points"),
    [
        (0.12345, "12.35", "+12.35"),
        (-0.00312, "\u22120.31", "\u22120.31"),
        (-0.00001, "0.00", "0.00"),
        (None, "\u2013", "\u2013"),
        (estimate([0.5]), "50.00", "+50.00"),
        (estimate([0.4, 0.6]), "50.00 (se 10.00)", "+50.00 (se 10.00)"),
        (Estimate(value=0.5, se=0.01, half_width=0.043, blocks=3), "50.00 \u00b1 4.30", "+50.00 \u00b1 4.30"),
    ],
)
def test_numbers(value: Estimate | float | None, as_percent: str, as_points: str) -> None:
    assert wording.percent(value) == as_percent
    assert wording.points(value) == as_points


@pytest.mark.parametrize(
    ("value", "expected"), [(None, "\u2013"), (0.0, "0"), (950.0, "950"), (1.264e14, "126 T"), (2e15, "2 P")]
)
def test_costs(value: float | None, expected: str) -> None:
    assert wording.cost(value) == expected


@pytest.mark.parametrize(("value", "expected"), [(24.31, "24.3 s"), (600.0, "10 min"), (9000.0, "2.5 h")])
def test_durations(value: float, expected: str) -> None:
    assert wording.seconds(value) == expected


def test_prices_are_read_from_low_to_high() -> None:
    texts = [wording.price(vertex) for vertex in frontier_of(SMALL).hull]
    assert texts[0].startswith("less than")
    assert texts[-1].startswith("more than")
    assert all(" to " in text for text in texts[1:-1])


def test_usual_answers() -> None:
    found = answers_of(SMALL)
    assert list(found) == ["Largest gain", "What it buys", "Retains most", "Learns most"]
    assert "AZS points more than routing requests at random" in found["Largest gain"]
    assert "(3 blocks)" in found["Largest gain"]
    assert "of what joint training learns" in found["What it buys"]


def test_nothing_above_the_line_is_said() -> None:
    found = answers_of(replace(SMALL, base_lift=-0.05, merge_lift=-0.05))
    assert found["Largest gain"].startswith("No config that learned lies above the line")


def test_nothing_learned_is_said() -> None:
    found = answers_of(replace(SMALL, learned={("full", None): -0.4}, base_lift=-0.05))
    assert found["What it buys"].endswith("It learned nothing.")
    assert found["Learns most"].startswith("No config learned anything")
    assert found["Retains most"] == "No config has a higher AKA than the zero-shot model."


def test_an_undecided_gain_is_called_so() -> None:
    found = answers_of(replace(SMALL, noise_sd=0.03, seed=1))
    assert "The interval contains zero" in found["Largest gain"]


def test_without_joint_the_reason_is_given() -> None:
    assert answers_of(replace(SMALL, with_joint=False))["Largest gain"].startswith("Not defined: there is no finished")
