"""Areas of random subsets: against all subsets one by one, the reference library, and random draws."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import pareto
from analysis.plane.subsets import expected_hull_area, expected_staircase_area

# Tenths are not exact in binary, so collinear points are so only to rounding; ties and equal points are common.
coordinates = st.integers(0, 5).map(lambda i: i / 10)
plane_points = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=7)
references = st.sampled_from([(0.0, 0.0), (0.1, 0.2), (0.25, 0.05), (-0.1, 0.3)])


@given(plane_points, references, st.data())
@settings(max_examples=150, deadline=None)
def test_staircase_is_the_mean_over_all_subsets(
    points: list[tuple[float, float]], reference: tuple[float, float], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(points)))
    areas = [pareto.staircase_area(*np.array(subset).T, reference=reference) for subset in combinations(points, k)]
    x, y = np.array(points).T
    assert expected_staircase_area(x, y, k=k, reference=reference) == pytest.approx(np.mean(areas), abs=1e-12)


@given(plane_points, references, st.one_of(st.none(), st.tuples(coordinates, coordinates)), st.data())
@settings(max_examples=300, deadline=None)
def test_hull_is_the_mean_over_all_subsets(
    points: list[tuple[float, float]],
    reference: tuple[float, float],
    free: tuple[float, float] | None,
    data: st.DataObject,
) -> None:
    k = data.draw(st.integers(1, len(points)))
    more = [] if free is None else [free]
    areas = [pareto.hull_area(*np.array([*subset, *more]).T, reference=reference) for subset in combinations(points, k)]
    x, y = np.array(points).T
    found = expected_hull_area(x, y, k=k, reference=reference, free=free)
    assert found == pytest.approx(np.mean(areas), abs=1e-9)


def test_random_draws_and_moocore_agree_where_subsets_are_too_many() -> None:
    moocore = pytest.importorskip("moocore")
    rng = np.random.default_rng(0)
    x = rng.uniform(0.4, 0.6, 40)
    y = 0.9 - x + rng.normal(0, 0.02, 40)
    reference, free, k = (0.38, 0.25), (0.38, 0.52), 6
    volumes, hulls = [], []
    for _ in range(2000):
        rows = rng.choice(40, k, replace=False)
        volumes.append(moocore.hypervolume(np.column_stack([x, y])[rows], ref=reference, maximise=True))
        hulls.append(pareto.hull_area(np.append(x[rows], free[0]), np.append(y[rows], free[1]), reference=reference))
    exact = (
        expected_staircase_area(x, y, k=k, reference=reference),
        expected_hull_area(x, y, k=k, reference=reference, free=free),
    )
    for value, drawn in zip(exact, (volumes, hulls), strict=True):
        assert abs(value - np.mean(drawn)) < 4 * np.std(drawn) / np.sqrt(2000)


def test_all_points_have_their_own_area_and_fewer_have_less() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.random((2, 30))
    areas = {
        k: (
            expected_staircase_area(x, y, k=k, reference=(0, 0)),
            expected_hull_area(x, y, k=k, reference=(0, 0), free=(0, 0.9)),
        )
        for k in range(1, 31)
    }
    assert areas[30][0] == pytest.approx(pareto.staircase_area(x, y, reference=(0, 0)))
    assert areas[30][1] == pytest.approx(pareto.hull_area([*x, 0], [*y, 0.9], reference=(0, 0)))
    assert areas[1][0] == pytest.approx(np.mean(x * y))
    assert (np.diff([areas[k] for k in areas], axis=0) > 0).all()


def test_the_extent_of_the_plane_does_not_matter() -> None:
    rng = np.random.default_rng(2)
    x, y = np.round(rng.random((2, 12)), 1)
    plain = expected_hull_area(x, y, k=4, reference=(0, 0), free=(0, 0.5))
    small = expected_hull_area(1e-5 * x + 0.3, 1e-3 * y, k=4, reference=(0.3, 0), free=(0.3, 5e-4))
    assert small == pytest.approx(1e-8 * plain, rel=1e-6)


@pytest.mark.parametrize("k", [0, 4])
def test_subsets_that_do_not_exist_are_refused(k: int) -> None:
    with pytest.raises(ValueError, match="at least one and at most all of the 3 points"):
        expected_staircase_area([0, 1, 2], [2, 1, 0], k=k, reference=(0, 0))
    with pytest.raises(ValueError, match="at least one and at most all of the 3 points"):
        expected_hull_area([0, 1, 2], [2, 1, 0], k=k, reference=(0, 0))


def test_inputs_are_not_changed() -> None:
    x, y = np.array([3.0, 1.0, 2.0]), np.array([1.0, 3.0, 2.5])
    expected_staircase_area(x, y, k=2, reference=(0, 0))
    expected_hull_area(x, y, k=2, reference=(0, 0), free=(0, 3))
    assert (x == [3, 1, 2]).all()
    assert (y == [1, 3, 2.5]).all()
