"""What an importer found at a path: rows of a manifest, and all that did not become one, with the reason.

While data is imported paths of images are absolute; the intake makes those below the manifest's folder relative to it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from trainables.frozen import ConfigError
from trainables.workloads.clip.data import manifest

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".jfif", ".jp2", ".avif")
"""Of files that are taken for images; what is in them is seen when they are decoded."""


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """Something of the source that becomes no row of the manifest.

    Attributes:
        where: a file, a member of a shard, or a row of a table.
        reason: why.
        bad: whether it should have been a row: a broken sample should, a README beside the images should not.
        images: how many it stands for: of a whole folder all in it, of a README none, of a shard that ends early none
            that are known. None: one of what is bad, none of what is not.
    """

    where: str
    reason: str
    bad: bool = True
    images: int | None = None

    @property
    def count(self) -> int:
        """How many images it stands for."""
        return int(self.bad) if self.images is None else self.images

    def __str__(self) -> str:
        return f"{shown(self.where)}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an importer makes of a source: rows with the columns of a manifest, and what was skipped.

    Attributes:
        remedies: what to do where rows lack a "caption" or a "concept", in the words of the importer's options.
    """

    rows: pd.DataFrame
    skipped: tuple[Skipped, ...] = ()
    remedies: Mapping[str, str] = field(default_factory=dict)


def imported(
    rows: Iterable[Mapping[str, Any]], skipped: Iterable[Skipped], remedies: Mapping[str, str] | None = None
) -> Imported:
    """What an importer returns, from rows that are mappings."""
    table = list(rows)
    columns = (*manifest.REQUIRED, *manifest.OPTIONAL)
    frame = pd.DataFrame({name: pd.Series([row.get(name) for row in table], dtype=object) for name in columns})
    return Imported(rows=manifest.canonical(frame), skipped=tuple(skipped), remedies=remedies or {})


def existing(path: Path, what: str) -> Path:
    """The path, absolute, with no symbolic link in it.

    Raises:
        ConfigError: nothing is there.
    """
    if not path.exists():
        raise ConfigError(f"{path}: there is no such file or folder; {what}")
    return path.resolve()


def is_image_name(name: str) -> bool:
    """Whether a file is taken for an image."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES and not PurePosixPath(name).name.startswith("._")


def leaves(name: str) -> bool:
    """Whether a relative path leaves its folder by .., in the spelling of any system."""
    return ".." in name and ".." in PurePosixPath(name.replace("\\", "/")).parts


def shown(name: object) -> str:
    """A name in one line of text, whatever characters it has."""
    text = str(name)
    return text if text.isprintable() else text.encode("unicode_escape", "backslashreplace").decode("ascii")
