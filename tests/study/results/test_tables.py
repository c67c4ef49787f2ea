"""Tables: derived from plan and store, complete or honestly incomplete, with the columns that readers rely on."""

import json
import math
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.configs import configs_of
from analysis.roles import STANDARD_COLUMNS, STANDARD_METHODS
from analysis.tables.contract import TableError
from analysis.tables.loading import load_tables
from search_spaces.space import AXES
from study.definition.study import StudyDefinition
from study.planning.plan import Plan, make_plan
from study.results.tables import make_tables, write
from tests.study.requests import counted
from trainables.frozen import parse
from trainables.methods.method import METHODS
from trainables.metrics import Score, encode
from trainables.store.memory import MemoryStore
from trainables.workloads.catalogue import identify
from trainables.workloads.pocket.settings import Pocket

DEFINITION: dict[str, object] = {
    "name": "t",
    "fixed": {"tasks": 2, "steps": 5, "batch_size": 32, "lr": 1e-3},
    "grid": [{"timeline": "ema", "w": 0.5}, {"method": "lora", "rank": 4}],
    "blocks": 2,
}
NOOP = {**DEFINITION, "workload": {"name": "noop"}, "grid": [{"timeline": ["ema", "zs"], "w": 0.5}, {"method": "si"}]}


@pytest.fixture
def plan() -> Plan:
    return make_plan(parse(StudyDefinition, DEFINITION, source="test"), "test")


def filled(plan: Plan, *, without: str | None = None) -> MemoryStore:
    store = MemoryStore()
    for planned in plan.trials:
        store.put("costs", planned.cost, json.dumps({"flops": 10.0, "mafs": 8.0}).encode())
        for step in planned.steps:
            value = 0.25 + step.task / 10
            scores = (
                Score(dataset="a", group="adapt", metric="accuracy", value=value, n=4),
                Score(dataset="h", group="holdout", metric="accuracy", value=0.5, n=4),
            )
            for key in (step.scores, step.full):
                if key is not None and key != without:
                    store.put("scores", key, encode(scores))
            if step.update is not None:
                store.put("records", step.update, json.dumps({"wall_seconds": 2.0}).encode())
    return store


def test_a_study_on_a_subset_has_its_ends_in_full(tmp_path: Path) -> None:
    plan = make_plan(parse(StudyDefinition, {**DEFINITION, "subset": {"share": 0.1}}, source="test"), "test")
    tables = make_tables(plan, filled(plan), {})
    assert not tables.unfinished
    write(tables, tmp_path)
    tasks, full = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("tasks", "full"))
    last = tasks.groupby("trial")["task"].transform("max")
    ends = tasks.loc[(tasks["task"] == 0) | (tasks["task"] == last), ["trial", "task", "aka", "azs", "gm"]]
    pd.testing.assert_frame_equal(full, ends.reset_index(drop=True))
    first = plan.trials[0]
    missing = first.steps[-1].full
    assert missing is not None
    assert first.trial.id in make_tables(plan, filled(plan, without=missing), {}).unfinished
    whole = make_plan(parse(StudyDefinition, DEFINITION, source="test"), "test")
    assert whole.unique_updates.keys() == plan.unique_updates.keys()
    assert len(plan.unique_scores & whole.unique_scores) == len({s.full for t in plan.trials for s in t.steps} - {None})


def test_rows_columns_and_cumulated_costs(plan: Plan, tmp_path: Path) -> None:
    tables = make_tables(plan, filled(plan), {})
    write(tables, tmp_path)
    trials, tasks, scores = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("trials", "tasks", "scores"))
    assert len(trials) == 2 * (2 + 1)
    assert set(trials["status"]) == {"done"}
    assert trials["trial"].is_unique
    joint = trials[trials["kind"] == "anchor"]
    assert set(joint["method"]) == {"joint"}
    assert joint["timeline"].isna().all()
    assert joint["w"].isna().all()
    lora = trials[trials["method"] == "lora"]
    assert list(lora["rank"]) == [4, 4]
    assert lora["w"].isna().all()
    assert lora["config_id"].nunique() == 1
    assert list(trials["block"].unique()) == ["seed0-order0", "seed1-order1"]
    own = tasks[tasks["trial"] == lora["trial"].iloc[0]]
    assert list(own["task"]) == [0, 1, 2]
    assert list(own["cost_flops"]) == [0.0, 50.0, 100.0]
    assert list(own["cost_mafs"]) == [0.0, 40.0, 80.0]
    assert list(own["wall_s"]) == [0.0, 2.0, 4.0]
    assert own["gm"].iloc[1] == pytest.approx(math.sqrt(0.35 * 0.5))
    assert len(scores) == 2 * len(tasks)
    one_task = tasks[tasks["trial"] == joint["trial"].iloc[0]]
    assert list(one_task["cost_flops"]) == [0.0, 100.0]  # the joint point has the compute of a whole stream


def test_the_files_depend_on_plan_and_store_alone(plan: Plan, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(make_tables(plan, filled(plan), {}), tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_missing_evaluation_leaves_a_trial_unfinished(plan: Plan) -> None:
    trial = plan.trials[-1]
    gap = trial.steps[1].scores
    tables = make_tables(plan, filled(plan, without=gap), {})
    assert tables.unfinished == [trial.trial.id]
    assert [row["task"] for row in tables.tasks.to_pylist() if row["trial"] == trial.trial.id] == [0]
    failed = make_tables(plan, filled(plan, without=gap), {trial.trial.id: "why"})
    assert {row["status"] for row in failed.trials} == {"done", "failed"}
    assert {row["status"] for row in make_tables(plan, MemoryStore(), {}).trials} == {"waiting"}


def test_each_value_is_read_once_and_what_is_absent_is_not_asked_for() -> None:
    """Whatever trials share and the store lacks: three listings, and a request for each value that is there."""
    plan = make_plan(parse(StudyDefinition, NOOP, source="test"), "test")
    full = filled(plan)
    store, requests = counted(full)
    assert not make_tables(plan, store, {}).unfinished
    assert requests == {"keys": 3, "get": len(full.blobs)}
    empty, requests = counted(MemoryStore())
    assert len(make_tables(plan, empty, {}).unfinished) == len(plan.trials)
    assert requests == {"keys": 3}


def test_a_gap_leaves_out_no_other_rows() -> None:
    value = {**NOOP, "subset": {"share": 0.5}, "evaluate_at": [0.5]}
    plan = make_plan(parse(StudyDefinition, value, source="test"), "test")
    store = filled(plan)
    trial = plan.trials[-1]
    for step in trial.steps:
        for inside in step.inside:
            store.put("scores", inside.scores, store.get("scores", plan.trials[0].steps[0].scores) or b"")
    del store.blobs["scores", trial.steps[1].scores]
    tables = make_tables(plan, store, {})
    name = trial.trial.id
    assert [row["task"] for row in tables.tasks.to_pylist() if row["trial"] == name] == [0]
    assert [row["task"] for row in tables.inside.to_pylist() if row["trial"] == name] == [1, 2]
    assert [row["task"] for row in tables.full.to_pylist() if row["trial"] == name] == [0, 2]


def test_scores_are_written_in_parts_of_whole_evaluations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluations of other data sets beside each other keep their own, wherever a part ends."""
    plan = make_plan(parse(StudyDefinition, NOOP, source="test"), "test")
    store = filled(plan)
    expected = []
    for planned in plan.trials:
        for step in planned.steps:
            scores = tuple(
                Score(dataset=f"{group}{i}", group=group, metric=f"m{i}", value=i / 8, n=i + int(step.scores[0], 16))
                for i in range(1, 2 + step.task)
                for group in ("adapt", "holdout")
            )
            store.blobs.pop(("scores", step.scores))
            store.put("scores", step.scores, encode(scores))
            rows = [[one.dataset, one.group, one.metric, one.value, one.n] for one in scores]
            expected += [[planned.trial.id, step.task, *row] for row in rows]
    for size, parts in ((1 << 20, 1), (7, None)):
        monkeypatch.setattr("study.results.tables._ROWS_AT_ONCE", size)
        write(make_tables(plan, store, {}), tmp_path)
        file = pq.ParquetFile(tmp_path / "scores.parquet")
        assert file.num_row_groups == parts or all(
            file.metadata.row_group(i).num_rows <= size for i in range(file.num_row_groups)
        )
        assert [list(row.values()) for row in file.read().to_pylist()] == expected


def test_updates_of_different_kinds_of_devices_are_told_in_the_report(plan: Plan, tmp_path: Path) -> None:
    """Records of older releases name no device, and of one kind the files say nothing."""
    store = filled(plan)
    keys = sorted(plan.all_updates)
    for names, told in (([], False), (["NVIDIA A100"], False), (["NVIDIA A100", "NVIDIA H100", "NVIDIA A100"], True)):
        for key, name in zip(keys, names, strict=False):
            del store.blobs["records", key]
            store.put("records", key, json.dumps({"wall_seconds": 2.0, "device_name": name}).encode())
        tables = make_tables(plan, store, {})
        write(tables, tmp_path)
        assert tables.devices == {name: names.count(name) for name in names}
        assert (b"retune.devices" in (pq.read_schema(tmp_path / "tasks.parquet").metadata or {})) == told
        said = [one for one in load_tables(tmp_path).warnings if "different kinds of devices" in one]
        assert [one.partition(", whose")[0] for one in said] == [
            "Updates were trained on different kinds of devices (NVIDIA A100: 2, NVIDIA H100: 1)"
        ] * told


@pytest.mark.parametrize("written", ["{", "[1]", '{"NVIDIA A100": "many"}'])
def test_wrong_metadata_of_devices_are_refused(written: str, plan: Plan, tmp_path: Path) -> None:
    write(make_tables(plan, filled(plan), {}), tmp_path)
    path = tmp_path / "tasks.parquet"
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({"retune.devices": written}), path)
    with pytest.raises(TableError, match=r"tasks\.parquet: metadata retune\.devices: no JSON mapping of names"):
        load_tables(tmp_path)


def test_every_axis_says_its_role_and_every_method_its_name_and_group(plan: Plan, tmp_path: Path) -> None:
    """What the analysis then knows of our tables is what they say, whatever its standard names say."""
    write(make_tables(plan, filled(plan), {}), tmp_path)
    found = load_tables(tmp_path).roles
    assert found.seen == {}
    expected = {name: one.role for name, one in AXES.items()} | {"evaluation_precision": "training"}
    assert {name: column.role for name, column in found.said.items()} == expected
    for name, standard in STANDARD_COLUMNS.items():
        assert name not in AXES or standard.role == found.column(name).role
    assert {name: (one.name, one.group) for name, one in found.methods.items()} == {
        name: (row.name, row.group) for name, row in METHODS.items()
    }
    assert all(found.is_whole(name) == (axis.type is int) for name, axis in AXES.items())


def test_the_tables_say_how_large_the_model_is_without_a_column(plan: Plan, tmp_path: Path) -> None:
    write(make_tables(plan, filled(plan), {}), tmp_path)
    size = identify(Pocket()).anatomy.size
    assert size == pytest.approx(0.43e6, rel=0.02)
    assert load_tables(tmp_path).parameters == size
    path = tmp_path / "trials.parquet"
    table = pq.read_table(path)
    assert "parameters" not in table.column_names
    pq.write_table(table.replace_schema_metadata({"retune.parameters": "many"}), path)
    with pytest.raises(TableError, match=r"trials\.parquet: metadata retune\.parameters: 'many' is no whole number"):
        load_tables(tmp_path)
    pq.write_table(table.replace_schema_metadata({}), path)
    assert load_tables(tmp_path).parameters is None


LATER = ("fisher_floor",)
"""Axes that came after tables began to say what their columns are, so that no table is without the role of one."""


def test_tables_of_older_versions_are_read_as_they_always_were(plan: Plan, tmp_path: Path) -> None:
    """Without the metadata all is the same: the standard names say of each column what the metadata say."""
    write(make_tables(plan, filled(plan), {}), tmp_path)
    now = load_tables(tmp_path)
    path = tmp_path / "trials.parquet"
    table = pq.read_table(path)
    older = table.drop_columns(list(LATER))
    bare = pa.schema([field.remove_metadata() for field in older.schema])
    pq.write_table(older.cast(bare), path)
    axes = [name for name in AXES if name not in LATER]
    then = load_tables(tmp_path)
    assert not then.roles.said
    assert not then.roles.seen
    assert not then.roles.methods
    for role in ("method", "merging"):
        assert then.roles.of_role(axes, role) == now.roles.of_role(axes, role)
    for mark in ("switch", "of-rule"):
        assert then.roles.marked(axes, mark) == now.roles.marked(axes, mark)
    assert then.warnings == now.warnings
    assert [config.label for config in configs_of(then.trials, then.roles)] == [
        config.label for config in configs_of(now.trials, now.roles)
    ]
    known = METHODS.keys() & STANDARD_METHODS.keys()  # a method that came later says its name in the tables alone
    assert {name: STANDARD_METHODS[name] for name in known} == {name: now.roles.methods[name] for name in known}
