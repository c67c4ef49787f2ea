"""The tables of a study, checked: trials, tasks and scores. `contract` says what each of them holds.

A `Tables` value holds finished trials only, and every config of it ran on the same blocks, so that all comparisons are
paired. What had to be left out for that is listed, nothing is ever filled in, and a table that cannot be trusted is a
`TableError` that names file, column and rows.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.configs import KNOWN_AXES, NOT_AXES
from analysis.roles import STANDARD, Roles
from analysis.tables.balance import SUBSET, balance, ends_of, in_order, left_out_of, records
from analysis.tables.column_roles import AxesFile, notes, read_axes, roles_of_schema, seen_in
from analysis.tables.contract import (
    CONTRACT,
    COSTS,
    REQUIRED,
    TableError,
    refuse,
    stacked,
    with_columns,
    with_values,
)
from analysis.tables.suites import NAMES, at_ends, checked_scores, no_scores, of_trials
from analysis.tables.tables import JOINT, Tables

KINDS = ("trial", "anchor")
STATUSES = ("done", "stopped", "failed", "waiting")
ZERO_SHOT = "zeroshot"
ANCHORS = (JOINT, ZERO_SHOT)
GM_TOLERANCE = 1e-4
_DEVICES, _PARAMETERS = b"retune.devices", b"retune.parameters"


def load_tables(folder: Path, axes: AxesFile | None = None) -> Tables:
    """Read and check the tables of a folder: `trials`, `tasks` and so on, each as .parquet or .csv, or in `tables/`.

    Args:
        folder: of the tables.
        axes: what the user says of their columns and methods.
    """
    place = _place(folder)
    paths = {table: path for table in CONTRACT if (path := _path(place, table)) is not None}
    for table in REQUIRED:
        if table not in paths:
            raise TableError(
                f"there is no table {place / table}.parquet or .csv; run the study first, or name the folder that "
                f"holds the tables {' and '.join(REQUIRED)}, or holds them in `tables/`"
            )
    try:
        frames = {table: _read(table, path) for table, path in paths.items()}
        trials, roles = frames.pop("trials"), _roles(paths["trials"])
        if axes is not None:
            trials, roles = axes.applied(trials, roles)
        return make_tables(
            trials,
            frames.pop("tasks"),
            frames.pop("scores", None),
            **frames,
            name=folder.resolve().name,
            roles=roles,
            devices=_devices(paths["tasks"]),
            parameters=_parameters(paths["trials"]),
        )
    except TableError as error:
        if error.table not in paths:
            raise
        raise TableError(error.problem, table=str(paths[error.table].relative_to(folder))) from error


def load_axes(path: Path, *folders: Path) -> AxesFile:
    """The file in which a user says what the columns and methods of the tables in some folders are."""
    found = [_path(_place(folder), "trials") for folder in folders]
    return read_axes(path, [_read("trials", trials) for trials in found if trials is not None])


def make_tables(
    trials: pd.DataFrame,
    tasks: pd.DataFrame,
    scores: pd.DataFrame | None = None,
    inside: pd.DataFrame | None = None,
    full: pd.DataFrame | None = None,
    full_scores: pd.DataFrame | None = None,
    *,
    name: str,
    roles: Roles = STANDARD,
    devices: Mapping[str, int] | None = None,
    parameters: int | None = None,
) -> Tables:
    """Check the frames and cut them to finished trials on common blocks.

    Args:
        trials: and the others, the tables as they were read.
        tasks: as `trials`.
        scores: as `trials`.
        inside: as `trials`.
        full: as `trials`.
        full_scores: as `trials`.
        name: of the study.
        roles: what is said of the columns of `trials`.
        devices: kinds of devices that updates were trained on, with the number of updates of each.
        parameters: of the model, their number; None where nothing but a column of `trials` says it.
    """
    trials = _checked_trials(trials)
    roles = seen_in(trials, roles)
    done = trials[trials["status"] == "done"]
    if done.empty:
        raise TableError(f"none of the {len(trials)} trials is done yet, so there is nothing to report", table="trials")
    tasks = with_values("tasks", _of_done("tasks", tasks, trials, done))
    long = _of_done("scores", scores, trials, done) if scores is not None and len(scores) else no_scores()
    done, tasks, long, copied = _with_starts(done, tasks, long)
    _check_tasks(tasks, done)
    needed = ends_of(tasks)[["trial", "task"]]
    long = checked_scores("scores", long, needed)
    within = _rows("inside", inside, trials, done)
    ends, end_scores = _all_images(tasks, long, _rows("full", full, trials, done), full_scores, trials, done)

    left_out = [left_out_of(row, f"status {row['status']}") for row in records(trials[trials["status"] != "done"])]
    balanced = balance(done)
    kept = balanced.trials

    def of_kept(frame: pd.DataFrame, *order: str) -> pd.DataFrame:
        return frame[frame["trial"].isin(kept["trial"])].sort_values(["trial", *order]).reset_index(drop=True)

    return Tables(
        name=name,
        trials=kept,
        tasks=of_kept(tasks, "task"),
        scores=of_trials(long, kept["trial"]),
        inside=of_kept(within, "task", "step"),
        ends=of_kept(ends, "task"),
        end_scores=of_trials(end_scores, kept["trial"]),
        blocks=balanced.blocks,
        counts={
            "trials": len(trials),
            **{status: int((trials["status"] == status).sum()) for status in STATUSES},
            "used": len(kept),
            "configs": kept.loc[kept["kind"] == "trial", "config_id"].nunique(),
        },
        left_out=in_order([*left_out, *balanced.left_out]),
        warnings=(
            *_status_warnings(trials),
            *_tasks_warnings(tasks),
            *_device_warnings(devices or {}),
            *copied,
            *balanced.warnings,
            *([SUBSET] if full is not None and not full.empty else []),
            *notes(roles),
        ),
        roles=roles,
        parameters=parameters,
    )


# -- reading -----------------------------------------------------------------------------------------------------------


def _place(folder: Path) -> Path:
    return folder / "tables" if (folder / "tables").is_dir() else folder


def _path(folder: Path, table: str) -> Path | None:
    found = [path for path in (folder / f"{table}.parquet", folder / f"{table}.csv") if path.is_file()]
    if len(found) > 1:
        raise TableError(f"there are both {found[0]} and {found[1]}; remove the one that is not of this study")
    return found[0] if found else None


def _read(table: str, path: Path) -> pd.DataFrame:
    """The known columns of a table; all of the trials table. Names in long tables are read as categories."""
    known = None if table == "trials" else list(CONTRACT[table])
    names = [name for name, column in CONTRACT[table].items() if column.type == "names"]
    try:
        if path.suffix == ".csv":
            texts = {name: "str" for name, column in CONTRACT[table].items() if column.type == "text"}
            wanted: Callable[[object], bool] | None = None if known is None else lambda name: name in known
            types = {**texts, **{name: "category" for name in names}}
            return pd.read_csv(path, usecols=wanted, dtype=types, low_memory=False)
        import pyarrow.parquet as pq

        with pq.ParquetFile(path, read_dictionary=names) as file:
            there = set(file.schema_arrow.names)
            arrow = file.read(columns=None if known is None else [name for name in known if name in there])
        frame: pd.DataFrame = arrow.unify_dictionaries().to_pandas(
            self_destruct=True, split_blocks=True, ignore_metadata=True
        )
        return frame
    except (OSError, ValueError) as error:
        kind = "CSV" if path.suffix == ".csv" else "Parquet"
        raise TableError(f"{path} cannot be read as {kind}: {error}") from error


def _roles(path: Path) -> Roles:
    """What the metadata of a trials table say; a CSV file has none."""
    if path.suffix == ".csv":
        return STANDARD
    import pyarrow.parquet as pq

    try:
        return roles_of_schema(pq.read_schema(path))
    except TableError as error:
        raise TableError(error.problem, table="trials") from error


def _devices(path: Path) -> dict[str, int]:
    """What the metadata of a tasks table say of the devices that updates were trained on."""
    if path.suffix == ".csv":
        return {}
    import pyarrow.parquet as pq

    said = (pq.read_schema(path).metadata or {}).get(_DEVICES)
    try:
        return {} if said is None else {str(name): int(count) for name, count in json.loads(said).items()}
    except (ValueError, TypeError, AttributeError) as error:
        problem = f"metadata {_DEVICES.decode()}: no JSON mapping of names to counts: {error}"
        raise TableError(problem, table="tasks") from error


def _parameters(path: Path) -> int | None:
    """What the metadata of a trials table say of the number of parameters of the model."""
    if path.suffix == ".csv":
        return None
    import pyarrow.parquet as pq

    said = (pq.read_schema(path).metadata or {}).get(_PARAMETERS)
    if said is None:
        return None
    try:
        return int(said)
    except ValueError as error:
        problem = f"metadata {_PARAMETERS.decode()}: {said.decode(errors='replace')!r} is no whole number"
        raise TableError(problem, table="trials") from error


# -- trials ------------------------------------------------------------------------------------------------------------


def _checked_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """Trials with every known column, each config once on a block."""
    trials = with_columns("trials", trials)
    if "kind" not in trials.columns:
        trials = trials.assign(kind=np.where(trials["method"].isin(ANCHORS), "anchor", "trial"))
    if "status" not in trials.columns:
        trials = trials.assign(status="done")
    with_values("trials", trials)
    for column, allowed in (("kind", KINDS), ("status", STATUSES)):
        refuse("trials", column, trials, ~trials[column].isin(allowed), f"is none of {list(allowed)}")
    for column in ("block", "method"):
        refuse("trials", column, trials, trials[column].isna(), "is null")
    other = (trials["kind"] == "anchor") & ~trials["method"].isin(ANCHORS)
    refuse("trials", "method", trials, other, f"of an anchor is none of {list(ANCHORS)}")
    if "config_id" not in trials.columns:
        trials = trials.assign(config_id=_config_ids(trials))
    refuse("trials", "config_id", trials, trials["config_id"].isna(), "is null")
    lacking = [column for column in CONTRACT["trials"] if column not in trials.columns]
    trials = trials.assign(**dict.fromkeys(lacking))
    twice = trials.duplicated(["config_id", "block"], keep=False)
    refuse("trials", "config_id and block", trials, twice, "occur more than once (a config runs once on a block)")
    for column in KNOWN_AXES:
        values = trials.groupby("config_id")[column].nunique(dropna=False)
        mixed = trials["config_id"].isin(values.index[values > 1])
        refuse("trials", column, trials, mixed, "differs between trials of one config_id")
    return trials


def _config_ids(trials: pd.DataFrame) -> list[str]:
    """A hash of all axes: of every column that says neither which trial a row is nor how it went."""
    axes = sorted(str(name) for name in trials.columns if name not in NOT_AXES and not str(name).endswith("_s"))
    columns = [trials[name].astype(object).where(trials[name].notna(), None).tolist() for name in axes]
    rows = [repr(tuple(zip(axes, values, strict=True))) for values in zip(*columns, strict=True)]
    return [hashlib.sha256(row.encode()).hexdigest()[:12] for row in rows]


# -- tasks -------------------------------------------------------------------------------------------------------------


def _of_done(table: str, frame: pd.DataFrame, trials: pd.DataFrame, done: pd.DataFrame) -> pd.DataFrame:
    """Rows of finished trials; every row must be of a known trial."""
    frame = with_columns(table, frame)
    if not isinstance(frame["trial"].dtype, pd.CategoricalDtype):
        refuse(table, "trial", frame, ~frame["trial"].isin(trials["trial"]), "is not in the trials table")
        return frame[frame["trial"].isin(done["trial"])]
    unknown = ~frame["trial"].cat.categories.isin(trials["trial"])
    if unknown.any():
        refuse(table, "trial", frame, unknown[frame["trial"].cat.codes], "is not in the trials table")
    return of_trials(frame, done["trial"])


def _rows(table: str, frame: pd.DataFrame | None, trials: pd.DataFrame, done: pd.DataFrame) -> pd.DataFrame:
    """Checked rows of a table that most studies lack."""
    empty = pd.DataFrame(columns=list(CONTRACT[table]))
    return empty if frame is None else with_values(table, _of_done(table, frame, trials, done))


def _with_starts(
    done: pd.DataFrame, tasks: pd.DataFrame, scores: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, list[str]]:
    """Trials without a task 0 start at the zero-shot anchor: at that of their block, or at its mean if it lacks some.

    This is no guess: all trials start from the same weights. The anchor itself is no trial of the study then. Without
    one, a joint anchor alone may lack task 0, and starts where the trials do.
    """
    zero = done[(done["kind"] == "anchor") & (done["method"] == ZERO_SHOT)]
    trials = done.drop(index=zero.index)
    others, kept_scores = tasks, scores
    if not zero.empty:
        others, kept_scores = tasks[tasks["trial"].isin(trials["trial"])], of_trials(scores, trials["trial"])
    lacking = trials[~trials["trial"].isin(others.loc[others["task"] == 0, "trial"])]
    note = f"{len(lacking)} trials have no row of task 0: they start at the zero-shot anchor of the tables."
    notes = [] if zero.empty or lacking.empty else [note]
    if zero.empty:
        zero, lacking = done[done["kind"] == "trial"], lacking[lacking["kind"] == "anchor"]
    lacking = lacking[["trial", "block"]]
    starts = tasks[tasks["trial"].isin(zero["trial"])].sort_values("task").drop_duplicates("trial")
    refuse("tasks", "trial", zero, ~zero["trial"].isin(starts["trial"]), "has no row of a finished trial")
    if lacking.empty or starts.empty:
        return trials, others, kept_scores, []
    own = scores.merge(starts[["trial", "task"]], on=["trial", "task"]) if len(scores) else scores
    metrics = starts.merge(zero[["trial", "block"]], on="trial")
    names = ["aka", "azs", "gm"]
    everywhere = set(lacking["block"]) <= set(metrics["block"])
    if everywhere:
        rows = lacking.merge(metrics.groupby("block")[names].mean().reset_index(), on="block")
    else:
        rows = lacking.assign(**{name: metrics[name].mean() for name in names})
    rows = rows.drop(columns="block").assign(task=0)
    known = others.groupby("trial")[list(COSTS)].count().reindex(rows["trial"]) > 0
    for column in COSTS:  # costs are counted from task 0 on
        rows[column] = np.where(known[column], 0.0, np.nan)
    found_scores = kept_scores
    if len(own):
        suite = ["dataset", "group", "metric", "n"]
        own = own.astype({"trial": "str"}).merge(zero[["trial", "block"]], on="trial")
        if everywhere:
            parts = own.groupby(["block", *suite])["value"].mean().reset_index().merge(lacking, on="block")
        else:
            parts = own.groupby(suite)["value"].mean().reset_index().merge(lacking, how="cross")
        parts = parts.assign(task=0)[list(scores.columns)].astype({name: "category" for name in NAMES})
        found_scores = stacked([kept_scores, parts])
    return trials, pd.concat([others, rows[others.columns]], ignore_index=True), found_scores, notes


def _check_tasks(tasks: pd.DataFrame, done: pd.DataFrame) -> None:
    """Trials have task 0, and trials and anchors one after it; those of a config have the same; costs do not fall."""
    first, last = tasks.groupby("trial")["task"].min(), tasks.groupby("trial")["task"].max()
    no_start = (done["kind"] == "trial") & ~done["trial"].isin(first.index[first == 0])
    problem = (
        "has no row for task 0 (zero-shot) for a finished trial; each needs one, "
        f"or the trials table an anchor of method {ZERO_SHOT!r}"
    )
    refuse("tasks", "task", done, no_start, problem)
    no_end = ~done["trial"].isin(last.index[last > 0])
    refuse("tasks", "task", done, no_end, "has no row after task 0 for a finished trial")
    ordered = tasks.sort_values(["trial", "task"])
    same = ordered["trial"].eq(ordered["trial"].shift())
    for column in COSTS:
        falls = same & (ordered[column].diff() < 0)
        refuse("tasks", column, ordered, falls, "falls from one task of a trial to the next (costs add up over tasks)")
    numbers = np.unique(tasks["task"])
    have = np.zeros((len(done), len(numbers)), dtype=bool)
    have[pd.Index(done["trial"]).get_indexer(tasks["trial"]), np.searchsorted(numbers, tasks["task"])] = True
    config, _ = pd.factorize(done["config_id"])
    first_row = np.zeros(config.max() + 1, dtype=np.int64)
    first_row[config[::-1]] = np.arange(len(done))[::-1]
    differs = (have != have[first_row[config]]).any(axis=1)
    mixed = np.isin(config, config[differs])
    refuse("tasks", "task", done, mixed, "differs between finished trials of one config_id")


def _all_images(
    tasks: pd.DataFrame,
    scores: pd.DataFrame,
    full: pd.DataFrame,
    full_scores: pd.DataFrame | None,
    trials: pd.DataFrame,
    done: pd.DataFrame,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of the first and the last task, by all test images where a study has such rows."""
    ends = ends_of(tasks)
    if full.empty or full_scores is None:
        return ends, at_ends(scores, tasks)
    places = ends[["trial", "task"]]
    without = places.merge(full[["trial", "task"]].assign(there=True), how="left", on=["trial", "task"])
    refuse("tasks", "task", without, without["there"].isna(), "is an end without a row in the table full")
    replaced = ends.drop(columns=["aka", "azs", "gm"]).merge(full, on=["trial", "task"])
    rows = at_ends(_of_done("full_scores", full_scores, trials, done), tasks)
    return replaced, checked_scores("full_scores", rows, places)


# -- what is said ------------------------------------------------------------------------------------------------------


def _status_warnings(trials: pd.DataFrame) -> list[str]:
    counts = {status: int((trials["status"] == status).sum()) for status in STATUSES[1:]}
    early = {"stopped": "stopped early"}
    return [
        f"{number} of {len(trials)} trials {'is' if number == 1 else 'are'} {early.get(status, status)} and not in the "
        "statistics."
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


def _device_warnings(devices: Mapping[str, int]) -> list[str]:
    if len(devices) < 2:
        return []
    kinds = ", ".join(f"{name}: {count}" for name, count in sorted(devices.items(), key=lambda one: -one[1]))
    return [
        f"Updates were trained on different kinds of devices ({kinds}), whose numbers differ by rounding: configs are "
        "compared across them, and another run gives the same numbers only where each update meets its own kind again."
    ]
