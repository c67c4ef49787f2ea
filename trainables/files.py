"""Locks between the processes of a machine: what a cache lacks is made by one of them, and the others wait for it."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file or folder that is being made; it ends with the process, however that ends.

    It only saves work: where a file system knows no locks, or in the moment in which the lock's own file is deleted,
    several may make the same, and each puts it in place as a whole.
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
