"""Trajectory laws: known laws come back, forecasts are scored on what they have not seen, and chance earns no law."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.arrays import FloatArray
from analysis.tasks.costs import Paths
from analysis.tasks.laws import BETTER, FITTED, HELD_OUT, Kind, Law, fit, forecast, forecasts_of

TASKS = np.arange(21.0)
KINDS: tuple[Kind, ...] = ("retention", "accumulation")


def law(kind: Kind, **changes: float) -> Law:
    values = {"amount": 0.05, "scale": 20.0, "exponent": 0.6, "start": 0.68}
    if kind == "accumulation":
        values = {"amount": 0.18, "scale": 6.0, "exponent": 0.9, "start": 0.38}
    return Law(kind=kind, **{**values, **changes})


def noisy(path: FloatArray, sd: float, seed: int) -> FloatArray:
    noise = np.random.default_rng(seed).normal(0.0, sd, len(path))
    noise[0] = 0.0
    return np.asarray(path + noise)


def test_laws_by_hand() -> None:
    fall = Law(kind="retention", start=0.7, amount=0.1, scale=4.0, exponent=0.5)
    assert fall.at([0.0, 1.0, 4.0, 16.0]) == pytest.approx([0.7, 0.65, 0.6, 0.5])
    rise = Law(kind="accumulation", start=0.4, amount=0.2, scale=4.0, exponent=2.0)
    assert rise.at([0.0, 4.0, 1e9]) == pytest.approx([0.4, 0.4 + 0.2 * (1 - np.exp(-1)), 0.6])
    assert rise.at([8.0]) == pytest.approx([0.4 + 0.2 * (1 - np.exp(-4))])


@settings(max_examples=20)
@given(st.floats(-0.1, 0.1), st.floats(0.3, 1.4))
def test_a_retention_law_without_noise_comes_back(amount: float, exponent: float) -> None:
    truth = law("retention", amount=amount, exponent=exponent)
    found = fit("retention", truth.at(TASKS), TASKS)
    assert found.scale == 20.0
    assert found.at(TASKS) == pytest.approx(truth.at(TASKS), abs=1e-5)
    if abs(amount) > 0.01:
        assert (found.amount, found.exponent) == pytest.approx((amount, exponent), abs=1e-3)


@settings(max_examples=20)
@given(st.floats(0.05, 0.3), st.floats(0.5, 1.4), st.floats(2.0, 12.0))
def test_an_accumulation_law_without_noise_comes_back(amount: float, exponent: float, scale: float) -> None:
    truth = law("accumulation", amount=amount, exponent=exponent, scale=scale)
    found = fit("accumulation", truth.at(TASKS), TASKS)
    assert found.at(TASKS) == pytest.approx(truth.at(TASKS), abs=1e-4)
    assert found.at([40.0]) == pytest.approx(truth.at([40.0]), abs=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_the_unit_of_cost_does_not_matter(kind: Kind) -> None:
    path = noisy(law(kind).at(TASKS), 0.001, 0)
    a, b = fit(kind, path, TASKS), fit(kind, path, 1e17 * TASKS)
    assert b.at(1e17 * TASKS) == pytest.approx(a.at(TASKS), abs=1e-6)
    assert b.scale == pytest.approx(1e17 * a.scale, rel=1e-3)


def test_one_outlier_hardly_moves_a_fit() -> None:
    truth = law("retention").at(TASKS)
    path = truth.copy()
    path[7] -= 0.05
    assert np.abs(fit("retention", path, TASKS).at(TASKS) - truth).max() < 0.003


@pytest.mark.parametrize("kind", KINDS)
def test_a_law_with_noise_is_found_and_forecasts_better(kind: Kind) -> None:
    truth = law(kind)
    found = [forecast(kind, noisy(truth.at(TASKS), 0.001, seed), TASKS) for seed in range(20)]
    for one in found:
        assert one.law is not None
        assert one.reason is None
        assert one.error is not None
        assert one.last_value_error is not None
        assert one.error < BETTER * one.last_value_error
        assert np.abs(one.law.at(TASKS) - truth.at(TASKS)).max() < 0.004
    ahead = [one.law.at([30.0])[0] - truth.at([30.0])[0] for one in found if one.law is not None]
    assert abs(float(np.mean(ahead))) < 0.003


def test_random_walks_rarely_get_a_law() -> None:
    """A walk is forecast best by its last value."""
    given_law = 0
    for seed in range(60):
        steps = np.random.default_rng(seed).normal(0.0, 0.002, 20)
        found = forecast(KINDS[seed % 2], 0.5 + np.cumsum(np.insert(steps, 0, 0.0)), TASKS)
        assert found.error is not None
        given_law += found.law is not None
        assert (found.law is None) == (found.reason == "on held-out tasks it is not clearly better than the last value")
    assert given_law <= 15


def test_what_is_scored_is_not_fitted() -> None:
    """A path that breaks in its last three tasks has the error of forecasts made before."""
    path = law("retention").at(TASKS)
    unbroken = forecast("retention", path, TASKS)
    path[-HELD_OUT:] += 0.05
    broken = forecast("retention", path, TASKS)
    assert unbroken.error == pytest.approx(0.0, abs=1e-5)
    # from every origin the last three are off by 0.05, and 10, 11, 12, 14, 15 and 17 fitted tasks leave the rest on it
    assert broken.scored == unbroken.scored
    origins = [10, 11, 12, 14, 15, 17]
    assert broken.scored == sum(20 - origin for origin in origins)
    assert broken.error == pytest.approx(0.05 * HELD_OUT * len(origins) / broken.scored, abs=1e-4)
    last_value = np.concatenate([np.abs(path[origin] - path[origin + 1 :]) for origin in origins]).mean()
    assert broken.last_value_error == pytest.approx(last_value)


def test_short_streams_say_what_is_missing() -> None:
    tasks = FITTED + HELD_OUT - 1
    found = forecast("retention", np.linspace(0.7, 0.6, tasks + 1), np.arange(tasks + 1))
    assert (found.law, found.error, found.last_value_error, found.scored) == (None, None, None, 0)
    assert found.reason == "7 tasks; at least 8 are needed: 5 to fit a law and 3 to score it on"
    longer = forecast("retention", law("retention").at(np.arange(9.0)), np.arange(9.0))
    assert longer.law is not None


def test_costs_that_do_not_rise_have_no_law() -> None:
    found = forecast("accumulation", np.linspace(0.4, 0.5, 12), np.zeros(12))
    assert found.reason == "costs do not rise with every task"


@pytest.mark.parametrize("kind", KINDS)
def test_a_path_that_never_moves(kind: Kind) -> None:
    found = forecast(kind, np.full(21, 0.5), TASKS)
    assert found.law is None
    assert found.error == pytest.approx(0.0, abs=1e-12)
    assert found.last_value_error == 0.0


def test_what_is_no_path_is_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        forecast("retention", np.ones(9), np.ones(8))
    with pytest.raises(ValueError, match="finite"):
        forecast("retention", np.full(12, np.nan), np.arange(12))


def test_the_same_path_has_the_same_law() -> None:
    path = noisy(law("accumulation").at(TASKS), 0.002, 3)
    before = path.copy()
    assert forecast("accumulation", path, TASKS) == forecast("accumulation", path, TASKS)
    assert np.array_equal(path, before)


def test_laws_of_a_config_are_of_its_mean_path_as_far_as_it_goes() -> None:
    cost = 3.0 * TASKS + 2.0  # what is spent before the first task does not count
    x, y = law("accumulation").at(TASKS), law("retention").at(TASKS)
    noise = np.array([[-0.002], [0.002]]) * (TASKS > 0)
    padded = {
        "x": np.append(x + noise, np.full((2, 2), x[-1]), axis=1),
        "y": np.append(y - noise, np.full((2, 2), y[-1]), axis=1),
        "cost": np.append(np.tile(cost, (2, 1)), np.full((2, 2), np.inf), axis=1),
    }
    paths = Paths(
        x=padded["x"][np.newaxis],
        y=padded["y"][np.newaxis],
        tasks=np.arange(23)[np.newaxis],
        costs={"wall_s": padded["cost"][np.newaxis]},
        zero_shot=np.zeros((2, 2)),
        joint=None,
        missing={},
    )
    found = forecasts_of(paths, "wall_s", 0)
    assert set(found) == set(KINDS)
    for kind, path in zip(KINDS, (y, x), strict=True):
        one = found[kind]
        assert one.scored == forecast(kind, path, cost).scored
        assert one.law is not None
        assert one.law.at(3.0 * TASKS) == pytest.approx(path, abs=1e-4)
