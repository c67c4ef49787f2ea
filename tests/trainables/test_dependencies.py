"""What is needed is enough to read the weights without training, and none of it can be missed."""

import pytest

from search_spaces.space import Scalar
from tests.trainables import toys
from trainables import cycle
from trainables.build import Builder
from trainables.dependencies import is_whole, needs_of
from trainables.lineages import Lineages
from trainables.methods.method import named
from trainables.nodes import Update
from trainables.runtime import Runtime
from trainables.store.memory import MemoryStore

CYCLES: dict[str, tuple[dict[str, Scalar], int]] = {
    "full fine-tuning: the last alone": ({}, 1),
    "norms: every update is a difference to the one before": ({"method": "lnfit"}, 3),
    "ema: a chain of all": ({"timeline": "ema", "w": 0.5}, 3),
    "ft: the last and the base": ({"timeline": "ft", "w": 0.5}, 1),
    "an adapter that goes on: the last, over the base": ({"method": "lora", "rank": 2}, 1),
    "adapters that are folded": ({"method": "lora", "rank": 2, "lifetime": "fold"}, 3),
    "offline with Fisher matrices": (
        {"timeline": "offline", "rule": "fisher", "penalty": "ewc", "strength": 0.0},
        3,
    ),
}


@pytest.mark.parametrize("name", CYCLES)
def test_needed_updates_are_enough_and_none_of_them_too_many(name: str) -> None:
    axes, count = CYCLES[name]
    config = toys.trial(steps=1, **axes)
    store = MemoryStore()
    workload = toys.workload()
    cycle.run(config, Builder(workload, store, Runtime()), lambda *_: None)
    served = list(Lineages(toys.IDENTITY).of(config))[-1].served
    needs = needs_of([served], store.keys("updates"), toys.IDENTITY.anatomy)
    needed = needs.read
    assert len(needed) == count
    assert not needs.train
    for key in store.keys("updates") - needed:
        store.delete("updates", key)
    builder = Builder(workload, store, Runtime())
    builder.weights(served)
    assert len(builder.trained) == 0
    for key in needed:
        less = MemoryStore()
        less.blobs = {name: blob for name, blob in store.blobs.items() if name != ("updates", key)}
        train = needs_of([served], less.keys("updates"), toys.IDENTITY.anatomy).train
        builder = Builder(workload, less, Runtime())
        builder.weights(served)
        assert {*builder.trained} == train != set()


@pytest.mark.parametrize("axes", [{"method": "ewc", "timeline": "ema", "w": 0.5}, {"method": "lora", "rank": 2}])
def test_what_is_needed_to_train_the_next_task(axes: dict[str, Scalar]) -> None:
    """A trial that lost its last update trains that one alone, from what is said to be needed."""
    config = toys.trial(steps=1, **axes)
    store = MemoryStore()
    workload = toys.workload()
    cycle.run(config, Builder(workload, store, Runtime()), lambda *_: None)
    last = list(Lineages(toys.IDENTITY).of(config))[-1].update
    assert isinstance(last, Update)
    store.delete("updates", last.key)
    needed = needs_of([last], store.keys("updates"), toys.IDENTITY.anatomy).read
    for key in store.keys("updates") - needed:
        store.delete("updates", key)
    builder = Builder(workload, store, Runtime())
    builder.weights(last)
    assert len(builder.trained) == 1


def test_methods_that_train_nearly_everything_are_stored_whole() -> None:
    whole = {
        name for name in ("full", "ewc", "lnfit", "lora", "bitfit") if is_whole(named(name), toys.IDENTITY.anatomy)
    }
    assert whole == {"full", "ewc"}
