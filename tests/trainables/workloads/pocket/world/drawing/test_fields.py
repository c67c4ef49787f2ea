"""Fields: distances are in pixels of the picture, and forms are where they are put."""

import numpy as np
import pytest

from trainables.workloads.pocket.world.drawing.fields import Pose, bar, box, disc, place
from trainables.workloads.pocket.world.drawing.randomness import Floats, draws
from trainables.workloads.pocket.world.drawing.shapes import shapes

STILL = Pose(scale=(1, 1), turn_degrees=0, shear=0, stretch=0, shift_px=0, wave_px=0)
ONE = np.zeros(1, dtype=np.int64)


def one(value: float) -> Floats:
    return np.array([value], dtype=np.float32)


def middle(distance: Floats) -> tuple[float, float]:
    """Mean column and row of the inside, from the picture's middle."""
    rows, columns = np.nonzero(distance[0] > 0)
    return columns.mean() - 15.5, rows.mean() - 15.5


def test_placing_keeps_distances_in_image_pixels() -> None:
    placed = place(shapes(("circle",)), ONE, STILL, draws(0, "test", ONE))
    assert placed.max() == pytest.approx(11.5, abs=1.0)
    np.testing.assert_allclose(np.diff(placed[0, 16, 1:12]), 1.0, atol=0.1)


def test_shift_and_turn_are_to_the_right_down_and_clockwise() -> None:
    shifted = place(shapes(("circle",)), ONE, STILL, draws(0, "test", ONE), shift_N2=np.array([[3, -2]]))
    still = middle(place(shapes(("circle",)), ONE, STILL, draws(0, "test", ONE)))
    assert still == pytest.approx((0, 0), abs=0.3)
    assert middle(shifted) == pytest.approx((still[0] + 3, still[1] - 2), abs=0.1)
    drop = place(shapes(("drop",)), ONE, STILL, draws(0, "test", ONE), turn_N=one(0.25))
    columns = np.flatnonzero(drop[0, 15:17].max(axis=0) > 0)
    widths = (drop[0] > 0).sum(axis=0)
    assert widths[columns[0] + 2] > 2 * widths[columns[-1] - 2]  # the tip, which was above, is to the right


def test_formulas() -> None:
    assert middle(disc(one(4), one(-3), one(5))) == pytest.approx((4, -3))
    assert disc(one(0.5), one(0.5), 5.0)[0, 16, 16] == 5
    assert middle(box(one(-10), one(-2), one(2), one(6))) == pytest.approx((-4, 2))
    stroke = bar(one(-8), one(0), one(8), one(0), 4.0)
    assert middle(stroke) == pytest.approx((0, 0))
    assert stroke[0, 15, 15] == pytest.approx(1.5)
