"""Paths through the plane: AKA and AZS of a config after every task, and the stability gap within tasks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.frontier import Frontier, Result
from analysis.tables.tables import Tables
from analysis.uncertainty import Estimate, estimate

MAX_SHOWN = 12


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """Block means of one config, task by task; `tasks` starts with 0, the zero-shot model."""

    result: Result
    tasks: tuple[int, ...]
    aka: tuple[Estimate, ...]
    azs: tuple[Estimate, ...]


@dataclass(frozen=True, kw_only=True)
class StabilityGap:
    """AZS within the tasks of a config, over blocks: what is lost on the way and comes back (arXiv 2205.13452).

    Attributes:
        loss: AZS served before a task minus the lowest AZS within the task, mean over tasks.
        first_loss: the same of the first task alone.
        regained: AZS served after a task minus the lowest AZS within the task, mean over tasks.
    """

    result: Result
    loss: Estimate
    first_loss: Estimate
    regained: Estimate


def stability_gaps(tables: Tables, results: Sequence[Result]) -> tuple[StabilityGap, ...]:
    """The gap of every config that was evaluated within its tasks, the largest first."""
    lowest = tables.inside.groupby(["trial", "task"])["azs"].min().rename("lowest").reset_index()
    if lowest.empty:
        return ()
    served = tables.tasks[["trial", "task", "azs"]]
    before = served.assign(task=served["task"] + 1).rename(columns={"azs": "before"})
    rows = lowest.merge(before, on=["trial", "task"]).merge(served, on=["trial", "task"])
    rows = rows.merge(tables.trials[["trial", "config_id", "block"]], on="trial")
    rows["loss"], rows["regained"] = rows["before"] - rows["lowest"], rows["azs"] - rows["lowest"]
    rows["first_loss"] = rows["loss"].where(rows["task"] == rows["task"].min())
    means = rows.groupby(["config_id", "block"])[["loss", "first_loss", "regained"]].mean()
    found = [
        StabilityGap(
            result=result,
            **{str(name): estimate(means.loc[result.config.config_id][name].to_numpy()) for name in means.columns},
        )
        for result in results
        if result.config.config_id in means.index
    ]
    return tuple(sorted(found, key=lambda gap: -gap.loss.value))


def shown_results(frontier: Frontier) -> tuple[Result, ...]:
    """The configs whose paths are drawn, by number: hull, best of every method, Pareto set, at most `MAX_SHOWN`.

    Of more methods than that only bests are drawn: of those that train, the ones that end farthest from each other.
    """
    bests = [method.best for method in frontier.methods if method.best.config.trained]
    if len(bests) > MAX_SHOWN:
        return tuple(sorted(_far_apart(bests, frontier.headline), key=lambda result: result.number))
    hull = [vertex.result for vertex in frontier.hull if vertex.result is not None]
    wanted = {result.number: result for result in (frontier.headline, *hull, *bests, *frontier.front)}
    return tuple(sorted(list(wanted.values())[:MAX_SHOWN], key=lambda result: result.number))


def _far_apart(results: Sequence[Result], first: Result) -> list[Result]:
    """`MAX_SHOWN` of some results: each next one is that with the greatest distance to those before it.

    One of every group of methods comes before a second of any.
    """
    chosen = [first]
    rest = [result for result in results if result.number != first.number]
    while rest and len(chosen) < MAX_SHOWN:
        seen = {result.config.group for result in chosen}
        candidates = [result for result in rest if result.config.group not in seen] or rest
        distances = [min(math.dist(result.point, other.point) for other in chosen) for result in candidates]
        chosen.append(candidates[int(np.argmax(distances))])
        rest.remove(chosen[-1])
    return chosen


def trajectories(tables: Tables, results: tuple[Result, ...]) -> tuple[Trajectory, ...]:
    """Paths of some configs."""
    ids = [result.config.config_id for result in results]
    trials = tables.trials[tables.trials["config_id"].isin(ids)][["trial", "config_id", "block"]]
    rows = tables.tasks.merge(trials, on="trial")
    groups = dict(iter(rows.groupby("config_id")))
    return tuple(_trajectory(result, groups[result.config.config_id]) for result in results)


def _trajectory(result: Result, rows: pd.DataFrame) -> Trajectory:
    on_all = rows.groupby("task")["block"].size()
    tasks = on_all.index[on_all == rows["block"].nunique()]  # at a budget in seconds, blocks may end at other tasks
    by_task = {
        name: rows.pivot(index="task", columns="block", values=name).loc[tasks].to_numpy(dtype=float)
        for name in ("aka", "azs")
    }
    return Trajectory(
        result=result,
        tasks=tuple(int(task) for task in tasks),
        aka=tuple(estimate(row) for row in by_task["aka"]),
        azs=tuple(estimate(row) for row in by_task["azs"]),
    )
