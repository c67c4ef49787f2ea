"""The store: immutable bytes under (kind, key), written once, checked on every read.

Every value travels in an envelope: a 128-byte ASCII line with the SHA-256 and the size of the payload, then the
payload. One file is thus complete or recognisably damaged; `tail -c +129` recovers the plain safetensors or JSON.
"""

import contextlib
import errno
import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

Kind = Literal["updates", "records", "scores", "costs"]
KINDS: tuple[Kind, ...] = ("updates", "records", "scores", "costs")

ENVELOPE_BYTES = 128
_STALE_SECONDS = 3600
_ENVELOPE = re.compile(rb"retune-store 1 sha256=([0-9a-f]{64}) bytes=(\d+) *\n")


class StoreError(RuntimeError):
    """The store could not be read or written; the message says where, why and what to do."""


class Store(Protocol):
    """Immutable bytes under (kind, key).

    * `put` is atomic: a reader sees nothing or all of it, also after a crash of the writer.
    * The first `put` of a key wins; later ones are ignored (values are pure functions of their keys).
    * `get` returns what was put, to the bit, or None. A damaged value is set aside, told to `on_damage`, and absent.
    * `keys` is one listing; it may still hold the key of a damaged value that nobody has read yet.
    """

    def put(self, kind: Kind, key: str, value: bytes) -> None:
        """Keep a value unless the key is taken."""

    def get(self, kind: Kind, key: str) -> bytes | None:
        """The value, or None when it is absent or damaged."""

    def has(self, kind: Kind, key: str) -> bool:
        """Whether the key is taken."""

    def keys(self, kind: Kind) -> set[str]:
        """All keys of a kind."""


def seal(value: bytes) -> bytes:
    """The envelope's first line for a payload."""
    line = f"retune-store 1 sha256={hashlib.sha256(value).hexdigest()} bytes={len(value)}"
    return line.ljust(ENVELOPE_BYTES - 1).encode() + b"\n"


def unseal(blob: bytes) -> bytes | None:
    """The payload of an envelope, or None when any bit of it is wrong."""
    match = _ENVELOPE.fullmatch(blob[:ENVELOPE_BYTES])
    if match is None:
        return None
    payload = blob[ENVELOPE_BYTES:]
    intact = len(payload) == int(match[2]) and hashlib.sha256(payload).hexdigest().encode() == match[1]
    return payload if intact else None


def _ignore(_: str) -> None:
    return


class MemoryStore:
    """A store in this process, for tests and for trials that keep nothing."""

    def __init__(self, on_damage: Callable[[str], None] = _ignore) -> None:
        self.blobs: dict[tuple[Kind, str], bytes] = {}
        self._on_damage = on_damage
        self._lock = threading.Lock()

    def put(self, kind: Kind, key: str, value: bytes) -> None:
        """Keep the value unless the key is taken."""
        with self._lock:
            self.blobs.setdefault((kind, key), seal(value) + value)

    def get(self, kind: Kind, key: str) -> bytes | None:
        """The value, or None when it is absent or damaged."""
        blob = self.blobs.get((kind, key))
        if blob is None:
            return None
        payload = unseal(blob)
        if payload is None:
            del self.blobs[kind, key]
            self._on_damage(f"{kind}/{key} in memory was damaged; what is needed of it is made again")
        return payload

    def has(self, kind: Kind, key: str) -> bool:
        """Whether the key is taken."""
        return (kind, key) in self.blobs

    def keys(self, kind: Kind) -> set[str]:
        """All keys of a kind."""
        return {key for k, key in self.blobs if k == kind}


class LocalStore:
    """A store in a folder of a local or shared file system: `kind/ab/abcdef...`, `damaged/` for what was set aside."""

    def __init__(self, folder: Path, on_damage: Callable[[str], None] = _ignore) -> None:
        self.folder = folder
        self._on_damage = on_damage

    def put(self, kind: Kind, key: str, value: bytes) -> None:
        """Write to a temporary name, fsync, then link to the final name unless that is taken."""
        path = self._path(kind, key)
        if self.has(kind, key):
            return
        temporary = path.with_name(f".{key}.{os.getpid()}.{threading.get_ident()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("wb") as file:
                    file.write(seal(value))
                    file.write(value)
                    file.flush()
                    os.fsync(file.fileno())
                _link_unless_taken(temporary, path)
                _sync_folder(path.parent)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(_explain(error, path)) from error

    def get(self, kind: Kind, key: str) -> bytes | None:
        """The value, or None when it is absent or damaged; damaged files move to `damaged/`."""
        path = self._path(kind, key)
        try:
            blob = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(_explain(error, path)) from error
        payload = unseal(blob)
        if payload is None:
            self._set_aside(path, kind)
        return payload

    def has(self, kind: Kind, key: str) -> bool:
        """Whether the key is taken."""
        path = self._path(kind, key)
        try:
            return path.exists()
        except OSError as error:
            raise StoreError(_explain(error, path)) from error

    def keys(self, kind: Kind) -> set[str]:
        """All keys of a kind, by one walk of its folder."""
        return {path.name for path in self._files(kind)}

    def sweep(self) -> None:
        """Delete temporary files that killed writers left behind, once no writer can still be at work on them."""
        for path in self.folder.glob("*/??/.*.tmp"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                    path.unlink()

    def _files(self, kind: Kind) -> Iterator[Path]:
        return (path for path in (self.folder / kind).glob("??/*") if not path.name.startswith("."))

    def _path(self, kind: Kind, key: str) -> Path:
        return self.folder / kind / key[:2] / key

    def _set_aside(self, path: Path, kind: Kind) -> None:
        aside = self.folder / "damaged" / f"{kind}-{path.name}-{time.time_ns()}"
        try:
            aside.parent.mkdir(parents=True, exist_ok=True)
            # Another reader may have moved it already: then it has also told.
            with contextlib.suppress(FileNotFoundError):
                path.rename(aside)
                self._on_damage(f"{path} was damaged and is now {aside}; what is needed of it is made again")
        except OSError as error:
            raise StoreError(_explain(error, path)) from error


def _link_unless_taken(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass  # another worker was first, with the same bytes
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP):
            raise
        temporary.replace(path)  # a file system without hard links: still atomic, and both values are equal


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _explain(error: OSError, path: Path) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f"{path}: no space left on the disk; free some and run the same command again: nothing is lost"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"{path}: no permission; make the store's folder readable and writable for this user"
        case _:
            return f"{path}: {error.strerror or error}"


if TYPE_CHECKING:
    _memory: Store = MemoryStore()
    _local: Store = LocalStore(Path())
