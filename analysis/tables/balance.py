"""The balance of checked tables: they are cut to blocks that all configs have, so that comparisons are paired."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.tables.contract import SHOWN_ROWS, TableError
from analysis.tables.tables import LeftOut
from analysis.uncertainty import MIN_BLOCKS

FEW = 3
"""The least number of configs whose comparison with intervals is worth more than one of many without."""

SUBSET = "Paths over tasks are scored on a subset of the test images; all other numbers are of all images."


class Balanced(NamedTuple):
    """Trials on common blocks, and what is said about the others."""

    trials: pd.DataFrame
    blocks: tuple[str, ...]
    left_out: list[LeftOut]
    warnings: list[str]


def balance(done: pd.DataFrame) -> Balanced:
    """Cut finished trials to the blocks that all configs have; an anchor that has none of them stays as it is."""
    configs = done[done["kind"] == "trial"]
    blocks, kept_configs = common_blocks(configs[["config_id", "block"]])
    if not kept_configs:
        raise TableError("only the joint anchor is done yet, so there is nothing to compare with it", table="trials")
    on_common = done["block"].isin(blocks)
    anchors = done["kind"] == "anchor"
    anchors_elsewhere = anchors & ~done["config_id"].isin(done.loc[on_common & anchors, "config_id"])
    cut = done[~(on_common & (anchors | done["config_id"].isin(kept_configs)) | anchors_elsewhere)]
    return Balanced(
        trials=done.drop(index=cut.index).sort_values(["config_id", "block"]).reset_index(drop=True),
        blocks=blocks,
        left_out=[left_out_of(row, _cut_reason(row, blocks)) for row in records(cut)],
        warnings=[] if cut.empty else [_cut_warning(cut, blocks, kept_configs)],
    )


def common_blocks(pairs: pd.DataFrame) -> tuple[tuple[str, ...], frozenset[str]]:
    """The blocks and configs of the largest complete rectangle among (config_id, block) pairs.

    Blocks are tried from the one that most configs have to the rarest; the number of trials kept decides, and then the
    number of blocks. One unfinished config so costs itself, and not a block of all others.

    A search runs most configs on one block and a few, that may be on the frontier, on all. One block has no intervals,
    so where it would win, these few are taken if there are some.
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
    repeated = [(size, k) for size, k in sizes if k + 1 >= MIN_BLOCKS and size >= FEW * (k + 1)]
    if best == 0 and repeated:
        _, best = max(repeated)
    kept = frozenset(config for config, ok in zip(configs, complete[:, best], strict=True) if ok)
    return tuple(sorted(blocks[i] for i in order[: best + 1])), kept


def ends_of(tasks: pd.DataFrame) -> pd.DataFrame:
    """Rows of the first and the last task of every trial."""
    by_trial = tasks.groupby("trial")["task"]
    return tasks[(tasks["task"] == by_trial.transform("min")) | (tasks["task"] == by_trial.transform("max"))]


def in_order(left_out: list[LeftOut]) -> tuple[LeftOut, ...]:
    """The trials that are left out, by reason and name."""
    return tuple(sorted(left_out, key=lambda item: (item.reason, item.trial)))


def records(frame: pd.DataFrame) -> list[dict[str, object]]:
    """The rows of a frame, each as a mapping by column."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def left_out_of(row: Mapping[str, object], reason: str) -> LeftOut:
    """The trial of a row, with the reason why it is left out."""
    return LeftOut(trial=str(row["trial"]), config_id=str(row["config_id"]), block=str(row["block"]), reason=reason)


def _cut_reason(row: Mapping[str, object], blocks: tuple[str, ...]) -> str:
    if row["block"] in blocks:
        return "its config has not finished all blocks"
    return "not all configs have finished its block"


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
