"""The knee: by hand, by the chord it is furthest from, and by how often blocks agree on it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import pareto
from analysis.arrays import FloatArray
from analysis.frontier import Frontier
from analysis.plane.knee import knee_of
from analysis.plane.points import Points

Z, J = np.array([0.30, 0.70]), np.array([0.60, 0.60])


def points_of(x_CS: FloatArray, y_CS: FloatArray, *, joint: FloatArray | None = J) -> Points:
    blocks = x_CS.shape[1]
    return Points(
        x=x_CS,
        y=y_CS,
        zero_shot=np.tile(Z, (blocks, 1)),
        joint=None if joint is None else np.tile(joint, (blocks, 1)),
    )


def test_knee_by_hand() -> None:
    knee = knee_of(points_of(np.array([[0.4], [0.5], [0.55]]), np.array([[0.69], [0.67], [0.62]])))
    assert knee is not None
    assert knee.row == 1
    assert knee.point == (0.5, 0.67)
    assert knee.gain.value == pytest.approx(0.67 - (0.7 - 0.2 / 3))
    assert knee.low == pytest.approx(0.2)
    assert knee.high == pytest.approx(1.0)
    assert knee.stability is None
    assert knee.gain.se is None


def test_without_a_line_there_is_no_knee() -> None:
    assert knee_of(points_of(np.array([[0.4]]), np.array([[0.69]]), joint=None)) is None


def test_where_nothing_lies_above_the_line_the_knee_is_the_zero_shot_point() -> None:
    knee = knee_of(points_of(np.array([[0.4, 0.4]]), np.array([[0.65, 0.64]])))
    assert knee is not None
    assert (knee.row, knee.stability, knee.low) == (None, 1.0, 0.0)
    assert knee.point == pytest.approx(tuple(Z))
    assert (knee.gain.value, knee.gain.se) == (0, 0)


def test_the_last_vertex_has_any_price_above() -> None:
    knee = knee_of(points_of(np.array([[0.5]]), np.array([[0.69]])))
    assert knee is not None
    assert (knee.row, knee.high) == (0, None)
    assert knee.low == pytest.approx(0.05)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=12))
def test_the_knee_is_furthest_from_the_chord_and_its_prices_hold_the_lines(points: list[tuple[int, int]]) -> None:
    plane = Z + np.array(points) / 20 * [0.3, -0.13]
    knee = knee_of(points_of(plane[:, :1], plane[:, 1:]))
    assert knee is not None
    normal = np.array([-(J - Z)[1], (J - Z)[0]])
    distances = (np.vstack([Z, plane]) - Z) @ normal
    assert (np.array(knee.point) - Z) @ normal == pytest.approx(distances.max(), abs=1e-12)
    price = -float(pareto.slope(Z, J))
    assert knee.low - 1e-9 <= price
    assert knee.high is None or price <= knee.high + 1e-9


def test_where_joint_also_retains_more_the_knee_still_is_on_the_hull() -> None:
    x, y = np.array([[0.4], [0.5], [0.45]]), np.array([[0.72], [0.71], [0.69]])
    knee = knee_of(points_of(x, y, joint=np.array([0.6, 0.72])))
    assert knee is not None
    assert knee.row == 0


def test_stability_is_the_share_of_blocks_that_can_be_left_out() -> None:
    """Config 1 is the knee through the last block only: without it, config 0 is."""
    x = np.array([[0.45] * 4, [0.45] * 4])
    y = np.array([[0.67, 0.67, 0.67, 0.67], [0.66, 0.66, 0.66, 0.72]])
    knee = knee_of(points_of(x, y))
    assert knee is not None
    assert (knee.row, knee.stability) == (1, 0.75)


def test_stability_tells_a_sure_knee_from_a_tie() -> None:
    rng = np.random.default_rng(0)

    def stability(lead: float) -> float:
        found = []
        for _ in range(60):
            y = np.array([0.67, 0.67 + lead])[:, np.newaxis] + rng.normal(0, 0.004, (2, 5))
            knee = knee_of(points_of(np.tile([[0.45], [0.451]], (1, 5)), y))
            assert knee is not None
            assert knee.stability is not None
            found.append(knee.stability)
        return float(np.mean(found))

    assert stability(0.02) == 1
    assert stability(0.0) < 0.95


def test_knee_of_a_study(study: Frontier) -> None:
    knee = knee_of(study.points)
    assert knee is not None
    assert knee.row == 0  # results are ordered by gain
    assert knee.gain == study.results[0].gain
