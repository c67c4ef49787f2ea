"""A look at every image of a table: its bytes are read and hashed, and decoded once, on all cores.

A fault of an image is a text beside its row; nothing is raised for it.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import pandas as pd

from trainables.machine.processes import spread, usable_cpus
from trainables.machine.progress_line import ProgressLine, clock_time
from trainables.workloads.clip.data.images import ImageError, Source, decoded, encoded

_AT_ONCE = 32
_WORTH_PROCESSES = 1000
"""Images from which on the start of processes pays."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """The result of looking at an image: the hash of its bytes, or what is wrong with it."""

    sha256: str | None = None
    wrong: str | None = None


class Meter:
    """Counts images that are read (or otherwise done), and prints the count in one line."""

    def __init__(
        self,
        total: int,
        out: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        done: str = "read",
    ) -> None:
        self._total, self._line, self._word = total, ProgressLine(out, clock), done
        self._done = 0

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self._line.elapsed

    def add(self, count: int) -> None:
        """Count images that have been done."""
        self._done += count
        self._line.show(self.line, is_last=self._done >= self._total)

    def line(self) -> str:
        """The line to show: how many images are done, the rate, and the time left."""
        elapsed = self.elapsed
        rate = self._done / elapsed if elapsed > 0 else 0.0
        left = clock_time((self._total - self._done) / rate) if rate > 0 else "?"
        return f"{self._done}/{self._total} images {self._word}, {rate:.0f} images/s, {left} left"


def sources(rows: pd.DataFrame, root: Path) -> list[Source | None]:
    """The places of the images of a manifest's rows, None for rows without an image; relative paths start from `root`.

    A row whose values make no place, such as a number for a path, has None; `manifest.problems` names such rows.
    """
    return [_source(row, root) for row in rows.to_dict("records")]


def inspect(
    images: Sequence[Source], *, decode: bool, processes: int | None = None, meter: Meter | None = None
) -> list[Look]:
    """Read, hash and decode images.

    Args:
        images: their places.
        decode: whether they are decoded too.
        processes: how many; None: one for each usable core, if there are enough images.
        meter: counts the images that are done.

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
