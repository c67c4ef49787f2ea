"""Candidates: between tested configs of one group, readable, and never outside."""

import math

import pytest

from analysis.configs import AxisValue, Config
from analysis.frontier import Frontier
from analysis.roles import STANDARD
from analysis.surfaces.candidates import candidates, describe, groups
from analysis.surfaces.encoding import axes_of


def config(**axes: AxisValue) -> Config:
    full: dict[str, AxisValue] = {"method": "full", "rank": None, "timeline": "ema", "rule": "lerp", "w": None, **axes}
    timeline = str(full["timeline"])
    return Config(config_id=str(axes), label="", setting="", family="", group="", timeline=timeline, axes=full)


def found(configs: list[Config]) -> list[dict[str, AxisValue]]:
    return [dict(one) for one in candidates(axes_of(configs), configs, seed=0)]


def test_combinations_and_middles_on_natural_scales() -> None:
    tested = [config(w=w, lr=lr) for w, lr in [(0.5, 1e-4), (0.9, 1e-4), (0.5, 1e-2)] * 2]
    wanted = {(w, lr) for w in (0.5, 0.7, 0.9) for lr in (1e-4, 1e-3, 1e-2)} - {(0.5, 1e-4), (0.9, 1e-4), (0.5, 1e-2)}
    assert {(one["w"], one["lr"]) for one in found(tested)} == wanted


def test_values_are_readable() -> None:
    tested = [config(rank=rank, lr=lr) for rank in (2, 16) for lr in (1e-3, 3e-3)]
    ranks = {one["rank"] for one in found(tested)}
    assert ranks == {2, 6, 16}
    assert all(isinstance(rank, int) for rank in ranks)
    assert {one["lr"] for one in found(tested)} == {1e-3, 1.7e-3, 3e-3}


def test_neighbours_have_no_middle() -> None:
    assert not found([config(rank=rank) for rank in (2, 3)] * 2)


def test_nothing_lies_outside_of_what_was_tested_with_the_same_choices() -> None:
    tested = [config(timeline="ema", w=w) for w in (0.5, 0.9)] + [config(timeline="zs", w=w) for w in (0.2, 0.4)]
    assert sorted((str(one["timeline"]), one["w"]) for one in found(tested)) == [("ema", 0.7), ("zs", 0.3)]


def test_axes_that_go_along() -> None:
    """They keep their ratio, or the values they have; where there is no rule, there is no middle."""
    same = [config(rank=rank, alpha=2.0 * rank, lr=lr) for rank in (2, 8) for lr in (1e-3, 1e-2)]
    assert {(one["rank"], one["alpha"]) for one in found(same)} == {(2, 4.0), (4, 8.0), (8, 16.0)}
    other = [config(rank=rank, alpha=alpha, lr=lr) for rank, alpha in [(2, 4.0), (8, 8.0)] for lr in (1e-3, 1e-2)]
    assert {(one["rank"], one["alpha"]) for one in found(other)} == {(2, 4.0), (8, 8.0)}
    named = [config(timeline=t, start=s, w=w) for t, s in [("ema", "ema"), ("zs", "base")] for w in (0.5, 0.9)]
    assert {(one["timeline"], one["start"]) for one in found(named)} == {("ema", "ema"), ("zs", "base")}


def test_shares_of_a_batch_and_tasks_have_no_middle() -> None:
    tested = [config(pool_share=p, new_share=1 - p, tasks=t) for p in (0.2, 0.6) for t in (4, 8)] * 2
    assert not found(tested)


def test_too_many_are_drawn() -> None:
    tested = [config(w=i / 40, lr=10.0 ** (-5 + i % 7), warmup=(i % 11) / 20) for i in range(1, 40)]
    many = found(tested)
    assert 300 < len(many) <= 500
    assert len({tuple(one.values()) for one in many}) == len(many)
    assert many == found(tested)


def test_groups_are_of_one_method_and_the_same_axes(study: Frontier, methods: Frontier) -> None:
    configs = [result.config for result in study.results]
    assert {name: len(rows) for name, rows in groups(configs).items()} == {
        "full fine-tuning, no merging": 3,
        "full fine-tuning, EMA-merge, ZS-merge": 12,
        "LoRA, no merging": 6,
        "LoRA, EMA-merge, ZS-merge": 24,
    }
    assert sorted(row for rows in groups(configs).values() for row in rows) == list(range(45))
    configs = [result.config for result in methods.results]
    assert all(len({configs[row].axes["method"] for row in rows}) == 1 for rows in groups(configs).values())
    assert all(configs[row].trained for rows in groups(configs).values() for row in rows)


def test_groups_of_one_method_and_timeline_are_told_apart() -> None:
    sizes = [config(buffer_size=size, w=w) for size in (None, 60, 240) for w in (0.5, 0.9)]
    assert {name: len(rows) for name, rows in groups(sizes).items()} == {
        "full fine-tuning, EMA-merge": 2,
        "full fine-tuning, EMA-merge with buffer size": 4,
    }


def test_words() -> None:
    tested = [config(method="lora", rank=4, w=w, lr=lr) for w in (0.5, 0.9) for lr in (1e-3, 1e-2)]
    axes = axes_of(tested)
    words = [describe(one, axes, STANDARD) for one in candidates(axes, tested, seed=0)]
    assert "LoRA r4, EMA-merge, w 0.7, lr 3.2e-3" in words


@pytest.mark.parametrize("levels", [(1e-5, 1e-1), (2e-4, 9e-4), (0.001, 0.0011)])
def test_middles_lie_inside(levels: tuple[float, float]) -> None:
    for one in found([config(lr=lr) for lr in levels] * 2):
        lr = one["lr"]
        assert isinstance(lr, float)
        assert levels[0] < lr < levels[1]
        assert lr == pytest.approx(math.sqrt(levels[0] * levels[1]), rel=0.06)
