"""The layout of FoMo-in-Flux (arXiv 2408.14471): info files in 00_info, images in a folder or a tar of each data set.

ROOT_classnames.json is the list of classes, ROOT_train.json and ROOT_test.json map paths of images to classname,
default_caption, primer_caption, synthetic_merged_caption and target; the same with _224 is of images that were made
smaller. Images are files PATH/ROOT/<path> (or PATH/<path>), or members of PATH/ROOT.tar and its like.

A caption is default_caption where there is one, else synthetic_merged_caption; the template of a data set is recovered
from its primer_captions. An entry without a caption keeps its row, so no other row gets its neighbour's.

A stream lists what is trained on: training images of other classes of its data sets are left out, and their names stay
among those that test images are told apart from, as in the published streams. Its order is not taken.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.data.importers import shard
from study.data.importers.rows import Imported, Skipped, existing, imported, leaves, shown
from study.data.importers.shard import Damage, Member
from trainables.frozen import ConfigError, suggestion

RELEASES = (
    ("FLOWERS102",),
    ("CIFAR100",),
    ("SUN397",),
    ("CUB200",),
    ("FGVCAircraft",),
    ("BIRDSNAP", "DTD", "ZAPPOS50k"),
    ("MITSTATES", "PLANTVILLAGE"),
    ("AI2DIAGRAMS", "OPENIMAGES"),
    ("CLEVR", "DSPRITES", "FRU92", "PLACES365", "VEG200"),
    ("PATTERNNET", "SHAPES3D"),
    (
        "DOMAINNET_CLIPART",
        "DOMAINNET_INFOGRAPH",
        "DOMAINNET_PAINTING",
        "DOMAINNET_SKETCH",
        "MVTECAD_Adapt",
        "MVTECAD_Eval",
        "OBJECTNET",
    ),
    ("CLRS", "ISICMELANOMA", "MTSD"),
    ("COUNTRY211", "DF20MINI", "iNATURALIST2021", "RESISC45"),
    ("ARTBENCH10", "DOLLARSTREET", "FSCOCO", "SNAKECLEF"),
    ("OBSC_ANIMALS", "OBSC_THINGS", "QUILT", "SynthCLIP106"),
)
"""The 41 data sets that models are adapted to, in the groups of the published time-incremental streams, oldest first.

A data set's `year` is the number of its group, from 1: an order of release as it was published, not a year.
"""

HELD_OUT = (
    "CALTECH101",
    "CALTECH256",
    "CARS196",
    "CIFAR10",
    "DOMAINNET_QUICKDRAW",
    "EuroSAT",
    "FashionMNIST",
    "FLICKR30K",
    "Food101",
    "GTSRB",
    "IMAGENET",
    "IMAGENET_A",
    "IMAGENET_D",
    "IMAGENET_R",
    "IMAGENET_S",
    "IMAGENET_V2",
    "MNIST",
    "MONKEYS10",
    "MSCOCO",
    "OXFORDPETS",
    "STL10",
    "SVHN",
)
"""The 22 data sets that are only evaluated."""

_RETRIEVED = ("FSCOCO",)
"""Evaluated by retrieval though it has classes; sets without classes are so anyway."""

_LISTED = 8


@dataclass(frozen=True, kw_only=True)
class FifOptions:
    """Options of the kind `fif`.

    Attributes:
        info: folder of the info files; None: 00_info or data_lib/00_info below the path.
        stream: file of a stream; its data sets are adapted to, all others held out. None: the published lists.
        only: the data sets that are imported; () for all.
        available: whether data sets without a folder or tar are passed over.
        resized: whether the images that were made smaller are taken, where a data set has them.
    """

    info: Path | None = None
    stream: Path | None = None
    only: tuple[str, ...] = ()
    available: bool = False
    resized: bool = False


@dataclass(frozen=True, kw_only=True)
class _Set:
    """A data set: its folder's name, its group, its classes, and its info files by split.

    `streamed` are the classes that a stream lists of it; None without a stream: all.
    """

    root: str
    group: str
    classes: tuple[str, ...] | None
    files: Mapping[str, Path]
    streamed: frozenset[str] | None = None


def from_fomo_in_flux(path: Path, options: FifOptions) -> Imported:
    """Data sets in the layout of FoMo-in-Flux.

    Raises:
        ConfigError: an info file is missing or wrong, or a data set has no images.
    """
    data = existing(path, "give the folder that holds the folders or tars of the data sets")
    info = _info_folder(data, options)
    skipped: list[Skipped] = []
    sets = _with_images(_sets(info, options, skipped), data, options, skipped)
    rows = [row for one in sets for row in _rows(one, data, skipped)]
    return imported(rows, skipped, {"dataset": "take others with --only NAME"})


def plain(name: str) -> str:
    """A data set's name as it is compared: GTSRB and gtsrb, SNAKECLEF and snake_clef are the same."""
    return name.lower().replace("_", "").replace("-", "")


def template_of(primers: Mapping[str, str]) -> str | None:
    """The template that most classes' primer captions follow; None where there is none.

    Args:
        primers: class -> its primer caption, such as "a photo of a dog, an animal." of dog.
    """
    votes: Counter[str] = Counter()
    for name, primer in primers.items():
        places = [i for i in range(len(primer)) if primer.startswith(name, i)]
        votes.update({f"{primer[:i]}{{}}{primer[i + len(name) :]}" for i in places})
    most = max(votes.values(), default=0)
    best = [template for template, count in votes.items() if count == most and template.count("{}") == 1]
    return min(best, key=lambda template: (-len(template), template), default=None)


def _info_folder(data: Path, options: FifOptions) -> Path:
    if options.info is not None:
        return existing(options.info, "--info: give the folder of the info files")
    for folder in (data / "00_info", data / "data_lib" / "00_info"):
        if folder.is_dir():
            return folder
    raise ConfigError(f"{data}: neither 00_info nor data_lib/00_info is there; say --info DIR")


def _sets(info: Path, options: FifOptions, skipped: list[Skipped]) -> list[_Set]:
    """The data sets that info files and options name."""
    roots = sorted({file.name.removesuffix(end) for end in _ENDS for file in info.glob(f"*{end}")})
    if not roots:
        raise ConfigError(f"{info}: no ROOT_test.json is there; give the folder of the info files with --info DIR")
    known = {plain(root): root for root in roots}
    streamed = None if options.stream is None else _streamed(options.stream, known, info, skipped)
    groups = _published() if streamed is None else dict.fromkeys(streamed, "adapt")
    wanted = [plain(name) for name in options.only]
    if unknown := [name for name in options.only if plain(name) not in known]:
        meant = suggestion(unknown[0], roots)
        raise ConfigError(f"--only: {info} has no info files of {', '.join(unknown)}; {meant}it has {', '.join(roots)}")
    sets = []
    for root in roots:
        group = groups.get(plain(root), None if options.stream is None else "holdout")
        if wanted and plain(root) not in wanted:
            continue
        if group is None:
            if wanted:
                raise ConfigError(f"--only: {root} is in no published list; say by --stream FILE what models adapt to")
            skipped.append(Skipped(where=root, reason="a data set of no published list; nothing uses it", bad=False))
            continue
        sets.append(
            _Set(
                root=root,
                group=group,
                classes=_classes(info, root),
                files=_files(info, root, group, options),
                streamed=None if streamed is None or group != "adapt" else streamed[plain(root)],
            )
        )
    if not sets:
        raise ConfigError(
            f"{info} has info files of {_some(roots)}, which are in no published list; say by --stream FILE, a JSON "
            'list of "DATASET+++class", which of them models adapt to, and to which of their classes; others are '
            "held out"
        )
    return sets


_ENDS = ("_train.json", "_test.json", "_train_224.json", "_test_224.json")


def _published() -> dict[str, str]:
    """Group of each published data set, by its plain name."""
    adapted = [root for roots in RELEASES for root in roots]
    return {**{plain(root): "holdout" for root in HELD_OUT}, **{plain(root): "adapt" for root in adapted}}


def _streamed(stream: Path, known: Mapping[str, str], info: Path, skipped: list[Skipped]) -> dict[str, frozenset[str]]:
    """The classes that a stream lists of each data set, by its plain name.

    Published data sets may lack info files here; other names that do are typing errors.
    """
    entries = _json(stream)
    if not isinstance(entries, list) or not all(isinstance(one, str) and "+++" in one for one in entries):
        raise ConfigError(f'--stream: {stream} is no list of "DATASET+++class"')
    classes: dict[str, set[str]] = {}
    unknown: Counter[str] = Counter()
    for name, concept in (one.split("+++", 1) for one in entries):
        classes.setdefault(plain(name), set()).add(concept)
        unknown.update([name] * (plain(name) not in known))
    published = _published()
    if strange := [name for name in unknown if plain(name) not in published]:
        meant = suggestion(strange[0], known.values())
        raise ConfigError(
            f"--stream: {stream}: {sum(unknown[name] for name in strange)} entries are of data sets without info "
            f"files: {_some(strange)}; {meant}{info} has {', '.join(known.values())}"
        )
    reason = "the stream lists classes of it, and it has no info files"
    skipped.extend(
        Skipped(where=name, reason=f"{reason} ({count} entries)", bad=False) for name, count in unknown.items()
    )
    return {name: frozenset(some) for name, some in classes.items()}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")


def _classes(info: Path, root: str) -> tuple[str, ...] | None:
    file = info / f"{root}_classnames.json"
    if not file.is_file():
        return None
    names = _json(file)
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        raise ConfigError(f"{file}: not a list of the names of classes")
    return tuple(names)


def _files(info: Path, root: str, group: str, options: FifOptions) -> dict[str, Path]:
    """Info files by split; held-out data sets need and use that of test alone."""
    files = {}
    for split in ("train", "test") if group == "adapt" else ("test",):
        large, small = info / f"{root}_{split}.json", info / f"{root}_{split}_224.json"
        file = small if options.resized and small.is_file() else large
        if not file.is_file():
            hint = "; there is one of smaller images, which --resized takes" if small.is_file() else ""
            raise ConfigError(f"{large}: there is no such file{hint}")
        files[split] = file
    return files


def _with_images(sets: Sequence[_Set], data: Path, options: FifOptions, skipped: list[Skipped]) -> list[_Set]:
    """Data sets that have a folder or a tar."""
    absent = [
        one for one in sets if not (data / one.root).is_dir() and not _tars(one.root, data) and not _flat(one, data)
    ]
    if absent and not options.available:
        names = _some([one.root for one in absent])
        raise ConfigError(
            f"{data}: {len(absent)} of {len(sets)} data sets have neither a folder nor a tar: {names}; say which to "
            "take with --only NAME, or --available for those that are there"
        )
    skipped.extend(Skipped(where=one.root, reason="neither a folder nor a tar of it", bad=False) for one in absent)
    there = [one for one in sets if one not in absent]
    if not there:
        raise ConfigError(
            f"{data}: none of {_some([one.root for one in sets])} has a folder or a tar there; give the folder that "
            "holds ROOT/ or ROOT.tar"
        )
    return there


def _flat(one: _Set, data: Path) -> bool:
    """Whether the images lie below the path itself."""
    first = next(iter(_entries(one.files["test"])), None)
    return first is not None and (data / first).is_file()


def _rows(one: _Set, data: Path, skipped: list[Skipped]) -> Iterator[dict[str, Any]]:
    """Rows of a data set, in the order of its info files; then those of classes without images."""
    entries = {split: _entries(file) for split, file in one.files.items()}
    every = [entry for some in entries.values() for entry in some.values()]
    retrieved = plain(one.root) in map(plain, _RETRIEVED) or all(entry.get("classname") is None for entry in every)
    place = _Places(one.root, data, skipped)
    ordinal = next((i for i, roots in enumerate(RELEASES, 1) if plain(one.root) in map(plain, roots)), None)
    template = template_of(_primers(every))
    shared = {
        "dataset": one.root,
        "group": one.group,
        "kind": "retrieval" if retrieved else "classification",
        "templates": None if retrieved or template is None else (template,),
        "year": None if ordinal is None or one.group != "adapt" else str(ordinal),
    }
    seen = set()
    _require_classes(one, every)
    left_out: Counter[str | None] = Counter()
    for split, some in entries.items():
        for name, entry in some.items():
            concept = _concept(entry, one.classes)
            if split == "train" and one.streamed is not None and concept not in one.streamed:
                left_out[concept] += 1
                continue
            where = place.of(name, split)
            if isinstance(where, str):
                skipped.append(Skipped(where=f"{one.files[split].name}: {name}", reason=where))
                continue
            seen.add(concept)
            yield {**shared, **where, "split": split, "concept": concept, "caption": _captions(entry)}
    if left_out:
        reason = f"{left_out.total()} training images of {len(left_out)} classes that the stream does not list"
        skipped.append(Skipped(where=one.files["train"].name, reason=reason, bad=False, images=left_out.total()))
    names = () if retrieved else dict.fromkeys(one.classes or ())
    if names and len(names) < len(one.classes or ()):
        what = f"{len(one.classes or ()) - len(names)} classes have the name of an earlier one, and are one with it"
        skipped.append(Skipped(where=f"{one.root}_classnames.json", reason=what, bad=False))
    yield from ({**shared, "split": "label", "concept": name} for name in names if name not in seen)


def _require_classes(one: _Set, entries: Sequence[Mapping[str, Any]]) -> None:
    """Raises: ConfigError: the stream lists classes that the data set does not have."""
    known = {*(one.classes or ()), *(concept for entry in entries if (concept := _concept(entry, one.classes)))}
    if unknown := sorted((one.streamed or frozenset()) - known):
        meant = suggestion(unknown[0], sorted(known))
        raise ConfigError(
            f"--stream: {len(unknown)} entries are of classes that {one.root} does not have: "
            f"{_some([shown(name) for name in unknown])}; {meant}its classes are in {one.root}_classnames.json, and "
            f"those of its images in {', '.join(file.name for file in one.files.values())}"
        )


class _Places:
    """Where the images of a data set are; tars are read when the first image is not a file."""

    def __init__(self, root: str, data: Path, skipped: list[Skipped]) -> None:
        self._root, self._data, self._skipped = root, data, skipped
        self._members: dict[str, tuple[Path, Member]] | None = None

    def of(self, name: str, split: str) -> dict[str, Any] | str:
        """Columns of the place of an image, or why it has none."""
        if leaves(name) or name.startswith("/"):
            return "its path leaves the folder of the data set"
        for file in (self._data / self._root / name, self._data / name):
            if file.is_file():
                return {"image": str(file)}
        for member in (f"{self._root}/{name}", name):
            if member in (members := self._all_members()):
                tar, found_there = members[member]
                place = {"member": found_there.name, "offset": found_there.offset, "size": found_there.size}
                return {"image": str(tar), **place}
        return f"neither a file below {self._data / self._root} nor a member of a tar ({split})"

    def _all_members(self) -> dict[str, tuple[Path, Member]]:
        if self._members is None:
            self._members = {}
            for tar in _tars(self._root, self._data):
                for files, one in enumerate(shard.members(tar)):
                    if isinstance(one, Damage):
                        self._skipped.append(one.skipped(tar, files, "files"))
                    else:
                        self._members.setdefault(one.name.removeprefix("./"), (tar, one))
        return self._members


def _tars(root: str, data: Path) -> list[Path]:
    """Tars of a data set: ROOT.tar, ROOT_test.tar and the like, and those in folders of these names."""
    names = [root, *(f"{root}_{split}{size}" for split in ("train", "test") for size in ("", "_224"))]
    beside = [data / f"{name}.tar" for name in names if (data / f"{name}.tar").is_file()]
    return beside + [tar for name in names if (data / name).is_dir() for tar in sorted((data / name).rglob("*.tar"))]


def _entries(file: Path) -> dict[str, Mapping[str, Any]]:
    entries = _json(file)
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise ConfigError(f"{file}: not an object of image paths with an object each")
    if not entries:
        raise ConfigError(f"{file}: it lists no images")
    return entries


def _primers(entries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """One primer caption of each class."""
    primers: dict[str, str] = {}
    for entry in entries:
        name, primer = entry.get("classname"), entry.get("primer_caption")
        if isinstance(name, str) and name and isinstance(primer, str):
            primers.setdefault(name, primer)
    return primers


def _concept(entry: Mapping[str, Any], classes: Sequence[str] | None) -> str | None:
    name, target = entry.get("classname"), entry.get("target")
    if isinstance(name, str):
        return name
    if classes is not None and isinstance(target, int) and 0 <= target < len(classes):
        return classes[target]
    return None


def _captions(entry: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The caption by the published rule; None where the entry has none."""
    value = entry.get("default_caption")
    if value is None:
        value = entry.get("synthetic_merged_caption")
    texts = value if isinstance(value, list) else [value]
    return tuple(text.strip() for text in texts if isinstance(text, str) and text.strip()) or None


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: not JSON: {shown(error)}") from error
