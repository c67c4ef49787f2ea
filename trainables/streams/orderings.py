"""Orders of the concepts of a stream: permutations that depend on facts about the concepts and on an order's number.

    random          shuffled
    easy_to_hard    by the base model's loss, smallest first
    frequency       by how often the pretraining captions name them, rarest first; equals shuffled
    similarity      a short path through the base model's embeddings, so that neighbours are alike
    time            data set by data set in the order of their years; data sets of a year and their concepts shuffled
    time_mixed      year by year, all concepts of a year shuffled
    dataset         one data set after another, data sets and their concepts shuffled

and each of them reversed ("reversed_time"). Source: arXiv 2408.14471, section 6.3 and its streams.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainables.frozen import ConfigError, suggestion
from trainables.randomness import generator
from trainables.streams.paths import short_path

if TYPE_CHECKING:
    from trainables.config import Stream

Facts = Callable[[str], NDArray[np.generic]]
"""What is known of all concepts, in canonical order: "loss" [N], "count" [N], "image" and "text" [N, D], "year" [N]."""

Indices = NDArray[np.int64]


def ordered(stream: "Stream", order: int, *, concepts: Sequence[str], facts: Facts) -> tuple[str, ...]:
    """The concepts in the order of a stream.

    Args:
        stream: says which; for `similarity` also where the path starts.
        order: number of the order; another one is another shuffle, or for `similarity` another start.
        concepts: "dataset/concept", in canonical order.
        facts: see `Facts`; asked only for what the ordering needs.

    Raises:
        ConfigError: the data lack what the ordering needs, or the starting concept is unknown.
    """
    name = forward(stream.ordering)
    indices = ORDERINGS[name](concepts, facts, generator("ordering", name, order), stream, order)
    if stream.ordering != name:
        indices = indices[::-1]
    return tuple(concepts[i] for i in indices)


def forward(ordering: str) -> str:
    """An ordering without what says that it is reversed."""
    return ordering.removeprefix(_REVERSED)


def _random(concepts: Sequence[str], _: Facts, rng: np.random.Generator, *__: object) -> Indices:
    return rng.permutation(len(concepts))


def _easy_to_hard(_: Sequence[str], facts: Facts, *__: object) -> Indices:
    """Equal losses in canonical order. Losses are rounded, so that another machine's last bit moves no concept."""
    return np.argsort(np.round(facts("loss").astype(float), 4), kind="stable")


def _frequency(concepts: Sequence[str], facts: Facts, rng: np.random.Generator, *_: object) -> Indices:
    return np.lexsort((rng.permutation(len(concepts)), facts("count")))


def _similarity(concepts: Sequence[str], facts: Facts, _: np.random.Generator, stream: "Stream", order: int) -> Indices:
    if stream.start_concept is None:
        start = int(generator("ordering", "similarity").permutation(len(concepts))[order % len(concepts)])
    elif stream.start_concept in concepts:
        start = concepts.index(stream.start_concept)
    else:
        raise ConfigError(
            f"start_concept: {stream.start_concept!r} is no concept of the stream; "
            f"{suggestion(stream.start_concept, concepts)}such as {', '.join(concepts[:4])}"
        )
    return short_path(facts(stream.embedding or "text").astype(np.float32), start)


def _time(concepts: Sequence[str], facts: Facts, rng: np.random.Generator, *_: object) -> Indices:
    dataset = _dataset_numbers(concepts)
    place = rng.permutation(dataset.max() + 1)[dataset]  # data sets of one year in a shuffled order
    return np.lexsort((rng.permutation(len(concepts)), place, facts("year")))


def _time_mixed(concepts: Sequence[str], facts: Facts, rng: np.random.Generator, *_: object) -> Indices:
    return np.lexsort((rng.permutation(len(concepts)), facts("year")))


def _dataset(concepts: Sequence[str], _: Facts, rng: np.random.Generator, *__: object) -> Indices:
    dataset = _dataset_numbers(concepts)
    place = rng.permutation(dataset.max() + 1)[dataset]
    return np.lexsort((rng.permutation(len(concepts)), place))


def _dataset_numbers(concepts: Sequence[str]) -> Indices:
    """For each concept the number of its data set."""
    return np.unique([concept.partition("/")[0] for concept in concepts], return_inverse=True)[1].astype(np.int64)


ORDERINGS: dict[str, Callable[[Sequence[str], Facts, np.random.Generator, "Stream", int], Indices]] = {
    "random": _random,
    "easy_to_hard": _easy_to_hard,
    "frequency": _frequency,
    "similarity": _similarity,
    "time": _time,
    "time_mixed": _time_mixed,
    "dataset": _dataset,
}
_REVERSED = "reversed_"
BOTH_WAYS = (*ORDERINGS, *(f"{_REVERSED}{name}" for name in ORDERINGS))
