"""Metrics: closed forms, and scores that come back as they were."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.metrics import Score, decode, encode, summarise


def score(group: str, value: float, n: int = 10) -> Score:
    return Score(dataset="any", group="adapt" if group == "adapt" else "holdout", metric="accuracy", value=value, n=n)


def test_means_are_unweighted_and_gm_is_geometric() -> None:
    rows = [score("adapt", 0.2, 1), score("adapt", 0.6, 999), score("holdout", 0.9)]
    assert summarise(rows) == pytest.approx((0.4, 0.9, 0.6), abs=1e-15)


def test_order_of_the_scores_does_not_count() -> None:
    rows = [score("adapt", v) for v in (0.1, 0.7, 1 / 3, 1e-9)] + [score("holdout", v) for v in (0.3, 0.2, 0.9)]
    assert summarise(rows) == summarise(reversed(rows))


def test_an_extra_data_set_is_in_no_mean() -> None:
    rows = [score("adapt", 0.3), score("holdout", 0.5)]
    extra = Score(dataset="counts", group="extra", metric="accuracy", value=1.0, n=10)
    assert summarise([*rows, extra]) == summarise(rows)
    assert decode(encode([extra])) == (extra,)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_ends(value: float) -> None:
    assert summarise([score("adapt", value), score("holdout", value)]) == (value, value, value)


@given(st.lists(st.floats(0, 1), min_size=1), st.lists(st.floats(0, 1), min_size=1))
def test_gm_lies_between(adapt: list[float], holdout: list[float]) -> None:
    rows = [score("adapt", v) for v in adapt] + [score("holdout", v) for v in holdout]
    aka, azs, gm = summarise(rows)
    assert min(aka, azs) - 1e-12 <= gm <= max(aka, azs) + 1e-12
    assert math.isclose(aka, sum(adapt) / len(adapt), abs_tol=1e-12)


def test_nothing_is_lost_on_the_way_to_the_store() -> None:
    rows = (score("adapt", 1 / 3), Score(dataset="b", group="holdout", metric="accuracy", value=0.1 + 0.2, n=7))
    assert decode(encode(rows)) == rows
    assert encode(decode(encode(rows))) == encode(rows)
