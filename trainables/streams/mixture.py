"""The mixture of a batch: how many samples of pool, new task and buffer, and which; no loader, no state.

The samples of a step are a pure function of (seed, task, step): each source is walked in epochs, each epoch in an order
of its own, so a run that starts at any step draws what an uninterrupted one draws. Source: arXiv 2408.14471, section 4.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from trainables.config import Mixture
from trainables.randomness import generator

Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Samples of each source in one batch."""

    pool: int
    new: int
    buffer: int


def shares(mixture: Mixture, batch_size: int, *, buffer_empty: bool) -> Shares:
    """Whole numbers that sum to the batch size, by largest remainder.

    Shares are rounded down, and what is left over goes one by one to the largest remainders, equal ones in the order
    pool, new, buffer (169 / 174 / 169 of 512 at .33 / .34 / .33; the code of arXiv 2408.14471 hands the rest to pool
    first, then new: 169 / 175 / 168). While the buffer is empty its share is split between new and pool, the odd one to
    new; without a pool all of it goes to new (the first task as there: 253 / 259).
    """
    exact = np.array([mixture.pool, mixture.new, mixture.buffer]) * batch_size
    counts = np.floor(exact + 1e-9).astype(int)  # 0.3 * 10 is 3, and not the 2.999... of floating point
    by_remainder = np.argsort(-np.round(exact - counts, 9), kind="stable")
    counts[by_remainder[: batch_size - counts.sum()]] += 1
    pool, new, buffer = (int(count) for count in counts)
    if buffer_empty:
        to_pool = buffer // 2 if mixture.pool > 0 else 0
        pool, new, buffer = pool + to_pool, new + buffer - to_pool, 0
    return Shares(pool=pool, new=new, buffer=buffer)


def draw(samples: Indices, count: int, *, seed: int, task: int, step: int, source: str) -> Indices:
    """The `count` samples that `source` gives to a step.

    Args:
        samples: int64 [N], all samples of the source, N >= 1 when count > 0.
        count: how many to draw.
        seed: seed of the trial.
        task: number of the task.
        step: number of the step in the task, from 0.
        source: name of the source; sources draw independently.
    """
    positions = np.arange(step * count, (step + 1) * count)
    epochs, offsets = np.divmod(positions, max(len(samples), 1))
    picked = np.empty(count, dtype=np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        picked[here] = samples[_epoch_order(len(samples), seed, task, source, int(epoch))[offsets[here]]]
    return picked


@lru_cache(maxsize=16)
def _epoch_order(length: int, seed: int, task: int, source: str, epoch: int) -> Indices:
    return generator("epoch", seed, task, source, epoch).permutation(length)
