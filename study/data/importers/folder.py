"""Folders of classes: PATH/CLASS/*.jpg, or PATH/train/CLASS/*.jpg beside PATH/test/CLASS/*.jpg.

The class is the folder's name with spaces for _, and the caption a template that is filled with it.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from study.data.importers.data_set import PARTS, DataSet, Division
from study.data.importers.rows import Imported, Skipped, existing, imported, is_image_name, shown
from trainables.frozen import ConfigError
from trainables.workloads.clip.data import manifest


@dataclass(frozen=True, kw_only=True)
class FolderOptions:
    """Options of the kind `folder`; `test_folder` is the folder beside train that holds the test images."""

    data: DataSet = field(default_factory=DataSet)
    division: Division = field(default_factory=Division)
    test_folder: str = "test"


def from_folder(path: Path, options: FolderOptions) -> Imported:
    """Images of a folder of class folders.

    Raises:
        ConfigError: there is no such folder, its layout is another, or two folders name one class.
    """
    root = existing(path, "give the folder that holds the folders of classes")
    if not root.is_dir():
        raise ConfigError(f"{path}: not a folder; give the folder that holds the folders of classes")
    skipped: list[Skipped] = []
    data = options.data
    name = data.named(shown(root.name), instead=f"import {shown(root.parent)}, which holds it, or say --dataset NAME")
    parts = _parts(root, options, skipped)
    rows: list[dict[str, Any]] = []
    for split, folder in parts.items():
        images = list(_images(folder, skipped))
        splits = [split] * len(images) if split else _divided(images, folder, options)
        for (image, concept), of_image in zip(images, splits, strict=True):
            captions = data.captions or data.templates or (manifest.TEMPLATE,)
            rows.append(
                {
                    **data.columns,
                    "image": str(image),
                    "caption": tuple(template.replace("{}", concept) for template in captions),
                    "concept": concept,
                    "dataset": name,
                    "split": of_image,
                    "templates": data.templates or data.captions or None,
                }
            )
    if not rows:
        raise ConfigError(f"{path}: no images; looked for CLASS/*.jpg and train/CLASS/*.jpg (png, webp, ... as well)")
    return imported(rows, skipped)


def _parts(root: Path, options: FolderOptions, skipped: list[Skipped]) -> dict[str, Path]:
    """Folders of class folders by split; the split "" stands for images that are still to be divided."""
    names = {"train": "train", options.test_folder: "test"}
    folders = [one for one in _listed(root) if one.is_dir()]
    halves = [one for one in folders if one.name in names and any(inner.is_dir() for inner in _listed(one))]
    if not halves:
        if folders and all(one.name.lower() in PARTS for one in folders):
            raise ConfigError(
                f"{root}: its folders {', '.join(shown(one.name) for one in folders)} are named as parts of a data set "
                f"are; allowed: train and {options.test_folder} (--test-folder names another), each with folders of "
                "classes: train/CLASS/*.jpg; rename others. A table that names the classes goes to `retune data import "
                "csv`"
            )
        skipped.extend(_strays(root))
        return {"": root}
    others = [one.name for one in folders if one not in halves]
    if others:
        raise ConfigError(
            f"{root}: beside {' and '.join(one.name for one in halves)} there are {', '.join(map(shown, others[:5]))}; "
            f"allowed: train and {options.test_folder}; move the others away, or name the test images' folder with "
            "--test-folder"
        )
    if [one.name for one in halves] == ["train"] and options.data.group_or_adapt == "adapt":
        if options.division.test_share is None:
            raise ConfigError(
                f"{root}: it has train, and no {options.test_folder}; add {options.test_folder} with folders of "
                "classes, name another folder of test images with --test-folder, or divide train by --test-share 0.2"
            )
        skipped.extend(_strays(root))
        return {"": halves[0]}
    if options.division.test_share is not None:
        raise ConfigError(f"--test-share: {root} is divided into folders already; leave the option out")
    skipped.extend(_strays(root))
    unused = {"holdout": "train", "pool": "test"}.get(options.data.group_or_adapt)
    parts = {}
    for one in halves:
        if (split := names[one.name]) == unused:
            reason = f"nothing uses the {split} images of a data set of group {options.data.group_or_adapt}"
            skipped.append(_unused(one, reason))
        else:
            parts[split] = one
    return parts


def _images(folder: Path, skipped: list[Skipped]) -> Iterator[tuple[Path, str]]:
    """Images of class folders with their classes."""
    named: dict[str, str] = {}
    for one in _listed(folder):
        if not one.is_dir():
            continue
        concept = one.name.replace("_", " ").strip()
        if not concept:
            raise ConfigError(f"{one}: the name of this folder names no class; rename it")
        if concept in named:
            raise ConfigError(
                f"{folder}: {named[concept]!r} and {one.name!r} both name the class {concept!r}; rename one"
            )
        named[concept] = one.name
        for inner in _listed(one):
            if inner.is_dir():
                skipped.append(_unused(inner, "a folder within that of a class"))
            elif is_image_name(inner.name):
                yield inner, concept
            else:
                skipped.append(_no_image(inner))


def _divided(images: list[tuple[Path, str]], folder: Path, options: FolderOptions) -> list[str]:
    names = [str(image.relative_to(folder)) for image, _ in images]
    return options.division.splits(names, [concept for _, concept in images], options.data.group_or_adapt)


def _strays(root: Path) -> Iterator[Skipped]:
    for one in _listed(root):
        if not one.is_dir():
            yield (
                Skipped(where=str(one), reason="an image in no folder of a class", bad=False, images=1)
                if is_image_name(one.name)
                else _no_image(one)
            )


def _unused(folder: Path, reason: str) -> Skipped:
    """A folder that is skipped as a whole, with the number of images in it."""
    images = sum(is_image_name(name) for _, _, names in os.walk(folder) for name in names)
    return Skipped(where=str(folder), reason=f"{reason} ({images} images)", bad=False, images=images)


def _no_image(path: Path) -> Skipped:
    return Skipped(where=str(path), reason="not an image by its name", bad=False)


def _listed(folder: Path) -> list[Path]:
    """What a folder holds, by name."""
    try:
        return [folder / name for name in sorted(os.listdir(folder))]
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be listed: {error.strerror}") from error
