"""Buffers of limited size: exact, uniform or alike of every concept, and never a sample that was lost before."""

import numpy as np
import pytest
from numpy.typing import NDArray

from trainables.streams.buffers import Policy, buffer_samples

CONCEPTS = [f"c{i}" for i in range(6)]
COUNTS = [50, 50, 50, 50, 50, 3]


def samples(count: int) -> list[NDArray[np.int64]]:
    """Ids of the first concepts: concept i has 1000 * i and following."""
    return [1000 * i + np.arange(COUNTS[i]) for i in range(count)]


def buffer(count: int, size: int, policy: Policy, seed: int = 0) -> list[int]:
    return [int(i) for i in buffer_samples(CONCEPTS[:count], samples(count), size=size, policy=policy, seed=seed)]


@pytest.mark.parametrize("policy", ["reservoir", "balanced"])
def test_size_is_exact_and_all_stay_where_they_fit(policy: Policy) -> None:
    for size in (1, 7, 40, 252):
        found = buffer(6, size, policy)
        assert len(found) == len(set(found)) == size
    assert buffer(6, 253, policy) == buffer(6, 10_000, policy) == [int(i) for i in np.concatenate(samples(6))]


@pytest.mark.parametrize("policy", ["reservoir", "balanced"])
def test_what_was_lost_never_comes_back(policy: Policy) -> None:
    before = set(buffer(3, 40, policy))
    after = set(buffer(5, 40, policy))
    assert {i for i in after if i < 3000} <= before
    assert after - before


@pytest.mark.parametrize("policy", ["reservoir", "balanced"])
def test_draws_depend_on_the_seed_alone(policy: Policy) -> None:
    assert buffer(4, 30, policy) == buffer(4, 30, policy)
    assert buffer(4, 30, policy) != buffer(4, 30, policy, seed=1)


def test_reservoir_is_uniform_over_samples() -> None:
    drawn = np.concatenate(
        [buffer_samples(CONCEPTS, samples(6), size=50, policy="reservoir", seed=s) for s in range(400)]
    )
    shares = np.array([np.sum(drawn // 1000 == i) for i in range(6)]) / 400
    expected = 50 * np.array(COUNTS) / sum(COUNTS)
    assert np.abs(shares - expected).max() < 0.6  # 4 sd of a mean of 400 hypergeometric draws


def test_balanced_gives_equal_shares_and_what_is_missing_to_the_others() -> None:
    shares = [sum(i // 1000 == concept for i in buffer(6, 63, "balanced")) for concept in range(6)]
    assert shares[5] == 3
    assert shares[:5] == [12] * 5
    uneven = [sum(i // 1000 == concept for i in buffer(6, 65, "balanced")) for concept in range(6)]
    assert sorted(uneven[:5]) == [12, 12, 12, 13, 13]
