"""Geometry: closed forms, brute force, the reference library and invariances."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import pareto

Points = list[tuple[int, int]]
# Small integer grids make ties, duplicates and collinear points common.
grid_points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=14)


def split(points: Points) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    array = np.asarray(points, dtype=float)
    return array[:, 0], array[:, 1]


def test_nondominated_by_hand() -> None:
    x, y = [1.0, 2.0, 2.0, 3.0, 0.0], [3.0, 2.0, 1.0, 1.0, 3.0]
    assert pareto.nondominated(x, y).tolist() == [True, True, False, True, False]


def test_equal_points_keep_each_other() -> None:
    assert pareto.nondominated([1.0, 1.0], [2.0, 2.0]).all()


def test_no_points() -> None:
    assert pareto.nondominated([], []).shape == (0,)
    assert pareto.hull_area([], [], reference=(0.0, 0.0)) == 0.0
    assert pareto.staircase_area([], [], reference=(0.0, 0.0)) == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        pareto.nondominated([0.5, 0.2], [bad, 0.2])


@given(grid_points)
def test_nondominated_is_brute_force(points: Points) -> None:
    x, y = split(points)
    expected = [
        not any(a >= x[i] and b >= y[i] and (a > x[i] or b > y[i]) for a, b in zip(x, y, strict=True))
        for i in range(len(x))
    ]
    assert pareto.nondominated(x, y).tolist() == expected


@given(grid_points)
def test_hull_is_what_some_price_prefers(points: Points) -> None:
    """The vertices are the unique best points at some price p >= 0 (and, at the ends, among the largest x or y)."""
    x, y = split(points)
    vertices = pareto.hull(x, y)
    # Edge slopes on this grid are fractions a / b with a, b <= 6, so these prices separate all of them.
    slopes = sorted({a / b for a in range(7) for b in range(1, 7)})
    between = [(s + t) / 2 for s, t in pairwise(slopes)] + [slopes[-1] + 1]
    chosen = set()
    for price in between:
        worth = y + price * x
        chosen |= {(x[i], y[i]) for i in np.flatnonzero(np.isclose(worth, worth.max()))}
    assert {(x[i], y[i]) for i in vertices} == chosen
    assert (np.diff(x[vertices]) > 0).all()
    assert (np.diff(y[vertices]) < 0).all()


@given(grid_points)
def test_price_intervals_touch_and_elect_their_vertex(points: Points) -> None:
    x, y = split(points)
    vertices = pareto.hull(x, y)
    low, high = pareto.prices(x[vertices], y[vertices])
    assert low[0] == 0
    assert high[-1] == np.inf
    assert (high[:-1] == low[1:]).all()
    for i, (a, b) in enumerate(zip(low, high, strict=True)):
        price = a + 1.0 if np.isinf(b) else (a + b) / 2
        assert np.argmax(y[vertices] + price * x[vertices]) == i


@given(grid_points, st.integers(0, 3), st.integers(0, 3))
def test_staircase_area_is_brute_force(points: Points, rx: int, ry: int) -> None:
    x, y = split(points)
    covered = sum(
        any(a >= i + 1 and b >= j + 1 for a, b in points) for i in range(rx, 7) for j in range(ry, 7)
    )  # unit cells of the grid
    assert pareto.staircase_area(x, y, reference=(rx, ry)) == pytest.approx(covered)


@given(grid_points, st.integers(0, 3), st.integers(0, 3), st.floats(0, 7))
def test_hull_area_is_numerical_integration(points: Points, rx: int, ry: int, until: float) -> None:
    x, y = split(points)
    at = np.linspace(rx, max(rx, until), 4001)
    steps = (at[1:] + at[:-1]) / 2
    vertices = pareto.hull(x, y)
    height = np.interp(steps, x[vertices], y[vertices], right=-np.inf)
    expected = float(np.sum(np.clip(height - ry, 0, None)) * (at[1] - at[0]))
    assert pareto.hull_area(x, y, reference=(rx, ry), until=until) == pytest.approx(expected, abs=0.03)


@given(grid_points)
def test_hull_area_is_at_least_the_staircase(points: Points) -> None:
    x, y = split(points)
    assert pareto.hull_area(x, y, reference=(0, 0)) >= pareto.staircase_area(x, y, reference=(0, 0)) - 1e-9


@given(grid_points)
@settings(max_examples=60)
def test_moocore_agrees(points: Points) -> None:
    moocore = pytest.importorskip("moocore")
    x, y = split(points)
    both = np.column_stack([x, y])
    expected = moocore.is_nondominated(both, maximise=True, keep_weakly=True)
    assert pareto.nondominated(x, y).tolist() == expected.tolist()
    volume = moocore.hypervolume(both, ref=[0.0, 0.0], maximise=True)
    assert pareto.staircase_area(x, y, reference=(0, 0)) == pytest.approx(volume)


@given(grid_points, st.permutations(range(14)), st.floats(-5, 5), st.floats(0.1, 5))
def test_areas_do_not_depend_on_order_place_or_scale(
    points: Points, order: list[int], shift: float, scale: float
) -> None:
    x, y = split(points)
    shuffled = [i for i in order if i < len(x)]
    for area in (pareto.hull_area, pareto.staircase_area):
        moved = area(scale * x[shuffled] + shift, y[shuffled] - shift, reference=(scale + shift, 1 - shift))
        assert moved == pytest.approx(scale * area(x, y, reference=(1, 1)), abs=1e-6)


def test_gain_is_zero_on_the_line_and_vertical_above_it() -> None:
    z, j = (0.3, 0.7), (0.6, 0.55)
    for share in (-0.5, 0.0, 0.3, 1.0, 1.4):
        x, y = 0.3 + share * 0.3, 0.7 - share * 0.15
        assert pareto.gain(x, y + 0.02, zero_shot=z, joint=j) == pytest.approx(0.02)
        assert pareto.slide(x, zero_shot=z, joint=j) == pytest.approx(share)


def test_gain_where_joint_training_also_retains_more() -> None:
    assert pareto.gain(0.45, 0.71, zero_shot=(0.3, 0.7), joint=(0.6, 0.72)) == pytest.approx(0.0)


@given(st.floats(0.1, 10), st.floats(-3, 3))
def test_gain_scales_with_azs_and_ignores_the_scale_of_aka(scale: float, shift: float) -> None:
    x, y, z, j = 0.42, 0.66, np.array([0.3, 0.7]), np.array([0.6, 0.55])
    plain = float(pareto.gain(x, y, zero_shot=z, joint=j))
    by_y = pareto.gain(x, scale * y + shift, zero_shot=z * (1, scale) + (0, shift), joint=j * (1, scale) + (0, shift))
    by_x = pareto.gain(scale * x + shift, y, zero_shot=z * (scale, 1) + (shift, 0), joint=j * (scale, 1) + (shift, 0))
    assert by_y == pytest.approx(scale * plain, abs=1e-9)
    assert by_x == pytest.approx(plain, abs=1e-9)


def test_random_routing_lies_on_the_line() -> None:
    """The meaning of the line: sending requests at random to Z or J scores on it, for any per-example outcomes."""
    rng = np.random.default_rng(0)
    adapt, holdout = rng.random((2, 400)) < 0.5, rng.random((2, 300)) < 0.6
    z, j = ((adapt[k].mean(), holdout[k].mean()) for k in (0, 1))
    share = 0.37
    expected = [(1 - share) * a[0] + share * a[1] for a in (adapt.T.mean(axis=0), holdout.T.mean(axis=0))]
    assert pareto.gain(*expected, zero_shot=z, joint=j) == pytest.approx(0.0, abs=1e-12)


def test_inputs_are_not_changed() -> None:
    x, y = np.array([3.0, 1.0, 2.0]), np.array([1.0, 3.0, 2.5])
    kept = x.copy(), y.copy()
    pareto.nondominated(x, y)
    pareto.hull(x, y)
    pareto.prices(np.sort(x), -np.sort(-y))
    pareto.hull_area(x, y, reference=(0, 0))
    pareto.staircase_area(x, y, reference=(0, 0))
    pareto.gain(x, y, zero_shot=(0, 4), joint=(4, 0))
    assert (x == kept[0]).all()
    assert (y == kept[1]).all()
