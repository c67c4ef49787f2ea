"""Masks: shares of ink, blur and scans that keep the amount of ink."""

import numpy as np
import pytest

from trainables.workloads.pocket.world.drawing.fields import disc
from trainables.workloads.pocket.world.drawing.masks import blurred, coarsened, enlarged, fill, outline

ZERO = np.zeros(1, dtype=np.float32)
DISTANCE = disc(ZERO, ZERO, 8.0)
MASK = fill(DISTANCE)


def test_area_of_a_disc_its_outline_and_a_thicker_one() -> None:
    assert MASK.sum() == pytest.approx(np.pi * 64, rel=0.01)
    assert outline(DISTANCE, width_px=ZERO + 2).sum() == pytest.approx(np.pi * (81 - 49), rel=0.02)
    assert fill(DISTANCE, weight_px=1.0, softness_px=3.0).sum() == pytest.approx(np.pi * 81, rel=0.02)


@pytest.mark.parametrize("wrapped", [False, True])
def test_blur_is_that_of_its_variance(*, wrapped: bool) -> None:
    point = np.zeros((1, 32, 32), dtype=np.float32)
    point[0, 16, 16] = 1
    spread = blurred(point, 8, wrapped=wrapped)
    assert spread.sum() == pytest.approx(1)
    assert (spread[0].sum(axis=0) * (np.arange(32) - 16) ** 2).sum() == pytest.approx(4)


@pytest.mark.parametrize("cells", [7, 8, 13])
def test_scans_keep_the_ink_and_lose_the_edge(cells: int) -> None:
    scan = coarsened(MASK, cells)
    assert scan.shape == MASK.shape
    assert scan.sum() == pytest.approx(MASK.sum(), rel=0.02)
    assert np.abs(np.diff(scan[0], axis=1)).max() < 0.6 * np.abs(np.diff(MASK[0], axis=1)).max()
    np.testing.assert_allclose(enlarged(np.ones((1, cells, cells), np.float32)), 1)
