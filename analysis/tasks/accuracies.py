"""The accuracy of every dataset after every task, from a study's tables: metrics over blocks, and what configs changed.

A metric is computed on each block and then averaged, since every block has its own order of the stream.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.arrays import FloatArray
from analysis.tables.suites import GROUPS
from analysis.tables.tables import Tables
from analysis.tasks.learning import METRICS, OF_ENDS, Stream, Value, stream, worst
from analysis.uncertainty import Estimate, estimate

NO_SCORES = "the study has no scores of datasets"

Spans = Mapping[str, Mapping[str, tuple[int, int]]]
"""By block and adaptation dataset: the first and the last task that contain it."""


@dataclass(frozen=True, kw_only=True)
class OverBlocks:
    """A metric over blocks, or None and the reason."""

    estimate: Estimate | None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset of the suite; `n` is its number of test samples."""

    name: str
    group: str
    metric: str
    n: int


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What configs changed from zero-shot to the final task: `rows` has one estimate per dataset for every config.

    Adaptation datasets come first, extra ones last, each by name; `zero_shot` is (datasets,).
    """

    config_ids: tuple[str, ...]
    datasets: tuple[Dataset, ...]
    zero_shot: FloatArray
    rows: tuple[tuple[Estimate, ...], ...]

    @property
    def change(self) -> FloatArray:
        """Mean change (configs, datasets)."""
        return np.array([[one.value for one in row] for row in self.rows])

    @property
    def half_width(self) -> FloatArray | None:
        """Half widths (configs, datasets); None where some config has too few blocks for one."""
        widths = [[one.half_width for one in row if one.half_width is not None] for row in self.rows]
        return np.array(widths) if all(len(row) == len(self.datasets) for row in widths) else None

    def worst(self, config: int) -> tuple[int, ...]:
        """The datasets that a config made worst, the largest fall first; at most five."""
        return worst([one.value for one in self.rows[config]])


def metrics_of(
    tables: Tables, config_ids: Sequence[str], *, spans: Spans | None = None
) -> tuple[Mapping[str, OverBlocks], ...]:
    """The metrics in `learning.METRICS` of some configs, by name.

    Args:
        tables: of the study.
        config_ids: those shown; this is not meant for thousands.
        spans: where the study knows which tasks contain which dataset.
    """
    trials = _trials(tables, config_ids)
    if tables.scores.empty:
        return tuple(dict.fromkeys(METRICS, OverBlocks(estimate=None, reason=NO_SCORES)) for _ in config_ids)
    holdout = {dataset.name: dataset.group == "holdout" for dataset in _suite(tables) if dataset.group != "extra"}
    paths, ends = (_by_trial(scores, trials["trial"]) for scores in (tables.scores, tables.end_scores))

    def stream_of(accuracy: pd.DataFrame, block: str, *, whole: bool) -> Stream:
        accuracy = accuracy[[name for name in accuracy.columns if name in holdout]]
        known = None if spans is None or block not in spans else spans[block]
        return stream(
            accuracy.to_numpy(dtype=float),
            [holdout[name] for name in accuracy.columns],
            whole=whole,
            seen=None if known is None or not whole else [known.get(name) for name in accuracy.columns],
        )

    found = []
    for config_id in config_ids:
        values: dict[str, list[Value]] = {name: [] for name in METRICS}
        for trial, block in trials.loc[trials["config_id"] == config_id, ["trial", "block"]].itertuples(index=False):
            path = paths[trial]
            whole = stream_of(path, block, whole=list(path.index) == list(range(len(path))))
            first_and_last = stream_of(ends[trial], block, whole=False)
            for name, metric in METRICS.items():
                values[name].append(metric(first_and_last if name in OF_ENDS else whole))
        found.append({name: _over_blocks(blocks) for name, blocks in values.items()})
    return tuple(found)


def changes_of(tables: Tables, config_ids: Sequence[str]) -> Changes | None:
    """What some configs changed, each over its own blocks; None where the study has no scores of datasets."""
    if tables.end_scores.empty:
        return None
    trials, datasets = _trials(tables, config_ids), _suite(tables)
    ends = _by_trial(tables.end_scores, trials["trial"])
    names = [dataset.name for dataset in datasets]
    zero_shot, rows = [], []
    for config_id in config_ids:
        ends_S2D = np.stack([ends[t][names].to_numpy() for t in trials.loc[trials["config_id"] == config_id, "trial"]])
        zero_shot.append(ends_S2D[:, 0].mean(axis=0))
        rows.append(tuple(estimate(change_S) for change_S in (ends_S2D[:, 1] - ends_S2D[:, 0]).T))
    return Changes(
        config_ids=tuple(config_ids), datasets=datasets, zero_shot=np.mean(zero_shot, axis=0), rows=tuple(rows)
    )


def _trials(tables: Tables, config_ids: Sequence[str]) -> pd.DataFrame:
    trials = tables.trials.loc[tables.trials["config_id"].isin(list(config_ids)), ["trial", "config_id", "block"]]
    if unknown := sorted(set(config_ids) - set(trials["config_id"])):
        raise ValueError(f"no finished trials of the configs {unknown}")
    return trials.sort_values(["config_id", "block"])


def _suite(tables: Tables) -> tuple[Dataset, ...]:
    first = tables.end_scores.drop_duplicates("dataset")
    found = [
        Dataset(name=str(row["dataset"]), group=str(row["group"]), metric=str(row["metric"]), n=int(row["n"]))
        for row in first.to_dict("records")
    ]
    return tuple(sorted(found, key=lambda dataset: (GROUPS.index(dataset.group), dataset.name)))


def _by_trial(scores: pd.DataFrame, trials: "pd.Series[str]") -> Mapping[str, pd.DataFrame]:
    """Accuracies of each trial: tasks by datasets."""
    rows = scores.loc[scores["trial"].isin(trials), ["trial", "task", "dataset", "value"]]
    wide = rows.astype({"trial": "str", "dataset": "str"}).pivot(
        index=["trial", "task"], columns="dataset", values="value"
    )
    return {str(trial): own.droplevel("trial").sort_index() for trial, own in wide.groupby(level="trial")}


def _over_blocks(values: Sequence[Value]) -> OverBlocks:
    known = [one.value for one in values if one.value is not None]
    if len(known) == len(values):
        return OverBlocks(estimate=estimate(known))
    reason = next(one.reason for one in values if one.value is None)
    missing = len(values) - len(known)
    where = "" if missing == len(values) else f"in {missing} of {len(values)} blocks "
    return OverBlocks(estimate=None, reason=f"{where}{reason}")
