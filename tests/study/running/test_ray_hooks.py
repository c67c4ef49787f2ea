"""Ray Tune's side of a source: what it is handed, what it hears, and how a trial is stopped."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ray")

from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from study.running.ray_hooks import SourceScheduler, SourceSearcher
from study.running.retries import Retries
from study.running.trial_source import GridSource
from tests.study.running.test_trial_source import GRID, falling
from tests.study.search.driver import Driver, definition
from trainables.config import TrialConfig
from trainables.frozen import parse


@pytest.fixture
def grid(tmp_path: Path) -> GridSource:
    found = Driver(definition(**GRID), tmp_path, falling).source()
    assert isinstance(found, GridSource)
    return found


def report(scheduler: SourceScheduler, config: dict[str, Any], task: int, lr: float) -> str:
    result = {"task": task, "aka": 0.5 - 10 * lr, "azs": 0.5 - 10 * lr, "gm": 0.5}
    return scheduler.on_trial_result(None, SimpleNamespace(config=config), result)


def test_a_trial_is_suggested_as_a_worker_reads_it(grid: GridSource) -> None:
    suggestion = SourceSearcher(grid, Retries(0)).suggest("ray-0")
    asked = json.loads(suggestion["asked"])
    assert asked["trial"]["recipe"]["optimiser"]["lr"] == 1e-3
    assert (asked["evaluate_at"], asked["evaluation"]) == ([], {"subset": None, "precision": "fp32"})
    assert (suggestion["id"], suggestion["method"]) == (parse(TrialConfig, asked["trial"], source="t").trial_id, "full")


def test_stops_reach_ray_and_ends_reach_the_source(grid: GridSource) -> None:
    searcher, scheduler = SourceSearcher(grid, Retries(0)), SourceScheduler(grid)
    decisions = []
    for name in range(6):
        config = searcher.suggest(str(name))
        lr = json.loads(config["asked"])["trial"]["recipe"]["optimiser"]["lr"]
        assert scheduler.on_trial_result(None, SimpleNamespace(config=config), {"events": []}) == "CONTINUE"
        decisions.append(report(scheduler, config, 1, lr))
        searcher.on_trial_complete(str(name))
    assert decisions[0] == TrialScheduler.CONTINUE
    assert decisions[-1] == TrialScheduler.STOP
    assert searcher.suggest("more") == Searcher.FINISHED
    assert grid.is_done


def test_the_last_trial_is_suggested_anew_when_it_fails(grid: GridSource) -> None:
    """As long as one runs there may be more, though its source has none."""
    searcher = SourceSearcher(grid, Retries(1))
    configs = [searcher.suggest(str(name)) for name in range(6)]
    for name in range(5):
        searcher.on_trial_complete(str(name))
    assert searcher.suggest("6") is None
    searcher.on_trial_result("5", {"failed": "no memory", "final": False})
    searcher.on_trial_complete("5", error=True)
    assert searcher.suggest("6") == configs[5]
    searcher.on_trial_result("6", {"failed": "no memory", "final": False})
    searcher.on_trial_complete("6", error=True)
    assert searcher.suggest("7") == Searcher.FINISHED
    assert grid.is_done
