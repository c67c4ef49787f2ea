"""Files that are written whole, and locks between the processes of a machine.

A reader sees the old file or the new one, also after a crash. A writer that is killed leaves a draft behind, which is
called `.NAME.TOKEN.tmp`; the next writer of the same file deletes drafts to which nobody has written for an hour.
"""

import contextlib
import fcntl
import glob
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_STALE_SECONDS = 3600


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give an empty file beside `path`, to be filled by its name; it takes the place of `path` unless writing fails.

    Folders above are made. Of two writers at once the last one wins, and no reader sees a mixture of both.
    """
    with draft(path) as made:
        yield made.path
        made.replace(path)


@dataclass(frozen=True)
class Draft:
    """A file that is being written; `mode` is what the system gives to new files, whatever fills this one."""

    path: Path
    mode: int

    def replace(self, target: Path) -> None:
        """Take the place of a file in the same folder, so that a crash of the machine leaves one of both, too."""
        self.path.chmod(self.mode)  # safetensors makes files that only their owner can read
        sync(self.path)
        self.path.replace(target)
        sync(target.parent)


@contextlib.contextmanager
def draft(path: Path) -> Iterator[Draft]:
    """Give an empty file beside `path`, for writers that choose the final name themselves; it is deleted in the end."""
    made = _beside(path)
    made.touch(exist_ok=False)
    try:
        yield Draft(path=made, mode=made.stat().st_mode & 0o777)
    finally:
        made.unlink(missing_ok=True)


@contextlib.contextmanager
def draft_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder beside `path`, which the writer may rename when it is full; else it is deleted."""
    made = _beside(path)
    made.mkdir()
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def leftovers(path: Path) -> Iterator[Path]:
    """Drafts of a file that lie beside it: of writers that are at work, or were killed."""
    return path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 2 * _TOKEN_BYTES}.tmp")


def sweep(drafts: Iterable[Path]) -> None:
    """Delete drafts of writers that were killed an hour ago or more."""
    for path in drafts:
        with contextlib.suppress(OSError):  # gone meanwhile, or another user's
            if time.time() - _touched(path) > _STALE_SECONDS:
                delete = shutil.rmtree if path.is_dir() else Path.unlink
                delete(path)


def sync(path: Path) -> None:
    """Make what was written durable: the content of a file, or the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file or folder that is being made; it ends with the process, however that ends.

    A lock only saves work: on a file system without locks, or in the moment in which the lock's own file is deleted,
    several processes may make the same file, and each puts a whole one in place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.with_name(f".{path.name}.lock")
    with name.open("a") as lock:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            name.unlink(missing_ok=True)


_TOKEN_BYTES = 4


def _beside(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(leftovers(path))
    return path.with_name(f".{path.name}.{secrets.token_hex(_TOKEN_BYTES)}.tmp")


def _touched(path: Path) -> float:
    """When a draft was written to last; of a folder that is filled, its files say it."""
    files = path.iterdir() if path.is_dir() else ()
    return max([path.stat().st_mtime, *(one.stat().st_mtime for one in files)])
