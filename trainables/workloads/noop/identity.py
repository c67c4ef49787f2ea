"""The identity of the noop workload: concepts, data sets, and the number that each asks for.

The pretrained weight is 1. Concepts of the adaptation sets ask for numbers around 2, held-out sets for numbers up to 1,
so that what is learnt is also forgotten.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from trainables.frozen import digest
from trainables.workloads.anatomy import Anatomy, Parameter
from trainables.workloads.identity import Identity, Scored
from trainables.workloads.noop.settings import Noop

WEIGHT = "weight"
PRETRAINED = 1.0
CONCEPTS = 128
"""Concepts of an adaptation set."""

SAMPLES = 8
"""Training samples of a concept."""

POOL = 1024
TESTS, CLASSES = 1000, 10
_VERSION = 1
"""Raised by every change of this world."""


class DataSet(NamedTuple):
    """A data set of the suite: it is solved by the weight that it asks for."""

    name: str
    group: Literal["adapt", "holdout"]
    asks_for: float


def data_sets(count: int) -> tuple[DataSet, ...]:
    """The suite: adaptation sets first, the larger half."""
    new = (count + 1) // 2
    return (
        *(DataSet(f"new{i}", "adapt", 1.5 + (i + 1) / (new + 1)) for i in range(new)),
        *(DataSet(f"old{i}", "holdout", 1 - i / (count - new)) for i in range(count - new)),
    )


def targets(count: int) -> Iterator[float]:
    """The number that each adaptation concept asks for, in canonical order: near that of its data set."""
    for one in data_sets(count):
        if one.group == "adapt":
            yield from (one.asks_for + (i / (CONCEPTS - 1) - 0.5) / 4 for i in range(CONCEPTS))


def identify_noop(config: Noop, cache: Path) -> Identity:  # noqa: ARG001 (nothing is kept)
    """The identity: digests, concepts, and an anatomy of one parameter."""
    suite = data_sets(config.datasets)
    said = {"noop": _VERSION, "datasets": config.datasets}
    return Identity(
        base=digest({"noop": _VERSION, "weight": PRETRAINED}),
        data=digest({**said, "samples": SAMPLES, "pool": POOL}),
        suite=digest({**said, "tests": TESTS}),
        concepts=tuple(f"{one.name}/{i}" for one in suite if one.group == "adapt" for i in range(CONCEPTS)),
        tests=(Scored(TESTS, CLASSES),) * len(suite),
        pool_samples=POOL,
        anatomy=Anatomy(
            parameters=(Parameter(name=WEIGHT, shape=(1, 1), tower="number", layer=None, part="head", bias=False),),
            projections=(),
        ),
    )
