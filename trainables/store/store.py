"""The store: immutable bytes under (kind, key), written once, checked on every read, and a few notes that may change.

Every value travels in an envelope (`envelope`), so that one file is complete or recognisably damaged.
"""

import contextlib
import errno
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from trainables.files import draft, sweep, sync, whole
from trainables.frozen import ConfigError
from trainables.store.envelope import ENVELOPE_BYTES, Value, is_sealed, parts_of, seal, unseal

Kind = Literal["updates", "records", "scores", "costs"]


class StoreError(RuntimeError):
    """The store could not be read or written; the message says where, why and what to do."""


class Store(Protocol):
    """Immutable bytes under (kind, key), and small notes under names such as "leases/KEY.1".

    * `put` is atomic: a reader sees nothing or all of it, also after a crash of the writer.
    * The first `put` of a key wins; later ones are ignored (values are pure functions of their keys).
    * `get` returns what was put, to the bit, or None. A damaged value is set aside, told, and absent.
    * `keys` and `sizes` are one listing; it may still hold the key of a damaged value that nobody has read yet.
    * `create_note` is exclusive, between processes and machines, too; a note that is damaged reads as None.

    All raise StoreError where a store cannot be read or written now, and ConfigError where it never can be.
    """

    @property
    def location(self) -> str:
        """Where it is, for messages."""

    def check(self, *, writable: bool) -> None:
        """Raises: StoreError, ConfigError: it cannot be reached, or read, or (if asked for) written; said at once."""

    def put(self, kind: Kind, key: str, value: Value) -> None:
        """Keep a value unless the key is taken."""

    def get(self, kind: Kind, key: str) -> bytes | None:
        """The value, or None when it is absent or damaged."""

    def has(self, kind: Kind, key: str) -> bool:
        """Whether the key is taken."""

    def keys(self, kind: Kind) -> set[str]:
        """All keys of a kind."""

    def sizes(self, kind: Kind) -> dict[str, int]:
        """What each value of a kind takes, in bytes."""

    def delete(self, kind: Kind, key: str) -> None:
        """Free the key; nothing happens where it is free."""

    def create_note(self, name: str, content: bytes) -> bool:
        """Write a note unless there is one of that name; whether it was written."""

    def write_note(self, name: str, content: bytes) -> None:
        """Write a note, over the one that is there."""

    def read_note(self, name: str) -> bytes | None:
        """A note, or None when it is absent or damaged."""

    def notes(self, folder: str) -> list[str]:
        """Names of all notes in a folder, such as "leases"."""

    def delete_note(self, name: str) -> None:
        """Delete a note; nothing happens where there is none."""

    def sweep(self) -> None:
        """Delete what killed writers left behind, once none can still be at work on it."""


def open_store(location: str, tell: Callable[[str], None] = lambda _: None) -> Store:
    """The store at a location; nothing is read yet.

    Args:
        location: a folder (a path, file://...), or an address of fsspec, such as s3://bucket/prefix or gs://bucket.
        tell: takes what a user should know: values that are damaged, a storage that does not answer.

    Raises:
        ConfigError: it names no store, or a library that it needs is not installed.
    """
    if is_address(location) and "://" not in location:
        raise ConfigError(f"store: {location!r} given; {ALLOWED}")
    location = canonical(location)
    if "://" not in location:
        return LocalStore(Path(location), tell)
    from trainables.store.objects import ObjectStore

    return ObjectStore(location, tell)


def is_address(location: str) -> bool:
    """Whether it begins with a protocol, and so is no path."""
    return re.match(r"[A-Za-z0-9]{2,}:", location) is not None


def canonical(location: str) -> str:
    """A store's location in the one of its spellings that two studies can be compared by."""
    protocol, separator, rest = location.partition("://")
    if not separator:
        return location
    protocol = protocol.lower()
    return rest if protocol == "file" else f"{_SPELLED.get(protocol, protocol)}://{rest.rstrip('/')}"


ALLOWED = "allowed: a folder, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX"
_SPELLED = {"s3a": "s3", "gcs": "gs"}


# -- in memory ---------------------------------------------------------------------------------------------------------


class MemoryStore:
    """A store in this process, for tests and for trials that keep nothing."""

    location = "memory"

    def __init__(self, tell: Callable[[str], None] = lambda _: None) -> None:
        self.blobs: dict[tuple[Kind, str], bytes] = {}
        self._notes: dict[str, bytes] = {}
        self._tell = tell
        self._lock = threading.Lock()

    def check(self, *, writable: bool) -> None:
        """It is always there, and `writable`."""

    def put(self, kind: Kind, key: str, value: Value) -> None:
        """Keep the value unless the key is taken."""
        blob = b"".join((seal(value), *parts_of(value)))
        with self._lock:
            self.blobs.setdefault((kind, key), blob)

    def get(self, kind: Kind, key: str) -> bytes | None:
        """The value, or None when it is absent or damaged."""
        blob = self.blobs.get((kind, key))
        if blob is None:
            return None
        payload = unseal(blob)
        if payload is None:
            del self.blobs[kind, key]
            self._tell(f"{kind}/{key} in memory was damaged; what is needed of it is made again")
        return payload

    def has(self, kind: Kind, key: str) -> bool:
        """Whether the key is taken."""
        return (kind, key) in self.blobs

    def keys(self, kind: Kind) -> set[str]:
        """All keys of a kind."""
        return set(self.sizes(kind))

    def sizes(self, kind: Kind) -> dict[str, int]:
        """What each value of a kind takes, in bytes."""
        return {key: len(blob) for (k, key), blob in list(self.blobs.items()) if k == kind}

    def delete(self, kind: Kind, key: str) -> None:
        """Free the key."""
        self.blobs.pop((kind, key), None)

    def create_note(self, name: str, content: bytes) -> bool:
        """Write a note unless there is one of that name."""
        with self._lock:
            if name in self._notes:
                return False
            self._notes[name] = content
        return True

    def write_note(self, name: str, content: bytes) -> None:
        """Write a note."""
        self._notes[name] = content

    def read_note(self, name: str) -> bytes | None:
        """A note."""
        return self._notes.get(name)

    def notes(self, folder: str) -> list[str]:
        """Names of all notes in a folder."""
        return sorted(name for name in list(self._notes) if name.startswith(f"{folder}/"))

    def delete_note(self, name: str) -> None:
        """Delete a note."""
        self._notes.pop(name, None)

    def sweep(self) -> None:
        """Nothing is ever left behind."""


# -- in a folder -------------------------------------------------------------------------------------------------------


class LocalStore:
    """A store in a folder of a local or shared file system: `kind/ab/abcdef...`, `damaged/` for what was set aside."""

    def __init__(self, folder: Path, tell: Callable[[str], None] = lambda _: None) -> None:
        self.folder = folder
        self._tell = tell

    @property
    def location(self) -> str:
        """The folder."""
        return str(self.folder)

    def check(self, *, writable: bool) -> None:
        """Make the folder and write into it, if asked for."""
        if writable:
            with _explained(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
            probe = f"probe/{secrets.token_hex(8)}"
            self.create_note(probe, b"")
            self.delete_note(probe)
            with contextlib.suppress(OSError):  # another process checks, too
                (self.folder / "probe").rmdir()

    def put(self, kind: Kind, key: str, value: Value) -> None:
        """Write to a temporary name, fsync, then link to the final name unless that is taken."""
        path = self._path(kind, key)
        if self.has(kind, key):
            return
        with _explained(path), draft(path) as made:
            with made.path.open("wb") as file:
                file.write(seal(value))
                for part in parts_of(value):
                    file.write(part)
            sync(made.path)
            _link_unless_taken(made.path, path)
            sync(path.parent)

    def get(self, kind: Kind, key: str) -> bytes | None:
        """The value, or None when it is absent or damaged; damaged files move to `damaged/`."""
        path = self._path(kind, key)
        with _explained(path):
            try:
                with path.open("rb", buffering=0) as file:  # a buffer would copy what may be large
                    line, payload = file.read(ENVELOPE_BYTES), file.readall()
            except FileNotFoundError:
                return None
        if is_sealed(line, payload):
            return payload
        self._set_aside(path, kind)
        return None

    def has(self, kind: Kind, key: str) -> bool:
        """Whether the key is taken."""
        path = self._path(kind, key)
        with _explained(path):
            return path.exists()

    def keys(self, kind: Kind) -> set[str]:
        """All keys of a kind, by one walk of its folder."""
        return {file.name for file in self._files(kind)}

    def sizes(self, kind: Kind) -> dict[str, int]:
        """What each value of a kind takes, in bytes."""
        found = {}
        for file in self._files(kind):
            with contextlib.suppress(FileNotFoundError):  # freed meanwhile
                found[file.name] = file.stat().st_size
        return found

    def delete(self, kind: Kind, key: str) -> None:
        """Free the key."""
        path = self._path(kind, key)
        with _explained(path):
            path.unlink(missing_ok=True)

    def create_note(self, name: str, content: bytes) -> bool:
        """Make the file, which is exclusive on network file systems, too, then fill it: until then it reads as None."""
        path = self.folder / name
        with _explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with path.open("xb") as file:
                    file.write(seal(content) + content)
            except FileExistsError:
                return False
            except OSError:
                path.unlink(missing_ok=True)
                raise
        return True

    def write_note(self, name: str, content: bytes) -> None:
        """Write to a temporary name, then rename."""
        path = self.folder / name
        with _explained(path), whole(path) as file:
            file.write_bytes(seal(content) + content)

    def read_note(self, name: str) -> bytes | None:
        """A note."""
        path = self.folder / name
        with _explained(path):
            try:
                return unseal(path.read_bytes())
            except FileNotFoundError:
                return None

    def notes(self, folder: str) -> list[str]:
        """Names of all notes in a folder."""
        return sorted(f"{folder}/{file.name}" for file in _listed(self.folder / folder))

    def delete_note(self, name: str) -> None:
        """Delete a note."""
        path = self.folder / name
        with _explained(path):
            path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Delete temporary files of writers that were killed an hour ago or more."""
        for pattern in ("*/??/.*.tmp", "*/.*.tmp"):
            sweep(self.folder.glob(pattern))

    def _files(self, kind: Kind) -> "Iterator[os.DirEntry[str]]":
        for folder in _listed(self.folder / kind):
            if folder.is_dir():
                yield from _listed(Path(folder.path))

    def _path(self, kind: Kind, key: str) -> Path:
        return self.folder / f"{kind}/{key[:2]}/{key}"  # one join, not three: it is half of what a small read costs

    def _set_aside(self, path: Path, kind: Kind) -> None:
        aside = self.folder / "damaged" / f"{kind}-{path.name}-{time.time_ns()}"
        with _explained(path):
            aside.parent.mkdir(parents=True, exist_ok=True)
            # Another reader may have moved it already: then it has also told.
            with contextlib.suppress(FileNotFoundError):
                path.rename(aside)
                self._tell(f"{path} was damaged and is now {aside}; what is needed of it is made again")


def _listed(folder: Path) -> "Iterator[os.DirEntry[str]]":
    """What a folder holds, which may not be there; nothing that is still being written."""
    with _explained(folder), contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        yield from (entry for entry in entries if not entry.name.startswith("."))


def _link_unless_taken(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass  # another worker was first, with the same bytes
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP):
            raise
        temporary.replace(path)  # a file system without hard links: still atomic, and both values are equal


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """What the system says of a path, as a StoreError."""
    try:
        yield
    except OSError as error:
        raise StoreError(_explain(error, path)) from error


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
