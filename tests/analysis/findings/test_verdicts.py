"""Verdicts of tests of claims, against intervals, brute force over blocks, and an independent Holm."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from analysis.findings import evidence  # its class Test by name would look like a class of tests
from analysis.findings.evidence import NEGLIGIBLE, Comparison
from analysis.findings.pairs import Side, comparison_of
from analysis.findings.verdicts import ALPHA, blocks_for, decide, more_blocks
from analysis.uncertainty import MAX_BLOCKS, Estimate, holm
from tests.analysis.error_rates import refuted_at_the_threshold


def part(values: Sequence[float], margin: float | None = None, number: int = 1) -> Comparison:
    """A comparison of config `number` with the next one, from its block values."""
    left, right = (Side(name=name, rows=(row,), candidates=(row,)) for name, row in (("a", number - 1), ("b", number)))
    return comparison_of(np.asarray(values)[np.newaxis], "AKA", left, right, margin=margin)


def spread(mean: float, sd: float, blocks: int = 3, margin: float | None = None, number: int = 1) -> Comparison:
    """Exactly this mean and standard deviation over blocks."""
    shape = np.linspace(-1, 1, blocks)
    return part((mean + sd * shape / shape.std(ddof=1)).tolist(), margin, number)


HELD, FELL, OPEN = spread(0.02, 0.001), spread(-0.02, 0.001), spread(0.005, 0.005)


# -- verdict and p value -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("margin", [None, 0.01])
def test_p_values_and_intervals_agree(margin: float | None) -> None:
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(500):
        blocks = int(rng.integers(3, 7))
        one = part((rng.normal(0, 0.02) + rng.normal(0, rng.choice([0.001, 0.01]), blocks)).tolist(), margin)
        p_values = one.p_values
        assert p_values is not None
        expected = "held" if p_values[0] < ALPHA else "did not hold" if p_values[1] < ALPHA else "undecided"
        assert one.verdict == expected
        seen.add(expected)
    assert len(seen) == 3


def test_p_values_are_those_of_one_sample_t_tests() -> None:
    values = np.array([0.01, 0.013, 0.004, 0.012])
    held, fell = part(values.tolist()).p_values or (0.0, 0.0)
    assert held == pytest.approx(stats.ttest_1samp(values, 0.0).pvalue)
    against = stats.ttest_1samp(values, NEGLIGIBLE, alternative="less").pvalue
    assert fell == pytest.approx(min(1.0, 2 * against))
    held, fell = part(values.tolist(), margin=0.02).p_values or (0.0, 0.0)
    inside = [
        stats.ttest_1samp(values, end, alternative=side).pvalue for end, side in ((-0.02, "greater"), (0.02, "less"))
    ]
    assert held == pytest.approx(2 * max(inside))
    assert fell == 1.0


def test_without_any_noise_the_difference_decides() -> None:
    assert [part([value] * 3).verdict for value in (0.01, 0.0, -0.01)] == ["held", "did not hold", "did not hold"]
    assert part([0.01] * 3).p_values == (0.0, 1.0)
    assert part([0.0] * 3).p_values == (1.0, 0.0)


def test_all_parts_must_hold() -> None:
    assert decide(evidence.Test(decisive=(HELD, HELD))).verdict == "held"
    both = decide(evidence.Test(decisive=(HELD, OPEN)))
    assert (both.verdict, both.reason) == ("undecided", "the interval contains zero")
    assert both.p_value == pytest.approx((OPEN.p_values or (0.0,))[0])


def test_one_part_that_fails_is_enough_if_it_fails_for_so_many() -> None:
    """Alone p = .03: of two parts it says nothing, of one it does."""
    weak = spread(NEGLIGIBLE - 0.01 * stats.t.isf(0.015, 2), 0.01 * np.sqrt(3))
    assert (weak.p_values or (0.0, 0.0))[1] == pytest.approx(0.03)
    assert decide(evidence.Test(decisive=(weak,))).verdict == "did not hold"
    two = decide(evidence.Test(decisive=(HELD, weak)))
    assert two.verdict == "undecided"
    assert two.reason == "1 of 2 parts did not hold, which one of 2 does too often by chance"
    assert two.p_value == pytest.approx(0.06)
    assert decide(evidence.Test(decisive=(HELD, FELL, OPEN))).verdict == "did not hold"


def test_a_claim_without_one_of_its_parts_can_fail_and_not_hold() -> None:
    held = decide(evidence.Test(decisive=(HELD,), missing=("x",)))
    assert (held.verdict, held.reason) == ("undecided", "what was tested holds, but the study lacks x")
    assert held.p_value == 1.0
    assert decide(evidence.Test(decisive=(FELL,), missing=("x",))).verdict == "did not hold"


def test_chance_refutes_no_more_claims_of_many_parts() -> None:
    """Of 8 parts at the threshold one fails at 95 % in 18 % of studies; the claim in 2.5 %."""
    together, alone = refuted_at_the_threshold(parts=8, blocks=3, studies=600)
    assert alone > 0.12
    assert together < 0.045


# -- many claims -------------------------------------------------------------------------------------------------------


def test_holm_against_the_step_down_procedure() -> None:
    """Reject the smallest while p < level / (those left): at every level the same claims as by adjusted values."""
    rng = np.random.default_rng(2)
    for _ in range(50):
        p_values = rng.uniform(0, 0.2, 7) ** 2
        adjusted = holm([*p_values, None])
        assert adjusted[-1] is None
        for level in (0.01, 0.05, 0.1):
            rejected = set()
            for rank, i in enumerate(np.argsort(p_values)):
                if p_values[i] >= level / (7 - rank):
                    break
                rejected.add(int(i))
            assert {i for i, p in enumerate(adjusted) if p is not None and p < level} == rejected


def test_holm_by_hand() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06])
    assert holm([None]) == [None]


# -- further blocks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mean", "sd", "margin"), [(0.005, 0.005, None), (-0.004, 0.006, None), (0.004, 0.005, 0.01)])
def test_blocks_that_decide_by_trying_them_all(mean: float, sd: float, margin: float | None) -> None:
    """The fewest blocks at which data of this mean and spread are decided."""
    one = spread(mean, sd, margin=margin)
    assert one.verdict == "undecided"
    held = margin is not None or mean > 0
    tried = [n for n in range(3, MAX_BLOCKS + 1) if spread(mean, sd, n, margin).verdict != "undecided"]
    assert blocks_for(one, held=held, alpha=ALPHA) == tried[0]
    assert spread(mean, sd, tried[0], margin).verdict == ("held" if held else "did not hold")
    assert blocks_for(one, held=not held, alpha=ALPHA) is None
    assert more_blocks(evidence.Test(decisive=(one,))).blocks == tried[0] - 3


def test_all_undecided_parts_wait_for_the_slowest() -> None:
    slow = spread(0.005, 0.008, number=3)
    more = more_blocks(evidence.Test(decisive=(HELD, spread(0.005, 0.005, number=2), slow)))
    assert more.blocks == (blocks_for(slow, held=True, alpha=ALPHA) or 0) - 3
    assert more.configs == (2, 3, 4)


def test_a_part_that_leans_to_fail_decides_alone_at_its_share_of_the_error() -> None:
    falling = spread(-0.02, 0.012, number=5)
    more = more_blocks(evidence.Test(decisive=(HELD, spread(0.005, 0.005), falling)))
    assert more.configs == (5, 6)
    assert more.blocks == (blocks_for(falling, held=False, alpha=ALPHA / 3) or 0) - 3
    assert more.blocks > (blocks_for(falling, held=False, alpha=ALPHA) or 0) - 3


def test_no_number_of_blocks_is_advised_for_a_difference_at_its_threshold() -> None:
    assert more_blocks(evidence.Test(decisive=(spread(0.0005, 0.05),))).blocks is None
    assert more_blocks(evidence.Test(decisive=(spread(0.0099, 0.05, margin=0.01),))).blocks is None
    assert more_blocks(evidence.Test(decisive=(HELD,), missing=("x",))).blocks is None


def test_too_few_blocks_to_say_how_many() -> None:
    more = more_blocks(evidence.Test(decisive=(part([0.01]),)))
    assert (more.blocks, more.at_least) == (2, True)
    more = more_blocks(evidence.Test(decisive=(part([0.0101, 0.01]),)))
    assert (more.blocks, more.at_least) == (1, False)


def test_half_of_the_studies_of_that_many_blocks_are_decided() -> None:
    """Power at the advised number of blocks, for the truth of which the advice knows mean and spread."""
    mean, sd = 0.01, 0.02
    blocks = blocks_for(spread(mean, sd), held=True, alpha=ALPHA)
    assert blocks is not None
    rng = np.random.default_rng(3)
    decided = [part(rng.normal(mean, sd, blocks).tolist()).verdict == "held" for _ in range(400)]
    assert 0.4 < np.mean(decided) < 0.65


def test_comparisons_are_made_of_estimates() -> None:
    assert isinstance(HELD.difference, Estimate)
    assert HELD.left_configs == (1,)
    assert HELD.right_configs == (2,)
    assert HELD.candidates == (1, 2)
