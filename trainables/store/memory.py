"""A store in the memory of this process, for tests and for trials that keep nothing."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from trainables.store.envelope import Value, parts_of, seal, unseal
from trainables.store.store import Kind


class MemoryStore:
    """A store in this process, for tests and for trials that keep nothing."""

    location = "memory"

    def __init__(self, tell: Callable[[str], None] = lambda _: None) -> None:
        self.blobs: dict[tuple[Kind, str], bytes] = {}
        self._notes: dict[str, bytes] = {}
        self._tell = tell
        self._lock = threading.Lock()

    def check(self, *, writable: bool) -> None:
        """Nothing can fail: memory is always there and may always be written."""

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
        """The size in bytes of each value of a kind, by key."""
        return {key: len(blob) for (k, key), blob in list(self.blobs.items()) if k == kind}

    def delete(self, kind: Kind, key: str) -> None:
        """Free the key."""
        self.blobs.pop((kind, key), None)

    def create_note(self, name: str, content: bytes) -> bool:
        """Write a note unless one of that name exists, and return whether this call wrote it."""
        with self._lock:
            if name in self._notes:
                return False
            self._notes[name] = content
        return True

    def write_note(self, name: str, content: bytes) -> None:
        """Write a note."""
        self._notes[name] = content

    def read_note(self, name: str) -> bytes | None:
        """The content of a note, or None."""
        return self._notes.get(name)

    def notes(self, folder: str) -> list[str]:
        """The names of all notes in a folder."""
        return sorted(name for name in list(self._notes) if name.startswith(f"{folder}/"))

    def delete_note(self, name: str) -> None:
        """Delete a note."""
        self._notes.pop(name, None)

    def sweep(self) -> None:
        """Nothing can be left behind in memory."""


if TYPE_CHECKING:
    from trainables.store.store import Store

    _: Store = MemoryStore()
