"""The plan: who shares training with whom, and what it warns about."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from search_spaces.space import axis_values
from study.definition import StudyDefinition, load
from study.estimate import estimate
from study.plan import Known, Plan, known, make_plan
from tests.study import command
from trainables.frozen import parse
from trainables.runtime import Runtime
from trainables.store import MemoryStore


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
        known(MemoryStore()),
        workers=1,
        runtime=Runtime(threads=1),
    )
    passes = [row.mafs_per_trial / row.mafs_per_step for row in counts.by_method]
    assert passes == pytest.approx([3 * 2, 6 * 2, 6 * 18])


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
