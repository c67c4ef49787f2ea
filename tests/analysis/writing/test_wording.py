"""Words: signs, intervals, costs and prices."""

import pytest

from analysis.frontier import Frontier
from analysis.uncertainty import Estimate, estimate
from analysis.writing import wording


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


@pytest.mark.parametrize(("value", "expected"), [(None, "\u2013"), (0.001, "< 0.01"), (0.5, "0.50"), (0.999, "> 0.99")])
def test_chances(value: float | None, expected: str) -> None:
    assert wording.chance(value) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, None, "any price"),
        (0.0, 0.25, "less than 0.25"),
        (0.25, 1.5, "0.25 to 1.50"),
        (1.5, None, "more than 1.50"),
    ],
)
def test_price_intervals(low: float, high: float | None, expected: str) -> None:
    assert wording.prices(low, high) == expected


def test_prices_rise_along_the_hull(study: Frontier) -> None:
    texts = [wording.prices(vertex.low, vertex.high) for vertex in study.hull]
    assert texts[0].startswith("less than")
    assert texts[-1].startswith("more than")
    assert all(" to " in text for text in texts[1:-1])
