"""The two anchors: the zero-shot point Z, the joint point J, and whether there is a line between them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.arrays import FloatArray
from analysis.tables.tables import JOINT, Tables
from analysis.uncertainty import Estimate, estimate, leave_one_out_means

MIN_LEARNED = 0.01
"""The least AKA that joint training must gain for the line to mean something; test sets resolve about as much."""

MIN_LEARNED_SES = 3.0
"""The least number of standard errors that this gain must be above zero: a slope divides by it."""

SAME = 1e-6


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """The zero-shot or the joint point."""

    aka: Estimate
    azs: Estimate
    gm: Estimate
    label: str

    @property
    def point(self) -> tuple[float, float]:
        """(AKA, AZS)."""
        return self.aka.value, self.azs.value


@dataclass(frozen=True, kw_only=True)
class Anchors:
    """Both anchors, as estimates and per block of the study (blocks, AKA and AZS).

    `no_line` is the reason why there is no Z-J line; `joint_blocks` repeats one mean if J lacks some block.
    """

    zero_shot: Anchor
    joint: Anchor | None
    zero_shot_blocks: FloatArray
    joint_blocks: FloatArray | None
    no_line: str | None
    warnings: tuple[str, ...]


def anchors_of(tables: Tables, final: pd.DataFrame) -> Anchors:
    """Find the anchors; `final` holds each trial's last task with its kind, config, block and method."""
    zero_shot_S3, warnings = _zero_shot_blocks(tables)
    joint_S3, joint, joint_warnings = _joint_blocks(final, tables.blocks)
    joint_S2 = None if joint_S3 is None else joint_S3[:, :2]
    no_line = _no_line(zero_shot_S3[:, :2], joint_S2)
    if no_line is not None:
        joint_warnings.append(f"The gain is not defined: {no_line}.")
    return Anchors(
        zero_shot=_anchor(zero_shot_S3, "zero-shot"),
        joint=joint,
        zero_shot_blocks=zero_shot_S3[:, :2],
        joint_blocks=joint_S2,
        no_line=no_line,
        warnings=(*warnings, *joint_warnings),
    )


def _zero_shot_blocks(tables: Tables) -> tuple[FloatArray, list[str]]:
    """(AKA, AZS, GM) at task 0 per block: the mean over the block's trials, which should all say the same."""
    trials = tables.trials[tables.trials["block"].isin(tables.blocks)]
    starts = tables.ends[tables.ends["task"] == 0].merge(trials[["trial", "block"]], on="trial")
    by_block = starts.groupby("block")[["aka", "azs", "gm"]]
    spread = float((by_block.max() - by_block.min()).to_numpy().max())
    warnings = []
    if spread > SAME:
        warnings.append(f"Zero-shot rows of one block differ by up to {100 * spread:.2f} points; their mean is used.")
    return by_block.mean().reindex(list(tables.blocks)).to_numpy(dtype=float), warnings


def _joint_blocks(final: pd.DataFrame, blocks: Sequence[str]) -> tuple[FloatArray | None, Anchor | None, list[str]]:
    """The joint anchor per block, or its mean if it lacks a block; of several joint configs the one of highest AKA."""
    rows = final[(final["kind"] == "anchor") & (final["method"] == JOINT)]
    if rows.empty:
        return None, None, []
    warnings = []
    means = rows.groupby("config_id")["aka"].mean()
    chosen = str(means.index[int(np.argmax(means.to_numpy()))])
    if len(means) > 1:
        warnings.append(
            f"There are {len(means)} joint configs; the one with the highest AKA ({chosen[:8]}) is the joint point."
        )
    own = rows[rows["config_id"] == chosen].set_index("block")[["aka", "azs", "gm"]].sort_index()
    anchor = _anchor(own.to_numpy(dtype=float), "joint")
    if len(own) == 1 and len(blocks) > 1:
        warnings.append("The joint point was trained once: intervals of gains do not contain its own uncertainty.")
    if set(own.index) >= set(blocks):
        return own.reindex(list(blocks)).to_numpy(dtype=float), anchor, warnings
    if len(own) > 1:
        warnings.append(
            "The joint point lacks some blocks: it is held at its mean, "
            "and intervals of gains do not contain its own uncertainty."
        )
    return np.repeat(own.to_numpy(dtype=float).mean(axis=0)[np.newaxis], len(blocks), axis=0), anchor, warnings


def _anchor(values_S3: FloatArray, label: str) -> Anchor:
    return Anchor(
        aka=estimate(values_S3[:, 0]), azs=estimate(values_S3[:, 1]), gm=estimate(values_S3[:, 2]), label=label
    )


def _no_line(zero_shot_S2: FloatArray, joint_S2: FloatArray | None) -> str | None:
    """Why there is no Z-J line, or None if there is one."""
    if joint_S2 is None:
        return "there is no finished joint anchor"
    learned = estimate(joint_S2[:, 0] - zero_shot_S2[:, 0])
    if learned.value <= 0:
        return "the joint point has no higher AKA than the zero-shot point"
    if learned.value < MIN_LEARNED:
        return (
            f"the joint point's AKA is only {100 * learned.value:.2f} points above zero-shot, and a line through two "
            f"points less than {100 * MIN_LEARNED:g} apart means nothing; give the joint anchor more steps"
        )
    if learned.se is not None and learned.value < MIN_LEARNED_SES * learned.se:
        return (
            f"the joint point's AKA is only {100 * learned.value:.2f} points above zero-shot, "
            f"less than {MIN_LEARNED_SES:g} standard errors ({100 * learned.se:.2f})"
        )
    if len(zero_shot_S2) > 1:
        left_out = leave_one_out_means((joint_S2[:, 0] - zero_shot_S2[:, 0])[np.newaxis])
        if float(left_out.min()) <= 0:
            return "without one of the blocks the joint point has no higher AKA than the zero-shot point"
    return None
