"""Metrics of a trial: scores, accumulation and retention, and costs (arXiv 2408.14471, section 4)."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

Group = Literal["adapt", "holdout", "extra"]
"""What a data set measures: accumulation (its mean is AKA), retention (AZS), or something of its own, in no mean."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One data set's result: a fraction in [0, 1] over n test samples."""

    dataset: str
    group: Group
    metric: str
    value: float
    n: int


class Summary(NamedTuple):
    """AKA, AZS and GM, fractions in [0, 1]."""

    aka: float
    azs: float
    gm: float


class Suite(NamedTuple):
    """The part that all evaluations on one suite have in common, as columns of the data sets."""

    datasets: tuple[str, ...]
    groups: tuple[str, ...]
    metrics: tuple[str, ...]
    counts: tuple[int, ...]


Accounting = Literal["ours", "paper"]
"""How a step is counted: as it is computed here, or as in arXiv 2408.14471 (`counting.paper_step_cost`)."""


class Cost(NamedTuple):
    """Cost of one optimiser step: FLOPs, and FLOPs adjusted for memory."""

    flops: float
    mafs: float


def summarise(scores: Iterable[Score]) -> Summary:
    """AKA and AZS are unweighted means over the data sets of their group; GM = sqrt(AKA * AZS)."""
    rows = list(scores)
    return summary_of([row.group for row in rows], [row.value for row in rows])


def summary_of(groups: Sequence[str], values: Sequence[float]) -> Summary:
    """The summary of columns: the groups of data sets, and the values on them."""
    aka, azs = (
        _mean([value for own, value in zip(groups, values, strict=True) if own == group])
        for group in ("adapt", "holdout")
    )
    return Summary(aka, azs, math.sqrt(aka * azs))


def encode(scores: Iterable[Score]) -> bytes:
    """Scores as they are stored: JSON."""
    return json.dumps([asdict(score) for score in scores]).encode()


def decode(payload: bytes) -> tuple[Score, ...]:
    """Scores from their stored form."""
    return tuple(Score(**row) for row in json.loads(payload))


def decode_columns(payload: bytes) -> tuple[Suite, list[float]]:
    """Scores from their stored form, as columns: millions of them would be too many objects."""
    rows = json.loads(payload.decode())
    datasets, groups, metrics, counts = (tuple([row[name] for row in rows]) for name in _COMMON)
    return Suite(datasets, groups, metrics, counts), [row["value"] for row in rows]


_COMMON = ("dataset", "group", "metric", "n")


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)
