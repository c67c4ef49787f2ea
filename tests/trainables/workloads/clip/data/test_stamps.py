"""Stamps: what has to be looked at again, and what does not."""

import os
from pathlib import Path

from trainables.workloads.clip.data import stamps

NOW = 10**18


def written(folder: Path, *names: str, time: int = NOW - 1) -> list[str]:
    for name in names:
        (folder / name).write_text(name)
        os.utime(folder / name, ns=(time, time))
    return [str(folder / name) for name in names]


def test_what_is_as_it_was_raises_no_doubts(tmp_path: Path) -> None:
    files = written(tmp_path, "a", "b")
    stamps.keep(tmp_path, [*files, *files], known_at=NOW)
    assert stamps.doubts(tmp_path) == ((), ())


def test_missing_touched_overwritten_and_young_files_are_looked_at(tmp_path: Path) -> None:
    same, gone, touched, longer = written(tmp_path, "same", "gone", "touched", "longer")
    (young,) = written(tmp_path, "young", time=NOW + 1)
    stamps.keep(tmp_path, [same, gone, touched, longer, young], known_at=NOW)
    os.unlink(gone)
    os.utime(touched, ns=(NOW, NOW))
    (tmp_path / "longer").write_text("longer than before")
    os.utime(longer, ns=(NOW - 1, NOW - 1))
    assert stamps.doubts(tmp_path) == ((gone,), (touched, longer, young))
    stamps.settle(tmp_path, [touched, young])
    assert stamps.doubts(tmp_path) == ((gone,), (longer,))


def test_a_file_that_was_never_there_is_missing(tmp_path: Path) -> None:
    stamps.keep(tmp_path, [str(tmp_path / "none")], known_at=NOW)
    assert stamps.doubts(tmp_path).missing == (str(tmp_path / "none"),)


def test_no_files(tmp_path: Path) -> None:
    stamps.keep(tmp_path, [], known_at=NOW)
    assert stamps.doubts(tmp_path) == ((), ())
