"""Samples: rendered once, kept in a cache folder as .npy, read as memory maps.

A cache file is named by what it holds and by a digest of everything that its bytes depend on: the source of the world,
its seed, and the versions of the libraries that draw. Files are written under another name and moved into place, so
several processes may race; each file has a digest of its content beside it, and one that is damaged is drawn again.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import features

from trainables.files import locked, whole
from trainables.workloads.pocket.world import WORLD_VERSION
from trainables.workloads.pocket.world.datasets import DATASETS, Split, data_sets
from trainables.workloads.pocket.world.rendering import pool_samples, render

LIBRARIES = ("matplotlib", "numpy", "pillow", "scikit-learn", "scipy")


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


def samples(dataset: str, split: Split, cache_dir: Path, *, world_seed: int = 0) -> Samples:
    """The whole train or test split of a data set."""
    row = data_sets(world_seed).get(dataset)
    if row is None:
        raise ValueError(f"unknown pocket data set {dataset!r}; choose one of {sorted(DATASETS)}")
    size = len(row.concepts) * (row.train_per_concept if split == "train" else row.test_per_concept)
    concept = np.arange(size, dtype=np.int32) % len(row.concepts)
    by_concept = [tuple(template.format(name) for template in row.templates) for name in row.concepts]

    def draw() -> _Entry:
        images, _ = render(dataset, split, np.arange(size), seed=world_seed)
        return _Entry(images, tuple(by_concept[k] for k in concept))

    entry = _cached(cache_dir / f"pocket-{world_digest(world_seed)}-{dataset}-{split}-{size}", draw)
    return Samples(entry.images, concept, entry.captions)


def pool(size: int, cache_dir: Path, *, world_seed: int = 0) -> Samples:
    """The first ``size`` samples of the pretraining pool."""

    def draw() -> _Entry:
        images, captions = pool_samples(np.arange(size), seed=world_seed)
        return _Entry(images, tuple(captions))

    entry = _cached(cache_dir / f"pocket-{world_digest(world_seed)}-pool-{size}", draw)
    return Samples(entry.images, np.full(size, -1, dtype=np.int32), entry.captions)


@cache
def world_digest(world_seed: int) -> str:
    """Sixteen hex digits that change whenever a rendered byte may change."""
    digest = hashlib.sha256()
    for path in sorted((Path(__file__).parent / "world").rglob("*.py")):
        digest.update(path.read_bytes())
    digest.update(repr((WORLD_VERSION, world_seed, library_versions())).encode())
    return digest.hexdigest()[:16]


def library_versions() -> list[tuple[str, str]]:
    """Names and versions of everything but our own code that a rendered byte may depend on."""
    return [*((name, version(name)) for name in LIBRARIES), ("freetype", str(features.version_module("freetype2")))]


class _Entry(NamedTuple):
    images: NDArray[np.uint8]
    captions: tuple[tuple[str, ...], ...]


def _cached(stem: Path, draw: Callable[[], _Entry]) -> _Entry:
    entry = _load(stem)
    if entry is None:
        with locked(stem):
            entry = _load(stem)  # another process may have drawn it meanwhile
            if entry is None:
                _store(stem, draw())
                entry = _load(stem)
    if entry is None:
        raise OSError(f"the cache file {stem}.npy cannot be read back; check the disk, or name another cache folder")
    return entry


def _load(stem: Path) -> _Entry | None:
    """The cached entry with its images mapped, or None where there is none or it is damaged."""
    try:
        images: NDArray[np.uint8] = np.load(f"{stem}.npy", mmap_mode="r", allow_pickle=False)
        said = Path(f"{stem}.json").read_bytes()
        if Path(f"{stem}.digest").read_bytes() != _content(images, said):
            return None
    except (OSError, ValueError, EOFError):
        return None
    return _Entry(images, tuple(tuple(candidates) for candidates in json.loads(said)))


def _store(stem: Path, entry: _Entry) -> None:
    said = json.dumps(entry.captions).encode()
    _replace(Path(f"{stem}.json"), lambda file: file.write(said))
    _replace(Path(f"{stem}.npy"), lambda file: np.save(file, entry.images, allow_pickle=False))
    _replace(Path(f"{stem}.digest"), lambda file: file.write(_content(entry.images, said)))


def _replace(path: Path, write: Callable[[BinaryIO], object]) -> None:
    with whole(path) as made, made.open("wb") as file:
        write(file)


def _content(images: NDArray[np.uint8], said: bytes) -> bytes:
    header = repr((images.shape, images.dtype.str)).encode()
    digest = hashlib.blake2b(header + said, digest_size=16)
    digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest().encode()
