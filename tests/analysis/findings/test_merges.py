"""Findings 9 and 10, on configs whose truth is known: held, turned round part by part, and what they say they need."""

from dataclasses import replace

import pytest

from analysis.findings.merges import larger_merge_weight_keeps_more, merging_gains_from_the_start
from tests.analysis.ways import Way, evidence, needs, parts, the_test, verdict, way

FINETUNE = way("last", "last", 0.6, 0.6)
EMA = [way("ema", "ema", 0.65, 0.75, w=0.5), way("ema", "ema", 0.6, 0.78, w=0.9)]
ZS = way("base", "ema", 0.62, 0.76, w=0.5)
GOOD = [FINETUNE, *EMA, ZS]
"""Each merges at its best GM: EMA at w = .5, (.65, .75), ZS at (.62, .76); parts come as EMA's three, then ZS's."""


def test_nine_holds_where_all_parts_do() -> None:
    assert parts(merging_gains_from_the_start(evidence(*GOOD))) == ["held"] * 6
    assert verdict(merging_gains_from_the_start(evidence(*GOOD))) == "held"


@pytest.mark.parametrize(
    ("ways", "failed"),
    [
        ([FINETUNE, way("ema", "ema", 0.6, 0.65, w=0.5), ZS], {0}),
        ([way("last", "last", 0.615, 0.6), EMA[1], ZS], {1}),
        ([FINETUNE, way("ema", "ema", 0.6, 0.78, first=(0.52, 0.77), w=0.9), ZS], {2}),
        ([FINETUNE, *EMA, way("base", "ema", 0.62, 0.65, w=0.5)], {3}),
        ([FINETUNE, *EMA, way("base", "ema", 0.5, 0.76, first=(0.49, 0.8), w=0.5)], {4}),
        ([FINETUNE, *EMA, way("base", "ema", 0.62, 0.76, first=(0.52, 0.7), w=0.5)], {5}),
    ],
)
def test_nine_falls_with_any_part(ways: list[Way], failed: set[int]) -> None:
    asked = merging_gains_from_the_start(evidence(*ways, noise=0.0003))
    assert {i for i, part in enumerate(parts(asked)) if part == "did not hold"} == failed
    assert verdict(asked) == "did not hold"


def test_what_the_first_task_teaches_is_shown_and_does_not_decide() -> None:
    """Disjoint sets of concepts cannot teach most with the first task; the papers' sentence is of AZS."""
    late = [FINETUNE, way("ema", "ema", 0.65, 0.75, first=(0.41, 0.8), w=0.5), ZS]
    asked = the_test(merging_gains_from_the_start(evidence(*late)))
    assert verdict(asked) == "held"
    [rise] = [item for item in asked.further if item.left == "the rise of EMA-merge over the first task"]
    assert rise.verdict == "did not hold"


def test_nine_cannot_hold_without_one_of_its_parts() -> None:
    """EMA-merge alone: all its parts hold, which is not the whole claim; but one that fails is enough against it."""
    asked = the_test(merging_gains_from_the_start(evidence(FINETUNE, *EMA)))
    assert parts(asked) == ["held"] * 3
    assert verdict(asked) == "undecided"
    assert asked.missing == ("ZS-merge (timeline zs)",)
    below = evidence(FINETUNE, way("ema", "ema", 0.65, 0.65, w=0.5))
    assert verdict(merging_gains_from_the_start(below)) == "did not hold"


@pytest.mark.parametrize(
    ("ways", "line", "count", "missing"),
    [
        ([*EMA, ZS], 0.7, 4, "fine-tuning without merging"),
        (GOOD, None, 4, "joint anchor"),
    ],
)
def test_parts_that_the_study_cannot_test_are_named(
    ways: list[Way], line: float | None, count: int, missing: str
) -> None:
    asked = the_test(merging_gains_from_the_start(evidence(*ways, line=line)))
    assert len(asked.decisive) == count
    assert missing in asked.missing[0]


def test_paths_of_unequal_length_leave_the_first_update_untested() -> None:
    asked = the_test(merging_gains_from_the_start(replace(evidence(*GOOD), paths=None)))
    assert len(asked.decisive) == 4
    assert "as many in every config" in asked.missing[0]


def test_nine_says_what_it_needs() -> None:
    assert "timeline ema" in needs(merging_gains_from_the_start(evidence(FINETUNE)))
    assert "timeline zs" in needs(merging_gains_from_the_start(evidence(FINETUNE)))


@pytest.mark.parametrize(
    "tempting", [way("last", "last", 0.9, 0.78, wise_ft=0.5), way("ema", "ema", 0.1, 0.79, rule="ties")]
)
def test_other_ways_to_serve_do_not_stand_for_averages_or_for_fine_tuning(tempting: Way) -> None:
    assert verdict(merging_gains_from_the_start(evidence(*GOOD, tempting))) == "held"


def test_merging_is_compared_at_the_rate_at_which_fine_tuning_is_best() -> None:
    """The larger rate teaches most and keeps little; merging at the smaller one is on par with fine-tuning there.

    EMA-merge of the largest gain (w = .9) against the highest AKA of fine-tuning is 10 points behind.
    """
    ways = [
        way("last", "last", 0.65, 0.68),
        way("last", "last", 0.7, 0.5, lr=1e-2),
        *EMA,
        way("base", "ema", 0.66, 0.73),
    ]
    study = evidence(*ways)
    aka = study.values["AKA"].mean(axis=1)
    assert aka[3] - aka[1] == pytest.approx(-0.1, abs=0.003)
    asked = the_test(merging_gains_from_the_start(study))
    assert verdict(asked) == "held"
    assert asked.decisive[1].difference.value == pytest.approx(0.01, abs=0.003)
    assert asked.decisive[1].right_configs == (1,)


def test_every_rate_and_weight_is_shown_beside_fine_tuning() -> None:
    """Gain .05 (w = .5) and .08 (w = .9) above the line against -.1; neither WiSE-FT nor TIES takes part."""
    tempting = [way("last", "last", 0.9, 0.9, wise_ft=0.8), way("ema", "ema", 0.1, 0.1, rule="ties")]
    for ways in ([FINETUNE, *EMA], [*tempting, FINETUNE, *EMA]):
        further = the_test(merging_gains_from_the_start(evidence(*ways))).further[1:]
        assert [(item.left, item.quantity) for item in further] == [
            ("EMA-merge at lr 1e-3", "AKA"),
            ("EMA-merge at lr 1e-3", "AZS"),
            ("EMA-merge at w=0.5", "gain"),
            ("EMA-merge at w=0.9", "gain"),
        ]
        assert [item.difference.value for item in further] == pytest.approx([0.05, 0.15, 0.15, 0.18], abs=0.003)


def test_ten_holds_and_falls_with_each_part() -> None:
    claim = larger_merge_weight_keeps_more
    assert parts(claim(evidence(*EMA))) == ["held", "held"]
    less_kept = [way("ema", "ema", 0.65, 0.78, w=0.5), way("ema", "ema", 0.6, 0.7, w=0.9)]
    more_learnt = [way("ema", "ema", 0.5, 0.7, w=0.5), way("ema", "ema", 0.6, 0.78, w=0.9)]
    for ways, expected in ((less_kept, ["did not hold", "held"]), (more_learnt, ["held", "did not hold"])):
        assert parts(claim(evidence(*ways))) == expected
        assert verdict(claim(evidence(*ways))) == "did not hold"
    assert verdict(claim(evidence(*EMA, noise=0.1))) == "undecided"
    assert "two weights w" in needs(claim(evidence(FINETUNE)))
    assert "two weights w" in needs(claim(evidence(EMA[0], way("ema", "ema", 0.6, 0.78, w=0.9, lr=3e-3))))
