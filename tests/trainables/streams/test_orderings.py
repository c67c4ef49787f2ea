"""Orderings: permutations that depend on the order's number alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.streams.orderings import ORDERINGS

CONCEPTS = tuple(f"data/{i}" for i in range(30))


@pytest.mark.parametrize("name", ORDERINGS)
class TestEveryOrdering:
    @given(order=st.integers(0, 10_000), count=st.integers(1, 30))
    def test_is_a_permutation(self, name: str, order: int, count: int) -> None:
        assert sorted(ORDERINGS[name](CONCEPTS[:count], order)) == sorted(CONCEPTS[:count])

    def test_is_a_function_of_the_order(self, name: str) -> None:
        first = [ORDERINGS[name](CONCEPTS, order) for order in range(20)]
        assert first == [ORDERINGS[name](CONCEPTS, order) for order in range(20)]


def test_random_orders_differ_and_mix_all_places() -> None:
    orders = [ORDERINGS["random"](CONCEPTS, order) for order in range(300)]
    assert len(set(orders)) == 300
    places = [order.index("data/0") for order in orders]
    # The mean of 300 uniform places of 0..29 is 14.5 with a standard deviation of 0.5.
    assert 12.5 < sum(places) / 300 < 16.5
    assert set(places) == set(range(30))
