"""The concave fit: against an independent solver, the conditions of an optimum, its shape, and its pin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from analysis.pareto import FloatArray
from analysis.plane.concave import fit_concave

samples = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=2, max_size=10)


def by_quadratic_programme(x: FloatArray, y: FloatArray) -> FloatArray:
    """Heights at the points of the best concave, never rising function, from the definition of the shape."""
    knots, place = np.unique(x, return_inverse=True)
    constraints = []
    if len(knots) > 1:
        first = np.zeros(len(knots))
        first[:2] = [1, -1]
        rows = [first]
        for i in range(1, len(knots) - 1):
            left, right = knots[i] - knots[i - 1], knots[i + 1] - knots[i]
            row = np.zeros(len(knots))
            row[i - 1 : i + 2] = [-1 / left, 1 / left + 1 / right, -1 / right]
            rows.append(row)
        constraints = [{"type": "ineq", "fun": lambda f: np.array(rows) @ f, "jac": lambda _: np.array(rows)}]
    found = minimize(
        lambda f: np.sum((f[place] - y) ** 2),
        np.full(len(knots), y.mean()),
        jac=lambda f: 2 * np.bincount(place, weights=f[place] - y),
        method="SLSQP",
        constraints=constraints,
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert found.success, found.message
    return np.asarray(found.x[place])


@pytest.mark.parametrize("seed", range(12))
def test_an_independent_solver_finds_the_same_curve(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.sort(np.round(rng.random(12), 1 + seed % 2))
    y = 0.7 - 0.3 * x**2 + rng.normal(0, 0.05, 12)
    expected = by_quadratic_programme(x, y)
    found = fit_concave(x, y).at(x)
    assert found == pytest.approx(expected, abs=2e-5)
    assert np.sum((found - y) ** 2) <= np.sum((expected - y) ** 2) + 1e-9


@given(samples, st.booleans())
@settings(deadline=None)
def test_no_bend_can_be_added_or_changed_for_the_better(points: list[tuple[int, int]], pinned: bool) -> None:  # noqa: FBT001
    """The Karush-Kuhn-Tucker conditions: the residual leans against every bend at 0 and on none of the others."""
    x, y = np.array(points, dtype=float).T
    curve = fit_concave(x, y, pin=(2.0, 6.0) if pinned else None)
    residual = y - curve.at(x)
    if not pinned:
        assert residual.sum() == pytest.approx(0, abs=1e-9)
    hinges = np.maximum(x[:, np.newaxis] - curve.knots, 0)
    slopes = -hinges.T @ residual
    assert (curve.bends >= 0).all()
    assert (slopes <= 1e-7).all()
    assert slopes[curve.bends > 1e-9] == pytest.approx(0, abs=1e-7)


@given(samples)
@settings(deadline=None)
def test_the_curve_is_concave_and_never_rises(points: list[tuple[int, int]]) -> None:
    x, y = np.array(points, dtype=float).T
    at = fit_concave(x, y).at(np.linspace(-2, 10, 121))
    assert (np.diff(at) <= 1e-9).all()
    assert (np.diff(at, 2) <= 1e-9).all()


def test_a_curve_of_that_shape_is_found_exactly() -> None:
    x = np.linspace(0, 1, 9)
    y = 0.7 - 0.2 * x**2
    curve = fit_concave(x[::-1], y[::-1])
    assert curve.at(x) == pytest.approx(y, abs=1e-9)
    assert curve.at(-1.0) == pytest.approx(0.7)
    assert curve.at(2.0) == pytest.approx(y[-1] + (y[-1] - y[-2]) / (x[-1] - x[-2]))


def test_rising_points_have_a_level_curve() -> None:
    curve = fit_concave([0.0, 1.0, 2.0], [1.0, 2.0, 6.0])
    assert curve.at([-1.0, 0.5, 5.0]) == pytest.approx(3.0)


def test_one_point_and_equal_points() -> None:
    assert fit_concave([0.3], [0.6]).at([0.0, 1.0]) == pytest.approx(0.6)
    assert fit_concave([0.3, 0.3], [0.6, 0.8]).at(0.3) == pytest.approx(0.7)


def test_a_pin_is_passed_and_not_exceeded() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(0.4, 0.6, 20)
    y = 0.7 - 2 * (x - 0.4) ** 2 + rng.normal(0, 0.01, 20)
    curve = fit_concave(x, y, pin=(0.38, 0.68))
    assert curve.at([0.3, 0.38]) == pytest.approx(0.68)
    assert (curve.at(x) <= 0.68 + 1e-12).all()
    left_of_it = fit_concave([0.2, 0.3], [0.5, 0.4], pin=(0.38, 0.68))
    assert left_of_it.at([0.2, 0.5]) == pytest.approx(0.68)


@pytest.mark.parametrize("bad", [([], []), ([1.0], [1.0, 2.0]), ([[1.0]], [[1.0]])])
def test_other_shapes_are_refused(bad: tuple[list[float], list[float]]) -> None:
    with pytest.raises(ValueError, match="vectors of one length"):
        fit_concave(*bad)
