"""Files are written whole, whatever happens to writers; a cache of a machine is filled once, by whoever comes first."""

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from trainables.files import draft_folder, leftovers, locked, whole

_HOUR_AGO = time.time() - 3700

_WRITER = """
import sys, time
from pathlib import Path
from trainables.files import whole

with whole(Path(sys.argv[1])) as file, file.open("w") as out:
    out.write("half of the new")
    out.flush()
    print("writing", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.txt"
    path.write_text("old")
    return path


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def test_a_writer_that_is_killed_leaves_the_old_file_and_a_draft_that_goes_with_a_later_write(file: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _WRITER, file], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        writer.kill()
    assert file.read_text() == "old"
    (left,) = leftovers(file)
    assert left.read_text() == "half of the new"
    with whole(file) as made:  # the other one may be at work, for all that this one knows
        made.write_text("new")
    assert (file.read_text(), left.exists()) == ("new", True)
    os.utime(left, (_HOUR_AGO, _HOUR_AGO))
    with whole(file.with_name("file")) as made:
        made.write_text("another file")
    assert left.exists()
    with whole(file) as made:
        made.write_text("newer")
    assert list(leftovers(file)) == []
    assert file.read_text() == "newer"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(file: Path, error: type[BaseException]) -> None:
    def fail(made: Path) -> None:
        made.write_text("half of the new")
        raise error

    with pytest.raises(error), whole(file) as made:
        fail(made)
    assert [(path.name, path.read_text()) for path in file.parent.iterdir()] == [("file.txt", "old")]


def test_the_old_file_stays_until_the_new_one_is_on_the_disk(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"), whole(file) as made:
        made.write_text("new")
    assert [(path.name, path.read_text()) for path in file.parent.iterdir()] == [("file.txt", "old")]


@pytest.mark.usefixtures("umask")
def test_permissions_are_those_that_the_system_gives_to_new_files(tmp_path: Path) -> None:
    with whole(tmp_path / "text") as made:
        made.write_text("new")
    with whole(tmp_path / "weights") as made:
        save_file({"a": torch.zeros(1)}, made)  # this library makes files that only their owner can read
    assert [oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()] == ["0o640", "0o640"]


def test_the_path_may_be_relative_and_its_folders_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (Path("file"), Path("new/folder/file")):
        with whole(path) as made:
            made.write_text("new")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(tmp_path)) for path in files) == ["file", "new/folder/file"]


def test_of_two_writers_at_once_the_last_one_wins(file: Path) -> None:
    with whole(file) as last:
        last.write_text("half")
        with whole(file) as first:
            first.write_text("first")
        assert file.read_text() == "first"
        last.write_text("last")
    assert [(path.name, path.read_text()) for path in file.parent.iterdir()] == [("file.txt", "last")]


def test_a_reader_sees_no_mixture_of_writers_at_once(file: Path) -> None:
    def write(letter: str) -> None:
        for _ in range(10):
            with whole(file) as made:
                made.write_text(letter * 100_000)

    writers = [threading.Thread(target=write, args=(letter,)) for letter in "ab"]
    for writer in writers:
        writer.start()
    seen = {"old"}
    while any(writer.is_alive() for writer in writers):
        seen.add(file.read_text())
    for writer in writers:
        writer.join()
    assert seen <= {"old", "a" * 100_000, "b" * 100_000}
    assert [path.name for path in file.parent.iterdir()] == ["file.txt"]


def test_a_folder_that_was_not_renamed_is_gone_and_so_are_old_ones_of_killed_writers(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    with draft_folder(target) as killed:
        (killed / "file").write_text("of a killed writer")
        os.utime(killed, (_HOUR_AGO, _HOUR_AGO))
        with draft_folder(target):
            assert killed.exists()  # its file is young: a writer may be at work
        os.utime(killed / "file", (_HOUR_AGO, _HOUR_AGO))
        with draft_folder(target) as made:
            assert not killed.exists()
            (made / "file").write_text("new")
            made.rename(target)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["folder", "folder/file"]


_MAKER = """
import sys, time
from pathlib import Path
from trainables.workloads.concept_facts import cached_fact
import numpy as np

def find():
    with (Path(sys.argv[1]) / "made").open("a") as file:
        file.write("x")
    print("making", flush=True)
    time.sleep(float(sys.argv[2]))
    return np.arange(3)

assert cached_fact("loss", ["of these"], Path(sys.argv[1]), find).tolist() == [0, 1, 2]
"""


def start(folder: Path, seconds: float) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", _MAKER, folder, str(seconds)], stdout=subprocess.PIPE, text=True)


def test_one_process_fills_the_cache_and_the_others_wait_for_it(tmp_path: Path) -> None:
    makers = [start(tmp_path, 1.0) for _ in range(3)]
    assert [maker.wait(timeout=60) for maker in makers] == [0] * 3
    for maker in makers:
        maker.communicate()
    assert (tmp_path / "made").read_text() == "x"
    assert [path.suffix for path in (tmp_path / "facts").iterdir()] == [".npy"]


def test_a_maker_that_is_killed_leaves_the_lock_to_the_next(tmp_path: Path) -> None:
    first = start(tmp_path, 600.0)
    assert first.stdout is not None
    assert first.stdout.readline() == "making\n"
    second = start(tmp_path, 0.0)
    time.sleep(0.2)
    first.kill()
    first.communicate()
    assert second.wait(timeout=60) == 0
    second.communicate()
    assert (tmp_path / "made").read_text() == "xx"


def test_a_lock_leaves_nothing_behind(tmp_path: Path) -> None:
    with locked(tmp_path / "new" / "file"):
        assert [path.name for path in (tmp_path / "new").iterdir()] == [".file.lock"]
    assert list((tmp_path / "new").iterdir()) == []
