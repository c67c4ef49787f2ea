"""Decoding of images: against Pillow's own, and of broken files."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import images
from trainables.workloads.clip.data.images import ImageError, Source, decoded, encoded

ODD = images.odd_images()
BROKEN = images.broken_images()


@pytest.mark.parametrize("name", ODD)
def test_odd_images_are_decoded_as_they_are_stored(name: str) -> None:
    found = decoded(ODD[name], name)
    with Image.open(io.BytesIO(ODD[name])) as image:
        assert (found.mode, found.size) == (image.mode, image.size)
        assert np.array_equal(np.asarray(found), np.asarray(image))


def test_colours_are_those_that_were_painted() -> None:
    red = images.shape("red circle", 0)
    assert np.array_equal(np.asarray(decoded(images.encoded(red), "red")), np.asarray(red))
    assert np.array_equal(np.asarray(decoded(ODD["lossless.webp"], "red")), np.asarray(red))
    assert np.asarray(decoded(ODD["one-pixel.png"], "pixel")).tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize("name", BROKEN)
def test_broken_images_are_refused_by_name(name: str) -> None:
    with pytest.raises(ImageError, match=f"^here/{name}: "):
        decoded(BROKEN[name], f"here/{name}")


@pytest.mark.parametrize("side", [60_000, 12_000])
def test_a_bomb_is_refused_before_it_takes_memory(side: int) -> None:
    """One that Pillow refuses, and one that it would only warn of."""
    with pytest.raises(
        ImageError, match=f"{side} x {side} pixels; allowed: |size \\({side**2} pixels\\).*; make it smaller"
    ):
        decoded(images.bomb(side, side), "bomb")


def test_the_largest_allowed_size_is_decoded_as_far_as_it_goes() -> None:
    with pytest.raises(ImageError, match=r"truncated|cannot be decoded"):
        decoded(images.bomb(1000, 1000), "cut short")


def test_bytes_of_files_shards_and_tables_are_found(tmp_path: Path) -> None:
    content = images.some(0)
    (tmp_path / "a.png").write_bytes(content)
    images.write_shard(tmp_path / "s.tar", {"x.txt": b"hello", "a/x.png": content})
    assert encoded(Source(path=tmp_path / "a.png")) == content
    assert encoded(Source(path=tmp_path / "s.tar", member="a/x.png")) == content
    assert encoded(Source(path=tmp_path / "s.tar", member="a/x.png", offset=1536, size=len(content))) == content
    (tmp_path / "many.bin").write_bytes(b"12345" + content + b"67")
    assert encoded(Source(path=tmp_path / "many.bin", offset=5, size=len(content))) == content
    assert encoded(Source(data=content, sha256=hashlib.sha256(content).hexdigest())) == content


def test_what_is_not_there_or_has_changed_is_said(tmp_path: Path) -> None:
    shard = images.write_shard(tmp_path / "s.tar", {"x.png": images.some(0)})
    (tmp_path / "a.png").write_bytes(images.some(1))
    for source, said in (
        (Source(path=tmp_path / "b.png"), "cannot be read: No such file"),
        (Source(path=tmp_path), "cannot be read: Is a directory"),
        (Source(path=tmp_path / "nul\x00.png"), "cannot be read: embedded null"),
        (Source(path=shard, member="y.png"), "s.tar: y.png: cannot be read"),
        (Source(path=shard, member="x.png", offset=0, size=10**9), "cannot be read: the shard is cut short"),
        (Source(path=tmp_path / "a.png", sha256="0" * 64), "it has changed since it was imported; import it again"),
    ):
        with pytest.raises(ImageError, match=said):
            encoded(source)
