"""Attainment surfaces: by hand, by counting, and the reference library; ties are common on the small grids."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import pareto
from analysis.plane.attainment import Surface, surfaces

FloatArray = npt.NDArray[np.float64]
Cloud = tuple[FloatArray, FloatArray]


@st.composite
def clouds(draw: st.DrawFn) -> Cloud:
    """AKA and AZS (configs, blocks) on a grid of 7 x 7."""
    configs, n = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    cells = draw(st.lists(st.integers(0, 48), min_size=configs * n, max_size=configs * n))
    array = np.asarray(cells).reshape(configs, n)
    return (array // 7).astype(float), (array % 7).astype(float)


def attained(cloud: Cloud, at: tuple[float, float]) -> int:
    """Blocks on which some config is at least as good in both."""
    return int(((cloud[0] >= at[0]) & (cloud[1] >= at[1])).any(axis=0).sum())


def below(found: Surface, at: tuple[float, float]) -> bool:
    return bool(((found.x >= at[0]) & (found.y >= at[1])).any())


def moocore_input(cloud: Cloud) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Points to be minimised, with set labels that are contiguous and sorted: others give wrong surfaces silently."""
    x, y = cloud[0].T, cloud[1].T
    sets = np.repeat(np.arange(1, len(x) + 1), x.shape[1])
    return -np.stack((x.ravel(), y.ravel()), axis=1), sets


def test_surfaces_by_hand() -> None:
    # Block 0 reaches (1, 3) and (3, 1), block 1 (2, 2) twice, block 2 (1, 1) and (3, 2).
    x = [[1.0, 2.0, 1.0], [3.0, 2.0, 3.0]]
    y = [[3.0, 2.0, 1.0], [1.0, 2.0, 2.0]]
    found = {s.level: list(zip(s.x.tolist(), s.y.tolist(), strict=True)) for s in surfaces(x, y)}
    assert found == {1: [(1, 3), (3, 2)], 2: [(2, 2), (3, 1)], 3: [(1, 2), (2, 1)]}


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        (1, ["on the only block"]),
        (2, ["on at least 1 of 2 blocks", "on all 2 blocks"]),
        (3, ["on at least 1 of 3 blocks", "on at least 2 of 3 blocks", "on all 3 blocks"]),
        (4, ["on at least 1 of 4 blocks", "on at least 3 of 4 blocks", "on all 4 blocks"]),
    ],
)
def test_levels_are_one_block_most_and_all(blocks: int, expected: list[str]) -> None:
    assert [s.words for s in surfaces(np.ones((2, blocks)), np.ones((2, blocks)))] == expected


@given(clouds())
def test_a_surface_bounds_what_is_attained(cloud: Cloud) -> None:
    for found in surfaces(*cloud):
        for at in np.ndindex(8, 8):
            assert below(found, (at[0], at[1])) == (attained(cloud, (at[0], at[1])) >= found.level)
        assert pareto.nondominated(found.x, found.y).all()
        assert (np.diff(found.x) > 0).all()


@given(clouds())
def test_moocore_agrees(cloud: Cloud) -> None:
    moocore = pytest.importorskip("moocore")
    points, sets = moocore_input(cloud)
    blocks = cloud[0].shape[1]
    eaf = moocore.eaf(points, sets)
    for found in surfaces(*cloud):
        corners = -eaf[np.isclose(eaf[:, 2], 100 * found.level / blocks), :2]
        expected = np.unique(corners, axis=0)
        assert np.stack((found.x, found.y), axis=1).tolist() == expected.tolist()


def test_one_block_is_its_pareto_set() -> None:
    x, y = np.random.default_rng(0).random((2, 30, 1))
    (found,) = surfaces(x, y)
    front = pareto.nondominated(x[:, 0], y[:, 0])
    assert sorted(found.x.tolist()) == sorted(x[front, 0].tolist())


def test_any_is_the_frontier_of_all_trials() -> None:
    x, y = np.random.default_rng(0).random((2, 20, 4))
    front = pareto.nondominated(x.ravel(), y.ravel())
    assert surfaces(x, y)[0].x.tolist() == sorted(x.ravel()[front].tolist())


def test_surfaces_are_nested() -> None:
    x, y = np.random.default_rng(0).random((2, 20, 5))
    areas = [pareto.staircase_area(s.x, s.y, reference=(0, 0)) for s in surfaces(x, y)]
    assert all(more > less for more, less in pairwise(areas))


def test_inputs_stay_as_they_are() -> None:
    x, y = np.random.default_rng(0).random((2, 6, 4))
    before = x.copy(), y.copy()
    surfaces(x, y)
    assert (x == before[0]).all()
    assert (y == before[1]).all()


@pytest.mark.parametrize("bad", [np.zeros(3), np.zeros((0, 3)), np.full((2, 2), np.nan)])
def test_wrong_clouds_are_refused(bad: FloatArray) -> None:
    with pytest.raises(ValueError, match="x and y must be"):
        surfaces(bad, bad)
