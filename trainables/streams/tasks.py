"""Tasks: the ordered concepts cut into contiguous chunks; the first `n mod T` chunks hold one concept more.

Source: arXiv 2408.14471, section 4 (each concept of the stream appears in exactly one task).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from trainables.frozen import ConfigError, digest


@dataclass(frozen=True, kw_only=True)
class Task:
    """One update of the stream: its number from 1, the concepts it brings, and those that earlier tasks brought."""

    index: int
    new: tuple[str, ...]
    earlier: tuple[str, ...]

    @cached_property
    def digest(self) -> str:
        """Hash of the content. Data of a task is a set, so the order inside it does not count."""
        return digest({"task": self.index, "new": sorted(self.new), "earlier": sorted(self.earlier)})


def cut(concepts: Sequence[str], tasks: int) -> tuple[Task, ...]:
    """Cut an ordered stream into tasks.

    Raises:
        ConfigError: there are more tasks than concepts.
    """
    if tasks > len(concepts):
        raise ConfigError(f"tasks: {tasks} given; the stream has {len(concepts)} concepts, one a task at least")
    short, longer = divmod(len(concepts), tasks)
    bounds = [t * short + min(t, longer) for t in range(tasks + 1)]
    return tuple(
        Task(index=t + 1, new=tuple(concepts[a:b]), earlier=tuple(concepts[:a]))
        for t, (a, b) in enumerate(itertools.pairwise(bounds))
    )
