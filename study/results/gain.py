"""The gain while a study runs: retention above the line from the zero-shot to the joint point at equal accumulation.

    gain = AZS - (AZS_Z + (AZS_J - AZS_Z) / (AKA_J - AKA_Z) * (AKA - AKA_Z)),  fractions (arXiv 2408.14471)

The report has the same number with its interval; here is what status, trackers and exports show of it at once, and
which configs are ahead by it; by GM as long as there is no line to take a gain from.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from study.planning.plan import Plan, PlannedStep
from study.planning.trials import JOINT
from trainables.metrics import Summary

MIN_LEARNED = 0.01
"""AKA that joint training must at least gain for a line to mean something, as in the report."""

Read = Callable[[str], Summary | None]
"""From a key of scores to what it says; None where the store has none."""

Suite = Literal["path", "end"]
"""What points of a trial are scored on: "path" is what every task is, "end" all test images where only ends are."""


class Line(NamedTuple):
    """The line through two points (AKA, AZS)."""

    zero_shot: tuple[float, float]
    joint: tuple[float, float]

    def gain(self, aka: float, azs: float) -> float:
        """Retention above the line, a fraction."""
        (x, y), (joint_x, joint_y) = self.zero_shot, self.joint
        return azs - (y + (joint_y - y) / (joint_x - x) * (aka - x))


@dataclass(frozen=True, kw_only=True)
class Anchors:
    """The zero-shot point, and the joint point of every block that has finished it."""

    zero_shot: Mapping[str, Summary]
    joint: Mapping[str, Summary]

    def line(self, blocks: Collection[str]) -> Line | None:
        """The line of means over blocks; None while a block lacks a point, or if joint training learned nothing."""
        if not blocks or not all(block in self.zero_shot and block in self.joint for block in blocks):
            return None
        zero_shot, joint = (mean([points[block] for block in blocks]) for points in (self.zero_shot, self.joint))
        if joint.aka - zero_shot.aka < MIN_LEARNED:
            return None
        return Line(zero_shot[:2], joint[:2])


def anchors(plan: Plan, read: Read, suite: Suite) -> Anchors:
    """Read the anchors as far as the store has them; of several joint configs, the one that learned the most counts."""
    zero_shot: dict[str, Summary] = {}
    joint: dict[str, dict[str, Summary]] = {}
    for planned in plan.trials:
        block = planned.trial.block
        if block not in zero_shot and (first := read(key_of(planned.steps[0], suite))) is not None:
            zero_shot[block] = first
        if planned.trial.method == JOINT and (last := read(key_of(planned.steps[-1], suite))) is not None:
            joint.setdefault(planned.trial.config_id, {})[block] = last
    best = max(joint.values(), key=lambda points: (len(points), mean(points.values()).aka), default={})
    return Anchors(zero_shot=zero_shot, joint=best)


def key_of(step: PlannedStep, suite: Suite) -> str:
    """The key of a step's scores."""
    return step.full if suite == "end" and step.full is not None else step.scores


def mean(points: Iterable[Summary]) -> Summary:
    """The mean of each of AKA, AZS and GM."""
    rows = list(points)
    return Summary(*(math.fsum(column) / len(rows) for column in zip(*rows, strict=True)))


# -- who is ahead ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A finished trial: its id, its config in words and by id, its block and its end."""

    trial: str
    config: str
    config_id: str
    block: str
    end: Summary


@dataclass(frozen=True, kw_only=True)
class Best:
    """A config with its means over the blocks that have finished; fractions, the gain in points.

    `trial` is the first of its trials. The gain is None while an anchor lacks one of the blocks.
    """

    config: str
    config_id: str
    trial: str
    aka: float
    azs: float
    gm: float
    gain: float | None
    blocks: int


def ranked(finished: Iterable[Finished], anchors: Anchors) -> list[Best]:
    """The configs on the most blocks, best first: configs are compared on equally many."""
    groups: dict[str, list[Finished]] = defaultdict(list)
    for one in finished:
        groups[one.config_id].append(one)
    complete = max(map(len, groups.values()), default=0)
    rows = [_best(group, anchors) for group in groups.values() if len(group) == complete]
    by_gain = all(row.gain is not None for row in rows)
    return sorted(rows, key=lambda row: row.gain if by_gain and row.gain is not None else row.gm, reverse=True)


def _best(group: list[Finished], anchors: Anchors) -> Best:
    end = mean(one.end for one in group)
    line = anchors.line([one.block for one in group])
    return Best(
        config=group[0].config,
        config_id=group[0].config_id,
        trial=group[0].trial,
        gain=None if line is None else 100 * line.gain(end.aka, end.azs),
        blocks=len(group),
        **end._asdict(),
    )
