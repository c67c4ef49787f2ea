"""Findings over several studies: one plane is one study, and no verdict chooses between planes.

Planes of models of other sizes are asked together about sizes alone.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from analysis.findings.claims import CLAIMS, evaluate_findings, find
from analysis.findings.findings import Finding
from analysis.findings.several import evidence_of_planes, findings_of, planes_of
from analysis.findings.sizes import SIZE_AXES
from analysis.frontier import build_frontier
from analysis.tables.contract import TableError
from analysis.tables.loading import make_tables
from analysis.tables.tables import Tables
from tests.analysis.worlds import Frames, World, frames

WORLD = World(tasks=2)


def made(tables: Frames, name: str, *, without: Sequence[str] = ()) -> Tables:
    """The tables of a world, without some timelines."""
    trials = tables["trials"][~tables["trials"]["timeline"].isin(without)]
    rest = (tables[name][tables[name]["trial"].isin(trials["trial"])] for name in ("tasks", "scores"))
    return make_tables(trials, *rest, name=name)


def test_studies_of_one_plane_are_one_study() -> None:
    """Both have the configs without merging and the joint anchor, which count once."""
    whole = frames(WORLD)
    (plane,) = planes_of([made(whole, "a", without=["zs"]), made(whole, "b", without=["ema"])])
    expected = made(whole, "whole")
    assert plane.name == "a and b"
    assert plane.counts["configs"] == expected.counts["configs"]
    assert findings_of([plane]) == evaluate_findings(build_frontier(expected), expected)


@pytest.mark.parametrize("verdict", ["held", "did not hold"])
def test_the_plane_that_compares_more_is_asked_whatever_it_says(verdict: str) -> None:
    """In one world a larger w keeps more (no. 10), in the other one less; one has three rates, and one has two."""
    few = replace(WORLD, rates=(1e-5, 1e-4), joint=(0.561, 0.624))
    worlds = (WORLD, replace(few, merge_slide=-0.5)) if verdict == "held" else (replace(WORLD, merge_slide=-0.5), few)
    planes = planes_of([made(frames(world), "a") for world in worlds])
    alone = {plane.counts["configs"]: findings_of([plane])[9].verdict for plane in planes}
    assert set(alone.values()) == {"held", "did not hold"}
    assert findings_of(planes)[9].verdict == findings_of(planes[::-1])[9].verdict == alone[max(alone)] == verdict


def test_a_plane_that_cannot_test_a_claim_gives_way() -> None:
    large, small = made(frames(replace(WORLD, blocks=5)), "a", without=["ema", "zs"]), made(frames(WORLD), "b")
    planes = planes_of([large, small])
    assert len(planes) == 2
    assert findings_of(planes[:1])[9].verdict == "not tested"
    assert findings_of(planes)[9].comparisons == findings_of(planes[1:])[9].comparisons != ()


def test_a_trial_that_scored_differently_is_refused() -> None:
    other = frames(WORLD)
    rows = other["tasks"]["trial"].str.startswith("full-ema0.5") & (other["tasks"]["task"] == 1)
    other["tasks"].loc[rows, "aka"] += 0.01
    with pytest.raises(TableError, match="a and b have a trial in common that scored differently"):
        planes_of([made(frames(WORLD), "a"), made(other, "b")])


# -- sizes -------------------------------------------------------------------------------------------------------------


SMALL = World(learned={("full", None): 0.85}, timelines=("finetune", "ema"), block_sd=0.0005, noise_sd=0.0005)
LARGE = replace(SMALL, zero_shot=(0.45, 0.72), joint=(0.66, 0.70), merge_lift=0.03, seed=1)
"""The larger model learns more and forgets less, and its EMA-merge lies further above the line."""

ABOUT_SIZES = [number for number, claim in CLAIMS.items() if set(SIZE_AXES) <= set(claim.about)]


def of_size(
    world: World,
    said: int | None,
    *,
    rates: Sequence[float] = SMALL.rates,
    images: int | None = None,
    **axes: Any,
) -> Tables:
    """The tables of a model, which say so many parameters, at some of the rates, with further columns.

    They have scores of data sets where these have so many test images.
    """
    tables = frames(world)
    trials = tables["trials"][tables["trials"]["lr"].isin(rates) | (tables["trials"]["kind"] == "anchor")].assign(
        **axes
    )
    tasks, scores = (tables[name][tables[name]["trial"].isin(trials["trial"])] for name in ("tasks", "scores"))
    found = None if images is None else scores.assign(n=images)
    return make_tables(trials, tasks, found, name=f"of {said} {axes}", parameters=said)


def with_steps(world: World, steps: int, parameters: int) -> Tables:
    """The same with a number of steps, which makes other trials and not another joint anchor."""
    tables = frames(world)
    anchors = set(tables["trials"].loc[tables["trials"]["kind"] == "anchor", "trial"])

    def named(frame: pd.DataFrame) -> pd.DataFrame:
        ids = [one for one in ("trial", "config_id") if one in frame.columns]
        renamed = {one: frame[one].where(frame["trial"].isin(anchors), frame[one] + f"-{steps}") for one in ids}
        return frame.assign(**renamed)

    trials, tasks = (named(tables[name]) for name in ("trials", "tasks"))
    return make_tables(trials.assign(steps=steps), tasks, name=f"{steps} steps", parameters=parameters)


@pytest.fixture(scope="module")
def small() -> Tables:
    return of_size(SMALL, 430_000)


@pytest.fixture(scope="module")
def large() -> Tables:
    return of_size(LARGE, 1_400_000)


def moves_of_the_best(tables: Tables) -> npt.NDArray[np.float64]:
    """What the best rate without merging changes in AKA and AZS from task 0 to the last."""
    plain = tables.trials.loc[tables.trials["timeline"] == "finetune", ["trial", "lr"]]
    means = tables.ends.merge(plain, on="trial").groupby(["task", "lr"])[["aka", "azs", "gm"]].mean()
    starts, ends = means.to_numpy(dtype=float).reshape(2, -1, 3)
    best = np.argmax(ends[:, 2])
    return np.asarray(ends[best, :2] - starts[best, :2], dtype=float)


def asked(number: int, *studies: Tables) -> Finding:
    return findings_of(planes_of(studies))[number - 1]


def test_sizes_are_asked_of_studies_together(small: Tables, large: Tables) -> None:
    """The differences are of each model from its own zero-shot point, by configs that stand on both sides."""
    assert ABOUT_SIZES == [15, 25]
    assert all(asked(15, one).verdict == "not tested" for one in (small, large))
    held, fell = asked(15, small, large), asked(15, of_size(SMALL, 1_400_000), of_size(LARGE, 430_000))
    assert (held.verdict, fell.verdict) == ("held", "did not hold")
    moved = [moves_of_the_best(one) for one in (small, large)]
    allowed = np.array([evidence_of_planes([small, large])[0].of_sizes.margins["AKA"], 0.0])
    differences = [one.difference.value for one in held.comparisons]
    assert differences == pytest.approx((moved[1] - moved[0] + allowed).tolist())
    assert held.compared is not None
    assert "parameters 4.3e5" in held.compared
    assert "parameters 1.4e6" in held.compared
    assert set(held.config_ids) < set(small.trials["config_id"])


def test_the_order_of_studies_changes_no_verdict(small: Tables, large: Tables) -> None:
    for one, other in zip(findings_of([small, large]), findings_of([large, small]), strict=True):
        assert one.number not in ABOUT_SIZES or (one.verdict, one.p_value) == (other.verdict, other.p_value)


def test_nothing_but_sizes_is_asked_over_two_planes(small: Tables, large: Tables) -> None:
    """The evidence on sizes has no gain, which needs one line, and the margins are the means of both."""
    assert planes_of([small, large]) == (small, large)
    every = evidence_of_planes([small, large])
    for own in every:
        assert own.sizes is not None
        assert "gain" in own.values
        assert set(own.sizes.values) == {"AKA", "AZS", "GM"}
        alone = replace(own, sizes=None)
        for number in CLAIMS:
            assert (find(own, number) == find(alone, number)) == (number not in ABOUT_SIZES), number
    margins = [own.margins["AKA"] for own in every]
    assert margins[0] < margins[1]
    assert [own.of_sizes.margins["AKA"] for own in every] == pytest.approx([sum(margins) / 2] * 2)


def test_configs_that_one_size_alone_has_are_left_out(small: Tables) -> None:
    """So that no size has more to choose its best from; without one in common there is nothing to compare."""
    for own in evidence_of_planes([small, of_size(LARGE, 1_400_000, rates=[1e-5, 1e-3])]):
        kept = [own.of_sizes.configs[row].axes for row in own.of_sizes.rows()]
        assert {axes["lr"] for axes in kept} == {1e-5, 1e-3}
        assert [axes["parameters"] for axes in kept].count(430_000) == len(kept) / 2 == 6
    assert asked(15, small, of_size(LARGE, 1_400_000, batch_size=64)).verdict == "not tested"
    assert asked(15, small, of_size(replace(LARGE, blocks=4), 1_400_000)).verdict == "not tested"


def test_models_of_other_test_sets_are_not_compared() -> None:
    verdicts = [asked(15, of_size(SMALL, 1, images=500), of_size(LARGE, 2, images=n)).verdict for n in (500, 499)]
    assert verdicts == ["held", "not tested"]


def test_models_of_one_size_are_not_compared_and_make_their_size_ambiguous(small: Tables, large: Tables) -> None:
    """Two draws of a world: nobody knows which of them belongs to the model of another size."""
    other = of_size(replace(LARGE, zero_shot=(0.46, 0.72)), 430_000)
    assert asked(15, small, other).verdict == "not tested"
    assert asked(15, small, other, large).verdict == "not tested"
    third = of_size(replace(LARGE, zero_shot=(0.4, 0.7)), 3_000_000)
    assert asked(15, small, other, large, third).verdict != "not tested"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"parameters": 430_000}, {"parameters": 1_400_000}),
        ({"size": "s"}, {"size": "m"}),
        ({"model": "ViT-B-32", "pretrained": "a"}, {"model": "ViT-L-14", "pretrained": "b"}),
    ],
)
def test_tables_of_others_say_sizes_in_a_column(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert asked(15, of_size(SMALL, None, **ours), of_size(LARGE, None, **theirs)).verdict == "held"


def test_sizes_that_are_said_in_other_ways_are_not_compared(small: Tables) -> None:
    """The place of a size among sizes and a number of parameters are no numbers of one kind."""
    assert asked(15, small, of_size(LARGE, None, size="m")).verdict == "not tested"


def test_the_lead_of_merging_is_asked_of_tasks_and_steps_in_one_plane_and_of_sizes_in_all() -> None:
    """The parts of 25 are put together before the verdict; the models differ at the one number of steps of both."""
    few, many = with_steps(SMALL, 14, 430_000), with_steps(replace(SMALL, merge_lift=0.03), 56, 430_000)
    large = with_steps(LARGE, 14, 1_400_000)
    found = asked(25, few, many, large)
    assert [one.left.removeprefix("the lead of EMA-merge over fine-tuning ") for one in found.comparisons] == [
        "after 6 tasks",
        "at the most steps",
        "at the most parameters",
    ]
    assert (found.verdict, found.missing) == ("held", ())
    assert found.comparisons[:2] == asked(25, few, many).comparisons
    assert found.comparisons[2].difference == asked(25, few, large).comparisons[1].difference
    assert ["steps" in one for one in asked(25, few, large).missing] == [True]
