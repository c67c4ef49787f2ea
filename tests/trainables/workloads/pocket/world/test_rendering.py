"""The renderer: pure, balanced, the same pictures in a batch of any composition, and pinned to the world's version."""

import hashlib

import numpy as np
import pytest

from trainables.workloads.pocket.world import WORLD_VERSION
from trainables.workloads.pocket.world.datasets import DATASETS, Split
from trainables.workloads.pocket.world.rendering import pool_samples, render

SOME = np.array([5, 70, 3, 11])


@pytest.mark.parametrize("name", DATASETS)
def test_picture_is_a_pure_function_of_its_arguments(name: str) -> None:
    together, concepts = render(name, "test", np.arange(75))
    assert together.shape == (75, 32, 32, 3)
    assert together.dtype == np.uint8
    assert concepts.tolist() == [k % len(DATASETS[name].concepts) for k in range(75)]
    np.testing.assert_array_equal(render(name, "test", SOME)[0], together[SOME])
    np.testing.assert_array_equal(render(name, "test", SOME[:1])[0], together[SOME[:1]])


@pytest.mark.parametrize("name", DATASETS)
def test_splits_seeds_and_indices_share_no_picture(name: str) -> None:
    of: tuple[tuple[Split, int], ...] = (("train", 0), ("test", 0), ("train", 1))
    sets = [{one.tobytes() for one in render(name, split, np.arange(40), seed=seed)[0]} for split, seed in of]
    assert [len(pictures) for pictures in sets] == [40, 40, 40]
    assert len(set.union(*sets)) == 120


def test_pool_is_pure() -> None:
    pictures, captions = pool_samples(np.arange(300))
    some, said = pool_samples(np.array([290, 7, 260]))
    np.testing.assert_array_equal(some, pictures[[290, 7, 260]])
    assert said == [captions[k] for k in (290, 7, 260)]
    assert not np.array_equal(pool_samples(np.arange(9), seed=1)[0], pictures[:9])


def test_unknown_data_set_names_the_choices() -> None:
    with pytest.raises(ValueError, match=r"unknown pocket data set 'flowers'; choose one of .*'greek'"):
        render("flowers", "train", SOME)


def test_pictures_are_those_of_this_world_version() -> None:
    """When this fails the drawing has changed: raise WORLD_VERSION, or results of another world would be reused."""
    digest = hashlib.sha256()
    for name in DATASETS:
        for split in ("train", "test"):
            digest.update(render(name, split, np.arange(25))[0].tobytes())
    pictures, captions = pool_samples(np.arange(200))
    digest.update(pictures.tobytes())
    digest.update(repr(captions).encode())
    assert (WORLD_VERSION, digest.hexdigest()[:16]) == (2, "4055302a3341e2db")
