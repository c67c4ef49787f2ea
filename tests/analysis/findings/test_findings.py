"""The list of findings: one row each, verdicts with what they rest on, and what would decide the undecided."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from analysis.findings.claims import CLAIMS, evaluate_findings
from analysis.findings.findings import Finding, multiplicity_note
from analysis.frontier import Frontier, build_frontier
from analysis.tables.loading import make_tables
from tests.analysis.error_rates import TRUE, Study, error_rates, null_methods, null_recipes, null_study
from tests.analysis.worlds import World, frames

ALL_PARTS = World(merge_lift=0.05, base_lift=0.0)
NOTHING = World(
    learned={("full", None): 0.5, ("lora", 2): 0.5},
    rate_cost=0.0,
    rate_slide=0.0,
    merge_lift=0.0,
    base_lift=0.0,
    merge_slide=0.0,
    noise_sd=0.03,
)


@cache
def study_of(seed: int = 0, *, blocks: int = 3) -> Frontier:
    return frontier_of(World(tasks=1, blocks=blocks, seed=seed))


def frontier_of(world: World) -> Frontier:
    tables = frames(replace(world, tasks=1))
    return build_frontier(make_tables(tables["trials"], tables["tasks"], tables["scores"], name="study"))


def findings_of(frontier: Frontier) -> dict[int, Finding]:
    return {finding.number: finding for finding in evaluate_findings(frontier)}


def test_a_usual_study() -> None:
    """More w keeps more, the middle rate teaches; fine-tuning retains least, but for want of another method."""
    found = findings_of(study_of())
    assert {number for number, finding in found.items() if finding.verdict == "held"} >= {1, 10}
    assert found[2].verdict == found[15].verdict == found[21].verdict == "not tested"
    for finding in found.values():
        assert (finding.reason is None) == finding.decided
        assert (finding.verdict == "not tested") == (finding.comparisons == ())
        assert (finding.p_value is None) == (finding.verdict == "not tested")


def test_what_was_compared_is_named() -> None:
    frontier = study_of()
    found = findings_of(frontier)
    merges = [result for result in frontier.results if result.config.axes["w"] is not None and result.config.is_full]
    assert found[10].config_ids == tuple(result.config.config_id for result in merges)
    assert found[10].compared is not None
    assert found[10].compared.startswith(f"{len(merges)} configs: no. {merges[0].number} ({merges[0].config.label}); ")
    assert found[10].compared.endswith(f"; and {len(merges) - 3} more")
    assert found[2].compared is None
    for finding in found.values():
        for part in finding.comparisons:
            assert set(part.left_configs) | set(part.right_configs) <= set(part.candidates)
            assert set(part.candidates) <= {result.number for result in frontier.results}


def test_undecided_claims_say_what_would_decide_them() -> None:
    found = findings_of(frontier_of(NOTHING))
    undecided = [finding for finding in found.values() if finding.verdict == "undecided"]
    assert undecided
    for finding in undecided:
        assert finding.advice is not None
        assert finding.blocks_configs
        assert (finding.blocks_needed is None) == ("hardly" in finding.advice or "cannot" in finding.advice)
        assert finding.blocks_needed is None or f"{finding.blocks_needed} more block" in finding.advice
    for finding in set(found.values()) - set(undecided):
        assert (finding.advice, finding.blocks_needed, finding.blocks_configs) == (None, None, ())


@pytest.mark.parametrize(("blocks", "more"), [(1, 2), (2, 1)])
def test_too_few_blocks_never_decide(blocks: int, more: int) -> None:
    found = findings_of(study_of(blocks=blocks))
    tested = [finding for finding in found.values() if finding.verdict != "not tested"]
    assert tested
    for finding in tested:
        assert finding.verdict == "undecided"
        assert finding.reason is not None
        assert f"{blocks} block" in finding.reason
        assert finding.p_value is None
        assert finding.blocks_needed is not None
        assert finding.blocks_needed >= more
    if blocks == 1:
        assert all(finding.advice.startswith("At least 2 more blocks of ") for finding in tested if finding.advice)


def test_holm_is_over_all_that_are_tested() -> None:
    found = findings_of(study_of())
    tested = [finding for finding in found.values() if finding.p_value is not None]
    smallest = min(tested, key=lambda finding: finding.p_value or 0.0)
    assert smallest.adjusted == pytest.approx(min(1.0, len(tested) * (smallest.p_value or 0.0)))
    for finding in found.values():
        assert (finding.stands is None) != finding.decided
        assert not finding.stands or (finding.adjusted is not None and finding.adjusted < 0.05)


def test_what_a_reader_should_expect() -> None:
    found = findings_of(study_of())
    note = multiplicity_note(list(found.values()))
    tested = sum(finding.verdict != "not tested" for finding in found.values())
    assert note.startswith(f"{tested} of {len(CLAIMS)} claims are tested here, each at 95 %")
    assert f"about {(1 - 0.95) * tested:.1f} would still be decided by chance" in note
    two = multiplicity_note([replace(found[10], stands=stands) for stands in (True, False)])
    assert two.endswith("2 are. After Holm's correction over all 2, no. 10 stands.")
    assert multiplicity_note([found[2]]).endswith("and none is decided.")


def test_more_weights_do_not_win_by_number() -> None:
    """The best of many equal weights is not ahead: it is chosen on other blocks than those that score it."""
    world = replace(NOTHING, noise_sd=0.01, weights=(0.1, 0.3, 0.5, 0.7), timelines=("finetune", "ema"))
    leads = [
        next(
            item for item in findings_of(frontier_of(replace(world, seed=seed)))[9].comparisons if "best w" in item.left
        )
        for seed in range(6)
    ]
    assert sum(lead.verdict == "held" for lead in leads) <= 1
    assert abs(np.mean([lead.difference.value for lead in leads])) < 0.005


# -- how often nothing is taken for something --------------------------------------------------------------------------


def check(study: Study, *, studies: int, limit: float) -> None:
    rates = error_rates(study, studies=studies, blocks=3)
    assert rates
    for number, rate in rates.items():
        wrong = rate.fell if number in TRUE else rate.held
        assert wrong <= limit, number


@pytest.mark.parametrize("study", [null_study, null_methods, null_recipes])
def test_few_findings_come_of_nothing(study: Study) -> None:
    """Ten studies of each kind; the rates themselves are in the docstring of `findings`."""
    check(study, studies=10, limit=0.2)


@pytest.mark.thorough
def test_error_rates_are_those_of_the_docstring() -> None:
    """Of 60 studies at 2.5 %, more than 6 are a chance of one in a thousand."""
    for study in (null_study, null_methods, null_recipes):
        check(study, studies=60, limit=0.1)
