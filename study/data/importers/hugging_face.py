"""Data sets of Hugging Face `datasets`: saved on disk, files that it reads, or by name where a download is asked for.

Images are taken as they are encoded, into the table; classes are the names of a ClassLabel, and code of a data set is
never run (`datasets` 4 and later cannot).
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.data.importers.data_set import CAPTION_REMEDY, DataSet, Division, classes_of
from study.data.importers.rows import Imported, Skipped, imported, leaves, shown
from trainables.frozen import ConfigError
from trainables.machine.quiet_logs import silenced

if TYPE_CHECKING:
    import datasets

CAPTIONS = ("caption", "captions", "text", "texts", "sentences", "sentence", "description", "alt_text")
"""Columns that are taken for captions, the first that is there."""
CONCEPTS = ("concept", "class", "label", "labels", "class_name", "category")
"""Columns that are taken for classes, the first that is there; where none is, the only ClassLabel."""

_SPLITS = ("train", "test")


@dataclass(frozen=True, kw_only=True)
class HuggingFaceOptions:
    """Options of the kind `hf`.

    Attributes:
        data: its name is the folder's or the hub's by default.
        division: of a data set of one split.
        train_split, test_split: names of its splits.
        image_column, caption_column, concept_column: None: found by their types and names.
        classes: file of class names, for classes that are numbers without names.
        config: of a data set that has several.
        revision: of one on the hub.
        download: whether PATH may be the name of a data set on the hub.
    """

    data: DataSet = field(default_factory=DataSet)
    division: Division = field(default_factory=Division)
    train_split: str = "train"
    test_split: str = "test"
    image_column: str | None = None
    caption_column: str | None = None
    concept_column: str | None = None
    classes: Path | None = None
    config: str | None = None
    revision: str | None = None
    download: bool = False


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """The names of a data set's columns; `names` are its classes by number, if there are any."""

    image: str
    caption: str | None
    concept: str | None
    names: tuple[str, ...] | None


def from_hugging_face(path: Path, options: HuggingFaceOptions) -> Imported:
    """Rows of a data set of Hugging Face.

    Raises:
        ConfigError: there is none, it needs a download that was not asked for, or it lacks a column.
    """
    given_names = classes_of(options.classes)
    skipped: list[Skipped] = []
    rows: list[dict[str, Any]] = []
    all_names: dict[str, None] = {}
    have: dict[str, None] = {}
    name = options.data.named(shown(path.resolve().stem if path.exists() else path.name))
    with _opened(path, options) as splits:
        for split, part in _chosen(splits, path, options, skipped).items():
            columns = _columns(part, path, options, given_names)
            have.update(dict.fromkeys(part.column_names))
            all_names.update(dict.fromkeys(columns.names or ()))
            of_part = list(_rows(part, columns, path, options, skipped))
            drawn, concepts = [row["drawn by"] for row in of_part], [row["concept"] for row in of_part]
            group = options.data.group_or_adapt
            of_rows = [split] * len(of_part) if split else options.division.splits(drawn, concepts, group)
            rows.extend(
                {**options.data.columns, **row, "dataset": name, "split": of_row}
                for row, of_row in zip(of_part, of_rows, strict=True)
            )
    if options.data.group != "pool" and options.data.kind != "retrieval":
        seen = {row["concept"] for row in rows}
        rows.extend(
            {**options.data.columns, "concept": one, "dataset": name, "split": "label"}
            for one in all_names
            if one not in seen
        )
    listed = f"the columns are {', '.join(map(shown, have))}"
    remedies = {
        "caption": f"--caption-column NAME names the column of captions, and {CAPTION_REMEDY}; {listed}",
        "concept": f"--concept-column NAME names the column of classes; {listed}",
    }
    return imported(rows, skipped, remedies)


@contextlib.contextmanager
def _opened(path: Path, options: HuggingFaceOptions) -> "Iterator[Mapping[str, datasets.Dataset]]":
    """Open the splits of a data set, by name; what `datasets` makes of local files lies in a folder that is deleted."""
    local = path.exists()
    if local and (options.download or options.revision is not None):
        option = "--download" if options.download else "--revision"
        raise ConfigError(f"{option}: {path} is here; leave the option out, or name a data set of the hub")
    if not local:
        _require_download(path, options)
    else:
        os.environ["HF_HUB_OFFLINE"] = "1"  # a card of a local data set may name files that are elsewhere
    import datasets

    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory(prefix="retune-") as scratch:
        try:
            with silenced("huggingface_hub"):
                splits = _splits(path, options, scratch if local else None)
        except ConfigError:
            raise
        except Exception as error:  # its builders raise anything: OSError, ValueError, pyarrow's, the hub's
            what = " ".join(str(error).split()) or type(error).__name__
            where = str(path) if local else f"{path} on the hub"
            raise ConfigError(f"{where}: cannot be read as a data set of Hugging Face: {what[:400]}") from error
        yield splits


def _require_download(path: Path, options: HuggingFaceOptions) -> None:
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(path)):
        raise ConfigError(f"{path}: there is no such file or folder, and it is no name of a data set of the hub")
    if not options.download:
        raise ConfigError(
            f"{path}: there is no such file or folder; to fetch the data set of this name from the hub, say --download"
        )


def _splits(path: Path, options: HuggingFaceOptions, scratch: str | None) -> "Mapping[str, datasets.Dataset]":
    import datasets

    if (path / "dataset_info.json").is_file() and (path / "state.json").is_file():
        return {"": datasets.load_from_disk(str(path))}
    if (path / "dataset_dict.json").is_file():
        return {str(name): part for name, part in datasets.load_from_disk(str(path)).items()}
    if path.is_file():
        kind = {".parquet": "parquet", ".arrow": "arrow", ".jsonl": "json"}.get(path.suffix.lower())
        if kind is None:
            raise ConfigError(f"{path}: its name ends in {path.suffix or 'nothing'}; allowed: .parquet, .arrow, .jsonl")
        loaded = datasets.load_dataset(kind, data_files={"train": str(path.resolve())}, cache_dir=scratch)
        return {"": loaded["train"]}
    place = str(path.resolve()) if scratch else str(path)
    loaded = datasets.load_dataset(place, options.config, revision=options.revision, cache_dir=scratch)
    return {str(name): part for name, part in loaded.items()}


def _chosen(
    splits: "Mapping[str, datasets.Dataset]", path: Path, options: HuggingFaceOptions, skipped: list[Skipped]
) -> "dict[str, datasets.Dataset]":
    """The parts that are imported, by split of the manifest; the split "" stands for a part that is divided."""
    named = {options.train_split: "train", options.test_split: "test"}
    have = {named[name]: part for name, part in splits.items() if name in named}
    group = options.data.group_or_adapt
    unused = {"holdout": "train", "pool": "test"}.get(group)
    if len(splits) == 1:
        (only,) = splits
        if only in ("", options.train_split) or (only not in named and group != "adapt"):
            return {"": splits[only]}
    missing = [one for one in _SPLITS if one not in have and one != unused]
    if missing:
        raise ConfigError(
            f"{path}: there is no {missing[0]} split; it has {', '.join(splits)}; say --{missing[0]}-split NAME"
        )
    if options.division.test_share is not None:
        raise ConfigError(f"--test-share: {path} is divided into {', '.join(splits)} already; leave the option out")
    for name in splits:
        if named.get(name) in (None, unused):
            reason = f"nothing uses this split ({len(splits[name])} images)"
            skipped.append(Skipped(where=f"{path}, split {name}", reason=reason, bad=False, images=len(splits[name])))
    return {split: part for split, part in have.items() if split != unused}


def _columns(
    part: "datasets.Dataset", path: Path, options: HuggingFaceOptions, given_names: Sequence[str] | None
) -> _Columns:
    import datasets

    features = part.features
    for option in ("image", "caption", "concept"):
        name = getattr(options, f"{option}_column")
        if name is not None and name not in features:
            raise ConfigError(f"{path}: --{option}-column: there is no {name!r}; the columns are {', '.join(features)}")
    images = [name for name, feature in features.items() if _holds_images(feature)]
    image = options.image_column or (images[0] if len(images) == 1 else None)
    if image is None:
        what = f"it has {len(images)} columns of images" if images else "it has no column of images"
        raise ConfigError(f"{path}: {what}; the columns are {', '.join(features)}; say --image-column NAME")
    labels = [name for name, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
    concept = options.concept_column or next((name for name in CONCEPTS if name in features), None)
    if concept is None and len(labels) > 1:
        raise ConfigError(f"{path}: it has several columns of classes: {', '.join(labels)}; say --concept-column NAME")
    concept = concept or (labels[0] if labels else None)
    caption = options.caption_column or next((name for name in CAPTIONS if name in features), None)
    names = tuple(features[concept].names) if concept in labels else tuple(given_names) if given_names else None
    if concept in labels and given_names:
        raise ConfigError(f"--classes: {path} names its classes itself; leave the option out")
    return _Columns(image=image, caption=caption, concept=concept, names=names)


def _holds_images(feature: Any) -> bool:
    """Whether a column holds images, or values in which images are stored by files that do not declare them."""
    import datasets

    return isinstance(feature, datasets.Image) or (isinstance(feature, dict) and feature.keys() == {"bytes", "path"})


def _rows(
    part: "datasets.Dataset", columns: _Columns, path: Path, options: HuggingFaceOptions, skipped: list[Skipped]
) -> Iterator[dict[str, Any]]:
    import datasets

    wanted = [one for one in dict.fromkeys((columns.image, columns.caption, columns.concept)) if one is not None]
    table = part.select_columns(wanted)
    if isinstance(table.features[columns.image], datasets.Image):
        table = table.cast_column(columns.image, datasets.Image(decode=False))
    for number, row in enumerate(table):
        where = f"{path}{f', split {part.split}' if part.split else ''}, row {number}"
        try:
            image = _image(row[columns.image])
            concept = None if columns.concept is None else _concept(row[columns.concept], columns, path)
            captions = () if columns.caption is None else _captions(row[columns.caption])
        except ValueError as error:
            if isinstance(error, ConfigError):
                raise
            skipped.append(Skipped(where=where, reason=str(error)))
            continue
        yield {
            **image,
            "caption": captions or options.data.captions_of(concept),
            "concept": concept,
            "drawn by": str(number),
        }


def _image(value: Any) -> dict[str, Any]:
    """Columns of an image: its bytes, or the path of a file that is here."""
    if isinstance(value, bytes):
        value = {"bytes": value}
    if not isinstance(value, dict):
        raise ValueError("no image")
    if value.get("bytes"):
        return {"bytes": value["bytes"]}
    place = value.get("path")
    if not place:
        raise ValueError("no image")
    if "://" in place or leaves(place) or not Path(place).is_absolute():
        raise ValueError(f"its image is at {shown(place)}, which is no file here")
    return {"image": place}


def _concept(value: Any, columns: _Columns, path: Path) -> str | None:
    if value is None or isinstance(value, str):
        return value.strip() or None if value else None
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{path}: the column {columns.concept} is no class; say --concept-column NAME")
    if columns.names is None:
        raise ConfigError(f"{path}: the classes of {columns.concept} are numbers; say their names with --classes FILE")
    if not 0 <= value < len(columns.names):
        raise ValueError(f"its class is number {value}; there are 0 to {len(columns.names) - 1}")
    return columns.names[value]


def _captions(value: Any) -> tuple[str, ...]:
    """Texts of a caption column: a text, a list of texts, or of objects with a key raw, as COCO's sentences are."""
    some = value if isinstance(value, list) else [value]
    texts = [one.get("raw") if isinstance(one, dict) else one for one in some]
    if not all(isinstance(text, str) or text is None for text in texts):
        raise ValueError("its caption is no text")
    return tuple(text.strip() for text in texts if text is not None)
