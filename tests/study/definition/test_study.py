"""Definitions: what YAML means, what is refused and how, and the trials that follow."""

from pathlib import Path
from typing import Any

import pytest

from study.definition.study import Block, StudyDefinition, differences, dump, load, presets, read
from study.planning.trials import scalings, trials
from study.search.check import check_search
from trainables.config import Pocket, TrialConfig
from trainables.frozen import ConfigError, parse
from trainables.methods.method import named

TEXT = """
name: mine
workload: {name: pocket, pool: 512}
fixed: {tasks: 3, steps: 4, batch_size: 32}
grid:
  - lr: [1e-3, 2.5E-4]
    timeline: [finetune, ema]
    w: 0.5
blocks: 2
joint: {lr: 1e-2}
"""


def definition(tmp_path: Path, text: str = TEXT) -> StudyDefinition:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return read(path)


def error(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        trials(definition(tmp_path, text), str(tmp_path / "study.yaml"))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'study.yaml'}: ")
    return message.removeprefix(f"{tmp_path / 'study.yaml'}: ")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-3", 1e-3),
        ("1E-3", 1e-3),
        ("-1e3", -1e3),
        ("+.5e+1", 5.0),
        ("2.e2", 200.0),
        ("1.5", 1.5),
        ("'1e-3'", "1e-3"),
    ],
)
def test_numbers_of_yaml_1_2(tmp_path: Path, written: str, value: object) -> None:
    grid = definition(tmp_path, TEXT.replace("[1e-3, 2.5E-4]", written)).grid
    assert grid is not None
    got = grid[0]["lr"]
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize("word", ["e3", "1e", "1e-3x", "lr1e3"])
def test_words_stay_words(tmp_path: Path, word: str) -> None:
    assert definition(tmp_path, TEXT.replace("mine", f"n{word}").replace("1e-2", f"{word}")).joint == {"lr": word}


def test_key_that_is_written_twice(tmp_path: Path) -> None:
    assert "'blocks' is written twice" in error(tmp_path, TEXT + "blocks: 3\n")
    assert "'lr' is written twice" in error(tmp_path, TEXT.replace("w: 0.5", "lr: 0.5"))
    assert "line " in error(tmp_path, TEXT.replace("w: 0.5", "lr: 0.5"))


def test_trials_block_by_block_with_the_anchor_first(tmp_path: Path) -> None:
    got = trials(definition(tmp_path), "s")
    assert [trial.kind for trial in got] == ["anchor", "trial", "trial", "trial", "trial"] * 2
    assert [trial.method for trial in got[:2]] == ["joint", "full"]
    assert [trial.config.block for trial in got] == ["seed0-order0"] * 5 + ["seed1-order1"] * 5
    assert len({trial.id for trial in got}) == 10
    assert [trial.config.config_id for trial in got[:5]] == [trial.config.config_id for trial in got[5:]]
    assert [trial.config.recipe.optimiser.lr for trial in got[1:5]] == [1e-3, 1e-3, 2.5e-4, 2.5e-4]


def test_blocks_as_a_list(tmp_path: Path) -> None:
    got = definition(tmp_path, TEXT.replace("blocks: 2", "blocks: [{seed: 3, order: 1}, {seed: 3, order: 2}]"))
    assert got.blocks == [Block(seed=3, order=1), Block(seed=3, order=2)]
    assert {trial.config.block for trial in trials(got, "s")} == {"seed3-order1", "seed3-order2"}


def test_one_block_by_default(tmp_path: Path) -> None:
    assert definition(tmp_path, TEXT.replace("blocks: 2\n", "")).blocks == [Block(seed=0, order=0)]


WRONG: dict[str, tuple[str, str, str]] = {
    "no blocks": ("blocks: 2", "blocks: 0", "blocks: 0 given; "),
    "blocks in words": (
        "blocks: 2",
        "blocks: many",
        "blocks: 'many' given; a number of blocks is needed, or a list of {seed",
    ),
    "empty blocks": ("blocks: 2", "blocks: []", "blocks: give at least one block"),
    "duplicate blocks": (
        "blocks: 2",
        "blocks: [{seed: 1, order: 0}, {seed: 1, order: 0}]",
        "blocks: give at least one block, and each pair of seed and order once",
    ),
    "negative seed": (
        "blocks: 2",
        "blocks: [{seed: -1, order: 0}]",
        "blocks.0.seed: -1 given; allowed: greater than or equal to 0",
    ),
    "unknown key of a block": (
        "blocks: 2",
        "blocks: [{seed: 1, order: 0, x: 1}]",
        "blocks.0.x: unknown key; allowed here: order, seed",
    ),
    "unknown key": (
        "blocks: 2",
        "block: 2",
        "block: unknown key; did you mean blocks? allowed here: blocks, budget, ",
    ),
    "bad name": (
        "name: mine",
        "name: a/b",
        "name: 'a/b' given; allowed: letters, digits, . _ and -, a letter or digit first",
    ),
    "no name": ("name: mine\n", "", "name: missing; it has no default"),
    "no grid": ("grid:", "grid: []\nfixed2:", "fixed2: unknown key"),
    "empty grid": (TEXT[TEXT.index("grid:") : TEXT.index("blocks")], "grid: []\n", "grid: it is empty"),
    "value of an axis": ("w: 0.5", "w: 1.5", "grid[0].w: 1.5 given; allowed: less than or equal to 1"),
    "axis": ("w: 0.5", "v: 0.5", "grid[0].v: unknown axis; allowed: method, "),
    "axis of the anchor": (
        "joint: {lr: 1e-2}",
        "joint: {lrr: 1e-2}",
        "joint.lrr: unknown axis; did you mean lr? allowed: method, ",
    ),
    "value of the anchor": ("joint: {lr: 1e-2}", "joint: {lr: -1}", "joint.lr: -1 given; allowed: greater than 0"),
    "small pool": ("pool: 512", "pool: 5", "workload.pool: 5 given; allowed: greater than or equal to 256"),
    "retries": ("blocks: 2", "retries: -1", "retries: -1 given; allowed: greater than or equal to 0"),
    "no YAML": ("name: mine", "name: [", "not YAML: "),
    "a tag": ("name: mine", "name: !!python/object/apply:os.getcwd []", "not YAML: "),
}


@pytest.mark.parametrize("name", WRONG)
def test_error_names_file_key_and_what_is_allowed(tmp_path: Path, name: str) -> None:
    old, new, message = WRONG[name]
    assert old in TEXT
    assert message in error(tmp_path, TEXT.replace(old, new))


@pytest.mark.parametrize("text", ["", "- 1", "text", "3"])
def test_document_that_is_no_mapping(tmp_path: Path, text: str) -> None:
    assert error(tmp_path, text) == "a mapping of keys is needed, with at least name and grid"


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


def test_dumped_definition_comes_back(tmp_path: Path) -> None:
    first = definition(tmp_path)
    again = definition(tmp_path, dump(first))
    assert again == first
    assert dump(again) == dump(first)
    assert [trial.id for trial in trials(again, "s")] == [trial.id for trial in trials(first, "s")]


def test_differences_name_what_changed(tmp_path: Path) -> None:
    old = definition(tmp_path)
    assert differences(old, old) == []
    new = old.model_copy(update={"retries": 3, "workload": Pocket(pool=600)})
    changed = differences(old, new)
    assert [line.split(":")[0] for line in changed] == ["workload", "retries"]
    assert changed[1] == "retries: 1 -> 3"
    assert "512" in changed[0]
    assert "600" in changed[0]


@pytest.mark.parametrize("name", presets())
def test_preset_is_valid(name: str) -> None:
    got, source = load(name)
    assert source == f"preset {name}"
    assert got.name == name
    check_search(got, source)
    assert got.grid is None or trials(got, source)
    assert dump(got)


def test_presets_are_listed_for_an_unknown_name() -> None:
    with pytest.raises(
        ConfigError, match=r"^smok: neither a YAML file nor a preset; did you mean smoke\? presets: .*smoke"
    ):
        load("smok")


@pytest.mark.parametrize("name", ["../presets/smoke", "smoke.yaml", "", ".", "/etc"])
def test_names_that_are_no_preset(name: str) -> None:
    with pytest.raises(ConfigError, match="neither a YAML file nor a preset"):
        load(name)


def test_file_is_loaded_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "smoke"
    path.write_text(TEXT)
    got, source = load(str(path))
    assert (got.name, source) == ("mine", str(path))


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(str(path))
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "none.yaml")


def joint_of(**parts: Any) -> TrialConfig:
    value = {"name": "t", "grid": [{"lr": 1e-3}], "fixed": {"steps": 4}, **parts}
    return next(t.config for t in trials(parse(StudyDefinition, value, source="s"), "s") if t.kind == "anchor")


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


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"fixed": {"steps": 4, "lr": [1e-3]}}, r"lr: \[0.001\] given; one value"),
        ({"fixed": {"steps": 4, "rank": 4}}, "fixed.rank: applies to no config"),
        ({"grid": {"lr": 1e-3}}, "list of mappings"),
        ({"grid": [{"lr": [[1e-3]]}]}, r"\[0\].lr: \[0.001\] given"),
        ({"blocks": 0}, "at least one block"),
        ({"fixed": {"steps": 4, "pool_share": 0.5}}, "pool_share, new_share, buffer_share"),
        ({"fixed": {"steps": 4, "batch_size": 2}}, "no sample of the new task"),
    ],
)
def test_messages_use_the_words_of_the_file(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        joint_of(**parts)
    assert "union" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


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


def test_fractions_of_tasks_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(TEXT + "evaluate_at: [0.5, 1.5]\n")
    with pytest.raises(ConfigError, match=r"evaluate_at: \[0.5, 1.5\] given; fractions of a task, above 0 and below 1"):
        load(str(path))


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


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("budget", 14, "a mapping with keys of accounting, relative_to_full_steps, steps_per_task"),
        ("subset", 0.1, "a mapping with keys of seed, share"),
        ("evaluate_at", 0.5, "a list, in brackets"),
        ("name", 5, "a text, in quotes"),
        ("store", 5, "a text, in quotes"),
    ],
)
def test_wrong_types_are_named_in_words_of_yaml(key: str, value: object, allowed: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(StudyDefinition, {"name": "x", "grid": [{"lr": 1e-3}], key: value}, source="s.yaml")
    assert str(error.value).startswith(f"s.yaml: {key}: {value} given; allowed: {allowed}")


@pytest.mark.parametrize(
    ("said", "meant"),
    [("../shared", "{folder}/../shared"), ("/mnt/shared", "/mnt/shared"), ("s3://bucket/x", "s3://bucket/x")],
)
def test_a_store_is_named_as_seen_from_the_definition_and_stays_so(said: str, meant: str, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(f"name: x\ngrid: [{{lr: 1e-3}}]\nstore: {said}\n")
    definition = read(path)
    assert definition.store == meant.format(folder=tmp_path)
    assert definition.keep == "needed"
    (tmp_path / "run").mkdir()
    again = tmp_path / "run" / "study.yaml"
    again.write_text(dump(definition))
    assert read(again) == definition
