"""Randomness: a draw depends on its labels and on nothing else."""

import itertools

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.randomness import entropy, generator, torch_seed

labels = st.lists(st.one_of(st.integers(0, 30), st.text("01a", max_size=2)), max_size=3).map(tuple)


def test_same_labels_same_numbers() -> None:
    first, other = generator("a", 1, "b"), generator("a", 1, "b")
    np.testing.assert_array_equal(first.random(100), other.random(100))


@given(labels, labels)
def test_other_labels_other_numbers(one: tuple[int | str, ...], two: tuple[int | str, ...]) -> None:
    assert (entropy(*one) == entropy(*two)) == ([(type(x), x) for x in one] == [(type(x), x) for x in two])


def test_labels_that_read_alike_differ() -> None:
    alike: list[tuple[int | str, ...]] = [("1",), (1,), ("1", ""), ("", "1"), (1, 1), (11,), ("11",), ("1", 1)]
    for one, two in itertools.combinations(alike, 2):
        assert entropy(*one) != entropy(*two)


def test_streams_are_independent() -> None:
    draws = np.stack([generator("seed", i).standard_normal(2000) for i in range(8)])
    # 28 correlations of 2000 samples: a standard deviation is 0.022 each.
    assert np.abs(np.corrcoef(draws) - np.eye(8)).max() < 0.1


def test_numbers_are_the_same_on_every_machine() -> None:
    assert entropy("epoch", 0, 1, "new", 0) == 304878767803388873225413245597023521878
    assert generator("ordering", "random", 0).permutation(8).tolist() == [7, 0, 1, 4, 5, 6, 2, 3]


def test_torch_seed_gives_the_global_state_back() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with torch_seed("adapter", 0, 1):
        inside = torch.rand(5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    with torch_seed("adapter", 0, 1):
        assert torch.equal(torch.rand(5), inside)
    with torch_seed("adapter", 0, 2):
        assert not torch.equal(torch.rand(5), inside)


def test_torch_seed_gives_it_back_after_an_error() -> None:
    before = torch.get_rng_state()
    try:
        with torch_seed("adapter"):
            raise KeyError
    except KeyError:
        assert torch.equal(torch.get_rng_state(), before)
