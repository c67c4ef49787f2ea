"""What a search knows: its suggestions in their order, what came of them, and configs of earlier studies."""

import json
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from search_spaces.search import Point, SearchSpace
from search_spaces.space import Scalar
from study.definition.search import Search
from study.planning.searched import Suggested
from study.results.gain import Line
from study.search.frontier import FloatArray
from study.search.outcomes import Outcomes, values_of
from study.search.sampler import Told
from study.search.warm_start import Warm
from trainables.metrics import Summary

INVALID = "invalid"
"""The constraint that a suggestion breaks which makes no config."""


class Entry(NamedTuple):
    """A config that keeps the constraints: its id, and its objectives (blocks, objectives) on the blocks it has."""

    config: str
    values: FloatArray


class Memory:
    """Suggestions, and what came of them.

    Args:
        search: what is searched for.
        space: where.
        outcomes: of the trials.
        suggested: in the order of suggestion.
        warm: configs of earlier studies.
    """

    def __init__(
        self,
        search: Search,
        space: SearchSpace,
        outcomes: Outcomes,
        suggested: Sequence[Suggested],
        warm: Sequence[Warm],
    ) -> None:
        self._search, self._space, self._outcomes = search, space, outcomes
        self.suggested = list(suggested)
        self.warm = {one.config: one for one in warm}
        self._excesses: dict[str, Mapping[str, float]] = {}
        self._found: dict[str, Point | None] = {}

    @property
    def number(self) -> int:
        """The number of the next suggestion."""
        return len(self.suggested)

    def earlier(self, config: str) -> Suggested | None:
        """The first suggestion of a config, which may be none (an empty id)."""
        return next((one for one in self.suggested if one.id == config), None)

    def costs_more(self, config: str, excesses: Mapping[str, float]) -> None:
        """Note by how much a config exceeds each bound on its cost."""
        self._excesses[config] = excesses

    def history(self, line: Line | None) -> list[Told]:
        """What a sampler is told: earlier studies, then suggestions in their order."""
        told = [self._done(warm.point, config, warm.ends, warm.starts, line, 0) for config, warm in self.warm.items()]
        for one in self.suggested:
            point = self._point_of(one)
            if point is not None and one.id not in self.warm:  # not of a space that was larger, nor told already
                told.append(self._told(point, one, line))
        return told

    def entries(self, line: Line | None) -> list[Entry]:
        """Configs that keep the constraints and can be compared: those of earlier studies, then others as suggested."""
        if self._lacks(line):
            return []
        ends = {config: (warm.ends, warm.starts) for config, warm in self.warm.items()}
        for one in self.suggested:
            outcome = self._outcomes.of(one.id)
            if outcome.state == "done":
                ends[one.id] = outcome.ends, outcome.starts
        return [
            Entry(config, values_of(end, self._search.objectives, line))
            for config, (end, start) in ends.items()
            if all(excess <= 0 for excess in self._broken(config, end, start).values())
        ]

    def concluded(self) -> list[str]:
        """Suggested configs whose trials on the first blocks have all ended, each once, in their order."""
        found = dict.fromkeys(one.id for one in self.suggested if one.runs)
        return [config for config in found if self._outcomes.of(config).state != "running"]

    def has_failed(self, count: int) -> bool:
        """Whether the last `count` configs of the space that ended have all failed."""
        own = {one.id for one in self.suggested if self._point_of(one) is not None}
        latest = [config for config in self.concluded() if config in own][-count:]
        return len(latest) == count and all(self._outcomes.of(config).state == "failed" for config in latest)

    def left(self) -> list[Point]:
        """Points of a finite space that neither this search nor earlier studies have tried."""
        known = {_key(one.suggestion.values) for one in self.suggested}
        known |= {_key(warm.point.values) for warm in self.warm.values()}
        return [point for key, point in self.points.items() if key not in known]

    @cached_property
    def points(self) -> Mapping[str, Point]:
        """All points of a finite space, by key; empty for an infinite space."""
        return {_key(point.values): point for point in self._space.points()} if self._space.size else {}

    def _point_of(self, one: Suggested) -> Point | None:
        key = _key(one.suggestion.values)
        if key not in self._found:
            self._found[key] = self._space.point_of(one.suggestion.values)
        return self._found[key]

    def _told(self, point: Point, one: Suggested, line: Line | None) -> Told:
        refused = one.suggestion.refused
        if refused:
            return Told(point=point, state="failed" if INVALID in refused else "pruned", constraints=refused)
        outcome = self._outcomes.of(one.id)
        generation = one.suggestion.generation
        match outcome.state:
            case "done":
                return self._done(point, one.id, outcome.ends, outcome.starts, line, generation)
            case "pruned":
                return Told(point=point, state="pruned", constraints={"stopped": outcome.left})
            case state:
                return Told(point=point, state=state, generation=generation)

    def _done(
        self,
        point: Point,
        config: str,
        ends: Sequence[Summary],
        starts: Sequence[Summary],
        line: Line | None,
        generation: int | None,
    ) -> Told:
        """What a sampler is told of a finished config: its means over the first blocks, which all configs have."""
        if self._lacks(line):
            return Told(point=point, state="running", generation=generation)
        values = values_of(ends[: self._search.first_blocks], self._search.objectives, line).mean(axis=0)
        return Told(
            point=point,
            state="done",
            values=tuple(values.tolist()),
            constraints=self._broken(config, ends, starts),
            generation=generation,
        )

    def _broken(self, config: str, ends: Sequence[Summary], starts: Sequence[Summary]) -> dict[str, float]:
        """How far a config breaks each constraint, by its means over the first blocks."""
        broken = dict(self._excesses.get(config, {}))
        most, first = self._search.constraints.retention_loss, self._search.first_blocks
        if most is not None:
            losses = [start.azs - end.azs for start, end in zip(starts[:first], ends[:first], strict=True)]
            broken["retention_loss"] = math.fsum(losses) / len(losses) - most
        return broken

    def _lacks(self, line: Line | None) -> bool:
        return line is None and "gain" in self._search.objectives


def _key(values: Mapping[str, Scalar]) -> str:
    return json.dumps(dict(values), sort_keys=True)
