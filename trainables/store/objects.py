"""A store in the object storage of a cloud (S3, what speaks its protocol, GCS), through fsspec.

fsspec, because it reaches conditional writes: `mode="create"` and `open(..., "xb")` send If-None-Match to S3, at the
end of a multipart upload, too, and ifGenerationMatch to GCS; the file systems of pyarrow have no such argument. So the
first write of a name wins, and an upload that is cut short is never seen. Listings are never cached.

Endpoint and credentials are those of the environment: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
AWS_PROFILE ...; GOOGLE_APPLICATION_CREDENTIALS, STORAGE_EMULATOR_HOST.
"""

import contextlib
import io
import logging
import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from trainables.frozen import ConfigError
from trainables.store.envelope import ENVELOPE_BYTES, Value, is_sealed, parts_of, seal, size_of, unseal
from trainables.store.outages import Retrying
from trainables.store.store import ALLOWED, Kind, StoreError

PATIENCE_SECONDS = 300.0
"""How long a storage that does not answer is tried again: services restart and networks heal in minutes, and what a
trial has trained until then is worth the wait. Longer outages end the run, which goes on with the same command."""

GREETING_SECONDS = 10.0
"""The same for the first contact, since a wrong address must not take minutes to be told."""

BLOCK_BYTES = 16 << 20
"""Size of the parts in which large values travel; a few of them are what a transfer takes of memory."""
_MOST_PARTS = 5000
_AT_ONCE = 4

_LARGE: frozenset[Kind] = frozenset({"updates"})
"""Kinds whose values are read in blocks, which takes one more request to learn their size."""

_S3: dict[str, Any] = {
    "max_concurrency": 1,
    "config_kwargs": {
        "connect_timeout": 5,
        "read_timeout": 60,
        "retries": {"mode": "standard", "total_max_attempts": 3},
    },
}
_OPTIONS: dict[str, dict[str, Any]] = {"s3": _S3}
_EXTRAS = {"s3": "s3", "gs": "gcs"}
_UNCONDITIONAL = ("http", "https", "ftp", "sftp", "ssh", "smb", "hdfs", "webhdfs", "github", "git", "data")
_CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE), and AWS_ENDPOINT_URL where it is not AWS",
    "gcs": "set GOOGLE_APPLICATION_CREDENTIALS, or log in with gcloud auth application-default login",
}


class ObjectStore:
    """A store under an address such as s3://bucket/prefix, with the names that `LocalStore` has.

    Args:
        location: the address.
        tell: takes messages for the user, about damaged values and a storage that does not answer.
        patience: seconds for which a storage that does not answer is tried again.
    """

    def __init__(
        self,
        location: str,
        tell: Callable[[str], None] = lambda _: None,
        *,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._location = location
        self._tell = tell
        self._protocol, _, self._root = self._location.partition("://")
        if not self._root:
            raise ConfigError(f"store: {location!r} given; a bucket is needed: {self._protocol}://BUCKET/PREFIX")
        advice = _CREDENTIALS.get(_EXTRAS.get(self._protocol, ""), "set the credentials of this storage")
        self._try = Retrying(location=self._location, seconds=patience, tell=tell, advice=advice)
        surroundings = frozenset(one for one in os.environ.items() if one[0].startswith(_SURROUNDINGS))
        self._files = _file_system(self._protocol, surroundings, os.getpid())

    @property
    def location(self) -> str:
        """The address."""
        return self._location

    def check(self, *, writable: bool) -> None:
        """Ask for a short listing; with `writable` write a small object, try to write over it, read and delete it."""
        self._require_bucket(replace(self._try, seconds=min(self._try.seconds, GREETING_SECONDS)))
        if writable:
            self._check_writes(f"{self._root}/probe/{secrets.token_hex(8)}")

    def _check_writes(self, path: str) -> None:
        content = path.encode()
        self._create(path, [content])
        exclusive = not self._create(path, [b"another"])
        read = self._read(path)
        self._try(lambda: self._files.rm_file(path))
        if not exclusive:
            raise ConfigError(
                f"{self.location}: this storage does not refuse to write one name twice (If-None-Match), which leases "
                "need; use one that does, such as AWS S3, MinIO or GCS, or a shared folder"
            )
        if read != content:
            raise ConfigError(f"{self.location}: what was written was not read back; use another storage")

    def put(self, kind: Kind, key: str, value: Value) -> None:
        """Write the object on the condition that none of its name exists.

        A large object travels in parts and appears when the last part has arrived. The parts that a killed writer sent
        are never seen; a lifecycle rule of the bucket deletes them.
        """
        parts = parts_of(value)
        if size_of(parts) <= BLOCK_BYTES or not self.has(kind, key):
            self._create(self._path(kind, key), [seal(parts), *parts])

    def get(self, kind: Kind, key: str) -> bytes | None:
        """The value, or None when it is absent or damaged; damaged objects move to `damaged/`."""
        path = self._path(kind, key)
        read = self._read_large if kind in _LARGE else self._read_sealed
        line, payload = read(path) or (b"", None)
        if payload is None:
            return None
        if is_sealed(line, payload):
            return payload
        # Once more, before it is condemned: it may have been hurt on its way here, or just have been put again.
        line, payload = read(path) or (b"", None)
        if payload is not None and not is_sealed(line, payload):
            self._set_aside(path, f"{self._root}/damaged/{kind}-{key}-{time.time_ns()}")
            return None
        return payload

    def has(self, kind: Kind, key: str) -> bool:
        """Whether the key is taken."""
        path = self._path(kind, key)
        return bool(self._try(lambda: self._files.exists(path)))

    def keys(self, kind: Kind) -> set[str]:
        """All keys of a kind, by one listing."""
        return set(self.sizes(kind))

    def sizes(self, kind: Kind) -> dict[str, int]:
        """The size in bytes of each value of a kind, by key; one listing gives them all."""
        found = self._found(kind, self._try)
        return {path.rpartition("/")[2]: int(info["size"]) for path, info in found.items()}

    def delete(self, kind: Kind, key: str) -> None:
        """Free the key."""
        self._delete(self._path(kind, key))

    def create_note(self, name: str, content: bytes) -> bool:
        """Write a note unless one of that name exists, and return whether this call wrote it.

        Where the answer to a first try was lost, the second try finds a note there: it is ours if its content is ours.
        """
        path = f"{self._root}/{name}"
        return self._create(path, [seal(content), content]) or self.read_note(name) == content

    def write_note(self, name: str, content: bytes) -> None:
        """Write a note."""
        path = f"{self._root}/{name}"
        self._put_whole(path, lambda: self._files.pipe_file(path, seal(content) + content))

    def read_note(self, name: str) -> bytes | None:
        """The content of a note, or None when the note is absent or damaged."""
        blob = self._read(f"{self._root}/{name}")
        return None if blob is None else unseal(blob)

    def notes(self, folder: str) -> list[str]:
        """The names of all notes in a folder."""
        return sorted(f"{folder}/{path.rpartition('/')[2]}" for path in self._found(folder, self._try))

    def delete_note(self, name: str) -> None:
        """Delete a note."""
        self._delete(f"{self._root}/{name}")

    def sweep(self) -> None:
        """Nothing is left: an upload that was cut short is no object, and a rule of the bucket deletes its parts."""

    def _path(self, kind: Kind, key: str) -> str:
        return f"{self._root}/{kind}/{key[:2]}/{key}"

    def _create(self, path: str, parts: Sequence[bytes | memoryview]) -> bool:
        """Write an object unless one of that name exists, and return whether this call wrote it."""
        if size_of(parts) <= BLOCK_BYTES:
            whole = b"".join(parts)
            return self._put_whole(path, lambda: self._files.pipe_file(path, whole, mode="create"))
        return self._put_whole(path, lambda: self._stream(path, parts))

    def _put_whole(self, path: str, act: Callable[[], object]) -> bool:
        """Do a write, and return False where the storage refuses it since the name is taken."""
        try:
            self._try(act)
        except FileExistsError:
            return False
        except FileNotFoundError as error:  # of the bucket, or of an upload in parts
            if not self._try(lambda: self._files.exists(path)):  # else it was completed, and the answer lost
                self._require_bucket(self._try)
                raise StoreError(f"{self.location}: an upload was lost; run the same command again") from error
        return True

    def _stream(self, path: str, parts: Sequence[bytes | memoryview]) -> None:
        """Send an object in blocks; its name appears with the last block, unless the name is taken by then."""
        block = max(BLOCK_BYTES, size_of(parts) // _MOST_PARTS)
        file = self._files.open(path, "xb", block_size=block)
        try:
            for part in parts:
                view = memoryview(part).cast("B")
                for begin in range(0, len(view), block):
                    file.write(view[begin : begin + block])
            file.close()
        except BaseException:
            with contextlib.suppress(Exception):
                file.discard()
            file.closed = True  # or its end would write what there is so far
            raise

    def _read(self, path: str) -> bytes | None:
        try:
            return bytes(self._try(lambda: self._files.cat_file(path)))
        except FileNotFoundError:
            return None

    def _read_sealed(self, path: str) -> tuple[bytes, bytes] | None:
        blob = self._read(path)
        return None if blob is None else (blob[:ENVELOPE_BYTES], blob[ENVELOPE_BYTES:])

    def _read_large(self, path: str) -> tuple[bytes, bytes] | None:
        """First line and payload, block by block into one buffer of the payload's size, which is not copied again."""
        try:
            size = int(self._try(lambda: self._files.info(path))["size"])
            if size <= BLOCK_BYTES:
                return self._read_sealed(path)
            line = bytes(self._try(lambda: self._files.cat_file(path, start=0, end=ENVELOPE_BYTES)))
            payload = io.BytesIO()
            payload.seek(size - ENVELOPE_BYTES - 1)
            payload.write(b"\0")
            payload.seek(0)
            for begin in range(ENVELOPE_BYTES, size, _AT_ONCE * BLOCK_BYTES):
                starts = range(begin, min(size, begin + _AT_ONCE * BLOCK_BYTES), BLOCK_BYTES)
                payload.writelines(self._try(partial(self._blocks, path, starts, size)))
        except FileNotFoundError:
            return None
        return line, payload.getvalue()

    def _blocks(self, path: str, starts: range, size: int) -> list[bytes]:
        """Several blocks, read at the same time."""
        ends = [min(size, start + BLOCK_BYTES) for start in starts]
        blocks: list[bytes] = self._files.cat_ranges([path] * len(ends), list(starts), ends, on_error="raise")
        if [len(block) for block in blocks] != [end - start for start, end in zip(starts, ends, strict=True)]:
            raise ConnectionError(f"{path}: an answer was cut short")
        return blocks

    def _delete(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._try(lambda: self._files.rm_file(path))

    def _set_aside(self, path: str, aside: str) -> None:
        with contextlib.suppress(FileNotFoundError):  # another reader has moved it, and told
            self._try(lambda: self._files.cp_file(path, aside))
            self._delete(path)
            where = f"{self._protocol}://"
            self._tell(f"{where}{path} was damaged and is now {where}{aside}; what is needed of it is made again")

    def _require_bucket(self, patiently: Retrying) -> None:
        self._found("probe", patiently)

    def _found(self, folder: str, patiently: Retrying) -> dict[str, dict[str, Any]]:
        """The objects in a folder, by one listing.

        Raises:
            ConfigError: there is no such bucket.
        """
        try:
            found: dict[str, dict[str, Any]] = patiently(
                lambda: self._files.find(f"{self._root}/{folder}", detail=True)
            )
        except FileNotFoundError as error:
            bucket = self._root.partition("/")[0]
            raise ConfigError(
                f"{self.location}: there is no bucket {bucket!r}; make it, or name another store"
            ) from error
        return found


_SURROUNDINGS = ("AWS_", "GOOGLE_", "STORAGE_EMULATOR_", "GCSFS_")


@lru_cache(maxsize=8)
def _file_system(protocol: str, surroundings: frozenset[tuple[str, str]], process: int) -> Any:  # noqa: ARG001
    """The file system of fsspec; stores of one process in the same surroundings share it, and its connections.

    Raises:
        ConfigError: there is none, or it is not installed.
    """
    if protocol in _UNCONDITIONAL:
        raise ConfigError(
            f"store: {protocol}:// has no writes on a condition, which leases need; {ALLOWED}; AWS_ENDPOINT_URL says "
            "where an S3 is that is not at AWS"
        )
    try:
        import fsspec

        files = fsspec.filesystem(
            protocol, skip_instance_cache=True, use_listings_cache=False, **_OPTIONS.get(protocol, {})
        )
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        how = f"pip install 'retune[{extra}]'" if extra else f"pip install what it needs ({error})"
        raise ConfigError(f"store: {protocol}://: a library is not installed; install it with: {how}") from error
    except ValueError as error:
        raise ConfigError(f"store: {protocol}:// is unknown; {ALLOWED}") from error
    except Exception as error:  # such as a library of the system
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"store: {protocol}:// cannot be opened ({said}); {ALLOWED}") from error
    files.retries = 1  # a time is bounded here, not a count
    logging.getLogger(type(files).__module__.partition(".")[0]).setLevel(logging.CRITICAL + 1)  # our message says it
    return files


if TYPE_CHECKING:
    from trainables.store.store import Store

    _: Store = ObjectStore("s3://bucket")
