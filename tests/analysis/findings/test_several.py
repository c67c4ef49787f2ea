"""Findings over several studies: one plane is one study, and no verdict chooses between planes."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from analysis.findings.claims import evaluate_findings
from analysis.findings.several import findings_of, planes_of
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
