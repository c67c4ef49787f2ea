"""Two studies in one plane: everything of both is there, and what cannot be compared is refused with a reason."""

from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest

from analysis.frontier import build_frontier
from analysis.tables.contract import TableError
from analysis.tables.loading import make_tables
from analysis.tables.tables import Tables
from analysis.tables.two_studies import merge_studies
from analysis.tasks.accuracies import changes_of
from tests.analysis.worlds import Frames, World, frames

FIRST = World(learned={("full", None): 0.8}, timelines=("finetune", "ema"), rates=(1e-5, 1e-4), tasks=2)
SECOND = replace(FIRST, learned={("full", None): 0.8, ("lora", 4): 0.4})


def made(tables: Frames, name: str) -> Tables:
    return make_tables(tables["trials"], tables["tasks"], tables["scores"], name=name)


def test_a_study_with_itself_is_twice_the_same() -> None:
    one = made(frames(FIRST), "a")
    both = merge_studies(one, replace(one, name="b"))
    alone, found = build_frontier(one), build_frontier(both)
    assert found.joint == alone.joint
    assert found.zero_shot.point == pytest.approx(alone.zero_shot.point)
    assert both.warnings == ()
    for study in ("a", "b"):
        own = {r.config.config_id: r for r in found.results if r.config.axes["study"] == study}
        for result in alone.results:
            twin = own[f"{result.config.config_id}@{study}"]
            assert (twin.aka, twin.azs) == (result.aka, result.azs)
            assert twin.gain is not None
            assert result.gain is not None
            assert twin.gain.value == pytest.approx(result.gain.value)
            assert twin.gain.half_width == pytest.approx(result.gain.half_width)
            assert twin.config.label == f"{result.config.label}, study {study}"
    assert both.counts["configs"] == 2 * one.counts["configs"]
    changes = changes_of(both, [found.results[0].config.config_id])
    expected = changes_of(one, [alone.results[0].config.config_id])
    assert changes is not None
    assert expected is not None
    assert changes.rows == expected.rows


def test_ids_that_only_one_study_has_stay() -> None:
    both = merge_studies(made(frames(FIRST), "a"), made(frames(SECOND), "b"))
    ids = set(both.trials["config_id"])
    assert {"lora4-finetune-1e-05", "full-finetune-1e-05@a", "full-finetune-1e-05@b", "joint"} <= ids
    assert set(both.trials.loc[both.trials["config_id"] == "lora4-finetune-1e-05", "study"]) == {"b"}
    for frame in (both.tasks, both.ends, both.scores, both.end_scores):
        assert set(frame["trial"]) == set(both.trials["trial"])


def test_axes_that_one_study_lacks_do_not_apply_there() -> None:
    second = frames(SECOND)
    second["trials"]["replay"] = 0.5
    both = merge_studies(made(frames(FIRST), "a"), made(second, "b"))
    values = {r.config.axes["study"]: r.config.axes["replay"] for r in build_frontier(both).results}
    assert values == {"a": None, "b": 0.5}


def test_only_common_blocks_stay() -> None:
    second = frames(replace(SECOND, blocks=5))
    both = merge_studies(made(frames(FIRST), "a"), made(second, "b"))
    assert both.blocks == ("seed0-order0", "seed1-order1", "seed2-order2")
    assert {item.block for item in both.left_out} == {"seed3-order3", "seed4-order4"}
    assert any("of blocks that only one study has: seed3-order3, seed4-order4" in text for text in both.warnings)
    build_frontier(both)


def test_the_joint_point_is_that_of_the_first_study_that_has_one() -> None:
    first, second = frames(FIRST), frames(replace(SECOND, joint=(0.6, 0.6)))
    both = merge_studies(made(first, "a"), made(second, "b"))
    assert build_frontier(both).joint == build_frontier(made(first, "a")).joint
    assert any("The joint points differ" in text and "that of a is used" in text for text in both.warnings)
    without = frames(replace(FIRST, with_joint=False))
    both = merge_studies(made(without, "a"), made(second, "b"))
    assert build_frontier(both).joint == build_frontier(made(second, "b")).joint
    assert any("a has no joint point; that of b is used for both" in text for text in both.warnings)


def other_blocks(tables: Frames) -> None:
    tables["trials"]["block"] = "other-" + tables["trials"]["block"]


def other_datasets(tables: Frames) -> None:
    tables["scores"]["dataset"] = tables["scores"]["dataset"].replace("Birds", "Fish")


def other_sizes(tables: Frames) -> None:
    tables["scores"]["n"] = 500


def other_metric(tables: Frames) -> None:
    tables["scores"].loc[tables["scores"]["dataset"] == "MSCOCO", "metric"] = "recall@1"


def other_zero_shot(tables: Frames) -> None:
    tables["tasks"].loc[tables["tasks"]["task"] == 0, "aka"] += 1e-5


def other_zero_shot_of_a_dataset(tables: Frames) -> None:
    rows = (tables["scores"]["task"] == 0) & (tables["scores"]["dataset"] == "DTD")
    tables["scores"].loc[rows, "value"] += 1e-5


def has_the_axis(tables: Frames) -> None:
    tables["trials"]["study"] = "c"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_blocks, "a and b have no block in common, .*seed0-order0.* and other-seed0-order0"),
        (other_datasets, "other suites at the ends of streams: a alone has Birds; b alone has Fish"),
        (other_sizes, r"n differs for Birds \(1000 and 500\), CIFAR100 .* and 12 more"),
        (other_metric, r"metric differs for MSCOCO \(recall@5 and recall@1\)"),
        (other_zero_shot, "zero-shot models of a and b are not the same: aka is .* at task 0 of block seed0-order0"),
        (other_zero_shot_of_a_dataset, "not the same: task 0 differs on DTD"),
        (has_the_axis, "b has a column 'study' already"),
    ],
)
def test_what_cannot_be_compared_is_refused(change: Callable[[Frames], None], message: str) -> None:
    second = frames(SECOND)
    change(second)
    with pytest.raises(TableError, match=message):
        merge_studies(made(frames(FIRST), "a"), made(second, "b"))


def test_without_scores_the_zero_shot_points_decide() -> None:
    second = frames(SECOND)
    bare = make_tables(second["trials"], second["tasks"], name="b")
    both = merge_studies(made(frames(FIRST), "a"), bare)
    assert any("No scores of datasets: b" in text for text in both.warnings)
    other_zero_shot(second)
    with pytest.raises(TableError, match="are not the same"):
        merge_studies(made(frames(FIRST), "a"), make_tables(second["trials"], second["tasks"], name="b"))


def test_inputs_are_not_changed() -> None:
    first, second = made(frames(FIRST), "a"), made(frames(SECOND), "b")
    copies = [frame.copy() for tables in (first, second) for frame in (tables.trials, tables.tasks, tables.scores)]
    merge_studies(first, second)
    after = [frame for tables in (first, second) for frame in (tables.trials, tables.tasks, tables.scores)]
    for frame, copy in zip(after, copies, strict=True):
        pd.testing.assert_frame_equal(frame, copy)
