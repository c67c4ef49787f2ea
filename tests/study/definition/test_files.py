"""Files of definitions: what YAML means, presets, and what cannot be read."""

from pathlib import Path

import pytest

from study.definition.files import differences, dump, load, presets, read
from study.planning.trials import trials
from study.search.check import check_search
from tests.study.definition.texts import TEXT, definition, error
from trainables.frozen import ConfigError
from trainables.workloads.pocket.settings import Pocket


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


@pytest.mark.parametrize("text", ["", "- 1", "text", "3"])
def test_document_that_is_no_mapping(tmp_path: Path, text: str) -> None:
    assert error(tmp_path, text) == "a mapping of keys is needed, with at least name and grid"


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
