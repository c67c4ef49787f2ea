"""Releases: a study on another draw of the world has its own data, tests and weights, and says what it lacks."""

import json
import shutil
from pathlib import Path

import pytest

from trainables.frozen import ConfigError
from trainables.workloads.catalogue import identify
from trainables.workloads.pocket.release import Release, release_of
from trainables.workloads.pocket.settings import Pocket


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped weights, said to be of the world of seed 1."""
    shipped, made = Release("s"), Release("s", tmp_path)
    shutil.copy(shipped.weights, made.weights)
    card = shipped.card | {"recipe": shipped.card["recipe"] | {"world_seed": 1}}
    made.card_file.write_text(json.dumps(card), encoding="utf-8")
    return tmp_path


def test_another_world_has_other_data_and_tests(folder: Path) -> None:
    shipped, other = identify(Pocket()), identify(Pocket(world=str(folder)))
    assert shipped.data != other.data
    assert shipped.suite != other.suite
    assert shipped.concepts == other.concepts
    assert shipped.base == other.base  # here the same file


def test_defaults_leave_names_as_they_were() -> None:
    assert Pocket().named_by() == {"name": "pocket", "pool": 16_000}


def test_a_folder_is_seen_from_the_study(folder: Path) -> None:
    settings = Pocket(world=folder.name).with_whole_paths(folder.parent)
    assert settings.files() == (str(folder),)
    assert release_of(settings).world_seed == 1


def test_a_folder_without_weights_of_the_size_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"pocket-m\.safetensors is missing.*--size m --world-seed 1 --out"):
        identify(Pocket(size="m", world=str(folder)))


def test_weights_of_an_earlier_world_are_refused(folder: Path) -> None:
    file = Release("s", folder).card_file
    file.write_text(json.dumps(json.loads(file.read_text()) | {"world_version": 1}), encoding="utf-8")
    with pytest.raises(ConfigError, match="of an earlier version of the world"):
        identify(Pocket(world=str(folder)))
