"""Findings on pairs of configs in worlds where the truth is known: held, did not hold, undecided, not tested."""

from dataclasses import replace

import pytest

from analysis.findings import CLAIMS, Finding, evaluate_findings
from analysis.frontier import build_frontier
from analysis.tables import make_tables
from analysis.wording import comparison_sentence
from tests.analysis.worlds import World, frames

OF_CONFIGS = slice(8, 12)
"""The claims of this file, 9 to 12; the methods' and the merges' have files of their own."""


def findings_of(world: World) -> tuple[Finding, ...]:
    tables = frames(replace(world, tasks=1))
    return evaluate_findings(
        build_frontier(make_tables(tables["trials"], tables["tasks"], tables["scores"], name="study"))
    )


def verdict(world: World, number: int) -> str:
    return findings_of(world)[number - 1].verdict


def test_all_hold_in_the_usual_world() -> None:
    found = findings_of(World())
    assert [finding.verdict for finding in found[OF_CONFIGS]] == ["held"] * 4
    assert [finding.number for finding in found] == list(range(1, len(CLAIMS) + 1))
    assert all(finding.reason is None for finding in found[OF_CONFIGS])
    assert all(finding.source.startswith("arXiv 2408.14471") for finding in found[OF_CONFIGS])
    assert all(finding.source.startswith("arXiv 2") for finding in found)


TURNED = {
    9: World(learned={("full", None): 0.3, ("lora", 2): 0.8}),
    10: World(rate_cost=-0.012, rate_slide=0.0),
    11: World(merge_lift=-0.02, base_lift=0.0, rate_cost=0.0),
    12: World(merge_slide=-0.4, merge_lift=0.0, base_lift=0.0, rate_cost=0.0, timelines=("finetune", "zs")),
}


@pytest.mark.parametrize("number", sorted(TURNED))
def test_none_holds_where_its_effect_is_turned(number: int) -> None:
    assert verdict(TURNED[number], number) == "did not hold"


def test_noise_leaves_all_undecided() -> None:
    """Without any effect a claim is decided in about 5 % of studies (up to 13 % for the best of three rates)."""
    world = World(
        learned={("full", None): 0.5, ("lora", 2): 0.5},
        rate_cost=0.0,
        rate_slide=0.0,
        merge_lift=0.0,
        base_lift=0.0,
        merge_slide=0.0,
        noise_sd=0.03,
    )
    studies = [findings_of(replace(world, seed=seed)) for seed in range(8)]
    for findings in list(zip(*studies, strict=True))[OF_CONFIGS]:
        assert sum(finding.verdict != "undecided" for finding in findings) <= 2


@pytest.mark.parametrize("number", [9, 10, 11, 12])
def test_two_blocks_never_decide(number: int) -> None:
    finding = findings_of(World(blocks=2))[number - 1]
    assert finding.verdict == "undecided"
    assert finding.reason is not None
    assert "2 blocks" in finding.reason


@pytest.mark.parametrize(
    ("number", "world"),
    [
        (9, World(learned={("full", None): 0.8})),
        (9, World(timelines=("ema",))),
        (10, World(rates=(1e-4,))),
        (11, World(with_joint=False)),
        (11, World(timelines=("finetune", "zs"))),
        (12, World(weights=(0.5,))),
    ],
)
def test_what_a_study_lacks_is_not_tested(number: int, world: World) -> None:
    finding = findings_of(world)[number - 1]
    assert finding.verdict == "not tested"
    assert finding.reason
    assert finding.comparisons == ()


def test_lowest_rank_is_compared() -> None:
    assert all("LoRA r2" in item.right for item in findings_of(World())[8].comparisons)


def test_full_against_lora_by_hand() -> None:
    """Without noise the difference is the grid's: 0.85 - 0.40 of what joint training learns, at every rate."""
    world = World(noise_sd=0.0, block_sd=0.0)
    expected = 0.45 * (world.joint[0] - world.zero_shot[0])
    comparisons = findings_of(world)[8].comparisons
    assert len(comparisons) == 1 + len(world.rates)
    for comparison in comparisons:
        assert comparison.difference.value == pytest.approx(expected)
        assert comparison.pairs == 1


def test_pairs_agree_on_everything_else() -> None:
    """3 families x (1 + 2 + 2) ways x 3 pairs of 3 rates; 3 families x 2 timelines x 3 rates x 1 pair of 2 weights."""
    found = findings_of(World())
    assert found[9].comparisons[0].pairs == 45
    assert found[11].comparisons[0].pairs == 18


def test_more_weights_do_not_win_by_number() -> None:
    """The best of many equal weights is not ahead: it is chosen on other blocks than those that score it."""
    world = World(
        merge_lift=0.0, base_lift=0.0, rate_cost=0.0, merge_slide=0.0, noise_sd=0.01, weights=(0.1, 0.3, 0.5, 0.7)
    )
    verdicts = [verdict(replace(world, seed=seed), 11) for seed in range(6)]
    assert verdicts.count("held") <= 1


def test_sentences() -> None:
    world = World(learned={("full", None): 0.8, ("lora", 2): 0.4}, noise_sd=0.0, block_sd=0.0)
    finding = findings_of(world)[8]
    assert comparison_sentence(finding.comparisons[0]) == (
        "Full fine-tuning at its best lr is 7.00 \u00b1 0.00 points of AKA above LoRA r2 at its best lr"
    )
