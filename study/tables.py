"""Tables, derived from plan and store alone: they may be deleted at any time and are made again to the bit.

Measured times are in columns that end in `_s`; everything else is a pure function of the study.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from search_spaces.space import AXES, axis_values
from study.plan import Plan, PlannedTrial
from trainables.metrics import Cost, Score, decode, summarise
from trainables.store import Store, StoreError

_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}

TRIALS = pa.schema(
    [
        ("trial", pa.string()),
        ("kind", pa.string()),
        ("config_id", pa.string()),
        ("block", pa.string()),
        ("seed", pa.int64()),
        ("order", pa.int64()),
        *((name, _TYPES[axis.type]) for name, axis in AXES.items()),
        ("status", pa.string()),
    ]
)
TASKS = pa.schema(
    [
        ("trial", pa.string()),
        ("task", pa.int64()),
        *((name, pa.float64()) for name in ("aka", "azs", "gm", "cost_flops", "cost_mafs", "wall_s")),
    ]
)
INSIDE = pa.schema(
    [
        ("trial", pa.string()),
        ("task", pa.int64()),
        ("step", pa.int64()),
        ("fraction", pa.float64()),
        *((name, pa.float64()) for name in ("aka", "azs", "gm")),
    ]
)
"""Weights within a task, before anything is merged; only studies with `evaluate_at` have rows."""

SCORES = pa.schema(
    [
        ("trial", pa.string()),
        ("task", pa.int64()),
        ("dataset", pa.string()),
        ("group", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("n", pa.int64()),
    ]
)

FULL = pa.schema([field for field in TASKS if field.name in ("trial", "task", "aka", "azs", "gm")])
"""The ends of trials, scored on all test images; only studies that score a subset otherwise have rows."""

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Rows of the tables."""

    trials: list[Row]
    tasks: list[Row]
    scores: list[Row]
    inside: list[Row]
    full: list[Row]
    full_scores: list[Row]

    @property
    def unfinished(self) -> list[str]:
        """Trials without all of their rows."""
        return [row["trial"] for row in self.trials if row["status"] != "done"]


def make_tables(plan: Plan, store: Store, failed: Mapping[str, str]) -> Tables:
    """Rows of every trial, as far as the store has them.

    A trial is `done` when all its tasks are there, `failed` when the last run gave it up, else `waiting`.
    """
    reader = _Reader(store)
    tables = Tables(trials=[], tasks=[], scores=[], inside=[], full=[], full_scores=[])
    for planned in plan.trials:
        tasks = list(_task_rows(planned, reader, tables.scores))
        tables.tasks.extend(tasks)
        inside = list(_inside_rows(planned, reader))
        tables.inside.extend(inside)
        full = list(_full_rows(planned, reader, tables.full_scores))
        tables.full.extend(full)
        done = (
            len(tasks) == len(planned.steps)
            and len(inside) == sum(len(step.inside) for step in planned.steps)
            and len(full) == sum(step.full is not None for step in planned.steps)
        )
        status = "done" if done else "failed" if planned.trial.id in failed else "waiting"
        tables.trials.append(trial_row(planned, status))
    return tables


def write(tables: Tables, folder: Path) -> None:
    """Write the Parquet files, each whole or not at all.

    Raises:
        StoreError: the folder cannot be written.
    """
    try:
        _write(tables, folder)
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror}; the store is intact, run the same command again") from error


def _write(tables: Tables, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows, schema in (
        ("trials", tables.trials, TRIALS),
        ("tasks", tables.tasks, TASKS),
        ("scores", tables.scores, SCORES),
        ("inside", tables.inside, INSIDE),
        ("full", tables.full, FULL),
        ("full_scores", tables.full_scores, SCORES),
    ):
        temporary = folder / f".{name}.parquet.{os.getpid()}.tmp"
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary)
        temporary.replace(folder / f"{name}.parquet")


def done_in(folder: Path) -> int:
    """Finished trials in the tables of a folder; 0 when there are none, or none that can be read."""
    try:
        return int(pq.read_table(folder / "trials.parquet")["status"].to_pylist().count("done"))
    except (OSError, KeyError, pa.ArrowInvalid):
        return 0


def trial_row(planned: PlannedTrial, status: str) -> Row:
    """A trial's row: what it is, its value on every axis (null where one does not apply), and how far it is."""
    trial = planned.trial
    config = trial.config
    axes = axis_values(config)
    if trial.kind == "anchor":
        axes |= dict.fromkeys(("timeline", "start", "serve"))
    return {
        "trial": trial.id,
        "kind": trial.kind,
        "config_id": config.config_id,
        "block": config.block,
        "seed": config.seed,
        "order": config.order,
        **axes,
        "method": trial.method,
        "status": status,
    }


def _task_rows(planned: PlannedTrial, reader: "_Reader", scores: list[Row]) -> Iterator[Row]:
    """Rows of a trial's tasks up to the first that is missing; costs and times add up over tasks."""
    cost = reader.cost(planned.cost)
    passes = 0
    wall: float | None = 0.0
    for step in planned.steps:
        values = reader.scores(step.scores)
        if values is None or cost is None:
            return
        if step.update is not None:
            seconds = reader.wall_seconds(step.update)
            wall = None if wall is None or seconds is None else wall + seconds
        passes += step.passes
        identity = {"trial": planned.trial.id, "task": step.task}
        scores.extend({**identity, **asdict(score)} for score in values)
        yield {
            **identity,
            **summarise(values)._asdict(),
            "cost_flops": float(passes * cost.flops),
            "cost_mafs": float(passes * cost.mafs),
            "wall_s": wall,
        }


def _full_rows(planned: PlannedTrial, reader: "_Reader", scores: list[Row]) -> Iterator[Row]:
    """Rows of a trial's ends on all test images, where the others are on a subset."""
    for step in planned.steps:
        values = None if step.full is None else reader.scores(step.full)
        if values is not None:
            identity = {"trial": planned.trial.id, "task": step.task}
            scores.extend({**identity, **asdict(score)} for score in values)
            yield {**identity, **summarise(values)._asdict()}


def _inside_rows(planned: PlannedTrial, reader: "_Reader") -> Iterator[Row]:
    """Rows of the evaluations within a trial's tasks, as far as they are there."""
    for step in planned.steps:
        for inside in step.inside:
            values = reader.scores(inside.scores)
            if values is not None and step.recipe is not None:
                yield {
                    "trial": planned.trial.id,
                    "task": step.task,
                    "step": inside.step,
                    "fraction": inside.step / step.recipe.steps,
                    **summarise(values)._asdict(),
                }


class _Reader:
    """Reads each small value of the store once, however many trials share it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._scores: dict[str, tuple[Score, ...] | None] = {}
        self._seconds: dict[str, float | None] = {}
        self._costs: dict[str, Cost | None] = {}

    def scores(self, key: str) -> tuple[Score, ...] | None:
        if key not in self._scores:
            payload = self._store.get("scores", key)
            self._scores[key] = None if payload is None else decode(payload)
        return self._scores[key]

    def wall_seconds(self, update: str) -> float | None:
        if update not in self._seconds:
            payload = self._store.get("records", update)
            self._seconds[update] = None if payload is None else json.loads(payload)["wall_seconds"]
        return self._seconds[update]

    def cost(self, key: str) -> Cost | None:
        if key not in self._costs:
            payload = self._store.get("costs", key)
            self._costs[key] = None if payload is None else Cost(**json.loads(payload))
        return self._costs[key]
