"""A trial's own errors count towards its retries; workers and nodes that die do not, until they do so for ever."""

from pathlib import Path

import pytest
from ray.tune.search import Searcher

from study.definition.files import read
from study.planning.plan import Known, PlannedTrial, make_plan
from study.running.ray_hooks import SourceSearcher
from study.running.retries import DEATHS, Retries
from study.running.trial_source import Idle, Queue
from tests.study import command
from trainables.metrics import Summary


@pytest.fixture
def tries() -> Retries:
    return Retries(retries=1)


def test_own_errors_end_a_trial_after_its_retries(tries: Retries) -> None:
    tries.failed("a", hopeless=False)
    assert not tries.is_over("a")
    tries.went_on("a")  # the same error after every third task is still the same error
    tries.failed("a", hopeless=False)
    assert tries.is_over("a")
    assert not tries.is_over("b")


def test_an_error_that_would_come_again_ends_it_at_once(tries: Retries) -> None:
    tries.failed("a", hopeless=True)
    assert tries.is_over("a")


def test_deaths_end_a_trial_only_if_it_does_not_get_on(tries: Retries) -> None:
    for _ in range(3):
        for _ in range(DEATHS):
            tries.died("a")
        assert not tries.is_over("a")
        tries.went_on("a")
    for _ in range(DEATHS + 1):
        tries.died("a")
    assert tries.is_over("a")


class _Listed:
    """All trials of a plan, one after the other; it notes how each ended."""

    most, methods, is_done = 9, frozenset[str](), False

    def __init__(self, trials: tuple[PlannedTrial, ...]) -> None:
        self._queue = Queue(Known(updates=set(), scores=set(), costs=set()))
        self.failed: dict[str, bool] = {}
        for planned in trials:
            self._queue.add(planned)

    def next(self) -> PlannedTrial | Idle:
        return self._queue.pop() or (Idle.WAIT if self._queue.waiting else Idle.END)

    def reached(self, trial: str, task: int, summary: Summary) -> bool:  # noqa: ARG002 - nothing is stopped
        self._queue.reached(trial, task)
        return False

    def ended(self, trial: str, *, failed: bool) -> None:
        self._queue.ended(trial)
        self.failed[trial] = failed


@pytest.fixture
def source(tmp_path: Path) -> _Listed:
    path = command.write_study(tmp_path)
    return _Listed(make_plan(read(path), str(path)).trials[:1])


def test_a_trial_whose_worker_died_comes_again_though_no_other_waits(source: _Listed, tries: Retries) -> None:
    searcher = SourceSearcher(source, tries)
    first = searcher.suggest("one")
    assert searcher.suggest("two") is None  # not FINISHED, after which Ray would ask no more
    searcher.on_trial_complete("one", error=True)
    assert not source.failed
    assert searcher.suggest("two") == first
    searcher.on_trial_complete("two")
    assert source.failed == {first["id"]: False}
    assert searcher.suggest("three") == Searcher.FINISHED


def test_a_trial_that_fails_by_itself_comes_again_as_often_as_it_may(source: _Listed, tries: Retries) -> None:
    searcher = SourceSearcher(source, tries)
    for attempt in ("one", "two"):
        name = searcher.suggest(attempt)["id"]
        searcher.on_trial_result(attempt, {"failed": "the disk is full", "final": False})
        searcher.on_trial_complete(attempt, error=True)
    assert source.failed == {name: True}
    assert searcher.suggest("three") == Searcher.FINISHED


def test_a_trial_that_gives_up_is_over_though_its_process_lives_on(source: _Listed, tries: Retries) -> None:
    searcher = SourceSearcher(source, tries)
    name = searcher.suggest("one")["id"]
    searcher.on_trial_result("one", {"failed": "the loss was nan", "final": True})
    searcher.on_trial_complete("one")
    assert source.failed == {name: True}
