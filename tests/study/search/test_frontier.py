"""Hypervolume, noise, and the probability that a config is dominated."""

import moocore
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.search.frontier import SURE, dominated, hypervolume, noise

COORDINATE = st.integers(-4, 8).map(lambda number: number / 8)


@given(st.lists(st.tuples(COORDINATE, COORDINATE), min_size=1, max_size=20))
def test_hypervolume_is_that_of_another_implementation(points: list[tuple[float, float]]) -> None:
    """What lies below 0 dominates nothing above it."""
    xy = np.array(points)
    expected = moocore.hypervolume(xy, ref=[0.0, 0.0], maximise=True)
    assert hypervolume(xy) == pytest.approx(expected, abs=1e-12)


def test_a_value_below_0_adds_nothing() -> None:
    assert hypervolume(np.array([[-0.2, 0.9], [0.5, 0.8]])) == pytest.approx(0.4)


def test_with_one_objective_it_is_the_best_value() -> None:
    assert hypervolume(np.array([[0.1], [0.3], [0.2]])) == 0.3
    assert hypervolume(np.empty((0, 2))) == 0.0


def test_before_anything_is_repeated_the_frontier_is_open() -> None:
    ends = [np.array([point]) for point in ([0.5, 0.5], [0.6, 0.4], [0.55, 0.39], [0.6, 0.4])]
    assert noise(ends)[1] == 0
    assert dominated(ends).tolist() == [0.0, 0.0, 1.0, 0.0]


def test_noise_is_what_effects_of_configs_and_blocks_leave() -> None:
    draw = np.random.default_rng(0)
    blocks = draw.normal(0, 0.2, (3, 2))  # hard and easy blocks, which all configs share
    ends = [draw.normal(0.5, 0.1, 2) + blocks + draw.normal(0, [0.01, 0.02], (3, 2)) for _ in range(400)]
    sd, freedom = noise([*ends, np.array([[9.0, 9.0]])])
    assert freedom == 399 * 2
    assert sd == pytest.approx([0.01, 0.02], rel=0.1)


def test_the_probability_holds_in_simulations() -> None:
    """Two configs as good as each other in both: one seems dominated with 0.8 and more in a fifth of cases at most."""
    draw = np.random.default_rng(1)
    repeated = [draw.normal(9, 0.01, (3, 2)) * np.array([0, 1]) for _ in range(30)]  # they tell the noise, and no more
    said = [dominated([*repeated, *draw.normal(5, 0.01, (2, 1, 2))])[-1] >= SURE for _ in range(200)]
    assert 0.0 < np.mean(said) < 1 - SURE


def test_a_config_is_compared_on_its_own_blocks() -> None:
    """The second block is easy: what lacks it is not worse for that."""
    once = np.array([[0.5, 0.5]])
    twice = [np.array([[0.4, 0.4], [0.9, 0.9]]), np.array([[0.41, 0.41], [0.9, 0.91]])]
    assert noise(twice)[1] == 1
    assert dominated([once, *twice])[0] < 0.05
