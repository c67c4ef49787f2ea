"""Data sets of Hugging Face on disk: images byte for byte, classes by name, splits, and what needs a download."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

from study.data.importers.data_set import DataSet, Division
from study.data.importers.hugging_face import HuggingFaceOptions, from_hugging_face
from study.data.importers.intake import Target, write_manifest
from tests import images
from trainables.frozen import ConfigError
from trainables.workloads.clip.data import manifest

IMAGE = {"bytes": images.some(0), "path": None}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return images.write_hugging_face(tmp_path / "saved", 4)


def table(path: Path, features: dict[str, Any], **columns: list[Any]) -> Path:
    """Save one split on disk."""
    datasets.disable_progress_bars()
    datasets.Dataset.from_dict(columns, features=datasets.Features(features)).save_to_disk(str(path))
    return path


def test_what_was_saved_is_found(saved: Path) -> None:
    rows = from_hugging_face(saved, HuggingFaceOptions()).rows
    assert list(rows["bytes"][:8]) == [images.some(i) for i in range(8)]
    assert list(rows["concept"]) == [*[images.CLASSES[i % 2] for i in range(8)], images.CLASSES[2]]
    assert list(rows["split"]) == [*["train"] * 4, *["test"] * 4, "label"]
    assert list(rows["caption"][:2]) == [("one caption of 0", "another of 0"), ("one caption of 1", "another of 1")]
    assert set(rows["dataset"]) == {"saved"}


def test_it_goes_into_a_manifest_that_needs_nothing_else(saved: Path, tmp_path: Path) -> None:
    write_manifest(from_hugging_face(saved, HuggingFaceOptions()), Target(out=tmp_path / "m.parquet"))
    rows = manifest.read(tmp_path / "m.parquet")
    assert rows["image"].isna().all()
    assert list(rows["bytes"][:8]) == [images.some(i) for i in range(8)]
    assert rows["sha256"].notna().sum() == 8


def test_parquet_files_are_read_with_and_without_their_features(saved: Path, tmp_path: Path) -> None:
    part = datasets.load_from_disk(str(saved))["train"]
    part.to_parquet(str(tmp_path / "typed.parquet"))
    pd.DataFrame({"image": [IMAGE] * 2, "label": ["cat", "dog"], "text": ["a", "b"]}).to_parquet(
        tmp_path / "plain.parquet"
    )
    typed = from_hugging_face(tmp_path / "typed.parquet", HuggingFaceOptions(division=Division(test_share=0.5))).rows
    assert list(typed["bytes"][:4]) == [images.some(i) for i in range(4)]
    assert typed.groupby("split").size().to_dict() == {"train": 2, "test": 2, "label": 1}
    plain = from_hugging_face(tmp_path / "plain.parquet", HuggingFaceOptions(data=DataSet(group="holdout"))).rows
    assert list(plain["concept"]) == ["cat", "dog"]
    assert list(plain["caption"]) == [("a",), ("b",)]
    assert set(plain["split"]) == {"test"}


def test_folders_that_datasets_reads_are_read(saved: Path, tmp_path: Path) -> None:
    for name, part in datasets.load_from_disk(str(saved)).items():
        (tmp_path / "repo" / "data").mkdir(parents=True, exist_ok=True)
        part.to_parquet(str(tmp_path / "repo" / "data" / f"{name}-00000-of-00001.parquet"))
    rows = from_hugging_face(tmp_path / "repo", HuggingFaceOptions()).rows
    assert rows.groupby("split").size().to_dict() == {"train": 4, "test": 4, "label": 1}
    assert set(rows["dataset"]) == {"repo"}


def test_image_folders_are_read_as_paths(tmp_path: Path) -> None:
    for split in ("train", "test"):
        images.write_classes(tmp_path / "pets" / split, images.CLASSES[:2], 2)
    rows = from_hugging_face(tmp_path / "pets", HuggingFaceOptions()).rows
    assert set(rows["image"]) == {str(path) for path in (tmp_path / "pets").rglob("*.png")}
    assert set(rows["concept"]) == {"red_circle", "green_square"}


def test_splits_can_be_named_and_others_are_passed_over(tmp_path: Path) -> None:
    whole = datasets.load_from_disk(str(images.write_hugging_face(tmp_path / "a", 2)))
    datasets.DatasetDict({"fit": whole["train"], "val": whole["test"], "rest": whole["test"]}).save_to_disk(
        str(tmp_path / "b")
    )
    with pytest.raises(ConfigError, match="there is no train split; it has fit, val, rest; say --train-split NAME"):
        from_hugging_face(tmp_path / "b", HuggingFaceOptions())
    found = from_hugging_face(tmp_path / "b", HuggingFaceOptions(train_split="fit", test_split="val"))
    assert found.rows.groupby("split").size().to_dict() == {"train": 2, "test": 2, "label": 1}
    assert [(one.where, one.bad, one.images) for one in found.skipped] == [(f"{tmp_path / 'b'}, split rest", False, 2)]
    held = HuggingFaceOptions(data=DataSet(group="holdout"), train_split="fit", test_split="val")
    assert set(from_hugging_face(tmp_path / "b", held).rows["split"]) == {"test", "label"}
    with pytest.raises(ConfigError, match=r"--test-share: .* is divided into"):
        from_hugging_face(tmp_path / "a", HuggingFaceOptions(division=Division(test_share=0.5)))


def test_retrieval_sets_need_no_class(tmp_path: Path) -> None:
    path = table(
        tmp_path / "coco",
        {"image": datasets.Image(), "sentences": datasets.List({"raw": datasets.Value("string")})},
        image=[IMAGE, IMAGE],
        sentences=[[{"raw": "one"}, {"raw": "two"}], [{"raw": "three"}]],
    )
    data = DataSet(group="holdout", kind="retrieval", metric="recall@1")
    rows = from_hugging_face(path, HuggingFaceOptions(data=data)).rows
    assert list(rows["caption"]) == [("one", "two"), ("three",)]
    assert rows["concept"].isna().all()
    write_manifest(from_hugging_face(path, HuggingFaceOptions(data=data)), Target(out=tmp_path / "m.parquet"))


def test_rows_without_an_image_are_bad(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    elsewhere = {"bytes": None, "path": "https://example.com/a.png"}
    pd.DataFrame({"image": [IMAGE, None, elsewhere], "label": ["a", "b", "c"]}).to_parquet(path)
    found = from_hugging_face(path, HuggingFaceOptions(data=DataSet(group="holdout")))
    assert len(found.rows) == 1
    assert [one.where.rsplit(", ", 1)[1] for one in found.skipped] == ["row 1", "row 2"]
    assert "which is no file here" in found.skipped[1].reason


@pytest.mark.parametrize(
    ("features", "columns", "options", "said"),
    [
        ({"x": datasets.Value("string")}, {"x": ["a"]}, {}, "it has no column of images; the columns are x"),
        (
            {"a": datasets.Image(), "b": datasets.Image()},
            {"a": [IMAGE], "b": [IMAGE]},
            {},
            "it has 2 columns of images; the columns are a, b; say --image-column NAME",
        ),
        (
            {"a": datasets.Image(), "f": datasets.ClassLabel(names=["x"]), "c": datasets.ClassLabel(names=["y"])},
            {"a": [IMAGE], "f": [0], "c": [0]},
            {},
            "it has several columns of classes: f, c; say --concept-column NAME",
        ),
        (
            {"a": datasets.Image(), "label": datasets.Value("int64")},
            {"a": [IMAGE], "label": [3]},
            {},
            "the classes of label are numbers; say their names with --classes FILE",
        ),
        (
            {"a": datasets.Image()},
            {"a": [IMAGE]},
            {"caption_column": "text"},
            "--caption-column: there is no 'text'; the columns are a",
        ),
    ],
)
def test_columns_that_are_not_clear_are_asked_for(
    tmp_path: Path, features: dict[str, Any], columns: dict[str, list[Any]], options: dict[str, Any], said: str
) -> None:
    path = table(tmp_path / "t", features, **columns)
    with pytest.raises(ConfigError) as raised:
        from_hugging_face(path, HuggingFaceOptions(**options))
    assert said in str(raised.value)


def test_numbers_of_classes_get_names_of_a_file(tmp_path: Path) -> None:
    path = table(
        tmp_path / "t",
        {"image": datasets.Image(), "label": datasets.Value("int64")},
        image=[IMAGE] * 3,
        label=[1, 0, 7],
    )
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    options = HuggingFaceOptions(classes=tmp_path / "names.txt", data=DataSet(group="holdout"))
    found = from_hugging_face(path, options)
    assert list(found.rows["concept"]) == ["dog", "cat"]
    assert "its class is number 7; there are 0 to 1" in found.skipped[0].reason


def test_names_need_a_download_that_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="to fetch the data set of this name from the hub, say --download"):
        from_hugging_face(Path("cifar10"), HuggingFaceOptions())
    with pytest.raises(ConfigError, match="it is no name of a data set of the hub"):
        from_hugging_face(tmp_path / "not" / "there", HuggingFaceOptions(download=True))
    with pytest.raises(ConfigError, match=r"--download: .* is here; leave the option out"):
        from_hugging_face(images.write_hugging_face(tmp_path / "a", 2), HuggingFaceOptions(download=True))


def test_no_network_is_one_message(tmp_path: Path) -> None:
    """In a process of its own, since `datasets` reads these variables once."""
    done = subprocess.run(
        [sys.executable, "-m", "study", "data", "import", "hf", "nobody/nothing", "--download", "--out", "m.parquet"],
        cwd=tmp_path,
        env={
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(tmp_path),
            "PYTHONPATH": str(Path(__file__).parents[4]),
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("retune: nobody/nothing on the hub: cannot be read as a data set of Hugging Face:")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(("name", "content"), [("a.parquet", b"x"), ("a.zip", b"x"), ("a", b"x")])
def test_files_that_are_no_data_set_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=name):
        from_hugging_face(tmp_path / name, HuggingFaceOptions())


def test_a_folder_with_a_script_runs_no_code(tmp_path: Path) -> None:
    folder = tmp_path / "evil"
    folder.mkdir()
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(ConfigError, match="evil"):
        from_hugging_face(folder, HuggingFaceOptions())
    assert not (tmp_path / "ran").exists()
