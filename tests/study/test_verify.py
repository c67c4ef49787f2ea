"""Verification of data sets: scores before and after training on one alone, and nothing trained twice."""

import json

import pytest

from study.verify import as_json, verify
from tests.trainables import toys
from trainables.build import Builder
from trainables.frozen import ConfigError
from trainables.runtime import Runtime
from trainables.store import MemoryStore


def builder(store: MemoryStore) -> Builder:
    return Builder(toys.workload(), store, Runtime())


def test_a_data_set_that_teaches_rises_and_is_trained_once() -> None:
    store = MemoryStore()
    first = builder(store)
    (verdict,) = verify(first, datasets=[], epochs=15, batch_size=16, lr=1e-2)
    assert (verdict.dataset, verdict.metric) == ("toy", "accuracy")
    assert verdict.steps == 15 * 10 * toys.NEW // 16
    assert verdict.rises
    assert verdict.after > verdict.before + 0.3
    again = builder(store)
    assert [*verify(again, datasets=["toy"], epochs=15, batch_size=16, lr=1e-2)] == [verdict]
    assert (first.trained, again.trained) == (1, 0)
    assert json.loads(as_json([verdict]))[0]["rises"] is True


def test_a_data_set_that_is_not_learnt_does_not_rise() -> None:
    (verdict,) = verify(builder(MemoryStore()), datasets=["toy"], epochs=0.01, batch_size=16, lr=1e-12)
    assert verdict.steps == 1
    assert not verdict.rises


def test_batches_are_no_larger_than_the_data_set() -> None:
    (verdict,) = verify(builder(MemoryStore()), datasets=[], epochs=1, batch_size=4096, lr=1e-6)
    assert verdict.steps == 1


def test_unknown_data_sets_are_named() -> None:
    with pytest.raises(ConfigError, match="'toi' is no data set of group adapt; allowed: toy"):
        next(verify(builder(MemoryStore()), datasets=["toi"], epochs=1, batch_size=4, lr=1e-3))
