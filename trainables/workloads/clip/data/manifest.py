"""The manifest: one table of all images, a row each, as Parquet or CSV.

    image      path of an image file, or of a tar shard that holds it; empty where `bytes` is
    member     name inside the tar; `offset` and `size` are the bytes of it there (found when they are left out)
    bytes      the encoded image itself, in place of a path (Parquet only)
    sha256     of the encoded image, in hex; computed when it is left out
    caption    a text, or a list of texts (in CSV a JSON list); may be empty where nothing is learnt from the row
    concept    the class; empty in the pool and in retrieval sets
    dataset    name of the data set
    split      train | test | label; a row of split `label` has no image and adds its concept to the label set
    group      adapt (its concepts are the stream) | holdout (only evaluated) | pool (pretraining data to replay)
    kind       classification | retrieval; of a data set as a whole
    year       when the concept or data set appeared, for orderings by time; optional
    templates  prompts of a data set's classes, such as "a photo of a {}."; a text or a list; optional
    metric     accuracy | mean_per_class_accuracy of classification, recall@K of retrieval; optional

Paths are absolute or relative to the manifest's folder. Nothing is filled in or dropped: `problems` names all that is
wrong, with the rows.
"""

import json
import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from trainables.files import whole
from trainables.frozen import ConfigError

REQUIRED = ("image", "caption", "concept", "dataset", "split", "group")
OPTIONAL = ("member", "offset", "size", "bytes", "sha256", "kind", "year", "templates", "metric")
SPLITS = ("train", "test", "label")
GROUPS = ("adapt", "holdout", "pool")
KINDS = ("classification", "retrieval")
METRICS = ("accuracy", "mean_per_class_accuracy")
TEMPLATE = "a photo of a {}."
RECALL = "recall@5"

_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A problem of some rows of a manifest.

    Attributes:
        what: the problem in words.
        rows: numbers of the rows, from 0; the first few are shown to users.
        fatal: whether a study cannot use the manifest.
        instead: the remedy in words.
    """

    what: str
    rows: tuple[int, ...]
    fatal: bool
    instead: str

    def __str__(self) -> str:
        rows = ", ".join(map(str, self.rows[:_SHOWN])) + (", ..." if len(self.rows) > _SHOWN else "")
        shown = f"{len(self.rows)} rows ({rows}): " if self.rows else ""
        return f"{shown}{self.what}; {self.instead}"


def read(path: Path) -> pd.DataFrame:
    """The table of a manifest with all columns and unchanged values: empty cells are None, lists are tuples.

    Raises:
        ConfigError: it cannot be read, or lacks a required column.
    """
    try:
        frame = _read_csv(path) if path.suffix.lower() == ".csv" else pd.read_parquet(path)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; make a manifest with `retune data import`") from error
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a manifest, .parquet or .csv: {error}") from error
    missing = [name for name in REQUIRED if name not in frame.columns]
    if missing:
        raise ConfigError(
            f"{path}: the columns {', '.join(missing)} are missing; a manifest has {', '.join(REQUIRED)}, and may have "
            f"{', '.join(OPTIONAL)}"
        )
    return canonical(frame)


def has_pool(path: Path) -> bool:
    """Whether a manifest has rows of pretraining data; one column is read.

    Raises:
        ConfigError: it cannot be read, or lacks a required column.
    """
    try:
        if path.suffix.lower() == ".csv":
            groups = pd.read_csv(path, usecols=["group"], dtype=str)["group"]
        else:
            groups = pd.read_parquet(path, columns=["group"])["group"]
    except (OSError, ValueError):  # which `read` says in full
        groups = read(path)["group"]
    return bool((groups == "pool").any())


def canonical(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with all columns in order and plain values: None for empty cells, tuples of texts for lists."""
    columns: dict[str, list[Any]] = {}
    for name in (*REQUIRED, *OPTIONAL):
        values = list(frame[name]) if name in frame.columns else [None] * len(frame)
        plain = _PLAIN.get(name, _value)
        columns[name] = [plain(value) for value in values]
    return pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write a manifest as Parquet, whole or not at all; years become texts, since some are numbers and some dates."""
    table = canonical(frame)
    table["year"] = pd.Series([None if one is None else str(one) for one in table["year"]], dtype=object)
    table = table.drop(columns=[name for name in OPTIONAL if table[name].isna().all()])
    for name in ("caption", "templates"):
        if name in table:
            table[name] = pd.Series([None if not one else list(one) for one in table[name]], dtype=object)
    for name in ("offset", "size"):
        if name in table:
            table[name] = table[name].astype("Int64")
    with whole(path) as file:
        table.to_parquet(file, index=False)


def problems(frame: pd.DataFrame) -> tuple[Problem, ...]:
    """The problems of a manifest as `read` gives it, without a look at the images."""
    return tuple(one for one in _problems(frame) if one is not None)


def without_caption(frame: pd.DataFrame) -> "pd.Series[bool]":
    """Rows without a caption, or with an empty one, that need one: rows of training, and of retrieval sets."""
    images = frame["split"] != "label"
    learnt = (frame["split"] == "train") & (frame["group"] != "holdout")
    needed = learnt | ((frame["kind"] == "retrieval") & images)
    return needed & frame["caption"].map(lambda texts: not texts or not all(text.strip() for text in texts))


def require_usable(frame: pd.DataFrame, source: str) -> None:
    """Raises: ConfigError: a study cannot use the manifest; it names all that is wrong."""
    found = [one for one in problems(frame) if one.fatal]
    if found:
        raise ConfigError("\n".join(f"{source}: {one}" for one in found))


def _problems(frame: pd.DataFrame) -> Iterator[Problem | None]:
    if not len(frame):
        yield Problem(what="the manifest has no rows", rows=(), fatal=True, instead="import data first")
        return
    lists = {name: ~frame[name].map(lambda one: isinstance(one, Hashable)) for name in frame.columns}
    if any(wrong.any() for wrong in lists.values()):  # which nothing below could compare
        for name, wrong in lists.items():
            yield _rows(frame, wrong, f"{name}s of more than one value", "give one value, or several rows")
        return
    for name, allowed in (("split", SPLITS), ("group", GROUPS), ("kind", (*KINDS, None))):
        wrong = ~frame[name].isin([one for one in allowed if one is not None])
        if None in allowed:
            wrong &= frame[name].notna()
        given = ", ".join(sorted({repr(one) for one in frame.loc[wrong, name]})[:_SHOWN])
        listed = ", ".join(one for one in allowed if one is not None)
        yield _rows(frame, wrong, f"unknown {name}s: {given}", f"allowed: {listed}")
    for name in ("caption", "concept", "dataset", "image", "member"):
        wrong = pd.Series([_unprintable(value) for value in frame[name]], index=frame.index)
        yield _rows(frame, wrong, f"{name}s with characters that are no text", "write them as UTF-8")
    yield _rows(frame, frame["dataset"].isna(), "rows without a dataset", "name one")
    yield _rows(frame, frame["dataset"].map(_has_slash), "datasets with a / in their name", "use another character")
    labels = frame["split"] == "label"
    bare = frame["image"].isna() & frame["bytes"].isna() & ~labels
    yield _rows(frame, bare, "rows without an image", "give a path or bytes, or remove the rows")
    yield _rows(
        frame,
        frame["image"].map(_leaves_folder),
        "paths that leave the manifest's folder by ..",
        "give paths below it, or absolute ones",
    )
    yield _rows(frame, frame["member"].map(_leaves_folder), "members that leave their tar by ..", "remove the rows")
    pool, train = frame["group"] == "pool", frame["split"] == "train"
    classified = (frame["kind"] != "retrieval") & ~pool
    yield _rows(frame, without_caption(frame), "empty captions", "write a caption, or remove the rows")
    streamed = (frame["group"] == "adapt") & (train | labels)
    yield _rows(
        frame,
        (classified | streamed) & frame["concept"].map(lambda one: not str(one or "").strip()),
        "rows without a concept",
        "name the class that they show, or import them with --group pool, which has none",
    )
    yield _rows(frame, pool & ~train, "rows of the pool that are not of split train", "the pool is trained on alone")
    yield _rows(
        frame,
        (frame["group"] == "holdout") & train,
        "training rows of held-out data sets, which nothing uses",
        "remove them",
        fatal=False,
    )
    for name in ("image", "member", "concept", "dataset", "sha256"):
        wrong = frame[name].notna() & ~frame[name].map(lambda one: isinstance(one, str))
        yield _rows(frame, wrong, f"{name}s that are no text", "write them as texts")
    wrong = frame["bytes"].notna() & ~frame["bytes"].map(lambda one: isinstance(one, bytes))
    yield _rows(frame, wrong, "bytes that are no bytes", "write the manifest as Parquet, or give paths")
    for name in ("offset", "size"):
        wrong = frame[name].notna() & ~frame[name].map(lambda one: isinstance(one, int) and one >= 0)
        yield _rows(frame, wrong, f"{name}s that are no number of bytes", "leave them out, and they are looked up")
    wrong = frame["metric"].notna() & ~frame["metric"].map(is_metric)
    yield _rows(frame, wrong, "unknown metrics", f"allowed: {', '.join(METRICS)}, recall@K")
    wrong = frame["templates"].map(lambda some: bool(some) and not all(one.count("{}") == 1 for one in some))
    yield _rows(frame, wrong, "templates without one {} for the class", 'write them as "a photo of a {}."')
    wrong = frame["year"].notna() & ~frame["year"].map(is_year)
    yield _rows(frame, wrong, "years that are no number", "write 2021, or a date such as 2021-03-01")
    yield _rows(frame, _duplicates(frame), "rows that repeat an earlier one", "remove them", fatal=False)
    yield from _of_datasets(frame)


def _of_datasets(frame: pd.DataFrame) -> Iterator[Problem | None]:
    for name, rows in frame[frame["dataset"].map(lambda one: isinstance(one, str))].groupby("dataset"):
        for column in ("group", "kind", "metric", "templates"):
            if rows[column].dropna().nunique() > 1:
                yield Problem(
                    what=f"data set {name}: more than one {column}",
                    rows=tuple(rows.index),
                    fatal=True,
                    instead="give all its rows the same, or make two data sets of it",
                )
        if set(rows["group"]) == {"pool"}:
            continue
        yield from _of_evaluated(str(name), rows)
    if not (frame["group"] == "pool").any():
        yield Problem(
            what="there is no pool of pretraining data",
            rows=(),
            fatal=False,
            instead="studies need pool_share: 0, or import one with --group pool",
        )
    for group, what in (("adapt", "accumulation"), ("holdout", "retention")):
        if not (frame["group"] == group).any():
            yield Problem(
                what=f"there is no data set of group {group}, so {what} cannot be measured",
                rows=(),
                fatal=True,
                instead=f"import one with --group {group}",
            )


def _of_evaluated(name: str, rows: pd.DataFrame) -> Iterator[Problem | None]:
    test, train = rows[rows["split"] == "test"], rows[rows["split"] == "train"]
    if not len(test):
        yield Problem(
            what=f"data set {name}: it has no test images",
            rows=tuple(rows.index),
            fatal=True,
            instead="add rows of split test",
        )
    if (rows["group"] == "adapt").any() and not len(train):
        yield Problem(
            what=f"data set {name}: it has no training images",
            rows=tuple(rows.index),
            fatal=True,
            instead="add rows of split train, or make its group holdout",
        )
    if (rows["kind"] == "retrieval").any():
        return
    classes = set(rows["concept"].dropna())
    if len(classes) == 1:
        yield Problem(
            what=f"data set {name}: it has one class only, which every model gets right",
            rows=tuple(rows.index),
            fatal=True,
            instead="add classes, or rows of split label",
        )
    untested = set(train["concept"].dropna()) - set(test["concept"].dropna())
    if untested and len(test):
        shown = ", ".join(sorted(map(str, untested))[:_SHOWN]) + (", ..." if len(untested) > _SHOWN else "")
        yield Problem(
            what=f"data set {name}: {len(untested)} classes have no test images: {shown}",
            rows=tuple(train.index[train["concept"].isin(untested)]),
            fatal=False,
            instead="add some, or know that their accumulation is not measured",
        )


def _rows(
    frame: pd.DataFrame, wrong: "pd.Series[bool]", what: str, instead: str, *, fatal: bool = True
) -> Problem | None:
    rows = tuple(int(i) for i in frame.index[wrong.astype(bool)])
    return Problem(what=what, rows=rows, fatal=fatal, instead=instead) if rows else None


def _duplicates(frame: pd.DataFrame) -> "pd.Series[bool]":
    """Rows of the same image with the same words in the same place."""
    same = ["image", "member", "sha256", "caption", "concept", "dataset", "split"]
    with_image = frame["image"].notna() | frame["sha256"].notna()
    repeated = frame[same].astype(object).duplicated()
    return repeated & with_image


def _read_csv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""], encoding="utf-8")


def _value(value: Any) -> Any:
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, str):
        return value or None
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


def _whole(value: Any) -> Any:
    """A number as an int, also if it was written as text or read as a float; any other value unchanged."""
    value = _value(value)
    if isinstance(value, str) and re.fullmatch(r"\d{1,18}", value):
        return int(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _texts(value: Any) -> tuple[str, ...] | None:
    """A text, a JSON list of texts or a sequence of texts, as a tuple."""
    if isinstance(value, str) and value.startswith("["):
        try:
            parsed = json.loads(value)
        except (ValueError, RecursionError):
            parsed = value
        value = parsed if isinstance(parsed, list) and all(isinstance(one, str) for one in parsed) else value
    if isinstance(value, str):
        return (value,)
    if _value(value) is None:
        return None
    if isinstance(value, Iterable):
        return tuple("" if one is None else str(one) for one in value) or None
    return (str(value),)


_PLAIN = {"caption": _texts, "templates": _texts, "offset": _whole, "size": _whole}


def _unprintable(value: Any) -> bool:
    texts: Sequence[Any] = value if isinstance(value, tuple) else (value,)
    return any(isinstance(one, str) and not is_text(one) for one in texts)


def is_text(text: str) -> bool:
    """Whether a text can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:  # a surrogate: bytes that were no UTF-8
        return False
    return "\x00" not in text


def _has_slash(value: Any) -> bool:
    return isinstance(value, str) and "/" in value


def _leaves_folder(value: Any) -> bool:
    return isinstance(value, str) and ".." in PurePosixPath(value.replace("\\", "/")).parts


def is_metric(value: Any) -> bool:
    """Whether a value is the name of a metric."""
    return value in METRICS or (isinstance(value, str) and re.fullmatch(r"recall@[1-9]\d{0,3}", value) is not None)


def is_year(value: Any) -> bool:
    """Whether a value is a year or a date."""
    try:
        as_year(value)
    except (TypeError, ValueError):
        return False
    return True


def as_year(value: Any) -> float:
    """A year, or a date as a fraction of one: 2021, "2021", "2021-07-01"."""
    text = str(value)
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}.*", text):
        day = pd.Timestamp(text)
        return day.year + (day.day_of_year - 1) / 366
    number = float(text)
    if number != number or abs(number) > 1e6:
        raise ValueError(text)
    return number
