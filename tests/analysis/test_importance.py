"""Importance: exact Sobol' indices of known surfaces, dials and findings, and refusals."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor

from analysis.arrays import FloatArray
from analysis.frontier import Frontier
from analysis.importance import EVERYWHERE, MIN_CONFIGS, Importance, Importances, importances
from analysis.surfaces.encoding import axes_of, encode
from analysis.surfaces.sobol import sobol
from tests.analysis.curves import Axes, place, study_of
from tests.analysis.worlds import World, frames, frontier_of

METHODS = ("bitfit", "full", "lnfit")
NAMES = ("lr", "w", "method", "warmup")


def lift(z: FloatArray, w: FloatArray, m: FloatArray, s: FloatArray) -> FloatArray:
    """In points; z is the place in the range of the learning rate, with an optimum in the middle, m a method."""
    return np.asarray(-4.8 * (z - 0.55) ** 2 + 0.75 * w + 0.5 * m + 0.15 * s + 0.4 * (z - 0.5) * (m - 1))


def rate(z: float) -> float:
    return float(1e-5 * 10 ** (3 * z))


def number(axes: Axes, name: str) -> float:
    value = axes[name]
    assert isinstance(value, float)
    return value


def point(axes: Axes) -> tuple[float, float]:
    z = (np.log10(number(axes, "lr")) + 5) / 3
    m = float(METHODS.index(str(axes["method"])))
    above = lift(np.array(z), np.array(axes["w"]), np.array(m), np.array(axes["warmup"]))
    return place(0.3 + 0.3 * float(z), float(above) / 100)


@cache
def searched(seed: int = 0, configs: int = 60) -> Frontier:
    """A random search of four axes."""
    rng = np.random.default_rng(seed)
    drawn: list[Axes] = [
        {"lr": rate(a), "w": float(b), "warmup": float(c), "method": METHODS[int(3 * d)], "timeline": "ema"}
        for a, b, c, d in rng.random((configs, 4))
    ]
    return study_of(drawn, point, noise_sd=0.001, seed=seed)


def exact() -> tuple[dict[str, float], dict[str, float]]:
    """Main and total effects on the lift by brute force over a fine grid."""
    g = (np.arange(31) + 0.5) / 31
    y = lift(*np.meshgrid(g, g, np.arange(3.0), g, indexing="ij"))
    main = [y.mean(axis=tuple({0, 1, 2, 3} - {i})).var() / y.var() for i in range(4)]
    total = [1 - y.mean(axis=i).var() / y.var() for i in range(4)]
    return dict(zip(NAMES, map(float, main), strict=True)), dict(zip(NAMES, map(float, total), strict=True))


def of(found: Importances, response: str, scope: str = EVERYWHERE) -> Importance:
    return next(one for one in found.found if (one.response, one.scope) == (response, scope))


def mains(one: Importance) -> dict[str, float]:
    return {effect.axis.name: effect.main.value for effect in one.effects}


@pytest.mark.parametrize("seed", range(4))
def test_exact_indices_of_four_axes(seed: int) -> None:
    """Within 0.1 of the truth with 60 configs, and a random column explains less than 0.03."""
    gain = of(importances(searched(seed)), "gain")
    main, total = exact()
    assert mains(gain) == pytest.approx(main, abs=0.1)
    assert {effect.axis.name: effect.total.value for effect in gain.effects} == pytest.approx(total, abs=0.1)
    assert gain.chance < 0.03
    assert gain.r2 > 0.9
    assert [effect.total.value for effect in gain.effects] == sorted(
        (effect.total.value for effect in gain.effects), reverse=True
    )


def test_trees_alone_miss_an_optimum_in_the_middle() -> None:
    """Why a smooth surface is tried: half of what the learning rate does is lost on a forest."""
    frontier = searched()
    configs = [result.config for result in frontier.results]
    axes = axes_of(configs)
    forest = ExtraTreesRegressor(300, min_samples_leaf=2, random_state=0)
    forest.fit(encode(axes, configs), frontier.points.means().gain)
    main, _ = sobol(forest.predict, [axis.draw for axis in axes], seed=0)
    assert main[[axis.name for axis in axes].index("lr"), 0] < 0.6 * exact()[0]["lr"]


def test_raw_learning_rates_give_the_wrong_answer() -> None:
    """The same surface and range, drawn on the raw scale: hardly a point lies below a tenth of the largest rate."""
    main = exact()[0]["lr"]

    def raw(columns: FloatArray) -> FloatArray:
        z = np.log10(1e-5 + columns[:, 0] * (1e-2 - 1e-5)) + 5
        return lift(np.asarray(z / 3), columns[:, 1], np.floor(3 * columns[:, 2]), columns[:, 3])

    uniform = [lambda u: u[:, np.newaxis]] * 4
    wrong, _ = sobol(raw, uniform, seed=0)
    ours, _ = sobol(lambda c: lift(c[:, 0], c[:, 1], np.floor(3 * c[:, 2]), c[:, 3]), uniform, seed=0)
    assert ours[0, 0] == pytest.approx(main, abs=0.02)
    assert abs(float(wrong[0, 0]) - main) > 0.15
    assert abs(mains(of(importances(searched()), "gain"))["lr"] - main) < 0.1


def test_sobol_indices_of_ishigami() -> None:
    """The textbook function with a closed form (Ishigami & Homma 1990), a = 7, b = 0.1."""

    def ishigami(columns: FloatArray) -> FloatArray:
        a, b, c = np.pi * (2 * columns.T - 1)
        return np.asarray(np.sin(a) + 7 * np.sin(b) ** 2 + 0.1 * c**4 * np.sin(a))

    main, total = sobol(ishigami, [lambda u: u[:, np.newaxis]] * 3, seed=0)
    assert main[:, 0] == pytest.approx([0.3139, 0.4424, 0.0], abs=0.03)
    assert total[:, 0] == pytest.approx([0.5576, 0.4424, 0.2437], abs=0.03)
    assert not sobol(lambda columns: np.ones(len(columns)), [lambda u: u[:, np.newaxis]] * 2, seed=0)[1].any()


def test_dials_and_findings() -> None:
    """Here w moves configs along the line only, lr does both, warmup nothing."""

    def dial(axes: Axes) -> tuple[float, float]:
        z = np.log10(number(axes, "lr")) / 2 + 2.5
        return place(0.5 + 0.3 * z - 0.35 * number(axes, "w"), 0.02 * (1 - 4 * (z - 0.5) ** 2))

    grid: list[Axes] = [
        {"timeline": "ema", "lr": lr, "w": w, "warmup": warmup}
        for lr in (1e-5, 1e-4, 1e-3)
        for w in (0.2, 0.4, 0.6, 0.8)
        for warmup in (0.1, 0.2)
    ]
    found = importances(study_of(grid, dial))
    assert {reading.axis: reading.role for reading in found.readings} == {
        **{"lr": "finding", "w": "dial", "warmup": "neither"}
    }
    assert any(reading.text.startswith("w is a dial: it moves") for reading in found.readings)
    lr = next(effect for effect in of(found, "gain").effects if effect.axis.name == "lr")
    assert lr.total.low is not None
    assert lr.total.low > 0.5
    assert lr.total.blocks == 3


def test_conditional_axes_are_judged_where_they_apply() -> None:
    found = importances(frontier_of(frames(World(tasks=1))))
    everywhere, merged = of(found, "gain"), of(found, "gain", "configs with w")
    assert "w" not in mains(everywhere)
    assert "w" in mains(merged)
    assert "rank" in mains(of(found, "slide", "configs with rank"))
    assert (everywhere.configs, merged.configs) == (45, 36)


def test_noise_is_refused() -> None:
    found = importances(
        study_of([{"lr": rate(i % 10 / 9), "warmup": i // 10 / 3} for i in range(40)], lambda _: place(0.5, 0.01))
    )
    assert not found.found
    assert not found.readings
    assert [one.response for one in found.refused] == ["slide", "gain", "GM"]
    assert all("at least 50 % are needed" in one.reason for one in found.refused)


def test_too_few_configs_are_refused() -> None:
    few = [{"lr": rate(i / 10)} for i in range(MIN_CONFIGS - 1)]
    (refused,) = importances(study_of(few, lambda axes: place(50 * number(axes, "lr"), 0.0))).refused
    assert (refused.response, refused.scope) == (None, EVERYWHERE)
    assert refused.reason.startswith("11 configs; at least 12")


def test_axes_that_vary_together_are_refused() -> None:
    pairs = [{"lr": rate(i / 4), "warmup": (i + j) % 5 / 5} for i in range(5) for j in range(3)]
    (refused,) = importances(study_of(pairs, lambda axes: place(50 * number(axes, "lr"), 0.0))).refused
    assert "lr and warmup were not varied independently: 60 %" in refused.reason


def test_few_configs_that_spoil_a_design_are_left_out() -> None:
    """Two configs differ in more than the grid does; the scope says what is left."""
    grid: list[Axes] = [{"lr": rate(i / 5), "warmup": j / 4} for i in range(6) for j in range(4)]
    more: list[Axes] = [{**axes, "buffer_size": None} for axes in grid]
    more += [{**grid[0], "buffer_size": size} for size in (60, 240)]
    found = importances(study_of(more, lambda axes: place(0.8 + np.log10(number(axes, "lr")) / 10, 0.0)))
    slide = of(found, "slide", "all configs, buffer size none")
    assert slide.configs == 24
    assert set(mains(slide)) == {"lr", "warmup"}


def test_what_blocks_do_not_agree_on_is_undecided() -> None:
    """The learning rate lifts in one block and not in the others: it may be a finding, or noise."""
    grid: list[Axes] = [{"lr": rate(i / 5), "warmup": j / 4} for i in range(6) for j in range(4)]
    study = study_of(grid, lambda axes: place(0.5, 0.004 * number(axes, "warmup")), noise_sd=1e-5)
    rates = np.array([np.log10(number(result.config.axes, "lr") / 1e-5) for result in study.results])
    y = study.points.y + np.outer(0.001 * rates, [4, 0, 0])
    found = importances(replace(study, points=replace(study.points, y=y)))
    lr = next(effect for effect in of(found, "gain").effects if effect.axis.name == "lr")
    assert lr.total.value > 0.3
    assert of(found, "gain").matters("lr") is None
    steady = importances(
        replace(study, points=replace(study.points, y=y.mean(axis=1, keepdims=True).repeat(3, axis=1)))
    )
    assert of(steady, "gain").matters("lr") is True


def test_without_a_line_only_gm_is_explained() -> None:
    grid = [{"lr": rate(i / 5), "warmup": j / 4} for i in range(6) for j in range(4)]
    found = importances(study_of(grid, lambda axes: place(0.2 - np.log10(number(axes, "lr")) / 10, 0.0), joint=False))
    assert [one.response for one in found.found] == ["GM"]
    assert [one.response for one in found.refused] == ["slide", "gain"]
    assert not found.readings


def test_one_block_has_no_intervals() -> None:
    grid = [{"lr": rate(i / 5), "warmup": j / 4} for i in range(6) for j in range(4)]
    found = importances(study_of(grid, lambda axes: place(0.8 + np.log10(number(axes, "lr")) / 10, 0.0), blocks=1))
    assert all(effect.total.half_width is None for effect in of(found, "slide").effects)


def test_the_same_study_gives_the_same_numbers() -> None:
    assert importances(searched()) == importances(searched())
