"""Tables that list images: columns by name and by option, and what is refused."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from study.data.importers.data_set import DataSet, Division
from study.data.importers.intake import Target, write_manifest
from study.data.importers.listing import ListingOptions, from_listing
from tests import images
from trainables.frozen import ConfigError
from trainables.workloads.clip.data import manifest

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=8)


def write(path: Path, head: str, *rows: str, encoding: str = "utf-8") -> Path:
    path.write_text("\n".join((head, *rows)) + "\n", encoding=encoding)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    images.write_files(tmp_path, {f"photos/{i}.png": images.some(i) for i in range(8)})
    return tmp_path


def test_columns_of_a_manifest_are_taken_as_they_are(photos: Path) -> None:
    path = write(
        photos / "t.csv",
        "image,caption,concept,dataset,split,group,year,kind",
        'photos/0.png,"[""one"", ""two""]",cat,d,train,adapt,2020,classification',
        "photos/1.png,a dog,NA,d,test,adapt,2020,classification",
    )
    rows = from_listing(path, ListingOptions()).rows
    assert list(rows["caption"]) == [("one", "two"), ("a dog",)]
    assert list(rows["concept"]) == ["cat", "NA"]
    assert list(rows["split"]) == ["train", "test"]
    assert list(rows["image"]) == [str(photos / "photos" / f"{i}.png") for i in range(2)]
    assert set(rows["year"]) == {"2020"}


@pytest.mark.parametrize(("suffix", "mark"), [("csv", ","), ("tsv", "\t")])
def test_options_name_columns_and_fill_what_is_not_said(photos: Path, suffix: str, mark: str) -> None:
    lines = [mark.join((f"photos/{i}.png", "cat" if i % 2 else "dog")) for i in range(8)]
    path = write(photos / f"pets.{suffix}", mark.join(("path", "species")), *lines, encoding="utf-8-sig")
    options = ListingOptions(
        data=DataSet(group="adapt", captions=("a {}.",), metric="mean_per_class_accuracy"),
        columns=(("image", "path"), ("concept", "species")),
        division=Division(test_share=0.25),
    )
    rows = from_listing(path, options).rows
    assert list(rows["caption"]) == [("a cat.",) if i % 2 else ("a dog.",) for i in range(8)]
    assert set(rows["dataset"]) == {"pets"}
    assert set(rows["metric"]) == {"mean_per_class_accuracy"}
    assert rows.groupby(["concept", "split"]).size().to_dict() == {
        (concept, split): n for concept in ("cat", "dog") for split, n in (("train", 3), ("test", 1))
    }


def test_the_division_does_not_depend_on_where_images_lie(photos: Path) -> None:
    path = write(photos / "t.csv", "image,concept,caption", *(f"photos/{i}.png,cat,x" for i in range(8)))
    there = from_listing(path, ListingOptions()).rows
    other = write(photos / "photos" / "t.csv", "image,concept,caption", *(f"photos/{i}.png,cat,x" for i in range(8)))
    here = from_listing(other, ListingOptions(root=photos)).rows
    assert list(here["split"]) == list(there["split"])
    assert list(here["image"]) == list(there["image"])


def test_captions_of_rows_win_over_templates(photos: Path) -> None:
    path = write(
        photos / "t.csv", "image,concept,caption,split", "photos/0.png,cat,mine,test", "photos/1.png,dog,,train"
    )
    rows = from_listing(path, ListingOptions(data=DataSet(captions=("a {}.",)))).rows
    assert list(rows["caption"]) == [("mine",), ("a dog.",)]


def test_parquet_lists_images_too(photos: Path) -> None:
    frame = pd.DataFrame(
        {
            "image": ["photos/0.png", "photos/1.png"],
            "caption": [["one", "two"], ["three"]],
            "concept": [0, 1],
            "split": ["train", "test"],
            "year": [2020, 2021],
        }
    )
    frame.to_parquet(photos / "t.parquet")
    rows = from_listing(photos / "t.parquet", ListingOptions()).rows
    assert list(rows["caption"]) == [("one", "two"), ("three",)]
    assert list(rows["concept"]) == ["0", "1"]
    assert list(rows["year"]) == ["2020", "2021"]


def test_members_of_shards_and_bytes_are_taken(tmp_path: Path) -> None:
    images.write_shard(tmp_path / "s.tar", {"a.png": images.some(0), "b.png": images.some(1)})
    path = write(
        tmp_path / "t.csv",
        "image,member,offset,size,caption,concept,split",
        f"s.tar,a.png,512,{len(images.some(0))},x,cat,train",
        "s.tar,b.png,,,x,dog,test",
        "s.tar,b.png,,,x,cat,test",
    )
    write_manifest(from_listing(path, ListingOptions(data=DataSet(name="d"))), Target(out=tmp_path / "m.parquet"))
    assert list(manifest.read(tmp_path / "m.parquet")["offset"]) == [512, None, None]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("https://example.com/0.png", "is an address, and nothing is fetched"),
        ("s3://bucket/0.png", "is an address, and nothing is fetched"),
        ("../outside.png", "leaves the folder by .."),
        ("photos/../../outside.png", "leaves the folder by .."),
        ("photos\\..\\..\\outside.png", "leaves the folder by .."),
        ("", "no image"),
    ],
)
def test_bad_paths_are_bad_rows(photos: Path, name: str, reason: str) -> None:
    (photos.parent / "outside.png").write_bytes(images.some(0))
    rows = [f"photos/{i}.png,x,{concept},{split}" for i, (concept, split) in enumerate(FOUR)]
    path = write(photos / "t.csv", "image,caption,concept,split", *rows[:2], f"{name},x,cat,train", *rows[2:])
    found = from_listing(path, ListingOptions())
    assert [(one.where, one.bad) for one in found.skipped] == [(f"{path}, row 3", True)]
    assert reason in found.skipped[0].reason
    assert len(found.rows) == 4
    with pytest.raises(ConfigError, match="1 of 5 images cannot be used, and nothing is written"):
        write_manifest(found, Target(out=photos / "m.parquet"))
    assert len(write_manifest(found, Target(out=photos / "m.parquet", on_bad="skip")).added) == 4


@pytest.mark.parametrize(
    ("head", "row", "remedies"),
    [
        ("path,species", "cat", ["--concept-column", "--caption-column NAME", '--caption "a photo of a {}."']),
        ("path,caption", "words", ["rows without a concept", "--concept-column NAME names the column of classes"]),
    ],
)
def test_what_every_row_lacks_has_a_remedy_and_is_not_skipped(
    photos: Path, head: str, row: str, remedies: list[str]
) -> None:
    path = write(photos / "t.csv", head, *(f"photos/{i}.png,{row}" for i in range(8)))
    found = from_listing(path, ListingOptions(columns=(("image", "path"),), split="train"))
    with pytest.raises(ConfigError) as raised:
        write_manifest(found, Target(out=photos / "m.parquet"))
    text = str(raised.value)
    assert not [one for one in remedies[head == "path,species" :] if one not in text], text
    assert f"the table has the columns {head.replace(',', ', ')}" in text
    assert "--on-bad-image" not in text


FOUR = (("cat", "train"), ("dog", "train"), ("cat", "test"), ("dog", "test"))


def test_a_member_that_leaves_is_a_bad_row(tmp_path: Path) -> None:
    images.write_shard(tmp_path / "s.tar", {"../a.png": images.some(0)})
    path = write(tmp_path / "t.csv", "image,member,caption,concept,split", "s.tar,../a.png,x,cat,test")
    assert "leaves the folder by .." in from_listing(path, ListingOptions()).skipped[0].reason


def test_missing_images_are_bad(photos: Path) -> None:
    rows = [f"photos/{i}.png,x,{concept},{split}" for i, (concept, split) in enumerate(FOUR)]
    path = write(photos / "t.csv", "image,caption,concept,split", *rows, "photos/none.png,x,cat,train")
    with pytest.raises(ConfigError, match=r"none\.png: cannot be read: No such file"):
        write_manifest(from_listing(path, ListingOptions()), Target(out=photos / "m.parquet"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"data": DataSet(group="holdout")}, "--group: the table has a column group that says it"),
        ({"data": DataSet(name="x")}, "--dataset: the table has a column dataset"),
        ({"data": DataSet(templates=("a {}.",))}, "--template: the table has a column templates"),
        ({"split": "test"}, "--split: the table has a column split"),
        ({"division": Division(test_share=0.5)}, "--test-share: the table has a column split"),
        ({"columns": (("image", "file"),)}, "--image-column: there is no column 'file'; the table has image, caption"),
    ],
)
def test_options_that_would_change_nothing_are_refused(photos: Path, options: dict[str, Any], said: str) -> None:
    path = write(
        photos / "t.csv",
        "image,caption,concept,dataset,split,group,templates",
        "photos/0.png,x,cat,d,test,adapt,the {}.",
    )
    with pytest.raises(ConfigError) as raised:
        from_listing(path, ListingOptions(**options))
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", b"image\n\xff.png\n", "byte 0xff is not UTF-8 text; save the table as UTF-8"),
        ("t.csv", "image\n\u00e9.png\n".encode("utf-16"), "is not UTF-8 text"),
        ("t.csv", b"", "cannot be read as a table"),
        ("t.csv", b"image,caption\n", "the table has no rows"),
        ("t.csv", b"image,caption\na.png,x\na,b,c,d\n", "cannot be read as a table"),
        ("t.csv", b"path,caption\na.png,x\n", "there is no column image; the table has path, caption"),
        ("t.parquet", b"no parquet", "cannot be read as a table"),
        ("t.xlsx", b"PK", "its name ends in .xlsx; allowed: .csv, .tsv, .parquet"),
    ],
)
def test_tables_that_cannot_be_read_are_refused(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        from_listing(tmp_path / name, ListingOptions())
    assert said in str(raised.value)


def test_a_table_that_holds_images_is_of_another_kind(tmp_path: Path) -> None:
    pd.DataFrame({"image": [{"bytes": images.some(0), "path": None}]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ConfigError, match="import it with `retune data import hf`"):
        from_listing(tmp_path / "t.parquet", ListingOptions())


def test_options_that_say_the_same_are_refused() -> None:
    with pytest.raises(ConfigError, match="--split and --test-share"):
        ListingOptions(split="test", division=Division(test_share=0.1))
    with pytest.raises(ConfigError, match="--split: 'val' given; allowed: train, test, label"):
        ListingOptions(split="val")


NAME = TEXT.filter(lambda one: "/" not in one and "\\" not in one and one not in (".", "..") and one == one.strip())


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    file=NAME, concepts=st.tuples(NAME, NAME).filter(lambda two: two[0] != two[1]), caption=st.lists(TEXT, min_size=1)
)
def test_any_text_of_a_table_arrives_in_the_manifest(
    tmp_path_factory: pytest.TempPathFactory, file: str, concepts: tuple[str, str], caption: list[str]
) -> None:
    if not all(text.strip() for text in caption):
        return
    root = tmp_path_factory.mktemp("any")
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(("image", "caption", "concept", "split"))
    for i, (concept, split) in enumerate((one, split) for one in concepts for split in ("train", "test")):
        (root / f"-{i}{file}").write_bytes(images.some(i))
        rows.writerow((f"-{i}{file}", json.dumps(caption), concept, split))
    (root / "t.csv").write_text(text.getvalue(), encoding="utf-8", newline="")
    write_manifest(from_listing(root / "t.csv", ListingOptions()), Target(out=root / "m.parquet"))
    found = manifest.read(root / "m.parquet")
    assert set(found["concept"]) == set(concepts)
    assert set(found["caption"]) == {tuple(caption)}
    assert list(found["image"]) == [f"-{i}{file}" for i in range(4)]
