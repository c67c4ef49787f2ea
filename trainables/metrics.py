"""What a trial reports: scores, accumulation and retention, and its price (arXiv 2408.14471, section 4)."""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple


@dataclass(frozen=True, kw_only=True)
class Score:
    """One data set's result: a fraction in [0, 1] over n test samples."""

    dataset: str
    group: Literal["adapt", "holdout"]
    metric: str
    value: float
    n: int


class Summary(NamedTuple):
    """AKA, AZS and GM, fractions in [0, 1]."""

    aka: float
    azs: float
    gm: float


class Cost(NamedTuple):
    """Cost of one optimiser step: FLOPs, and FLOPs adjusted for memory."""

    flops: float
    mafs: float


def summarise(scores: Iterable[Score]) -> Summary:
    """AKA and AZS are unweighted means over the data sets of their group; GM = sqrt(AKA * AZS)."""
    rows = list(scores)
    aka, azs = (_mean([row.value for row in rows if row.group == group]) for group in ("adapt", "holdout"))
    return Summary(aka, azs, math.sqrt(aka * azs))


def encode(scores: Iterable[Score]) -> bytes:
    """Scores as they are stored: JSON."""
    return json.dumps([asdict(score) for score in scores]).encode()


def decode(payload: bytes) -> tuple[Score, ...]:
    """Scores from their stored form."""
    return tuple(Score(**row) for row in json.loads(payload))


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)
