"""Short paths: against the shortest by brute force, against random ones, and at the size of a real stream."""

from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray

from trainables.streams.paths import Floats, Indices, short_path


def length(points_ND: Floats, path: Indices) -> float:
    """Sum of the cosine distances along a path."""
    points = points_ND / np.maximum(np.linalg.norm(points_ND, axis=1, keepdims=True), 1e-12)
    return float((1 - np.einsum("nd,nd->n", points[path[:-1]], points[path[1:]])).sum())


def points(count: int, width: int, seed: int, clusters: int = 4) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(clusters, width))
    return (centres[rng.integers(clusters, size=count)] + 0.5 * rng.normal(size=(count, width))).astype(np.float32)


@pytest.mark.parametrize("seed", range(8))
def test_small_paths_are_nearly_the_shortest(seed: int) -> None:
    some = points(7, 3, seed)
    shortest = min(length(some, np.array([2, *rest])) for rest in permutations([0, 1, 3, 4, 5, 6]))
    path = short_path(some, 2)
    assert path[0] == 2
    assert sorted(path) == list(range(7))
    assert length(some, path) <= 1.25 * shortest


@pytest.mark.parametrize("count", [1, 2, 3, 30])
def test_any_number_of_points(count: int) -> None:
    assert sorted(short_path(points(count, 4, 0), count - 1)) == list(range(count))


def test_equal_points_and_zeros_are_points_too() -> None:
    some = np.zeros((9, 3), dtype=np.float32)
    some[4:] = 1
    assert sorted(short_path(some, 0)) == list(range(9))


def test_large_paths_are_much_shorter_than_random_ones() -> None:
    some = points(3000, 32, 1, clusters=60)
    path = short_path(some, 17)
    assert path[0] == 17
    assert sorted(path) == list(range(3000))
    assert length(some, path) < 0.35 * length(some, np.random.default_rng(0).permutation(3000))
    assert np.array_equal(path, short_path(some, 17))
