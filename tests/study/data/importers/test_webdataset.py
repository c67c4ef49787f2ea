"""WebDataset shards: offsets against tarfile, keys and fields, and shards that are cut short or no shards."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from study.data.importers import shard
from study.data.importers.data_set import DataSet, Division
from study.data.importers.intake import Target, write_manifest
from study.data.importers.shard import Damage, Member
from study.data.importers.webdataset import WebDatasetOptions, from_webdataset, shards_of
from tests import images
from trainables.frozen import ConfigError
from trainables.workloads.clip.data import manifest
from trainables.workloads.clip.data.images import Source, encoded

POOL = WebDatasetOptions(data=DataSet(group="pool"))


def test_offsets_are_where_tarfile_reads_the_same_bytes(tmp_path: Path) -> None:
    long = "a/" * 60 + "\u00e9" * 40  # a name that needs headers of its own
    path = images.write_shard(
        tmp_path / "s.tar",
        {"0.png": images.some(0), f"{long}.png": images.some(1), "0.txt": b"x", f"{long}.json": b'{"text": "y"}'},
    )
    rows = from_webdataset(path, POOL).rows
    assert list(rows["caption"]) == [("x",), ("y",)]
    with tarfile.open(path) as tar:
        for row in rows.itertuples():
            info = tar.getmember(str(row.member))
            file = tar.extractfile(info)
            assert file is not None
            assert (row.offset, row.size) == (info.offset_data, info.size)
            place = Source(path=Path(str(row.image)), member=info.name, offset=info.offset_data, size=info.size)
            assert encoded(place) == file.read()


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_all_kinds_of_tars_are_read(tmp_path: Path, kind: int) -> None:
    with tarfile.open(tmp_path / "s.tar", "w", format=kind) as tar:
        for name in ("b/x.png", "b/y.png"):
            info = tarfile.TarInfo(name)
            info.size = len(images.some(0))
            tar.addfile(info, io.BytesIO(images.some(0)))
    found = list(shard.members(tmp_path / "s.tar"))
    assert all(isinstance(one, Member) for one in found)
    assert [one.name for one in found] == ["b/x.png", "b/y.png"]


def test_keys_end_at_the_first_dot_of_the_last_part(tmp_path: Path) -> None:
    path = images.write_shard(
        tmp_path / "s.tar",
        {
            "v1.0/7.jpg": images.some(0),
            "v1.0/7.txt": b"seven",
            "./8.PNG": images.some(1),
            "./8.txt": b" eight\n",
            "8.seg.png": images.some(2),
            ".hidden.png": images.some(2),
            "README": b"x",
            "9.txt": b"alone",
        },
    )
    found = from_webdataset(path, POOL)
    assert list(found.rows["caption"]) == [("seven",), ("eight",)]
    assert {(one.where.split(": ")[-1], one.bad) for one in found.skipped} == {
        ("8.seg.png", False),
        (".hidden.png", False),
        ("README", False),
        ("9", True),
    }


def test_captions_and_classes_come_from_any_field(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("cat\ndog\nbird\n")
    texts: dict[str, dict[str, Any]] = {
        "a": {"a.cls": b"1\n", "a.txt": b"of a"},
        "b": {"b.json": json.dumps({"caption": ["b1", "b2"], "label": 0}).encode()},
        "c": {"c.json": json.dumps({"text": "of c", "class": "cat"}).encode()},
        "d": {"d.cls.txt": b"dog", "d.json": b'{"text": "of d"}'},
        "e": {"e.cls": b"0"},
    }
    members: dict[str, bytes] = {}
    for i, (key, fields) in enumerate(texts.items()):
        members |= {f"{key}.png": images.some(i), **fields}
    path = images.write_shard(tmp_path / "s.tar", members)
    options = WebDatasetOptions(data=DataSet(captions=("a {}.",)), classes=tmp_path / "names.txt", split="test")
    rows = from_webdataset(path, options).rows
    assert list(rows["caption"]) == [("of a",), ("b1", "b2"), ("of c",), ("of d",), ("a cat.",), None]
    assert list(rows["concept"]) == ["dog", "cat", "cat", "dog", "cat", "bird"]
    assert list(rows["split"]) == [*["test"] * 5, "label"]
    assert set(rows["dataset"]) == {"s"}


def test_keys_of_json_can_be_named(tmp_path: Path) -> None:
    said = json.dumps({"text": "no", "alt": "yes", "class": "no", "species": "lynx"}).encode()
    path = images.write_shard(tmp_path / "s.tar", {"a.png": images.some(0), "a.json": said, "a.txt": b"no"})
    row = from_webdataset(path, WebDatasetOptions(caption_key="alt", concept_key="species")).rows.iloc[0]
    assert (row["caption"], row["concept"]) == (("yes",), "lynx")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"a.txt": b"x"}, "a sample without an image"),
        ({"a.png": b"1", "a.jpg": b"2"}, "a sample of more than one image"),
        ({"a.png": b"1", "a.json": b"{"}, "its json cannot be read"),
        ({"a.png": b"1", "a.json": b"[" * 100_000}, "its json cannot be read"),
        ({"a.png": b"1", "a.json": b"[1]"}, "its json is no object"),
        ({"a.png": b"1", "a.json": b'{"text": 7}'}, "its caption is neither a text nor a list of texts"),
        ({"a.png": b"1", "a.json": b'{"class": 1.5}'}, "its class is neither a name nor a number"),
        ({"a.png": b"1", "a.cls": b"-1"}, "its cls is '-1', not the number of a class"),
        ({"a.png": b"1", "a.cls": b"9"}, "its class is number 9; --classes names 0 to 1"),
        ({"a.png": b"1", "a.txt": b"\xff"}, "its txt is not UTF-8 text"),
        ({"../a.png": b"1"}, "its name leaves the shard by .."),
    ],
)
def test_bad_samples_are_named_and_others_kept(tmp_path: Path, fields: dict[str, bytes], reason: str) -> None:
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    path = images.write_shard(tmp_path / "s.tar", {**fields, "z.png": images.some(0), "z.txt": b"z"})
    found = from_webdataset(path, WebDatasetOptions(classes=tmp_path / "names.txt", split="train"))
    assert [one.reason.startswith(reason) for one in found.skipped if one.bad] == [True]
    assert list(found.rows["caption"].dropna()) == [("z",)]


def test_numbers_of_classes_need_names(tmp_path: Path) -> None:
    path = images.write_shard(tmp_path / "s.tar", {"a.png": images.some(0), "a.cls": b"1"})
    with pytest.raises(ConfigError, match="classes are numbers; say their names with --classes FILE"):
        from_webdataset(path, WebDatasetOptions())


# -- many shards -------------------------------------------------------------------------------------------------------


def test_shards_are_a_folder_a_tar_or_a_pattern(tmp_path: Path) -> None:
    for i in range(12):
        images.write_shard(tmp_path / "in" / f"{i:03}.tar", images.samples(1, first=i))
    names = [f"{i:03}.tar" for i in range(12)]
    for path, wanted in (
        ("in", names),
        ("in/003.tar", names[3:4]),
        ("in/{000..011}.tar", names),
        ("in/{008..010}.tar", names[8:11]),
        ("in/00{1,3}.tar", ["001.tar", "003.tar"]),
        ("in/0*.tar", names),
        ("in/00?.tar", names[:10]),
        ("{in,in}/00{1..1}.tar", ["001.tar", "001.tar"]),
    ):
        assert [one.name for one in shards_of(tmp_path / path)] == wanted
    found = from_webdataset(tmp_path / "in" / "{000..011}.tar", POOL)
    assert len(found.rows) == 12
    assert set(found.rows["dataset"]) == {"in"}
    assert set(found.rows["split"]) == {"train"}
    assert found.rows["concept"].isna().all()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("{000..003}.tar", "{000..003}.tar: 4 of its 4 shards are not there; the first is "),
        ("none.tar", "none.tar: there is no such shard"),
        ("*.tar", "no .tar is there"),
        (".", "no .tar is there; give a folder of shards, a .tar or a pattern; a.tar.gz is compressed"),
        ("{0..9999999}.tar", "more than a million shards"),
    ],
)
def test_shards_that_are_not_there_are_refused(tmp_path: Path, path: str, said: str) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"x")
    with pytest.raises(ConfigError) as raised:
        shards_of(tmp_path / path)
    assert said in str(raised.value)


def test_folders_of_train_and_test_divide(tmp_path: Path) -> None:
    images.write_shard(tmp_path / "d" / "train" / "0.tar", images.samples(8))
    images.write_shard(tmp_path / "d" / "test" / "0.tar", images.samples(4, first=8))
    rows = from_webdataset(tmp_path / "d", WebDatasetOptions()).rows
    assert rows.groupby("split").size().to_dict() == {"train": 8, "test": 4}
    with pytest.raises(ConfigError, match=r"--test-share: .* is divided into folders already"):
        from_webdataset(tmp_path / "d", WebDatasetOptions(division=Division(test_share=0.5)))
    with pytest.raises(ConfigError, match=r"--split: .* is divided into folders already"):
        from_webdataset(tmp_path / "d", WebDatasetOptions(split="test"))


def test_samples_are_divided_by_class(tmp_path: Path) -> None:
    path = images.write_shard(tmp_path / "s.tar", images.samples(40))
    rows = from_webdataset(path, WebDatasetOptions()).rows
    assert rows.groupby(["concept", "split"]).size().to_dict() == {
        (name, split): n for name in images.CLASSES[:4] for split, n in (("train", 8), ("test", 2))
    }
    write_manifest(from_webdataset(path, WebDatasetOptions()), Target(out=tmp_path / "m.parquet"))


def test_options_of_wrong_values_are_refused() -> None:
    with pytest.raises(ConfigError, match="--split: 'label' given; allowed: train, test"):
        WebDatasetOptions(split="label")
    with pytest.raises(ConfigError, match="--split and --test-share"):
        WebDatasetOptions(split="test", division=Division(test_share=0.1))


# -- shards that are damaged -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz"])
def test_compressed_tars_are_refused_with_the_reason(tmp_path: Path, compression: str) -> None:
    path = images.write_shard(tmp_path / "s.tar", images.samples(1), compression=compression)
    with pytest.raises(
        ConfigError, match="images are read from shards by their offsets, which needs uncompressed tars"
    ):
        from_webdataset(path, POOL)


@pytest.mark.parametrize("content", [b"", b"this is no tar", b"x" * 2000, images.some(0) * 10])
def test_what_is_no_tar_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.tar").write_bytes(content)
    with pytest.raises(ConfigError, match=r"not a tar|an empty file"):
        from_webdataset(tmp_path / "s.tar", POOL)


def test_an_empty_tar_has_no_samples(tmp_path: Path) -> None:
    path = images.write_shard(tmp_path / "s.tar", {})
    with pytest.raises(ConfigError, match="the shards hold no samples"):
        from_webdataset(path, POOL)


def test_a_cut_at_any_place_is_found_and_what_is_whole_is_kept(tmp_path: Path) -> None:
    whole = images.write_shard(tmp_path / "whole.tar", images.samples(4)).read_bytes()
    ends = [0]
    with tarfile.open(tmp_path / "whole.tar") as tar:
        ends += [one.offset_data + -(-one.size // 512) * 512 for one in tar.getmembers()]
    for cut in range(512, ends[-1] + 512, 200):
        (tmp_path / "cut.tar").write_bytes(whole[:cut])
        found = list(shard.members(tmp_path / "cut.tar"))
        damaged = [one for one in found if isinstance(one, Damage)]
        read = [one for one in found if isinstance(one, Member)]
        assert len(damaged) == 1, cut
        assert all(one.offset + one.size <= cut for one in read)
        assert len(read) >= sum(end <= cut for end in ends[1:])


def test_a_shard_without_damage_ends_at_its_mark(tmp_path: Path) -> None:
    path = images.write_shard(tmp_path / "s.tar", images.samples(2))
    assert not any(isinstance(one, Damage) for one in shard.members(path))
    twice = tmp_path / "twice.tar"
    twice.write_bytes(path.read_bytes() + path.read_bytes())
    assert [one.reason for one in shard.members(twice) if isinstance(one, Damage)] == [
        "there is more after the end mark that follows 000001.cls.txt; make one tar of it"
    ]


def test_damage_in_the_middle_is_found(tmp_path: Path) -> None:
    path = images.write_shard(tmp_path / "s.tar", images.samples(3))
    content = bytearray(path.read_bytes())
    with tarfile.open(path) as tar:
        at = tar.getmember("000001.png").offset
    content[at : at + 512] = b"\xaa" * 512
    path.write_bytes(content)
    *read, last = shard.members(path)
    assert isinstance(last, Damage)
    assert "the shard is damaged, after 000000.cls.txt" in last.reason
    assert len(read) == 3


def test_a_cut_shard_is_an_error_or_skipped_and_listed(tmp_path: Path) -> None:
    path = images.write_shard(tmp_path / "s.tar", images.samples(6))
    with tarfile.open(path) as tar:
        at = tar.getmember("000004.png").offset_data
    path.write_bytes(path.read_bytes()[: at + 100])
    out = tmp_path / "m.parquet"
    with pytest.raises(ConfigError) as raised:
        write_manifest(from_webdataset(path, POOL), Target(out=out))
    what = "the shard ends early, within 000004.png; 4 samples before that are read, and all behind it are lost"
    assert str(raised.value).splitlines()[:2] == [
        "1 damaged shards cannot be used, and nothing is written",
        f"  {path}: {what}",
    ]
    assert not out.exists()
    outcome = write_manifest(from_webdataset(path, POOL), Target(out=out, on_bad="skip"))
    assert len(outcome.added) == 4
    assert what in (tmp_path / "m.skipped.csv").read_text()
    assert len(manifest.read(out)) == 4


def test_links_in_a_shard_are_bad(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        info = tarfile.TarInfo("a.png")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
        tar.addfile(tarfile.TarInfo("folder/"))
    found = from_webdataset(tmp_path / "s.tar", POOL)
    assert ["a link" in one.reason for one in found.skipped if one.bad] == [True]


def test_a_sample_of_the_pool_without_caption_is_bad(tmp_path: Path) -> None:
    members = {"a.png": images.some(0), "b.png": images.some(1), "b.txt": b"  ", "c.png": images.some(2), "c.txt": b"c"}
    path = images.write_shard(tmp_path / "s.tar", members)
    outcome = write_manifest(from_webdataset(path, POOL), Target(out=tmp_path / "m.parquet", on_bad="skip"))
    assert list(outcome.added["member"]) == ["c.png"]
    assert [one.reason for one in outcome.skipped] == ["it has no caption, or an empty one"] * 2
