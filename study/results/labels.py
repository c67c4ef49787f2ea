"""A trial in a few words: the axes that a reader compares, and those in which the trials of its study differ."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from search_spaces.space import AXES, CAN_BE_NONE
from study.planning.plan import Plan, PlannedTrial
from study.results.tables import trial_row

_NAMED = ("method", "penalty", "projection", "timeline")
_NUMBERED = ("rank", "n", "strength", "w", "lr")


def varying_axes(plan: Plan) -> tuple[str, ...]:
    """Axes in which the trials of a study differ, where that is not said by method, timeline and the usual numbers."""
    return varying(planned.trial.row for planned in plan.trials if planned.trial.kind == "trial")


def varying(rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Axes in which rows differ, as in `varying_axes`; each row has a value for every axis."""
    said = {*_NAMED, *_NUMBERED, "start", "serve"}
    found: dict[str, set[str]] = {name: set() for name in AXES if name not in said}
    for row in rows:
        for name, values in found.items():
            if row[name] is not None or name in CAN_BE_NONE:
                values.add(repr(row[name]))
    return tuple(name for name, values in found.items() if len(values) > 1)


def describe(row: Mapping[str, Any], varying: Sequence[str]) -> str:
    """A trial's row in a few words."""
    names = [row[name] for name in _NAMED if row[name]]
    shown = [f"{name}={row[name]:g}" for name in _NUMBERED if row[name] is not None]
    more = [f"{name}={row[name]}" for name in varying if row[name] is not None]
    return " ".join([*names, *shown, *more])


def in_words(planned: PlannedTrial, varying: Sequence[str]) -> str:
    """A planned trial in a few words, with its block."""
    row = trial_row(planned, "waiting")
    return f"{describe(row, varying)} {row['block']}"
