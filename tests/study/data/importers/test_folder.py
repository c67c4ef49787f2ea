"""Folders of classes: both layouts, odd names, and what is passed over."""

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from study.data.importers.data_set import DataSet, Division
from study.data.importers.folder import FolderOptions, from_folder
from study.data.importers.intake import Target, write_manifest
from study.data.importers.rows import SUFFIXES, Imported
from tests import images
from trainables.frozen import ConfigError
from trainables.workloads.clip.data import manifest

CLASSES = ("red circle", "blue star")


def counts(found: Imported) -> dict[tuple[str, str], int]:
    return dict(Counter(zip(found.rows["concept"], found.rows["split"], strict=True)))


def test_one_folder_is_divided_by_class(tmp_path: Path) -> None:
    images.write_classes(tmp_path / "shapes", CLASSES, 5)
    found = from_folder(tmp_path / "shapes", FolderOptions())
    assert counts(found) == {(name, split): n for name in CLASSES for split, n in (("train", 4), ("test", 1))}
    assert found.skipped == ()
    first = found.rows.iloc[0]
    assert first["image"] == str(tmp_path / "shapes" / "blue_star" / "0000.png")
    assert first["caption"] == ("a photo of a blue star.",)
    assert (first["concept"], first["dataset"], first["group"]) == ("blue star", "shapes", "adapt")
    half = from_folder(tmp_path / "shapes", FolderOptions(division=Division(test_share=0.5, seed=3)))
    assert counts(half)["red circle", "test"] == 2


def test_the_folder_may_be_anywhere(tmp_path: Path) -> None:
    """What is tested on depends on names alone."""
    for place in ("a", "b/c"):
        images.write_classes(tmp_path / place / "shapes", CLASSES, 10)
    one, other = (from_folder(tmp_path / place / "shapes", FolderOptions()) for place in ("a", "b/c"))
    assert list(one.rows["split"]) == list(other.rows["split"])


def test_train_and_test_folders_are_kept(tmp_path: Path) -> None:
    images.write_classes(tmp_path / "train", CLASSES, 3)
    images.write_classes(tmp_path / "val", CLASSES, 2)
    found = from_folder(tmp_path, FolderOptions(test_folder="val", data=DataSet(name="d", year="2020")))
    assert counts(found) == {(name, split): n for name in CLASSES for split, n in (("train", 3), ("test", 2))}
    assert set(found.rows["dataset"]) == {"d"}
    assert set(found.rows["year"]) == {"2020"}
    with pytest.raises(ConfigError, match=r"beside train there are val; .* with --test-folder"):
        from_folder(tmp_path, FolderOptions())
    with pytest.raises(ConfigError, match=r"--test-share: .* is divided into folders already"):
        from_folder(tmp_path, FolderOptions(test_folder="val", division=Division(test_share=0.5)))


def test_train_and_test_may_be_classes(tmp_path: Path) -> None:
    for name in ("train", "test", "tram"):
        images.write_files(tmp_path / name, {f"{i}.png": images.some(i) for i in range(2)})
    assert counts(from_folder(tmp_path, FolderOptions())) == {
        (concept, split): 1 for concept in ("train", "test", "tram") for split in ("train", "test")
    }


@pytest.mark.parametrize("name", ["train", "test", "Val", "valid", "validation"])
def test_a_part_of_a_data_set_is_no_data_set(tmp_path: Path, name: str) -> None:
    images.write_classes(tmp_path / "birds" / name, CLASSES, 2)
    with pytest.raises(ConfigError, match=rf"would be called '{name}', .* import {tmp_path}/birds, .* --dataset NAME"):
        from_folder(tmp_path / "birds" / name, FolderOptions())
    found = from_folder(tmp_path / "birds" / name, FolderOptions(data=DataSet(name="birds")))
    assert set(found.rows["dataset"]) == {"birds"}


@pytest.mark.parametrize("inner", ["", "red_circle"])
def test_parts_of_other_names_or_without_classes_are_no_classes(tmp_path: Path, inner: str) -> None:
    for name in ("training", "val"):
        images.write_files(tmp_path / name / inner, {"0.png": images.some(0)})
    with pytest.raises(ConfigError, match="its folders training, val are named as parts of a data set are; allowed:"):
        from_folder(tmp_path, FolderOptions())


@pytest.mark.parametrize(("group", "unused", "split"), [("holdout", "train", "test"), ("pool", "test", "train")])
def test_what_a_group_does_not_use_is_passed_over(tmp_path: Path, group: str, unused: str, split: str) -> None:
    for name in ("train", "test"):
        images.write_classes(tmp_path / name, CLASSES, 1)
    found = from_folder(tmp_path, FolderOptions(data=DataSet(group=group)))
    assert set(found.rows["split"]) == {split}
    assert [(one.where, one.bad, one.images) for one in found.skipped] == [(str(tmp_path / unused), False, 2)]


def test_captions_and_prompts_are_templates(tmp_path: Path) -> None:
    images.write_classes(tmp_path, CLASSES, 2)
    found = from_folder(tmp_path, FolderOptions(data=DataSet(captions=("a {}.", "{}!"), templates=("the {}.",))))
    assert found.rows["caption"].iloc[-1] == ("a red circle.", "red circle!")
    assert set(found.rows["templates"]) == {("the {}.",)}
    only = from_folder(tmp_path, FolderOptions(data=DataSet(templates=("the {}.",)))).rows
    assert only["caption"].iloc[-1] == ("the red circle.",)
    only = from_folder(tmp_path, FolderOptions(data=DataSet(captions=("a {}.",)))).rows
    assert set(only["templates"]) == {("a {}.",)}


def test_all_that_is_no_image_of_a_class_is_listed(tmp_path: Path) -> None:
    images.write_classes(tmp_path, CLASSES, 2)
    others = ("README.md", "stray.png", "red_circle/notes.txt", "red_circle/._0000.png", "red_circle/more/0.png")
    images.write_files(tmp_path, dict.fromkeys(others, b"x"))
    found = from_folder(tmp_path, FolderOptions())
    assert len(found.rows) == 4
    assert {one.where for one in found.skipped} == {str(tmp_path / name) for name in (*others[:4], "red_circle/more")}
    assert not any(one.bad for one in found.skipped)
    assert sum(one.count for one in found.skipped) == 2  # stray.png, and that of the inner folder


def test_links_are_followed(tmp_path: Path) -> None:
    images.write_classes(tmp_path / "elsewhere", CLASSES, 2)
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes" / "stars").symlink_to(tmp_path / "elsewhere" / "blue_star")
    images.write_classes(tmp_path / "shapes", CLASSES[:1], 1)
    (tmp_path / "shapes" / "red_circle" / "far.png").symlink_to(tmp_path / "elsewhere" / "red_circle" / "0001.png")
    found = from_folder(tmp_path / "shapes", FolderOptions())
    assert counts(found) == {(concept, split): 1 for concept in ("stars", "red circle") for split in ("train", "test")}
    assert all(Path(path).is_relative_to(tmp_path / "shapes") for path in found.rows["image"])


def test_a_train_folder_alone_is_divided_where_it_is_asked_for(tmp_path: Path) -> None:
    images.write_classes(tmp_path / "train", CLASSES, 5)
    with pytest.raises(ConfigError, match=r"no test; add test .* --test-folder, or divide train by --test-share 0\.2"):
        from_folder(tmp_path, FolderOptions())
    found = from_folder(tmp_path, FolderOptions(division=Division(test_share=0.4)))
    assert counts(found) == {(one, split): n for one in CLASSES for split, n in (("train", 3), ("test", 2))}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("a_b", "a b"), "both name the class 'a b'; rename one"),
        (("___", "a"), "names no class; rename it"),
        ((), "no images; looked for"),
    ],
)
def test_layouts_that_mean_nothing_are_refused(tmp_path: Path, names: tuple[str, ...], said: str) -> None:
    for name in names:
        images.write_files(tmp_path / name, {"0.png": images.some(0)})
    with pytest.raises(ConfigError, match=said):
        from_folder(tmp_path, FolderOptions())


def test_a_path_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file or folder"):
        from_folder(tmp_path / "none", FolderOptions())
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="not a folder"):
        from_folder(tmp_path / "file", FolderOptions())


def test_names_that_are_no_text_are_bad_rows(tmp_path: Path) -> None:
    root = tmp_path / "shapes"
    images.write_classes(root, CLASSES, 3)
    os.rename(root / "red_circle" / "0000.png", os.fsencode(root / "red_circle") + b"/\xff.png")
    with pytest.raises(ConfigError, match="1 of 6 images cannot be used") as raised:
        write_manifest(from_folder(root, FolderOptions()), Target(out=tmp_path / "m.parquet"))
    assert "characters that are no text" in str(raised.value)
    outcome = write_manifest(from_folder(root, FolderOptions()), Target(out=tmp_path / "m.parquet", on_bad="skip"))
    assert len(outcome.added) == 5


NAME = st.text(
    st.one_of(st.sampled_from("-\"',;\n\t {}[]\\\u00e9\u4e2d\U0001f600"), st.characters(exclude_categories=["Cs"])),
    min_size=1,
    max_size=8,
).filter(lambda one: not set("/\x00_") & set(one) and one not in (".", "..") and one.strip() == one)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    classes=st.lists(NAME, min_size=2, max_size=3, unique_by=lambda one: one.casefold()),
    file=NAME,
    suffix=st.sampled_from(SUFFIXES[:4]),
)
def test_odd_names_survive_the_way_into_a_manifest(
    tmp_path_factory: pytest.TempPathFactory, classes: list[str], file: str, suffix: str
) -> None:
    root = tmp_path_factory.mktemp("odd")
    for i, name in enumerate(classes):
        (root / "in" / f"- {name}").mkdir(parents=True)
        for k in range(2):
            (root / "in" / f"- {name}" / f"-{k}{file}{suffix}").write_bytes(images.some(4 * i + k))
    if any("\\..\\" in f"{one}\\" for one in (*classes, file)):
        return
    found = from_folder(root / "in", FolderOptions(data=DataSet(name="d")))
    write_manifest(found, Target(out=root / "m.parquet"))
    rows = manifest.read(root / "m.parquet")
    assert set(rows["concept"]) == {f"- {name}" for name in classes}
    assert all((root / path).is_file() and not Path(path).is_absolute() for path in rows["image"])
