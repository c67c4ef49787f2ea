"""The cache of decoded images: decoded once, by several processes, through kills, damage, full disks and bounds."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trainables.workloads.clip.data.images import ImageError, Source
from trainables.workloads.clip.data.pixels import Bytes, Pixels, Rows

SIZE = (5, 7)
LENGTH = 40


def image(row: int) -> Bytes:
    return np.random.default_rng(row).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def source(row: int) -> Source:
    return Source(member=str(row), data=b"")


class Decoder:
    """Draws the image of a row, and counts."""

    def __init__(self) -> None:
        self.calls: Counter[int] = Counter()

    def __call__(self, one: Source) -> Bytes:
        row = int(one.member or "")
        self.calls[row] += 1
        return image(row)


def opened(folder: Path, decode: Callable[[Source], Bytes], most_bytes: int | None = None) -> Pixels:
    return Pixels(folder, sources=source, length=LENGTH, decode=decode, size=SIZE, most_bytes=most_bytes)


def rows(*some: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(some, dtype=np.int64)


def test_each_row_is_decoded_once_and_later_read(tmp_path: Path) -> None:
    decode = Decoder()
    images = opened(tmp_path, decode)
    np.testing.assert_array_equal(images[rows(3, 1, 3)], np.stack([image(3), image(1), image(3)]))
    np.testing.assert_array_equal(images.missing(np.arange(5)), [0, 2, 4])
    again = opened(tmp_path, decode)
    np.testing.assert_array_equal(again[rows(1, 3, 4)], np.stack([image(1), image(3), image(4)]))
    assert decode.calls.keys() == {1, 3, 4}
    assert decode.calls[1] == decode.calls[4] == 1


def test_what_is_read_may_be_changed_by_the_reader(tmp_path: Path) -> None:
    images = opened(tmp_path, Decoder())
    images[rows(0)][:] = 0
    np.testing.assert_array_equal(images[rows(0)][0], image(0))


def test_beyond_the_bound_rows_are_decoded_each_time(tmp_path: Path) -> None:
    decode = Decoder()
    images = opened(tmp_path, decode, most_bytes=10 * SIZE[0] * SIZE[1] * 3 + 1)
    assert images.cached == 10
    for _ in range(2):
        np.testing.assert_array_equal(images[rows(9, 10)], np.stack([image(9), image(10)]))
    assert (decode.calls[9], decode.calls[10]) == (1, 2)
    assert (tmp_path / "pixels.u8").stat().st_size == 10 * SIZE[0] * SIZE[1] * 3
    assert list(images.missing(np.arange(8, 12))) == [8]


def test_no_cache_at_all_still_gives_images(tmp_path: Path) -> None:
    images = opened(tmp_path, Decoder(), most_bytes=0)
    np.testing.assert_array_equal(images[rows(39)][0], image(39))


def test_another_bound_keeps_what_is_there(tmp_path: Path) -> None:
    decode = Decoder()
    small = opened(tmp_path, decode, most_bytes=1000)
    small[rows(0, 1)]
    large = opened(tmp_path, decode)
    np.testing.assert_array_equal(large[rows(0, 1, 30)], np.stack([image(0), image(1), image(30)]))
    opened(tmp_path, decode, most_bytes=1000)
    np.testing.assert_array_equal(opened(tmp_path, decode)[rows(30)][0], image(30))
    assert decode.calls[0] == decode.calls[30] == 1


@pytest.mark.parametrize("damage", ["flip", "zero", "cut"])
def test_damaged_rows_are_decoded_again(tmp_path: Path, damage: str) -> None:
    decode = Decoder()
    opened(tmp_path, decode)[np.arange(LENGTH)]
    path, size = tmp_path / "pixels.u8", SIZE[0] * SIZE[1] * 3
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[7 * size + 3] ^= 1
    elif damage == "zero":
        content[7 * size : 8 * size] = bytes(size)
    path.write_bytes(content[: 7 * size + 2] if damage == "cut" else content)
    np.testing.assert_array_equal(opened(tmp_path, decode)[rows(6, 7)], np.stack([image(6), image(7)]))
    assert (decode.calls[6], decode.calls[7]) == (1, 2)


def test_an_image_that_fails_leaves_no_trace(tmp_path: Path) -> None:
    def broken(_: Source) -> Bytes:
        raise ImageError("no image")

    with pytest.raises(ImageError):
        opened(tmp_path, broken)[rows(2)]
    images = opened(tmp_path, Decoder())
    assert 2 in images.missing(np.arange(LENGTH))
    np.testing.assert_array_equal(images[rows(2)][0], image(2))


def test_a_full_disk_costs_time_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = Decoder()
    images = opened(tmp_path, decode)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    for _ in range(2):
        np.testing.assert_array_equal(images[rows(5)][0], image(5))
    assert decode.calls[5] == 2


def test_a_run_of_rows_is_numbered_from_its_start(tmp_path: Path) -> None:
    run = Rows(opened(tmp_path, Decoder()), range(10, 14))
    assert len(run) == 4
    np.testing.assert_array_equal(run[rows(0, 3)], np.stack([image(10), image(13)]))


WORKER = """
    import sys, time
    from pathlib import Path
    import numpy as np
    from tests.trainables.workloads.clip.data import test_pixels as t
    def slow(source):
        time.sleep(0.002)
        return t.image(int(source.member))
    images = t.opened(Path(sys.argv[1]), slow)
    order = np.random.default_rng(int(sys.argv[2])).permutation(t.LENGTH)
    print("ready", flush=True)
    for _ in range(3):
        for row in order:
            assert (images[np.array([row])][0] == t.image(row)).all()
"""


def worker(folder: Path, seed: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", textwrap.dedent(WORKER), str(folder), str(seed)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_processes_share_it_and_a_killed_one_harms_nobody(tmp_path: Path) -> None:
    first, second, killed = (worker(tmp_path, seed) for seed in range(3))
    assert killed.stdout is not None
    assert killed.stdout.readline() == "ready\n"
    time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    assert [first.wait(60), second.wait(60)] == [0, 0]
    for process in (first, second, killed):
        process.communicate()
    decode = Decoder()
    images = opened(tmp_path, decode)
    np.testing.assert_array_equal(images[np.arange(LENGTH)], np.stack([image(row) for row in range(LENGTH)]))
    assert not decode.calls
