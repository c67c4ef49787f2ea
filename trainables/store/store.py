"""The contract of a store: immutable bytes under (kind, key), written once and checked on every read, and small notes.

Every value travels in an envelope (`envelope`), so that a file is either complete or recognisably damaged. The stores
are in `memory`, `local` and `objects`; `opening` chooses one by its location.
"""

import re
from typing import Literal, Protocol

from trainables.store.envelope import Value

Kind = Literal["updates", "records", "scores", "costs"]


class StoreError(RuntimeError):
    """The store could not be read or written; the message says where, why and what to do."""


class Store(Protocol):
    """Immutable bytes under (kind, key), and small notes under names such as "leases/KEY.1".

    * `put` is atomic: a reader sees the whole value or no value, also after a crash of the writer.
    * The first `put` of a key wins; later ones are ignored (values are pure functions of their keys).
    * `get` returns the bytes that were put, or None. A damaged value is set aside, told to the user, and then absent.
    * `keys` and `sizes` are one listing; it may still hold the key of a damaged value that nobody has read yet.
    * `create_note` is exclusive between processes and between machines. A damaged note reads as None.

    All methods raise StoreError where a store cannot be read or written now, and ConfigError where it never can be.
    """

    @property
    def location(self) -> str:
        """The folder or address of the store, for messages."""

    def check(self, *, writable: bool) -> None:
        """Try the store before a run begins, so that a wrong address fails at once.

        Raises:
            StoreError, ConfigError: the store cannot be reached or read, or cannot be written where `writable` is set.
        """

    def put(self, kind: Kind, key: str, value: Value) -> None:
        """Keep a value unless the key is taken."""

    def get(self, kind: Kind, key: str) -> bytes | None:
        """The value, or None when it is absent or damaged."""

    def has(self, kind: Kind, key: str) -> bool:
        """Whether the key is taken."""

    def keys(self, kind: Kind) -> set[str]:
        """All keys of a kind."""

    def sizes(self, kind: Kind) -> dict[str, int]:
        """The size in bytes of each value of a kind, by key."""

    def delete(self, kind: Kind, key: str) -> None:
        """Free the key; nothing happens where it is free."""

    def create_note(self, name: str, content: bytes) -> bool:
        """Write a note unless one of that name exists, and return whether this call wrote it."""

    def write_note(self, name: str, content: bytes) -> None:
        """Write a note, over an existing one of that name."""

    def read_note(self, name: str) -> bytes | None:
        """The content of a note, or None when the note is absent or damaged."""

    def notes(self, folder: str) -> list[str]:
        """The names of all notes in a folder, such as "leases"."""

    def delete_note(self, name: str) -> None:
        """Delete a note; nothing happens where there is none."""

    def sweep(self) -> None:
        """Delete the leftovers of killed writers, once they are too old to belong to a living one."""


# -- locations ---------------------------------------------------------------------------------------------------------


def is_address(location: str) -> bool:
    """Whether a location begins with a protocol, and so is no path."""
    return re.match(r"[A-Za-z0-9]{2,}:", location) is not None


def canonical(location: str) -> str:
    """The one spelling of a location, so that two studies which name one store differently are seen to share it."""
    protocol, separator, rest = location.partition("://")
    if not separator:
        return location
    protocol = protocol.lower()
    return rest if protocol == "file" else f"{_SPELLED.get(protocol, protocol)}://{rest.rstrip('/')}"


ALLOWED = "allowed: a folder, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX"
_SPELLED = {"s3a": "s3", "gcs": "gs"}
