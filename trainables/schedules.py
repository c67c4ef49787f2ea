"""Learning-rate schedules: pure functions of the step that return a factor of the peak rate.

A schedule has a shape within a task and, as a meta-schedule, looks back at the steps of earlier tasks to lower the
peak that a task warms up to. Tasks may differ in their steps. Sources: arXiv 2408.14471, section 6.1 and appendix;
cosine 1608.03983, eq. 5; reciprocal square root (rsqrt) 2106.04560, section 3.5.

Deviations from the code of 2408.14471, where rsqrt ends on a step of rate 0, cools down from a curve that goes on
falling, divides by zero without warm-up, and jumps up after the warm-up in its continued form: here the last step still
moves, the line begins at the value where the cooldown begins, W is at least 1, and the continued form is continuous.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from trainables.frozen import FieldError, Frozen, OneOf


@dataclass(frozen=True, kw_only=True)
class ScheduleRow:
    """A named schedule.

    Attributes:
        within: the schedule of a task that has nothing to look back at.
        peak: the curve that gives a meta-schedule its peaks: one cosine or one rsqrt over all tasks so far, or the
            rsqrt of the first task; None where a peak is that of the task alone.
        goes_on: whether a task goes on along that curve, rather than start `within` from its peak.
    """

    within: Literal["cosine", "rsqrt", "constant"]
    peak: Literal["one cosine", "one rsqrt", "first rsqrt"] | None = None
    goes_on: bool = False

    @property
    def settings(self) -> tuple[str, ...]:
        """The settings that not all schedules have; a meta-schedule sets its peaks itself."""
        return (*(("peaks",) if self.peak is None else ()), *(("cooldown",) if self.within == "rsqrt" else ()))


SCHEDULES: dict[str, ScheduleRow] = {
    "cosine": ScheduleRow(within="cosine"),
    "rsqrt": ScheduleRow(within="rsqrt"),
    "constant": ScheduleRow(within="constant"),
    "autoregressive_cosine": ScheduleRow(within="cosine", peak="one cosine"),
    "autoregressive_cosine_continued": ScheduleRow(within="cosine", peak="one cosine", goes_on=True),
    "autoregressive_rsqrt": ScheduleRow(within="rsqrt", peak="one rsqrt"),
    "matched_rsqrt": ScheduleRow(within="rsqrt", peak="first rsqrt"),
    "continued_rsqrt": ScheduleRow(within="rsqrt", peak="first rsqrt", goes_on=True),
}


class Schedule(Frozen):
    """The learning rate over the steps of one task, as factors of the peak; a setting that a schedule lacks is None.

    The first three names know one task alone. The others are meta-schedules: they lower the peak of later tasks, as one
    schedule over all tasks would, or go on with one.
    """

    name: Annotated[str, OneOf(SCHEDULES)] = "cosine"
    warmup: float = Field(default=0.1, ge=0, lt=1, description="share of the steps that warm up linearly")
    cooldown: float | None = Field(
        default=None, ge=0, lt=1, description="share of the steps that cool down linearly, of rsqrt (0.1)"
    )
    final: float = Field(default=1e-3, ge=0, le=1, description="factor that the rate never falls below but to warm up")
    peaks: str | None = Field(
        default=None, description='factor of lr in each task, such as "1, 0.5, 0.25", of cosine, rsqrt and constant'
    )

    @model_validator(mode="before")
    @classmethod
    def _with_cooldown(cls, value: Any) -> Any:
        row = SCHEDULES.get(str(value.get("name"))) if isinstance(value, dict) else None
        if row is not None and "cooldown" in row.settings:
            return {"cooldown": 0.1, **{key: one for key, one in value.items() if one is not None}}
        return value

    @field_validator("peaks")
    @classmethod
    def _canonical_peaks(cls, value: str | None) -> str | None:
        return canonical_factors(value)

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        for setting in ("cooldown", "peaks"):
            if getattr(self, setting) is not None and setting not in self.row.settings:
                having = ", ".join(name for name, row in SCHEDULES.items() if setting in row.settings)
                raise FieldError(setting, f"the schedule {self.name} takes none; those that do: {having}")
        if min(self.peak_factors, default=1.0) < self.final:
            raise FieldError("peaks", f"{self.peaks} given; each is a factor of lr, {self.final:g} at least (final)")
        return self

    @property
    def row(self) -> ScheduleRow:
        """The row of `SCHEDULES` that the schedule names."""
        return SCHEDULES[self.name]

    @property
    def peak_factors(self) -> tuple[float, ...]:
        """The given peaks by task, or an empty tuple."""
        return () if self.peaks is None else read_factors(self.peaks)

    @property
    def looks_back(self) -> bool:
        """Whether the steps of earlier tasks count."""
        return self.row.peak is not None

    def of_task(self, index: int) -> "Schedule":
        """The schedule that one task sees (from 1), with its own peak alone."""
        if self.looks_back and index == 1:  # nothing to look back at yet
            return self.model_copy(update={"name": self.row.within})
        if self.peaks is None:
            return self
        peak = self.peak_factors[index - 1]
        return self.model_copy(update={"peaks": None if peak == 1 else f"{peak:.12g}"})


def read_factors(text: str) -> tuple[float, ...]:
    """The factors in a text such as "1, 0.5, 0.25", one for each task.

    Raises:
        ValueError: the text is something else, or a factor is out of range.
    """
    try:
        numbers = tuple(float(one) for one in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or not all(0 < one <= _LARGEST_FACTOR for one in numbers):
        raise ValueError(f'allowed: above 0 to {_LARGEST_FACTOR}, one for each task, such as "1, 0.5, 0.25"')
    return numbers


def canonical_factors(text: str | None) -> str | None:
    """The one spelling of factors, or None where all are 1 and change nothing."""
    numbers = () if text is None else read_factors(text)
    return ", ".join(f"{one:.12g}" for one in numbers) if set(numbers) - {1.0} else None


_LARGEST_FACTOR = 1000


# -- factors of a step -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Span:
    """The number of steps of one task: of all, of those that warm up, and of those that cool down."""

    steps: int
    warm: int
    cool: int

    @property
    def body(self) -> int:
        """The number of steps after the warm-up."""
        return self.steps - self.warm


def factor(schedule: Schedule, *, step: int, steps: int, earlier: Sequence[int] = ()) -> float:
    """Factor of the peak learning rate at a step of a task.

    Linear warm-up to the task's peak over W = ceil(warmup * N) of N steps, (n + 1) / W; then the shape of the schedule.

    Args:
        schedule: what to follow; its `peaks` hold the peak of this task alone, or none.
        step: n, from 0.
        steps: N, of this task.
        earlier: the steps of all earlier tasks; schedules that do not look back need none.
    """
    own, past = span(schedule, steps), [span(schedule, one) for one in earlier]
    shape = _SHAPES[schedule.row.within, schedule.row.goes_on]
    peak = _peak(schedule, own, past)
    if step < own.warm:
        return peak * (step + 1) / own.warm
    return shape(schedule, step, peak, own, past)


def span(schedule: Schedule, steps: int) -> Span:
    """The parts of a task's steps; the cooldown is cut where both do not fit."""
    # Rounding of floating point must not add a step: .07 * 100 is 7.000000000000001.
    warm = math.ceil(schedule.warmup * steps - 1e-9)
    cool = math.ceil((schedule.cooldown or 0.0) * steps - 1e-9)
    return Span(steps=steps, warm=warm, cool=min(cool, max(0, steps - warm - 1)))


def scaled(lr: float, *, batch_size: int, reference: int, rule: str) -> tuple[float, str]:
    """A learning rate carried over to another batch size, and a sentence that says so.

    Args:
        lr: peak learning rate, chosen at a batch of `reference` samples.
        batch_size: samples per step that will be used.
        reference: samples per step that `lr` belongs to.
        rule: "linear" (arXiv 1706.02677) or "sqrt" (1404.5997, section 5), of the ratio of the two.
    """
    ratio = batch_size / reference
    by = ratio if rule == "linear" else math.sqrt(ratio)
    return lr * by, f"lr {lr:g} at batch {reference} became {lr * by:.4g} at batch {batch_size} ({rule} scaling)"


# -- peaks -------------------------------------------------------------------------------------------------------------


def _peak(schedule: Schedule, own: Span, past: Sequence[Span]) -> float:
    if schedule.peaks is not None:
        return schedule.peak_factors[0]
    if not past or schedule.row.peak is None:
        return 1.0
    return _above(schedule, _PEAKS[schedule.row.peak](own, past))


def _half_cosine(done: int, of: int) -> float:
    # A task of warm-up steps alone has no body to fall over.
    return (1 + math.cos(math.pi * (done / of))) / 2 if of else 1.0


def _of_one_cosine(own: Span, past: Sequence[Span]) -> float:
    """The value that one cosine over all tasks so far has right after the warm-up of this task."""
    done = sum(one.body for one in past)
    return _half_cosine(min(done + 1, done + own.body), done + own.body)


def _of_one_rsqrt(own: Span, past: Sequence[Span]) -> float:
    """The value that one rsqrt over all tasks so far has right after the warm-up of this task.

    Its own warm-up is as long as those of all tasks together.
    """
    warm = max(1, sum(one.warm for one in [*past, own]))
    return math.sqrt(warm / max(warm, sum(one.steps for one in past) + own.warm))


def _of_first_rsqrt(_: Span, past: Sequence[Span]) -> float:
    """The value of the first task's rsqrt, continued over the steps of later tasks without warm-ups and cooldowns."""
    return math.sqrt(_first(past) / _seen(past))


def _first(past: Sequence[Span]) -> int:
    return max(1, past[0].warm)


def _seen(past: Sequence[Span]) -> int:
    return _first(past) + sum(one.steps - one.cool - one.warm for one in past)


_PEAKS: dict[str, Callable[[Span, Sequence[Span]], float]] = {
    "one cosine": _of_one_cosine,
    "one rsqrt": _of_one_rsqrt,
    "first rsqrt": _of_first_rsqrt,
}

# -- shapes ------------------------------------------------------------------------------------------------------------


def _above(schedule: Schedule, share: float) -> float:
    """A share of the range above the final factor, so that no meta-schedule falls below it."""
    return schedule.final + (1 - schedule.final) * share


def _constant(_: Schedule, __: int, peak: float, *___: object) -> float:
    return peak


def _cosine(schedule: Schedule, step: int, peak: float, own: Span, _: object) -> float:
    """From the peak, at the last warm-up step, to `final` at the last step of the task."""
    return schedule.final + (peak - schedule.final) * _half_cosine(step - own.warm + 1, own.body)


def _cosine_over_all(schedule: Schedule, step: int, _: float, own: Span, past: Sequence[Span]) -> float:
    """The last part of one cosine over all tasks so far."""
    done = sum(one.body for one in past)
    return _above(schedule, _half_cosine(done + step - own.warm + 1, done + own.body))


def _rsqrt(schedule: Schedule, step: int, peak: float, own: Span, _: object) -> float:
    """sqrt(W / n) of the peak, then a line that would reach `final` one step after the last."""
    warm = max(1, own.warm)
    floor = schedule.final
    return _cooled(schedule, step, own, lambda n: floor + (peak - floor) * math.sqrt(warm / max(n, warm)))


def _rsqrt_gone_on(schedule: Schedule, step: int, peak: float, own: Span, past: Sequence[Span]) -> float:
    """The first task's rsqrt, read at the step that it would have reached by now."""
    if not past:
        return _rsqrt(schedule, step, peak, own, past)
    first, seen = _first(past), _seen(past)
    return _cooled(schedule, step, own, lambda n: _above(schedule, math.sqrt(first / max(first, seen + n - own.warm))))


def _cooled(schedule: Schedule, step: int, own: Span, body: Callable[[int], float]) -> float:
    """The body, and from its last step on a straight line down.

    The line reaches `final` one step after the task, so that the last step still moves.
    """
    last = own.steps - own.cool - 1
    if step <= last or not own.cool:
        return body(step)
    floor, top = schedule.final, body(last)
    return floor + (top - floor) * (own.steps - step) / (own.cool + 1)


_SHAPES: dict[tuple[str, bool], Callable[..., float]] = {
    ("constant", False): _constant,
    ("cosine", False): _cosine,
    ("cosine", True): _cosine_over_all,
    ("rsqrt", False): _rsqrt,
    ("rsqrt", True): _rsqrt_gone_on,
}
"""By the schedule within a task, and whether it goes on with what its peak follows."""
