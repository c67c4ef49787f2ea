"""Choices under a limit: by hand, when nothing keeps it, and what is left of luck."""

import numpy as np
import pytest

from analysis.arrays import FloatArray
from analysis.frontier import Frontier
from analysis.plane.choices import least_lost, most_learned
from analysis.plane.points import Points

Z = np.array([0.30, 0.70])


def points_of(learned_CS: FloatArray, lost_CS: FloatArray) -> Points:
    return Points(
        x=Z[0] + np.asarray(learned_CS),
        y=Z[1] - np.asarray(lost_CS),
        zero_shot=np.tile(Z, (np.shape(learned_CS)[1], 1)),
        joint=None,
    )


def constant(*pairs: tuple[float, float], blocks: int = 3) -> Points:
    """Configs that learn and lose the same on all blocks."""
    learned, lost = np.array(pairs).T
    return points_of(np.tile(learned[:, np.newaxis], blocks), np.tile(lost[:, np.newaxis], blocks))


def test_most_learned_by_hand() -> None:
    points = constant((0.02, 0.002), (0.05, 0.01), (0.08, 0.03), (0.04, 0.0))
    choice = most_learned(points, max_loss=0.01)
    assert (choice.row, choice.eligible, choice.agreeing_blocks) == (1, 3, 3)
    assert choice.learned is not None
    assert choice.learned.value == pytest.approx(0.05)
    assert choice.lost is not None
    assert choice.lost.value == pytest.approx(0.01)
    assert choice.honest_learned is not None
    assert choice.honest_learned.value == pytest.approx(0.05)
    assert (choice.no_row, choice.no_honest) == (None, None)
    assert most_learned(points, max_loss=0.0).row == 3
    assert most_learned(points, max_loss=0.5).row == 2


def test_least_lost_by_hand() -> None:
    points = constant((0.02, 0.002), (0.05, 0.01), (0.08, 0.03), (0.04, -0.004))
    assert least_lost(points, min_learned=0.05).row == 1
    assert least_lost(points, min_learned=0.051).row == 2
    choice = least_lost(points, min_learned=0.01)
    assert (choice.row, choice.eligible) == (3, 4)
    assert choice.lost is not None
    assert choice.lost.value == pytest.approx(-0.004)


def test_where_nothing_keeps_the_limit_the_zero_shot_model_stays() -> None:
    choice = most_learned(constant((0.02, 0.02), (-0.01, 0.0)), max_loss=0.01)
    assert (choice.row, choice.learned, choice.lost, choice.eligible) == (None, None, None, 1)
    assert choice.no_row == "no config that loses at most 1 point of AZS learns anything"
    assert choice.honest_learned is not None
    assert (choice.honest_learned.value, choice.agreeing_blocks) == (0, 3)


def test_where_nothing_learns_enough_there_is_no_choice() -> None:
    choice = least_lost(constant((0.02, 0.02), (0.01, 0.0)), min_learned=0.05)
    assert (choice.row, choice.honest_lost, choice.eligible) == (None, None, 0)
    assert choice.no_row == "no config learns 5 points of AKA"
    assert str(choice.no_honest).endswith("as the other blocks see it, for 3 of 3 blocks")


def test_a_choice_on_other_blocks_does_not_see_its_own() -> None:
    """Config 1 learns more through block 0 alone: the honest value takes it there only where block 0 has no say."""
    learned = np.array([[0.05, 0.05, 0.05], [0.12, 0.03, 0.03]])
    choice = most_learned(points_of(learned, np.zeros((2, 3))), max_loss=0.01)
    assert choice.row == 1
    assert choice.learned is not None
    assert choice.learned.value == pytest.approx(0.06)
    assert choice.honest_learned is not None
    assert choice.honest_learned.value == pytest.approx((0.05 + 0.03 + 0.03) / 3)
    assert choice.agreeing_blocks == 2


def test_a_limit_kept_by_luck_is_seen_to_be_broken() -> None:
    """Config 1 keeps the limit on average over all blocks, and on those that chose it; the third breaks it."""
    lost = np.array([[0.0, 0.0, 0.0], [0.009, 0.009, 0.012]])
    choice = most_learned(points_of(np.array([[0.01] * 3, [0.05] * 3]), lost), max_loss=0.01)
    assert choice.row == 1
    assert choice.honest_lost is not None
    # Blocks 0 and 1 are left with means above the limit and choose config 0.
    assert choice.honest_lost.value == pytest.approx((0 + 0 + 0.012) / 3)


def test_one_block_has_no_honest_value() -> None:
    choice = most_learned(constant((0.02, 0.002), blocks=1), max_loss=0.01)
    assert choice.row == 0
    assert choice.learned is not None
    assert choice.learned.se is None
    assert (choice.honest_learned, choice.agreeing_blocks) == (None, 0)
    assert choice.no_honest == "choosing on other blocks needs at least 2 blocks"


def test_limits_without_a_meaning_are_refused() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        most_learned(constant((0.02, 0.002)), max_loss=-0.01)
    with pytest.raises(ValueError, match="above 0"):
        least_lost(constant((0.02, 0.002)), min_learned=0.0)


def test_the_zero_shot_point_of_each_block_is_taken_away() -> None:
    shift = np.array([0.0, 0.01, -0.02])
    plain = constant((0.02, 0.002), (0.05, 0.01))
    moved = Points(
        x=plain.x + shift, y=plain.y - shift, zero_shot=plain.zero_shot + np.stack([shift, -shift], axis=1), joint=None
    )
    found, expected = most_learned(moved, max_loss=0.01), most_learned(plain, max_loss=0.01)
    assert found.row == expected.row
    assert found.learned is not None
    assert found.learned.se == pytest.approx(0, abs=1e-12)


def test_honest_values_are_free_of_the_winners_curse() -> None:
    """Thirty configs that truly learn 5 points and lose exactly the limit: luck decides which is chosen."""
    rng = np.random.default_rng(0)
    naive_learned, naive_lost, honest_learned, honest_lost = [], [], [], []
    for _ in range(300):
        learned, lost = np.array([0.05, 0.01])[:, np.newaxis, np.newaxis] + rng.normal(0, 0.005, (2, 30, 3))
        choice = most_learned(points_of(learned, lost), max_loss=0.01)
        assert choice.learned is not None
        assert choice.lost is not None
        assert choice.honest_learned is not None
        assert choice.honest_lost is not None
        naive_learned.append(choice.learned.value)
        naive_lost.append(choice.lost.value)
        honest_learned.append(choice.honest_learned.value)
        honest_lost.append(choice.honest_lost.value)
    assert np.mean(naive_learned) - 0.05 > 0.004
    assert np.mean(naive_lost) - 0.01 < -0.0015
    assert abs(np.mean(honest_learned) - 0.05) < 0.0005
    assert abs(np.mean(honest_lost) - 0.01) < 0.0005


def test_choices_of_a_study(study: Frontier) -> None:
    budgets = [0.0, 0.005, 0.01, 0.03, 0.2]
    choices = [most_learned(study.points, max_loss=budget) for budget in budgets]
    learned = [0.0 if choice.learned is None else choice.learned.value for choice in choices]
    assert learned == sorted(learned)
    for choice, budget in zip(choices, budgets, strict=True):
        assert choice.lost is None or choice.lost.value <= budget + 1e-9
    assert choices[-1].learned is not None
    most = max(study.results, key=lambda result: result.aka.value)
    assert choices[-1].row is not None
    assert study.results[choices[-1].row] is most
    back = least_lost(study.points, min_learned=learned[2])
    assert back.row == choices[2].row
