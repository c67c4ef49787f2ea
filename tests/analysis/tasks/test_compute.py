"""Equal compute: closed forms, brute force over tasks, and paths made from tables."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from analysis import pareto
from analysis.arrays import FloatArray
from analysis.frontier import build_frontier
from analysis.tables.loading import make_tables
from analysis.tables.tables import Tables
from analysis.tasks.compute import SLACK, STEPS, anytime, at_budget, common_budget
from analysis.tasks.costs import LARGE, Paths, paths_of, read_at
from tests.analysis.worlds import Frames, World, frames

REFERENCE = (0.4, 0.5)
Z, J = (0.4, 0.7), (0.6, 0.6)


def paths(x_CT: object, y_CT: object, cost_CT: object, *, blocks: int = 1, line: bool = True) -> Paths:
    """The same path on every block; Z and J as above, so that the slope of the line is -1/2."""
    x, y, cost = (
        np.repeat(np.asarray(values, dtype=float)[:, np.newaxis], blocks, axis=1) for values in (x_CT, y_CT, cost_CT)
    )
    return Paths(
        x=x,
        y=y,
        tasks=np.tile(np.arange(x.shape[2]), (len(x), 1)),
        costs={"cost_flops": cost},
        zero_shot=np.tile(Z, (blocks, 1)),
        joint=np.tile(J, (blocks, 1)) if line else None,
        missing={"wall_s": "2 of 2 trials have tasks whose cost is unknown"},
    )


def two_methods(*, line: bool = True) -> Paths:
    """`cheap` (one config, 10 a task) and `dear` (two configs, 30 a task)."""
    return paths(
        [[0.40, 0.44, 0.48], [0.40, 0.50, 0.60], [0.40, 0.41, 0.43]],
        [[0.70, 0.69, 0.68], [0.70, 0.66, 0.60], [0.70, 0.70, 0.70]],
        [[0, 10, 20], [0, 15, 30], [0, 20, 40]],
        line=line,
    )


METHODS = ("cheap", "dear", "dear")


def test_the_budget_is_what_the_cheapest_method_can_spend() -> None:
    assert common_budget(two_methods(), "cost_flops", METHODS) == (20.0, "cheap")


def test_a_method_that_costs_nothing_sets_no_budget() -> None:
    free = paths([[0.4, 0.4], [0.4, 0.5]], [[0.7, 0.7], [0.7, 0.6]], [[0, 0], [0, 5]])
    assert common_budget(free, "cost_flops", ("zero-shot", "full")) == (5.0, "full")
    found = {one.method: one for one in at_budget(free, "cost_flops", ("zero-shot", "full")).methods}
    assert found["zero-shot"].tasks == 1
    assert found["zero-shot"].gain_per_cost is None
    assert not found["zero-shot"].learned


def test_methods_at_the_common_budget_by_hand() -> None:
    found = at_budget(two_methods(), "cost_flops", METHODS)
    assert (found.budget, found.set_by) == (20.0, "cheap")
    first, second = found.methods
    # gain = y - 0.7 + (x - 0.4) / 2; the second config of `dear` learned 0.05 of what joint training does: too little
    assert (first.method, first.row, first.tasks, first.cost, first.learned) == ("cheap", 0, 2.0, 20.0, True)
    assert first.gain is not None
    assert first.gain.value == pytest.approx(0.02)
    assert first.gain_per_cost is not None
    assert first.gain_per_cost.value == pytest.approx(0.02 / (20.0 / LARGE["cost_flops"][0]))
    assert (second.method, second.row, second.tasks, second.cost, second.learned) == ("dear", 1, 1.0, 15.0, True)
    assert (second.configs, second.tasks_in_stream) == (2, 2)
    assert second.gain is not None
    assert second.gain.value == pytest.approx(0.01)
    assert (second.aka.value, second.azs.value) == pytest.approx((0.50, 0.66))


def test_a_given_budget_changes_the_best_config() -> None:
    found = {one.method: one for one in at_budget(two_methods(), "cost_flops", METHODS, budget=40.0).methods}
    assert at_budget(two_methods(), "cost_flops", METHODS, budget=40.0).set_by is None
    # at the end, row 1 is on the line, and row 2, which has learned 0.15 by then, 0.015 above it
    assert found["dear"].row == 2
    nothing = {one.method: one for one in at_budget(two_methods(), "cost_flops", METHODS, budget=1.0).methods}
    assert all((one.tasks, one.cost, one.learned) == (0.0, 0.0, False) for one in nothing.values())


def test_without_a_line_gm_decides() -> None:
    found = {one.method: one for one in at_budget(two_methods(line=False), "cost_flops", METHODS).methods}
    assert found["dear"].row == 1
    assert found["dear"].gain is None
    assert found["dear"].honest_gain is None


def test_budgets_that_differ_by_rounding_of_steps_read_the_last_task() -> None:
    rounded = paths([[0.4, 0.5, 0.6]] * 2, [[0.7, 0.7, 0.7]] * 2, [[0, 50, 100], [0, 50.5, 101]])
    assert {one.tasks for one in at_budget(rounded, "cost_flops", ("a", "b")).methods} == {2.0}
    further = replace(rounded, costs={"cost_flops": rounded.cost("cost_flops") * [[[1.0]], [[1.01 + SLACK]]]})
    assert [one.tasks for one in at_budget(further, "cost_flops", ("a", "b")).methods] == [2.0, 1.0]


def test_estimates_are_of_blocks_and_the_honest_gain_is_chosen_on_others() -> None:
    """With fixed anchors the gain is linear, so that its estimate is the plain one of block gains."""
    rng = np.random.default_rng(0)
    base = paths([[0.4, 0.5]] * 3, [[0.7, 0.66]] * 3, [[0, 1]] * 3, blocks=4)
    x, y = (values + np.array([0, 1]) * rng.normal(0, 0.01, (3, 4, 1)) for values in (base.x, base.y))
    (found,) = at_budget(replace(base, x=x, y=y), "cost_flops", ("m",) * 3).methods
    gain_CS = y[..., 1] - 0.7 + (x[..., 1] - 0.4) / 2
    best = int(gain_CS.mean(axis=1).argmax())
    assert found.row == best
    assert found.gain is not None
    assert found.gain.value == pytest.approx(gain_CS[best].mean())
    assert found.gain.se == pytest.approx(gain_CS[best].std(ddof=1) / 2)
    honest = [gain_CS[np.delete(gain_CS, s, axis=1).mean(axis=1).argmax(), s] for s in range(4)]
    assert found.honest_gain is not None
    assert found.honest_gain.value == pytest.approx(np.mean(honest))


costs = arrays.arrays(np.int64, (3, 2, 4), elements=st.integers(0, 5)).map(lambda steps: np.cumsum(steps, axis=-1))


@given(costs, st.integers(0, 20))
def test_reading_is_brute_force(cost_CST: FloatArray, budget: int) -> None:
    shown = np.arange(cost_CST.size, dtype=float).reshape(cost_CST.shape)
    one = replace(two_methods(), x=shown, y=-shown, tasks=np.tile([0, 2, 3, 7], (3, 1)))
    one = replace(one, costs={"cost_flops": cost_CST.astype(float)})
    reading = read_at(one, "cost_flops", budget)
    for c in range(3):
        for s in range(2):
            at = 0
            for t in range(4):
                if cost_CST[c, s, t] <= budget:
                    at = t
            assert reading.points.x[c, s] == shown[c, s, at]
            assert reading.points.y[c, s] == -shown[c, s, at]
            assert reading.cost[c, s] == cost_CST[c, s, at]
            assert reading.tasks[c, s] == [0, 2, 3, 7][at]


def test_what_is_gained_per_cost_is_by_the_mean_cost() -> None:
    """Times differ between blocks; the interval is that of the gain, in the same unit."""
    one = paths([[0.4, 0.5]], [[0.7, 0.68]], [[0, 1]], blocks=3)
    one = replace(one, y=one.y + np.array([[[0, -0.01], [0, 0.0], [0, 0.01]]]))
    one = replace(one, costs={"wall_s": one.cost("cost_flops") * np.array([[[1800.0], [3600.0], [5400.0]]]) * 2})
    (best,) = at_budget(one, "wall_s", METHODS[:1]).methods
    assert best.gain_per_cost is not None
    assert best.gain_per_cost.value == pytest.approx(0.03 / 2)
    assert best.gain_per_cost.se == pytest.approx(0.01 / np.sqrt(3) / 2)


def test_unknown_costs_are_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="2 of 2 trials"):
        read_at(two_methods(), "wall_s", 1.0)


# -- anytime -----------------------------------------------------------------------------------------------------------


def area_by_hand(one: Paths, rows: Sequence[int], cost: float) -> float:
    """The hull area when every config has the same to spend, found by bisection over it."""
    cost_CT = one.cost("cost_flops")[rows, 0]
    low, high = 0.0, float(cost_CT.max()) * 2
    for _ in range(200):
        middle = (low + high) / 2
        spent = sum(min(middle, float(path.max())) for path in cost_CT)
        low, high = (middle, high) if spent <= cost else (low, middle)
    x, y = [Z[0]], [Z[1]]
    for row, path in zip(rows, cost_CT, strict=True):
        at = max(t for t in range(len(path)) if path[t] <= high * (1 + 1e-9))
        x.append(float(one.x[row, 0, at]))
        y.append(float(one.y[row, 0, at]))
    return pareto.hull_area(x, y, reference=REFERENCE)


def test_anytime_curves_are_brute_force() -> None:
    rng = np.random.default_rng(1)
    step = rng.uniform(0.5, 3, (5, 1))
    x = 0.4 + np.cumsum(np.insert(rng.uniform(0, 0.05, (5, 6)), 0, 0, axis=1), axis=1)
    y = 0.7 - np.cumsum(np.insert(rng.uniform(-0.01, 0.02, (5, 6)), 0, 0, axis=1), axis=1)
    one = paths(x, y, step * np.arange(7))
    curves = anytime(one, "cost_flops", ("a", "a", "b", "b", "b"), reference=REFERENCE)
    for curve, rows in zip(curves, ([0, 1], [2, 3, 4]), strict=True):
        assert len(curve.costs) == STEPS
        assert curve.costs == curves[0].costs
        assert curve.total == pytest.approx(6 * step[rows].sum())
        assert [area.value for area in curve.areas] == pytest.approx(
            [area_by_hand(one, rows, cost) for cost in curve.costs]
        )
        final = pareto.hull_area(
            np.append(x[rows, -1], Z[0]), np.append(y[rows, -1], Z[1]), reference=REFERENCE, until=0.55
        )
        ended = anytime(one, "cost_flops", ("a", "a", "b", "b", "b"), reference=REFERENCE, until=0.55)
        assert {c.method: c.areas[-1].value for c in ended}[curve.method] == pytest.approx(final)


def test_the_curve_starts_where_there_is_a_first_model() -> None:
    curves = anytime(two_methods(), "cost_flops", METHODS, reference=REFERENCE)
    cheap, dear = curves
    assert cheap.costs[0] == pytest.approx(10.0)
    assert cheap.costs[-1] == pytest.approx(70.0)
    assert cheap.areas[0].value > 0
    assert dear.areas[0].value == 0.0
    assert (cheap.total, dear.total) == (20.0, 70.0)


@pytest.mark.parametrize("seed", range(30))
def test_rounding_costs_no_task(seed: int) -> None:
    """Costs at which a task is just completed are sums that do not come back to the bit."""
    step = np.random.default_rng(seed).uniform(0.1, 3, (7, 1))
    one = paths([[0.4, 0.5, 0.6]] * 7, [[0.7, 0.7, 0.7]] * 7, step * np.arange(3))
    (curve,) = anytime(one, "cost_flops", ("m",) * 7, reference=REFERENCE)
    assert curve.areas[0].value == pytest.approx(0.1 * 0.2)
    assert curve.areas[-1].value == pytest.approx(0.2 * 0.2)


def test_tuning_costs() -> None:
    """Trying each config twice reaches the same area for twice the cost."""
    once = two_methods().rows([1, 2])
    twice = once.rows([0, 1, 0, 1])
    (a,), (b,) = (anytime(one, "cost_flops", ("m",) * len(one.x), reference=REFERENCE) for one in (once, twice))
    assert b.total == 2 * a.total
    assert b.costs == pytest.approx([2 * cost for cost in a.costs])
    assert [area.value for area in b.areas] == pytest.approx([area.value for area in a.areas])


def test_nothing_to_draw_where_no_method_costs() -> None:
    free = paths([[0.4, 0.5]], [[0.7, 0.7]], [[0, 0]])
    assert anytime(free, "cost_flops", ("m",), reference=REFERENCE) == ()


# -- from tables -------------------------------------------------------------------------------------------------------


def tables_of(data: Frames) -> Tables:
    return make_tables(data["trials"], data["tasks"], data["scores"], name="study")


@pytest.fixture(scope="module")
def data() -> Frames:
    return frames(World(tasks=3, weights=(0.5,), rates=(1e-5, 1e-4)))


def test_paths_end_where_the_frontier_is(data: Frames) -> None:
    tables = tables_of(data)
    frontier = build_frontier(tables)
    found = paths_of(tables, [result.config.config_id for result in frontier.results])
    assert found.x.shape == (len(frontier.results), 3, 4)
    assert np.array_equal(found.x[..., -1], frontier.points.x)
    assert np.array_equal(found.y[..., -1], frontier.points.y)
    assert np.array_equal(found.zero_shot, frontier.points.zero_shot)
    assert frontier.points.joint is not None
    assert found.joint is not None
    assert np.array_equal(found.joint, frontier.points.joint)
    assert set(found.costs) == set(LARGE)
    assert [float(ends.mean()) for ends in found.ends("cost_mafs")] == pytest.approx(
        [result.cost_mafs for result in frontier.results]
    )
    methods = [result.config.config_id for result in frontier.results]  # each config on its own
    at_end = {one.method: one.gain_per_cost for one in at_budget(found, "cost_flops", methods, budget=np.inf).methods}
    for result in frontier.results:
        one = at_end[result.config.config_id]
        assert result.gain is not None
        assert result.cost_flops is not None
        assert one is not None
        assert one.value == pytest.approx(result.gain.value / result.cost_flops * 1e15)


def test_units_are_not_mixed(data: Frames) -> None:
    """LoRA costs 0.7 of full fine-tuning in FLOPs, 0.42 in MAFs and as many seconds."""
    tables = tables_of(data)
    configs = tables.trials[tables.trials["kind"] == "trial"].drop_duplicates("config_id")
    found = paths_of(tables, list(configs["config_id"]))
    methods = configs["method"].tolist()
    budgets = {unit: at_budget(found, unit, methods) for unit in found.costs}
    assert {unit: one.set_by for unit, one in budgets.items()}["cost_flops"] == "lora"
    full = {unit: next(m for m in one.methods if m.method == "full") for unit, one in budgets.items()}
    assert (full["cost_flops"].tasks, full["cost_mafs"].tasks, full["wall_s"].tasks) == (2.0, 1.0, 3.0)


def test_times_that_were_not_measured_leave_the_other_units(data: Frames) -> None:
    tasks = data["tasks"].copy()
    tasks.loc[(tasks["trial"] == tasks["trial"].iloc[0]) & (tasks["task"] > 1), "wall_s"] = None
    found = paths_of(tables_of({**data, "tasks": tasks}), [data["trials"]["config_id"].iloc[0]])
    assert set(found.costs) == {"cost_flops", "cost_mafs"}
    assert found.missing["wall_s"] == "1 of 3 trials have tasks whose cost is unknown"


def test_a_shorter_stream_stops_early(data: Frames) -> None:
    trials, tasks, scores = (data[name] for name in ("trials", "tasks", "scores"))
    short = trials.loc[trials["config_id"] == "full-ema0.5-1e-05", "trial"]
    cut = {
        name: frame[~(frame["trial"].isin(short) & (frame["task"] > 2))]
        for name, frame in (("tasks", tasks), ("scores", scores))
    }
    found = paths_of(tables_of({"trials": trials, **cut}), ["full-ema0.5-0.0001", "full-ema0.5-1e-05"])
    assert found.tasks.tolist() == [[0, 1, 2, 3], [0, 1, 2, 2]]
    assert np.isinf(found.cost("cost_flops")[1, :, 3]).all()
    assert found.ends("cost_flops")[:, 0].tolist() == [6.3e13, 4.2e13]
    assert at_budget(found, "cost_flops", ("long", "short")).set_by == "short"
    assert read_at(found, "cost_flops", 1e20).tasks[:, 0].tolist() == [3, 2]


def test_blocks_of_a_config_may_stop_at_different_tasks(data: Frames) -> None:
    """As they do in tables that were cut at a budget of seconds."""
    tables = tables_of(data)
    ids = ["full-ema0.5-0.0001", "full-ema0.5-1e-05"]
    early = tables.tasks["trial"].eq("full-ema0.5-1e-05-b0") & (tables.tasks["task"] > 1)
    found = paths_of(replace(tables, tasks=tables.tasks[~early]), ids)
    assert found.tasks.tolist() == [[0, 1, 2, 3]] * 2
    assert read_at(found, "cost_flops", 1e20).tasks.tolist() == [[3, 3, 3], [1, 3, 3]]
    assert found.ends("cost_flops")[1].tolist() == [2.1e13, 6.3e13, 6.3e13]
    assert found.x[1, 0, 3] == found.x[1, 0, 1]


def test_streams_scored_on_a_subset_have_their_own_anchors(data: Frames) -> None:
    ends = data["tasks"][data["tasks"]["task"].isin((0, 3))]
    full = ends[["trial", "task"]].assign(aka=ends["aka"] + 0.02, azs=ends["azs"] - 0.02)
    full["gm"] = np.sqrt(full["aka"] * full["azs"])
    places = data["scores"]["task"].isin((0, 3))
    scored = make_tables(
        data["trials"], data["tasks"], data["scores"], full=full, full_scores=data["scores"][places], name="study"
    )
    ids = [data["trials"]["config_id"].iloc[0]]
    mixed, plain = paths_of(scored, ids), paths_of(tables_of(data), ids)
    assert np.array_equal(mixed.zero_shot, plain.zero_shot)
    assert mixed.joint is not None
    assert plain.joint is not None
    assert np.array_equal(mixed.joint, plain.joint)


def test_the_tables_stay_as_they_are(data: Frames) -> None:
    tables = tables_of(data)
    before = tables.tasks.copy()
    found = paths_of(tables, list(tables.trials["config_id"].unique()[:3]))
    kept = found.x.copy(), found.cost("cost_flops").copy()
    at_budget(found, "cost_flops", ("a", "b", "b"))
    anytime(found, "cost_flops", ("a", "b", "b"), reference=REFERENCE)
    pd.testing.assert_frame_equal(tables.tasks, before)
    assert np.array_equal(found.x, kept[0])
    assert np.array_equal(found.cost("cost_flops"), kept[1])
