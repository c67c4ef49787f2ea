"""The envelope of everything in a store: a 128-byte ASCII line with the SHA-256 and the size of the payload, then that.

`tail -c +129` recovers the plain safetensors or JSON.
"""

import hashlib
import re
from collections.abc import Sequence

Value = bytes | memoryview | Sequence[bytes | memoryview]
"""A value, or the parts of a large one, one after the other: they are written as they lie in memory."""

ENVELOPE_BYTES = 128
_LINE = re.compile(rb"retune-store 1 sha256=([0-9a-f]{64}) bytes=(\d+) *\n")


def parts_of(value: Value) -> tuple[bytes | memoryview, ...]:
    """The parts of a value, in order."""
    return (value,) if isinstance(value, bytes | memoryview) else tuple(value)


def size_of(parts: Sequence[bytes | memoryview]) -> int:
    """Bytes of all parts."""
    return sum(memoryview(part).nbytes for part in parts)


def seal(value: Value) -> bytes:
    """The envelope's first line for a payload."""
    parts, sha256 = parts_of(value), hashlib.sha256()
    for part in parts:
        sha256.update(part)
    line = f"retune-store 1 sha256={sha256.hexdigest()} bytes={size_of(parts)}"
    return line.ljust(ENVELOPE_BYTES - 1).encode() + b"\n"


def is_sealed(line: bytes, payload: bytes | memoryview) -> bool:
    """Whether a payload is the one that an envelope's first line was made for."""
    match = _LINE.fullmatch(line)
    if match is None or len(payload) != int(match[2]):
        return False
    return hashlib.sha256(payload).hexdigest().encode() == match[1]


def unseal(blob: bytes) -> bytes | None:
    """The payload of an envelope, or None when any bit of it is wrong."""
    return blob[ENVELOPE_BYTES:] if is_sealed(blob[:ENVELOPE_BYTES], memoryview(blob)[ENVELOPE_BYTES:]) else None
