"""A look at every image of a table: its bytes are read and hashed, and decoded once, on all cores.

What is wrong with an image is a text beside its row; nothing is raised for it.
"""

import hashlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import pandas as pd

from study.processes import spread
from study.running.progress import clock_time
from study.running.run import usable_cpus
from trainables.workloads.clip.data.images import ImageError, Source, decoded, encoded

_AT_ONCE = 32
_WORTH_PROCESSES = 1000
"""Images from which on the start of processes pays."""
_TERMINAL_SECONDS = 0.2
_LOG_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True)
class Look:
    """What an image is: the hash of its bytes, and what is wrong with it; one of them is None."""

    sha256: str | None = None
    wrong: str | None = None


class Meter:
    """One line that says how many images are read (or otherwise done), renewed in place on a terminal."""

    def __init__(
        self,
        total: int,
        out: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        done: str = "read",
    ) -> None:
        self._total, self._out, self._clock = total, sys.stderr if out is None else out, clock
        self._word = done
        self._done = 0
        self._began = self._last = clock()

    def add(self, count: int) -> None:
        """So many more are done."""
        self._done += count
        now = self._clock()
        if self._done < self._total and now - self._last < (_TERMINAL_SECONDS if self._out.isatty() else _LOG_SECONDS):
            return
        self._last = now
        self._out.write(f"\r\x1b[2K{self.line()}" if self._out.isatty() else f"{self.line()}\n")
        if self._done == self._total and self._out.isatty():
            self._out.write("\n")
        self._out.flush()

    def line(self) -> str:
        """The line."""
        elapsed = self._clock() - self._began
        rate = self._done / elapsed if elapsed > 0 else 0.0
        left = clock_time((self._total - self._done) / rate) if rate > 0 else "?"
        return f"{self._done}/{self._total} images {self._word}, {rate:.0f} images/s, {left} left"


def sources(rows: pd.DataFrame, root: Path) -> list[Source | None]:
    """Where the images of a manifest's rows are; None of rows that have none. Relative paths start from `root`.

    A place of values that are no place, such as a number for a path, is none; `manifest.problems` names them.
    """
    return [_source(row, root) for row in rows.to_dict("records")]


def inspect(
    images: Sequence[Source], *, decode: bool, processes: int | None = None, meter: Meter | None = None
) -> list[Look]:
    """Read, hash and decode images.

    Args:
        images: where they are.
        decode: whether they are decoded too.
        processes: how many; None: one for each usable core, if there are enough images.
        meter: told of the progress.

    Raises:
        RunError: a process was killed, as it happens where memory runs out.
    """
    if processes is None:
        processes = usable_cpus() if len(images) >= _WORTH_PROCESSES else 1
    parts = [images[i : i + _AT_ONCE] for i in range(0, len(images), _AT_ONCE)]
    looks: list[Look] = []
    for part in spread(partial(_looks, decode=decode), parts, processes):
        looks.extend(part)
        if meter is not None:
            meter.add(len(part))
    return looks


def look(source: Source, *, decode: bool) -> Look:
    """Read, hash and decode one image."""
    try:
        content = encoded(source)
        if decode:
            decoded(content, source)
    except ImageError as error:
        return Look(wrong=str(error))
    return Look(sha256=hashlib.sha256(content).hexdigest())


def _looks(images: Sequence[Source], *, decode: bool) -> list[Look]:
    return [look(source, decode=decode) for source in images]


def _source(row: dict[Any, Any], root: Path) -> Source | None:
    image, member, offset, size, sha256 = (row[name] for name in ("image", "member", "offset", "size", "sha256"))
    if isinstance(row["bytes"], bytes):
        return Source(data=row["bytes"], sha256=sha256)
    if not isinstance(image, str) or not isinstance(member, str | None) or row["bytes"] is not None:
        return None
    if not all(isinstance(one, int | None) for one in (offset, size)):
        return None
    return Source(path=root / image, member=member, offset=offset, size=size, sha256=sha256)
