"""Estimates: closed forms, the jackknife's identities, and its coverage in a synthetic world."""

import numpy as np
import pytest
from scipy import stats

from analysis import pareto
from analysis.uncertainty import blocks_for, estimate, honest_choice, leave_one_out_means, pseudo_values


def test_one_block_has_no_error() -> None:
    found = estimate([0.4])
    assert (found.value, found.se, found.half_width, found.low, found.high) == (0.4, None, None, None, None)


def test_two_blocks_have_an_error_and_no_interval() -> None:
    found = estimate([0.4, 0.6])
    assert found.value == pytest.approx(0.5)
    assert found.se == pytest.approx(0.1)
    assert found.half_width is None


def test_interval_is_the_t_interval() -> None:
    values = [0.4, 0.6, 0.55, 0.41]
    found = estimate(values)
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert found.low == pytest.approx(low)
    assert found.high == pytest.approx(high)


def test_leave_one_out_means_by_hand() -> None:
    means = leave_one_out_means([[1.0, 2.0, 6.0]])
    assert means.shape == (3, 1)
    assert means[:, 0].tolist() == pytest.approx([4.0, 3.5, 1.5])


def test_pseudo_values_of_a_mean_are_the_values() -> None:
    values = np.random.default_rng(0).random((5, 4))
    assert pseudo_values(values.mean(axis=1), leave_one_out_means(values)) == pytest.approx(values)


def test_honest_choice_does_not_see_its_own_block() -> None:
    # Row 0 wins only through block 0, so block 0 must choose row 1, and the others row 0.
    assert honest_choice([[9.0, 0.0, 0.0], [1.0, 1.0, 1.0]]).tolist() == [1, 0, 0]
    assert honest_choice([[1.0], [2.0]]).tolist() == [1]


def test_honest_choice_takes_what_is_eligible_if_anything_is() -> None:
    values = [[9.0, 9.0, 9.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
    eligible = [[False, True, False], [True, True, False], [True, True, False]]
    assert honest_choice(values, eligible_CS=eligible).tolist() == [1, 0, 0]


@pytest.mark.parametrize("blocks", [3, 5])
def test_jackknife_covers_the_gain(blocks: int) -> None:
    """95 % intervals of a gain, with noise in the config and in both anchors, cover it about 95 % of the time."""
    rng = np.random.default_rng(1)
    truth, runs = np.array([[0.38, 0.68], [0.56, 0.62], [0.47, 0.66]]), 600
    gain = float(pareto.gain(*truth[2], zero_shot=truth[0], joint=truth[1]))
    covered = 0
    for _ in range(runs):
        shared = rng.normal(0, 0.004, (1, blocks, 2))
        z, j, c = truth[:, None] + shared + rng.normal(0, 0.003, (3, blocks, 2))
        value = float(pareto.gain(*c.mean(axis=0), zero_shot=z.mean(axis=0), joint=j.mean(axis=0)))
        x, y = leave_one_out_means(c.T).T
        left_out = pareto.gain(x, y, zero_shot=leave_one_out_means(z.T), joint=leave_one_out_means(j.T))
        found = estimate(pseudo_values(value, left_out), value=value)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= gain <= found.high
    assert 0.92 <= covered / runs <= 0.98


def test_honest_choice_removes_the_winners_curse() -> None:
    """Twenty equal configs: the largest mean is far too large, the honest one is not."""
    rng = np.random.default_rng(2)
    naive, honest = [], []
    for _ in range(400):
        values = rng.normal(0, 1, (20, 3))
        chosen = honest_choice(values)
        naive.append(values.mean(axis=1).max())
        honest.append(values[chosen, np.arange(3)].mean())
    assert np.mean(naive) > 0.9
    assert abs(np.mean(honest)) < 0.1


@pytest.mark.parametrize("sd", [0.4, 1.0, 1.6])
def test_blocks_that_would_tell_a_value_from_its_threshold(sd: float) -> None:
    """With that many blocks of the same spread the interval is as far as the threshold, with one less it is not."""
    three = estimate(1.0 + sd * np.array([-1.0, 0.0, 1.0]))
    blocks = blocks_for(three, 1.0)
    halves = {n: stats.t.ppf(0.975, n - 1) * sd / np.sqrt(n) for n in range(3, 31)}
    assert blocks == min(n for n, half in halves.items() if half < 1.0)
    assert blocks_for(three, 0.0) is None
    assert blocks_for(three, 0.1 * sd) is None
    assert blocks_for(estimate([1.0]), 1.0) is None
