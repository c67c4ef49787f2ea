"""Metrics of continual learning, from the accuracy of every dataset after every task.

Pure functions of a `Stream`: A[t, d] for t = 0 (zero-shot) to T. AKA and AZS at t are the means over the adaptation and
the held-out datasets, all metrics are fractions, and what is not defined is None with a reason. Forgetting is that of
Chaudhry et al. (arXiv 1801.10112) with the maximum over tasks BEFORE the last, so that it is negative where later tasks
helped; backward and forward transfer are those of Lopez-Paz & Ranzato (arXiv 1706.08840), forward transfer with the
zero-shot model in the place of a random one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from analysis.arrays import BoolArray, FloatArray

WORSE = 0.01
"""The fall that a dataset must exceed to count as worse: one point."""

ROUNDING = 1e-9

SHOWN = 5
"""The most datasets in a list of the worst."""


class Seen(NamedTuple):
    """The first and the last task whose data contain a dataset."""

    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class Value:
    """A number, or None and the reason."""

    value: float | None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One trial: accuracies A (tasks + 1, datasets), from zero-shot on, and which datasets are held out (datasets,).

    Attributes:
        whole: whether there is a row for every task; without, only the first and the last row are looked at.
        seen: when each adaptation dataset was trained on, where that is known.
    """

    accuracy: FloatArray
    holdout: BoolArray
    whole: bool = True
    seen: tuple[Seen | None, ...] | None = None

    @property
    def last(self) -> int:
        """T, the number of the last task."""
        return len(self.accuracy) - 1

    @property
    def aka(self) -> FloatArray:
        """AKA (tasks + 1,)."""
        return np.asarray(self.accuracy[:, ~self.holdout].mean(axis=1), dtype=float)

    @property
    def azs(self) -> FloatArray:
        """AZS (tasks + 1,)."""
        return np.asarray(self.accuracy[:, self.holdout].mean(axis=1), dtype=float)


def stream(
    accuracy: npt.ArrayLike,
    holdout: npt.ArrayLike,
    *,
    whole: bool = True,
    seen: Sequence[tuple[int, int] | None] | None = None,
) -> Stream:
    """A checked stream; see `Stream`."""
    values, held = np.array(accuracy, dtype=float), np.array(holdout, dtype=bool)
    if values.ndim != 2 or len(values) < 2 or held.shape != values.shape[1:]:
        raise ValueError(
            f"accuracy must be (tasks + 1, datasets) with a task at least, and holdout (datasets,), "
            f"got {values.shape} and {held.shape}"
        )
    if not np.isfinite(values).all():
        raise ValueError("accuracies must be finite")
    if held.all() or not held.any():
        raise ValueError("there must be adaptation and held-out datasets")
    spans = None if seen is None else tuple(None if span is None else Seen(*span) for span in seen)
    if spans is not None:
        last = len(values) - 1
        if len(spans) != len(held) or not all(s is None or 1 <= s.first <= s.last <= last for s in spans):
            raise ValueError(f"seen must say for all {len(held)} datasets which of the tasks 1 to {last} contain it")
    return Stream(accuracy=values, holdout=held, whole=whole, seen=spans)


# -- from the first to the last row ------------------------------------------------------------------------------------


def learning(one: Stream) -> Value:
    """AKA at the end minus zero-shot AKA."""
    return Value(value=float(one.aka[-1] - one.aka[0]))


def retention_loss(one: Stream) -> Value:
    """Zero-shot AZS minus AZS at the end."""
    return Value(value=float(one.azs[0] - one.azs[-1]))


def worsened(one: Stream) -> Value:
    """How many held-out datasets ended more than one point below zero-shot."""
    fall_D = (one.accuracy[0] - one.accuracy[-1])[one.holdout]
    return Value(value=float((fall_D > WORSE + ROUNDING).sum()))


def worst(change_D: npt.ArrayLike) -> tuple[int, ...]:
    """The datasets that fell most, the largest fall first; those that did not fall are none of them."""
    change = np.asarray(change_D, dtype=float)
    return tuple(int(d) for d in np.argsort(change, kind="stable")[:SHOWN] if change[d] < 0)


# -- along the way -----------------------------------------------------------------------------------------------------


def average_aka(one: Stream) -> Value:
    """Mean AKA after tasks 1 to T."""
    return _along(one, lambda: Value(value=float(one.aka[1:].mean())))


def average_azs(one: Stream) -> Value:
    """Mean AZS after tasks 1 to T."""
    return _along(one, lambda: Value(value=float(one.azs[1:].mean())))


def first_task_drop(one: Stream) -> Value:
    """AZS before minus AZS after the first task."""
    return _along(one, lambda: Value(value=float(one.azs[0] - one.azs[1])))


def stability_gap(one: Stream) -> Value:
    """How far AZS after some task fell below both ends of the stream: min(y_0, y_T) - min_t y_t."""
    return _along(one, lambda: Value(value=_back(one) - float(one.azs.min())))


def recovery_time(one: Stream) -> Value:
    """First task after the lowest AZS at which AZS is back at the lower of both ends."""

    def found() -> Value:
        lowest, back = int(one.azs.argmin()), _back(one)
        if one.azs[lowest] >= back:
            return Value(value=None, reason="AZS never fell below both ends of the stream")
        return Value(value=float(lowest + np.argmax(one.azs[lowest:] >= back)))

    return _along(one, found)


# -- by what a task contains -------------------------------------------------------------------------------------------


def forgetting(one: Stream) -> Value:
    """Mean over datasets of the best accuracy from its last task on, before T, minus that at T."""
    return _of_seen(one, lambda d, span: float(one.accuracy[span.last : -1, d].max() - one.accuracy[-1, d]))


def backward_transfer(one: Stream) -> Value:
    """Mean over datasets of the accuracy at T minus that after its last task."""
    return _of_seen(one, lambda d, span: float(one.accuracy[-1, d] - one.accuracy[span.last, d]))


def forward_transfer(one: Stream) -> Value:
    """Mean over datasets of the accuracy before its first task minus that of zero-shot."""
    return _of_seen(
        one,
        lambda d, span: float(one.accuracy[span.first - 1, d] - one.accuracy[0, d]),
        counts=lambda _, span: span.first > 1,
        otherwise="every dataset is in the first task, so nothing came before it",
    )


METRICS: Mapping[str, Callable[[Stream], Value]] = {
    "average_aka": average_aka,
    "average_azs": average_azs,
    "learning": learning,
    "retention_loss": retention_loss,
    "forgetting": forgetting,
    "backward_transfer": backward_transfer,
    "forward_transfer": forward_transfer,
    "first_task_drop": first_task_drop,
    "stability_gap": stability_gap,
    "recovery_time": recovery_time,
    "worsened": worsened,
}
"""All are fractions but for `recovery_time`, the number of a task, and `worsened`, a number of datasets."""

OF_ENDS = ("learning", "retention_loss", "worsened")
"""Metrics that look at the first and the last row only."""


def _along(one: Stream, metric: Callable[[], Value]) -> Value:
    return metric() if one.whole else Value(value=None, reason="it was not evaluated after every task")


def _back(one: Stream) -> float:
    return float(min(one.azs[0], one.azs[-1]))


def _of_seen(
    one: Stream,
    metric: Callable[[int, Seen], float],
    *,
    counts: Callable[[Stream, Seen], bool] = lambda one, span: span.last < one.last,
    otherwise: str = "every dataset is in the last task, so nothing came after it",
) -> Value:
    """Mean of a metric over the adaptation datasets for which it counts."""

    def found() -> Value:
        adapt = np.flatnonzero(~one.holdout).tolist()
        spans = {d: span for d in adapt if one.seen is not None and (span := one.seen[d]) is not None}
        if len(spans) < len(adapt):
            return Value(value=None, reason="it is not known which tasks contain which dataset")
        values = [metric(d, span) for d, span in spans.items() if counts(one, span)]
        return Value(value=float(np.mean(values))) if values else Value(value=None, reason=otherwise)

    return _along(one, found)
