"""Attainment surfaces: by hand, by counting, and the reference library; ties are common on the small grids."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from analysis import pareto
from analysis.plane.attainment import Surface, attainment_difference, spread, surface, surfaces

FloatArray = npt.NDArray[np.float64]
Cloud = tuple[FloatArray, FloatArray]


@st.composite
def clouds(draw: st.DrawFn, blocks: int | None = None) -> Cloud:
    """AKA and AZS (configs, blocks) on a grid of 7 x 7."""
    configs, n = draw(st.integers(1, 6)), blocks or draw(st.integers(1, 5))
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
    found = {s.label: list(zip(s.x.tolist(), s.y.tolist(), strict=True)) for s in surfaces(x, y)}
    assert found == {"any": [(1, 3), (3, 2)], "most": [(2, 2), (3, 1)], "all": [(1, 2), (2, 1)]}


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        (1, {"all": "on the only block"}),
        (2, {"any": "on at least 1 of 2 blocks", "all": "on all 2 blocks"}),
        (3, {"any": "on at least 1 of 3 blocks", "most": "on at least 2 of 3 blocks", "all": "on all 3 blocks"}),
        (4, {"any": "on at least 1 of 4 blocks", "most": "on at least 3 of 4 blocks", "all": "on all 4 blocks"}),
    ],
)
def test_levels_have_names(blocks: int, expected: dict[str, str]) -> None:
    assert {s.label: s.words for s in surfaces(np.ones((2, blocks)), np.ones((2, blocks)))} == expected


def test_a_level_between_has_no_name() -> None:
    found = surface(np.ones((2, 5)), np.ones((2, 5)), level=2)
    assert (found.label, found.words) == (None, "on at least 2 of 5 blocks")


@given(clouds())
def test_a_surface_bounds_what_is_attained(cloud: Cloud) -> None:
    for level in range(1, cloud[0].shape[1] + 1):
        found = surface(*cloud, level=level)
        for at in np.ndindex(8, 8):
            assert below(found, (at[0], at[1])) == (attained(cloud, (at[0], at[1])) >= level)
        assert pareto.nondominated(found.x, found.y).all()
        assert (np.diff(found.x) > 0).all()


@given(clouds())
def test_moocore_agrees(cloud: Cloud) -> None:
    moocore = pytest.importorskip("moocore")
    points, sets = moocore_input(cloud)
    blocks = cloud[0].shape[1]
    eaf = moocore.eaf(points, sets)
    for level in range(1, blocks + 1):
        found = surface(*cloud, level=level)
        corners = -eaf[np.isclose(eaf[:, 2], 100 * level / blocks), :2]
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
    areas = [pareto.staircase_area(s.x, s.y, reference=(0, 0)) for s in (surface(x, y, level=k) for k in range(1, 6))]
    assert all(more > less for more, less in pairwise(areas))


def test_inputs_stay_as_they_are() -> None:
    x, y = np.random.default_rng(0).random((2, 6, 4))
    before = x.copy(), y.copy()
    surfaces(x, y)
    spread(x, y, reference=(0, 0))
    attainment_difference((x, y), (y, x), reference=(0, 0))
    assert (x == before[0]).all()
    assert (y == before[1]).all()


@pytest.mark.parametrize("bad", [np.zeros(3), np.zeros((0, 3)), np.full((2, 2), np.nan)])
def test_wrong_clouds_are_refused(bad: FloatArray) -> None:
    with pytest.raises(ValueError, match="x and y must be"):
        surfaces(bad, bad)


@pytest.mark.parametrize("level", [0, 4])
def test_wrong_levels_are_refused(level: int) -> None:
    with pytest.raises(ValueError, match="level must be from 1 to the number of blocks"):
        surface(np.ones((2, 3)), np.ones((2, 3)), level=level)


# -- spread ------------------------------------------------------------------------------------------------------------


def test_equal_blocks_have_no_spread() -> None:
    x, y = np.random.default_rng(0).random((2, 6, 1))
    found = spread(np.tile(x, 4), np.tile(y, 4), reference=(0, 0))
    assert found.deviation == 0
    assert found.relative == 0
    assert found.mean_area == pytest.approx(pareto.staircase_area(x[:, 0], y[:, 0], reference=(0, 0)))


def test_spread_by_hand() -> None:
    # Squares of side 1, 2 and 3: the mean area 14/3 lies between those of the levels "any" (9) and 2 (4).
    side = [[1.0, 2.0, 3.0]]
    found = spread(side, side, reference=(0, 0))
    assert found.mean_area == pytest.approx(14 / 3)
    assert found.expectation.level == 1
    assert found.deviation == pytest.approx(((9 - 1) + (9 - 4) + 0) / 3)
    assert found.relative == pytest.approx(13 / 14)


@given(clouds())
def test_spread_is_counted_cells(cloud: Cloud) -> None:
    """The grid is integer, so areas are numbers of unit cells, each attained where its upper right corner is."""
    blocks = cloud[0].shape[1]
    reference = (1, 0)
    cells = [(i, j) for i in range(reference[0] + 1, 8) for j in range(reference[1] + 1, 8)]
    sets = [
        {at for at in cells if ((cloud[0][:, s] >= at[0]) & (cloud[1][:, s] >= at[1])).any()} for s in range(blocks)
    ]
    mean = sum(map(len, sets)) / blocks
    by_level = [{at for at in cells if sum(at in found for found in sets) >= k} for k in range(1, blocks + 1)]
    level = max(k for k, found in enumerate(by_level, start=1) if len(found) >= mean - 1e-9)
    found = spread(*cloud, reference=reference)
    assert found.mean_area == pytest.approx(mean)
    # Rounding decides between levels whose area is the mean to within it.
    near = {k for k, area in enumerate(map(len, by_level), start=1) if abs(area - mean) < 1e-9} | {level}
    assert found.expectation.level in near
    chosen = by_level[found.expectation.level - 1]
    assert found.deviation == pytest.approx(sum(len(own ^ chosen) for own in sets) / blocks)


@given(clouds())
def test_moocore_agrees_on_the_deviation(cloud: Cloud) -> None:
    """Given our expectation: moocore's own bisection may end on the level above or below the threshold."""
    moocore = pytest.importorskip("moocore")
    points, sets = moocore_input(cloud)
    found = spread(*cloud, reference=(-1, -1))
    expectation = -np.stack((found.expectation.x, found.expectation.y), axis=1)
    assert found.deviation == pytest.approx(moocore.vorob_dev(points, sets, ref=[1, 1], ve=expectation))
    assert found.mean_area == pytest.approx(moocore.vorob_t(points, sets, ref=[1, 1])["avg_hyp"])


def test_nothing_above_the_reference_has_no_relative_spread() -> None:
    found = spread([[1.0, 2.0, 1.5]], [[1.0, 2.0, 1.5]], reference=(5, 5))
    assert (found.mean_area, found.deviation, found.relative) == (0, 0, None)


# -- differences -------------------------------------------------------------------------------------------------------


@given(clouds(blocks=3), clouds(blocks=3))
def test_a_difference_counts_blocks(a: Cloud, b: Cloud) -> None:
    found = attainment_difference(a, b, reference=(1, 0))
    assert found.levels.shape == (len(found.x_edges) - 1, len(found.y_edges) - 1)
    for i, j in np.ndindex(6, 7):
        at = (1.5 + i, 0.5 + j)  # the middle of a unit cell, and of no two cells of the grid
        cell = np.searchsorted(found.x_edges, at[0]) - 1, np.searchsorted(found.y_edges, at[1]) - 1
        inside = cell[0] < found.levels.shape[0] and cell[1] < found.levels.shape[1]
        assert (found.levels[cell] if inside else 0) == attained(a, at) - attained(b, at)


@given(clouds(blocks=4), clouds(blocks=4))
def test_a_difference_is_antisymmetric_and_has_no_cell_to_spare(a: Cloud, b: Cloud) -> None:
    one, other = attainment_difference(a, b, reference=(-1, -1)), attainment_difference(b, a, reference=(-1, -1))
    assert (one.levels == -other.levels).all()
    assert (one.x_edges == other.x_edges).all()
    for levels in (one.levels, one.levels.T):
        assert all((left != right).any() for left, right in pairwise(levels))


@given(clouds(blocks=3), clouds(blocks=3))
def test_moocore_agrees_on_the_difference(a: Cloud, b: Cloud) -> None:
    """The area in which A is ahead by each number of blocks."""
    moocore = pytest.importorskip("moocore")
    found = attainment_difference(a, b, reference=(-1, -1))
    assume(found.levels.any())  # moocore fails where nothing differs
    area = np.outer(np.diff(found.x_edges), np.diff(found.y_edges))
    sides = [np.column_stack((-points, sets)) for points, sets in map(moocore_input, (a, b))]
    rectangles = moocore.eafdiff(*sides, maximise=True, rectangles=True).reshape(-1, 5)
    # Rectangles reach to minus infinity, where nothing is of interest.
    low = np.maximum(np.minimum(rectangles[:, :2], rectangles[:, 2:4]), -1)
    high = np.maximum(rectangles[:, :2], rectangles[:, 2:4])
    expected = (high - low).prod(axis=1)
    for level in (-3, -2, -1, 1, 2, 3):
        assert area[found.levels == level].sum() == pytest.approx(expected[rectangles[:, 4] == level].sum())


def test_methods_that_reach_the_same_do_not_differ() -> None:
    x, y = np.random.default_rng(0).random((2, 8, 3))
    assert attainment_difference((x, y), (x, y), reference=(0, 0)).levels.tolist() == [[0]]


def test_nothing_above_the_reference_has_no_cells() -> None:
    one = (np.ones((2, 3)), np.ones((2, 3)))
    assert attainment_difference(one, one, reference=(5, 5)).levels.size == 0


def test_sides_need_the_same_blocks() -> None:
    with pytest.raises(ValueError, match="the same blocks, got 3 and 2"):
        attainment_difference((np.ones((2, 3)), np.ones((2, 3))), (np.ones((2, 2)), np.ones((2, 2))), reference=(0, 0))
