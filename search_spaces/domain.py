"""What an axis of a search may be: one of some values, or a number within a range."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field, model_validator

from search_spaces.space import AXES, Scalar
from trainables.frozen import ConfigError, FieldError, Frozen, parse

LOGARITHMIC = ("lr", "weight_decay", "strength", "rank", "alpha", "batch_size", "steps", "buffer_size")
"""Axes that matter by their ratios: a range of them is searched on a logarithmic scale unless it says otherwise."""

_DIGITS = 4
"""Significant digits of a drawn number: finer differences would only make it hard to read."""


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Some values; `ordered` where neighbours are alike, as numbers are."""

    values: tuple[Scalar, ...]
    ordered: bool

    @property
    def ends(self) -> tuple[Scalar, Scalar]:
        """The first and the last value."""
        return self.values[0], self.values[-1]

    @property
    def middle(self) -> Scalar:
        """What stands for all of them: the first, as in a grid."""
        return self.values[0]

    @property
    def size(self) -> int | None:
        """How many values there are."""
        return len(self.values)

    def __iter__(self) -> Iterator[Scalar]:
        return iter(self.values)

    def __contains__(self, value: object) -> bool:
        return any(_same(value, one) for one in self.values)

    def index(self, value: Scalar) -> int:
        """The place of a value."""
        return next(i for i, one in enumerate(self.values) if _same(value, one))


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers from `low` to `high`, both included, evenly or `log`arithmically, in steps if there is a `step`."""

    low: float
    high: float
    log: bool
    step: float | None
    whole: bool

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest number."""
        return self.low, self.high

    @property
    def middle(self) -> float:
        """The number in the middle of the scale."""
        middle = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        return self.rounded(middle)

    @property
    def size(self) -> int | None:
        """How many numbers there are; None where they are without end."""
        step = 1.0 if self.whole and self.step is None else self.step
        return None if step is None else int((self.high - self.low) / step + 1e-9) + 1

    def __iter__(self) -> Iterator[float]:
        assert self.size is not None, "an endless range cannot be listed"
        step = self.step or 1
        return (self.rounded(self.low + i * step) for i in range(self.size))

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool) or not self.low <= value <= self.high:
            return False
        if self.size is None:
            return True
        places = (value - self.low) / (self.step or 1)
        return abs(places - round(places)) < 1e-6

    def rounded(self, number: float) -> float:
        """A drawn number as it is written: whole, on its step, or of four significant digits within the range."""
        if self.whole:
            step = int(self.step or 1)
            return int(self.low) + step * round((number - self.low) / step)
        if self.step is not None:
            return float(f"{self.low + self.step * round((number - self.low) / self.step):.12g}")
        return min(max(float(f"{number:.{_DIGITS}g}"), self.low), self.high)


Domain = Choices | Range


def domain(axis: str, value: Any, where: str) -> Domain:
    """What a user wrote for an axis: a value, a list of values, or a range {low, high, log, step}.

    Raises:
        ConfigError: it is neither, or an empty list or range.
    """
    if isinstance(value, Mapping) and axis != "arguments":
        return _range(axis, value, f"{where}.{axis}")
    values = value if isinstance(value, list) else [value]
    if not values:
        raise ConfigError(f"{where}.{axis}: an empty list; give at least one value or remove the axis")
    for one in values:
        if not isinstance(one, str | int | float | None) and not (axis == "arguments" and isinstance(one, Mapping)):
            raise ConfigError(f"{where}.{axis}: {one!r} given; a value, a list of values or {_SHAPE} is needed")
    distinct = tuple(one for i, one in enumerate(values) if not any(_same(one, other) for other in values[:i]))
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in distinct)
    return Choices(values=tuple(sorted(distinct)) if numbers else distinct, ordered=numbers)


_SHAPE = "a range such as {low: 1e-4, high: 1e-2}"


class _Written(Frozen):
    """A range as a user writes it."""

    low: float
    high: float
    log: bool | None = Field(default=None, description="whether ratios count: true, false")
    step: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _has_numbers(self) -> "_Written":
        if self.low >= self.high:
            raise FieldError("low", f"{self.low:g} and high: {self.high:g} given; low has to be below high")
        if self.log and self.low <= 0:
            raise FieldError("low", f"{self.low:g} given; above 0 on a logarithmic scale, or log: false")
        if self.log and self.step is not None:
            raise FieldError("log, step", "a logarithmic scale has no steps; give one of the two, or a list of values")
        return self


def _range(axis: str, value: Mapping[str, Any], where: str) -> Range:
    if AXES[axis].type not in (int, float):
        raise ConfigError(f"{where}: a range given; its values are no numbers ({AXES[axis].meaning}); give a list")
    written = parse(_Written, dict(value), source=where)
    whole = AXES[axis].type is int
    for name in ("low", "high", "step") if whole else ():
        number = getattr(written, name)
        if number is not None and not float(number).is_integer():
            raise ConfigError(f"{where}.{name}: {number:g} given; a whole number is needed")
    by_ratios = axis in LOGARITHMIC and written.low > 0 and written.step is None
    kind = int if whole else float
    return Range(
        low=kind(written.low),
        high=kind(written.high),
        log=by_ratios if written.log is None else written.log,
        step=written.step,
        whole=whole,
    )


def _same(one: object, other: object) -> bool:
    """Equal, where true is not 1 and 1 is 1.0."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other
