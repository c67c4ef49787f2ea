"""The trials that follow from a definition: the grid on its blocks, and the anchors."""

from pathlib import Path

import pytest

from study.definition.files import load
from study.definition.study import StudyDefinition
from study.planning.trials import scalings, trials
from tests.study.definition.texts import TEXT, definition, error, joint_of
from trainables.frozen import ConfigError, parse
from trainables.methods.method import named


def test_trials_block_by_block_with_the_anchor_first(tmp_path: Path) -> None:
    got = trials(definition(tmp_path), "s")
    assert [trial.kind for trial in got] == ["anchor", "trial", "trial", "trial", "trial"] * 2
    assert [trial.method for trial in got[:2]] == ["joint", "full"]
    assert [trial.config.block for trial in got] == ["seed0-order0"] * 5 + ["seed1-order1"] * 5
    assert len({trial.id for trial in got}) == 10
    assert [trial.config.config_id for trial in got[:5]] == [trial.config.config_id for trial in got[5:]]
    assert [trial.config.recipe.optimiser.lr for trial in got[1:5]] == [1e-3, 1e-3, 2.5e-4, 2.5e-4]


def test_anchor_learns_all_concepts_at_once_without_a_buffer(tmp_path: Path) -> None:
    text = TEXT.replace("fixed: {", "fixed: {pool_share: 0.25, new_share: 0.5, buffer_share: 0.25, ")
    anchor = trials(definition(tmp_path, text), "s")[0]
    assert (anchor.kind, anchor.method) == ("anchor", "joint")
    recipe = anchor.config.recipe
    assert recipe.method == named("full")
    assert anchor.config.stream.tasks == 1
    assert recipe.steps == 3 * 4
    assert (recipe.mixture.pool, recipe.mixture.new, recipe.mixture.buffer) == (0.25, 0.75, 0.0)
    assert recipe.optimiser.lr == 1e-2
    assert recipe.batch_size == 32
    assert anchor.config.timeline.name == "finetune"


def test_anchor_of_a_lora_study_is_full_fine_tuning(tmp_path: Path) -> None:
    text = TEXT.replace("w: 0.5", "w: 0.5\n    method: lora\n    rank: 2").replace("joint: {lr: 1e-2}", "joint: {}")
    got = trials(definition(tmp_path, text), "s")
    assert got[0].config.recipe.method == named("full")
    assert got[0].config.recipe.optimiser.lr == 1e-3
    assert got[1].method == "lora"


def test_anchor_may_be_left_out(tmp_path: Path) -> None:
    got = trials(definition(tmp_path, TEXT.replace("{lr: 1e-2}", "null")), "s")
    assert {trial.kind for trial in got} == {"trial"}


def test_the_joint_anchor_trains_as_the_grid_does() -> None:
    grid = {"lr": 1e-3, "batch_size": 64, "weight_decay": 0.0, "precision": "bf16", "schedule": "constant"}
    recipe = joint_of(grid=[grid]).recipe
    assert (recipe.batch_size, recipe.precision, recipe.schedule.name) == (64, "bf16", "constant")
    assert recipe.optimiser.weight_decay == 0.0
    assert joint_of(grid=[grid], joint={"weight_decay": 0.1}).recipe.optimiser.weight_decay == 0.1


@pytest.mark.parametrize("name", ["method", "timeline", "rank", "w", "buffer_share"])
def test_what_the_joint_anchor_is_cannot_be_set(name: str) -> None:
    value = {"method": "lora", "timeline": "ema", "rank": 2, "w": 0.5, "buffer_share": 0.1}[name]
    with pytest.raises(ConfigError, match=f"joint.{name}.*cannot be set"):
        joint_of(joint={name: value})


def test_a_grid_that_holds_the_joint_anchor_is_refused() -> None:
    grid = {"lr": 1e-3, "tasks": 1, "pool_share": 0.5, "new_share": 0.5, "buffer_share": 0.0}
    with pytest.raises(ConfigError, match="holds the joint anchor"):
        joint_of(grid=[grid])


def test_the_joint_anchor_learns_all_data_sets_whatever_the_grid_does() -> None:
    assert joint_of(grid=[{"lr": 1e-3, "dataset": "greek"}]) == joint_of()
    assert joint_of(fixed={"steps": 4, "dataset": "greek"}) == joint_of()
    with pytest.raises(ConfigError, match=r"joint.dataset: cannot be set here"):
        joint_of(joint={"dataset": "greek"})


def test_configs_of_one_data_set_and_of_all_are_two_studies(tmp_path: Path) -> None:
    mixed = TEXT.replace("grid:", "grid:\n  - {lr: 1e-3, dataset: greek}")
    assert "grid: dataset: some configs train on a data set alone and others on all" in error(tmp_path, mixed)
    alone = TEXT.replace("fixed: {", "fixed: {dataset: greek, ")
    got = trials(definition(tmp_path, alone), "s")
    assert {(trial.kind, trial.config.stream.dataset) for trial in got} == {("anchor", None), ("trial", "greek")}


def test_grid_may_name_the_anchors(tmp_path: Path) -> None:
    """With values of their own; those of other methods in the same grid fall away."""
    text = TEXT.replace("grid:", "grid:\n  - {method: [joint, zeroshot, lora], rank: 2, lr: [1e-3, 1e-2]}")
    got = [trial for trial in trials(definition(tmp_path, text), "s") if trial.config.block == "seed0-order0"]
    anchors = [(trial.method, trial.config.recipe.optimiser.lr) for trial in got if trial.kind == "anchor"]
    assert anchors[:2] == [("joint", 1e-3), ("joint", 1e-2)]
    assert [name for name, _ in anchors[2:]] == ["zeroshot"]
    joint = next(trial for trial in got if trial.method == "joint")
    assert joint.config.recipe.method == named("full")
    assert joint.config.stream.tasks == 1
    assert len([trial for trial in got if trial.method == "lora"]) == 2


def test_anchors_alone_are_no_study(tmp_path: Path) -> None:
    text = TEXT[: TEXT.index("grid:")] + "grid: [{method: zeroshot}]\n"
    with pytest.raises(ConfigError, match="it has anchors only; give at least one method that trains"):
        trials(definition(tmp_path, text), "s")


def test_joint_anchor_trains_its_temperature_whatever_the_first_method_does(tmp_path: Path) -> None:
    text = TEXT.replace("w: 0.5", "w: 0.5\n    method: lora\n    rank: 2")
    assert trials(definition(tmp_path, text), "s")[0].config.recipe.method.logit_scale


def test_method_may_be_fixed(tmp_path: Path) -> None:
    text = TEXT.replace("fixed: {", "fixed: {method: lora, rank: 2, ")
    got = trials(definition(tmp_path, text), "s")
    assert {trial.method for trial in got if trial.kind == "trial"} == {"lora"}


@pytest.mark.parametrize("fixed", ["penalty: l2init, ", "projection: galore, ", "logit_scale: false, "])
def test_joint_anchor_is_full_fine_tuning_whatever_is_fixed(tmp_path: Path, fixed: str) -> None:
    got = trials(definition(tmp_path, TEXT.replace("fixed: {", "fixed: {" + fixed)), "s")
    assert [trial.config.recipe.method for trial in got if trial.method == "joint"] == [named("full")] * 2
    assert named("full") not in [trial.config.recipe.method for trial in got if trial.kind == "trial"]


def test_grid_of_the_joint_anchor_alone(tmp_path: Path) -> None:
    text = TEXT.replace("joint: {lr: 1e-2}", "joint: null").replace("grid:", "grid:\n  - {method: joint}")
    got = trials(definition(tmp_path, text), "s")
    assert [trial.config.recipe.optimiser.lr for trial in got if trial.method == "joint"] == [1e-3, 1e-3]
    wrong = text.replace("{method: joint}", "{method: joint, rank: 4}")
    assert "grid[0].rank: cannot be set here: the joint anchor is full fine-tuning" in error(tmp_path, wrong)


def test_rates_follow_the_batch_size_and_the_plan_says_so(tmp_path: Path) -> None:
    text = TEXT.replace("blocks: 2", "blocks: 1\nlr_scaling: {rule: sqrt, batch_size: 128}")
    path = tmp_path / "scaled.yaml"
    path.write_text(text)
    definition, source = load(str(path))
    found = trials(definition, source)
    assert {trial.config.recipe.optimiser.lr for trial in found if trial.kind == "trial"} == {5e-4, 1.25e-4}
    assert {trial.config.recipe.optimiser.lr for trial in found if trial.kind == "anchor"} == {5e-3}
    assert scalings(definition, source) == (
        "lr 0.001 at batch 128 became 0.0005 at batch 32 (sqrt scaling)",
        "lr 0.00025 at batch 128 became 0.000125 at batch 32 (sqrt scaling)",
    )


def test_the_joint_anchor_has_no_stream() -> None:
    """Orderings, buffers, meta-schedules and steps by task mean nothing to one task of all concepts."""
    value = {
        "name": "j",
        "fixed": {"steps": 4, "tasks": 3, "steps_factors": "1, 2, 1", "buffer_size": 9, "temperature": 0.1},
        "grid": [{"schedule": ["matched_rsqrt", "autoregressive_cosine"], "ordering": "similarity"}],
    }
    found = trials(parse(StudyDefinition, value, source="j.yaml"), "j.yaml")
    (anchor,) = [trial.config for trial in found if trial.kind == "anchor"]
    assert (anchor.recipe.steps, anchor.recipe.schedule.name, anchor.stream.ordering) == (16, "rsqrt", "random")
    assert anchor.recipe.mixture.buffer_size is None
    assert anchor.recipe.temperature is None


def test_the_joint_anchor_takes_the_rate_of_the_grid_once() -> None:
    value = {
        "name": "j",
        "fixed": {"steps": 4, "tasks": 3, "batch_size": 128},
        "lr_scaling": {"rule": "linear", "batch_size": 64},
        "grid": [{"lr": 1e-3}],
    }
    found = trials(parse(StudyDefinition, value, source="j.yaml"), "j.yaml")
    assert {trial.kind: trial.config.recipe.optimiser.lr for trial in found} == {"anchor": 2e-3, "trial": 2e-3}


@pytest.mark.parametrize("budget", [{"steps_per_task": 10}, {"relative_to_full_steps": 10}])
def test_the_joint_anchor_trains_as_long_as_the_stream(budget: dict[str, int]) -> None:
    value = {
        "name": "j",
        "fixed": {"tasks": 3, "steps_factors": "4, 1, 1", "batch_size": 32},
        "budget": budget,
        "grid": [{"lr": 1e-3}],
    }
    found = trials(parse(StudyDefinition, value, source="j.yaml"), "j.yaml")
    assert [trial.config.recipe.steps for trial in found] == [60, 10]
