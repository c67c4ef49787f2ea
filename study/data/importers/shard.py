"""Shards: uncompressed tars, read by their headers once, so that an image is a place in a file and nothing is unpacked.

Python's tarfile ends silently at what is no header. Here a shard ends at its end mark, and everything else is damage.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from study.data.importers.rows import Skipped
from trainables.frozen import ConfigError

_BLOCK = 512
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
}


@dataclass(frozen=True, kw_only=True)
class Member:
    """A file of a shard: its name, and the place of its bytes."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True, kw_only=True)
class Damage:
    """A part of a shard that cannot be read; `name` is the member's, or "" for the shard as a whole.

    `ends` says that nothing behind it can be read either.
    """

    name: str
    reason: str
    ends: bool = True

    def skipped(self, path: Path, read: int, what: str) -> Skipped:
        """The damage as something skipped, by an importer that has read so many samples or files of the shard."""
        if not self.ends:
            return Skipped(where=f"{path}: {self.name}", reason=self.reason)
        lost = f"{read} {what} before that are read, and all behind it are lost"
        return Skipped(where=str(path), reason=f"{self.reason}; {lost}", images=0)


def members(path: Path) -> Iterator[Member | Damage]:
    """The files of a shard, in order; a shard that is cut short or damaged ends with a `Damage`.

    Raises:
        ConfigError: it is compressed, or no tar.
    """
    with opened(path) as file:
        _require_tar(file, path)
        size = path.stat().st_size
        file.seek(0)
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                yield from _members(tar, file, size)
        except (tarfile.TarError, OSError) as error:
            yield Damage(name="", reason=f"the shard ends early or is damaged: {error}")


def opened(path: Path) -> BinaryIO:
    """The shard as a file.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.open("rb")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error


def content(file: BinaryIO, member: Member) -> bytes:
    """The bytes of a member of a shard that is open."""
    file.seek(member.offset)
    return file.read(member.size)


def _members(tar: tarfile.TarFile, file: BinaryIO, size: int) -> Iterator[Member | Damage]:
    last = "the start"
    while True:
        try:
            info = tar.next()
        except tarfile.ReadError as error:
            yield Damage(name="", reason=f"the shard ends early, after {last}: {error}")
            return
        if info is None:
            break
        tar.members = []  # type: ignore[attr-defined]  # tarfile keeps them all, and a shard may have a million
        if info.isdir():
            continue
        last = info.name
        if not info.isreg() or info.issparse():
            what = "a link, a device or a sparse file, whose bytes are not at one place"
            yield Damage(name=info.name, reason=what, ends=False)
        elif info.offset_data + info.size > size:
            yield Damage(name=info.name, reason=f"the shard ends early, within {info.name}")
            return
        else:
            yield Member(name=info.name, offset=info.offset_data, size=info.size)
    file.seek(tar.offset)
    mark = file.read(_BLOCK)
    if len(mark) < _BLOCK or any(mark):
        what = "ends early" if len(mark) < _BLOCK else "is damaged"
        yield Damage(name="", reason=f"the shard {what}, after {last}: there is no end mark")
        return
    while block := file.read(1 << 20):
        if any(block):
            yield Damage(name="", reason=f"there is more after the end mark that follows {last}; make one tar of it")
            return


def _require_tar(file: BinaryIO, path: Path) -> None:
    head = file.read(_BLOCK)
    for magic, name in _COMPRESSED.items():
        if head.startswith(magic):
            raise ConfigError(
                f"{path}: compressed by {name}; images are read from shards by their offsets, which needs uncompressed "
                "tars; uncompress it first"
            )
    if not head:
        raise ConfigError(f"{path}: an empty file; a tar is needed")
    try:
        if any(head):
            tarfile.TarInfo.frombuf(head, tarfile.ENCODING, "surrogateescape")
    except tarfile.HeaderError as error:
        raise ConfigError(f"{path}: not a tar, or one that is cut short within its first header: {error}") from error
