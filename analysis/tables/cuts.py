"""A study as it was earlier: after a task, or at a budget of compute. The result is tables like any others.

A trial that is cut is one that ended there: its last task within the cut is its final point; nothing is interpolated
inside a task. The anchors stay at their ends, so that gains before and after a cut are of one line.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import pandas as pd

from analysis.tables.balance import SUBSET, balance, ends_of, in_order
from analysis.tables.contract import Series, TableError
from analysis.tables.suites import at_ends, of_trials, until
from analysis.tables.tables import LeftOut, Tables

Unit = Literal["flops", "mafs", "seconds"]
COST_OF: Mapping[Unit, tuple[str, str]] = {
    "flops": ("cost_flops", "FLOPs"),
    "mafs": ("cost_mafs", "memory-adjusted FLOPs"),
    "seconds": ("wall_s", "seconds"),
}
ALL_SUBSET = "All numbers are of a subset of the test images: only ends of whole streams are scored on all of them."


def at_task(tables: Tables, task: int) -> Tables:
    """Every trial up to a task; those that have no row of it are left out.

    Raises:
        TableError: if no trial has it.
    """
    rows = _rows_of_trials(tables)
    there = sorted({int(number) for number in rows["task"]} - {0})
    if task not in there:
        shown = f"{there[0]} to {there[-1]}" if there == list(range(there[0], there[-1] + 1)) else str(there)[1:-1]
        raise TableError(f"there is no task {task} to cut at; the tasks of this study are {shown}")
    last = pd.Series(task, index=rows.loc[rows["task"] == task, "trial"])
    reasons = dict.fromkeys(set(rows["trial"]) - set(last.index), f"it has no row of task {task}")
    return _cut(tables, last, reasons, f"Trials are cut at task {task} of {there[-1]}.")


def within_budget(tables: Tables, budget: float, unit: Unit) -> Tables:
    """Every trial up to its last task within a budget of training; those that cannot pay for one task are left out.

    Raises:
        TableError: if no trial has costs in this unit, or none is left.
    """
    if unit not in COST_OF:
        raise TableError(f"{unit!r} is no unit of a budget; choose one of {', '.join(COST_OF)}")
    column, name = COST_OF[unit]
    rows = _rows_of_trials(tables)
    rows = rows[rows["task"] > 0]
    known = rows[rows[column].notna()]
    if known.empty:
        raise TableError(f"column {column!r} is null for all trials, so there is no budget in {name}", table="tasks")
    last = known[known[column] <= budget].groupby("trial")["task"].max()
    if last.empty:
        least = known[column].min()
        raise TableError(f"no trial ends a task within {budget:g} {name}; the cheapest first task takes {least:g}")
    reasons = {
        trial: f"its first task takes more than {budget:g} {name}" if trial in set(known["trial"]) else f"no {column}"
        for trial in set(rows["trial"]) - set(last.index)
    }
    return _cut(tables, last, reasons, f"Trials are cut at their last task within {budget:g} {name}.")


def _rows_of_trials(tables: Tables) -> pd.DataFrame:
    configs = tables.trials.loc[tables.trials["kind"] == "trial", "trial"]
    return tables.tasks[tables.tasks["trial"].isin(configs)]


def _cut(tables: Tables, last: Series, reasons: Mapping[str, str], note: str) -> Tables:
    """Trials up to their `last` task; those that are not in it are left out, for the reasons given."""
    trials, tasks = tables.trials, tables.tasks
    gone = trials[trials["trial"].isin(list(reasons))]
    left_out = [
        LeftOut(trial=trial, config_id=config_id, block=block, reason=reasons[trial])
        for trial, config_id, block in zip(gone["trial"], gone["config_id"], gone["block"], strict=True)
    ]
    balanced = balance(trials.drop(index=gone.index))
    kept = balanced.trials["trial"]
    ends = tasks.groupby("trial")["task"].max()
    limit = ends[ends.index.isin(kept)].to_frame("own").join(last.rename("cut")).min(axis=1).astype("int64")
    tasks = tasks[tasks["task"] <= tasks["trial"].map(limit).fillna(-1)].reset_index(drop=True)
    inside = tables.inside
    if len(inside):
        inside = inside[inside["task"] <= inside["trial"].map(limit).fillna(-1)].reset_index(drop=True)
    scores = until(tables.scores, limit)
    shortened = bool((limit < ends.reindex(limit.index)).any())
    warnings = [ALL_SUBSET if shortened and text == SUBSET else text for text in tables.warnings]
    if gone.shape[0]:
        warnings.append(f"{len(gone)} trials are left out by the cut.")
    return replace(
        tables,
        trials=balanced.trials,
        tasks=tasks,
        scores=scores,
        inside=inside,
        ends=ends_of(tasks).reset_index(drop=True)
        if shortened
        else tables.ends[tables.ends["trial"].isin(kept)].reset_index(drop=True),
        end_scores=at_ends(scores, tasks) if shortened else of_trials(tables.end_scores, kept),
        blocks=balanced.blocks,
        counts={
            **tables.counts,
            "used": len(balanced.trials),
            "configs": balanced.trials.loc[balanced.trials["kind"] == "trial", "config_id"].nunique(),
        },
        left_out=in_order([*tables.left_out, *left_out, *balanced.left_out]),
        warnings=(*warnings, *balanced.warnings, f"{note} The anchors stay at their ends."),
    )
