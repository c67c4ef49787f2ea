"""The mixture of a batch: its shares of pool, new task and buffer, and the samples of each; no loader, no state.

The samples of a step are a pure function of (seed, task, step): each source is walked in epochs, each epoch in an order
of its own, so a run that starts at any step draws what an uninterrupted one draws. Source: arXiv 2408.14471, section 4.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from trainables.frozen import FieldError, Frozen
from trainables.randomness import generator
from trainables.streams.buffers import Policy

Indices = NDArray[np.int64]


class Mixture(Frozen):
    """The shares of a batch: pretraining pool, new task, buffer of all earlier tasks."""

    pool: float = Field(default=0.33, ge=0, le=1)
    new: float = Field(default=0.34, gt=0, le=1)
    buffer: float = Field(default=0.33, ge=0, le=1)
    buffer_size: int | None = Field(
        default=None, description="samples that the buffer of earlier tasks holds; default: all"
    )
    buffer_policy: Policy | None = Field(
        default=None, description="what a buffer of limited size keeps: reservoir, balanced (alike of every concept)"
    )

    @field_validator("buffer_size", mode="before")
    @classmethod
    def _holds_something(cls, value: object) -> object:
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
            return value
        raise ValueError(
            "allowed: a whole number of samples from 1, or none, for a buffer without a limit, which holds all; "
            "no buffer at all is buffer_share: 0"
        )

    @model_validator(mode="before")
    @classmethod
    def _with_policy(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("buffer_size") is not None and value.get("buffer_policy") is None:
            return {**value, "buffer_policy": "reservoir"}
        return value

    @model_validator(mode="after")
    def _limits_act(self) -> Self:
        if self.buffer_policy is not None and self.buffer_size is None:
            raise FieldError("buffer_policy", "it acts on a buffer of limited size; give a buffer_size, or remove it")
        if self.buffer_size is not None and self.buffer == 0:
            raise FieldError("buffer_size", "the share of the buffer is 0, so its size has no effect; remove it")
        return self

    @model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        total = self.pool + self.new + self.buffer
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the shares pool + new + buffer must sum to 1, not {total:g}")
        return self


@dataclass(frozen=True, kw_only=True)
class Shares:
    """The number of samples of each source in one batch."""

    pool: int
    new: int
    buffer: int


def shares(mixture: Mixture, batch_size: int, *, buffer_empty: bool) -> Shares:
    """Whole numbers that sum to the batch size, by largest remainder.

    Shares are rounded down, and the places left over go one by one to the largest remainders, equal ones in the order
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
