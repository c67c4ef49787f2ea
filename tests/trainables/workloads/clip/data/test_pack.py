"""Packs: the rows of a manifest in their order, tokens, digests that follow the content, and images that are found."""

import hashlib
import io
import tarfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from trainables.frozen import ConfigError
from trainables.workloads.clip.data import manifest
from trainables.workloads.clip.data.images import ImageError, decoded, encoded
from trainables.workloads.clip.data.pack import Pack, pack

SEEN_AS = {"size": 8}


def tokenize(texts: Sequence[str]) -> NDArray[np.int32]:
    """Length of a text, and its first two characters."""
    rows = np.zeros((len(texts), 4), dtype=np.int32)
    for row, text in zip(rows, texts, strict=True):
        row[:3] = len(text), *(ord(one) for one in (text + "  ")[:2])
    return rows


def cut(texts: Sequence[str], tokens: NDArray[np.int32]) -> int:
    """Texts of more than six characters."""
    return int((tokens[:, 0] > 6).sum()) if len(texts) else 0


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def row(folder: Path, seed: int, **values: Any) -> dict[str, Any]:
    """A row with an image file of its own."""
    name = f"images/{seed}.png"
    (folder / "images").mkdir(exist_ok=True)
    (folder / name).write_bytes(png(seed))
    return {
        "image": name,
        "caption": None,
        "concept": None,
        "dataset": "d",
        "split": "train",
        "group": "adapt",
        **values,
    }


def rows(folder: Path) -> list[dict[str, Any]]:
    """An adapt set of two classes, a held-out one of three, of which one has no image, a retrieval set, and a pool."""
    return [
        row(folder, 0, caption="a cat", concept="cat", year=2020),
        row(folder, 1, caption=["a dog", "hound"], concept="dog", year="2019-07-01"),
        row(folder, 2, caption="another cat", concept="cat", year=2018),
        row(folder, 3, concept="cat", split="test", templates=["a {}", "the {}"]),
        row(folder, 4, concept="dog", split="test"),
        row(folder, 5, concept="z", split="test", dataset="b", group="holdout", metric="mean_per_class_accuracy"),
        row(folder, 6, concept="y", split="test", dataset="b", group="holdout"),
        {"concept": "x", "split": "label", "dataset": "b", "group": "holdout"},
        row(folder, 7, caption=["one", "two"], split="test", dataset="r", group="holdout", kind="retrieval"),
        row(folder, 8, caption=["three"], split="test", dataset="r", group="holdout", kind="retrieval"),
        row(folder, 9, caption="web", dataset="web", group="pool"),
        row(folder, 10, caption="site", dataset="web", group="pool"),
    ]


def write(path: Path, some: list[dict[str, Any]]) -> Path:
    manifest.write(pd.DataFrame(some, columns=[*manifest.REQUIRED, *manifest.OPTIONAL]), path)
    return path


def packed(path: Path, cache: Path) -> Pack:
    return pack(path, seen_as=SEEN_AS, tokenize=tokenize, cut=cut, cache=cache)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "m.parquet", rows(tmp_path))


def test_rows_stand_in_the_order_test_adapt_pool(path: Path, tmp_path: Path) -> None:
    got = packed(path, tmp_path / "cache")
    assert [(one.name, one.group, one.metric, one.classes) for one in got.tests] == [
        ("b", "holdout", "mean_per_class_accuracy", ("x", "y", "z")),
        ("d", "adapt", "accuracy", ("cat", "dog")),
        ("r", "holdout", "recall@5", ()),
    ]
    assert [one.rows for one in got.tests] == [range(2), range(2, 4), range(4, 6)]
    assert [(one.name, one.rows, one.concepts) for one in got.train] == [
        ("d", range(6, 9), ("cat", "dog")),
        ("", range(9, 11), ()),
    ]
    assert got.concepts == ("d/cat", "d/dog")
    assert list(got.array("concept")) == [2, 1, 0, 1, -1, -1, 0, 1, 0, -1, -1]
    assert got.years[0] == 2018
    assert got.years[1] == pytest.approx(2019.5, abs=0.01)
    assert got.pool_captions() == (("web",), ("site",))


def test_images_are_those_of_their_rows(path: Path, tmp_path: Path) -> None:
    got = packed(path, tmp_path / "cache")
    seeds = [5, 6, 3, 4, 7, 8, 0, 1, 2, 9, 10]
    assert len(got) == len(seeds)
    for i, seed in enumerate(seeds):
        assert encoded(got.source(i)) == png(seed)


def test_captions_and_prompts_are_tokens(path: Path, tmp_path: Path) -> None:
    got = packed(path, tmp_path / "cache")
    first, tokens = got.array("first"), got.array("tokens")
    captions = [(), (), (), (), ("one", "two"), ("three",), ("a cat",), ("a dog", "hound"), ("another cat",)]
    for i, texts in enumerate(captions):
        np.testing.assert_array_equal(tokens[first[i] : first[i + 1]], tokenize(texts))
    np.testing.assert_array_equal(got.array("prompts-d")[1], tokenize(["a dog", "the dog"]))
    np.testing.assert_array_equal(got.array("prompts-b")[0], tokenize(["a photo of a x."]))


def test_texts_that_are_cut_are_counted_once_where_they_are_read(path: Path, tmp_path: Path) -> None:
    """More than six characters: "another cat" of one, two, three, a cat, a dog, hound, web, site. All prompts count."""
    assert packed(path, tmp_path / "cache").cut == {"captions": (1, 9), "prompts": (5, 7)}


def digests(path: Path, some: list[dict[str, Any]], cache: Path) -> tuple[str, str]:
    got = packed(write(path, some), cache)
    return got.data, got.suite


def test_digests_follow_the_content_and_not_the_place(path: Path, tmp_path: Path) -> None:
    here, cache = rows(tmp_path), tmp_path / "cache"
    data, suite = digests(path, here, cache)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert digests(elsewhere / "n.parquet", rows(elsewhere), cache) == (data, suite)
    here[0]["sha256"] = hashlib.sha256(png(0)).hexdigest()  # what is computed when it is left out
    assert digests(path, here, cache) == (data, suite)

    def changed(i: int, **values: Any) -> tuple[bool, bool]:
        some = [{**one, **values} if j == i else one for j, one in enumerate(here)]
        new = digests(path, some, cache)
        return new[0] != data, new[1] != suite

    assert changed(0, caption="a lion") == (True, False)
    assert changed(1, image=here[2]["image"]) == (True, False)
    assert changed(4, caption="a test") == (False, False)  # nothing reads it
    assert changed(4, image=here[3]["image"]) == (False, True)
    assert changed(3, templates=["some {}"]) == (False, True)
    assert changed(8, caption=["two", "one"]) == (False, True)
    assert changed(10, caption="internet") == (True, False)


def test_bytes_of_the_table_and_members_of_shards_are_found(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "shard.tar", "w") as shard:
        info = tarfile.TarInfo("a/b.png")
        info.size = len(png(1))
        shard.addfile(info, io.BytesIO(png(1)))
    some = rows(tmp_path)
    some[0] |= {"image": None, "bytes": png(0)}
    some[1] |= {"image": "shard.tar", "member": "a/b.png"}
    got = packed(write(tmp_path / "m.parquet", some), tmp_path / "cache")
    assert encoded(got.source(6)) == png(0)
    assert encoded(got.source(7)) == png(1)


def test_an_image_that_changed_is_refused(path: Path, tmp_path: Path) -> None:
    got = packed(path, tmp_path / "cache")
    (tmp_path / "images" / "0.png").write_bytes(png(99))
    with pytest.raises(ImageError, match=r"0\.png: it has changed since it was imported"):
        encoded(got.source(6))
    assert decoded(encoded(got.source(7)), "1").size == (9, 9)


def test_wrong_manifests_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    some = rows(tmp_path)
    some[0]["caption"] = " "
    with pytest.raises(ConfigError, match="empty captions"):
        packed(write(tmp_path / "m.parquet", some), tmp_path / "cache")
    some = rows(tmp_path)
    (tmp_path / "images" / "4.png").unlink()
    with pytest.raises(ConfigError, match=r"images/4\.png: cannot be read"):
        packed(write(tmp_path / "m.parquet", some), tmp_path / "cache")
    assert not [*(tmp_path / "cache").rglob("pack.json")]
    assert not [*(tmp_path / "cache").rglob("*.tmp")]
    with pytest.raises(ConfigError, match="make one with `retune data import`"):
        packed(tmp_path / "none.parquet", tmp_path / "cache")


def _digest_of(path: Path, cache: Path) -> str:
    return packed(path, cache).data


def test_several_processes_make_one(path: Path, tmp_path: Path) -> None:
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as processes:
        found = [processes.submit(_digest_of, path, tmp_path / "cache") for _ in range(3)]
        assert len({one.result() for one in found}) == 1
    assert len([*(tmp_path / "cache" / "data").iterdir()]) == 1
