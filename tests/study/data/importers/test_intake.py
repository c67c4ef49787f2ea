"""From what was found to a manifest: what is refused, skipped, appended, and what every image went through."""

import csv
import hashlib
import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from study.data.importers import KINDS
from study.data.importers.data_set import DataSet
from study.data.importers.folder import FolderOptions, from_folder
from study.data.importers.intake import Target, write_manifest
from study.data.importers.listing import ListingOptions, from_listing
from study.data.importers.rows import Imported, Skipped, imported, shown
from tests import images
from trainables.frozen import ConfigError
from trainables.workloads.clip.data import manifest
from trainables.workloads.clip.data.images import Source
from trainables.workloads.clip.data.inspection import Look, Meter, inspect, look

CLASSES = images.CLASSES[:2]


def folder(path: Path, **data: Any) -> Imported:
    return from_folder(path, FolderOptions(data=DataSet(**data)))


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    return images.write_classes(tmp_path / "shapes", CLASSES, 4)


@pytest.fixture
def broken(shapes: Path) -> Path:
    images.write_files(shapes / "red_circle", images.broken_images())
    return shapes


def test_hashes_and_paths_are_written(shapes: Path, tmp_path: Path) -> None:
    write_manifest(folder(shapes), Target(out=tmp_path / "m.parquet"))
    rows = manifest.read(tmp_path / "m.parquet")
    for row in rows.itertuples():
        content = (tmp_path / str(row.image)).read_bytes()
        assert row.sha256 == hashlib.sha256(content).hexdigest()
    assert rows["image"][0] == "shapes/green_square/0000.png"
    assert not (tmp_path / "m.skipped.csv").exists()


def test_images_elsewhere_keep_their_paths(shapes: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write_manifest(folder(shapes), Target(out=tmp_path / "out" / "m.parquet"))
    assert manifest.read(tmp_path / "out" / "m.parquet")["image"][0] == str(shapes / "green_square" / "0000.png")


def test_bad_images_end_an_import_and_nothing_is_written(broken: Path, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    with pytest.raises(ConfigError) as raised:
        write_manifest(folder(broken), Target(out=tmp_path / "m.parquet"))
    lines = str(raised.value).splitlines()
    assert lines[0] == "7 of 15 images cannot be used, and nothing is written"
    assert lines[1] == f"  {broken}/red_circle/bomb.png: " + lines[1].split(": ", 1)[1]
    assert lines[-2] == "  and 2 more"
    assert "--on-bad-image skip" in lines[-1]
    assert set(tmp_path.rglob("*")) == before


def test_skipped_images_are_counted_and_listed(broken: Path, tmp_path: Path) -> None:
    (broken / "notes.txt").write_bytes(b"x")
    outcome = write_manifest(folder(broken), Target(out=tmp_path / "m.parquet", on_bad="skip"))
    assert len(outcome.added) == len(manifest.read(tmp_path / "m.parquet")) == 8
    listed = list(csv.DictReader(io.StringIO((tmp_path / "m.skipped.csv").read_text())))
    assert {(row["where"], row["bad"]) for row in listed} == {
        (str(broken / "notes.txt"), "no"),
        *((str(broken / "red_circle" / name), "yes") for name in images.broken_images()),
    }
    assert all(row["reason"] for row in listed)


def test_without_decoding_only_what_cannot_be_read_is_bad(broken: Path, tmp_path: Path) -> None:
    outcome = write_manifest(folder(broken), Target(out=tmp_path / "m.parquet", decode=False))
    assert len(outcome.added) == 15
    (broken / "red_circle" / "0000.png").unlink()
    (broken / "red_circle" / "0000.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(ConfigError, match="1 of 15 images cannot be used"):
        write_manifest(folder(broken), Target(out=tmp_path / "n.parquet", decode=False))


def test_odd_images_are_fine(shapes: Path, tmp_path: Path) -> None:
    images.write_files(shapes / "red_circle", images.odd_images())
    assert len(write_manifest(folder(shapes), Target(out=tmp_path / "m.parquet")).added) == 8 + len(images.odd_images())


def test_what_is_there_is_not_replaced_unasked(shapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.parquet"
    write_manifest(folder(shapes, name="one"), Target(out=out))
    with pytest.raises(ConfigError, match="is there; name another file, or say --append or --overwrite"):
        Target(out=out)
    write_manifest(folder(shapes, name="two"), Target(out=out, mode="overwrite"))
    assert set(manifest.read(out)["dataset"]) == {"two"}


def test_data_sets_are_appended_once(shapes: Path, broken: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.parquet"
    write_manifest(folder(shapes, name="one"), Target(out=out, mode="append", on_bad="skip"))
    first = manifest.read(out)
    write_manifest(
        folder(shapes, name="two", group="holdout", year="2020"), Target(out=out, mode="append", on_bad="skip")
    )
    rows = manifest.read(out)
    pd.testing.assert_frame_equal(rows[rows["dataset"] == "one"], first)
    assert set(rows["dataset"]) == {"one", "two"}
    listed = list(csv.DictReader(io.StringIO((tmp_path / "m.skipped.csv").read_text())))
    assert len(listed) == 2 * len(images.broken_images())
    before = out.read_bytes()
    with pytest.raises(ConfigError, match="it has two already; give another name with --dataset"):
        write_manifest(folder(broken, name="two"), Target(out=out, mode="append", on_bad="skip"))
    assert out.read_bytes() == before


def test_overwriting_starts_the_list_anew(broken: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.parquet"
    write_manifest(folder(broken), Target(out=out, on_bad="skip"))
    for name in images.broken_images():
        (broken / "red_circle" / name).unlink()
    write_manifest(folder(broken), Target(out=out, mode="overwrite"))
    assert not (tmp_path / "m.skipped.csv").exists()


@pytest.mark.parametrize(
    ("classes", "count", "data", "said"),
    [
        (CLASSES, 1, {}, "data set shapes: it has no test images"),
        (CLASSES[:1], 4, {}, "data set shapes: it has one class only"),
        (CLASSES[:1], 4, {"group": "holdout"}, "data set shapes: it has one class only"),
    ],
)
def test_data_that_no_study_could_use_is_refused(
    tmp_path: Path, classes: tuple[str, ...], count: int, data: dict[str, Any], said: str
) -> None:
    images.write_classes(tmp_path / "shapes", classes, count)
    with pytest.raises(ConfigError, match=f"no manifest is written(.|\n)*{said}"):
        write_manifest(folder(tmp_path / "shapes", **data), Target(out=tmp_path / "m.parquet"))
    assert not (tmp_path / "m.parquet").exists()


def test_what_the_next_import_may_bring_is_no_reason_to_refuse(shapes: Path, tmp_path: Path) -> None:
    outcome = write_manifest(folder(shapes), Target(out=tmp_path / "m.parquet"))
    assert [one.what for one in outcome.problems if one.fatal] == [
        "there is no data set of group holdout, so retention cannot be measured"
    ]


def test_nothing_left_is_said(tmp_path: Path) -> None:
    for name in ("a", "b"):
        images.write_files(tmp_path / "in" / name, {f"{i}.png": b"" for i in range(2)})
    with pytest.raises(ConfigError, match=r"nothing is left to import; the first: .*0.png"):
        write_manifest(folder(tmp_path / "in"), Target(out=tmp_path / "m.parquet", on_bad="skip"))
    assert len((tmp_path / "m.skipped.csv").read_text().splitlines()) == 5
    with pytest.raises(ConfigError, match="there is nothing to import"):
        write_manifest(imported([], []), Target(out=tmp_path / "m.parquet"))


def test_a_table_that_says_another_hash_is_bad(shapes: Path, tmp_path: Path) -> None:
    rows = folder(shapes)
    changed = Imported(rows=rows.rows.assign(sha256="0" * 64))
    with pytest.raises(ConfigError, match="it has changed since it was imported"):
        write_manifest(changed, Target(out=tmp_path / "m.parquet"))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"out": "m.csv"}, "a manifest is written as .parquet"),
        ({"out": "."}, "a manifest is written as .parquet"),
        ({"out": "folder.parquet"}, "is a folder; name a file in it"),
        ({"out": "m.parquet", "on_bad": "keep"}, "--on-bad-image: 'keep' given; allowed: error, skip"),
    ],
)
def test_targets_that_make_no_sense_are_refused(tmp_path: Path, values: dict[str, Any], said: str) -> None:
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(ConfigError, match=said):
        Target(**{**values, "out": tmp_path / values["out"]})


# -- the look at images ------------------------------------------------------------------------------------------------


def test_processes_find_what_one_process_finds(broken: Path) -> None:
    places = [Source(path=path) for path in sorted(broken.rglob("*.*"))] * 5 + [Source(data=images.some(3))]
    assert len(places) > 64
    alone = inspect(places, decode=True, processes=1)
    assert inspect(places, decode=True, processes=2) == alone
    assert [one.wrong is None for one in alone] == [one.sha256 is not None for one in alone]
    assert sum(one.wrong is not None for one in alone) == 5 * len(images.broken_images())


def test_an_image_in_the_table_is_looked_at() -> None:
    content = images.some(0)
    assert look(Source(data=content), decode=True) == Look(sha256=hashlib.sha256(content).hexdigest())
    assert look(Source(data=b"x"), decode=True).wrong == "an image in the table: not an image that can be decoded"


def test_the_meter_says_rate_and_time_left() -> None:
    out, times = io.StringIO(), iter([0.0, 10.0, 10.0, 16.0, 20.0, 40.0, 40.0])
    meter = Meter(400, out, clock=lambda: next(times))
    meter.add(100)
    assert out.getvalue() == ""
    assert Meter(400, out, clock=lambda: 1.0).line() == "0/400 images read, 0 images/s, ? left"
    assert meter.line() == "100/400 images read, 10 images/s, 0:30 left"
    meter.add(100)
    assert out.getvalue() == "200/400 images read, 10 images/s, 0:20 left\n"
    meter.add(200)
    assert out.getvalue().splitlines()[-1] == "400/400 images read, 10 images/s, 0:00 left"


def test_paths_that_start_elsewhere_name_the_option_for_it(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,caption,concept\na.png,a,a\nb.png,b,b\n")
    with pytest.raises(
        ConfigError, match=r"(?s)none is there: paths start from the folder of the table.* --root names"
    ):
        write_manifest(from_listing(tmp_path / "t.csv", ListingOptions()), Target(out=tmp_path / "m.parquet"))


def test_names_are_shown_in_one_line() -> None:
    assert shown("a\nb\udcff") == "a\\nb\\udcff"
    assert shown("na\u00efve \u4e2d") == "na\u00efve \u4e2d"
    assert str(Skipped(where="a\tb", reason="why")) == "a\\tb: why"


def test_the_table_of_kinds_is_whole() -> None:
    assert list(KINDS) == ["folder", "csv", "webdataset", "hf", "fif"]
