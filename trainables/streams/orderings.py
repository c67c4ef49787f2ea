"""The stream: its settings, and the orders of its concepts, which depend on facts about them and on an order's number.

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
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from trainables.frozen import ConfigError, FieldError, Frozen, OneOf, suggestion
from trainables.randomness import generator
from trainables.schedules import canonical_factors, read_factors
from trainables.streams.paths import short_path

Facts = Callable[[str], NDArray[np.generic]]
"""Gives a fact of all concepts, in canonical order: "loss" [N], "count" [N], "image" and "text" [N, D], "year" [N]."""

Indices = NDArray[np.int64]


# -- orders ------------------------------------------------------------------------------------------------------------


def _random(concepts: Sequence[str], _: Facts, rng: np.random.Generator, *__: object) -> Indices:
    return rng.permutation(len(concepts))


def _easy_to_hard(_: Sequence[str], facts: Facts, *__: object) -> Indices:
    """By rising loss, equal losses in canonical order. Rounded, so that another machine's last bit moves no concept."""
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
    """The number of the data set of each concept."""
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
"""The names of all orderings, and of each reversed."""


def forward(ordering: str) -> str:
    """The ordering of which a reversed one is the reverse; any other is returned as it is."""
    return ordering.removeprefix(_REVERSED)


# -- the stream --------------------------------------------------------------------------------------------------------


class Stream(Frozen):
    """The way from concepts to tasks: an ordering of adaptation concepts, cut into contiguous chunks."""

    later: ClassVar[frozenset[str]] = frozenset({"dataset"})
    tasks: int = Field(default=6, ge=1, description="updates in the stream")
    ordering: Annotated[str, OneOf(BOTH_WAYS)] = "random"
    embedding: Literal["text", "image"] | None = Field(
        default=None, description="what concepts are alike by, for ordering similarity: text, image"
    )
    start_concept: str | None = Field(
        default=None, description='where the path of ordering similarity starts, as "dataset/concept"; default: drawn'
    )
    steps_factors: str | None = Field(
        default=None, description='factor of the steps in each task, such as "2, 1, 1"; default: all the same'
    )
    dataset: str | None = Field(
        default=None, description="the data set whose concepts alone make the stream; default: all of them"
    )

    @model_validator(mode="before")
    @classmethod
    def _with_embedding(cls, value: Any) -> Any:
        if isinstance(value, dict) and forward(str(value.get("ordering"))) == "similarity":
            return {"embedding": "text", **{key: one for key, one in value.items() if one is not None}}
        return value

    @field_validator("steps_factors")
    @classmethod
    def _canonical_factors(cls, value: str | None) -> str | None:
        return canonical_factors(value)

    @model_validator(mode="after")
    def _path_of_similarity(self) -> Self:
        for setting in ("embedding", "start_concept"):
            if getattr(self, setting) is not None and not self.is_by_similarity:
                raise FieldError(setting, f"the ordering {self.ordering} has none; it belongs to similarity")
        return self

    @property
    def is_by_similarity(self) -> bool:
        """Whether the ordering is a path through embeddings."""
        return forward(self.ordering) == "similarity"

    @property
    def factors(self) -> tuple[float, ...]:
        """The factor of the steps in each task."""
        return (1.0,) * self.tasks if self.steps_factors is None else read_factors(self.steps_factors)

    def steps(self, per_task: int) -> tuple[int, ...]:
        """The steps of each task, at least one."""
        return tuple(max(1, round(per_task * one)) for one in self.factors)

    @model_validator(mode="after")
    def _steps_for_each_task(self) -> Self:
        if len(self.factors) != self.tasks:
            raise FieldError(
                "steps_factors", f"{self.steps_factors} given; one for each of {self.tasks} tasks is needed"
            )
        return self


def ordered(stream: Stream, order: int, *, concepts: Sequence[str], facts: Facts) -> tuple[str, ...]:
    """The concepts in the order of a stream.

    Args:
        stream: the ordering, and the data set that it keeps to; for `similarity` also where the path starts.
        order: number of the order; another number is another shuffle, or for `similarity` another start.
        concepts: "dataset/concept", in canonical order.
        facts: see `Facts`; only the facts that the ordering needs are asked for.

    Raises:
        ConfigError: the data lack what the ordering needs, or the data set or the starting concept is unknown.
    """
    name = forward(stream.ordering)
    rows = _rows_of(stream.dataset, concepts)
    own = [concepts[row] for row in rows]
    indices = ORDERINGS[name](own, lambda kind: facts(kind)[rows], generator("ordering", name, order), stream, order)
    if stream.ordering != name:
        indices = indices[::-1]
    return tuple(own[i] for i in indices)


def _rows_of(dataset: str | None, concepts: Sequence[str]) -> list[int]:
    """The places of a data set's concepts; without a data set those of all."""
    names = [concept.partition("/")[0] for concept in concepts]
    if dataset is not None and dataset not in names:
        known = list(dict.fromkeys(names))
        raise ConfigError(
            f"dataset: {dataset!r} is no data set of the stream; {suggestion(dataset, known)}"
            f"allowed: {', '.join(known)}"
        )
    return [row for row, name in enumerate(names) if dataset in (None, name)]
