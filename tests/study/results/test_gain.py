"""The gain of a running study is the report's, and says nothing where there is no line."""

import pytest

from analysis import pareto
from study.results.gain import MIN_LEARNED, Anchors, Line, mean
from trainables.metrics import Summary

Z = {"a": Summary(0.3, 0.8, 0.49), "b": Summary(0.32, 0.78, 0.5)}
J = {"a": Summary(0.7, 0.6, 0.65), "b": Summary(0.72, 0.64, 0.68)}


def test_the_gain_is_that_of_the_report() -> None:
    line = Line((0.3, 0.8), (0.7, 0.6))
    for aka, azs in ((0.5, 0.75), (0.3, 0.8), (0.7, 0.6), (0.1, 0.9)):
        expected = float(pareto.gain(aka, azs, zero_shot=(0.3, 0.8), joint=(0.7, 0.6)))
        assert line.gain(aka, azs) == pytest.approx(expected, abs=1e-15)


def test_the_line_is_of_means_over_the_blocks_that_are_asked_for() -> None:
    line = Anchors(zero_shot=Z, joint=J).line(["a", "b"])
    assert line is not None
    assert line.zero_shot == pytest.approx((0.31, 0.79))
    assert line.joint == pytest.approx((0.71, 0.62))
    assert Anchors(zero_shot=Z, joint=J).line(["b"]) == Line(Z["b"][:2], J["b"][:2])


def test_there_is_no_line_without_both_points_of_every_block_or_where_joint_training_learned_nothing() -> None:
    assert Anchors(zero_shot=Z, joint={"a": J["a"]}).line(["a", "b"]) is None
    assert Anchors(zero_shot={"a": Z["a"]}, joint=J).line(["a", "b"]) is None
    assert Anchors(zero_shot=Z, joint=J).line([]) is None
    flat = Summary(Z["a"].aka + MIN_LEARNED / 2, 0.9, 0.5)
    assert Anchors(zero_shot=Z, joint={"a": flat}).line(["a"]) is None


def test_a_mean_is_taken_of_every_number() -> None:
    assert mean(Z.values()) == pytest.approx(Summary(0.31, 0.79, 0.495))
