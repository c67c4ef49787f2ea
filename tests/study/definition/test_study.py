"""Definitions: what a study may say, and how what it may not is refused."""

from pathlib import Path
from typing import Any

import pytest

from study.definition.files import load
from study.definition.study import Block, StudyDefinition
from study.planning.trials import trials
from tests.study.definition.texts import TEXT, definition, error, joint_of
from trainables.frozen import ConfigError, parse


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


def test_fractions_of_tasks_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(TEXT + "evaluate_at: [0.5, 1.5]\n")
    with pytest.raises(ConfigError, match=r"evaluate_at: \[0.5, 1.5\] given; fractions of a task, above 0 and below 1"):
        load(str(path))


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("budget", 14, "a mapping with keys of accounting, relative_to_full_steps, steps_per_task"),
        ("subset", 0.1, "a mapping with keys of least, seed, share"),
        ("evaluate_at", 0.5, "a list, in brackets"),
        ("name", 5, "a text, in quotes"),
        ("store", 5, "a text, in quotes"),
    ],
)
def test_wrong_types_are_named_in_words_of_yaml(key: str, value: object, allowed: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(StudyDefinition, {"name": "x", "grid": [{"lr": 1e-3}], key: value}, source="s.yaml")
    assert str(error.value).startswith(f"s.yaml: {key}: {value} given; allowed: {allowed}")
