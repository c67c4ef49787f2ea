"""Stamps of image files: the size and time at which each was last known to hold what its manifest says.

A file with the stamp that is kept needs no second look. Any other (touched, copied, overwritten) has to be read and
compared with its hash, whatever is decoded in the cache already: the manifest decides what an image is.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from pyarrow import feather

from trainables.files import whole

_FILE = "files.arrow"
_UNKNOWN = (-1, -1)


class Doubts(NamedTuple):
    """Doubtful files: those that are not there, and those whose stamp has changed."""

    missing: tuple[str, ...]
    others: tuple[str, ...]


def keep(folder: Path, files: Iterable[str], *, known_at: int) -> None:
    """Write the stamps of files; a file that is younger than `known_at`, in ns, gets none and has to be read again."""
    stamps = {name: _stamp(name) for name in dict.fromkeys(files)}
    _write(folder, {name: one if one is not None and one[1] <= known_at else _UNKNOWN for name, one in stamps.items()})


def doubts(folder: Path) -> Doubts:
    """The files that have to be read again, found by one `stat` of each."""
    missing, others = [], []
    for name, then in _read(folder).items():
        now = _stamp(name)
        if now is None:
            missing.append(name)
        elif now != then:
            others.append(name)
    return Doubts(tuple(missing), tuple(others))


def settle(folder: Path, files: Iterable[str]) -> None:
    """Keep the stamps that files have now, after the files were read and found right."""
    _write(folder, _read(folder) | {name: _stamp(name) or _UNKNOWN for name in files})


def _stamp(file: str) -> tuple[int, int] | None:
    """Size and time of a file; None where there is none."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _read(folder: Path) -> dict[str, tuple[int, int]]:
    table = feather.read_table(folder / _FILE).to_pydict()
    return {name: (size, time) for name, size, time in zip(*table.values(), strict=True)}


def _write(folder: Path, stamps: dict[str, tuple[int, int]]) -> None:
    rows = [(name, *stamp) for name, stamp in stamps.items()]
    table = pd.DataFrame(rows, columns=["path", "size", "mtime_ns"]).astype({"path": object})
    with whole(folder / _FILE) as file:
        feather.write_feather(table, file, compression="uncompressed")
