"""Samplers: suggestions follow from seed, number and history, and every sampler learns from it."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from search_spaces.search import Point, SearchSpace
from study.search.frontier import hypervolume
from study.search.sampler import POPULATION, SAMPLERS, STARTUP, Told, ask
from trainables.workloads.pocket.settings import Pocket

SPACE = SearchSpace(
    [
        {
            "method": "full",
            "timeline": ["finetune", "ema"],
            "w": {"low": 0.0, "high": 1.0},
            "lr": {"low": 1e-5, "high": 1},
        },
        {"method": "lora", "rank": [1, 2, 4, 8], "lr": {"low": 1e-3, "high": 1e-1}},
    ],
    fixed={"tasks": 2, "steps": 1},
    workload=Pocket(),
    source="s",
)
NAMES = list(SAMPLERS)
Objective = Callable[[Point], tuple[float, ...]]


def trade_off(point: Point) -> tuple[float, ...]:
    """The frontier is EMA with any w at lr = 0.01; LoRA lies below it."""
    values = point.values
    off = abs(math.log10(float(str(values["lr"]))) + 2) / 3
    if values["method"] == "lora":
        return 0.4 - off, 0.4 - off
    w = float(str(values.get("w", 0.0)))
    return 1 - w**2 - off, 1 - (1 - w) ** 2 - off


def suggested(sampler: str, count: int, objective: Objective = trade_off, *, seed: int = 0) -> list[Told]:
    told: list[Told] = []
    objectives = len(objective(SPACE.first))
    for number in range(count):
        asked = ask(SPACE, told, sampler=sampler, objectives=objectives, seed=seed, number=number)
        told.append(Told(point=asked.point, state="done", values=objective(asked.point), generation=asked.generation))
    return told


@pytest.mark.parametrize("sampler", NAMES)
def test_equal_seeds_ask_for_the_same_and_others_do_not(sampler: str) -> None:
    count = STARTUP + 1
    first = suggested(sampler, count)
    assert suggested(sampler, count) == first
    other = ask(SPACE, first[:-1], sampler=sampler, objectives=2, seed=1, number=count - 1)
    assert other.point != first[-1].point
    later = ask(SPACE, first[:-1], sampler=sampler, objectives=2, seed=0, number=count)
    assert later.point != first[-1].point


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_samplers_reach_more_than_chance(sampler: str) -> None:
    """The mean over three seeds of what 40 configs reach."""

    def reached(name: str) -> float:
        runs = [suggested(name, 40, seed=seed) for seed in range(3)]
        return float(np.mean([hypervolume(np.maximum([one.values for one in run], 0)) for run in runs]))

    assert reached(sampler) > reached("random") + 0.02


def test_the_gaussian_process_learns_one_objective() -> None:
    best = [max(one.values[0] for one in suggested(name, STARTUP + 6, _peak)) for name in ("gp", "random")]
    assert best[0] > best[1]


def _peak(point: Point) -> tuple[float, ...]:
    return (sum(trade_off(point)),)


def test_nsga2_counts_generations_through_a_history_that_is_made_anew() -> None:
    generations = [one.generation for one in suggested("nsga2", 3 * POPULATION)]
    assert generations == [i // POPULATION for i in range(3 * POPULATION)]


@pytest.mark.parametrize("sampler", NAMES)
def test_every_state_and_constraint_is_taken(sampler: str) -> None:
    told = [
        replace(one, constraints={"retention_loss": 0.1 * (-1) ** i})
        for i, one in enumerate(suggested("random", STARTUP + 1))
    ]
    more = [
        Told(point=told[0].point, state="running"),
        Told(point=told[1].point, state="failed"),
        Told(point=told[2].point, state="pruned", constraints={"stopped": 0.5}),
    ]
    asked = ask(SPACE, [*told, *more], sampler=sampler, objectives=2, seed=0, number=99)
    assert SPACE.point_of(asked.point.values) is not None


def test_tpe_leaves_what_breaks_a_constraint() -> None:
    """LoRA is the best by far, and not allowed."""

    def objective(point: Point) -> tuple[float, ...]:
        return (float(point.values["method"] == "lora"),)

    told: list[Told] = []
    for number in range(40):
        asked = ask(SPACE, told, sampler="tpe", objectives=1, seed=0, number=number)
        excess = objective(asked.point)[0] - 0.5
        told.append(Told(point=asked.point, state="done", values=objective(asked.point), constraints={"x": excess}))
    assert sum(one.values[0] for one in told[STARTUP:]) < 0.3 * (len(told) - STARTUP)
