"""The searcher: every trial once, those that share training one after the other, and never a deadlock."""

import itertools

import pytest

pytest.importorskip("ray")

from ray.tune.search import Searcher

from study.definition import Trial
from study.plan import PlannedStep, PlannedTrial
from study.searcher import PlanSearcher
from trainables.config import Recipe, TrialConfig


def planned(name: int, *updates: str) -> PlannedTrial:
    config = TrialConfig(recipe=Recipe(steps=1), seed=name)
    steps = [PlannedStep(task=0, update=None, scores="base")]
    steps += [PlannedStep(task=i + 1, update=key, scores=f"s-{name}-{key}") for i, key in enumerate(updates)]
    return PlannedTrial(trial=Trial(kind="trial", method="full", config=config), steps=tuple(steps), cost="c")


def seed_of(suggestion: dict[str, dict[str, int]]) -> int:
    return suggestion["trial"]["seed"]


def test_trials_without_common_updates_start_at_once() -> None:
    searcher = PlanSearcher([planned(0, "a", "b"), planned(1, "c", "d")], ())
    assert [seed_of(searcher.suggest(name)) for name in "xy"] == [0, 1]
    assert searcher.suggest("z") == Searcher.FINISHED


def test_a_trial_waits_for_the_prefix_it_shares_and_no_longer() -> None:
    searcher = PlanSearcher([planned(0, "a", "b"), planned(1, "a", "c")], ())
    assert seed_of(searcher.suggest("x")) == 0
    assert searcher.suggest("y") is None
    searcher.on_trial_result("x", {"task": 0})
    assert searcher.suggest("y") is None
    searcher.on_trial_result("x", {"task": 1})
    assert seed_of(searcher.suggest("y")) == 1


def test_a_held_trial_lets_others_pass() -> None:
    searcher = PlanSearcher([planned(0, "a"), planned(1, "a"), planned(2, "b")], ())
    assert [seed_of(searcher.suggest(name)) for name in "xy"] == [0, 2]
    assert searcher.suggest("z") is None
    searcher.on_trial_complete("x", error=True)  # it failed: somebody else has to train the update
    assert seed_of(searcher.suggest("z")) == 1


def test_what_the_store_holds_is_not_waited_for() -> None:
    searcher = PlanSearcher([planned(0, "a", "b"), planned(1, "a", "c")], {"a"})
    assert [seed_of(searcher.suggest(name)) for name in "xy"] == [0, 1]


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_any_plan_ends_and_trains_each_update_once(slots: int) -> None:
    """A simulation: trials advance in turn; no update may be trained twice."""
    keys = [f"u{i}" for i in range(4)]
    plans = [planned(i, *chain) for i, chain in enumerate(itertools.permutations(keys, 3))]
    shared = [planned(100 + i, "p", f"q{i % 3}", f"r{i}") for i in range(9)]
    searcher = PlanSearcher(shared + plans[:1], ())
    running: dict[str, tuple[PlannedTrial, int]] = {}
    by_seed = {p.trial.config.seed: p for p in shared + plans[:1]}
    store: set[str] = set()
    trained: list[str] = []
    names = iter(range(1000))
    for _ in range(500):
        while len(running) < slots:
            name = str(next(names))
            suggestion = searcher.suggest(name)
            if suggestion in (None, Searcher.FINISHED):
                break
            running[name] = (by_seed[seed_of(suggestion)], 0)
        if not running:
            break
        for name, (plan, task) in list(running.items()):
            key = plan.steps[task].update
            if key is not None and key not in store:
                trained.append(key)
                store.add(key)
            searcher.on_trial_result(name, {"task": task})
            if task + 1 == len(plan.steps):
                searcher.on_trial_complete(name)
                del running[name]
            else:
                running[name] = (plan, task + 1)
    assert searcher.suggest("end") == Searcher.FINISHED
    assert len(trained) == len(set(trained))
