"""Costs in a store: counted once, read from then on, and counted again where the value was damaged."""

from trainables import costs
from trainables.metrics import Cost
from trainables.store.memory import MemoryStore

COST = Cost(flops=3.0, mafs=0.1 + 0.2)


def test_a_cost_is_counted_once_and_comes_back_to_the_bit() -> None:
    store, counted = MemoryStore(), []

    def count() -> Cost:
        counted.append("now")
        return COST

    assert costs.read(store, "key") is None
    assert [costs.stored(store, "key", count) for _ in range(2)] == [COST] * 2
    assert costs.read(store, "key") == COST
    assert counted == ["now"]
    store.blobs["costs", "key"] = b""
    assert costs.stored(store, "key", count) == COST
    assert counted == ["now"] * 2
