"""The three tables of a study, checked: trials, tasks and scores.

A `Tables` value holds finished trials only, and every config of it ran on the same blocks, so that all comparisons are
paired. What had to be left out for that is listed, nothing is ever filled in, and a table that cannot be trusted is a
`TableError` that names file, column and rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

KINDS = ("trial", "anchor")
STATUSES = ("done", "failed", "waiting")
GROUPS = ("adapt", "holdout")
JOINT = "joint"
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "trials": (
        *("trial", "kind", "config_id", "block", "seed", "order", "method", "rank", "timeline", "rule", "w", "lr"),
        "status",
    ),
    "tasks": ("trial", "task", "aka", "azs", "gm", "cost_flops", "cost_mafs", "wall_s"),
    "scores": ("trial", "task", "dataset", "group", "metric", "value", "n"),
}
FRACTIONS: Mapping[str, tuple[str, ...]] = {"tasks": ("aka", "azs", "gm"), "scores": ("value",)}
KEYS: Mapping[str, tuple[str, ...]] = {
    "trials": ("trial",),
    "tasks": ("trial", "task"),
    "scores": ("trial", "task", "dataset"),
}
INSIDE = ("trial", "task", "step", "fraction", "aka", "azs", "gm")
COSTS = ("cost_flops", "cost_mafs", "wall_s")
GM_TOLERANCE = 1e-4
SHOWN_ROWS = 3


class TableError(ValueError):
    """A table of the study is missing or cannot be trusted; the message says which file, column and rows."""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A trial that is in the tables and not in the statistics."""

    trial: str
    config_id: str
    block: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Finished trials on common blocks. The frames belong to this object: do not change them.

    `trials` and `tasks` hold the configs AND the joint anchor (if any); `blocks` are those that every config has.
    `inside` has a row for every evaluation within a task; most studies have none. Where a study scores a subset of the
    test images during the stream, `tasks` and `scores` are of the subset, and `ends` and `end_scores` of all images:
    task 0 and the last task. Everywhere else these are rows of `tasks` and `scores`.
    """

    name: str
    trials: pd.DataFrame
    tasks: pd.DataFrame
    scores: pd.DataFrame
    inside: pd.DataFrame
    ends: pd.DataFrame
    end_scores: pd.DataFrame
    blocks: tuple[str, ...]
    counts: Mapping[str, int]
    left_out: tuple[LeftOut, ...]
    warnings: tuple[str, ...]


def load_tables(study_dir: Path) -> Tables:
    """Read and check `tables/*.parquet` of a study folder."""
    folder = study_dir / "tables"
    frames = {table: _read(folder / f"{table}.parquet") for table in COLUMNS}
    more = {
        name: _read(folder / f"{name}.parquet")
        for name in ("inside", "full", "full_scores")
        if (folder / f"{name}.parquet").is_file()
    }
    return make_tables(frames["trials"], frames["tasks"], frames["scores"], **more, name=study_dir.resolve().name)


def make_tables(
    trials: pd.DataFrame,
    tasks: pd.DataFrame,
    scores: pd.DataFrame,
    inside: pd.DataFrame | None = None,
    full: pd.DataFrame | None = None,
    full_scores: pd.DataFrame | None = None,
    *,
    name: str,
) -> Tables:
    """Check the frames and cut them to finished trials on common blocks."""
    inside = pd.DataFrame(columns=INSIDE) if inside is None else inside
    if missing := [column for column in INSIDE if column not in inside.columns]:
        raise TableError(f"inside: missing columns {missing}; the table needs {list(INSIDE)}")
    frames = {"trials": trials, "tasks": tasks, "scores": scores}
    for table, frame in frames.items():
        _check_columns(table, frame)
    _check_trials(trials)
    trials = trials.assign(**{name: trials[name].astype(str) for name in ("config_id", "block")})
    done = trials[trials["status"] == "done"]
    if done.empty:
        raise TableError(f"trials: none of the {len(trials)} trials is done yet, so there is nothing to report")
    kept_rows = {table: _rows_of_done(table, frames[table], trials, done) for table in ("tasks", "scores")}
    tasks, scores = kept_rows["tasks"], kept_rows["scores"]
    tasks = tasks.assign(**{name: pd.to_numeric(tasks[name], errors="coerce") for name in COSTS})
    _check_tasks(tasks, done)
    _check_scores(scores, tasks)

    left_out = [_left_out(row, f"status {row['status']}") for row in _rows(trials[trials["status"] != "done"])]
    warnings = _status_warnings(trials)
    warnings += _tasks_warnings(tasks)
    configs = done[done["kind"] == "trial"]
    blocks, kept_configs = common_blocks(configs[["config_id", "block"]])
    if not kept_configs:
        raise TableError("trials: only the joint anchor is done yet, so there is nothing to compare with it")
    on_common = done["block"].isin(blocks)
    anchors = done["kind"] == "anchor"
    anchors_elsewhere = anchors & ~done["config_id"].isin(done.loc[on_common & anchors, "config_id"])
    cut = done[~(on_common & (anchors | done["config_id"].isin(kept_configs)) | anchors_elsewhere)]
    if not cut.empty:
        left_out += [_left_out(row, _cut_reason(row, blocks)) for row in _rows(cut)]
        warnings.append(_cut_warning(cut, blocks, kept_configs))
    kept = done.drop(index=cut.index).sort_values(["config_id", "block"]).reset_index(drop=True)

    def of_kept(frame: pd.DataFrame, *order: str) -> pd.DataFrame:
        return frame[frame["trial"].isin(kept["trial"])].sort_values(["trial", *order]).reset_index(drop=True)

    ends, end_scores = _ends(tasks, scores, full, full_scores)
    if full is not None and not full.empty:
        warnings.append(
            "Paths over tasks are scored on a subset of the test images; all other numbers are of all images."
        )
    return Tables(
        name=name,
        trials=kept,
        tasks=of_kept(tasks, "task"),
        scores=of_kept(scores, "task", "dataset"),
        inside=of_kept(inside, "task", "step"),
        ends=of_kept(ends, "task"),
        end_scores=of_kept(end_scores, "task", "dataset"),
        blocks=blocks,
        counts={
            "trials": len(trials),
            **{status: int((trials["status"] == status).sum()) for status in STATUSES},
            "used": len(kept),
            "configs": len(kept_configs),
        },
        left_out=tuple(sorted(left_out, key=lambda item: (item.reason, item.trial))),
        warnings=tuple(warnings),
    )


def _ends(
    tasks: pd.DataFrame, scores: pd.DataFrame, full: pd.DataFrame | None, full_scores: pd.DataFrame | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of task 0 and of the last task, by all test images where a study has such rows."""
    last = tasks.groupby("trial")["task"].transform("max")
    ends = tasks.loc[(tasks["task"] == 0) | (tasks["task"] == last)]
    places = ends[["trial", "task"]]
    if full is None or full_scores is None or full.empty:
        return ends, scores.merge(places, on=["trial", "task"])
    for known, table, frame in (("tasks", "full", full), ("scores", "full_scores", full_scores)):
        for column in FRACTIONS[known]:
            inside = pd.to_numeric(frame[column], errors="coerce").between(0.0, 1.0)
            _refuse(known, column, frame, ~inside, f"of the table {table} is outside [0, 1]")
    without = places.merge(full[["trial", "task"]].assign(there=True), how="left", on=["trial", "task"])
    _refuse("tasks", "task", without, without["there"].isna(), "is an end without a row in the table full")
    replaced = ends.drop(columns=["aka", "azs", "gm"]).merge(full, on=["trial", "task"])
    return replaced, full_scores.merge(places, on=["trial", "task"])


def common_blocks(pairs: pd.DataFrame) -> tuple[tuple[str, ...], frozenset[str]]:
    """The blocks and configs of the largest complete rectangle among (config_id, block) pairs.

    Blocks are tried from the one that most configs have to the rarest; the number of trials kept decides, and then the
    number of blocks. One unfinished config so costs itself, and not a block of all others.
    """
    if pairs.empty:
        return (), frozenset()
    have = pd.crosstab(pairs["config_id"], pairs["block"]).to_numpy() > 0
    configs = sorted(pairs["config_id"].unique())
    blocks = sorted(pairs["block"].unique())
    order = np.lexsort((np.arange(len(blocks)), -have.sum(axis=0)))
    complete = np.cumprod(have[:, order], axis=1).astype(bool)
    sizes = [(int(complete[:, k].sum()) * (k + 1), k) for k in range(len(blocks))]
    _, best = max(sizes)
    kept = frozenset(config for config, ok in zip(configs, complete[:, best], strict=True) if ok)
    return tuple(sorted(blocks[i] for i in order[: best + 1])), kept


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise TableError(f"there is no table {path}; run the study first, or name the folder that holds `tables/`")
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise TableError(f"{path} cannot be read as Parquet: {error}") from error


def _check_columns(table: str, frame: pd.DataFrame) -> None:
    missing = [column for column in COLUMNS[table] if column not in frame.columns]
    if missing:
        raise TableError(f"{table}: missing columns {missing}; every table needs {list(COLUMNS[table])}")
    keys = list(KEYS[table])
    for key in keys:
        _refuse(table, key, frame, frame[key].isna(), "is null")
    _refuse(table, " and ".join(keys), frame, frame.duplicated(keys, keep=False), "occur more than once")


def _check_trials(trials: pd.DataFrame) -> None:
    for column, allowed in (("kind", KINDS), ("status", STATUSES)):
        _refuse("trials", column, trials, ~trials[column].isin(allowed), f"is none of {list(allowed)}")
    for column in ("config_id", "block", "method"):
        _refuse("trials", column, trials, trials[column].isna(), "is null")
    twice = trials.duplicated(["config_id", "block"], keep=False)
    _refuse("trials", "config_id and block", trials, twice, "occur more than once (a config runs once on a block)")
    for column in ("method", "rank", "timeline", "rule", "w", "lr"):
        values = trials.groupby("config_id")[column].nunique(dropna=False)
        mixed = trials["config_id"].isin(values.index[values > 1])
        _refuse("trials", column, trials, mixed, "differs between trials of one config_id")


def _rows_of_done(table: str, frame: pd.DataFrame, trials: pd.DataFrame, done: pd.DataFrame) -> pd.DataFrame:
    _refuse(table, "trial", frame, ~frame["trial"].isin(trials["trial"]), "is not in the trials table")
    frame = frame[frame["trial"].isin(done["trial"])]
    for column in FRACTIONS[table]:
        values = pd.to_numeric(frame[column], errors="coerce")
        _refuse(table, column, frame, values.isna(), "is not a number")
        _refuse(table, column, frame, ~values.between(0.0, 1.0), "is outside [0, 1]")
    return frame


def _check_tasks(tasks: pd.DataFrame, done: pd.DataFrame) -> None:
    first = tasks.groupby("trial")["task"].min()
    last = tasks.groupby("trial")["task"].max()
    no_start = ~done["trial"].isin(first.index[first == 0])
    _refuse("tasks", "task", done, no_start, "has no row for task 0 (zero-shot) for a finished trial")
    no_end = ~done["trial"].isin(last.index[last > 0])
    _refuse("tasks", "task", done, no_end, "has no row after task 0 for a finished trial")
    for column in COSTS:
        _refuse("tasks", column, tasks, tasks[column] < 0, "is negative")
    seen = tasks.groupby("trial")["task"].agg(lambda column: ",".join(str(int(task)) for task in sorted(column)))
    streams = done["trial"].map(seen).groupby(done["config_id"]).nunique()
    mixed = done["config_id"].isin(streams.index[streams > 1])
    _refuse("tasks", "task", done, mixed, "differs between finished trials of one config_id")


def _check_scores(scores: pd.DataFrame, tasks: pd.DataFrame) -> None:
    sizes = pd.to_numeric(scores["n"], errors="coerce")
    _refuse("scores", "n", scores, ~(sizes > 0), "is not a positive number")
    _refuse("scores", "group", scores, ~scores["group"].isin(GROUPS), f"is none of {list(GROUPS)}")
    for column in ("group", "metric"):
        kinds = scores.groupby("dataset")[column].nunique(dropna=False)
        mixed = scores["dataset"].isin(kinds.index[kinds > 1])
        _refuse("scores", column, scores, mixed, "differs between rows of one dataset")
    counted = scores.groupby(["trial", "task"])["dataset"].size()
    expected = scores["dataset"].nunique()
    ends = pd.concat([tasks.groupby("trial")["task"].min(), tasks.groupby("trial")["task"].max()])
    needed = pd.DataFrame({"trial": ends.index, "task": ends.to_numpy()})
    rows = needed.merge(counted.rename("datasets").reset_index(), on=["trial", "task"], how="outer")
    _refuse(
        "scores",
        "dataset",
        rows,
        rows["datasets"] != expected,
        f"does not list all {expected} datasets (all trials must be evaluated on one suite)",
    )


def _refuse(table: str, column: str, frame: pd.DataFrame, bad: "pd.Series[bool]", problem: str) -> None:
    """Raise if any row is bad, and show the first few."""
    rows = frame[bad.to_numpy(dtype=bool)]
    if rows.empty:
        return
    names = [name for name in (*KEYS[table], column) if name in rows.columns]
    shown = [
        " ".join(f"{name}={value}" for name, value in row.items())
        for row in _rows(rows.loc[:, list(dict.fromkeys(names))].head(SHOWN_ROWS))
    ]
    more = f" and {len(rows) - SHOWN_ROWS} more" if len(rows) > SHOWN_ROWS else ""
    raise TableError(f"{table}: column {column!r} {problem} in {len(rows)} rows: {'; '.join(shown)}{more}")


def _rows(frame: pd.DataFrame) -> list[dict[str, object]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _left_out(row: Mapping[str, object], reason: str) -> LeftOut:
    return LeftOut(trial=str(row["trial"]), config_id=str(row["config_id"]), block=str(row["block"]), reason=reason)


def _cut_reason(row: Mapping[str, object], blocks: tuple[str, ...]) -> str:
    if row["block"] in blocks:
        return "its config has not finished all blocks"
    return "not all configs have finished its block"


def _status_warnings(trials: pd.DataFrame) -> list[str]:
    counts = {status: int((trials["status"] == status).sum()) for status in ("failed", "waiting")}
    return [
        f"{number} of {len(trials)} trials {'is' if number == 1 else 'are'} {status} and not in the statistics."
        for status, number in counts.items()
        if number
    ]


def _tasks_warnings(tasks: pd.DataFrame) -> list[str]:
    wrong = (tasks["gm"] - np.sqrt(tasks["aka"] * tasks["azs"])).abs() > GM_TOLERANCE
    if not wrong.any():
        return []
    return [
        f"gm is not the geometric mean of aka and azs in {int(wrong.sum())} rows of the tasks table; shown as given."
    ]


def _cut_warning(cut: pd.DataFrame, blocks: tuple[str, ...], kept_configs: frozenset[str]) -> str:
    parts = [f"The blocks are not balanced, so {len(cut)} finished trials are left out."]
    dropped_blocks = sorted(set(cut["block"]) - set(blocks))
    if dropped_blocks:
        parts.append(f"Blocks that not all configs have: {', '.join(dropped_blocks)}.")
    dropped = sorted(set(cut.loc[cut["kind"] == "trial", "config_id"]) - kept_configs)
    if dropped:
        shown = ", ".join(dropped[:SHOWN_ROWS]) + (" and more" if len(dropped) > SHOWN_ROWS else "")
        parts.append(f"Configs that have not finished the blocks of the others: {len(dropped)} ({shown}).")
    return " ".join(parts)
