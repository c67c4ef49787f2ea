"""No verdict depends on what else is in the grid: a world in which all claims are tested, and configs that they ignore.

Also margins, which are shares of the plane, and how the usual way of training is found.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from analysis.findings.claims import CLAIMS, find
from analysis.findings.evidence import Evidence, evidence_of, margins_of
from analysis.findings.findings import Finding
from analysis.findings.merges import merging_gains_from_the_start
from analysis.findings.times import advantage_grows, offline_merging_is_worse
from analysis.frontier import build_frontier
from analysis.tables.loading import make_tables
from analysis.writing.sentences import finding_lines
from tests.analysis.all_claims import merge, study_of
from tests.analysis.ways import ClaimTest, Way, evidence, plain, verdict
from tests.analysis.worlds import HOLDOUT, World, frames

OTHERS = {
    "an adapter": plain(0.3, 0.3, method="ia3"),
    "a freeze that learns most": plain(0.99, 0.99, method="freeze_mlp"),
    "a freeze that keeps nothing": plain(0.1, 0.05, method="freeze_attention"),
    "LoRA with a penalty": plain(0.99, 0.99, method="lora", rank=2, penalty="ewc"),
    "full fine-tuning with a penalty": plain(0.99, 0.99, penalty="ewc"),
    "full fine-tuning, served with the base": plain(0.99, 0.99, wise_ft=0.5),
    "the control of rules": merge("ema", "ema", 0.1, 0.1, rule="random"),
    "another batch, plain": plain(0.99, 0.1, batch_size=64),
    "another batch, EMA-merge": merge("ema", "ema", 0.1, 0.99, w=0.5, batch_size=64),
    "another batch, LoRA": plain(0.1, 0.99, method="lora", rank=2, batch_size=64),
    "an online average": plain(0.99, 0.99, online_ema=0.9),
    "LoRA, EMA-merge": merge("ema", "ema", 0.1, 0.99, method="lora", rank=2, w=0.5),
    "LoRA, offline": merge("base", "all", 0.99, 0.99, method="lora", rank=2),
}


@cache
def study(*names: str) -> Evidence:
    """The world with some of the others; noise of a config does not depend on those that come after it."""
    return study_of(*(OTHERS[name] for name in names))


def said(finding: Finding) -> tuple[object, ...]:
    return finding.verdict, finding.reason, finding.comparisons[: finding.decisive], finding.missing


@pytest.mark.parametrize("number", CLAIMS)
def test_all_claims_hold_in_this_world(number: int) -> None:
    assert find(study(), number).verdict == "held"


@pytest.mark.parametrize("number", CLAIMS)
def test_no_verdict_depends_on_what_else_is_in_the_grid(number: int) -> None:
    """Neither the verdict nor a number behind it changes with one of the others, nor with all of them."""
    expected = said(find(study(), number))
    for name in OTHERS:
        assert said(find(study(name), number)) == expected, name
    assert said(find(study(*OTHERS), number)) == expected


# -- ablations -----------------------------------------------------------------------------------------------------


BASE = [plain(0.6, 0.62), merge("ema", "ema", 0.6, 0.74, w=0.5), merge("base", "ema", 0.6, 0.73, w=0.5)]
OFFLINE = merge("base", "all", 0.5, 0.79)
STEPS = [plain(0.6, 0.62, steps=56), merge("ema", "ema", 0.62, 0.78, w=0.5, steps=56)]


def ablated(**shares: Any) -> list[Way]:
    """Everything again without a replay, where merging gains nothing and offline merging is best."""
    return [
        plain(0.6, 0.78, **shares),
        merge("ema", "ema", 0.45, 0.6, first=(0.52, 0.6), w=0.5, **shares),
        merge("base", "all", 0.8, 0.8, **shares),
    ]


@pytest.mark.parametrize(
    ("number", "claim"),
    [(9, merging_gains_from_the_start), (22, offline_merging_is_worse), (25, advantage_grows)],
)
def test_ablations_of_one_claim_say_nothing_about_another(number: int, claim: ClaimTest) -> None:
    """Averaged over all ways of training the claim would fall with the ablations of claim 20."""
    with_ablations = evidence(*BASE, OFFLINE, *STEPS, *ablated(buffer_share=0.0), *ablated(pool_share=0.0))
    assert find(evidence(*BASE, OFFLINE, *STEPS), number).verdict == "held"
    assert find(with_ablations, number).verdict == "held"
    if number != 25:  # it takes the usual way itself for its part over tasks
        assert verdict(claim(with_ablations)) != "held"


def usual(ways: Sequence[Way], *about: str) -> set[int]:
    return set(evidence(*ways).usual(about).rows())


def test_the_usual_way_is_that_of_most_configs() -> None:
    ways = [plain(0.6, 0.7, lr=rate) for rate in (1e-3, 1e-2)]
    assert usual([*ways, plain(0.6, 0.7, steps=56)]) == {0, 1}
    assert usual([*ways, plain(0.6, 0.7, steps=56)], "steps") == {0, 1, 2}
    assert usual([*ways, plain(0.6, 0.7, temperature=0.07)]) == {0, 1}
    assert usual([*ways, plain(0.6, 0.7, batch_size=64)]) == {0, 1, 2}  # an axis that does not apply to the others


def test_of_ways_as_frequent_the_one_of_frequent_values_is_usual() -> None:
    """Mixtures, each with one config; then orderings, of which none is usual, so that all count."""
    mixtures = [plain(0.6, 0.7, buffer_share=b, pool_share=p) for b, p in ((0.33, 0.33), (0.0, 0.33), (0.33, 0.0))]
    assert usual(mixtures) == {0}
    assert usual([plain(0.6, 0.7, ordering=name) for name in ("random", "time")]) == {0, 1}


def test_a_claim_that_needs_another_way_says_so() -> None:
    ways = [plain(0.6, 0.7), plain(0.6, 0.7, lr=1e-2), merge("ema", "ema", 0.6, 0.7, w=0.5, steps=56)]
    reason = find(evidence(*ways), 22).reason
    assert reason is not None
    assert reason.endswith("(among configs that were trained in the way that most were)")


def test_what_was_not_asked_of_a_claim_that_held_is_said() -> None:
    """Tasks and steps are enough for 25; that the study has one size of model is said beside the verdict."""
    finding = find(evidence(*BASE, *STEPS), 25)
    assert (finding.verdict, finding.reason) == ("held", None)
    assert any(
        "Not asked, for want of EMA-merge and fine-tuning at models of two" in one for one in finding_lines([finding])
    )


# -- margins ---------------------------------------------------------------------------------------------------------


def test_margins_are_shares_of_the_plane() -> None:
    """5 % of what joint training learns; 2 standard errors of a mean of test sets of 50 images each, or 1 point."""
    world = World(tasks=1)
    tables = frames(world)
    for images, expected in ((10_000, 0.01), (50, None)):
        study = make_tables(tables["trials"], tables["tasks"], tables["scores"].assign(n=images), name="study")
        frontier = build_frontier(study)
        margins = margins_of(frontier, study)
        assert margins["AKA"] == pytest.approx(0.05 * (frontier.joint.point[0] - 0.385) if frontier.joint else 0)
        start = study.end_scores[(study.end_scores["task"] == 0) & study.end_scores["dataset"].isin(HOLDOUT)]
        p = start.drop_duplicates("dataset")["value"].to_numpy(dtype=float)
        error = np.sqrt((p * (1 - p) / images).sum()) / len(p)
        assert margins["AZS"] == margins["gain"] == pytest.approx(expected or 2 * error)
    assert margins_of(build_frontier(study), None)["AZS"] == 0.01
    aka, azs = build_frontier(study).zero_shot.point
    moved = np.sqrt((aka + margins["AKA"]) * (azs + margins["AZS"])) - np.sqrt(aka * azs)
    assert margins["GM"] == pytest.approx(moved, rel=0.02)


def test_without_a_joint_anchor_the_margin_is_a_point() -> None:
    tables = frames(World(tasks=1, with_joint=False))
    study = make_tables(tables["trials"], tables["tasks"], tables["scores"], name="study")
    assert evidence_of(build_frontier(study), study).margins["AKA"] == 0.01


def test_a_difference_that_is_small_for_the_plane_is_none() -> None:
    """Two schedules 1.5 points of AKA apart: not alike by a point, alike where joint training learns 48 points."""
    ways = [plain(0.6, 0.7), plain(0.615, 0.7, schedule="rsqrt")]
    small = evidence(*ways)
    assert find(small, 12).verdict == "did not hold"
    assert find(replace(small, margins={**small.margins, "AKA": 0.05 * 0.48}), 12).verdict == "held"
