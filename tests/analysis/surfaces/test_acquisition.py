"""Expected hypervolume improvement: against sampling, brute force and its limits."""

import moocore
import numpy as np
import pytest

from analysis import pareto
from analysis.surfaces.acquisition import expected_improvement, routed

REFERENCE = (0.0, 0.0)
FRONT = np.array([(0.2, 0.9), (0.5, 0.7), (0.6, 0.4), (0.9, 0.1)])


def added(point: np.ndarray, front: np.ndarray, reference: tuple[float, float] = REFERENCE) -> float:
    """Brute force: areas with and without the point."""
    both = np.vstack([front, point])
    with_it = pareto.staircase_area(both[:, 0], both[:, 1], reference=reference)
    return with_it - pareto.staircase_area(front[:, 0], front[:, 1], reference=reference)


def test_against_sampling() -> None:
    """20 000 draws each, areas by another library; no z above 4."""
    rng = np.random.default_rng(0)
    for _ in range(6):
        front = rng.random((rng.integers(1, 9), 2))
        mean, sd = rng.random(2) * 1.1, rng.uniform(0.02, 0.4, 2)
        draws = mean + sd * rng.standard_normal((20_000, 2))
        hypervolume = moocore.Hypervolume(ref=list(REFERENCE), maximise=True)
        before = hypervolume(front)
        sampled = np.array([max(hypervolume(np.vstack([front, draw])) - before, 0.0) for draw in draws[:4000]])
        exact = expected_improvement([mean], [sd], front_M2=front, reference=REFERENCE)[0]
        z = (sampled.mean() - exact) / (sampled.std() / np.sqrt(len(sampled)))
        assert abs(z) < 4


def test_against_20_000_draws_by_strips() -> None:
    """The same with all draws, areas by numbers of a fine grid of strips."""
    rng = np.random.default_rng(1)
    mean, sd = np.array([0.55, 0.6]), np.array([0.2, 0.15])
    draws = mean + sd * rng.standard_normal((20_000, 2))
    edges = np.concatenate(([0.0], FRONT[:, 0], [np.inf]))
    heights = np.append(FRONT[:, 1], 0.0)
    wide = np.clip(draws[:, :1], edges[:-1], edges[1:]) - edges[:-1]
    sampled = np.sum(wide * np.maximum(draws[:, 1:] - heights, 0.0), axis=1)
    exact = expected_improvement([mean], [sd], front_M2=FRONT, reference=REFERENCE)[0]
    assert abs(sampled.mean() - exact) / (sampled.std() / np.sqrt(len(draws))) < 4


@pytest.mark.parametrize("sd", [0.0, 1e-9])
def test_a_certain_point_adds_its_area(sd: float) -> None:
    rng = np.random.default_rng(2)
    points = np.vstack([rng.random((40, 2)) * 1.2, FRONT, [(0.2, 0.8), (0.95, -0.1), (-0.1, 0.95)]])
    found = expected_improvement(points, np.full(points.shape, sd), front_M2=FRONT, reference=REFERENCE)
    assert found == pytest.approx([added(point, FRONT) for point in points], abs=1e-8)


def test_without_a_front_it_is_the_expected_box() -> None:
    """Far from the reference the expectation of the area is the product of the means."""
    found = expected_improvement([(0.5, 0.4)], [(0.01, 0.01)], front_M2=np.empty((0, 2)), reference=REFERENCE)
    assert found == pytest.approx([0.2])


def test_dominated_and_outside_points_change_nothing() -> None:
    more = np.vstack([FRONT, [(0.3, 0.3), (0.5, 0.7), (0.5, 0.1), (-1.0, 2.0), (2.0, -1.0)]])
    mean, sd = np.random.default_rng(3).random((2, 30, 2))
    one = expected_improvement(mean, sd, front_M2=FRONT, reference=REFERENCE)
    assert expected_improvement(mean, sd, front_M2=more[::-1], reference=REFERENCE) == pytest.approx(one, rel=1e-12)


def test_it_scales_with_the_plane_and_grows_with_uncertainty() -> None:
    mean, sd = np.random.default_rng(4).random((2, 30, 2))
    one = expected_improvement(mean, sd, front_M2=FRONT, reference=REFERENCE)
    by = np.array([3.0, 0.5])
    other = expected_improvement(1 + by * mean, by * sd, front_M2=1 + by * FRONT, reference=(1.0, 1.0))
    assert other == pytest.approx(1.5 * one)
    assert (expected_improvement(mean, 1.5 * sd, front_M2=FRONT, reference=REFERENCE) > one).all()


def test_axes_can_be_exchanged() -> None:
    mean, sd = np.random.default_rng(5).random((2, 30, 2))
    one = expected_improvement(mean, sd, front_M2=FRONT, reference=REFERENCE)
    other = expected_improvement(mean[:, ::-1], sd[:, ::-1], front_M2=FRONT[:, ::-1], reference=REFERENCE)
    assert other == pytest.approx(one)


def test_inputs_are_not_changed() -> None:
    mean, sd, front = np.random.default_rng(6).random((3, 5, 2))
    copies = mean.copy(), sd.copy(), front.copy()
    expected_improvement(mean, sd, front_M2=front, reference=REFERENCE)
    assert all((a == b).all() for a, b in zip(copies, (mean, sd, front), strict=True))


def test_the_routed_staircase_has_the_area_of_the_hull() -> None:
    x, y = routed(FRONT).T
    hull = pareto.hull_area(FRONT[:, 0], FRONT[:, 1], reference=REFERENCE)
    assert pareto.staircase_area(x, y, reference=REFERENCE) == pytest.approx(hull, rel=3e-3)
    assert routed([(0.3, 0.4)]).tolist() == [[0.3, 0.4]]
    below_an_edge = expected_improvement([(0.54, 0.55)], [(0.0, 0.0)], front_M2=routed(FRONT), reference=REFERENCE)
    assert below_an_edge[0] < 1e-5
    assert added(np.array([0.54, 0.55]), FRONT) > 0.005
