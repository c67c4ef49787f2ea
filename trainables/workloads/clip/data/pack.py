"""A pack: a manifest made ready for one model and kept in the cache: captions as tokens, images as places to read.

Rows stand in the order test, adapt, pool, data sets by name. All arrays are mapped, so that workers of a machine share
them, and no worker holds the table. A pack is named by the manifest's content and by the model's view of images and
texts. It is put in its place whole, so several processes may make the same one.
"""

import hashlib
import itertools
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyarrow import feather

from trainables.files import draft_folder, locked
from trainables.frozen import ConfigError, digest
from trainables.workloads.clip.data import manifest, stamps
from trainables.workloads.clip.data.images import ImageError, Source, encoded

VERSION = 3
"""Raised by every change of what a pack holds, decoded images included."""

Tokenize = Callable[[Sequence[str]], NDArray[np.int32]]
Cut = Callable[[Sequence[str], NDArray[np.int32]], int]
"""How many of some texts are longer than their tokens, which end where the model's context does."""


@dataclass(frozen=True, kw_only=True)
class TestSet:
    """A data set of the suite: its rows, and how it is scored. Retrieval sets have no classes."""

    __test__ = False

    name: str
    group: Literal["adapt", "holdout"]
    metric: str
    rows: range
    classes: tuple[str, ...]
    templates: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TrainSet:
    """Training rows of an adapt data set and its streamed concepts; the pool has none."""

    name: str
    rows: range
    concepts: tuple[str, ...]


class Pack:
    """The contents of a pack's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._said: dict[str, Any] = json.loads((folder / "pack.json").read_text())

    @property
    def data(self) -> str:
        """Digest of all training rows: images, captions, concepts."""
        return str(self._said["data"])

    @property
    def suite(self) -> str:
        """Digest of all test rows, and of how they are scored."""
        return str(self._said["suite"])

    @cached_property
    def tests(self) -> tuple[TestSet, ...]:
        """The suite."""
        return tuple(
            TestSet(**{**one, "rows": range(*one["rows"]), **_tuples(one, "classes", "templates")})
            for one in self._said["tests"]
        )

    @cached_property
    def train(self) -> tuple[TrainSet, ...]:
        """The adapt data sets; the last is the pool, which may be empty."""
        return tuple(
            TrainSet(**{**one, "rows": range(*one["rows"]), **_tuples(one, "concepts")}) for one in self._said["train"]
        )

    @property
    def concepts(self) -> tuple[str, ...]:
        """The stream's concepts, as "dataset/concept"."""
        return tuple(f"{one.name}/{concept}" for one in self.train for concept in one.concepts)

    @property
    def years(self) -> tuple[float | None, ...]:
        """The year in which each concept of the stream appeared."""
        return tuple(self._said["years"])

    @property
    def cut(self) -> Mapping[str, tuple[int, int]]:
        """Numbers of distinct captions and of prompts that are too long for the model, each with the number of all."""
        return {kind: (int(cut), int(of)) for kind, (cut, of) in self._said["cut"].items()}

    def array(self, name: str) -> NDArray[Any]:
        """An array by its name.

        concept [N]: index among the concepts or classes of the row's data set; -1 of none
        first [N + 1], tokens [M, L]: captions of row i are the tokens first[i] to first[i + 1]
        prompts-DATASET [C, K, L]: K prompts of each class
        """
        found: NDArray[Any] = np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        return found

    def __len__(self) -> int:
        return int(self._said["rows"])

    def source(self, row: int) -> Source:
        """The place of the image of a row."""
        said = {name: column[row].as_py() for name, column in self._sources.items()}
        return Source(**{**said, "path": self.folder / said["path"]})

    def sources_in(self, files: Collection[str]) -> list[Source]:
        """The places of all images that lie in some files."""
        paths = self._sources["path"].to_pylist()
        return [self.source(i) for i, path in enumerate(paths) if path in files] if files else []

    @cached_property
    def _sources(self) -> Mapping[str, Any]:
        """The table of places, mapped so that a million of them takes no memory of a worker."""
        table = feather.read_table(self.folder / "sources.arrow", memory_map=True)
        return {name: table[name] for name in table.column_names}

    def pool_captions(self) -> tuple[tuple[str, ...], ...]:
        """Captions of the pool's rows, as texts."""
        texts = pd.read_parquet(self.folder / "pool.parquet")["caption"]
        return tuple(tuple(some) for some in texts)


def pack(path: Path, *, seen_as: Mapping[str, object], tokenize: Tokenize, cut: Cut, cache: Path) -> Pack:
    """The pack of a manifest for a model.

    Args:
        path: the manifest.
        seen_as: the model's view of images and texts (size, resizing, tokenizer); it enters the digests.
        tokenize: texts as tokens [n, L].
        cut: counts the texts that are longer than that.
        cache: the cache folder.

    Raises:
        ConfigError: a study cannot use the manifest, or one of its images cannot be read.
    """
    try:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; make one with `retune data import`") from error
    key = digest([content, str(path.resolve().parent), seen_as, VERSION])
    folder = cache / "data" / key[:32]
    if not (folder / "pack.json").is_file():
        with locked(folder):
            if not (folder / "pack.json").is_file():
                _make(path, folder, seen_as=seen_as, tokenize=tokenize, cut=cut)
    return Pack(folder)


def _make(path: Path, folder: Path, *, seen_as: Mapping[str, object], tokenize: Tokenize, cut: Cut) -> None:
    frame = manifest.read(path)
    manifest.require_usable(frame, str(path))
    with draft_folder(folder) as making:
        _Maker(frame, path, making, seen_as=seen_as, tokenize=tokenize, cut=cut).make()
        try:
            making.rename(folder)
        except OSError:  # another process was first, with the same content
            if not (folder / "pack.json").is_file():
                raise


_HELD = "bytes.bin"
"""File of a pack with the images that the manifest itself holds."""


class _Maker:
    """Makes the folder of a pack."""

    def __init__(
        self,
        frame: pd.DataFrame,
        path: Path,
        folder: Path,
        *,
        seen_as: Mapping[str, object],
        tokenize: Tokenize,
        cut: Cut,
    ) -> None:
        self._frame, self._path, self._folder = frame, path, folder
        self._seen_as, self._tokenize, self._cut = seen_as, tokenize, cut
        self._root = path.resolve().parent

    def make(self) -> None:
        tests, train = list(self._tests()), list(self._train())
        order = [i for _, rows in (*tests, *train) for i in rows]
        bounds = np.cumsum([0, *(len(rows) for _, rows in (*tests, *train))])
        spans: list[list[int]] = [[int(a), int(b)] for a, b in itertools.pairwise(bounds)]
        rows = self._frame.loc[order].reset_index(drop=True)
        sources = self._sources(rows)
        cut = {"captions": self._save_captions(rows), "prompts": self._save_prompts([one for one, _ in tests])}
        self._save_concepts(rows, [*(one for one, _ in tests), *(one for one, _ in train)], spans)
        tested = spans[len(tests) - 1][1]
        digests = [_row_digest(row, sha) for row, sha in zip(_each(rows), sources["sha256"], strict=True)]
        said = {
            "rows": len(rows),
            "tests": [{**one, "rows": span} for (one, _), span in zip(tests, spans, strict=False)],
            "train": [{**one, "rows": span} for (one, _), span in zip(train, spans[len(tests) :], strict=True)],
            "years": list(self._years(train)),
            "cut": cut,
            "suite": digest([self._seen_as, [one for one, _ in tests], _joined(digests[:tested])]),
            "data": digest([self._seen_as, [one for one, _ in train], _joined(digests[tested:])]),
        }
        captions = pd.Series([list(texts) for texts in rows.loc[rows["group"] == "pool", "caption"]], dtype=object)
        captions.to_frame("caption").to_parquet(self._folder / "pool.parquet")
        files = [name for name in sources["path"] if name != _HELD]
        stamps.keep(self._folder, files, known_at=self._path.stat().st_mtime_ns)
        feather.write_feather(sources, self._folder / "sources.arrow", compression="uncompressed")
        (self._folder / "pack.json").write_text(json.dumps(said))

    def _tests(self) -> Iterator[tuple[dict[str, Any], list[int]]]:
        """Data sets of the suite, with their test rows."""
        used = self._frame[self._frame["group"] != "pool"]
        for name, rows in used.groupby("dataset", sort=True):
            retrieved = (rows["kind"] == "retrieval").any()
            metric, templates = _first(rows, "metric"), _first(rows, "templates")
            test = rows[rows["split"] == "test"]
            yield (
                {
                    "name": str(name),
                    "group": _first(rows, "group"),
                    "metric": metric or (manifest.RECALL if retrieved else manifest.METRICS[0]),
                    "classes": [] if retrieved else sorted(set(rows["concept"].dropna())),
                    "templates": [] if retrieved else list(templates or (manifest.TEMPLATE,)),
                },
                list(test.index),
            )

    def _train(self) -> Iterator[tuple[dict[str, Any], list[int]]]:
        """Adapt data sets with their training rows, and the pool."""
        train = self._frame[self._frame["split"] == "train"]
        for name, rows in train[train["group"] == "adapt"].groupby("dataset", sort=True):
            yield {"name": str(name), "concepts": sorted(set(rows["concept"]))}, list(rows.index)
        yield {"name": "", "concepts": []}, list(train.index[train["group"] == "pool"])

    def _sources(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The places of images: files, or parts of files; bytes of the table go to a file of the pack."""
        found: list[tuple[str, str | None, int | None, int | None, str]] = []
        with (self._folder / _HELD).open("wb") as blob:
            for row in _each(rows):
                if row.bytes is not None:
                    sha = hashlib.sha256(row.bytes).hexdigest()
                    found.append((_HELD, None, blob.tell(), len(row.bytes), sha))
                    blob.write(row.bytes)
                    continue
                place = self._root / str(row.image)
                source = Source(path=place, member=row.member, offset=_whole(row.offset), size=_whole(row.size))
                sha = str(row.sha256) if row.sha256 is not None else self._hashed(source)
                found.append((str(place), source.member, source.offset, source.size, sha))
        frame = pd.DataFrame(found, columns=["path", "member", "offset", "size", "sha256"])
        return frame.astype({"offset": "Int64", "size": "Int64"})

    def _hashed(self, source: Source) -> str:
        try:
            return hashlib.sha256(encoded(source)).hexdigest()
        except ImageError as error:
            raise ConfigError(f"{self._path}: {error}; see `retune data check {self._path}`") from error

    def _save_captions(self, rows: pd.DataFrame) -> tuple[int, int]:
        """Save tokens, a row for each caption of each image; return how many texts are cut, and of how many.

        Each distinct text is tokenised once.
        """
        texts = [text for some in rows["caption"] for text in some or ()]
        unique = {text: i for i, text in enumerate(dict.fromkeys(texts))}
        table = _in_parts(self._tokenize, list(unique))
        used = {text for some, read in zip(rows["caption"], _is_read(rows), strict=True) if read for text in some or ()}
        read = [text for text in unique if text in used]
        np.save(self._folder / "tokens.npy", table[[unique[text] for text in texts]])
        np.save(self._folder / "first.npy", np.cumsum([0, *(len(some or ()) for some in rows["caption"])]))
        return self._cut(read, table[[unique[text] for text in read]]), len(read)

    def _save_prompts(self, tests: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
        """Save the prompts of all classes; return how many are cut, and of how many."""
        cut, count = 0, 0
        for one in tests:
            texts = [template.replace("{}", name) for name in one["classes"] for template in one["templates"]]
            if texts:
                tokens = self._tokenize(texts)
                cut, count = cut + self._cut(texts, tokens), count + len(texts)
                prompts = tokens.reshape(len(one["classes"]), len(one["templates"]), -1)
                np.save(self._folder / f"prompts-{one['name']}.npy", prompts)
        return cut, count

    def _save_concepts(self, rows: pd.DataFrame, sets: Sequence[Mapping[str, Any]], spans: list[list[int]]) -> None:
        concept = np.full(len(rows), -1, dtype=np.int32)
        for one, (begin, end) in zip(sets, spans, strict=True):
            names = one.get("classes") or one.get("concepts") or []
            index = {name: i for i, name in enumerate(names)}
            if index:
                concept[begin:end] = [index[name] for name in rows["concept"].iloc[begin:end]]
        np.save(self._folder / "concept.npy", concept)

    def _years(self, train: Sequence[tuple[Mapping[str, Any], list[int]]]) -> Iterator[float | None]:
        """The first year that a row of each streamed concept names, or else a row of its data set."""
        for one, rows in train:
            years = {
                concept: [manifest.as_year(year) for year in some["year"].dropna()]
                for concept, some in self._frame.loc[rows].groupby("concept")
            }
            yield from (min(years[concept], default=None) for concept in one["concepts"])


def _first(rows: pd.DataFrame, column: str) -> Any:
    """The first value of a column in which all rows with a value have the same."""
    return next(iter(rows[column].dropna()), None)


def _each(rows: pd.DataFrame) -> Iterator[Any]:
    return rows.itertuples()


def _is_read(row: Any) -> Any:
    """Whether the captions of a row, or of each of several rows, are used; test images of classes need none."""
    return (row.split == "train") | (row.kind == "retrieval")


def _row_digest(row: Any, sha256: str) -> str:
    """Hash of the values of a row that are used."""
    return digest([sha256, list(row.caption or ()) if _is_read(row) else None, row.concept, row.dataset])


def _joined(digests: Sequence[str]) -> str:
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _in_parts(tokenize: Tokenize, texts: Sequence[str], size: int = 4096) -> NDArray[np.int32]:
    parts = [tokenize(texts[i : i + size]) for i in range(0, len(texts), size)]
    return np.concatenate(parts) if parts else tokenize(["nothing"])[:0]


def _tuples(value: Mapping[str, Any], *names: str) -> dict[str, tuple[str, ...]]:
    return {name: tuple(value[name]) for name in names}


def _whole(value: Any) -> int | None:
    return None if value is None or value is pd.NA else int(value)
