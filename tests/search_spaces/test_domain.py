"""Domains of an axis: lists, ranges and their scales, and what is refused."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.domain import Choices, Range, domain
from trainables.frozen import ConfigError


def test_numbers_are_ordered_and_names_are_not() -> None:
    ranks = domain("rank", [16, 2, 4, 2], "s")
    assert ranks == Choices(values=(2, 4, 16), ordered=True)
    assert domain("method", ["lora", "full"], "s") == Choices(values=("lora", "full"), ordered=False)
    assert domain("temperature", ["none", 0.07], "s") == Choices(values=("none", 0.07), ordered=False)
    assert domain("logit_scale", [True, False], "s") == Choices(values=(True, False), ordered=False)
    assert domain("lr", 1e-3, "s").size == 1


@pytest.mark.parametrize(
    ("axis", "written", "scale"),
    [
        ("lr", {"low": 1e-4, "high": 1e-2}, "log"),
        ("lr", {"low": 1e-4, "high": 1e-2, "log": False}, "even"),
        ("lr", {"low": 1e-3, "high": 1e-2, "step": 1e-3}, "even"),
        ("weight_decay", {"low": 0, "high": 0.2}, "even"),  # 0 has no logarithm
        ("w", {"low": 0.3, "high": 0.9}, "even"),
        ("w", {"low": 0.3, "high": 0.9, "log": True}, "log"),
        ("rank", {"low": 1, "high": 64}, "log"),
    ],
)
def test_ranges_are_logarithmic_where_ratios_matter(axis: str, written: dict[str, Any], scale: str) -> None:
    found = domain(axis, written, "s")
    assert isinstance(found, Range)
    assert found.log == (scale == "log")
    middle = math.sqrt(found.low * found.high) if found.log else (found.low + found.high) / 2
    assert found.middle == pytest.approx(middle, abs=(found.step or 0) / 2, rel=1e-3)
    assert found.middle in found


@given(st.floats(0, 1), st.sampled_from([None, 0.05]))
def test_drawn_numbers_are_short_and_stay_within(share: float, step: float | None) -> None:
    found = Range(low=0.123456, high=0.987654, log=False, step=step, whole=False)
    number = found.rounded(found.low + share * (found.high - found.low))
    assert number in found
    assert len(str(number)) <= 8


def test_steps_and_whole_numbers_can_be_counted() -> None:
    assert list(Range(low=1, high=9, log=False, step=3, whole=True)) == [1, 4, 7]
    assert domain("w", {"low": 0.5, "high": 0.9, "step": 0.1}, "s").size == 5
    assert domain("rank", {"low": 2, "high": 5}, "s").size == 4
    assert domain("w", {"low": 0.5, "high": 0.9}, "s").size is None


@pytest.mark.parametrize(
    ("axis", "written", "said"),
    [
        ("lr", {"low": 1e-2, "high": 1e-4}, "s.lr: low: 0.01 and high: 0.0001 given; low has to be below high"),
        ("lr", {"low": 1e-4}, "s.lr: high: missing"),
        ("lr", {"low": 1e-4, "high": 1, "steps": 2}, "s.lr: steps: unknown key; did you mean step?"),
        ("w", {"low": 0, "high": 1, "log": True}, "above 0 on a logarithmic scale"),
        ("lr", {"low": 1e-4, "high": 1, "log": True, "step": 0.1}, "a logarithmic scale has no steps"),
        ("rank", {"low": 1.5, "high": 4}, "s.rank.low: 1.5 given; a whole number"),
        ("method", {"low": 1, "high": 4}, "s.method: a range given; its values are no numbers"),
        ("lr", [], "s.lr: an empty list"),
        ("lr", [[1e-3]], r"s.lr: \[0.001\] given; a value, a list of values or a range"),
        ("lr", {"low": "a", "high": 1}, "s.lr: low: 'a' given"),
    ],
)
def test_what_is_no_domain_is_refused(axis: str, written: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        domain(axis, written, "s")
