"""The plan: who shares training with whom, and what it warns about."""

import json
from pathlib import Path

import pytest

from search_spaces.space import axis_values
from study.definition import StudyDefinition, load
from study.estimate import estimate
from study.plan import Plan, known, make_plan
from tests.study import command
from trainables.frozen import parse
from trainables.runtime import Runtime
from trainables.store import MemoryStore


def plan(*grids: dict[str, object], **fixed: object) -> Plan:
    value = {
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


def test_estimate_says_who_shares() -> None:
    counts = estimate(
        plan({"start": ["base", "ema"], **MERGED}), known(MemoryStore()), workers=1, runtime=Runtime(threads=1)
    )
    base, ema = counts.by_start["base"], counts.by_start["ema"]
    assert (base.trials, base.updates_total, base.updates_unique) == (6, 36, 6)
    assert (ema.trials, ema.updates_unique) == (9, 16)


def test_preset_of_the_time_table_shows_its_sharing(tmp_path: Path) -> None:
    said = command.ok("plan", "time_axes", "--dir", tmp_path / "none")
    assert "start base:    69 trials need 414 updates, 18 unique" in said
    counts = json.loads(command.ok("plan", "time_axes", "--dir", tmp_path / "none", "--json"))
    assert counts["by_start"]["last"]["updates_unique"] == 36  # 18, and 18 of the average over steps
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
        ("learning_rate", "lr", 5),
        ("schedules", "schedule", 8),
        ("orderings", "ordering", 11),
        ("mixtures", "buffer_share", 4),
        ("compute", "steps", 3),
    ],
)
def test_presets_of_recipes_vary_what_they_are_named_for(name: str, axis: str, values: int) -> None:
    definition, source = load(name)
    found = [planned.trial for planned in make_plan(definition, source).trials if planned.trial.kind == "trial"]
    assert len({axis_values(trial.config)[axis] for trial in found}) == values
    assert len({trial.config.block for trial in found}) == 3
