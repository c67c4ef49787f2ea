"""Tables: what is refused, what is cut, and that nothing is filled in."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.tables import TableError, common_blocks, load_tables, make_tables
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
    with pytest.raises(TableError, match="of the table full is outside"):
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


def test_a_joint_anchor_on_other_blocks_is_kept() -> None:
    tables = frames(SMALL)
    joint = tables["trials"]["kind"] == "anchor"
    tables["trials"].loc[joint, "block"] = [f"joint{i}" for i in range(3)]
    found = make_tables(tables["trials"], tables["tasks"], tables["scores"], name="study")
    assert (found.trials["kind"] == "anchor").sum() == 3
