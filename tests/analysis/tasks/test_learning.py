"""Continual-learning metrics: matrices by hand, brute force over loops, and studies."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.frontier import build_frontier
from analysis.tables.loading import make_tables
from analysis.tables.tables import Tables
from analysis.tasks.accuracies import NO_SCORES, Spans, changes_of, metrics_of
from analysis.tasks.learning import (
    METRICS,
    Stream,
    average_aka,
    average_azs,
    backward_transfer,
    first_task_drop,
    forgetting,
    forward_transfer,
    learning,
    recovery_time,
    retention_loss,
    stability_gap,
    stream,
    worsened,
    worst,
)
from tests.analysis.worlds import ADAPT, HOLDOUT, Frames, World, frames

# Columns: two adaptation datasets, in tasks 1 and 2 to 3; two that are held out.
HAND = np.array(
    [
        [0.30, 0.20, 0.80, 0.60],
        [0.60, 0.26, 0.70, 0.50],
        [0.56, 0.50, 0.74, 0.52],
        [0.50, 0.60, 0.78, 0.56],
        [0.52, 0.58, 0.81, 0.53],
    ]
)
HELD = [False, False, True, True]
SEEN = [(1, 1), (2, 3), None, None]


def hand(**changes: object) -> Stream:
    return stream(HAND, HELD, **{"seen": SEEN, **changes})  # type: ignore[arg-type]


def test_metrics_by_hand() -> None:
    expected = {
        average_aka: (0.43 + 0.53 + 0.55 + 0.55) / 4,
        average_azs: (0.60 + 0.63 + 0.67 + 0.67) / 4,
        learning: 0.55 - 0.25,
        retention_loss: 0.70 - 0.67,
        # after its task, the first was at most at 0.60 and the second at 0.60 (task 3)
        forgetting: ((0.60 - 0.52) + (0.60 - 0.58)) / 2,
        backward_transfer: ((0.52 - 0.60) + (0.58 - 0.60)) / 2,
        # the first comes first; the second is at 0.26 before task 2
        forward_transfer: 0.26 - 0.20,
        first_task_drop: 0.70 - 0.60,
        stability_gap: 0.67 - 0.60,
        recovery_time: 3.0,
        worsened: 1.0,
    }
    assert set(expected) == set(METRICS.values())
    for metric, value in expected.items():
        assert metric(hand()).value == pytest.approx(value), metric.__name__
        assert metric(hand()).reason is None


def test_forgetting_is_negative_where_later_tasks_help() -> None:
    """The maximum is over tasks before the last: with it, this would be 0."""
    later = stream([[0.2, 0.5], [0.4, 0.5], [0.45, 0.5], [0.5, 0.5]], [False, True], seen=[(1, 1), None])
    assert forgetting(later).value == pytest.approx(-0.05)
    assert backward_transfer(later).value == pytest.approx(0.1)


def test_datasets_in_all_tasks_are_neither_forgotten_nor_transferred_to() -> None:
    spread = hand(seen=[(1, 4), (1, 4), None, None])
    for metric, reason in (
        (forgetting, "every dataset is in the last task, so nothing came after it"),
        (backward_transfer, "every dataset is in the last task, so nothing came after it"),
        (forward_transfer, "every dataset is in the first task, so nothing came before it"),
    ):
        assert metric(spread).value is None
        assert metric(spread).reason == reason


@pytest.mark.parametrize("seen", [None, [(1, 1), None, None, None]])
def test_without_all_tasks_known_there_is_no_transfer(seen: object) -> None:
    for metric in (forgetting, backward_transfer, forward_transfer):
        assert metric(hand(seen=seen)).value is None
        assert metric(hand(seen=seen)).reason == "it is not known which tasks contain which dataset"


def test_datasets_of_the_last_task_do_not_dilute_forgetting() -> None:
    alone = hand(seen=[(1, 1), (2, 4), None, None])
    assert forgetting(alone).value == pytest.approx(0.60 - 0.52)
    assert backward_transfer(alone).value == pytest.approx(0.52 - 0.60)


def test_a_stream_that_only_declines_has_no_gap_and_nothing_to_recover() -> None:
    down = stream([[0.2, 0.7], [0.3, 0.6], [0.4, 0.5]], [False, True])
    assert stability_gap(down).value == 0.0
    assert recovery_time(down).value is None
    assert recovery_time(down).reason == "AZS never fell below both ends of the stream"


def test_with_ends_alone_the_way_is_unknown() -> None:
    ends = hand(whole=False)
    of_ends = {learning, retention_loss, worsened}
    for metric in METRICS.values():
        assert (metric(ends).value is not None) == (metric in of_ends)
        if metric not in of_ends:
            assert metric(ends).reason == "it was not evaluated after every task"


def test_a_fall_of_a_point_is_no_more_than_one() -> None:
    one = stream([[0.5, 0.50, 0.50, 0.50], [0.5, 0.49, 0.489, 0.6]], [False, True, True, True])
    assert worsened(one).value == 1.0


def test_the_worst_are_the_largest_falls() -> None:
    assert worst([0.1, -0.2, -0.01, 0.0, -0.3]) == (4, 1, 2)
    assert worst([-0.1] * 7) == (0, 1, 2, 3, 4)
    assert worst([0.0, 0.2]) == ()


@pytest.mark.parametrize(
    ("accuracy", "holdout", "seen", "message"),
    [
        ([[0.5, 0.5]], [False, True], None, "tasks"),
        ([[0.5, 0.5]] * 2, [False], None, "tasks"),
        ([[0.5, np.nan]] * 2, [False, True], None, "finite"),
        ([[0.5, 0.5]] * 2, [True, True], None, "held-out"),
        ([[0.5, 0.5]] * 2, [False, True], [(1, 2), None], "tasks 1 to 1"),
        ([[0.5, 0.5]] * 3, [False, True], [(2, 1), None], "tasks 1 to 2"),
        ([[0.5, 0.5]] * 3, [False, True], [(1, 2)], "all 2 datasets"),
    ],
)
def test_what_is_no_stream_is_refused(accuracy: object, holdout: object, seen: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stream(accuracy, holdout, seen=seen)  # type: ignore[arg-type]


# -- brute force -------------------------------------------------------------------------------------------------------


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    """Coarse accuracies, so that ties are common."""
    tasks, adapt, held = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    flat = st.lists(st.integers(0, 8), min_size=(tasks + 1) * (adapt + held), max_size=(tasks + 1) * (adapt + held))
    values = np.array(draw(flat)).reshape(tasks + 1, -1) / 8
    spans: list[tuple[int, int] | None] = []
    for _ in range(adapt):
        first = draw(st.integers(1, tasks))
        spans.append((first, draw(st.integers(first, tasks))))
    return stream(values, [False] * adapt + [True] * held, seen=spans + [None] * held)


def by_loops(one: Stream) -> Mapping[str, float | None]:
    a, last = one.accuracy.tolist(), one.last
    adapt = [d for d in range(len(one.holdout)) if not one.holdout[d]]
    held = [d for d in range(len(one.holdout)) if one.holdout[d]]
    aka = [sum(row[d] for d in adapt) / len(adapt) for row in a]
    azs = [sum(row[d] for d in held) / len(held) for row in a]
    fall, backward, forward = [], [], []
    for d in adapt:
        assert one.seen is not None
        span = one.seen[d]
        assert span is not None
        if span.last < last:
            fall.append(max(a[t][d] for t in range(span.last, last)) - a[last][d])
            backward.append(a[last][d] - a[span.last][d])
        if span.first > 1:
            forward.append(a[span.first - 1][d] - a[0][d])
    level, recovered = min(azs[0], azs[last]), None
    if min(azs) < level:
        recovered = next(t for t in range(azs.index(min(azs)), last + 1) if azs[t] >= level)
    return {
        "average_aka": sum(aka[1:]) / last,
        "average_azs": sum(azs[1:]) / last,
        "learning": aka[last] - aka[0],
        "retention_loss": azs[0] - azs[last],
        "forgetting": sum(fall) / len(fall) if fall else None,
        "backward_transfer": sum(backward) / len(backward) if backward else None,
        "forward_transfer": sum(forward) / len(forward) if forward else None,
        "first_task_drop": azs[0] - azs[1],
        "stability_gap": level - min(azs),
        "recovery_time": recovered,
        "worsened": sum(a[0][d] - a[last][d] > 0.0101 for d in held),
    }


@given(streams())
def test_metrics_are_brute_force(one: Stream) -> None:
    before = one.accuracy.copy()
    for name, expected in by_loops(one).items():
        found = METRICS[name](one)
        assert found.value == (None if expected is None else pytest.approx(expected, abs=1e-12)), name
        assert (found.value is None) == (found.reason is not None)
    assert np.array_equal(one.accuracy, before)
    gap = stability_gap(one).value
    assert gap is not None
    assert gap >= 0
    forgot, transferred = forgetting(one).value, backward_transfer(one).value
    if forgot is not None and transferred is not None:
        assert forgot >= -transferred - 1e-12  # the maximum is at least the value after the last task


def test_a_stream_owns_its_numbers() -> None:
    values = HAND.copy()
    one = stream(values, HELD)
    values[:] = 0.0
    assert average_azs(one).value == average_azs(stream(HAND, HELD)).value


# -- from tables -------------------------------------------------------------------------------------------------------


def tables_of(data: Frames) -> Tables:
    return make_tables(data["trials"], data["tasks"], data["scores"], name="study")


@pytest.fixture(scope="module")
def data() -> Frames:
    return frames(World(tasks=4, weights=(0.5,), rates=(1e-5, 1e-4)))


@pytest.fixture(scope="module")
def tables(data: Frames) -> Tables:
    return tables_of(data)


def test_metrics_of_configs_are_of_aka_and_azs(tables: Tables) -> None:
    frontier = build_frontier(tables)
    shown = frontier.results[:3]
    found = metrics_of(tables, [result.config.config_id for result in shown])
    assert frontier.samples.paths is not None
    for row, (result, metrics) in enumerate(zip(shown, found, strict=True)):
        assert set(metrics) == set(METRICS)
        path_STP = frontier.samples.paths[row]
        expected = {
            "learning": result.aka.value - frontier.zero_shot.aka.value,
            "retention_loss": frontier.zero_shot.azs.value - result.azs.value,
            "average_aka": float(path_STP[:, 1:, 0].mean()),
            "average_azs": float(path_STP[:, 1:, 1].mean()),
            "first_task_drop": float((path_STP[:, 0, 1] - path_STP[:, 1, 1]).mean()),
            "stability_gap": float((path_STP[:, [0, -1], 1].min(axis=1) - path_STP[..., 1].min(axis=1)).mean()),
        }
        for name, value in expected.items():
            one = metrics[name].estimate
            assert one is not None
            assert one.blocks == 3
            assert one.value == pytest.approx(value, abs=1e-9)
        drop = metrics["first_task_drop"].estimate
        assert drop is not None
        assert drop.se == pytest.approx((path_STP[:, 0, 1] - path_STP[:, 1, 1]).std(ddof=1) / np.sqrt(3))
        assert metrics["forgetting"].estimate is None
        assert metrics["forgetting"].reason == "it is not known which tasks contain which dataset"


def test_tasks_of_datasets_may_differ_between_blocks(tables: Tables) -> None:
    config_id = tables.trials.loc[tables.trials["kind"] == "trial", "config_id"].iloc[0]
    spans: Spans = {
        block: {name: ((d + number) % 4 + 1,) * 2 for d, name in enumerate(ADAPT)}
        for number, block in enumerate(tables.blocks)
    }
    (found,) = metrics_of(tables, [config_id], spans=spans)
    wide = tables.scores.merge(tables.trials[tables.trials["config_id"] == config_id], on="trial")
    by_block = []
    for block in tables.blocks:
        cells = wide[wide["block"] == block].set_index(["task", "dataset"])["value"].to_dict()
        tasks = {name: spans[block][name][0] for name in ADAPT}
        by_block.append(np.mean([cells[4, name] - cells[task, name] for name, task in tasks.items() if task < 4]))
    one = found["backward_transfer"].estimate
    assert one is not None
    assert one.value == pytest.approx(np.mean(by_block))
    del_one = {block: spans[block] for block in tables.blocks[1:]}
    (partly,) = metrics_of(tables, [config_id], spans=del_one)
    assert partly["forgetting"].estimate is None
    assert partly["forgetting"].reason == "in 1 of 3 blocks it is not known which tasks contain which dataset"


def test_changes_average_to_those_of_aka_and_azs(tables: Tables) -> None:
    frontier = build_frontier(tables)
    shown = frontier.results[:2]
    found = changes_of(tables, [*(result.config.config_id for result in shown), "joint"])
    assert found is not None
    assert [dataset.name for dataset in found.datasets] == [*sorted(ADAPT), *sorted(HOLDOUT)]
    assert found.datasets[-3].name == "ImageNet"
    assert (found.datasets[-2].metric, found.datasets[-2].n, found.datasets[-2].group) == ("recall@5", 1000, "holdout")
    assert found.change.shape == (3, 15)
    assert found.half_width is not None
    assert found.half_width.shape == (3, 15)
    adapt = slice(0, len(ADAPT))
    assert found.zero_shot[adapt].mean() == pytest.approx(frontier.zero_shot.aka.value)
    assert frontier.joint is not None
    ends = [*((result.aka.value, result.azs.value) for result in shown), frontier.joint.point]
    for row, (aka, azs) in zip(found.change, ends, strict=True):
        assert row[adapt].mean() == pytest.approx(aka - frontier.zero_shot.aka.value)
        assert row[len(ADAPT) :].mean() == pytest.approx(azs - frontier.zero_shot.azs.value)
    falls = found.change[0][list(found.worst(0))]
    assert (np.diff(falls) >= 0).all()
    assert (falls < 0).all()
    assert falls[0] == found.change[0].min()


def test_one_dataset_by_hand(tables: Tables) -> None:
    config_id = tables.trials["config_id"].iloc[0]
    found = changes_of(tables, [config_id])
    assert found is not None
    rows = tables.scores.merge(tables.trials[tables.trials["config_id"] == config_id], on="trial")
    values = rows[rows["dataset"] == "DTD"].set_index(["task", "block"])["value"]
    change_S = (values[4] - values[0]).to_numpy()
    one = found.rows[0][sorted(ADAPT).index("DTD")]
    assert one.value == pytest.approx(change_S.mean())
    assert one.se == pytest.approx(change_S.std(ddof=1) / np.sqrt(3))


def test_two_blocks_have_no_half_widths(data: Frames) -> None:
    kept = data["trials"]["seed"] < 2
    found = changes_of(tables_of({**data, "trials": data["trials"][kept]} | _of(data, kept)), ["joint"])
    assert found is not None
    assert found.half_width is None
    assert found.change.shape == (1, 15)


def _of(data: Frames, kept: "pd.Series[bool]") -> Frames:
    trials = data["trials"].loc[kept, "trial"]
    return {name: data[name][data[name]["trial"].isin(trials)] for name in ("tasks", "scores")}


def test_ends_are_of_all_images(data: Frames) -> None:
    """Where the stream is scored on a subset, what an end says is of all images, and the way of the subset."""
    ends = data["scores"][data["scores"]["task"].isin((0, 4))].copy()
    last = (ends["task"] == 4) & (ends["dataset"] == "ImageNet")
    ends.loc[last, "value"] -= 0.06
    full = data["tasks"].loc[data["tasks"]["task"].isin((0, 4)), ["trial", "task", "aka", "azs", "gm"]].copy()
    full.loc[full["task"] == 4, "azs"] -= 0.01
    full["gm"] = np.sqrt(full["aka"] * full["azs"])
    subset = make_tables(data["trials"], data["tasks"], data["scores"], full=full, full_scores=ends, name="study")
    config_id = subset.trials["config_id"].iloc[0]
    (a,), (b,) = metrics_of(tables_of(data), [config_id]), metrics_of(subset, [config_id])
    assert a["average_azs"] == b["average_azs"]
    old, new = a["retention_loss"].estimate, b["retention_loss"].estimate
    assert old is not None
    assert new is not None
    assert new.value == pytest.approx(old.value + 0.01)


def test_the_joint_anchor_has_ends_only(tables: Tables) -> None:
    (found,) = metrics_of(tables, ["joint"])
    assert found["learning"].estimate is not None
    assert found["stability_gap"].reason == "it was not evaluated after every task"


def test_a_config_that_is_not_there_is_refused(tables: Tables) -> None:
    with pytest.raises(ValueError, match="none-such"):
        metrics_of(tables, ["none-such"])


def test_a_study_without_scores_of_datasets_says_so(tables: Tables) -> None:
    empty = replace(tables, scores=tables.scores.iloc[:0], end_scores=tables.end_scores.iloc[:0])
    (found,) = metrics_of(empty, ["joint"])
    assert {one.reason for one in found.values()} == {NO_SCORES}
    assert changes_of(empty, ["joint"]) is None
