"""The layout of FoMo-in-Flux: fields as they are documented, groups, images in folders and tars."""

import json
from pathlib import Path
from typing import Any

import pytest

from study.data.importers.fomo_in_flux import HELD_OUT, RELEASES, FifOptions, from_fomo_in_flux, plain, template_of
from study.data.importers.intake import Target, write_manifest
from tests import images
from trainables.frozen import ConfigError
from trainables.workloads.clip.data import manifest
from trainables.workloads.clip.data.images import Source, encoded


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return images.write_fif(tmp_path / "data")


def change(data: Path, name: str, number: int, **fields: Any) -> None:
    """Change an entry of an info file."""
    path = data / "00_info" / f"{name}.json"
    entries = json.loads(path.read_text())
    entries[list(entries)[number]].update(fields)
    path.write_text(json.dumps(entries))


def test_the_published_lists_are_the_63_data_sets() -> None:
    adapted = [root for roots in RELEASES for root in roots]
    assert (len(adapted), len(HELD_OUT)) == (41, 22)
    assert len({plain(root) for root in (*adapted, *HELD_OUT)}) == 63


def test_a_layout_becomes_a_manifest_that_a_study_can_use(data: Path, tmp_path: Path) -> None:
    found = from_fomo_in_flux(data, FifOptions())
    assert found.skipped == ()
    write_manifest(found, Target(out=tmp_path / "m.parquet"))
    rows = manifest.read(tmp_path / "m.parquet")
    manifest.require_usable(rows, "m")
    said = rows.groupby("dataset")[["group", "kind"]].agg("first")
    assert said.to_dict("index") == {
        "DTD": {"group": "adapt", "kind": "classification"},
        "FSCOCO": {"group": "adapt", "kind": "retrieval"},
        "GTSRB": {"group": "holdout", "kind": "classification"},
        "MSCOCO": {"group": "holdout", "kind": "retrieval"},
    }
    assert rows.groupby(["dataset", "split"]).size().to_dict() == {
        ("DTD", "label"): 1,
        ("DTD", "test"): 4,
        ("DTD", "train"): 4,
        ("FSCOCO", "test"): 4,
        ("FSCOCO", "train"): 4,
        ("GTSRB", "test"): 6,
        ("MSCOCO", "test"): 3,
    }


def test_fields_are_read_as_they_are_documented(data: Path) -> None:
    change(data, "DTD_train", 0, synthetic_merged_caption=["merged one", "merged two"])
    change(data, "DTD_train", 1, default_caption="default")
    rows = from_fomo_in_flux(data, FifOptions()).rows
    sets = {str(name): of_set.reset_index(drop=True) for name, of_set in rows.groupby("dataset")}
    assert list(sets["DTD"]["caption"][:3]) == [
        ("merged one", "merged two"),
        ("default",),
        ("A photo of a red circle, number 2.",),
    ]
    assert list(sets["DTD"]["concept"]) == [images.CLASSES[i % 2] for i in range(8)] + [images.CLASSES[2]]
    assert set(sets["DTD"]["templates"]) == {("A photo of a {}, a type of shape.",)}
    assert set(sets["FSCOCO"]["templates"]) == {None}
    assert list(sets["FSCOCO"]["concept"][:2]) == list(images.CLASSES[:2])
    assert sets["FSCOCO"]["caption"][3] == ("A sketch of 3.",)
    assert sets["MSCOCO"]["caption"][1] == tuple(f"caption {k} of 1" for k in range(5))
    assert sets["MSCOCO"]["concept"].isna().all()


def test_years_are_the_published_order_of_release(data: Path) -> None:
    rows = from_fomo_in_flux(data, FifOptions()).rows
    assert {name: set(of_set["year"]) for name, of_set in rows.groupby("dataset")} == {
        "DTD": {"6"},
        "FSCOCO": {"14"},
        "GTSRB": {None},
        "MSCOCO": {None},
    }


def test_images_are_files_or_members(data: Path) -> None:
    rows = from_fomo_in_flux(data, FifOptions()).rows
    pictures = rows[rows["split"] != "label"]
    for number, row in enumerate(pictures.itertuples()):
        place = Source(path=Path(str(row.image)), member=row.member, offset=row.offset, size=row.size)  # type: ignore[arg-type]
        assert encoded(place) == images.some(number)
    assert set(pictures.loc[pictures["dataset"] == "GTSRB", "image"]) == {str(data / "GTSRB.tar")}


@pytest.mark.parametrize("layout", ["ROOT/path", "path", "ROOT.tar", "short", "split", "inner"])
def test_every_published_place_of_images_is_looked_at(tmp_path: Path, layout: str) -> None:
    data = images.write_fif(tmp_path / "data", tar=())
    contents = {
        str(path.relative_to(data / "GTSRB")): path.read_bytes() for path in sorted((data / "GTSRB").rglob("*.png"))
    }
    if layout != "ROOT/path":
        for name in contents:
            (data / "GTSRB" / name).unlink()
        (data / "GTSRB" / "signs").rmdir()
        (data / "GTSRB").rmdir()
    whole = {f"GTSRB/{name}": content for name, content in contents.items()}
    if layout == "path":
        images.write_files(data, contents)
    elif layout == "ROOT.tar":
        images.write_shard(data / "GTSRB.tar", whole)
    elif layout == "short":
        images.write_shard(data / "GTSRB.tar", {f"./{name}": content for name, content in contents.items()})
    elif layout == "split":
        images.write_shard(data / "GTSRB_test.tar", whole)
    elif layout == "inner":
        images.write_shard(data / "GTSRB" / "shards" / "0.tar", dict(list(contents.items())[:2]))
        images.write_shard(data / "GTSRB" / "shards" / "1.tar", dict(list(contents.items())[2:]))
    found = from_fomo_in_flux(data, FifOptions(only=("gtsrb",)))
    assert found.skipped == ()
    read = [
        encoded(Source(path=Path(row.image), member=row.member, offset=row.offset, size=row.size))  # type: ignore[arg-type]
        for row in found.rows.itertuples()
    ]
    assert read == list(contents.values())


def test_smaller_images_are_taken_where_they_are(data: Path) -> None:
    info = data / "00_info"
    entries = json.loads((info / "DTD_test.json").read_text())
    small = {f"DTD_test_224/{name}": entry for name, entry in entries.items()}
    (info / "DTD_test_224.json").write_text(json.dumps(small))
    images.write_files(data / "DTD", {name: images.some(50 + i) for i, name in enumerate(small)})
    rows = from_fomo_in_flux(data, FifOptions(resized=True, only=("DTD",))).rows
    folders = {Path(path).relative_to(data / "DTD").parts[0] for path in rows.loc[rows["split"] == "test", "image"]}
    assert folders == {"DTD_test_224"}
    assert rows.loc[rows["split"] == "train", "image"].str.contains("DTD/images").all()
    (info / "DTD_test.json").unlink()
    with pytest.raises(ConfigError, match="there is one of smaller images, which --resized takes"):
        from_fomo_in_flux(data, FifOptions(only=("DTD",)))


def test_an_entry_without_caption_is_its_own_problem_and_shifts_nothing(data: Path, tmp_path: Path) -> None:
    change(data, "DTD_train", 1, synthetic_merged_caption=None)
    found = from_fomo_in_flux(data, FifOptions())
    before = from_fomo_in_flux(images.write_fif(tmp_path / "other"), FifOptions())
    assert found.rows["caption"][1] is None
    assert list(found.rows["caption"].drop(1)) == list(before.rows["caption"].drop(1))
    with pytest.raises(ConfigError, match=r"train 1\.png: it has no caption, or an empty one"):
        write_manifest(found, Target(out=tmp_path / "m.parquet"))
    outcome = write_manifest(found, Target(out=tmp_path / "m.parquet", on_bad="skip"))
    assert len(outcome.added) == len(found.rows) - 1


def test_the_stream_says_what_is_adapted_to(data: Path, tmp_path: Path) -> None:
    """Names as roots and as handles."""
    (tmp_path / "stream.json").write_text(json.dumps(["gtsrb+++red circle", "Fs-Coco+++blue+++star"]))
    (data / "00_info" / "GTSRB_train.json").write_text(json.dumps({"signs/0.png": images.fif_entry("red circle", 0)}))
    (data / "00_info" / "FSCOCO_classnames.json").write_text(json.dumps([*images.CLASSES[:3], "blue+++star"]))
    options = FifOptions(stream=tmp_path / "stream.json", only=("FSCOCO", "GTSRB", "DTD"))
    groups = from_fomo_in_flux(data, options).rows.groupby("dataset")["group"].agg("first").to_dict()
    assert groups == {"DTD": "holdout", "FSCOCO": "adapt", "GTSRB": "adapt"}
    for entry, said in (
        ("FSCOCA+++red circle", r"1 entries .* without info files: FSCOCA; did you mean FSCOCO\? .* has DTD, FSCOCO"),
        ("DTD+++red cirle", r"1 entries .* that DTD does not have: red cirle; did you mean red circle\?"),
    ):
        (tmp_path / "stream.json").write_text(json.dumps(["GTSRB+++red circle", entry]))
        with pytest.raises(ConfigError, match=said):
            from_fomo_in_flux(data, options)
    (tmp_path / "stream.json").write_text('["gtsrb"]')
    with pytest.raises(ConfigError, match=r'--stream: .* is no list of "DATASET'):
        from_fomo_in_flux(data, options)


def test_classes_that_a_stream_does_not_list_are_only_told_apart(data: Path, tmp_path: Path) -> None:
    (tmp_path / "stream.json").write_text(json.dumps([f"dtd+++{images.CLASSES[0]}", "CUB200+++a bird"]))
    found = from_fomo_in_flux(data, FifOptions(stream=tmp_path / "stream.json", only=("DTD",)))
    assert {split: set(rows["concept"]) for split, rows in found.rows.groupby("split")} == {
        "train": {images.CLASSES[0]},
        "test": set(images.CLASSES[:2]),
        "label": {images.CLASSES[2]},
    }
    assert [(one.where, one.reason, one.count) for one in found.skipped] == [
        ("CUB200", "the stream lists classes of it, and it has no info files (1 entries)", 0),
        ("DTD_train.json", "2 training images of 1 classes that the stream does not list", 2),
    ]


def test_own_data_sets_need_a_stream(data: Path, tmp_path: Path) -> None:
    for file in (data / "00_info").glob("*.json"):
        file.rename(file.with_name(file.name.replace("DTD", "mine"))) if "DTD" in file.name else file.unlink()
    (data / "DTD").rename(data / "mine")
    with pytest.raises(
        ConfigError, match="has info files of mine, which are in no published list; say by --stream FILE"
    ):
        from_fomo_in_flux(data, FifOptions())
    (tmp_path / "stream.json").write_text(json.dumps([f"mine+++{name}" for name in images.CLASSES[:2]]))
    found = from_fomo_in_flux(data, FifOptions(stream=tmp_path / "stream.json"))
    assert (len(found.rows), found.skipped) == (9, ())
    out = tmp_path / "m.parquet"
    write_manifest(found, Target(out=out))
    with pytest.raises(ConfigError, match="it has mine already; take others with --only NAME"):
        write_manifest(found, Target(out=out, mode="append"))


def test_damaged_tars_are_named_first_and_their_images_counted(tmp_path: Path) -> None:
    data = images.write_fif(tmp_path / "data", tar=("GTSRB", "MSCOCO"))
    for root in ("GTSRB", "MSCOCO"):
        tar = data / f"{root}.tar"
        tar.write_bytes(tar.read_bytes()[:600])
    found = from_fomo_in_flux(data, FifOptions(only=("GTSRB", "MSCOCO")))
    out = tmp_path / "m.parquet"
    with pytest.raises(ConfigError) as raised:
        write_manifest(found, Target(out=out))
    lines = str(raised.value).splitlines()
    lost = sum(one.count for one in found.skipped)
    assert lines[0] == f"2 damaged shards and {lost} of 9 images cannot be used, and nothing is written"
    assert [line.split(": the shard ends early")[0] for line in lines[1:3]] == [
        f"  {data / root}.tar" for root in ("GTSRB", "MSCOCO")
    ]
    with pytest.raises(ConfigError, match=r"left out is listed in .*m\.skipped\.csv"):
        write_manifest(found, Target(out=out, on_bad="skip"))
    assert len((tmp_path / "m.skipped.csv").read_text().splitlines()) == 1 + 2 + lost


def test_data_sets_without_images_are_named_or_passed_over(data: Path) -> None:
    (data / "GTSRB.tar").unlink()
    with pytest.raises(ConfigError, match=r"1 of 4 data sets have neither a folder nor a tar: GTSRB; .* --available"):
        from_fomo_in_flux(data, FifOptions())
    found = from_fomo_in_flux(data, FifOptions(available=True))
    assert [(one.where, one.bad) for one in found.skipped] == [("GTSRB", False)]
    assert "GTSRB" not in set(found.rows["dataset"])


def test_missing_images_are_bad_rows(data: Path) -> None:
    (data / "DTD" / "images" / "train 2.png").unlink()
    found = from_fomo_in_flux(data, FifOptions())
    assert [(one.where, one.bad) for one in found.skipped] == [("DTD_train.json: images/train 2.png", True)]


@pytest.mark.parametrize("name", ["../../outside.png", "/etc/passwd", "a/../../x.png"])
def test_paths_that_leave_the_folder_are_bad_rows(data: Path, name: str) -> None:
    (data.parent / "outside.png").write_bytes(images.some(0))
    path = data / "00_info" / "DTD_train.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), name: images.fif_entry("red circle", 9)}))
    (bad,) = from_fomo_in_flux(data, FifOptions()).skipped
    assert "its path leaves the folder" in bad.reason


def test_leftovers_are_passed_over_and_asked_for_when_named(data: Path) -> None:
    info = data / "00_info"
    (info / "MedMNISTderma_test.json").write_text((info / "GTSRB_test.json").read_text())
    found = from_fomo_in_flux(data, FifOptions())
    assert [one.where for one in found.skipped] == ["MedMNISTderma"]
    with pytest.raises(ConfigError, match="--only: MedMNISTderma is in no published list"):
        from_fomo_in_flux(data, FifOptions(only=("medmnist_derma",)))
    with pytest.raises(ConfigError, match=r"--only: .* has no info files of nothing; it has DTD, FSCOCO, GTSRB"):
        from_fomo_in_flux(data, FifOptions(only=("nothing",)))


def test_classes_of_one_name_are_noted(data: Path) -> None:
    (data / "00_info" / "GTSRB_classnames.json").write_text(json.dumps([*images.CLASSES[:3], images.CLASSES[0]]))
    (note,) = from_fomo_in_flux(data, FifOptions()).skipped
    assert (note.bad, note.reason) == (False, "1 classes have the name of an earlier one, and are one with it")


def test_info_files_are_found_or_asked_for(data: Path, tmp_path: Path) -> None:
    (data / "data_lib").mkdir()
    (data / "00_info").rename(data / "data_lib" / "00_info")
    assert len(from_fomo_in_flux(data, FifOptions()).rows) == 26
    (data / "data_lib" / "00_info").rename(tmp_path / "info")
    with pytest.raises(ConfigError, match="neither 00_info nor data_lib/00_info is there; say --info DIR"):
        from_fomo_in_flux(data, FifOptions())
    assert len(from_fomo_in_flux(data, FifOptions(info=tmp_path / "info")).rows) == 26
    with pytest.raises(ConfigError, match=r"no ROOT_test\.json is there"):
        from_fomo_in_flux(data, FifOptions(info=data))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("DTD_train.json", "[1]", "not an object of image paths"),
        ("DTD_train.json", '{"a": 1}', "not an object of image paths"),
        ("DTD_train.json", "{", "not JSON"),
        ("DTD_train.json", "{}", "it lists no images"),
        ("DTD_classnames.json", '{"a": 1}', "not a list of the names of classes"),
    ],
)
def test_info_files_of_another_form_are_refused(data: Path, name: str, content: str, said: str) -> None:
    (data / "00_info" / name).write_text(content)
    with pytest.raises(ConfigError, match=f"{name}: {said}"):
        from_fomo_in_flux(data, FifOptions())


@pytest.mark.parametrize(
    ("primers", "template"),
    [
        ({"dog": "a photo of a dog, an animal."}, "a photo of a {}, an animal."),
        ({"a": "a photo of a a.", "cat": "a photo of a cat."}, "a photo of a {}."),
        ({"photo": "a photo of a photo.", "of": "a photo of a of."}, "a photo of a {}."),
        ({"cat": "a photo of a cat.", "dog": "a photo of a dog.", "cow": "one cow"}, "a photo of a {}."),
        ({"cat": "nothing of it"}, None),
        ({}, None),
    ],
)
def test_templates_are_recovered_from_primers(primers: dict[str, str], template: str | None) -> None:
    assert template_of(primers) == template
