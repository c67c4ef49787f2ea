"""Where a study stands: from its plan, its store and its log; nothing is asked of a running process."""

import json
import math
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from search_spaces.space import AXES, SWITCHES, axis_values
from study.folder import Folder, is_held
from study.plan import Plan, known, make_plan
from study.tables import Tables, make_tables


@dataclass(frozen=True, kw_only=True)
class Best:
    """A config with its means over the blocks that have finished; fractions. `trial` is the first of its trials."""

    config: str
    trial: str
    aka: float
    azs: float
    gm: float
    blocks: int


@dataclass(frozen=True, kw_only=True)
class Status:
    """Counts of trials by state, throughput and time left of a live run, and the best config so far."""

    study: str
    live: bool
    trials: int
    done: int
    running: int
    waiting: int
    failed: int
    updates_unique: int
    updates_in_store: int
    tasks_per_minute: float | None
    seconds_left: float | None
    errors: dict[str, str]
    best: Best | None

    def as_json(self) -> str:
        """The status as a JSON object."""
        return json.dumps(asdict(self), indent=2)


def status(folder: Folder) -> Status:
    """The status of a study's folder.

    Raises:
        ConfigError: it is not a study's folder.
    """
    definition = folder.definition()
    plan = make_plan(definition, str(folder.definition_file))
    store = folder.store()
    have = known(store)
    live = is_held(folder)
    errors = failures(folder)
    tables = make_tables(plan, store, errors)
    done = sum(row["status"] == "done" for row in tables.trials)
    running = _running(folder) if live else set()
    left = len(plan.trials) - done
    failed = sum(row["status"] == "failed" for row in tables.trials)
    rate = _tasks_per_minute(folder) if live else None
    remaining = sum(len(planned.steps) - 1 for planned in plan.missing(have))
    return Status(
        study=definition.name,
        live=live,
        trials=len(plan.trials),
        done=done,
        running=len(running),
        waiting=max(0, left - failed - len(running)),
        failed=failed,
        updates_unique=len(plan.unique_updates),
        updates_in_store=len(plan.unique_updates.keys() & have.updates),
        tasks_per_minute=rate,
        seconds_left=60 * remaining / rate if rate else None,
        errors={name: error for name, error in errors.items() if name in _open(tables)},
        best=_best(plan, tables),
    )


def failures(folder: Folder) -> dict[str, str]:
    """Trials that the last run gave up, with their errors."""
    return {str(row["trial"]): str(row["error"]) for row in folder.last_run() if row["event"] == "trial_failed"}


def _open(tables: Tables) -> set[str]:
    return {row["trial"] for row in tables.trials if row["status"] == "failed"}


def _running(folder: Folder) -> set[str]:
    active: set[str] = set()
    for row in folder.last_run():
        if row["event"] == "trial_started":
            active.add(row["trial"])
        elif row["event"] in ("trial_done", "trial_failed", "trial_retried"):
            active.discard(row["trial"])
    return active


def _tasks_per_minute(folder: Folder) -> float | None:
    rows = folder.last_run()
    tasks = sum(row["event"] == "task" and row["task"] > 0 for row in rows)
    if not tasks:
        return None
    began = float(rows[0]["time"])
    return float(60 * tasks / max(time.time() - began, 1e-9))


def _best(plan: Plan, tables: Tables) -> Best | None:
    """The config with the highest mean GM after the last task."""
    last = {planned.trial.id: planned.steps[-1].task for planned in plan.trials if planned.trial.kind == "trial"}
    final = {row["trial"]: row for row in tables.tasks if row["task"] == last.get(row["trial"])}
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    names: dict[str, str] = {}
    ids: dict[str, str] = {}
    varying = varying_axes(plan)
    for row in tables.trials:
        if row["trial"] in final and row["status"] == "done":
            groups[row["config_id"]].append(final[row["trial"]])
            names[row["config_id"]] = describe(row, varying)
            ids.setdefault(row["config_id"], row["trial"])
    if not groups:
        return None
    means = {
        config: {name: math.fsum(row[name] for row in rows) / len(rows) for name in ("aka", "azs", "gm")}
        for config, rows in groups.items()
    }
    complete = max(len(rows) for rows in groups.values())  # configs are compared on equally many blocks
    best = max((config for config in means if len(groups[config]) == complete), key=lambda c: (means[c]["gm"], c))
    return Best(config=names[best], trial=ids[best], blocks=len(groups[best]), **means[best])


_NAMED = ("method", "penalty", "projection", "timeline")
OFF = {*SWITCHES, "lines"}
"""Axes that are off where they have no value; others do not apply there, which method and timeline say."""
_NUMBERED = ("rank", "n", "strength", "w", "lr")


def varying_axes(plan: Plan) -> tuple[str, ...]:
    """Axes in which the trials of a study differ, where that is not said by method, timeline and the usual numbers."""
    rows = [axis_values(planned.trial.config) for planned in plan.trials if planned.trial.kind == "trial"]
    said = {*_NAMED, *_NUMBERED, "start", "serve"}
    found = {name: {repr(row[name]) for row in rows if row[name] is not None or name in OFF} for name in AXES}
    return tuple(name for name in AXES if name not in said and len(found[name]) > 1)


def describe(row: dict[str, Any], varying: Sequence[str]) -> str:
    """A trial's row in a few words: the axes that a reader compares, and those in which the study's trials differ."""
    names = [row[name] for name in _NAMED if row[name]]
    shown = [f"{name}={row[name]:g}" for name in _NUMBERED if row[name] is not None]
    more = [f"{name}={row[name]}" for name in varying if row[name] is not None]
    return " ".join([*names, *shown, *more])
