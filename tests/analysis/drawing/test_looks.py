"""Colours, shapes and names: by approach and timeline as long as they last, then by group with names."""

import pandas as pd

from analysis.drawing import svg
from analysis.drawing.looks import COLOURS, GROUP_LOOKS, GROUP_NAMES, look_of
from analysis.drawing.views import plane_of
from analysis.frontier import Frontier
from tests.analysis.worlds import World, frames, frontier_of, method_frames


def test_looks_do_not_run_out() -> None:
    world = World(learned={(f"m{i}", i): 0.5 for i in range(12)}, timelines=("ema", "a", "b", "c", "d", "e"), tasks=1)
    look = look_of(frontier_of(frames(world)))
    assert set(look.colours.values()) == set(range(COLOURS))
    assert set(look.shapes.values()) <= set(svg.SHAPES)
    assert len(set(look.shapes.values())) == 6
    assert not look.named


def test_timelines_that_share_a_shape_share_its_place_in_the_legend() -> None:
    others = tuple(f"{start}-last" for start in ("base", "ema", "all", "patched"))
    look = look_of(frontier_of(frames(World(timelines=("finetune", "ema", "zs", "ft", "offline", *others), tasks=1))))
    explained = [entry for entry in look.legend if entry.colour is None]
    assert len({entry.shape for entry in explained}) == len(explained) == len(svg.SHAPES)
    assert explained[-1] == ("other start and serve", None, "star")


def test_few_approaches_have_their_own_colours_and_timelines_their_shapes(study: Frontier) -> None:
    look = look_of(study)
    assert not look.named
    assert sorted(look.colours.values()) == [0, 1]
    assert len({look.shape(result.config) for result in study.results}) == 3
    assert [entry.colour is None for entry in look.legend] == [False] * 2 + [True] * 3


def test_many_methods_are_drawn_by_group_and_named(methods: Frontier) -> None:
    look = look_of(methods)
    assert look.named
    assert [entry.name for entry in look.legend] == [GROUP_NAMES[group] for group in GROUP_LOOKS][:5]
    assert {(look.colour(r.config), look.shape(r.config)) for r in methods.results if r.config.trained} == {
        (entry.colour, entry.shape) for entry in look.legend
    }
    plane = plane_of(methods, look)
    named = {mark.label: mark.number for mark in plane.marks if mark.label is not None}
    bests = {method.approach: method.best.number for method in methods.methods if method.best.config.trained}
    assert named == bests
    assert not any(mark.faint for mark in plane.marks if mark.label is not None)


def test_many_methods_with_timelines_keep_the_shapes_for_these() -> None:
    tables = method_frames(World(tasks=1, blocks=1))
    twin = {name: frame.assign(trial="x" + frame["trial"]) for name, frame in tables.items()}
    twin["trials"] = twin["trials"].assign(timeline="ema", w=0.5, config_id="x" + twin["trials"]["config_id"])
    both = {name: pd.concat([tables[name], twin[name]], ignore_index=True) for name in tables}
    anchors = both["trials"]["kind"].eq("anchor") & both["trials"]["trial"].str.startswith("x")
    lost = set(both["trials"].loc[anchors, "trial"])
    look = look_of(frontier_of({name: frame[~frame["trial"].isin(lost)] for name, frame in both.items()}))
    assert look.named
    assert {shape for (_, timeline), shape in look.shapes.items() if timeline == "ema"} == {"diamond"}
    assert [entry.name for entry in look.legend][-2:] == ["no merging", "EMA-merge"]
