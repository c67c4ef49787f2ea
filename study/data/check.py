"""A manifest checked: counts of its data sets, and all that is wrong with it and its images. Nothing is dropped."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from trainables.workloads.clip.data import manifest
from trainables.workloads.clip.data.images import Source
from trainables.workloads.clip.data.inspection import Meter, inspect, sources
from trainables.workloads.clip.data.manifest import Problem

_SHOWN = 5
_CHANGED = "it has changed since it was imported"
_GONE = "cannot be read"


@dataclass(frozen=True, kw_only=True)
class Counts:
    """A data set with the numbers of its classes and images; classes without images count, too."""

    name: str
    group: str
    kind: str
    classes: int
    train: int
    test: int
    captions: int


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a check found; `examples` are the first few images of a problem with images, in words."""

    source: str
    rows: int
    counts: tuple[Counts, ...]
    problems: tuple[Problem, ...]
    examples: dict[str, tuple[str, ...]]

    @property
    def usable(self) -> bool:
        """Whether a study can use the manifest: no problem is fatal."""
        return not any(one.fatal for one in self.problems)

    def as_json(self) -> str:
        """The result of the check as a JSON object."""
        problems = [
            {
                "what": one.what,
                "rows": len(one.rows),
                "first_rows": one.rows[:_SHOWN],
                "examples": self.examples.get(one.what, ()),
                "fatal": one.fatal,
                "instead": one.instead,
            }
            for one in self.problems
        ]
        value = {
            "manifest": self.source,
            "rows": self.rows,
            "usable": self.usable,
            "datasets": [asdict(one) for one in self.counts],
            "problems": problems,
        }
        return json.dumps(value, indent=2)


def check(path: Path, *, decode: bool) -> Checked:
    """Look at a manifest and at all of its images.

    Args:
        path: the manifest.
        decode: whether images are decoded; they are read and compared with their hashes in any case.

    Raises:
        ConfigError: the manifest cannot be read.
    """
    frame = manifest.read(path)
    of_images, examples = _of_images(frame, path.resolve().parent, decode=decode)
    problems = (*manifest.problems(frame), *of_images, *_seen_in_training(frame), *_of_two_classes(frame))
    return Checked(source=str(path), rows=len(frame), counts=counts(frame), problems=problems, examples=examples)


def counts(frame: pd.DataFrame) -> tuple[Counts, ...]:
    """The data sets of a manifest, the pool last."""
    found = []
    named = frame[frame["dataset"].notna()]
    for name, rows in named.groupby(named["dataset"].map(str)):
        images = rows[rows["split"] != "label"]
        found.append(
            Counts(
                name=str(name),
                group=_all_of(rows["group"]),
                kind=_all_of(rows["kind"]) or "classification",
                classes=int(rows["concept"].dropna().map(str).nunique()),
                train=int((images["split"] == "train").sum()),
                test=int((images["split"] == "test").sum()),
                captions=sum(len(some) for some in images["caption"] if some),
            )
        )
    return tuple(sorted(found, key=lambda one: manifest.GROUPS.index(one.group) if one.group in manifest.GROUPS else 9))


def table(found: Sequence[Counts]) -> list[str]:
    """Lines of the counts, for people."""
    head = ("data set", "group", "kind", "classes", "train", "test", "images", "captions")
    lines = [
        (
            one.name,
            one.group,
            "-" if one.group == "pool" else one.kind,
            str(one.classes),
            str(one.train),
            str(one.test),
            str(one.train + one.test),
            str(one.captions),
        )
        for one in found
    ]
    widths = [max(len(line[i]) for line in (head, *lines)) for i in range(len(head))]
    return [
        "  ".join(
            cell.ljust(width) if i < 3 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in (head, *lines)
    ]


def lines(found: Checked) -> Iterator[str]:
    """The counts, the problems with examples, and whether a study can use the manifest, in lines of text."""
    yield from table(found.counts)
    for problem in found.problems:
        yield f"{'wrong' if problem.fatal else 'note'}: {problem}"
        yield from (f"  {example}" for example in found.examples.get(problem.what, ()))
    yield "a study can use it" if found.usable else "a study cannot use it"


def _of_images(frame: pd.DataFrame, root: Path, *, decode: bool) -> tuple[list[Problem], dict[str, tuple[str, ...]]]:
    """Problems with images: missing, undecodable, or changed since the import."""
    places: list[tuple[int, Source]] = []
    for i, place in enumerate(sources(frame, root)):
        if place is not None and frame["split"].iloc[i] != "label":
            places.append((i, place))
    looks = inspect([place for _, place in places], decode=decode, meter=Meter(len(places)))
    wrong: dict[str, list[tuple[int, str]]] = {}
    for (i, place), look in zip(places, looks, strict=True):
        if look.wrong is not None:
            reason = look.wrong.removeprefix(f"{place}: ")
            wrong.setdefault(_kind_of(reason), []).append((i, look.wrong))
    instead = {
        "images that cannot be read": "bring the files back, or import again",
        "images that have changed since they were imported": "import again",
        "images that cannot be decoded": "repair them, or import again with --on-bad-image skip",
    }
    problems = [
        Problem(what=what, rows=tuple(i for i, _ in wrong[what]), fatal=True, instead=instead[what])
        for what in instead
        if what in wrong
    ]
    return problems, {what: tuple(text for _, text in some[:_SHOWN]) for what, some in wrong.items()}


def _kind_of(reason: str) -> str:
    if reason.startswith(_CHANGED):
        return "images that have changed since they were imported"
    return "images that cannot be read" if reason.startswith(_GONE) else "images that cannot be decoded"


def _seen_in_training(frame: pd.DataFrame) -> list[Problem]:
    """Test images that are trained on as well: what they measure is memory."""
    hashes = frame["sha256"].dropna().map(str)
    used = (frame["split"] == "train") & (frame["group"] != "holdout")
    trained = set(hashes[used[hashes.index]])
    leaked = hashes.index[(frame["split"] == "test")[hashes.index] & hashes.isin(trained)]
    if not len(leaked):
        return []
    return [
        Problem(
            what="test images that are also trained on",
            rows=tuple(int(i) for i in leaked),
            fatal=False,
            instead="remove them from one side, or know that their scores are too good",
        )
    ]


def _of_two_classes(frame: pd.DataFrame) -> list[Problem]:
    """Images that a data set teaches as more than one class."""
    taught = frame[(frame["split"] == "train") & (frame["group"] == "adapt") & (frame["kind"] != "retrieval")]
    taught = taught[["dataset", "sha256", "concept"]].dropna().map(str)
    classes = taught.groupby(["dataset", "sha256"])["concept"].transform("nunique")
    rows = taught.index[classes > 1] if len(taught) else taught.index
    if not len(rows):
        return []
    return [
        Problem(
            what="training images that a data set has in more than one class",
            rows=tuple(int(i) for i in rows),
            fatal=False,
            instead="remove them from all but one, or know that they teach all of these",
        )
    ]


def _all_of(values: "pd.Series[Any]") -> str:
    return "/".join(dict.fromkeys(str(one) for one in values.dropna()))
