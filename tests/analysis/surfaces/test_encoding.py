"""Axes as numbers: which axes there are, on which scale, and what is drawn."""

import math

import numpy as np
import pytest

from analysis.configs import AxisValue, Config
from analysis.frontier import Frontier
from analysis.surfaces.encoding import axes_of, crossed, encode
from tests.analysis.worlds import World, frames, frontier_of


def config(**axes: AxisValue) -> Config:
    return Config(config_id=str(axes), label="", setting="", family="", group="", timeline=None, axes=axes)


def grid(**levels: list[AxisValue]) -> list[Config]:
    """All combinations, twice."""
    found: list[dict[str, AxisValue]] = [{}]
    for name, values in levels.items():
        found = [{**axes, name: value} for axes in found for value in values]
    return [config(**axes) for axes in found] * 2


def test_scales() -> None:
    configs = grid(
        lr=[1e-3, 2e-3], rank=[2, 4], w=[0.05, 0.95], scale=[1.0, 30.0], warmup=[0.0, 0.5], rule=["lerp", "ties"]
    )
    found = {axis.name: axis for axis in axes_of(configs)}
    assert {name: axis.scale for name, axis in found.items()} == {
        **{"lr": "log", "rank": "log", "w": "linear", "scale": "log", "warmup": "linear", "rule": "choice"}
    }
    assert found["lr"].code([1e-3, math.sqrt(2) * 1e-3, 2e-3])[:, 0] == pytest.approx([0.0, 0.5, 1.0])
    assert found["w"].code([0.5])[0, 0] == pytest.approx(0.5)
    assert found["rule"].code(["ties", "lerp"]).tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_only_axes_that_vary_and_apply_to_all() -> None:
    configs = [config(method=m, lr=1e-3, w=w, online_ema=e) for m, w, e in [("a", 0.5, None), ("b", None, 0.9)] * 3]
    assert [axis.name for axis in axes_of(configs)] == ["method"]
    switched = [config(w=w, online_ema=e) for w in (0.5, 0.9) for e in (None, 0.9)] * 2
    found = {axis.name: axis for axis in axes_of(switched)}
    assert found["online_ema"].levels == (None, 0.9)
    assert found["online_ema"].scale == "choice"


def test_axes_that_another_decides_go_along() -> None:
    configs = grid(timeline=["ema", "zs"], rank=[2, 16])
    configs = [config(**one.axes, start="base", serve=str(one.axes["timeline"]), alpha=one.axes["rank"], n=n)
               for one in configs for n in (1, 2)]  # fmt: skip
    assert [(axis.name, axis.along) for axis in axes_of(configs)] == [
        ("timeline", ("serve",)),
        ("rank", ("alpha",)),
        ("n", ()),
    ]


def test_numbers_that_keep_their_ratio_go_along_however_few() -> None:
    (axis,) = axes_of([config(rank=2, alpha=4.0), config(rank=16, alpha=32.0)])
    assert (axis.name, axis.along) == ("rank", ("alpha",))
    assert len(axes_of([config(rank=2, alpha=4.0), config(rank=16, alpha=16.0)])) == 2


def test_values_drawn_from_ranges_decide_nothing() -> None:
    rng = np.random.default_rng(0)
    configs = [config(lr=float(a), w=float(b), method="xy"[i % 2]) for i, (a, b) in enumerate(rng.random((20, 2)))]
    found = axes_of(configs)
    assert [axis.name for axis in found] == ["lr", "w", "method"]
    assert [axis.drawn for axis in found] == [True, True, False]
    drawn = found[0].draw(np.array([0.0, 0.25, 1.0 - 1e-9]))[:, 0]
    assert drawn == pytest.approx([0.0, 0.25, 1.0], abs=1e-6)
    assert found[2].draw(np.array([0.1, 0.6])).tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_a_grid_is_drawn_from_its_own_values() -> None:
    (axis,) = axes_of(grid(lr=[1e-4, 1e-3, 1e-2]))
    drawn = axis.draw((np.arange(300) + 0.5) / 300)[:, 0]
    values, counts = np.unique(drawn.round(9), return_counts=True)
    assert values == pytest.approx([0.0, 0.5, 1.0])
    assert counts.tolist() == [100, 100, 100]


def test_columns_stand_side_by_side() -> None:
    configs = grid(lr=[1e-4, 1e-2], rule=["a", "b", "c"])
    axes = axes_of(configs)
    columns = encode(axes, configs)
    assert columns.shape == (12, 4)
    assert columns[2].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert encode((), configs).shape == (12, 0)


def test_crossed_axes() -> None:
    full = grid(lr=[1e-4, 1e-3], rule=["a", "b"])
    assert crossed(axes_of(full), full) == (1.0, None)
    half = [one for one in full if (one.axes["lr"], one.axes["rule"]) != (1e-4, "a")]
    assert crossed(axes_of(half), half) == (0.75, ("lr", "rule"))


def test_a_study(study: Frontier) -> None:
    assert [axis.name for axis in axes_of([result.config for result in study.results])] == ["method", "timeline", "lr"]


def test_order_of_configs_does_not_matter() -> None:
    configs = [result.config for result in frontier_of(frames(World(tasks=1, blocks=1))).results]
    assert axes_of(configs) == axes_of(configs[::-1])
