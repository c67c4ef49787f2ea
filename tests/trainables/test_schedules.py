"""Schedules: their closed form, step by step."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.config import Schedule
from trainables.schedules import factor


def factors(schedule: Schedule, steps: int) -> list[float]:
    return [factor(schedule, step=step, steps=steps) for step in range(steps)]


def test_warm_up_rises_linearly_to_the_peak() -> None:
    assert factors(Schedule(warmup=0.4), 10)[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])


def test_cosine_by_hand() -> None:
    got = factors(Schedule(warmup=0.2, final=0.1), 10)
    cosine = [0.1 + 0.9 * (1 + math.cos(math.pi * k / 8)) / 2 for k in range(1, 9)]
    assert got == pytest.approx([0.5, 1.0, *cosine], abs=1e-15)


def test_constant_stays_at_the_peak() -> None:
    assert factors(Schedule(name="constant", warmup=0.25), 8) == [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert factors(Schedule(name="constant", warmup=0.0), 3) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("final", [0.0, 1e-3, 1.0])
@pytest.mark.parametrize("steps", [2, 7, 100])
def test_last_step_has_the_final_factor(final: float, steps: int) -> None:
    assert factors(Schedule(warmup=0.1, final=final), steps)[-1] == pytest.approx(final, abs=1e-15)


def test_one_step() -> None:
    assert factors(Schedule(), 1) == [1.0]
    assert factors(Schedule(warmup=0.0), 1) == [pytest.approx(1e-3)]
    assert factors(Schedule(name="constant", warmup=0.0), 1) == [1.0]


@given(
    warmup=st.floats(0, 1, exclude_max=True),
    final=st.floats(0, 1),
    steps=st.integers(1, 300),
    constant=st.booleans(),
)
def test_factors_rise_then_fall_and_stay_in_range(warmup: float, final: float, steps: int, *, constant: bool) -> None:
    schedule = Schedule(name="constant" if constant else "cosine", warmup=warmup, final=final)
    got = factors(schedule, steps)
    peak = min(math.ceil(warmup * steps), steps)
    assert all(0 <= value <= 1 + 1e-12 for value in got)
    assert got[:peak] == sorted(got[:peak])
    assert all(a >= b - 1e-12 for a, b in zip(got[peak:], got[peak + 1 :], strict=False))
