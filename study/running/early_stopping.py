"""Early stopping for two objectives: successive halving over the tasks of a stream.

After a task of `at` (a rung) a trial is compared with all trials of its block that have reached it before. It stops if
another one is at least as good in AKA and in AZS and better in one, and if it is not among the best share `keep` by
non-dominated sorting. A trial that nothing dominates is never stopped, since every such trial is a trade-off that
somebody may want.

That is asynchronous successive halving (ASHA, arXiv 1810.05934, in the form that stops trials and never waits for one)
with the ranks of MO-ASHA (arXiv 2106.12639): fronts first, within a front the order of an epsilon net (arXiv
2106.05680), which takes what lies farthest from all that it has. Two things differ: trials of other blocks, or of
streams with another number of tasks, are not compared; and what nothing dominates is kept, whatever the share.

A config that was stopped on one block is not compared any more, so on other blocks it is not started, and ends with the
next rung where it runs already. One that came to the end on a block is not stopped on others: there it would only meet
its equals, of which noise alone would stop half.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from study.definition.search import EarlyStopping

FloatArray = npt.NDArray[np.float64]


class Reached(NamedTuple):
    """What a trial scored after a task, as fractions."""

    trial: str
    config: str
    block: str
    tasks: int
    task: int
    aka: float
    azs: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a trial stops, and why."""

    stops: bool
    reason: str = ""


class Rungs:
    """What trials scored at the rungs, and who goes on.

    Args:
        settings: when trials are compared; None stops none.
        stopped: configs that were stopped, by id, with the block.
        finished: configs that came to the end on a block, by id.
    """

    def __init__(
        self, settings: EarlyStopping | None, stopped: Mapping[str, str], finished: Iterable[str] = ()
    ) -> None:
        self._settings = settings
        self._stopped, self._finished = dict(stopped), set(finished)
        self._points: dict[tuple[str, int, int], dict[str, tuple[float, float]]] = defaultdict(dict)

    def is_rung(self, one: Reached) -> bool:
        """Whether trials are compared after this task."""
        return self._settings is not None and one.task in self._settings.at and one.task < one.tasks

    def add(self, one: Reached) -> None:
        """Take up a trial of an earlier run that went on after this task."""
        if self.is_rung(one):
            self._points[one.block, one.tasks, one.task][one.trial] = one.aka, one.azs

    def finish(self, config: str) -> None:
        """Note that a config came to the end on a block."""
        self._finished.add(config)

    def stopped_elsewhere(self, config: str, block: str) -> bool:
        """Whether the config was stopped on another block."""
        return self._stopped.get(config, block) != block

    def decide(self, one: Reached) -> Verdict:
        """Decide whether a trial stops here; a trial that is tried again, and comes a second time, goes on."""
        if self._settings is None or not self.is_rung(one):
            return Verdict(stops=False)
        if self.stopped_elsewhere(one.config, one.block):
            return Verdict(stops=True, reason=f"its config was stopped on {self._stopped[one.config]}")
        points = self._points[one.block, one.tasks, one.task]
        if one.trial in points:
            return Verdict(stops=False)
        points[one.trial] = one.aka, one.azs
        if one.config in self._finished or len(points) < self._settings.least:
            return Verdict(stops=False)
        ahead, place = standing(list(points.values()), len(points) - 1)
        if not ahead or place < ceil(self._settings.keep * len(points)):
            return Verdict(stops=False)
        self._stopped[one.config] = one.block
        return Verdict(
            stops=True,
            reason=f"{ahead} of {len(points) - 1} trials of its block were ahead in AKA and AZS after task {one.task}",
        )


def standing(points: Sequence[tuple[float, float]], which: int) -> tuple[int, int]:
    """How many points dominate a given one, and the place of that one among all, from 0; high coordinates are good."""
    xy = np.asarray(points, dtype=float)
    own = xy[which]
    ahead = int(((xy >= own).all(axis=1) & (xy > own).any(axis=1)).sum())
    if not ahead:
        return 0, 0
    front_N = fronts(xy)
    rivals = np.flatnonzero(front_N == front_N[which])
    within = net_order(xy[rivals]).index(int(np.flatnonzero(rivals == which)[0]))
    return ahead, int((front_N < front_N[which]).sum()) + within


def fronts(points: FloatArray) -> npt.NDArray[np.int64]:
    """Non-domination rank of points (N, 2): 0 if nothing dominates a point, 1 if only points of rank 0 do, and so on.

    One pass from right to left: a point belongs to the first front whose highest point so far lies below it.
    """
    front_N = np.zeros(len(points), dtype=np.int64)
    lowest: list[float] = []  # minus the highest y of each front: rises from front to front
    before: tuple[float, float] | None = None
    rank = 0
    for i in np.lexsort((-points[:, 1], -points[:, 0])).tolist():
        x, y = points[i].tolist()
        if (x, y) != before:  # equal points do not dominate each other
            rank = bisect_right(lowest, -y)
            lowest[rank : rank + 1] = [-y]
        before = x, y
        front_N[i] = rank
    return front_N


def net_order(points: FloatArray) -> list[int]:
    """The order in which an epsilon net takes points (N, 2): the rightmost first, then the farthest from the net."""
    first = int(np.lexsort((-points[:, 1], -points[:, 0]))[0])
    order, distance_N = [first], np.linalg.norm(points - points[first], axis=1)
    while len(order) < len(points):
        distance_N[order] = -1.0
        order.append(int(np.argmax(distance_N)))
        distance_N = np.minimum(distance_N, np.linalg.norm(points - points[order[-1]], axis=1))
    return order
