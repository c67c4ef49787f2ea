"""A store in a folder of a local or shared file system, where whole files appear under their names at once."""

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.files import draft, sweep, sync, whole
from trainables.store.envelope import ENVELOPE_BYTES, Value, is_sealed, parts_of, seal, unseal
from trainables.store.store import Kind, StoreError


class LocalStore:
    """A store in a folder: a value is the file `kind/ab/abcdef...`, and damaged files move to `damaged/`.

    Args:
        folder: of a local or shared file system; it is made when it is first written.
        tell: takes messages for the user, about damaged values.
    """

    def __init__(self, folder: Path, tell: Callable[[str], None] = lambda _: None) -> None:
        self.folder = folder
        self._tell = tell

    @property
    def location(self) -> str:
        """The folder."""
        return str(self.folder)

    def check(self, *, writable: bool) -> None:
        """Make the folder and write into it where `writable` is set."""
        if writable:
            with _explained(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
            probe = f"probe/{secrets.token_hex(8)}"
            self.create_note(probe, b"")
            self.delete_note(probe)
            with contextlib.suppress(OSError):  # another process checks, too
                (self.folder / "probe").rmdir()

    def put(self, kind: Kind, key: str, value: Value) -> None:
        """Write a temporary file, flush it to the disk, then link it to the final name unless that is taken."""
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
        """The size in bytes of each value of a kind, by key."""
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
        """Create the file, then fill it. Only the creation is exclusive, on network file systems, too.

        A reader in between finds an empty file, which reads as None.
        """
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
        """Write a temporary file, then rename it to the name of the note."""
        path = self.folder / name
        with _explained(path), whole(path) as file:
            file.write_bytes(seal(content) + content)

    def read_note(self, name: str) -> bytes | None:
        """The content of a note, or None when the note is absent or damaged."""
        path = self.folder / name
        with _explained(path):
            try:
                return unseal(path.read_bytes())
            except FileNotFoundError:
                return None

    def notes(self, folder: str) -> list[str]:
        """The names of all notes in a folder."""
        return sorted(f"{folder}/{file.name}" for file in _listed(self.folder / folder))

    def delete_note(self, name: str) -> None:
        """Delete a note."""
        path = self.folder / name
        with _explained(path):
            path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Delete temporary files that are over an hour old: their writers were killed."""
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
    """The entries of a folder without temporary files; none where the folder is missing."""
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
    """Turn an error of the system about a path into a StoreError that says what to do."""
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
    from trainables.store.store import Store

    _: Store = LocalStore(Path())
