"""The weights that a process keeps in memory, so that what it has just made or read is not read again."""

from collections import Counter, OrderedDict
from typing import NamedTuple

from torch import Tensor

from trainables.workloads.workload import State

LEAST = 4
"""Weights that are kept however large they are: a task's start, its update, what is then served, and the base.

A cycle that kept fewer would read them anew in every task, and would merge whole chains again.
"""


class Built(NamedTuple):
    """The weights of a node, and the carry that its update left for later ones."""

    state: State
    carry: State


class Recent:
    """The weights that were used last, by the keys of their nodes, in a bounded number of bytes.

    A tensor that several weights have in common, as updates have with their start, is counted once.

    Args:
        most_bytes: beyond these only `LEAST` weights are kept.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[str, Built] = OrderedDict()
        self._holders: Counter[int] = Counter()
        self.bytes = 0

    def __contains__(self, key: str) -> bool:
        return key in self._kept

    def get(self, key: str) -> Built | None:
        """The weights of a node, which then count as used last; None if they are not kept."""
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def put(self, key: str, built: Built) -> None:
        """Keep the weights of a node, and let go of those that were used longest ago."""
        if key in self._kept:
            self._drop(key)
        self._kept[key] = built
        for tensor in _tensors(built):
            self.bytes += 0 if self._holders[id(tensor)] else tensor.nbytes
            self._holders[id(tensor)] += 1
        while self.bytes > self._most and len(self._kept) > LEAST:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: str) -> None:
        for tensor in _tensors(self._kept.pop(key)):
            self._holders[id(tensor)] -= 1
            if not self._holders[id(tensor)]:
                del self._holders[id(tensor)]
                self.bytes -= tensor.nbytes


def _tensors(built: Built) -> list[Tensor]:
    return [*built.state.values(), *built.carry.values()]
