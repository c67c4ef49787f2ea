"""A search space: axes with their domains, drawn one after the other, as far as they apply.

A space is written like a product of a grid, and a list of them like a grid. What decides about other axes is drawn
first (method, timeline, rule, ...), and an axis that does not apply then is not drawn at all, so that a sampler never
sees a number that has no effect.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from search_spaces.domain import Choices, Domain, domain
from search_spaces.space import AXES, Scalar, applies, build, require_known
from trainables.config import TrialConfig
from trainables.frozen import ConfigError
from trainables.workloads.settings import WorkloadSettings

_DECIDING = (
    *("method", "penalty", "projection"),
    *("timeline", "start", "serve", "rule", "lines"),
    *("schedule", "ordering", "buffer_size"),
)
"""Axes that say which others apply; each comes after those that decide about it."""

_ORDER = (*_DECIDING, *(name for name in AXES if name not in _DECIDING))
_ANCHORS = ("joint", "zeroshot")

SPACE = "space"
"""The name under which a sampler chooses between spaces."""

LARGEST_LISTED = 20_000
"""Points up to which a space is listed to find those that are left."""

Draw = Callable[[str, Domain], Scalar]
"""Chooses a value of a domain, by the name of the choice."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A place in a search space.

    Attributes:
        values: of all axes that the space names and that apply, also of those with a single value.
        drawn: of these the ones that there was a choice of, by the name that a sampler knows the choice under.
    """

    values: Mapping[str, Scalar]
    drawn: Mapping[str, Scalar]


class SearchSpace:
    """The union of some spaces.

    Args:
        spaces: axis name -> value, list of values, or range.
        fixed: axis values that hold in every space unless it says otherwise.
        workload: what all trials train.
        source: name of the file, for messages.

    Raises:
        ConfigError: an unknown axis, a value or a range that cannot be, or nothing to search.
    """

    def __init__(
        self,
        spaces: Sequence[Mapping[str, Any]],
        *,
        fixed: Mapping[str, Scalar],
        workload: WorkloadSettings,
        source: str,
    ) -> None:
        self._source, self._fixed, self._workload = source, fixed, workload
        require_known(fixed, f"{source}: fixed")
        self._spaces: list[dict[str, Domain]] = []
        for i, space in enumerate(spaces):
            where = self._where(i)
            require_known(space, where)
            _require_no_anchor(space.get("method"), where)
            if "dataset" in space:
                raise ConfigError(
                    f"{where}.dataset: configs that train on different data cannot be compared; give it one value, "
                    "under fixed"
                )
            domains = {name: domain(name, value, where) for name, value in space.items()}
            self._spaces.append({name: domains[name] for name in _ORDER if name in domains})
        if not any(one.size != 1 for space in self._spaces for one in space.values()) and len(self._spaces) < 2:
            raise ConfigError(
                f"{source}: search.spaces: there is nothing to search, for no axis has a choice; give one a list of "
                "values or a range such as lr: {low: 1e-4, high: 1e-2}, or write a grid"
            )

    @cached_property
    def choices(self) -> Mapping[str, Domain]:
        """What a sampler chooses from, by name. Axes of several spaces that range over the same have one name."""
        found: dict[str, Domain] = {}
        if len(self._spaces) > 1:
            found[SPACE] = Choices(values=tuple(range(len(self._spaces))), ordered=False)
        for i, space in enumerate(self._spaces):
            found |= {self._name(i, axis): one for axis, one in space.items() if one.size != 1}
        return found

    def draw(self, choose: Draw) -> Point:
        """A point, by one choice after the other."""
        i = int(str(choose(SPACE, self.choices[SPACE]))) if SPACE in self.choices else 0
        return self._walk(i, lambda axis, one: choose(self._name(i, axis), one))

    def point_of(self, values: Mapping[str, Scalar]) -> Point | None:
        """The point with these values and no others, if the space has it."""
        return next((point for point in self.points_with(values) if point.values == values), None)

    def points_with(self, values: Mapping[str, Scalar]) -> Iterator[Point]:
        """Points whose choices have these values, whatever other axes are; one of each space at most."""
        for i in range(len(self._spaces)):
            try:
                yield self._walk(i, partial(_looked_up, values))
            except LookupError:
                continue

    def config(self, values: Mapping[str, Scalar]) -> TrialConfig:
        """The config of a point's values; block (0, 0).

        Raises:
            ConfigError: they make none.
        """
        return build({**self._fixed, **values}, workload=self._workload, source=f"{self._source}: search")[0]

    @property
    def first(self) -> Point:
        """What the joint anchor is like, where nothing says so: first values of lists, the middle of ranges."""
        return self._walk(0, lambda _, one: one.middle)

    @cached_property
    def size(self) -> int | None:
        """How many points there are; None where they are without end, or more than can be listed."""
        count = sum(1 for _ in itertools.islice(self.points(), LARGEST_LISTED + 1))
        return count if 0 < count <= LARGEST_LISTED else None

    def points(self) -> Iterator[Point]:
        """All points; none of a space without end."""
        if not any(one.size is None for space in self._spaces for one in space.values()):
            for i in range(len(self._spaces)):
                yield from self._listed(i, lambda _, one: list(one))

    def probes(self) -> Iterator[Point]:
        """A few points that show what the space holds.

        Every choice that decides about other axes is there with the first and the last values of these, and every
        value of a list somewhere.
        """
        for i in range(len(self._spaces)):
            yield from self._probes(i)

    def check(self) -> None:
        """Look at the probes.

        Raises:
            ConfigError: a value is not allowed, or an axis applies nowhere.
        """
        everywhere: set[str] = set()
        for i, space in enumerate(self._spaces):
            where, applied = self._where(i), set[str]()
            for point in self._probes(i):
                _, used = build({**self._fixed, **point.values}, workload=self._workload, source=where)
                applied |= used
            for name in space.keys() - applied:
                raise ConfigError(
                    f"{where}.{name}: applies to no config of this space ({AXES[name].meaning}); remove it"
                )
            everywhere |= applied
        for name in self._fixed.keys() - everywhere:
            raise ConfigError(
                f"{self._source}: fixed.{name}: applies to no config of the search ({AXES[name].meaning}); remove it"
            )

    def _walk(self, i: int, choose: Draw) -> Point:
        """A point of one space; the choices are made by the names of the axes."""
        drawn: dict[str, Scalar] = {SPACE: i} if SPACE in self.choices else {}
        values: dict[str, Scalar] = {}
        for axis, one in self._spaces[i].items():
            if self._applies(axis, i, values):
                values[axis] = one.middle if one.size == 1 else choose(axis, one)
                if one.size != 1:
                    drawn[self._name(i, axis)] = values[axis]
        return Point(values=values, drawn=drawn)

    def _listed(self, i: int, values_of: Callable[[str, Domain], Sequence[Scalar]]) -> Iterator[Point]:
        """All points of a space whose axes keep to some values."""
        chosen: list[tuple[int, int]] = []  # which of how many values each axis that applies has
        while True:
            taken = 0

            def choose(axis: str, one: Domain) -> Scalar:
                nonlocal taken
                values = values_of(axis, one)
                if taken == len(chosen):
                    chosen.append((0, len(values)))
                taken += 1
                return values[chosen[taken - 1][0]]

            yield self._walk(i, choose)
            while chosen and chosen[-1][0] + 1 == chosen[-1][1]:
                chosen.pop()
            if not chosen:
                return
            at, count = chosen.pop()
            chosen.append((at + 1, count))

    def _probes(self, i: int) -> Iterator[Point]:
        for end in (0, 1):
            yield from self._listed(i, partial(_probed, end))
        for axis, one in self._spaces[i].items():
            for value in one.values[1:-1] if isinstance(one, Choices) and axis not in _DECIDING else ():
                found = self._listed(i, partial(_probed_with, axis, value))
                yield from itertools.islice((point for point in found if axis in point.values), 1)

    def _where(self, i: int) -> str:
        return f"{self._source}: search.spaces[{i}]"

    def _applies(self, axis: str, i: int, values: Mapping[str, Scalar]) -> bool:
        return applies(axis, {**self._fixed, **values}, self._where(i))

    def _name(self, i: int, axis: str) -> str:
        """The name of a choice: its axis, and its space where others have another domain for it."""
        one = self._spaces[i][axis]
        others = (space[axis] for space in self._spaces if axis in space)
        return axis if all(other == one or other.size == 1 for other in others) else f"{axis} of space {i}"


def _looked_up(values: Mapping[str, Scalar], axis: str, one: Domain) -> Scalar:
    value = values.get(axis)
    if value is None and value not in one:
        value = "none"
    if value not in one:
        raise LookupError(axis)
    return value


def _probed(end: int, axis: str, one: Domain) -> Sequence[Scalar]:
    """All values of what decides about other axes, of others the first or the last."""
    if axis not in _DECIDING:
        return [one.ends[end]]
    return one.values if isinstance(one, Choices) else one.ends


def _probed_with(wanted: str, value: Scalar, axis: str, one: Domain) -> Sequence[Scalar]:
    return [value] if axis == wanted else _probed(0, axis, one)


def _require_no_anchor(method: object, where: str) -> None:
    for name in method if isinstance(method, list) else [method]:
        if name in _ANCHORS:
            raise ConfigError(
                f"{where}.method: {name} is an anchor and no method to search for; remove it: every study has the "
                "zero-shot point, and the key `joint` says how the joint anchor is trained"
            )
