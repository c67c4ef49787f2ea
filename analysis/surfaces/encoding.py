"""Axes of configs as numbers for regressions: only those that apply to all of some configs, and vary among them.

Numeric axes stand on their natural scale between 0 and 1: the logarithm for the learning rate, the rank and whatever is
positive and spans more than a decade, as it is for the rest. Anything else is one column a value. An axis that another
one decides (the `start` of a named timeline, the `alpha` that follows the rank) is no axis of its own: it goes along.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.arrays import FloatArray
from analysis.configs import AxisValue, Config

LOGARITHMIC = frozenset({"lr", "rank"})
LINEAR = frozenset({"w"})
DECADE = 10.0
REPEATED = 2.0
"""Configs per value from which on an axis counts as a grid; with fewer, its values were drawn from a range."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """An axis with its tested values, numbers rising; `along` are axes that it decides.

    `drawn` says that its values were drawn from a range, and are not the few of a grid.
    """

    name: str
    levels: tuple[AxisValue, ...]
    scale: Literal["linear", "log", "choice"]
    drawn: bool
    along: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.levels) if self.scale == "choice" else 1

    def natural(self, values: Sequence[AxisValue]) -> FloatArray:
        """Numbers (N,) on the natural scale."""
        numbers = np.array([_number(value) for value in values])
        return np.log(numbers) if self.scale == "log" else numbers

    def code(self, values: Sequence[AxisValue]) -> FloatArray:
        """Values as columns (N, width), tested ones between 0 and 1."""
        if self.scale == "choice":
            return np.array([float(value == level) for value in values for level in self.levels]).reshape(
                -1, self.width
            )
        low, high = self.natural((self.levels[0], self.levels[-1]))
        return np.asarray((self.natural(values) - low) / (high - low))[:, np.newaxis]

    def draw(self, uniform_N: FloatArray) -> FloatArray:
        """Columns (N, width) of values drawn by numbers from [0, 1): tested ones, or any of the range if `drawn`."""
        if self.drawn:
            return np.asarray(uniform_N, dtype=float)[:, np.newaxis]
        rows = np.minimum((np.asarray(uniform_N) * len(self.levels)).astype(int), len(self.levels) - 1)
        return np.asarray(self.code(self.levels)[rows])


def axes_of(configs: Sequence[Config]) -> tuple[Axis, ...]:
    """The axes that vary among some configs and apply to all of them; one that is switched off has the value None."""
    found: dict[str, tuple[list[AxisValue], tuple[str, ...]]] = {}
    for name in configs[0].axes if configs else ():
        column = [config.axes[name] for config in configs]
        if len(set(column)) < 2 or (None in column and not configs[0].roles.is_switch(name)):
            continue
        leader = next((other for other, (values, _) in found.items() if _decides(values, column)), None)
        if leader is None:
            found[name] = (column, ())
        else:
            found[leader] = (found[leader][0], (*found[leader][1], name))
    return tuple(_axis(name, column, along) for name, (column, along) in found.items())


def encode(axes: Sequence[Axis], configs: Sequence[Config]) -> FloatArray:
    """Configs as rows, the columns of the axes side by side."""
    columns = [axis.code([config.axes[axis.name] for config in configs]) for axis in axes]
    return np.hstack([np.empty((len(configs), 0)), *columns])


def crossed(axes: Sequence[Axis], configs: Sequence[Config]) -> tuple[float, tuple[str, str] | None]:
    """The least share of pairs of values that were tested together, over pairs of axes, and which pair that is.

    Effects of two axes can only be told apart where they vary independently. Axes drawn from ranges do by design.
    """
    grid = [axis for axis in axes if not axis.drawn]
    worst: tuple[float, tuple[str, str] | None] = (1.0, None)
    for i, left in enumerate(grid):
        for right in grid[i + 1 :]:
            together = {(config.axes[left.name], config.axes[right.name]) for config in configs}
            share = len(together) / (len(left.levels) * len(right.levels))
            if share < worst[0]:
                worst = (share, (left.name, right.name))
    return worst


def _axis(name: str, column: Sequence[AxisValue], along: tuple[str, ...]) -> Axis:
    levels = set(column)
    drawn = len(column) < REPEATED * len(levels)
    if any(value is None or isinstance(value, str | bool) for value in levels):
        ordered = tuple(sorted(levels, key=lambda value: (value is not None, str(value))))
        return Axis(name=name, levels=ordered, scale="choice", drawn=False, along=along)
    numbers = tuple(sorted(levels, key=_number))
    low, high = _number(numbers[0]), _number(numbers[-1])
    logarithmic = low > 0 and name not in LINEAR and (name in LOGARITHMIC or high > DECADE * low)
    return Axis(name=name, levels=numbers, scale="log" if logarithmic else "linear", drawn=drawn, along=along)


def _decides(leader: Sequence[AxisValue], column: Sequence[AxisValue]) -> bool:
    """Whether one axis decides another: each value of the leader comes with one value of the column.

    Between numbers this must hold both ways. Where hardly a value of the leader occurs twice, it holds by chance, so
    only numbers in proportion count there.
    """
    levels, pairs = len(set(leader)), set(zip(leader, column, strict=True))
    if len(pairs) != levels:
        return False
    if len(column) < REPEATED * levels:
        return _in_proportion(pairs)
    return any(isinstance(value, str) for value in leader) or len(set(column)) == levels


def _in_proportion(pairs: set[tuple[AxisValue, AxisValue]]) -> bool:
    if any(isinstance(value, str | bool | None) or value == 0 for pair in pairs for value in pair):
        return False
    return len({round(_number(right) / _number(left), 9) for left, right in pairs}) == 1


def _number(value: AxisValue) -> float:
    assert isinstance(value, int | float)
    return float(value)
