"""Tables that list images: CSV, TSV or Parquet, with columns named as in a manifest, or as options name them.

Nothing is fetched: addresses are refused. Paths are relative to the table's folder, or to one that is given.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from study.data.importers.data_set import CAPTION_REMEDY, DataSet, Division
from study.data.importers.rows import Imported, Skipped, existing, imported, leaves, shown
from trainables.frozen import ConfigError, suggestion
from trainables.workloads.clip.data import manifest

SUFFIXES = {".csv": ",", ".tsv": "\t", ".parquet": ""}
"""Of tables, with what parts their fields."""

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ListingOptions:
    """Options of the kind `csv`.

    Attributes:
        data: of rows where the table says nothing; its name is the table's file name by default.
        division: of rows without a split.
        split: of rows without a split, in place of a division.
        columns: pairs of a manifest's column and the table's name of it.
        root: folder that relative paths are relative to; None: the table's.

    Raises:
        ConfigError: an unknown split, or options that say the same.
    """

    data: DataSet = field(default_factory=DataSet)
    division: Division = field(default_factory=Division)
    split: str | None = None
    columns: tuple[tuple[str, str], ...] = ()
    root: Path | None = None

    def __post_init__(self) -> None:
        if self.split is not None and self.split not in manifest.SPLITS:
            raise ConfigError(f"--split: {self.split!r} given; allowed: {', '.join(manifest.SPLITS)}")
        if self.split is not None and self.division.test_share is not None:
            raise ConfigError("--split and --test-share both say what images without a split are; give one of them")


def from_listing(path: Path, options: ListingOptions) -> Imported:
    """Images that a table lists.

    Raises:
        ConfigError: it cannot be read, lacks a column, or an option says what the table says already.
    """
    file = existing(path, "give a .csv, .tsv or .parquet file that lists images")
    raw = _read(file)
    table = _named(raw, file, options)
    if not len(table):
        raise ConfigError(f"{path}: the table has no rows")
    given = {**options.data.columns, "group": options.data.group, "dataset": options.data.name, "split": options.split}
    for column, value in given.items():
        if value is not None and table[column].notna().any():
            option = "--template" if column == "templates" else f"--{column}"
            raise ConfigError(f"{path}: {option}: the table has a column {column} that says it; leave the option out")
    root = file.parent if options.root is None else existing(options.root, "give the folder that paths are relative to")
    skipped: list[Skipped] = []
    rows = list(_rows(table, file, root, skipped))
    _fill(rows, file, options)
    have = f"the table has the columns {', '.join(shown(name) for name in raw.columns)}"
    remedies = {
        "caption": f"--caption-column NAME names the column of captions, and {CAPTION_REMEDY}; {have}",
        "concept": f"--concept-column NAME names the column of classes; {have}",
    }
    return imported(rows, skipped, remedies)


def _read(path: Path) -> pd.DataFrame:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"{path}: its name ends in {suffix or 'nothing'}; allowed: {', '.join(SUFFIXES)}")
    try:
        if suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(
            path, sep=SUFFIXES[suffix], dtype=str, keep_default_na=False, na_values=[""], encoding="utf-8"
        )
    except UnicodeDecodeError as error:
        what = f"byte {error.object[error.start]:#04x} is not UTF-8 text"
        raise ConfigError(f"{path}: {what}; save the table as UTF-8") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as a table: {str(error).strip()}") from error


def _named(table: pd.DataFrame, path: Path, options: ListingOptions) -> pd.DataFrame:
    """The columns of a manifest, by their names there."""
    table = table.rename(columns=str)
    have = ", ".join(shown(name) for name in table.columns)
    for column, name in options.columns:
        if name not in table.columns:
            meant = suggestion(name, table.columns)
            raise ConfigError(f"{path}: --{column}-column: there is no column {name!r}; {meant}the table has {have}")
    renamed = {column: table[name] for column, name in options.columns}
    table = table.assign(**renamed)
    if "image" not in table and "bytes" not in table:
        raise ConfigError(f"{path}: there is no column image; the table has {have}; say --image-column NAME")
    if "image" in table and any(isinstance(one, dict | bytes) for one in table["image"]):
        raise ConfigError(
            f"{path}: the column of images holds images, not paths; import it with `retune data import hf`"
        )
    return manifest.canonical(table)


def _rows(table: pd.DataFrame, path: Path, root: Path, skipped: list[Skipped]) -> Iterator[Row]:
    """Rows with absolute paths; numbers that are names, such as of classes, as texts."""
    for number, values in enumerate(table.to_dict("records"), start=1):
        row: Row = {str(name): value for name, value in values.items()}
        for name in ("image", "member", "concept", "dataset", "year"):
            row[name] = None if row[name] is None else str(row[name])
        if (reason := _wrong(row)) is not None:
            skipped.append(Skipped(where=f"{path}, row {number}", reason=reason))
            continue
        row["drawn by"] = f"{row['image'] or number}/{row['member'] or ''}"  # the same wherever the images lie
        if row["image"] is not None:
            row["image"] = str(root / row["image"])
        yield row


def _wrong(row: Row) -> str | None:
    image, member = row["image"], row["member"]
    if image is None:
        return "no image" if row["bytes"] is None and row["split"] != "label" else None
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", image):
        return f"{shown(image)} is an address, and nothing is fetched; download the images first"
    if leaves(image) or (member is not None and leaves(member)):
        return f"{shown(image if leaves(image) else member)} leaves the folder by .."
    return None


def _fill(rows: list[Row], path: Path, options: ListingOptions) -> None:
    """Fill what a table leaves empty."""
    data = options.data
    for row in rows:
        if row["dataset"] is None:
            row["dataset"] = data.named(shown(path.stem))
        for name, value in {**data.columns, "split": options.split}.items():
            row[name] = value if row[name] is None else row[name]
        row["caption"] = row["caption"] or data.captions_of(row["concept"])
    open_ones: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row["split"] is None:
            open_ones.setdefault((row["dataset"], row["group"]), []).append(row)
    if options.division.test_share is not None and not open_ones:
        raise ConfigError(f"{path}: --test-share: the table has a column split that says it; leave the option out")
    for (_, group), some in open_ones.items():
        names, concepts = [row["drawn by"] for row in some], [row["concept"] for row in some]
        for row, split in zip(some, options.division.splits(names, concepts, group), strict=True):
            row["split"] = split
