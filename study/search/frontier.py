"""The frontier of a search: how far it reaches, and which configs are not shown to lie below it.

Objectives are to be high, and there are one or two of them. All configs run on the same first blocks, so their means
there are compared in pairs, and what blocks have in common cancels.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from study.definition.search import Objective

FloatArray = npt.NDArray[np.float64]

SURE = 0.8
"""Probability from which on a config counts as dominated, as in the advice of a report (`retune recommend`)."""

LOWEST: Mapping[Objective, float] = {"aka": 0.0, "azs": 0.0, "gm": 0.0, "gain": -1.0}
"""What an objective hardly falls below, from where areas are measured: a gain is AZS less that of the line."""


def hypervolume(values: FloatArray) -> float:
    """Area from 0 that points (N, objectives) dominate; with one objective, the best value."""
    if len(values) == 0:
        return 0.0
    if values.shape[1] == 1:
        return float(values.max())
    above = np.maximum(values, 0.0)
    falling = above[np.argsort(-above[:, 0])]
    heights = np.maximum.accumulate(falling[:, 1])
    widths = -np.diff(np.append(falling[:, 0], 0.0))
    return float(np.sum(heights * widths))


def dominated(ends: Sequence[FloatArray]) -> FloatArray:
    """Probability (N,) that a config is dominated: the highest over all other configs.

    A config is compared with those that have run on all of its blocks, over these. The noise of a mean is what is left
    of the values of configs on several blocks after the effects of configs and of blocks; objectives count as
    independent of each other. As long as nothing has run on two blocks it is 0 or 1: whether one is dominated.

    Args:
        ends: values of each config (its blocks, objectives), on the first blocks of the study.
    """
    sd, freedom = noise(ends)
    found = np.zeros(len(ends))
    for blocks in sorted({len(end) for end in ends}):
        rivals = np.array([end[:blocks].mean(axis=0) for end in ends if len(end) >= blocks])
        own = [i for i, end in enumerate(ends) if len(end) == blocks]
        for i in own:
            lead = rivals - ends[i].mean(axis=0)
            if freedom < 1:
                found[i] = float(((lead >= 0).all(axis=1) & (lead > 0).any(axis=1)).any())
                continue
            with np.errstate(divide="ignore", invalid="ignore"):
                z = np.nan_to_num(lead / (sd * np.sqrt(2 / blocks)), posinf=np.inf, neginf=-np.inf)
            z = z[(lead != 0).any(axis=1)]  # not with itself
            found[i] = special.stdtr(freedom, z).prod(axis=1).max(initial=0.0)
    return found


def noise(ends: Sequence[FloatArray]) -> tuple[FloatArray, int]:
    """Standard deviation of a value on a block (objectives,), and its degrees of freedom; 0 where there are none.

    Of the additive model value = config + block + noise, by least squares over configs that ran on several blocks.
    """
    repeated = [end for end in ends if len(end) > 1]
    objectives = ends[0].shape[1] if ends else 0
    if len(repeated) < 2:
        return np.zeros(objectives), 0
    y = np.concatenate(repeated)
    config = np.repeat(np.arange(len(repeated)), [len(end) for end in repeated])
    block = np.concatenate([np.arange(len(end)) for end in repeated])
    design = np.concatenate(
        [config[:, np.newaxis] == np.arange(len(repeated)), block[:, np.newaxis] == np.arange(1, block.max() + 1)],
        axis=1,
    ).astype(float)
    fit, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    freedom = len(y) - int(rank)
    if freedom < 1:
        return np.zeros(objectives), 0
    return np.sqrt(((y - design @ fit) ** 2).sum(axis=0) / freedom), freedom
