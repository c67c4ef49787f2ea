"""The identity of the pocket benchmark: digests of its world and weights, its concepts, and the model's anatomy."""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from trainables.frozen import digest
from trainables.runtime import Runtime
from trainables.streams.mentions import mentions
from trainables.workloads.anatomy import Anatomy
from trainables.workloads.clip.layout import describe
from trainables.workloads.concept_facts import cached_fact
from trainables.workloads.identity import Identity, Scored
from trainables.workloads.pocket.release import Release, release_of
from trainables.workloads.pocket.samples import library_versions, pool
from trainables.workloads.pocket.settings import Pocket
from trainables.workloads.pocket.world import WORLD_VERSION
from trainables.workloads.pocket.world.datasets import ADAPT, DATASETS, PocketDataset, data_sets

_SCORED = "zero-shot accuracy, one prompt a class"


def identify_pocket(config: Pocket, cache: Path) -> Identity:
    """The identity of the benchmark; only the header of the weights' file is read, and no image is drawn."""
    release = release_of(config)
    drawn_by, rows = _drawn_by(release.world_seed), data_sets(release.world_seed)
    train = [_content(rows[name], "train_per_concept", "templates") for name in ADAPT]
    tests = [[*_content(row, "test_per_concept"), row.prompt] for row in rows.values()]
    known = Identity(
        base=release.digest,
        data=digest([*drawn_by, config.pool, train]),
        suite=digest([*drawn_by, tests, _SCORED]),
        concepts=tuple(f"{name}/{concept}" for name in ADAPT for concept in DATASETS[name].concepts),
        tests=tuple(Scored(len(row.concepts) * row.test_per_concept, len(row.concepts)) for row in rows.values()),
        pool_samples=config.pool,
        anatomy=_anatomy(release),
    )
    return replace(known, facts=partial(_facts, config, known, cache))


def _facts(config: Pocket, identity: Identity, cache: Path, kind: str) -> NDArray[np.generic]:
    """Facts of a kind about all concepts; see `Identity.facts`."""
    concepts = [(name, concept) for name in ADAPT for concept in DATASETS[name].concepts]
    if kind == "year":
        return np.array([DATASETS[name].year for name, _ in concepts])

    def find() -> NDArray[np.generic]:
        if kind == "count":
            drawn = pool(config.pool, cache, world_seed=release_of(config).world_seed)
            return mentions([concept for _, concept in concepts], drawn.captions)
        from trainables.workloads.pocket.workload import open_pocket  # torch

        return open_pocket(config, identity, Runtime(cache=cache)).facts(kind)

    return cached_fact(kind, [identity.base, identity.data, identity.suite], cache, find)


def _anatomy(release: Release) -> Anatomy:
    """The anatomy of the model, read from the header of the weights' file; no tensor is loaded."""
    with safe_open(release.weights, framework="np") as weights:
        return describe({name: tuple(weights.get_slice(name).get_shape()) for name in weights.keys()})  # noqa: SIM118


def _drawn_by(world_seed: int) -> list[object]:
    """What draws: our code as `WORLD_VERSION` (a test pins pictures to it), other libraries, and a seed but 0."""
    return [WORLD_VERSION, library_versions(), *([world_seed] if world_seed else [])]


def _content(dataset: PocketDataset, *fields: str) -> list[object]:
    """The content of a data set that training (templates) or the suite depends on."""
    row = asdict(dataset)
    return [dataset.name, dataset.group, dataset.concepts, *(row[field] for field in fields)]
