"""The scores of a study, checked: all trials are evaluated on one suite, the same data sets with metrics and sizes.

Score tables are long (10 000 trials of 20 tasks and 63 data sets have 13 million rows), so rows are put in order once,
and all checks are of arrays of numbers: in order, a complete table is a matrix of (trial, task) by data set.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.tables.contract import CONTRACT, Series, TableError, refuse, with_values

GROUPS = ("adapt", "holdout", "extra")
"""Of data sets: the means of the first two are AKA and AZS; the others are in neither."""

NAMES = tuple(name for name, column in CONTRACT["scores"].items() if column.type == "names")


class Entry(NamedTuple):
    """How a data set is evaluated; `n` is its number of test samples."""

    group: str
    metric: str
    n: int


def no_scores() -> pd.DataFrame:
    """The table of a study that has no scores of data sets."""
    frame = pd.DataFrame({name: [] for name in CONTRACT["scores"]})
    return frame.astype({**dict.fromkeys(NAMES, "category"), "task": np.int64, "value": float, "n": np.int64})


def checked_scores(table: str, scores: pd.DataFrame, needed: pd.DataFrame) -> pd.DataFrame:
    """Scores of finished trials by trial, task and data set; the `needed` (trial, task) must be among them."""
    if scores.empty:
        return no_scores()
    scores = with_values(table, scores)
    refuse(table, "n", scores, scores["n"] == 0, "is not a positive number")
    refuse(table, "group", scores, ~scores["group"].isin(GROUPS), f"is none of {list(GROUPS)}")
    refuse(table, "metric", scores, scores["metric"].isna(), "is null")
    scores, key = ordered(scores)
    twice = np.flatnonzero(key[1:] == key[:-1])
    refuse(table, "trial and task and dataset", scores, np.isin(np.arange(len(key)), twice), "occur more than once")
    names = scores["dataset"].cat.categories
    starts = np.flatnonzero(np.diff(key // len(names), prepend=-1))
    _check_complete(table, scores, starts, needed)
    for column in ("group", "metric", "n"):
        values_PD = _numbers(scores[column]).reshape(-1, len(names))
        refuse(table, column, scores, (values_PD != values_PD[0]).ravel(), "differs between rows of one dataset")
    return scores


def ordered(scores: pd.DataFrame) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    """Rows by trial, task and data set, and the number of each row in that order; names are sorted, and all in use."""
    for name in NAMES:
        column = scores[name].cat
        used = np.bincount(column.codes, minlength=len(column.categories)) > 0
        names = sorted(column.categories[used])
        if names != list(column.categories):
            scores = scores.assign(**{name: column.set_categories(names)})
    task = scores["task"].to_numpy()
    tasks = np.sort(pd.unique(task))
    key = scores["trial"].cat.codes.to_numpy().astype(np.int64)
    key *= len(tasks)
    key += np.searchsorted(tasks, task)
    key *= len(scores["dataset"].cat.categories)
    key += scores["dataset"].cat.codes.to_numpy()
    if (key[1:] >= key[:-1]).all():
        return scores.reset_index(drop=True), key
    order = np.argsort(key, kind="stable")
    return scores.iloc[order].reset_index(drop=True), key[order]


def of_trials(scores: pd.DataFrame, trials: Series) -> pd.DataFrame:
    """Rows of some trials."""
    column = scores["trial"].cat
    kept = np.append(column.categories.isin(trials), False)[column.codes]  # null has the code -1
    return scores if bool(kept.all()) else scores.loc[kept].reset_index(drop=True)


def until(scores: pd.DataFrame, last: Series) -> pd.DataFrame:
    """Rows up to the `last` task of their trial; rows of trials without one are dropped."""
    by_code = last.reindex(scores["trial"].cat.categories, fill_value=-1).to_numpy()
    kept = scores["task"].to_numpy() <= by_code[scores["trial"].cat.codes]
    return scores if bool(kept.all()) else scores.loc[kept].reset_index(drop=True)


def at_ends(scores: pd.DataFrame, tasks: pd.DataFrame) -> pd.DataFrame:
    """Rows of the first and the last task of every trial of the tasks table."""
    trials, codes = scores["trial"].cat.categories, scores["trial"].cat.codes
    by_trial = tasks.groupby("trial")["task"]
    task = scores["task"].to_numpy()
    first, last = (found.reindex(trials, fill_value=-1).to_numpy()[codes] for found in (by_trial.min(), by_trial.max()))
    kept: npt.NDArray[np.bool_] = (task == first) | (task == last)
    return scores.loc[kept].reset_index(drop=True)


def suite_of(scores: pd.DataFrame) -> dict[str, Entry]:
    """The suite that all rows of checked scores are of, by data set."""
    rows = scores.iloc[: len(scores["dataset"].cat.categories)] if len(scores) else scores
    return {
        str(row["dataset"]): Entry(group=str(row["group"]), metric=str(row["metric"]), n=int(row["n"]))
        for row in rows.to_dict("records")
    }


def _check_complete(table: str, scores: pd.DataFrame, starts: npt.NDArray[np.int64], needed: pd.DataFrame) -> None:
    """Every (trial, task) has all data sets, and every needed one is there; `starts` are the first rows of each."""
    names = scores["dataset"].cat.categories
    places = scores.iloc[starts][["trial", "task"]].astype({"trial": "str"})
    places["datasets"] = np.diff(starts, append=len(scores))
    places["first"] = starts
    rows = needed.merge(places, on=["trial", "task"], how="outer")
    bad = rows["datasets"] != len(names)
    if not bad.any():
        return
    first = rows[bad].iloc[0]
    start = 0 if pd.isna(first["first"]) else int(first["first"])
    there = set() if pd.isna(first["first"]) else set(scores["dataset"].iloc[start : start + int(first["datasets"])])
    lacking = sorted(set(names) - there)
    shown = ", ".join(lacking[:3]) + (" and more" if len(lacking) > 3 else "")
    problem = f"does not list all {len(names)} datasets (all trials must be evaluated on one suite; missing: {shown})"
    refuse(table, "dataset", rows, bad, problem)
    raise TableError(problem, table=table)


def _numbers(column: Series) -> npt.NDArray[np.generic]:
    return column.cat.codes.to_numpy() if isinstance(column.dtype, pd.CategoricalDtype) else column.to_numpy()
