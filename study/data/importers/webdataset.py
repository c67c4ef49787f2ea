"""WebDataset shards: uncompressed tars whose members with one key are a sample; images are recorded by their offsets.

As in WebDataset the key is the name up to the first dot of its last part, and what follows is the field: `01/7.jpg`,
`01/7.txt` and `01/7.json` are one sample. Fields: an image (jpg, png, webp, ...), txt (the caption), json (caption or
text, and the class), cls (the number of the class) and cls.txt (its name).
"""

import glob
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from study.data.importers import shard
from study.data.importers.data_set import CAPTION_REMEDY, DataSet, Division, classes_of
from study.data.importers.rows import SUFFIXES, Imported, Skipped, imported, leaves, shown
from study.data.importers.shard import Member
from trainables.frozen import ConfigError

CAPTION_KEYS = ("caption", "text")
CONCEPT_KEYS = ("concept", "class", "class_name", "classname", "label")
"""Keys of a sample's json."""

_TEXTS = ("txt", "json", "cls", "cls.txt")
_LONGEST = 1 << 24


@dataclass(frozen=True, kw_only=True)
class WebDatasetOptions:
    """Options of the kind `webdataset`.

    Attributes:
        data: its name is that of the folder of the shards by default.
        division: of the samples, where neither folders nor `split` divide them.
        split: of all samples.
        classes: file of class names, for cls fields and numbers in json.
        concept_key: of the class in json; None: the first of `CONCEPT_KEYS`.
        caption_key: of the caption in json; None: the first of `CAPTION_KEYS`.

    Raises:
        ConfigError: an unknown split, or options that say the same.
    """

    data: DataSet = field(default_factory=DataSet)
    division: Division = field(default_factory=Division)
    split: str | None = None
    classes: Path | None = None
    concept_key: str | None = None
    caption_key: str | None = None

    def __post_init__(self) -> None:
        if self.split is not None and self.split not in ("train", "test"):
            raise ConfigError(f"--split: {self.split!r} given; allowed: train, test")
        if self.split is not None and self.division.test_share is not None:
            raise ConfigError("--split and --test-share both say what the images are; give one of them")


@dataclass(kw_only=True)
class _Sample:
    """Fields of one key of a shard: the images, and the contents of the others."""

    images: list[Member] = field(default_factory=list)
    texts: dict[str, bytes] = field(default_factory=dict)


def from_webdataset(path: Path, options: WebDatasetOptions) -> Imported:
    """Samples of shards.

    Raises:
        ConfigError: there are no shards, one is compressed or no tar, or classes are numbers without names.
    """
    names = classes_of(options.classes)
    skipped: list[Skipped] = []
    rows: list[dict[str, Any]] = []
    name = options.data.named(_name(path))
    for split, shards in _divided(path, options).items():
        part: list[dict[str, Any]] = []
        for one in shards:
            part.extend(_rows(one, options, names, skipped))
        drawn = [f"{Path(row['image']).name}/{row['member']}" for row in part]
        concepts = [row["concept"] for row in part]
        splits = [split] * len(part) if split else options.division.splits(drawn, concepts, options.data.group_or_adapt)
        rows.extend(
            {**options.data.columns, **row, "dataset": name, "split": of_row}
            for row, of_row in zip(part, splits, strict=True)
        )
    if not rows and not any(one.bad for one in skipped):
        raise ConfigError(f"{path}: the shards hold no samples; a sample is KEY.jpg beside KEY.txt or KEY.json")
    if names and options.data.group != "pool" and options.data.kind != "retrieval":
        seen = {row["concept"] for row in rows}
        rows.extend(
            {**options.data.columns, "concept": one, "dataset": name, "split": "label"}
            for one in names
            if one not in seen
        )
    remedies = {
        "caption": f"--caption-key KEY names the key of the caption in json, and {CAPTION_REMEDY}",
        "concept": "--concept-key KEY names the key of the class in json",
    }
    return imported(rows, skipped, remedies)


def shards_of(path: Path) -> list[Path]:
    """The shards that a path names: a tar, a folder of tars, or a pattern with {000..012}, {a,b}, * or ?.

    Raises:
        ConfigError: it names none.
    """
    if path.is_dir():
        shards = sorted(path.glob("*.tar"))
    elif path.exists():
        shards = [path]
    else:
        shards = []
        for one in _expanded(str(path)):
            matches = sorted(glob.glob(one)) if re.search(r"[*?\[]", one) else [one]
            shards.extend(Path(match) for match in matches)
        absent = [one for one in shards if not one.is_file()]
        if absent:
            many = f"{len(absent)} of its {len(shards)} shards are not there; the first is {shown(absent[0])}"
            raise ConfigError(f"{shown(path)}: {'there is no such shard' if len(shards) == 1 else many}")
    if not shards:
        packed = sorted(path.glob("*.tar.*")) + sorted(path.glob("*.tgz")) if path.is_dir() else []
        hint = f"; {packed[0].name} is compressed, and offsets need uncompressed tars" if packed else ""
        raise ConfigError(f"{path}: no .tar is there; give a folder of shards, a .tar or a pattern{hint}")
    return [one.parent.resolve() / one.name for one in shards]


def _divided(path: Path, options: WebDatasetOptions) -> dict[str, list[Path]]:
    """Shards by split; the split "" stands for shards whose samples are divided one by one."""
    halves = {one: path / one for one in ("train", "test") if path.is_dir() and (path / one).is_dir()}
    if halves and not any(path.glob("*.tar")):
        if options.split is not None or options.division.test_share is not None:
            option = "--split" if options.split is not None else "--test-share"
            raise ConfigError(f"{option}: {path} is divided into folders already; leave the option out")
        return {split: shards_of(folder) for split, folder in halves.items()}
    return {options.split or "": shards_of(path)}


def _rows(
    path: Path, options: WebDatasetOptions, names: Sequence[str] | None, skipped: list[Skipped]
) -> Iterator[dict[str, Any]]:
    """Samples of a shard, in its order."""
    for key, sample in _samples(path, skipped).items():
        where = f"{path}: {key}"
        if len(sample.images) != 1:
            reason = "a sample without an image" if not sample.images else "a sample of more than one image"
            skipped.append(Skipped(where=where, reason=reason))
            continue
        try:
            said = _json(sample)
            concept = _concept(sample, said, options, names, path)
            captions = _captions(sample, said, options)
        except ValueError as error:
            if isinstance(error, ConfigError):
                raise
            skipped.append(Skipped(where=where, reason=str(error)))
            continue
        (image,) = sample.images
        yield {
            "image": str(path),
            "member": image.name,
            "offset": image.offset,
            "size": image.size,
            "caption": captions or options.data.captions_of(concept),
            "concept": concept,
        }


def _samples(path: Path, skipped: list[Skipped]) -> dict[str, _Sample]:
    samples: dict[str, _Sample] = {}
    with shard.opened(path) as file:
        for one in shard.members(path):
            if isinstance(one, Member):
                reason, bad = _take(one, samples, file)
            else:
                skipped.append(one.skipped(path, sum(bool(sample.images) for sample in samples.values()), "samples"))
                continue
            if reason:
                skipped.append(Skipped(where=f"{path}: {one.name}", reason=reason, bad=bad))
    return samples


def _take(member: Member, samples: dict[str, _Sample], file: BinaryIO) -> tuple[str, bool]:
    """Put a member of a shard into its sample; returns the reason if it was skipped, else "", and whether it is bad."""
    if leaves(member.name):
        return "its name leaves the shard by ..", True
    parted = re.fullmatch(r"((?:.*/)?[^./][^./]*)\.([^/]+)", member.name, re.DOTALL)
    if parted is None:
        return "its name is no KEY.FIELD", False
    key, name = parted[1], parted[2].lower()
    if "." not in name and f".{name}" in SUFFIXES:
        samples.setdefault(key, _Sample()).images.append(member)
    elif name not in _TEXTS:
        return f"nothing uses the field {shown(name)}", False
    elif member.size > _LONGEST:
        return f"a text of {member.size} bytes; allowed: {_LONGEST}", True
    else:
        samples.setdefault(key, _Sample()).texts[name] = shard.content(file, member)
    return "", False


def _json(sample: _Sample) -> Mapping[str, Any]:
    if "json" not in sample.texts:
        return {}
    try:
        said = json.loads(sample.texts["json"])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its json cannot be read: {error}") from error
    if not isinstance(said, dict):
        raise ValueError("its json is no object")
    return said


def _captions(sample: _Sample, said: Mapping[str, Any], options: WebDatasetOptions) -> tuple[str, ...]:
    if options.caption_key is None and "txt" in sample.texts:
        text = _text(sample, "txt")
        return (text,) if text else ()
    keys = CAPTION_KEYS if options.caption_key is None else (options.caption_key,)
    value = next((said[key] for key in keys if said.get(key)), None)
    if value is None:
        return ()
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("its caption is neither a text nor a list of texts")
    return tuple(text.strip() for text in texts)


def _concept(
    sample: _Sample,
    said: Mapping[str, Any],
    options: WebDatasetOptions,
    names: Sequence[str] | None,
    path: Path,
) -> str | None:
    if options.data.group == "pool":
        return None
    if "cls.txt" in sample.texts:
        return _text(sample, "cls.txt") or None
    keys = CONCEPT_KEYS if options.concept_key is None else (options.concept_key,)
    value = next((said[key] for key in keys if said.get(key) is not None), None)
    if value is None and "cls" in sample.texts:
        text = _text(sample, "cls")
        if not re.fullmatch(r"\d{1,9}", text):
            raise ValueError(f"its cls is {shown(text[:40])!r}, not the number of a class")
        value = int(text)
    if value is None or isinstance(value, str):
        return value.strip() or None if value else None
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("its class is neither a name nor a number")
    if names is None:
        raise ConfigError(f"{path}: classes are numbers; say their names with --classes FILE, one a line")
    if not 0 <= value < len(names):
        raise ValueError(f"its class is number {value}; --classes names 0 to {len(names) - 1}")
    return names[value]


def _text(sample: _Sample, name: str) -> str:
    try:
        return sample.texts[name].decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise ValueError(f"its {name} is not UTF-8 text") from error


def _name(path: Path) -> str:
    """Name of a data set whose shards a path names."""
    folder = path.resolve() if path.is_dir() else path.resolve().parent
    return shown(path.resolve().stem if path.is_file() else folder.name)


def _expanded(pattern: str) -> list[str]:
    """A pattern without braces: {000..012} counts, {a,b} lists."""
    parted = re.fullmatch(r"(.*?)\{([^{}]*)\}(.*)", pattern, re.DOTALL)
    if parted is None:
        return [pattern]
    before, inner, after = parted.groups()
    if counted := re.fullmatch(r"(\d+)\.\.(\d+)", inner):
        first, last = counted.groups()
        if int(last) - int(first) > 1_000_000:
            raise ConfigError(f"{pattern}: more than a million shards; check the braces")
        middle = [f"{i:0{len(first)}d}" for i in range(int(first), int(last) + 1)]
    else:
        middle = inner.split(",")
    return [f"{before}{one}{rest}" for one in middle for rest in _expanded(after)]
