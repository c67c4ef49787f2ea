"""Tables, derived from plan and store alone: they may be deleted at any time and are made again to the bit.

Measured times are in columns that end in `_s`; everything else is a pure function of the study.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from search_spaces.space import AXES, Axis, marks
from study.planning.plan import Plan, PlannedTrial
from study.planning.trials import Row
from study.results.reader import Evaluation, Results
from trainables.files import whole
from trainables.methods.method import METHODS
from trainables.store.store import Store, StoreError

_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def _axis_field(name: str, axis: Axis) -> pa.Field:
    """The column of an axis, whose metadata says what the axis is for."""
    return pa.field(name, _TYPES[axis.type], metadata={"retune.role": ", ".join([axis.role, *marks(name)])})


TRIALS = pa.schema(
    [
        ("trial", pa.string()),
        ("kind", pa.string()),
        ("config_id", pa.string()),
        ("block", pa.string()),
        ("seed", pa.int64()),
        ("order", pa.int64()),
        *(_axis_field(name, axis) for name, axis in AXES.items()),
        pa.field("evaluation_precision", pa.string(), metadata={"retune.role": "training"}),
        ("status", pa.string()),
    ],
    metadata={
        "retune.methods": json.dumps({name: {"name": row.name, "group": row.group} for name, row in METHODS.items()})
    },
)
"""The metadata says what no reader can know of a new hyperparameter or method: roles of axes, and names of methods."""

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

_FINISHED = ("done", "stopped")

Values = tuple[str | int | float | None, ...]
"""A row in the order of its table's columns."""


class Scored(NamedTuple):
    """What a trial's weights after a task were scored."""

    trial: str
    task: int
    evaluation: Evaluation


@dataclass(frozen=True, kw_only=True)
class Tables:
    """The tables: rows of the trials, columns of the others, and scores, which become rows as they are written.

    `devices` are the kinds of devices that updates were trained on, with the number of updates of each, `parameters` is
    the size of the model.
    """

    trials: list[Row]
    tasks: pa.Table
    scores: tuple[Scored, ...]
    inside: pa.Table
    full: pa.Table
    full_scores: tuple[Scored, ...]
    devices: Mapping[str, int]
    parameters: int | None

    @property
    def unfinished(self) -> list[str]:
        """Trials without all of their rows."""
        return [row["trial"] for row in self.trials if row["status"] not in _FINISHED]


def make_tables(plan: Plan, store: Store, failed: Mapping[str, str]) -> Tables:
    """Rows of every trial, as far as the store has them; all small values of the study are read, each once.

    A trial is `done` when all its tasks are there, `stopped` when early stopping ended it before and all until then
    are, `failed` when the last run gave it up, else `waiting`.
    """
    reader = _Reader(plan, store)
    trials: list[Row] = []
    tasks, inside, full = _Columns(TASKS), _Columns(INSIDE), _Columns(FULL)
    scores: list[Scored] = []
    full_scores: list[Scored] = []
    for planned in plan.trials:
        name = planned.trial.id
        there = (
            tasks.add(_task_rows(planned, name, reader, scores)),
            inside.add(_inside_rows(planned, name, reader)),
            full.add(_full_rows(planned, name, reader, full_scores)),
        )
        steps = planned.steps
        done = there == (len(steps), sum(len(one.inside) for one in steps), sum(one.full is not None for one in steps))
        trials.append(trial_row(planned, _status(planned, done=done, failed=name in failed)))
    return Tables(
        trials=trials,
        tasks=tasks.table(),
        scores=tuple(scores),
        inside=inside.table(),
        full=full.table(),
        full_scores=tuple(full_scores),
        devices=reader.devices,
        parameters=plan.parameters,
    )


def _status(planned: PlannedTrial, *, done: bool, failed: bool) -> str:
    if done:
        return "stopped" if planned.is_stopped else "done"
    return "failed" if failed else "waiting"


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
    for name, schema, parts in (
        ("trials", _with_parameters(TRIALS, tables.parameters), [pa.Table.from_pylist(tables.trials, schema=TRIALS)]),
        ("tasks", _with_devices(TASKS, tables.devices), [tables.tasks]),
        ("scores", SCORES, _score_rows(tables.scores)),
        ("inside", INSIDE, [tables.inside]),
        ("full", FULL, [tables.full]),
        ("full_scores", SCORES, _score_rows(tables.full_scores)),
    ):
        with whole(folder / f"{name}.parquet") as file, pq.ParquetWriter(file, schema) as writer:
            for part in parts:
                writer.write_table(part)


def _with_devices(schema: pa.Schema, devices: Mapping[str, int]) -> pa.Schema:
    """A schema that says on which kinds of devices updates were trained; of one kind nothing is to be said."""
    if len(devices) < 2:
        return schema
    return schema.with_metadata({"retune.devices": json.dumps(devices, sort_keys=True)})


def _with_parameters(schema: pa.Schema, parameters: int | None) -> pa.Schema:
    """A schema that says how many parameters the model has: no axis, since all trials of a study have one model."""
    said = {} if parameters is None else {b"retune.parameters": str(parameters).encode()}
    return schema.with_metadata({**(schema.metadata or {}), **said})


_ROWS_AT_ONCE = 1 << 20
"""Rows of scores that are held at once, and that a row group of the file has at most."""


def _score_rows(scored: Sequence[Scored]) -> Iterator[pa.Table]:
    """Make rows of scores, some evaluations at a time, so that memory does not grow with the number of rows."""
    part: list[Scored] = []
    rows = 0
    for one in scored:
        if rows + len(one.evaluation.values) > _ROWS_AT_ONCE:
            yield _spread(part)
            part, rows = [], 0
        part.append(one)
        rows += len(one.evaluation.values)
    yield _spread(part)


def _spread(scored: Sequence[Scored]) -> pa.Table:
    """Rows of some evaluations; values of an evaluation or a suite are repeated in each of its rows."""
    suites = {id(one.evaluation.suite): one.evaluation.suite for one in scored}
    sizes = {name: len(suite.datasets) for name, suite in suites.items()}
    firsts = dict(zip(suites, np.cumsum([0, *sizes.values()]), strict=False))
    places = {name: firsts[name] + np.arange(size) for name, size in sizes.items()}
    counts = [len(one.evaluation.values) for one in scored]
    nowhere = np.empty(0, dtype=np.int64)
    of_row = pa.array(np.concatenate([nowhere, *(places[id(one.evaluation.suite)] for one in scored)]))
    of_evaluation = pa.array(np.repeat(np.arange(len(scored)), counts))

    def common(values: Iterable[Sequence[object]], name: str) -> pa.Array:
        return pa.array([one for column in values for one in column], SCORES.field(name).type).take(of_row)

    columns = {
        "trial": pa.array([one.trial for one in scored], pa.string()).take(of_evaluation),
        "task": pa.array([one.task for one in scored], pa.int64()).take(of_evaluation),
        "dataset": common((suite.datasets for suite in suites.values()), "dataset"),
        "group": common((suite.groups for suite in suites.values()), "group"),
        "metric": common((suite.metrics for suite in suites.values()), "metric"),
        "value": pa.array(np.frombuffer(b"".join(one.evaluation.values for one in scored), dtype=np.float64)),
        "n": common((suite.counts for suite in suites.values()), "n"),
    }
    return pa.table(columns, schema=SCORES)


def done_in(folder: Path) -> int:
    """Finished trials in the tables of a folder; 0 when there are none, or none that can be read."""
    try:
        found = pq.read_table(folder / "trials.parquet")["status"].to_pylist()
    except (OSError, KeyError, pa.ArrowInvalid):
        return 0
    return sum(status in _FINISHED for status in found)


def trial_row(planned: PlannedTrial, status: str) -> Row:
    """A trial's row: what it is, its value on every axis (null where one does not apply), and how far it is."""
    return {**planned.trial.row, "evaluation_precision": planned.evaluation.precision, "status": status}


def _task_rows(planned: PlannedTrial, name: str, reader: "_Reader", scores: list[Scored]) -> Iterator[Values]:
    """Rows of a trial's tasks up to the first that is missing; costs and times add up over tasks."""
    cost = reader.costs[planned.cost]
    passes = 0
    wall: float | None = 0.0
    for step in planned.steps:
        found = reader.evaluation(step.scores)
        if found is None or cost is None:
            return
        if step.update is not None:
            seconds = reader.seconds(step.update)
            wall = None if wall is None or seconds is None else wall + seconds
        passes += step.passes
        scores.append(Scored(name, step.task, found))
        yield name, step.task, *found.summary, float(passes * cost.flops), float(passes * cost.mafs), wall


def _full_rows(planned: PlannedTrial, name: str, reader: "_Reader", scores: list[Scored]) -> Iterator[Values]:
    """Rows of a trial's ends on all test images, where the others are on a subset."""
    for step in planned.steps:
        found = None if step.full is None else reader.evaluation(step.full)
        if found is not None:
            scores.append(Scored(name, step.task, found))
            yield name, step.task, *found.summary


def _inside_rows(planned: PlannedTrial, name: str, reader: "_Reader") -> Iterator[Values]:
    """Rows of the evaluations within a trial's tasks, as far as they are there."""
    for step in planned.steps:
        for inside in step.inside:
            found = reader.evaluation(inside.scores)
            if found is not None:
                yield name, step.task, inside.step, inside.step / step.steps, *found.summary


class _Columns:
    """A table that grows by rows."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._rows: list[Values] = []

    def add(self, rows: Iterable[Values]) -> int:
        """Take rows; returns how many there were."""
        before = len(self._rows)
        self._rows.extend(rows)
        return len(self._rows) - before

    def table(self) -> pa.Table:
        columns = zip(*self._rows, strict=True) if self._rows else [() for _ in self._schema]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        return pa.table(arrays, schema=self._schema)


class _Reader:
    """Reads what the store has of a plan: three listings, and one read of each value."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self._results = Results(store)
        self._scores = plan.unique_scores & store.keys("scores")
        self._updates = plan.all_updates & store.keys("records")
        there = store.keys("costs")
        self._results.fetch(self._scores)
        self._results.fetch_seconds(self._updates)
        self.costs = {
            key: self._results.cost(key) if key in there else None
            for key in dict.fromkeys(planned.cost for planned in plan.trials)
        }

    @property
    def devices(self) -> Mapping[str, int]:
        return self._results.devices

    def evaluation(self, key: str) -> Evaluation | None:
        return self._results.evaluation(key) if key in self._scores else None

    def seconds(self, update: str) -> float | None:
        return self._results.seconds(update) if update in self._updates else None
