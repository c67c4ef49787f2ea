"""The manifest: what is read is what was written, and every rule is named where, and only where, it is broken."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.frozen import ConfigError
from trainables.workloads.clip.data import manifest

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=12)


def row(**values: Any) -> dict[str, Any]:
    base = {"image": "a.jpg", "caption": ("a dog",), "concept": "dog", "dataset": "d", "split": "train"}
    return {**base, "group": "adapt", **values}


def sound() -> list[dict[str, Any]]:
    """Rows without any problem: two classes of an adapt set, a held-out set, a retrieval set and a pool."""
    rows = [
        row(image=f"{dataset}/{split}/{concept}.jpg", concept=concept, dataset=dataset, split=split, group=group)
        for dataset, group, splits in (("d", "adapt", ("train", "test")), ("h", "holdout", ("test",)))
        for split in splits
        for concept in ("dog", "cat")
    ]
    retrieved = row(dataset="r", group="holdout", split="test", kind="retrieval", concept=None, image="r.jpg")
    return [*rows, retrieved, row(dataset="p", group="pool", concept=None, image="p.jpg")]


def framed(rows: list[dict[str, Any]]) -> pd.DataFrame:
    columns = (*manifest.REQUIRED, *manifest.OPTIONAL)
    table = {name: pd.Series([one.get(name) for one in rows], dtype=object) for name in columns}
    return manifest.canonical(pd.DataFrame(table))


def said(rows: list[dict[str, Any]]) -> dict[str, manifest.Problem]:
    return {one.what: one for one in manifest.problems(framed(rows))}


def test_a_sound_manifest_has_no_problem() -> None:
    assert manifest.problems(framed(sound())) == ()
    manifest.require_usable(framed(sound()), "m")


@pytest.mark.parametrize(
    ("wrong", "what", "fatal"),
    [
        ({"split": "val"}, "unknown splits: 'val'", True),
        ({"group": "other"}, "unknown groups: 'other'", True),
        ({"kind": "ranking"}, "unknown kinds: 'ranking'", True),
        ({"caption": ("bad \udcff",)}, "captions with characters that are no text", True),
        ({"concept": "nul \x00"}, "concepts with characters that are no text", True),
        ({"dataset": None}, "rows without a dataset", True),
        ({"dataset": "a/b"}, "datasets with a / in their name", True),
        ({"dataset": 7}, "datasets that are no text", True),
        ({"concept": 7, "image": "d/train/dog.jpg", "split": "test"}, "concepts that are no text", True),
        ({"image": None, "bytes": "text"}, "bytes that are no bytes", True),
        ({"concept": ["dog", "cat"]}, "concepts of more than one value", True),
        ({"image": None}, "rows without an image", True),
        ({"image": "../x.jpg"}, "paths that leave the manifest's folder by ..", True),
        ({"image": "a\\..\\..\\x.jpg"}, "paths that leave the manifest's folder by ..", True),
        ({"image": "s.tar", "member": "a/../../x.jpg"}, "members that leave their tar by ..", True),
        ({"image": "s.tar", "member": "x", "offset": -1, "size": 2}, "offsets that are no number of bytes", True),
        ({"image": "s.tar", "member": "x", "offset": 1, "size": "long"}, "sizes that are no number of bytes", True),
        ({"caption": None}, "empty captions", True),
        ({"caption": ("fine", "  ")}, "empty captions", True),
        ({"concept": None}, "rows without a concept", True),
        ({"concept": "  "}, "rows without a concept", True),
        ({"metric": "recall@0"}, "unknown metrics", True),
        ({"templates": ("a photo",)}, "templates without one {} for the class", True),
        ({"templates": ("{} and {}",)}, "templates without one {} for the class", True),
        ({"year": "soon"}, "years that are no number", True),
        ({"image": "d/train/cat.jpg", "concept": "cat"}, "rows that repeat an earlier one", False),
        ({"concept": "bird"}, "data set d: 1 classes have no test images: bird", False),
    ],
)
def test_a_wrong_row_is_named(wrong: dict[str, Any], what: str, fatal: bool) -> None:  # noqa: FBT001
    rows = [*sound(), row(**{"image": "new.jpg", **wrong})]
    found = said(rows)
    assert found[what].rows == (len(rows) - 1,)
    assert found[what].fatal is fatal
    assert found[what].instead


@pytest.mark.parametrize(
    ("keep", "what", "fatal"),
    [
        (lambda one: one["group"] != "pool", "there is no pool of pretraining data", False),
        (
            lambda one: one["group"] != "holdout",
            "there is no data set of group holdout, so retention cannot be measured",
            True,
        ),
        (
            lambda one: one["group"] != "adapt",
            "there is no data set of group adapt, so accumulation cannot be measured",
            True,
        ),
        (lambda one: (one["dataset"], one["split"]) != ("d", "test"), "data set d: it has no test images", True),
        (lambda one: (one["dataset"], one["split"]) != ("d", "train"), "data set d: it has no training images", True),
        (
            lambda one: (one["dataset"], one["concept"]) != ("h", "cat"),
            "data set h: it has one class only, which every model gets right",
            True,
        ),
    ],
)
def test_what_is_lacking_is_named(keep: Any, what: str, fatal: bool) -> None:  # noqa: FBT001
    assert said([one for one in sound() if keep(one)])[what].fatal is fatal


def test_no_rows_are_one_problem() -> None:
    assert [one.what for one in manifest.problems(framed([]))] == ["the manifest has no rows"]


def test_training_rows_of_what_is_held_out_are_noted() -> None:
    found = said([*sound(), row(dataset="h", group="holdout", image="h.jpg")])
    assert not found["training rows of held-out data sets, which nothing uses"].fatal


def test_rows_of_the_pool_are_trained_on_alone() -> None:
    found = said([*sound(), row(dataset="p", group="pool", split="test", image="q.jpg")])
    assert found["rows of the pool that are not of split train"].fatal


def test_a_data_set_has_one_group() -> None:
    assert said([*sound(), row(dataset="d", group="holdout", split="test", image="x.jpg")])[
        "data set d: more than one group"
    ].fatal


def test_labels_need_no_image_and_make_classes() -> None:
    rows = [one for one in sound() if (one["dataset"], one["concept"]) != ("h", "cat")]
    label = row(dataset="h", group="holdout", split="label", image=None, caption=None, concept="bird")
    assert said([*rows, label]) == {}


def test_captions_are_needed_where_something_is_learnt_from_them() -> None:
    rows = framed([row(caption=None, split="test"), row(caption=None), row(caption=None, group="holdout")])
    assert list(manifest.without_caption(rows)) == [False, True, False]
    retrieved = framed([row(caption=None, split=split, kind="retrieval") for split in ("test", "label")])
    assert list(manifest.without_caption(retrieved)) == [True, False]


def test_require_usable_says_all_that_is_fatal() -> None:
    rows = [*sound(), row(image="../x.jpg", caption=None)]
    with pytest.raises(ConfigError) as raised:
        manifest.require_usable(framed(rows), "m.parquet")
    lines = str(raised.value).splitlines()
    assert len(lines) == 2
    assert all(line.startswith("m.parquet: 1 rows (8): ") for line in lines)


@pytest.mark.parametrize(
    ("value", "year"), [(2021, 2021.0), ("2021", 2021.0), ("2021-01-01", 2021.0), ("2020-07-01", 2020 + 182 / 366)]
)
def test_years_and_dates(value: Any, year: float) -> None:
    assert manifest.is_year(value)
    assert manifest.as_year(value) == pytest.approx(year)


def test_what_is_no_year() -> None:
    assert not any(map(manifest.is_year, ("soon", "nan", "inf", "2021-13-01", None)))


# -- reading and writing -----------------------------------------------------------------------------------------------


def test_parquet_gives_back_what_was_written(tmp_path: Path) -> None:
    rows = sound()
    rows[0] |= {"caption": ("one", 'two, "quoted"\nover lines'), "templates": ("a {}.",), "year": "2021-03-01"}
    rows[1] |= {"image": "s.tar", "member": "a/x.jpg", "offset": 2**40, "size": 12, "sha256": "0" * 64, "year": "7"}
    rows[2] |= {"image": None, "bytes": b"\x00\xff", "metric": "mean_per_class_accuracy"}
    frame = framed(rows)
    before = frame.copy(deep=True)
    manifest.write(frame, tmp_path / "new" / "m.parquet")
    pd.testing.assert_frame_equal(frame, before)
    pd.testing.assert_frame_equal(manifest.read(tmp_path / "new" / "m.parquet"), frame)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["m.parquet"]


def test_csv_says_the_same_as_parquet(tmp_path: Path) -> None:
    rows = sound()
    rows[0] |= {"caption": ("one", "two"), "image": "s.tar", "member": "x", "offset": 512, "size": 12, "year": "2020"}
    rows[1] |= {"concept": "NA", "caption": ("null",)}
    frame = framed(rows)
    flat = frame.drop(columns="bytes").assign(
        caption=[json.dumps(list(texts)) if len(texts) > 1 else texts[0] for texts in frame["caption"]]
    )
    flat.to_csv(tmp_path / "m.csv", index=False)
    pd.testing.assert_frame_equal(manifest.read(tmp_path / "m.csv"), frame)
    (tmp_path / "marked.csv").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "m.csv").read_bytes())
    pd.testing.assert_frame_equal(manifest.read(tmp_path / "marked.csv"), frame)


def test_numbers_and_dates_of_one_column_are_written(tmp_path: Path) -> None:
    manifest.write(framed([row(year=2021), row(year="2021-03-01"), row(year=2020.5)]), tmp_path / "m.parquet")
    years = manifest.read(tmp_path / "m.parquet")["year"]
    assert [manifest.as_year(year) for year in years] == [2021, 2021 + 59 / 366, 2020.5]


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    manifest.write(framed(sound()), path)
    before = path.read_bytes()
    with pytest.raises(UnicodeEncodeError):
        manifest.write(framed([row(concept="\udcff")]), path)
    assert path.read_bytes() == before
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(OSError, match="directory"):
        manifest.write(framed(sound()), tmp_path / "folder.parquet")
    assert {one.name for one in tmp_path.iterdir()} == {"m.parquet", "folder.parquet"}


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("m.parquet", b"no parquet", "cannot be read as a manifest"),
        ("m.csv", b"image,caption\na,b\n", "the columns concept, dataset, split, group are missing"),
        ("m.csv", b"image\n\xff\xfe\n", "cannot be read as a manifest"),
        ("m.csv", b"", "cannot be read as a manifest"),
        ("m.csv", b"image,caption\na,b,c,d\ne,f,g,h,i\n", "cannot be read as a manifest"),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, name: str, content: bytes, what: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=what):
        manifest.read(tmp_path / name)


def test_a_missing_manifest_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file; make a manifest with `retune data import`"):
        manifest.read(tmp_path / "m.parquet")


# -- whatever users write ----------------------------------------------------------------------------------------------

ANY = st.one_of(
    st.none(), st.text(max_size=6), st.integers(-5, 5), st.floats(), st.just(pd.NA), st.booleans(), st.just(["x"])
)
ROW = st.fixed_dictionaries(
    {
        "image": st.one_of(ANY, st.sampled_from(["a.jpg", "../a.jpg"])),
        "caption": st.one_of(ANY, st.lists(st.text(max_size=4), max_size=2)),
        "concept": st.one_of(ANY, st.sampled_from(["dog", "cat"])),
        "dataset": st.one_of(ANY, st.sampled_from(["d", "h"])),
        "split": st.one_of(st.sampled_from(manifest.SPLITS), ANY),
        "group": st.one_of(st.sampled_from(manifest.GROUPS), ANY),
        "kind": st.one_of(st.none(), st.sampled_from(manifest.KINDS), ANY),
        "year": ANY,
        "templates": st.one_of(ANY, st.lists(st.text(max_size=4), max_size=2)),
        "metric": ANY,
        "member": ANY,
        "sha256": ANY,
        "bytes": ANY,
        "offset": ANY,
        "size": ANY,
    }
)


@given(st.lists(ROW, max_size=6))
def test_problems_are_found_in_any_table_and_name_rows_that_are_there(rows: list[dict[str, Any]]) -> None:
    frame = framed(rows)
    before = frame.copy(deep=True)
    for one in manifest.problems(frame):
        assert set(one.rows) <= set(range(len(rows)))
        assert str(one)
    pd.testing.assert_frame_equal(frame, before)


@given(st.lists(ROW, min_size=1, max_size=6))
def test_canonical_is_a_fixed_point(rows: list[dict[str, Any]]) -> None:
    frame = framed(rows)
    pd.testing.assert_frame_equal(manifest.canonical(frame), frame)


@given(captions=st.lists(st.lists(TEXT, min_size=1, max_size=3), min_size=1, max_size=4), concept=TEXT)
def test_any_text_survives_parquet(tmp_path_factory: pytest.TempPathFactory, captions: Any, concept: str) -> None:
    frame = framed([row(caption=tuple(texts), concept=concept) for texts in captions])
    path = tmp_path_factory.getbasetemp() / "any.parquet"
    manifest.write(frame, path)
    pd.testing.assert_frame_equal(manifest.read(path), frame)
