"""Tables: what is refused, what is cut, and that nothing is filled in."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.frontier import build_frontier
from analysis.tables.balance import common_blocks
from analysis.tables.contract import TableError
from analysis.tables.loading import load_tables, make_tables
from analysis.tasks.accuracies import changes_of
from analysis.tasks.trajectories import trajectories
from tests.analysis.worlds import Frames, World, frames, write_study

SMALL = World(learned={("full", None): 0.8}, timelines=("finetune", "ema"), rates=(1e-4,), tasks=2)


def made(tables: Frames) -> "object":
    return make_tables(tables["trials"], tables["tasks"], tables["scores"], name="study")


def set_value(table: str, column: str, value: object) -> Callable[[Frames], None]:
    def change(tables: Frames) -> None:
        column_values = tables[table][column].astype(object)
        column_values.iloc[1] = value
        tables[table][column] = column_values

    return change


def drop_column(tables: Frames) -> None:
    tables["tasks"] = tables["tasks"].drop(columns="azs")


def repeat_row(tables: Frames) -> None:
    tables["tasks"] = pd.concat([tables["tasks"], tables["tasks"].iloc[[3]]])


def repeat_config_on_block(tables: Frames) -> None:
    tables["trials"]["block"] = tables["trials"]["block"].replace("seed1-order1", "seed0-order0")


def no_zero_shot(tables: Frames) -> None:
    tables["tasks"] = tables["tasks"].drop(index=0)


def only_zero_shot(tables: Frames) -> None:
    trial = tables["trials"]["trial"].iloc[0]
    tables["tasks"] = tables["tasks"][(tables["tasks"]["trial"] != trial) | (tables["tasks"]["task"] == 0)]


def fewer_datasets(tables: Frames) -> None:
    tables["scores"] = tables["scores"].drop(index=0)


def other_size(tables: Frames) -> None:
    tables["scores"].loc[tables["scores"].index[-1], "n"] = 500


def other_suite(tables: Frames) -> None:
    rows = tables["scores"]["trial"] == tables["trials"]["trial"].iloc[2]
    tables["scores"].loc[rows, "dataset"] = tables["scores"].loc[rows, "dataset"].replace("Birds", "Fish")


def repeat_score(tables: Frames) -> None:
    tables["scores"] = pd.concat([tables["scores"], tables["scores"].iloc[[7]]])


def costs_per_task(tables: Frames) -> None:
    tables["tasks"]["cost_flops"] = 1e12 - 1e10 * tables["tasks"]["task"]


def other_tasks(tables: Frames) -> None:
    tables["tasks"] = tables["tasks"].drop(index=1)


def other_anchor(tables: Frames) -> None:
    tables["trials"]["method"] = tables["trials"]["method"].replace("joint", "upper bound")


def nothing_done(tables: Frames) -> None:
    tables["trials"]["status"] = "waiting"


def only_anchor_done(tables: Frames) -> None:
    tables["trials"].loc[tables["trials"]["kind"] == "trial", "status"] = "waiting"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop_column, r"tasks: missing columns \['azs'\]"),
        (set_value("tasks", "aka", np.nan), "tasks: column 'aka' is not a number in 1 rows: trial=.* task=1"),
        (set_value("tasks", "azs", 1.5), r"tasks: column 'azs' is outside \[0, 1\] in 1 rows"),
        (set_value("scores", "value", -1.0), r"scores: column 'value' is outside \[0, 1\]"),
        (set_value("scores", "group", "train"), "scores: column 'group' is none of"),
        (set_value("trials", "status", "ok"), "trials: column 'status' is none of"),
        (set_value("trials", "block", None), "trials: column 'block' is null"),
        (set_value("trials", "lr", 0.5), "trials: column 'lr' differs between trials of one config_id"),
        (set_value("tasks", "trial", "ghost"), "tasks: column 'trial' is not in the trials table"),
        (set_value("tasks", "cost_flops", -3.0), "tasks: column 'cost_flops' is negative"),
        (set_value("tasks", "aka", np.inf), "tasks: column 'aka' is not finite"),
        (set_value("tasks", "aka", "0.4"), "tasks: column 'aka' is not a number"),
        (set_value("tasks", "aka", np.bool_(1)), "tasks: column 'aka' is not a number"),
        (set_value("tasks", "task", 1.5), "tasks: column 'task' is not a whole number in 1 rows: trial=.* task=1.5"),
        (set_value("tasks", "task", -1), "tasks: column 'task' is negative"),
        (set_value("tasks", "trial", None), "tasks: column 'trial' is null in 1 rows: row=1 trial=nan"),
        (set_value("trials", "lr", "1e-4"), "trials: column 'lr' is not a number"),
        (set_value("trials", "method", 0.5), "trials: column 'method' is neither text nor a whole number"),
        (set_value("scores", "metric", None), "scores: column 'metric' is null"),
        (set_value("scores", "metric", "top 5"), "scores: column 'metric' differs between rows of one dataset"),
        (set_value("scores", "n", 0), "scores: column 'n' is not a positive number"),
        (other_size, "scores: column 'n' differs between rows of one dataset in 1 rows: .* dataset=STL10 n=500"),
        (other_suite, "does not list all 16 datasets .*missing: Fish"),
        (repeat_score, "scores: column 'trial and task and dataset' occur more than once in 1 rows"),
        (costs_per_task, "tasks: column 'cost_flops' falls from one task of a trial to the next"),
        (other_tasks, "differs between finished trials of one config_id"),
        (other_anchor, r"column 'method' of an anchor is none of \['joint', 'zeroshot'\]"),
        (repeat_row, "tasks: column 'trial and task' occur more than once in 2 rows"),
        (repeat_config_on_block, "a config runs once on a block"),
        (no_zero_shot, "task 0"),
        (only_zero_shot, "no row after task 0"),
        (fewer_datasets, "does not list all 15 datasets"),
        (nothing_done, "none of the 12 trials is done"),
        (only_anchor_done, "only the joint anchor is done"),
    ],
)
def test_untrusted_tables_are_refused(change: Callable[[Frames], None], message: str) -> None:
    tables = frames(SMALL)
    change(tables)
    with pytest.raises(TableError, match=message):
        made(tables)


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"trials\.parquet"):
        load_tables(tmp_path)
    write_study(tmp_path, frames(SMALL))
    (tmp_path / "tables" / "tasks.parquet").write_bytes(b"not parquet")
    with pytest.raises(TableError, match=r"tasks\.parquet cannot be read"):
        load_tables(tmp_path)


def test_good_tables_pass_through(tmp_path: Path) -> None:
    tables = load_tables(write_study(tmp_path, frames(SMALL)))
    assert tables.blocks == ("seed0-order0", "seed1-order1", "seed2-order2")
    assert len(tables.trials) == 12
    assert (tables.left_out, tables.warnings) == ((), ())


def test_ends_are_of_all_images_where_the_stream_is_scored_on_a_subset() -> None:
    """`full` has the ends on all images: they are what configs are compared by, and paths stay of one suite."""
    tables = frames(SMALL)
    plain = make_tables(tables["trials"], tables["tasks"], tables["scores"], name="study")
    pd.testing.assert_frame_equal(plain.ends, plain.tasks[plain.tasks["task"] != 1].reset_index(drop=True))
    full = tables["tasks"].loc[tables["tasks"]["task"] != 1, ["trial", "task", "aka", "azs", "gm"]]
    full = full.assign(aka=full["aka"] / 2, gm=np.sqrt(full["aka"] / 2 * full["azs"]))
    full_scores = tables["scores"].assign(value=tables["scores"]["value"] / 2)
    found = make_tables(tables["trials"], tables["tasks"], tables["scores"], None, full, full_scores, name="study")
    pd.testing.assert_frame_equal(found.tasks, plain.tasks)
    pd.testing.assert_series_equal(found.ends["aka"], plain.ends["aka"] / 2)
    pd.testing.assert_series_equal(found.ends["cost_flops"], plain.ends["cost_flops"])
    pd.testing.assert_series_equal(found.end_scores["value"], plain.end_scores["value"] / 2)
    with pytest.raises(TableError, match="is an end without a row in the table full in 1 rows"):
        make_tables(tables["trials"], tables["tasks"], tables["scores"], None, full[1:], full_scores, name="study")
    wrong = full.assign(aka=2.0)
    with pytest.raises(TableError, match=r"full: column .aka. is outside \[0, 1\]"):
        make_tables(tables["trials"], tables["tasks"], tables["scores"], None, wrong, full_scores, name="study")


def test_inputs_are_not_changed() -> None:
    tables = frames(SMALL)
    copies = {name: frame.copy() for name, frame in tables.items()}
    made(tables)
    for name, frame in tables.items():
        pd.testing.assert_frame_equal(frame, copies[name])


def test_failed_trials_are_listed_and_their_rows_ignored() -> None:
    tables = frames(SMALL)
    bad = tables["trials"]["config_id"].iloc[0]
    tables["trials"].loc[tables["trials"]["config_id"] == bad, "status"] = "failed"
    trial = tables["trials"]["trial"].iloc[0]
    tables["tasks"].loc[tables["tasks"]["trial"] == trial, "aka"] = np.nan
    found = make_tables(tables["trials"], tables["tasks"], tables["scores"], name="study")
    assert found.counts["failed"] == 3
    assert len(found.left_out) == 3
    assert {item.reason for item in found.left_out} == {"status failed"}
    assert bad not in set(found.trials["config_id"])
    assert any("3 of 12 trials are failed" in warning for warning in found.warnings)


def test_unbalanced_blocks_are_cut_and_listed() -> None:
    tables = frames(SMALL)
    tables["trials"].loc[0, "status"] = "waiting"
    found = make_tables(tables["trials"], tables["tasks"], tables["scores"], name="study")
    # Of 3 configs x 3 blocks one trial is missing: 2 x 3 and 3 x 2 keep as many trials, and 2 x 3 more blocks.
    assert len(found.blocks) == 3
    assert found.counts["configs"] == 2
    assert len(found.left_out) == 3
    assert any("not balanced" in warning for warning in found.warnings)


def test_common_blocks_takes_the_largest_rectangle() -> None:
    pairs = [(f"c{c}", f"b{b}") for c in range(5) for b in range(3) if not (b == 2 and c > 1)]
    blocks, configs = common_blocks(pd.DataFrame(pairs, columns=["config_id", "block"]))
    assert blocks == ("b0", "b1")
    assert configs == {f"c{c}" for c in range(5)}


@pytest.mark.parametrize(("repeated", "blocks"), [(3, 3), (2, 1)])
def test_a_search_is_compared_where_it_was_repeated(repeated: int, blocks: int) -> None:
    """30 configs on the first block; of these a few on two more."""
    pairs = [(f"c{c:02}", f"b{b}") for c in range(30) for b in range(3) if b == 0 or c < repeated]
    found, configs = common_blocks(pd.DataFrame(pairs, columns=["config_id", "block"]))
    assert len(found) == blocks
    assert len(configs) == (repeated if blocks == 3 else 30)


def test_trials_that_were_stopped_are_told_and_not_compared() -> None:
    tables = frames(SMALL)
    first = tables["trials"]["config_id"].iloc[0]
    own = tables["trials"]["config_id"] == first
    tables["trials"].loc[own, "status"] = "stopped"
    last = tables["tasks"]["task"].max()
    short = tables["tasks"]["trial"].isin(tables["trials"].loc[own, "trial"]) & (tables["tasks"]["task"] == last)
    tables["tasks"] = tables["tasks"][~short]
    found = make_tables(tables["trials"], tables["tasks"], tables["scores"], name="study")
    assert found.counts["stopped"] == own.sum()
    assert first not in set(found.trials["config_id"])
    assert len(found.blocks) == 3
    assert any("stopped early and not in the statistics" in warning for warning in found.warnings)


def test_a_joint_anchor_on_other_blocks_is_kept() -> None:
    tables = frames(SMALL)
    joint = tables["trials"]["kind"] == "anchor"
    tables["trials"].loc[joint, "block"] = [f"joint{i}" for i in range(3)]
    found = make_tables(tables["trials"], tables["tasks"], tables["scores"], name="study")
    assert (found.trials["kind"] == "anchor").sum() == 3


# -- tables that retune did not make -----------------------------------------------------------------------------------

GRID = [(method, block) for method in ("mine", "theirs") for block in (1, 2, 3)]


def foreign(*, zero_shot: bool = True) -> Frames:
    """The least that is needed: seven columns in two tables. Numbers are names; the joint model is known by its own."""
    trials: list[dict[str, object]] = [
        {"trial": i, "method": method, "config_id": method, "block": block} for i, (method, block) in enumerate(GRID)
    ]
    trials.append({"trial": 99, "method": "joint", "config_id": "joint", "block": 1})
    tasks: list[dict[str, object]] = [
        {
            "trial": i,
            "task": task,
            "aka": 0.4 + 0.1 * task * (1.0 if method == "mine" else 0.5),
            "azs": 0.6 - 0.01 * task,
        }
        for i, (method, _) in enumerate(GRID)
        for task in range(0 if zero_shot else 1, 3)
    ]
    tasks.append({"trial": 99, "task": 2, "aka": 0.7, "azs": 0.5})
    return {"trials": pd.DataFrame(trials), "tasks": pd.DataFrame(tasks)}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("inside", ["", "tables"])
def test_the_least_table_reaches_a_frontier(tmp_path: Path, suffix: str, inside: str) -> None:
    folder = tmp_path / inside
    folder.mkdir(exist_ok=True)
    for name, frame in foreign().items():
        write = frame.to_csv if suffix == "csv" else frame.to_parquet
        write(folder / f"{name}.{suffix}", index=False)
    tables = load_tables(tmp_path)
    frontier = build_frontier(tables)
    assert tables.blocks == ("1", "2", "3")
    assert (tables.left_out, tables.warnings) == ((), ())
    assert [result.config.label for result in frontier.results] == ["mine", "theirs"]
    assert frontier.joint is not None
    assert frontier.joint.point == (0.7, 0.5)
    assert frontier.results[0].gain is not None
    assert frontier.results[0].gain.value == pytest.approx(0.58 - (0.6 - 0.1 * 0.2 / 0.3))
    assert frontier.results[0].gm.value == pytest.approx(np.sqrt(0.6 * 0.58))
    assert frontier.results[0].cost_flops is None
    assert frontier.samples.paths is not None
    assert trajectories(tables, frontier.results)[0].tasks == (0, 1, 2)
    assert changes_of(tables, [frontier.headline.config.config_id]) is None


def test_without_an_id_configs_are_told_apart_by_their_axes() -> None:
    tables = foreign()
    trials = tables["trials"].drop(columns="config_id")
    joint = trials["method"] == "joint"
    trials["method"] = trials["method"].replace({"theirs": "mine"})
    trials["dropout"] = [0.1 if method == "mine" else None if method == "joint" else 0.2 for method, _ in GRID] + [None]
    frontier = build_frontier(make_tables(trials.sample(frac=1, random_state=0), tables["tasks"], name="study"))
    assert [result.config.label for result in frontier.results] == ["mine, dropout 0.1", "mine, dropout 0.2"]
    again = build_frontier(make_tables(trials, tables["tasks"], name="study"))
    assert [r.config.config_id for r in again.results] == [r.config.config_id for r in frontier.results]
    with pytest.raises(TableError, match="a config runs once on a block"):
        make_tables(trials[~joint].drop(columns="dropout"), tables["tasks"][:-1], name="study")


@pytest.mark.parametrize("blocks", [[1, 2, 3], [7]])
def test_trials_without_task_0_start_at_the_zero_shot_anchor(blocks: list[int]) -> None:
    """At that of their block, or at its mean; costs are counted from there."""
    tables = foreign(zero_shot=False)
    with pytest.raises(TableError, match=r"no row for task 0 .*an anchor of method 'zeroshot'"):
        make_tables(tables["trials"], tables["tasks"], name="study")
    anchor = pd.DataFrame(
        {"trial": [f"z{b}" for b in blocks], "method": "zeroshot", "config_id": "z", "block": blocks, "kind": "anchor"}
    )
    starts = pd.DataFrame({"trial": anchor["trial"], "task": 0, "aka": [0.40 + 0.001 * b for b in blocks], "azs": 0.6})
    kinds = np.where(tables["trials"]["method"] == "joint", "anchor", "trial")
    trials = pd.concat([tables["trials"].assign(kind=kinds), anchor])
    tasks = pd.concat([tables["tasks"].assign(wall_s=5.0), starts])
    found = make_tables(trials, tasks, name="study")
    rows = found.tasks[found.tasks["task"] == 0].merge(found.trials, on="trial").sort_values(["config_id", "block"])
    own = [0.401, 0.402, 0.403] if len(blocks) == 3 else [0.407] * 3
    assert rows.loc[rows["kind"] == "trial", "aka"].tolist() == pytest.approx(own * 2)
    assert set(rows["wall_s"]) == {0.0}
    assert "zeroshot" not in set(found.trials["method"])
    assert build_frontier(found).zero_shot.point == pytest.approx((float(np.mean(own)), 0.6))
    assert any("start at the zero-shot anchor" in warning for warning in found.warnings)


def test_scores_of_the_zero_shot_anchor_start_every_trial() -> None:
    """Cut task 0 out of a study and give it as an anchor: everything per dataset stays as it was."""
    whole = frames(SMALL)
    expected = make_tables(whole["trials"], whole["tasks"], whole["scores"], name="study")
    first = whole["trials"]["trial"].iloc[0]
    cut: Frames = {name: whole[name][whole[name]["task"] > 0] for name in ("tasks", "scores")}
    for name in ("tasks", "scores"):
        rows = whole[name][(whole[name]["trial"] == first) & (whole[name]["task"] == 0)]
        cut[name] = pd.concat([cut[name], rows.assign(trial="zero")])
    anchor = whole["trials"].iloc[[0]].assign(trial="zero", kind="anchor", method="zeroshot", config_id="zero")
    found = make_tables(pd.concat([whole["trials"], anchor]), cut["tasks"], cut["scores"], name="study")
    pd.testing.assert_frame_equal(found.scores, expected.scores)
    pd.testing.assert_frame_equal(found.end_scores, expected.end_scores)
    assert changes_of(found, [build_frontier(found).headline.config.config_id])


def test_a_joint_anchor_without_task_0_starts_where_the_trials_do() -> None:
    whole = frames(SMALL)
    expected = make_tables(whole["trials"], whole["tasks"], whole["scores"], name="study")
    joint = whole["trials"].loc[whole["trials"]["kind"] == "anchor", "trial"]
    cut = {
        name: whole[name][(whole[name]["task"] > 0) | ~whole[name]["trial"].isin(joint)] for name in ("tasks", "scores")
    }
    found = make_tables(whole["trials"], cut["tasks"], cut["scores"], name="study")
    pd.testing.assert_frame_equal(found.end_scores, expected.end_scores)
    pd.testing.assert_frame_equal(found.ends[["aka", "azs"]], expected.ends[["aka", "azs"]])
    assert found.warnings == ()


def test_a_missing_column_teaches_what_is_needed() -> None:
    tables = foreign()
    with pytest.raises(TableError, match=r"trials: missing columns \['block'\]; the table needs trial \(text") as error:
        make_tables(tables["trials"].drop(columns="block"), tables["tasks"], name="study")
    assert "kind (absent: anchor for joint and zeroshot, else trial)" in str(error.value)
    assert "every further column is an axis" in str(error.value)


def test_csv_is_checked_like_parquet(tmp_path: Path) -> None:
    """Names keep their zeros, numbers that are none are named with their file."""
    whole = frames(SMALL)
    (tmp_path / "both").mkdir()
    write_study(tmp_path, whole)
    expected = load_tables(tmp_path)
    for name, frame in whole.items():
        frame.to_csv(tmp_path / "both" / f"{name}.csv", index=False)
    found = load_tables(tmp_path / "both")
    for name in ("tasks", "scores", "ends", "end_scores"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(expected, name))
    lines = (tmp_path / "both" / "tasks.csv").read_text().splitlines()
    lines[2] = lines[2].replace(lines[2].split(",")[2], "high")
    (tmp_path / "both" / "tasks.csv").write_text("\n".join(lines))
    with pytest.raises(TableError, match=r"^tasks\.csv: column 'aka' is not a number in .*aka=high"):
        load_tables(tmp_path / "both")
    whole["tasks"].to_parquet(tmp_path / "both" / "tasks.parquet")
    with pytest.raises(TableError, match="there are both"):
        load_tables(tmp_path / "both")


def test_the_file_of_a_bad_row_is_named(tmp_path: Path) -> None:
    tables = frames(SMALL)
    set_value("scores", "value", 2.0)(tables)
    tables["scores"]["value"] = tables["scores"]["value"].astype(float)
    write_study(tmp_path, tables)
    with pytest.raises(TableError, match=r"^tables/scores\.parquet: column 'value' is outside \[0, 1\] in 1 rows"):
        load_tables(tmp_path)


def test_names_with_leading_zeros_stay(tmp_path: Path) -> None:
    tables = foreign()
    for frame in tables.values():
        frame["trial"] = frame["trial"].map(lambda trial: f"{trial:04d}")
    for name, frame in tables.items():
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    assert "0003" in set(load_tables(tmp_path).trials["trial"])
