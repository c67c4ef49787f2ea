"""Learning-rate schedules: pure functions of the step that return a factor of the peak rate.

A schedule has a shape within a task and, as a meta-schedule, looks back at the steps of earlier tasks to lower the
peak that a task warms up to. Tasks may differ in their steps. Sources: arXiv 2408.14471, section 6.1 and appendix;
cosine 1608.03983, eq. 5; reciprocal square root 2106.04560, section 3.5. In the code of 2408.14471 rsqrt ends on a step
of rate 0, cools down from a curve that goes on falling, divides by zero without warm-up, and its continued form jumps
up after the warm-up; none of it happens here.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trainables.config import Schedule


@dataclass(frozen=True, kw_only=True)
class Span:
    """Steps of one task: all, those that warm up, those that cool down."""

    steps: int
    warm: int
    cool: int

    @property
    def body(self) -> int:
        """Steps after the warm-up."""
        return self.steps - self.warm


def factor(schedule: Schedule, *, step: int, steps: int, earlier: Sequence[int] = ()) -> float:
    """Factor of the peak learning rate at a step of a task.

    Linear warm-up to the task's peak over W = ceil(warmup * N) of N steps, (n + 1) / W; then the shape of the schedule.

    Args:
        schedule: what to follow; of its `peaks` the one of this task, or none.
        step: n, from 0.
        steps: N, of this task.
        earlier: steps of all earlier tasks; schedules that do not look back take none.
    """
    own, past = span(schedule, steps), [span(schedule, one) for one in earlier]
    shape = _SHAPES[schedule.row.within, schedule.row.goes_on]
    peak = _peak(schedule, own, past)
    if step < own.warm:
        return peak * (step + 1) / own.warm
    return shape(schedule, step, peak, own, past)


def span(schedule: Schedule, steps: int) -> Span:
    """How a task's steps divide; warm-up comes first where both do not fit."""
    warm = math.ceil(schedule.warmup * steps - 1e-9)  # .07 * 100 is 7.000000000000001
    cool = math.ceil((schedule.cooldown or 0.0) * steps - 1e-9)
    return Span(steps=steps, warm=warm, cool=min(cool, max(0, steps - warm - 1)))


def scaled(lr: float, *, batch_size: int, reference: int, rule: str) -> tuple[float, str]:
    """A rate for another batch size than it was chosen at, and a sentence that says what was done.

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
    return (1 + math.cos(math.pi * (done / of))) / 2 if of else 1.0


def _of_one_cosine(own: Span, past: Sequence[Span]) -> float:
    """Of one cosine over all tasks so far, right after the warm-up of this one."""
    done = sum(one.body for one in past)
    return _half_cosine(min(done + 1, done + own.body), done + own.body)


def _of_one_rsqrt(own: Span, past: Sequence[Span]) -> float:
    """Of one rsqrt over all tasks so far, whose warm-up is as long as all of theirs, right after that of this one."""
    warm = max(1, sum(one.warm for one in [*past, own]))
    return math.sqrt(warm / max(warm, sum(one.steps for one in past) + own.warm))


def _of_first_rsqrt(_: Span, past: Sequence[Span]) -> float:
    """Of the first task's rsqrt, gone on without the warm-ups and cooldowns of later tasks."""
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
    """A share of what lies above the final factor."""
    return schedule.final + (1 - schedule.final) * share


def _constant(_: Schedule, __: int, peak: float, *___: object) -> float:
    return peak


def _cosine(schedule: Schedule, step: int, peak: float, own: Span, _: object) -> float:
    """From the peak, at the last warm-up step, to `final` at the last step of the task."""
    return schedule.final + (peak - schedule.final) * _half_cosine(step - own.warm + 1, own.body)


def _cosine_over_all(schedule: Schedule, step: int, _: float, own: Span, past: Sequence[Span]) -> float:
    """The end of one cosine over all tasks so far."""
    done = sum(one.body for one in past)
    return _above(schedule, _half_cosine(done + step - own.warm + 1, done + own.body))


def _rsqrt(schedule: Schedule, step: int, peak: float, own: Span, _: object) -> float:
    """sqrt(W / n) of the peak, then a line that would reach `final` one step after the last."""
    warm = max(1, own.warm)
    floor = schedule.final
    return _cooled(schedule, step, own, lambda n: floor + (peak - floor) * math.sqrt(warm / max(n, warm)))


def _rsqrt_gone_on(schedule: Schedule, step: int, peak: float, own: Span, past: Sequence[Span]) -> float:
    """The first task's rsqrt at the step that it would have reached."""
    if not past:
        return _rsqrt(schedule, step, peak, own, past)
    first, seen = _first(past), _seen(past)
    return _cooled(schedule, step, own, lambda n: _above(schedule, math.sqrt(first / max(first, seen + n - own.warm))))


def _cooled(schedule: Schedule, step: int, own: Span, body: Callable[[int], float]) -> float:
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
