"""The way of every trial through the plane and what it has cost so far.

Costs are FLOPs, memory-adjusted FLOPs (MAFs, arXiv 2408.14471, section 4) or measured seconds of ONE trial, as if it
shared no work with others. They are never mixed: every function takes one unit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.arrays import FloatArray, IntArray
from analysis.plane.anchors import Anchors, anchors_of
from analysis.plane.points import Points
from analysis.tables.tables import Tables

Unit = Literal["cost_flops", "cost_mafs", "wall_s"]

LARGE: Mapping[Unit, tuple[float, str]] = {
    "cost_flops": (1e15, "PFLOP"),
    "cost_mafs": (1e15, "memory-adjusted PFLOP"),
    "wall_s": (3600.0, "hour"),
}
"""The large unit of each cost: its size and its name, for gains per unit."""


@dataclass(frozen=True, kw_only=True)
class Paths:
    """AKA `x`, AZS `y` and cumulative costs of configs (configs, blocks, tasks + 1), from the zero-shot point on.

    A trial that is shorter than others repeats its end at infinite cost. `tasks` are the numbers of the
    tasks (configs, tasks + 1). The anchors are (blocks, 2); `joint` is None where there is no Z-J line. A unit
    whose costs are not all known is not in `costs`, and `missing` says why.
    """

    x: FloatArray
    y: FloatArray
    tasks: IntArray
    costs: Mapping[Unit, FloatArray]
    zero_shot: FloatArray
    joint: FloatArray | None
    missing: Mapping[Unit, str]

    def cost(self, unit: Unit) -> FloatArray:
        """Costs in a unit (configs, blocks, tasks + 1)."""
        if unit not in self.costs:
            raise ValueError(f"no costs in {unit}: {self.missing.get(unit, 'none were given')}")
        return self.costs[unit]

    def ends(self, unit: Unit) -> FloatArray:
        """What each whole trial costs (configs, blocks)."""
        cost_CST = self.cost(unit)
        return np.asarray(np.where(np.isfinite(cost_CST), cost_CST, 0.0).max(axis=-1), dtype=float)

    def rows(self, rows: Sequence[int]) -> "Paths":
        """The same anchors with some of the configs."""
        chosen = np.asarray(rows, dtype=np.int64)
        costs = {unit: cost_CST[chosen] for unit, cost_CST in self.costs.items()}
        return replace(self, x=self.x[chosen], y=self.y[chosen], tasks=self.tasks[chosen], costs=costs)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Where trials are at some budgets: their points, the last completed tasks and costs so far (configs, blocks)."""

    points: Points
    tasks: IntArray
    cost: FloatArray


def paths_of(tables: Tables, config_ids: Sequence[str]) -> Paths:
    """Paths of configs on the study's blocks.

    Where the stream is scored on a subset of the test images, so are both anchors here, and gains differ a little from
    those of all images.
    """
    configs, blocks = pd.Index(list(config_ids)), pd.Index(list(tables.blocks))
    trials = tables.trials
    c_N, s_N = configs.get_indexer(pd.Index(trials["config_id"])), blocks.get_indexer(pd.Index(trials["block"]))
    trial_M = pd.Index(trials["trial"]).get_indexer(pd.Index(tables.tasks["trial"]))
    chosen_M = ((c_N >= 0) & (s_N >= 0))[trial_M]
    rows = tables.tasks[chosen_M]
    c, s, t = c_N[trial_M][chosen_M], s_N[trial_M][chosen_M], rows.groupby("trial").cumcount().to_numpy()
    shape = (len(configs), len(blocks), int(t.max()) + 1)

    def array(column: str) -> FloatArray:
        found = np.full(shape, np.nan)
        found[c, s, t] = rows[column].to_numpy(dtype=float)
        return found

    length = np.zeros(shape[:2], dtype=np.int64)
    np.maximum.at(length, (c, s), t + 1)
    assert length.min() >= 1, "tables are balanced when they are made"
    place_CST = np.minimum(np.arange(shape[2]), length[..., np.newaxis] - 1)
    beyond_CST = np.arange(shape[2]) >= length[..., np.newaxis]
    costs: dict[Unit, FloatArray] = {}
    missing: dict[Unit, str] = {}
    for unit in LARGE:
        cost_CST = np.where(beyond_CST, np.inf, array(unit))
        if reason := _why_missing(cost_CST):
            missing[unit] = reason
        else:
            costs[unit] = cost_CST
    x, y = (np.take_along_axis(array(name), place_CST, axis=-1) for name in ("aka", "azs"))
    tasks_CT = np.fmax.accumulate(np.fmax.reduce(array("task"), axis=1), axis=-1)
    anchors = _anchors(tables)
    return Paths(
        x=x,
        y=y,
        tasks=tasks_CT.astype(np.int64),
        costs=costs,
        zero_shot=anchors.zero_shot_blocks,
        joint=anchors.joint_blocks if anchors.no_line is None else None,
        missing=missing,
    )


def read_at(paths: Paths, unit: Unit, budget: npt.ArrayLike) -> Reading:
    """Every trial at the last task that it completed for at most a budget (that broadcasts to configs, blocks)."""
    cost_CST = paths.cost(unit)
    limit_CS = np.broadcast_to(np.asarray(budget, dtype=float), cost_CST.shape[:2])
    at_CST = np.maximum((cost_CST <= limit_CS[..., np.newaxis]).sum(axis=-1) - 1, 0)[..., np.newaxis]

    def read(values_CST: FloatArray) -> FloatArray:
        return np.asarray(np.take_along_axis(values_CST, at_CST, axis=-1)[..., 0])

    return Reading(
        points=Points(x=read(paths.x), y=read(paths.y), zero_shot=paths.zero_shot, joint=paths.joint),
        tasks=np.take_along_axis(paths.tasks, at_CST[..., 0], axis=-1),
        cost=read(cost_CST),
    )


def _why_missing(cost_CST: FloatArray) -> str | None:
    if np.isnan(cost_CST).any():
        trials = int(np.isnan(cost_CST).any(axis=-1).sum())
        return f"{trials} of {cost_CST[..., 0].size} trials have tasks whose cost is unknown"
    if (cost_CST[..., 1:] < cost_CST[..., :-1]).any():
        return "costs that should add up over tasks fall"
    if not cost_CST[np.isfinite(cost_CST)].any():
        return "nothing costs anything"
    return None


def _anchors(tables: Tables) -> Anchors:
    """Both anchors by the scores of the stream, which are of a subset of the test images in some studies."""
    last = tables.tasks.loc[tables.tasks.groupby("trial")["task"].idxmax()]
    final = last.merge(tables.trials[["trial", "kind", "config_id", "block", "method"]], on="trial")
    return anchors_of(replace(tables, ends=tables.tasks[tables.tasks["task"] == 0]), final)
