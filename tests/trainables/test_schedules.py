"""Schedules: their closed form, step by step."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trainables.schedules import SCHEDULES, Schedule, factor, scaled


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


# -- over tasks --------------------------------------------------------------------------------------------------------

META = [name for name, row in SCHEDULES.items() if "peaks" not in row.settings]
RSQRT = [name for name in SCHEDULES if name.endswith("rsqrt")]
LONG = 1420
"""Steps of a task of full fine-tuning in arXiv 2408.14471."""


def course(schedule: Schedule, steps: Sequence[int]) -> list[list[float]]:
    """Factors of every step of every task."""
    return [
        [factor(schedule.of_task(t + 1), step=n, steps=own, earlier=steps[:t]) for n in range(own)]
        for t, own in enumerate(steps)
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("autoregressive_cosine", [1, 0.500, 0.250, 0.147, 0.096, 0.068, 0.025, 0.007]),
        ("autoregressive_cosine_continued", [1, 0.500, 0.250, 0.147, 0.096, 0.068, 0.025, 0.007]),
        ("matched_rsqrt", [1, 0.334, 0.243, 0.201, 0.175, 0.157, 0.118, 0.082]),
        ("continued_rsqrt", [1, 0.334, 0.243, 0.201, 0.175, 0.157, 0.118, 0.082]),
        ("autoregressive_rsqrt", [1, 0.427, 0.379, 0.360, 0.350, 0.344, 0.332, 0.324]),
    ],
)
def test_peaks_are_those_of_the_reference(name: str, expected: list[float]) -> None:
    """Multipliers of its formulas at 1420 steps a task, warm-up and cooldown .1, for tasks 0 to 5, 9 and 19."""
    schedule = Schedule.model_validate({"name": name})
    warm = LONG // 10  # the warm-up reaches the peak at its last step
    got = [factor(schedule, step=warm - 1, steps=LONG, earlier=[LONG] * t) for t in (0, 1, 2, 3, 4, 5, 9, 19)]
    assert got == pytest.approx(expected, abs=6e-4)


def test_rsqrt_by_hand() -> None:
    """2 of 20 steps warm up, then sqrt(2 / n), then a line from step 17 that would end one step past the last."""
    got = factors(Schedule(name="rsqrt", cooldown=0.1, final=0.0), 20)
    assert got[:4] == pytest.approx([0.5, 1.0, 1.0, math.sqrt(2 / 3)])
    assert got[17] == pytest.approx(math.sqrt(2 / 17))
    assert got[18:] == pytest.approx([math.sqrt(2 / 17) * 2 / 3, math.sqrt(2 / 17) / 3])


def test_a_continued_cosine_ends_one_cosine_over_all_tasks() -> None:
    schedule = Schedule(name="autoregressive_cosine_continued", final=0.0)
    one = [(1 + math.cos(math.pi * e / 270)) / 2 for e in range(1, 271)]
    got = course(schedule, [100] * 3)
    for t in range(3):
        done = [(1 + math.cos(math.pi * (90 * t + k) / (90 * (t + 1)))) / 2 for k in range(1, 91)]
        assert got[t][10:] == pytest.approx(done, abs=1e-12)
    assert got[2][10:] == pytest.approx(one[180:], abs=1e-12)


def test_a_continued_rsqrt_goes_on_where_the_last_task_cooled_down() -> None:
    """Warm-ups and cooldowns left out, all tasks together are one reciprocal square root of the steps."""
    schedule = Schedule(name="continued_rsqrt", final=0.0)
    bodies = [value for factors in course(schedule, [100] * 4) for value in factors[10:90]]
    assert bodies == pytest.approx([math.sqrt(10 / n) for n in range(10, 330)])


@pytest.mark.parametrize("name", SCHEDULES)
@given(
    warmup=st.sampled_from([0.0, 0.05, 0.1, 0.3]),
    final=st.sampled_from([0.0, 1e-3, 0.1]),
    steps=st.lists(st.integers(1, 120), min_size=1, max_size=5),
)
def test_no_zero_last_step_no_jump_no_division_by_zero(
    name: str, warmup: float, final: float, steps: list[int]
) -> None:
    """The mistakes of the reference's schedules; tasks may have any numbers of steps."""
    schedule = Schedule.model_validate({"name": name, "warmup": warmup, "final": final})
    for factors in course(schedule, steps):
        warm = math.ceil(warmup * len(factors) - 1e-9)
        assert all(0 <= value <= 1 + 1e-12 for value in factors)
        assert factors[:warm] == sorted(factors[:warm])
        assert all(a >= b - 1e-12 for a, b in zip(factors[max(0, warm - 1) :], factors[max(1, warm) :], strict=False))
        if name in RSQRT:
            assert min(factors) > 0


@pytest.mark.parametrize("name", META)
def test_later_tasks_have_lower_peaks_and_the_first_is_the_plain_schedule(name: str) -> None:
    schedule = Schedule.model_validate({"name": name})
    got = course(schedule, [50] * 4)
    tops = [max(factors) for factors in got]
    assert tops == sorted(tops, reverse=True)
    assert tops[1] < 0.6
    assert got[0] == course(Schedule(name=SCHEDULES[name].within), [50])[0]


def test_peaks_may_be_given() -> None:
    schedule = Schedule(name="cosine", peaks="1, 0.5, 0.25", warmup=0.2, final=0.1)
    got = course(schedule, [10, 10, 5])
    assert [max(factors) for factors in got] == [1.0, 0.5, 0.25]
    assert got[1][-1] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "cosine", "cooldown": 0.1}, "cooldown: the schedule cosine takes none; those that do: rsqrt,"),
        ({"name": "matched_rsqrt", "peaks": "1, 0.5"}, "peaks: .* those that do: cosine, rsqrt, constant"),
        ({"peaks": "1, x"}, "allowed: above 0 to 1000, one for each task"),
        ({"peaks": "1, -1"}, "allowed: above 0"),
        ({"peaks": "1, 1e-9"}, "0.001 at least"),
    ],
)
def test_wrong_settings_are_said(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Schedule.model_validate(given)


@pytest.mark.parametrize(("rule", "expected"), [("linear", 4e-5), ("sqrt", 2e-5)])
def test_scaled_rates_say_what_was_done(rule: str, expected: float) -> None:
    lr, said = scaled(1e-5, batch_size=2048, reference=512, rule=rule)
    assert lr == pytest.approx(expected)
    assert said == f"lr 1e-05 at batch 512 became {expected:g} at batch 2048 ({rule} scaling)"


@pytest.mark.parametrize("name", META)
def test_a_meta_schedule_is_in_its_first_task_the_schedule_that_its_row_says(name: str) -> None:
    first = Schedule(name=name).of_task(1)
    assert first.name == SCHEDULES[name].within
    assert not first.looks_back
    assert Schedule(name=name).of_task(2).name == name
