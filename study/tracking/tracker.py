"""A tracker: what the libraries have in common. A run of theirs is a trial of ours, its points are its tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from search_spaces.space import Scalar


@dataclass(frozen=True, kw_only=True)
class Point:
    """What is known of a trial after a task: aka, azs and gm (fractions), gain (points), cost_mafs and cost_flops."""

    task: int
    values: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Run:
    """A trial as trackers show it.

    Attributes:
        trial: its id, which is the same on every restart.
        label: a name that stays the same while the study grows, for folders.
        name: in words.
        study: name of the study, under which its trials are grouped.
        params: its value on every axis that applies, with seed and order.
        tags: kind, method, timeline, config and block.
    """

    trial: str
    label: str
    name: str
    study: str
    params: Mapping[str, Scalar]
    tags: Mapping[str, str]

    @property
    def id(self) -> str:
        """A name that differs from those of trials of other studies."""
        return f"{self.study}-{self.trial}"


End = Literal["done", "failed", "open"]
"""How a trial ended; "open" if the run of the study ended before it."""


class Sink(Protocol):
    """Writes points of trials into one place; called from one thread.

    * `write` has written when it returns, as far as the library lets one know. Points come in any order of tasks.
    * A run that has ended may be written to again, on a restart or because its gain came late.
    * Any exception turns the tracker off for this run of the study.
    """

    where: str
    """Where it writes, without credentials. Another place has none of the points that this one has."""

    def write(self, run: Run, points: Sequence[Point]) -> None:
        """Write points of a trial, some of which may be new values of a task that was written before."""

    def end(self, run: Run, how: End) -> None:
        """End a trial: nothing more of it comes in this run of the study."""

    def close(self, *, finished: bool) -> None:
        """Close the sink when the run of the study ends; `finished` says that nothing is left to do."""
