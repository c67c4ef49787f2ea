"""Rendering: the pictures of a data set or of the pool, a few at a time so that they stay in the processor's cache."""

from collections.abc import Iterator

import numpy as np

from trainables.workloads.pocket.world import held_out, new_looks, new_names
from trainables.workloads.pocket.world.choices import choices
from trainables.workloads.pocket.world.datasets import DATASETS, Split
from trainables.workloads.pocket.world.drawing.painting import Pictures
from trainables.workloads.pocket.world.drawing.randomness import Ints, draws
from trainables.workloads.pocket.world.pool import RARE, Captions, pool_pictures
from trainables.workloads.pocket.world.wanted import Painter, Wanted

_PAINTERS: dict[str, Painter] = {**new_names.PAINTERS, **new_looks.PAINTERS, **held_out.PAINTERS}
_AT_ONCE = 64
_POOL_AT_ONCE = 256


def render(dataset: str, split: Split, indices: Ints, *, seed: int = 0) -> tuple[Pictures, Ints]:
    """Pictures of a data set and their concepts; concepts take turns, so every prefix is balanced."""
    if dataset not in DATASETS:
        raise ValueError(f"unknown pocket data set {dataset!r}; choose one of {sorted(DATASETS)}")
    size = len(DATASETS[dataset].concepts)
    made = [
        _PAINTERS[dataset](
            Wanted(
                concepts=some % size,
                ranks=some // size,
                is_test=split == "test",
                draws=draws(seed, f"{dataset} {split}", some),
                choices=choices(seed),
            )
        )
        for some in _parts(indices, _AT_ONCE)
    ]
    return np.concatenate(made), indices % size


def pool_samples(indices: Ints, *, seed: int = 0, rare: float = RARE) -> tuple[Pictures, list[Captions]]:
    """Pictures of the pool and the caption candidates of each, at least two."""
    made = [pool_pictures(seed, some, rare=rare) for some in _parts(indices, _POOL_AT_ONCE)]
    return np.concatenate([pictures for pictures, _ in made]), [one for _, captions in made for one in captions]


def _parts(indices: Ints, size: int) -> Iterator[Ints]:
    for start in range(0, len(indices), size):
        yield indices[start : start + size]
