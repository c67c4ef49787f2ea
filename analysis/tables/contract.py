"""What the tables of a study hold: columns with types, units and ranges, and what stands in for one that is absent.

Any program may write these tables; only a few columns are required. What is here is checked, an absent optional column
is null or follows from the others, and nothing is guessed: else there is a `TableError` with table, column and rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

Type = Literal["text", "names", "whole number", "number", "fraction", "cost", "any"]
"""`names` is text of few values in a long table. A fraction lies in [0, 1]; a cost is null or a number from 0 on."""

Series: TypeAlias = "pd.Series[Any]"


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column. It is required where nothing is said about what an `absent` one means."""

    type: Type
    meaning: str
    absent: str | None = None


_METRICS: Mapping[str, Column] = {
    "aka": Column(type="fraction", meaning="accumulation: mean over the adaptation datasets"),
    "azs": Column(type="fraction", meaning="retention: mean over the held-out datasets"),
    "gm": Column(type="fraction", meaning="geometric mean of aka and azs", absent="made from aka and azs"),
}
_TRIAL = Column(type="text", meaning="names a trial of the trials table")
_TASK = Column(type="whole number", meaning="tasks done so far; 0 is zero-shot")
_SCORES: Mapping[str, Column] = {
    "trial": Column(type="names", meaning=_TRIAL.meaning),
    "task": _TASK,
    "dataset": Column(type="names", meaning="every (trial, task) has all datasets of one suite"),
    "group": Column(type="names", meaning="adapt, holdout, or extra: in no mean"),
    "metric": Column(type="names", meaning="what the value is, such as accuracy or recall@5"),
    "value": Column(type="fraction", meaning="the score"),
    "n": Column(type="whole number", meaning="test samples"),
}
CONTRACT: Mapping[str, Mapping[str, Column]] = {
    "trials": {
        "trial": Column(type="text", meaning="names the trial; one row for each"),
        "method": Column(type="text", meaning="what was trained; joint and zeroshot name the anchors"),
        "block": Column(type="text", meaning="(seed, stream order); every config runs on the same blocks"),
        "config_id": Column(type="text", meaning="all settings but seed and order", absent="made from the axes"),
        "kind": Column(type="text", meaning="trial or anchor", absent="anchor for joint and zeroshot, else trial"),
        "status": Column(type="text", meaning="done, stopped, failed or waiting", absent="done"),
        "seed": Column(type="any", meaning="part of the block", absent="null"),
        "order": Column(type="any", meaning="part of the block", absent="null"),
        "rank": Column(type="number", meaning="rank of an adapter or a projection", absent="null"),
        "timeline": Column(
            type="text", meaning="which weights a task starts from, and which are served", absent="null"
        ),
        "rule": Column(type="text", meaning="how weights are merged", absent="null"),
        "w": Column(type="number", meaning="merge weight of the old weights", absent="null"),
        "lr": Column(type="number", meaning="peak learning rate", absent="null"),
    },
    "tasks": {
        "trial": _TRIAL,
        "task": _TASK,
        **_METRICS,
        "cost_flops": Column(type="cost", meaning="FLOPs of training since task 0", absent="null"),
        "cost_mafs": Column(type="cost", meaning="memory-adjusted FLOPs since task 0", absent="null"),
        "wall_s": Column(type="cost", meaning="seconds of training since task 0", absent="null"),
    },
    "scores": _SCORES,
    "inside": {
        "trial": _TRIAL,
        "task": _TASK,
        "step": Column(type="whole number", meaning="steps done within the task"),
        "fraction": Column(type="fraction", meaning="share of the task's steps"),
        **_METRICS,
    },
    "full": {"trial": _TRIAL, "task": _TASK, **_METRICS},
    "full_scores": _SCORES,
}
"""Further columns of the trials table are axes; those of the other tables are not read."""

KEYS: Mapping[str, tuple[str, ...]] = {
    "trials": ("trial",),
    "tasks": ("trial", "task"),
    "scores": ("trial", "task", "dataset"),
    "inside": ("trial", "task", "step"),
    "full": ("trial", "task"),
    "full_scores": ("trial", "task", "dataset"),
}
REQUIRED = ("trials", "tasks")
COSTS = ("cost_flops", "cost_mafs", "wall_s")
SHOWN_ROWS = 3


class TableError(ValueError):
    """A table of the study is missing or cannot be trusted; the message says which file, column and rows."""

    def __init__(self, problem: str, *, table: str | None = None) -> None:
        super().__init__(problem if table is None else f"{table}: {problem}")
        self.problem = problem
        self.table = table


def needs(table: str) -> str:
    """The columns of a table in words."""
    columns = CONTRACT[table]
    required = [f"{name} ({column.type}: {column.meaning})" for name, column in columns.items() if not column.absent]
    optional = [f"{name} (absent: {column.absent})" for name, column in columns.items() if column.absent]
    may = f"; it may have {', '.join(optional)}" if optional else ""
    axes = "; every further column is an axis" if table == "trials" else ""
    return f"the table needs {', '.join(required)}{may}{axes}".replace("names: ", "text: ")


def with_columns(table: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of a table, text as text; the trials table keeps its further columns. Keys are not null."""
    columns = CONTRACT[table]
    missing = [name for name, column in columns.items() if name not in frame.columns and not column.absent]
    if missing:
        raise TableError(f"missing columns {missing}; {needs(table)}", table=table)
    further = [name for name in frame.columns if name not in columns] if table == "trials" else []
    known = [name for name in columns if name in frame.columns]
    texts = {
        name: _names(table, name, frame) if columns[name].type == "names" else _text(table, name, frame)
        for name in known
        if columns[name].type in ("text", "names")
    }
    frame = frame[[*known, *further]].assign(**texts).reset_index(drop=True)
    for key in KEYS[table]:
        refuse(table, key, frame, frame[key].isna(), "is null")
    return frame


def with_values(table: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers as numbers, checked; costs that are absent are null, and an absent gm is made. No key occurs twice."""
    found: dict[str, Series] = {}
    for name, column in CONTRACT[table].items():
        if column.type in ("text", "names", "any"):
            continue
        if name in frame.columns:
            found[name] = _number(table, name, frame, column)
        elif name == "gm":
            found[name] = (found["aka"] * found["azs"]) ** 0.5
        elif column.type == "cost":
            found[name] = pd.Series(np.nan, index=frame.index)
    frame = frame.assign(**found)
    keys = list(KEYS[table])
    if not table.endswith("scores"):  # that table is long, and its keys are checked by number
        refuse(table, " and ".join(keys), frame, frame.duplicated(keys, keep=False), "occur more than once")
    return frame


def refuse(table: str, column: str, frame: pd.DataFrame, bad: npt.ArrayLike, problem: str) -> None:
    """Raise if any row is bad, and show the first few; rows without a name are shown by their place, from 0 on."""
    places = np.flatnonzero(np.asarray(bad, dtype=bool))
    if len(places) == 0:
        return
    names = list(dict.fromkeys(name for name in (*KEYS[table], column) if name in frame.columns))
    rows = frame.iloc[places[:SHOWN_ROWS]][names]
    shown = [
        " ".join(
            [
                *([f"row={index}"] if any(pd.isna(row[key]) for key in KEYS[table] if key in row) else []),
                *(f"{name}={value}" for name, value in row.items()),
            ]
        )
        for index, row in zip(rows.index, rows.to_dict("records"), strict=True)
    ]
    more = f" and {len(places) - SHOWN_ROWS} more" if len(places) > SHOWN_ROWS else ""
    raise TableError(f"column {column!r} {problem} in {len(places)} rows: {'; '.join(shown)}{more}", table=table)


def stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Rows of all frames; columns of names have the names of all of them."""
    frames = [frame for frame in frames if len(frame)] or list(frames[:1])
    if len(frames) == 1:
        return frames[0].reset_index(drop=True)
    names = [name for name in frames[0].columns if isinstance(frames[0][name].dtype, pd.CategoricalDtype)]
    union = {
        name: pd.CategoricalDtype(sorted(set().union(*(f[name].cat.categories for f in frames)))) for name in names
    }
    return pd.concat([frame.astype(union) for frame in frames], ignore_index=True)


def _text(table: str, name: str, frame: pd.DataFrame) -> Series:
    """Text as it is, whole numbers as text; null stays null."""
    column = frame[name]
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if pd.api.types.is_string_dtype(column.dtype) and column.dtype != object:
        return column
    if pd.api.types.is_bool_dtype(column.dtype):
        refuse(table, name, frame, np.ones(len(frame)), "is neither text nor a whole number")
    if pd.api.types.is_numeric_dtype(column.dtype):
        values = column.to_numpy(dtype=float, na_value=np.nan)
        refuse(table, name, frame, ~np.isnan(values) & (values != np.floor(values)), "is neither text nor whole")
        return column.astype("Int64").astype("str")
    wrong = [(not isinstance(v, str | int | np.integer) and not pd.isna(v)) or isinstance(v, bool) for v in column]
    refuse(table, name, frame, wrong, "is neither text nor a whole number")
    return column.where(column.isna(), column.astype(str)).astype("str")


def _names(table: str, name: str, frame: pd.DataFrame) -> Series:
    """As `_text`, with every name once."""
    column = frame[name]
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return _text(table, name, frame).astype("category")
    if pd.api.types.is_string_dtype(column.cat.categories.dtype):
        return column
    names = pd.DataFrame({name: column.cat.categories})
    return column.cat.rename_categories(_text(table, name, names).tolist())


def _number(table: str, name: str, frame: pd.DataFrame, column: Column) -> Series:
    values = _floats(frame[name])
    missing = np.isnan(values)
    nullable = column.type in ("number", "cost")
    wrong = missing & frame[name].notna().to_numpy() if nullable else missing
    refuse(table, name, frame, wrong, "is not a number")
    refuse(table, name, frame, np.isinf(values), "is not finite")
    if column.type == "fraction":
        refuse(table, name, frame, (values < 0.0) | (values > 1.0), "is outside [0, 1]")
    if column.type in ("cost", "whole number"):
        refuse(table, name, frame, values < 0.0, "is negative")
    if column.type == "whole number":
        refuse(table, name, frame, values != np.floor(values), "is not a whole number")
        return pd.Series(values.astype(np.int64), index=frame.index)
    return pd.Series(values, index=frame.index)


def _floats(column: Series) -> npt.NDArray[np.float64]:
    """NaN where there is no number; text is none, even where it reads like one."""
    if pd.api.types.is_bool_dtype(column.dtype):
        return np.full(len(column), np.nan)
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=float, na_value=np.nan)
    numbers: list[Any] = [
        v if isinstance(v, int | float | np.number) and not isinstance(v, bool) else np.nan for v in column
    ]
    return np.asarray(numbers, dtype=float)
