"""The plan: who shares training with whom, and what it warns about."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from search_spaces.space import axis_values
from study.definition.files import load
from study.definition.study import StudyDefinition
from study.planning.estimate import estimate
from study.planning.plan import Known, Plan, make_plan, stored_keys
from study.planning.trials import trials
from tests.study import command
from tests.study.requests import counted
from tests.trainables import toys
from trainables.frozen import parse
from trainables.runtime import Runtime
from trainables.store.memory import MemoryStore
from trainables.workloads.clip.data import manifest
from trainables.workloads.identity import Scored
from trainables.workloads.settings import Subset


def plan(*grids: dict[str, object], evaluate_at: Sequence[float] = (), **fixed: object) -> Plan:
    value = {
        "evaluate_at": list(evaluate_at),
        "name": "p",
        "fixed": {"steps": 2, "batch_size": 32, "lr": 1e-3, **fixed},
        "grid": list(grids),
        "joint": None,
    }
    return make_plan(parse(StudyDefinition, value, source="p.yaml"), "p.yaml")


MERGED = {"serve": ["last", "ema", "all"], "rule": ["lerp", "ties"], "w": [0.5, 0.9]}


def test_any_serve_rule_and_weight_shares_the_updates_of_a_start_that_is_not_merged() -> None:
    for start in ("base", "last"):
        assert len(plan({"start": start, **MERGED}).unique_updates) == 6
    assert len(plan({"start": ["base", "last"], **MERGED}).unique_updates) == 11  # the first task is one


def test_merged_starts_train_for_every_rule_and_weight() -> None:
    """ema: one first update and five more for each of lerp .5, lerp .9 and ties.

    all: the second task starts from the first update itself, so four more for each of lerp and ties.
    """
    assert len(plan({"start": "ema", **MERGED}).unique_updates) == 1 + 3 * 5
    assert len(plan({"start": "all", **MERGED}).unique_updates) == 1 + 1 + 2 * 4


def test_batches_larger_than_the_data_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.planning.calibration.memory_bytes", lambda: 10**6)
    counts = estimate(
        plan({"method": "full"}, batch_size=10**5), stored_keys(MemoryStore()), workers=1, runtime=Runtime(threads=1)
    )
    assert counts.seconds_to_do is None
    assert [one.seconds_per_trial for one in counts.by_method] == [None]
    large, memory = counts.warnings
    assert large.startswith("batch_size: 100000 samples a step, of ")
    assert memory.endswith("this machine has 0 GB: it is not timed, and cannot run here")


@pytest.mark.parametrize(
    ("data", "said"),
    [("none.parquet", "none.parquet: no such file"), ("m.parquet", "p: pool_share: 0.33 given; the data have no pool")],
)
def test_data_that_do_not_do_are_refused_before_a_model_is_opened(tmp_path: Path, data: str, said: str) -> None:
    rows = [{"image": "a.png", "caption": ("a",), "concept": "a", "dataset": "d", "split": "train", "group": "adapt"}]
    manifest.write(pd.DataFrame(rows), tmp_path / "m.parquet")
    value = {
        "name": "p",
        "workload": {"model": {"name": "ViT-B-32", "pretrained": "random"}, "data": str(tmp_path / data)},
        "fixed": {"steps": 2, "tasks": 1},
        "grid": [{"lr": 1e-3}],
    }
    lines = (
        "import sys",
        "import study.commands.app",
        "from study.planning.plan import ConfigError, StudyDefinition, make_plan",
        "try:",
        f"    make_plan(StudyDefinition.model_validate({value!r}), 'p')",
        "except ConfigError as error:",
        "    print(error, 'torch' in sys.modules)",
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert said in done.stdout
    assert done.stdout.endswith("False\n")


def test_estimate_says_who_shares() -> None:
    counts = estimate(
        plan({"start": ["base", "ema"], **MERGED}), stored_keys(MemoryStore()), workers=1, runtime=Runtime(threads=1)
    )
    base, ema = counts.by_start["base"], counts.by_start["ema"]
    assert (base.trials, base.updates_total, base.updates_unique) == (6, 36, 6)
    assert (ema.trials, ema.updates_unique) == (9, 16)


def test_preset_of_the_time_table_shows_its_sharing(tmp_path: Path) -> None:
    counts = json.loads(command.ok_here("plan", "time_axes", "--dir", tmp_path / "none", "--json"))
    assert counts["by_start"]["base"] == {"trials": 115, "updates_total": 690, "updates_unique": 30}
    assert counts["by_start"]["last"]["updates_unique"] == 60  # 30, and 30 of the average over steps
    assert counts["updates_unique"] < counts["updates_total"] / 5


@pytest.mark.parametrize("name", ["merging", "time_axes"])
def test_presets_of_merging_plan(name: str) -> None:
    definition, source = load(name)
    assert {planned.trial.config.timeline.start for planned in make_plan(definition, source).trials} >= {"base", "ema"}


def test_growth_is_warned_about() -> None:
    (warning,) = plan({"timeline": "ema", "rule": "task_arithmetic"}).warnings
    assert "start ema with rule task_arithmetic, scale 1.0" in warning
    assert "by a factor of 2 a task, 32 in 6 tasks; a merge_scale of 0.5 does not" in warning
    for calm in (
        plan({"timeline": "ema", "rule": "task_arithmetic", "merge_scale": 0.5}),
        plan({"timeline": "zs", "rule": "task_arithmetic"}),
        plan({"timeline": "ema", "rule": "ties"}),
        plan({"timeline": "ema", "w": 0.5}),
    ):
        assert not calm.warnings
    assert not plan({"timeline": "ema", "rule": "task_arithmetic"}, tasks=1).warnings


@pytest.mark.parametrize(
    ("name", "axis", "values"),
    [
        ("learning_rate", "lr", 4),
        ("schedules", "schedule", 8),
        ("orderings", "ordering", 11),
        ("datasets", "dataset", 16),
        ("mixtures", "buffer_share", 4),
        ("compute", "steps", 3),
    ],
)
def test_presets_of_recipes_vary_what_they_are_named_for(name: str, axis: str, values: int) -> None:
    definition, source = load(name)
    found = [planned.trial for planned in make_plan(definition, source).trials if planned.trial.kind == "trial"]
    assert len({axis_values(trial.config)[axis] for trial in found}) == values
    assert len({trial.config.block for trial in found}) == 5


def test_the_preset_of_sizes_is_a_part_of_the_demo_at_another_size() -> None:
    """What one of both has alone says nothing about sizes."""
    (demo, _), (sizes, source) = load("demo"), load("sizes")
    assert (demo.blocks, demo.subset, demo.joint) == (sizes.blocks, sizes.subset, sizes.joint)
    assert sizes.workload == demo.workload.model_copy(update={"size": "m"})
    every, part = (
        {tuple(axis_values(one.config).items()) for one in trials(study, source) if one.kind == "trial"}
        for study in (demo, sizes)
    )
    assert len(part) == 5
    assert part < every


def test_updates_that_have_to_pass_again_are_counted() -> None:
    """Scores within tasks that the store lacks cost their update, though it is there; trials that share it wait."""
    grid: dict[str, object] = {"timeline": "zs", "w": [0.1, 0.5, 0.9]}
    before, after = plan(grid), plan(grid, evaluate_at=[0.5])
    have = Known(updates=set(before.unique_updates), scores=before.unique_scores, costs={before.trials[0].cost})
    counts = estimate(after, have, workers=1, runtime=Runtime(threads=1))
    assert counts.flops_to_do == counts.flops > 0
    assert all(len(planned.to_train(have)) == 6 for planned in after.trials)
    assert not any(planned.to_train(have) for planned in before.trials)
    done = Known(updates=have.updates, scores=after.unique_scores, costs=have.costs)
    assert not after.missing(done)
    assert not any(planned.to_train(done) for planned in after.trials)


def test_prices_tell_numbers_of_tasks_apart() -> None:
    counts = estimate(
        plan({"tasks": [3, 6]}, {"steps_factors": "9, 9, 9, 9, 9, 9"}),
        stored_keys(MemoryStore()),
        workers=1,
        runtime=Runtime(threads=1),
    )
    assert [row.steps for row in counts.by_method] == [(2,) * 3, (2,) * 6, (18,) * 6]
    passes = [row.mafs_per_trial / row.mafs_per_step for row in counts.by_method]
    assert passes == pytest.approx([3 * 2, 6 * 2, 6 * 18])


def test_steps_of_tasks_that_differ_are_a_range(tmp_path: Path) -> None:
    study = command.write_study(
        tmp_path,
        "name: some\nworkload: {pool: 512}\nfixed: {tasks: 3, batch_size: 32, lr: 1e-3}\njoint: null\n"
        'budget: {steps_per_task: 4}\ngrid: [{steps_factors: [none, "2, 1, 0.5"]}]\n',
    )
    lines = [line.split()[:3] for line in command.ok_here("plan", study).splitlines()]
    assert ["full", "4", "steps;"] in lines
    assert ["full", "2-8", "steps;"] in lines


def test_a_subset_that_leaves_nothing_out_is_warned_about() -> None:
    """Data sets of the pocket world have 200 test images at most, and 300 are scored at least."""
    value = {"name": "p", "subset": {"share": 0.5}, "grid": [{"steps": 1, "lr": 1e-3}]}
    (warning,) = make_plan(parse(StudyDefinition, value, source="p"), "p").warnings
    assert warning.startswith("subset: a share of 0.5 leaves nothing out")
    sizes = {Scored(300, 10): False, Scored(301, 10): True, Scored(1000, 500): False, Scored(10**4, 0): False}
    for size, is_cut in sizes.items():
        assert replace(toys.IDENTITY, tests=(size,)).is_cut_by(Subset(share=0.5)) == is_cut
    fewer = {**value, "subset": {"share": 0.5, "least": 50}}
    assert make_plan(parse(StudyDefinition, fewer, source="p"), "p").warnings == ()


def test_first_tasks_that_train_alike_are_shared() -> None:
    """A meta-schedule has nothing to look back at, a buffer nothing to hold, and a peak of 1 is no peak."""
    ways: list[dict[str, object]] = [
        {"schedule": ["cosine", "autoregressive_cosine", "autoregressive_cosine_continued"]},
        {"buffer_size": 5},
        {"peaks": "1, 0.5, 0.5, 0.5, 0.5, 0.5"},
        {"steps_factors": "1, 2, 1, 1, 1, 1"},
    ]
    assert len({planned.updates[0] for planned in plan(*ways).trials}) == 1
    assert len({planned.updates[1] for planned in plan(*ways).trials}) == 6


def test_work_of_a_plan_grows_with_its_nodes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of a trial names an update, a merge and scores; all else is named once for a study."""
    hashed, sha256 = [0], hashlib.sha256

    def counting(text: bytes) -> object:
        hashed[0] += 1
        return sha256(text)

    monkeypatch.setattr("trainables.frozen.hashlib.sha256", counting)
    grid = {"timeline": ["finetune", "ema", "ft", "zs"], "w": [n / 10 for n in range(1, 9)], "lr": [1e-3, 1e-2]}
    value = {"name": "p", "workload": {"name": "noop"}, "fixed": {"steps": 1, "tasks": 20}, "grid": [grid]}
    found = make_plan(parse(StudyDefinition, {**value, "blocks": 5}, source="p"), "p")
    steps = sum(len(one.steps) for one in found.trials)
    assert len(found.trials) == 5 * (2 * (1 + 3 * 8) + 1)
    assert steps <= hashed[0] <= 3 * steps + 3 * len(found.trials) + 5 * 21 + 100  # ids, prices, tasks of each order


def test_what_is_done_is_known_by_one_listing_a_kind() -> None:
    """However many nodes a study has; nothing is asked of each."""
    found = plan({"timeline": ["finetune", "ema"], "w": [0.2, 0.8]})
    store, requests = counted(MemoryStore())
    have = stored_keys(store)
    assert len(found.missing(have)) == len(found.trials)
    assert all(one.to_train(have) for one in found.trials)
    assert requests == {"keys": 3}


def test_a_joint_anchor_that_nobody_described_is_told() -> None:
    def warnings(*grids: dict[str, object], **keys: object) -> tuple[str, ...]:
        value = {
            "name": "p",
            "workload": {"name": "noop"},
            "fixed": {"tasks": 2, "steps": 2},
            "grid": list(grids),
            **keys,
        }
        return make_plan(parse(StudyDefinition, value, source="p.yaml"), "p.yaml").warnings

    rates: dict[str, object] = {"lr": [1e-4, 1e-2]}
    (note,) = warnings(rates)
    assert note.startswith("joint: trained with lr 0.0001, that of the first config")
    assert not warnings(rates, joint={"lr": 1e-2})
    assert not warnings(rates, joint=None)
    assert not warnings(rates, {"method": "joint", "lr": 1e-3})
    assert not warnings({"lr": 1e-4})
