"""Counter-based randomness: a number belongs to its picture alone, and numbers are spread as they should be."""

import numpy as np
import pytest

from trainables.workloads.pocket.world.drawing.randomness import draws

MANY = np.arange(20_000)


def test_numbers_of_a_picture_do_not_depend_on_its_company() -> None:
    whole, part = draws(0, "greek train", MANY[:50]), draws(0, "greek train", np.array([7, 31]))
    np.testing.assert_array_equal(whole.uniforms(3)[[7, 31]], part.uniforms(3))
    np.testing.assert_array_equal(whole.below(9)[[7, 31]], part.below(9))
    np.testing.assert_array_equal(whole.grains(10)[[7, 31]], part.grains(10))
    rows = np.array([31])
    np.testing.assert_array_equal(whole.branch("pose", rows).uniform(), part.branch("pose", np.array([1])).uniform())


def test_seed_name_index_branch_and_place_all_matter() -> None:
    first = draws(0, "greek train", np.arange(3))
    others = (draws(1, "greek train", np.arange(3)), draws(0, "greek test", np.arange(3)), first.branch("pose"))
    values = [*first.uniform(), *first.uniform(), *(value for other in others for value in other.uniform())]
    assert len(set(values)) == len(values) == 15


def test_numbers_are_known() -> None:
    """They are whole numbers divided by a power of two, so they are these on every machine."""
    known = draws(0, "pool", np.arange(2))
    assert known.below(1000).tolist() == [839, 811]
    assert known.uniform().tolist() == [0.3907526135444641, 0.23452264070510864]


def test_spread() -> None:
    drawn = draws(0, "spread", MANY)
    uniform, below, grains = drawn.uniform(2, 4), drawn.below(5), drawn.grains(3)
    assert uniform.min() >= 2
    assert uniform.max() < 4
    assert uniform.mean() == pytest.approx(3, abs=0.02)
    assert np.bincount(below, minlength=5) == pytest.approx([4000] * 5, rel=0.05)
    assert grains.mean() == pytest.approx(0, abs=0.02)
    assert grains.std() == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose(np.corrcoef(grains.T), np.eye(3), atol=0.03)
    assert (np.sort(drawn.ranked(6), axis=1) == np.arange(6)).all()
