"""Verification of data sets: scores before and after training on one alone, and nothing trained twice."""

import json

import pytest

from study.data.verify import as_json, verify
from tests.trainables import toys
from trainables.frozen import ConfigError
from trainables.metrics import Score
from trainables.runtime import Runtime
from trainables.store.memory import MemoryStore
from trainables.workloads.clip.evaluation import Encoders, TestSet, evaluate

WORKLOAD = toys.workload()


def test_a_data_set_that_teaches_rises_and_is_trained_once(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    (verdict,) = verify(WORKLOAD, store, Runtime(), datasets=[], epochs=15, batch_size=16, lr=1e-2)
    assert (verdict.dataset, verdict.metric) == ("toy", "accuracy")
    assert verdict.steps == 15 * 10 * toys.NEW // 16
    assert verdict.rises
    assert verdict.after > verdict.before + 0.3
    monkeypatch.setattr("trainables.build.train", None)  # it would have to be called to train again
    assert [*verify(WORKLOAD, store, Runtime(), datasets=["toy"], epochs=15, batch_size=16, lr=1e-2)] == [verdict]
    assert json.loads(as_json([verdict]))[0]["rises"] is True


def test_a_data_set_that_is_not_learnt_does_not_rise() -> None:
    (verdict,) = verify(WORKLOAD, MemoryStore(), Runtime(), datasets=["toy"], epochs=0.01, batch_size=16, lr=1e-12)
    assert verdict.steps == 1
    assert not verdict.rises


def test_batches_are_no_larger_than_the_data_set() -> None:
    (verdict,) = verify(WORKLOAD, MemoryStore(), Runtime(), datasets=[], epochs=1, batch_size=4096, lr=1e-6)
    assert verdict.steps == 1


def test_unknown_data_sets_are_named() -> None:
    with pytest.raises(ConfigError, match="'toi' is no data set of group adapt; allowed: toy"):
        next(verify(WORKLOAD, MemoryStore(), Runtime(), datasets=["toi"], epochs=1, batch_size=4, lr=1e-3))


def test_only_the_data_set_itself_is_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    scored: list[list[str]] = []

    def watched(suite: tuple[TestSet, ...], encoders: Encoders) -> tuple[Score, ...]:
        scored.append([test.name for test in suite])
        return evaluate(suite, encoders)

    monkeypatch.setattr("trainables.workloads.clip.workload.evaluate", watched)
    whole = WORKLOAD.evaluate(WORKLOAD.architecture())
    (verdict,) = verify(WORKLOAD, MemoryStore(), Runtime(), datasets=[], epochs=1, batch_size=16, lr=1e-3)
    assert scored == [["toy", "old"], ["toy"], ["toy"]]
    assert verdict.before == whole[0].value
    assert WORKLOAD.scored_on("toy").identity.suite != WORKLOAD.identity.suite
