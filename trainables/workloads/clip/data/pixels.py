"""Pixels: images decoded once to bytes in a file that all processes of a machine map, as long as the cache has room.

A row is decoded when it is first asked for, so nothing waits for a whole data set, and what a killed process decoded
stays. Beside the pixels stands a checksum of each row: 0 says that it is missing, and a row that does not match its own
(a torn write, a damaged disk) is decoded again. Two processes that race for a row write the same bytes.
"""

import os
import shutil
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trainables.workloads.clip.data.images import Source

Bytes = NDArray[np.uint8]

_SHARE_OF_DISK = 0.5
"""Of the free space, where no bound is given."""


class Images(Protocol):
    """Images [N, H, W, 3] that are read by their numbers; a numpy array is one."""

    def __len__(self) -> int:
        """The number of images."""

    def __getitem__(self, rows: NDArray[np.int64], /) -> Bytes:
        """Images [n, H, W, 3] of some rows [n], as a copy."""


class Pixels:
    """Decoded images of a list of sources, cached in a folder.

    Args:
        folder: where; another list of sources, or another decoder, needs another folder.
        sources: gives the source of a row; asked only for rows that have to be decoded.
        length: number of rows, N.
        decode: the pixels [H, W, 3] of a source.
        size: H and W.
        most_bytes: bound of the cache; rows beyond it are decoded each time. None: half of the free disk.
    """

    def __init__(
        self,
        folder: Path,
        *,
        sources: Callable[[int], Source],
        length: int,
        decode: Callable[[Source], Bytes],
        size: tuple[int, int],
        most_bytes: int | None = None,
    ) -> None:
        self._sources, self._decode = sources, decode
        self._shape = (length, *size, 3)
        self._row_bytes = size[0] * size[1] * 3
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "pixels.u8"
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        bound = self._free_bytes() if most_bytes is None else most_bytes
        self._cached = min(length, bound // self._row_bytes)
        _grow(self._file, self._cached * self._row_bytes)
        sums = folder / "checksums.u4"
        with sums.open("ab") as file:
            _grow(file.fileno(), 4 * length)
        self._pixels = _map(self._path, np.uint8, (self._cached, *size, 3))
        self._sums = _map(sums, np.uint32, (length,), mode="r+")
        self._sound = np.zeros(length, dtype=bool)  # rows whose checksum this process has looked at

    def __len__(self) -> int:
        return self._shape[0]

    @property
    def cached(self) -> int:
        """Rows that the cache has place for."""
        return self._cached

    @property
    def cached_bytes(self) -> int:
        """The space that the cache takes of the disk now."""
        return os.fstat(self._file).st_blocks * 512

    def missing(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows among some that the cache has room for and does not hold."""
        cacheable = rows[rows < self._cached]
        found: NDArray[np.int64] = cacheable[self._sums[cacheable] == 0]
        return found

    def __getitem__(self, rows: NDArray[np.int64]) -> Bytes:
        rows = np.asarray(rows)
        out = np.empty((len(rows), *self._shape[1:]), dtype=np.uint8)
        here = (rows < self._cached) & (self._sums[rows] != 0)
        out[here] = self._pixels[rows[here]]
        for i in np.flatnonzero(here & ~self._sound[rows]):
            here[i] = self._sound[rows[i]] = _checksum(out[i]) == self._sums[rows[i]]
        for i in np.flatnonzero(~here):
            out[i] = self._decoded(int(rows[i]))
        return out

    def _decoded(self, row: int) -> Bytes:
        pixels = np.ascontiguousarray(self._decode(self._sources(row)))
        assert pixels.shape == self._shape[1:]
        assert pixels.dtype == np.uint8
        if row < self._cached:
            try:
                written = os.pwrite(self._file, pixels.tobytes(), row * self._row_bytes)
            except OSError:  # a full disk: the row is decoded again when it is next needed
                return pixels
            if written == self._row_bytes:
                self._sums[row] = _checksum(pixels)
                self._sound[row] = True
        return pixels

    def _free_bytes(self) -> int:
        """Half of the free space of the disk, where the space of the cache itself counts as free."""
        return self.cached_bytes + int(_SHARE_OF_DISK * shutil.disk_usage(self._path.parent).free)


class Rows:
    """Some rows [n] of images, as images."""

    def __init__(self, images: Images, rows: range | NDArray[np.int64]) -> None:
        self._images, self._rows = images, np.asarray(rows, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: NDArray[np.int64]) -> Bytes:
        return self._images[self._rows[rows]]


def _checksum(pixels: Bytes) -> int:
    """The checksum of a row, which is never 0: that stands for a missing row."""
    return zlib.crc32(pixels.tobytes()) or 1


def _grow(file: int, size: int) -> None:
    """Make a file at least this long; the added part takes no space until it is written."""
    if os.fstat(file).st_size < size:
        os.ftruncate(file, size)


def _map(path: Path, kind: type, shape: Sequence[int], mode: str = "r") -> NDArray:  # type: ignore[type-arg]
    return np.memmap(path, dtype=kind, mode=mode, shape=tuple(shape)) if np.prod(shape) else np.empty(shape, kind)  # type: ignore[call-overload]
