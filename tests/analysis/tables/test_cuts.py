"""Cut studies: equal to tables that were made of the cut rows, and clear where there is nothing to cut at."""

import numpy as np
import pandas as pd
import pytest

from analysis.frontier import build_frontier
from analysis.tables.contract import TableError
from analysis.tables.cuts import at_task, within_budget
from analysis.tables.loading import make_tables
from analysis.tables.tables import Tables
from analysis.tasks.accuracies import changes_of
from analysis.tasks.trajectories import trajectories
from tests.analysis.worlds import Frames, World, frames

WORLD = World(learned={("full", None): 0.8, ("lora", 4): 0.4}, timelines=("finetune",), rates=(1e-5, 1e-4), tasks=4)
PARTS = ("trials", "tasks", "scores", "inside", "ends", "end_scores")


def made(tables: Frames) -> Tables:
    return make_tables(tables["trials"], tables["tasks"], tables["scores"], name="study")


def by_hand(tables: Frames, task: int) -> Tables:
    """What a study would hold that had ended after a task, with the joint model as it is."""
    joint = tables["trials"].loc[tables["trials"]["kind"] == "anchor", "trial"]
    cut = {
        name: tables[name][(tables[name]["task"] <= task) | tables[name]["trial"].isin(joint)] for name in PARTS[1:3]
    }
    return made({"trials": tables["trials"], **cut})


@pytest.mark.parametrize("task", [1, 3])
def test_a_study_at_a_task_is_the_study_that_ended_there(task: int) -> None:
    tables = frames(WORLD)
    found, expected = at_task(made(tables), task), by_hand(tables, task)
    for part in PARTS:
        pd.testing.assert_frame_equal(getattr(found, part), getattr(expected, part))
    cut, whole = build_frontier(found), build_frontier(made(tables))
    assert cut.results == build_frontier(expected).results
    assert cut.joint == whole.joint
    ends = {result.config.config_id: result.aka.value for result in whole.results}
    assert all(result.aka.value < ends[result.config.config_id] for result in cut.results)
    assert f"Trials are cut at task {task} of 4" in found.warnings[-1]


def test_at_the_last_task_nothing_changes() -> None:
    tables = made(frames(WORLD))
    found = at_task(tables, 4)
    for part in PARTS:
        pd.testing.assert_frame_equal(getattr(found, part), getattr(tables, part))


@pytest.mark.parametrize("task", [0, 5, -1])
def test_a_task_that_is_not_there_is_refused(task: int) -> None:
    with pytest.raises(TableError, match=f"no task {task} to cut at; the tasks of this study are 1 to 4"):
        at_task(made(frames(WORLD)), task)


def test_trials_without_the_task_are_left_out() -> None:
    tables = frames(WORLD)
    short = tables["trials"].loc[tables["trials"]["method"] == "lora", "trial"]
    for name in ("tasks", "scores"):
        tables[name] = tables[name][(tables[name]["task"] <= 2) | ~tables[name]["trial"].isin(short)]
    found = at_task(made(tables), 3)
    assert set(found.trials["method"]) == {"full", "joint"}
    assert {item.reason for item in found.left_out} == {"it has no row of task 3"}
    assert len(found.left_out) == len(short)
    assert found.counts["configs"] == 2


def test_a_budget_cuts_every_trial_at_its_own_task() -> None:
    """A LoRA task costs 0.7 of a full one: three of them fit where two full ones do."""
    tables = made(frames(WORLD))
    found = within_budget(tables, 2.1e13 * 2.2, "flops")
    last = found.tasks.groupby("trial")["task"].max()
    by_method = found.trials.assign(last=found.trials["trial"].map(last)).groupby("method")["last"].unique()
    assert {name: list(values) for name, values in by_method.items()} == {"full": [2], "lora": [3], "joint": [4]}
    assert found.tasks.merge(found.trials, on="trial").query("kind == 'trial'")["cost_flops"].max() <= 2.1e13 * 2.2
    frontier = build_frontier(found)
    assert frontier.samples.paths is None
    assert {path.tasks[-1] for path in trajectories(found, frontier.results)} == {2, 3}
    changes = changes_of(found, [frontier.headline.config.config_id])
    assert changes is not None
    assert all(change.value != 0 for change in changes.rows[0])


def test_blocks_that_end_at_other_tasks_within_seconds_are_compared_at_their_ends() -> None:
    """A block is 0.3 s slower than the one before: with 8.1 s the first gets two tasks and the others one."""
    tables = made(frames(WORLD))
    found = within_budget(tables, 8.1, "seconds")
    configs = found.trials[found.trials["kind"] == "trial"]
    last = configs["trial"].map(found.tasks.groupby("trial")["task"].max())
    assert [sorted(set(last[configs["block"] == block])) for block in found.blocks] == [[2], [1], [1]]
    frontier = build_frontier(found)
    (path, *_) = trajectories(found, frontier.results)
    assert path.tasks == (0, 1)
    assert all(np.isfinite(value.value) for value in path.aka)


def test_trials_that_cannot_pay_for_a_task_are_left_out() -> None:
    found = within_budget(made(frames(WORLD)), 2.1e13 * 0.8, "flops")
    assert set(found.trials["method"]) == {"lora", "joint"}
    assert {item.reason for item in found.left_out} == {"its first task takes more than 1.68e+13 FLOPs"}
    assert any("6 trials are left out by the cut" in warning for warning in found.warnings)


def test_budgets_that_mean_nothing_are_refused() -> None:
    tables = frames(WORLD)
    with pytest.raises(TableError, match=r"no trial ends a task within 1 FLOPs; the cheapest first task takes 1\.47e"):
        within_budget(made(tables), 1.0, "flops")
    tables["tasks"]["cost_mafs"] = np.nan
    with pytest.raises(TableError, match="tasks: column 'cost_mafs' is null for all trials"):
        within_budget(made(tables), 1e20, "mafs")
    with pytest.raises(TableError, match="'hours' is no unit of a budget; choose one of flops, mafs, seconds"):
        within_budget(made(tables), 1.0, "hours")  # type: ignore[arg-type]


def test_a_cut_before_the_end_is_of_the_images_that_the_stream_is_scored_on() -> None:
    """Ends on all images exist for whole streams only, and the two must not be mixed."""
    tables = frames(WORLD)
    joint = tables["trials"]["kind"] == "anchor"
    ends = tables["tasks"]["task"].isin([0, 4])
    full = tables["tasks"].loc[ends, ["trial", "task", "aka", "azs"]]
    full = full.assign(aka=full["aka"] / 2)
    whole = make_tables(tables["trials"], tables["tasks"], tables["scores"], None, full, tables["scores"], name="study")
    at_end, before = at_task(whole, 4), at_task(whole, 2)
    pd.testing.assert_frame_equal(at_end.ends, whole.ends)
    expected = by_hand(tables, 2)
    pd.testing.assert_frame_equal(before.ends, expected.ends)
    assert build_frontier(before).joint == build_frontier(expected).joint
    assert any("All numbers are of a subset" in warning for warning in before.warnings)
    assert not any("all other numbers are of all images" in warning for warning in before.warnings)
    assert joint.any()
