"""The mixture: shares that sum to the batch, and draws that are a pure function of seed, task and step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainables.streams.mixture import Mixture, Shares, draw, shares


def ids(length: int, first: int = 0) -> NDArray[np.int64]:
    return np.arange(first, first + length)


def drawn(samples: NDArray[np.int64], count: int, steps: range, *, seed: int = 0, task: int = 1) -> list[int]:
    got = [draw(samples, count, seed=seed, task=task, step=step, source="new").tolist() for step in steps]
    return [i for part in got for i in part]


def test_shares_of_the_paper() -> None:
    # 168.96 / 174.08 / 168.96: the paper's code gives 169 / 175 / 168.
    assert shares(Mixture(), 512, buffer_empty=False) == Shares(pool=169, new=174, buffer=169)
    assert shares(Mixture(), 128, buffer_empty=False) == Shares(pool=42, new=44, buffer=42)


def test_equal_remainders_go_to_pool_new_buffer_in_this_order() -> None:
    thirds = Mixture(pool=1 / 3, new=1 / 3, buffer=1 / 3)
    assert shares(thirds, 10, buffer_empty=False) == Shares(pool=4, new=3, buffer=3)
    assert shares(thirds, 11, buffer_empty=False) == Shares(pool=4, new=4, buffer=3)


def test_first_task_splits_the_share_of_the_buffer() -> None:
    assert shares(Mixture(), 512, buffer_empty=True) == Shares(pool=253, new=259, buffer=0)
    # An odd share: 84 / 88 / 84 would be even, 3 of 10 is not.
    assert shares(Mixture(pool=0.3, new=0.4, buffer=0.3), 10, buffer_empty=True) == Shares(pool=4, new=6, buffer=0)


def test_without_a_pool_all_goes_to_new() -> None:
    no_pool = Mixture(pool=0.0, new=0.5, buffer=0.5)
    assert shares(no_pool, 512, buffer_empty=True) == Shares(pool=0, new=512, buffer=0)
    assert shares(no_pool, 512, buffer_empty=False) == Shares(pool=0, new=256, buffer=256)
    assert shares(Mixture(pool=0.0, new=1.0, buffer=0.0), 7, buffer_empty=False) == Shares(pool=0, new=7, buffer=0)


parts = st.tuples(st.integers(0, 50), st.integers(1, 50), st.integers(0, 50))


@given(parts, st.integers(2, 2048))
def test_shares_sum_to_the_batch_and_round_by_less_than_one(part: tuple[int, int, int], batch_size: int) -> None:
    pool, new, buffer = (value / sum(part) for value in part)
    got = shares(Mixture(pool=pool, new=new, buffer=buffer), batch_size, buffer_empty=False)
    assert got.pool + got.new + got.buffer == batch_size
    for count, share in ((got.pool, pool), (got.new, new), (got.buffer, buffer)):
        assert abs(count - share * batch_size) < 1 + 1e-6
        assert share > 0 or count == 0


@given(parts, st.integers(2, 2048))
def test_no_other_shares_are_nearer(part: tuple[int, int, int], batch_size: int) -> None:
    """Largest remainder has the least sum of squared errors: to move one sample to another source gains nothing."""
    pool, new, buffer = (value / sum(part) for value in part)
    got = shares(Mixture(pool=pool, new=new, buffer=buffer), batch_size, buffer_empty=False)
    errors = [got.pool - pool * batch_size, got.new - new * batch_size, got.buffer - buffer * batch_size]
    # Moving one from a to b changes the sum of squares by 2 (error of b - error of a + 1).
    assert max(errors) - min(errors) <= 1 + 1e-6


@given(parts, st.integers(2, 2048))
def test_first_task_sums_to_the_batch(part: tuple[int, int, int], batch_size: int) -> None:
    mixture = Mixture(pool=part[0] / sum(part), new=part[1] / sum(part), buffer=part[2] / sum(part))
    first, later = (shares(mixture, batch_size, buffer_empty=empty) for empty in (True, False))
    assert first.pool + first.new == batch_size
    assert first.buffer == 0
    assert first.pool >= later.pool
    assert first.new >= later.new
    assert mixture.pool > 0 or first.pool == 0


@settings(max_examples=40, deadline=None)
@given(length=st.integers(1, 40), count=st.integers(1, 60), seed=st.integers(0, 5), task=st.integers(1, 5))
def test_epoch_visits_each_sample_once(length: int, count: int, seed: int, task: int) -> None:
    samples = ids(length, 100)
    got = drawn(samples, count, range(3 * length // count + 1), seed=seed, task=task)
    for epoch in range(len(got) // length):
        assert sorted(got[epoch * length : (epoch + 1) * length]) == samples.tolist()


def test_epochs_differ() -> None:
    got = drawn(ids(50), 50, range(3))
    assert got[:50] != got[50:100] != got[100:]


def test_any_step_gives_the_same_numbers_alone() -> None:
    whole = drawn(ids(30), 7, range(12))
    for step in (11, 3, 0, 7):
        for other in range(40):  # more than a cache would keep
            draw(ids(30), 7, seed=other, task=9, step=step, source="new")
        assert drawn(ids(30), 7, range(step, step + 1)) == whole[7 * step : 7 * step + 7]


@pytest.mark.parametrize("change", [{"seed": 1}, {"task": 2}, {"source": "pool"}])
def test_seed_task_and_source_draw_independently(change: dict[str, int | str]) -> None:
    def draws(*, seed: int = 0, task: int = 1, source: str = "new") -> NDArray[np.int64]:
        return draw(ids(2000), 2000, seed=seed, task=task, step=0, source=source)

    one, other = draws(), draws(**change)  # type: ignore[arg-type]
    # Two random orders of 2000 agree at one place on average.
    assert (one == other).sum() < 10
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.1


def test_draws_are_uniform() -> None:
    got = np.concatenate([draw(ids(20), 1, seed=s, task=1, step=0, source="new") for s in range(4000)])
    # 200 of each are expected, with a standard deviation of 14.
    assert np.abs(np.bincount(got, minlength=20) - 200).max() < 70


def test_samples_are_not_changed_and_ids_are_passed_on() -> None:
    samples = np.array([7, 7, 3, 900], dtype=np.int64)
    samples.flags.writeable = False
    assert sorted(draw(samples, 4, seed=0, task=1, step=5, source="new")) == [3, 7, 7, 900]


def test_nothing_is_drawn_from_nothing() -> None:
    assert draw(ids(0), 0, seed=0, task=1, step=3, source="pool").shape == (0,)
