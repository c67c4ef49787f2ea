"""Samples: rendered once, kept in a cache folder as .npy, read as memory maps.

A cache file is named by what it holds and by a digest of everything that its bytes depend on: the source of the world
and the versions of the libraries that draw. Files are written under another name and moved into place, so several
processes may race; each file has a digest of its content beside it, and one that is damaged is drawn again.
"""

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import features

from trainables.workloads.pocket.drawing import SIDE
from trainables.workloads.pocket.world import DATASETS, WORLD_VERSION, Split, pool_sample, render

_SOURCES = ("drawing", "figures", "glyphs", "scans", "shapes", "strokes", "textures", "world")
_LIBRARIES = ("matplotlib", "numpy", "pillow", "scikit-learn", "scipy")


@dataclass(frozen=True)
class Samples:
    """Pictures with their captions.

    Args:
        images: [N, 32, 32, 3], memory-mapped, read-only.
        concept: [N], the label within the data set; -1 in the pool.
        captions: The caption candidates of each picture.
    """

    images: NDArray[np.uint8]
    concept: NDArray[np.int32]
    captions: tuple[tuple[str, ...], ...]


def samples(dataset: str, split: Split, cache_dir: Path) -> Samples:
    """The whole train or test split of a data set."""
    row = DATASETS.get(dataset)
    if row is None:
        raise ValueError(f"unknown pocket data set {dataset!r}; choose one of {sorted(DATASETS)}")
    size = len(row.concepts) * (row.train_per_concept if split == "train" else row.test_per_concept)
    stem = cache_dir / f"pocket-{world_digest()}-{dataset}-{split}-{size}"
    images = _load(stem, size)
    if images is None:
        _store(stem, np.stack([render(dataset, split, index)[0] for index in range(size)]), None)
        images = _reload(stem, size)
    concept = np.arange(size, dtype=np.int32) % len(row.concepts)
    by_concept = [tuple(template.format(name) for template in row.templates) for name in row.concepts]
    return Samples(images, concept, tuple(by_concept[k] for k in concept))


def pool(size: int, cache_dir: Path) -> Samples:
    """The first ``size`` samples of the pretraining pool."""
    stem = cache_dir / f"pocket-{world_digest()}-pool-{size}"
    images, captions = _load(stem, size), _load_captions(stem, size)
    if images is None or captions is None:
        drawn = np.empty((size, SIDE, SIDE, 3), dtype=np.uint8)
        said: list[tuple[str, ...]] = []
        for index in range(size):
            drawn[index], candidates = pool_sample(index)
            said.append(candidates)
        _store(stem, drawn, said)
        images, captions = _reload(stem, size), tuple(said)
    return Samples(images, np.full(size, -1, dtype=np.int32), captions)


@cache
def world_digest() -> str:
    """Sixteen hex digits that change whenever a rendered byte may change."""
    digest = hashlib.sha256()
    for name in _SOURCES:
        digest.update((Path(__file__).parent / f"{name}.py").read_bytes())
    digest.update(repr((WORLD_VERSION, [(name, version(name)) for name in _LIBRARIES])).encode())
    digest.update(str(features.version_module("freetype2")).encode())
    return digest.hexdigest()[:16]


def _load(stem: Path, size: int) -> NDArray[np.uint8] | None:
    """The images of an intact cache entry, or None."""
    try:
        images: NDArray[np.uint8] = np.load(f"{stem}.npy", mmap_mode="r", allow_pickle=False)
        expected = Path(f"{stem}.sha256").read_text(encoding="ascii")
    except (OSError, ValueError, EOFError, UnicodeDecodeError):
        return None
    if images.shape != (size, SIDE, SIDE, 3) or images.dtype != np.uint8 or _content(images) != expected:
        return None
    return images


def _reload(stem: Path, size: int) -> NDArray[np.uint8]:
    images = _load(stem, size)
    if images is None:
        raise OSError(f"the cache file {stem}.npy cannot be read back; check the disk, or name another cache folder")
    return images


def _load_captions(stem: Path, size: int) -> tuple[tuple[str, ...], ...] | None:
    try:
        said = json.loads(Path(f"{stem}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return tuple(tuple(candidates) for candidates in said) if len(said) == size else None


def _store(stem: Path, images: NDArray[np.uint8], captions: list[tuple[str, ...]] | None) -> None:
    stem.parent.mkdir(parents=True, exist_ok=True)
    if captions is not None:
        _replace(Path(f"{stem}.json"), json.dumps(captions).encode())
    _replace(Path(f"{stem}.sha256"), _content(images).encode())
    handle, name = tempfile.mkstemp(dir=stem.parent, suffix=".tmp")
    with os.fdopen(handle, "wb") as file:
        np.save(file, images, allow_pickle=False)
    os.replace(name, f"{stem}.npy")


def _replace(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    os.replace(name, path)


def _content(images: NDArray[np.uint8]) -> str:
    return hashlib.blake2b(np.ascontiguousarray(images).data, digest_size=16).hexdigest()
