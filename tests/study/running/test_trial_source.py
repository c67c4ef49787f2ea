"""A grid as a source: every trial once, those that share training one after the other, and never a deadlock."""

import itertools
from pathlib import Path

import pytest

from study.definition.search import EarlyStopping
from study.planning.decisions import DecisionFile
from study.planning.plan import Known, PlannedStep, PlannedTrial
from study.planning.trials import Trial
from study.running.early_stopping import Rungs
from study.running.trial_source import GridSource, Idle, Stopping
from tests.study.search.driver import Driver, definition, lr_of
from trainables.config import Recipe, TrialConfig
from trainables.metrics import Summary
from trainables.store.memory import MemoryStore

SCORE = Summary(0.5, 0.5, 0.5)


def planned(name: int, *updates: str) -> PlannedTrial:
    config = TrialConfig(recipe=Recipe(steps=1), seed=name)
    steps = [PlannedStep(task=0, update=None, scores="base")]
    steps += [PlannedStep(task=i + 1, update=key, scores=f"s-{name}-{key}") for i, key in enumerate(updates)]
    return PlannedTrial(trial=Trial(kind="trial", method="full", config=config), steps=tuple(steps), cost="c")


def source(*missing: PlannedTrial, updates: frozenset[str] = frozenset()) -> GridSource:
    stopping = Stopping(Rungs(None, {}), DecisionFile(Path("/nowhere")), lambda *_: None)
    return GridSource(missing, Known(updates=updates, scores=frozenset(), costs=frozenset()), stopping)


def seed_of(found: PlannedTrial | Idle) -> int:
    assert isinstance(found, PlannedTrial)
    return found.trial.config.seed


def test_trials_without_common_updates_start_at_once() -> None:
    grid = source(planned(0, "a", "b"), planned(1, "c", "d"))
    assert [seed_of(grid.next()) for _ in range(2)] == [0, 1]
    assert grid.next() is Idle.END
    assert not grid.is_done  # they run


def test_a_trial_waits_for_the_prefix_it_shares_and_no_longer() -> None:
    first, second = planned(0, "a", "b"), planned(1, "a", "c")
    grid = source(first, second)
    assert grid.next() is first
    for task in (0, 1):
        assert grid.next() is Idle.WAIT
        grid.reached(first.trial.id, task, SCORE)
    assert grid.next() is second


def test_a_held_trial_lets_others_pass() -> None:
    first, second, third = planned(0, "a"), planned(1, "a"), planned(2, "b")
    grid = source(first, second, third)
    assert [seed_of(grid.next()) for _ in range(2)] == [0, 2]
    assert grid.next() is Idle.WAIT
    grid.ended(first.trial.id, failed=True)  # somebody else has to train the update
    assert grid.next() is second
    for one in (second, third):
        grid.ended(one.trial.id, failed=False)
    assert grid.is_done


def test_what_the_store_holds_is_not_waited_for() -> None:
    grid = source(planned(0, "a", "b"), planned(1, "a", "c"), updates=frozenset("a"))
    assert [seed_of(grid.next()) for _ in range(2)] == [0, 1]


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_any_plan_ends_and_trains_each_update_once(slots: int) -> None:
    """A simulation: trials advance in turn; no update may be trained twice."""
    keys = [f"u{i}" for i in range(4)]
    plans = [planned(i, *chain) for i, chain in enumerate(itertools.permutations(keys, 3))]
    shared = [planned(100 + i, "p", f"q{i % 3}", f"r{i}") for i in range(9)]
    grid = source(*shared, *plans[:1])
    running: list[tuple[PlannedTrial, int]] = []
    store: set[str] = set()
    trained: list[str] = []
    for _ in range(500):
        while len(running) < slots and isinstance(found := grid.next(), PlannedTrial):
            running.append((found, 0))
        if not running:
            break
        one, task = running.pop(0)
        key = one.steps[task].update
        if key is not None and key not in store:
            trained.append(key)
            store.add(key)
        grid.reached(one.trial.id, task, SCORE)
        if task + 1 == len(one.steps):
            grid.ended(one.trial.id, failed=False)
        else:
            running.append((one, task + 1))
    assert grid.next() is Idle.END
    assert grid.is_done
    assert len(trained) == len(set(trained))


# -- with early stopping -----------------------------------------------------------------------------------------------

LRS = [1e-3, 1.1e-3, 1.2e-3, 2e-3, 3e-3, 4e-3]
GRID = {
    "grid": [{"lr": LRS}],
    "fixed": {"tasks": 3, "steps": 1, "batch_size": 16},
    "early_stopping": {"at": [1, 2], "least": 3},
    "joint": None,
}


def falling(planned: PlannedTrial, task: int) -> tuple[float, float]:
    """The larger the rate, the worse in both."""
    return (0.3 + task * (0.1 - 10 * lr_of(planned)), 0.8 - 10 * task * lr_of(planned))


def test_a_stopped_config_ends_everywhere_and_keeps_its_rows(tmp_path: Path) -> None:
    grid = Driver(definition(**GRID, blocks=2), tmp_path, falling)
    grid.run()
    ends = {(lr_of(one), one.trial.config.seed): one.steps[-1].task for one in grid.plan().trials}
    first = {lr: ends[lr, 0] for lr in LRS}
    assert first == {1e-3: 3, 1.1e-3: 3, 1.2e-3: 1, 2e-3: 1, 3e-3: 1, 4e-3: 1}
    assert {lr: ends[lr, 1] for lr in LRS} == {1e-3: 3, 1.1e-3: 3, 1.2e-3: 0, 2e-3: 0, 3e-3: 0, 4e-3: 0}
    assert grid.stopped == {
        one.trial.id: one.steps[-1].task for one in grid.plan().trials if one.is_stopped
    }  # each was told once
    before = grid.tasks
    grid.run()
    assert grid.tasks == before


@pytest.mark.parametrize("moment", [1, 4, 6, 9])
def test_decisions_outlive_a_kill(tmp_path: Path, moment: int) -> None:
    undisturbed = Driver(definition(**GRID, blocks=2), tmp_path, falling)
    undisturbed.run()
    (tmp_path / "again").mkdir()
    again = Driver(definition(**GRID, blocks=2), tmp_path / "again", falling)
    again.run(most_tasks=moment)
    again.run()
    assert again.plan() == undisturbed.plan()


def test_a_stopped_trial_that_lost_a_score_ends_where_it_ended(tmp_path: Path) -> None:
    grid = Driver(definition(**GRID), tmp_path, falling)
    grid.run()
    plan = grid.plan()
    stopped = next(one for one in plan.trials if one.is_stopped)
    store = grid.store
    assert isinstance(store, MemoryStore)
    del store.blobs["scores", stopped.steps[-1].scores]
    grid.started.clear()
    grid.stopped.clear()
    grid.run()
    assert [one.trial.id for one in grid.started] == [stopped.trial.id]
    assert grid.stopped == {stopped.trial.id: stopped.steps[-1].task}
    assert grid.plan() == plan


def test_without_early_stopping_the_stopped_go_on(tmp_path: Path) -> None:
    grid = Driver(definition(**GRID), tmp_path, falling)
    grid.run()
    whole = Driver(definition(**{**GRID, "early_stopping": None}), tmp_path, falling, grid.store)
    assert not any(one.is_stopped for one in whole.plan().trials)
    whole.run()
    assert whole.tasks == 4 * 3  # of each stopped trial all tasks are reported again, those in the store at once
    assert not [one for one in whole.plan().trials if one.steps[-1].scores not in whole.store.keys("scores")]


def test_a_grid_without_stopping_writes_no_decisions(tmp_path: Path) -> None:
    Driver(definition(**{**GRID, "early_stopping": None}), tmp_path, falling).run()
    assert not any(tmp_path.iterdir())


def test_rungs_are_before_the_end() -> None:
    assert EarlyStopping(at=[2]).keep == 0.5
