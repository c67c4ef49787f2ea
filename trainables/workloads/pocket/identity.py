"""The identity of the pocket benchmark: digests of its world and weights, its concepts, and the model's anatomy."""

import hashlib
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
from trainables.workloads.pocket import WEIGHTS_FILE
from trainables.workloads.pocket.samples import library_versions, pool
from trainables.workloads.pocket.settings import Pocket
from trainables.workloads.pocket.world import ADAPT, DATASETS, WORLD_VERSION

_SCORED = "zero-shot accuracy, one prompt a class"


def identify_pocket(config: Pocket, cache: Path) -> Identity:
    """The identity of the benchmark; only the header of the weights' file is read, and no image is drawn."""
    known = Identity(
        base=hashlib.sha256(WEIGHTS_FILE.read_bytes()).hexdigest(),
        data=digest([*_drawn_by(), config.pool, [_content(name, "train_per_concept", "templates") for name in ADAPT]]),
        suite=digest([*_drawn_by(), [_content(name, "test_per_concept", "prompt") for name in DATASETS], _SCORED]),
        concepts=tuple(f"{name}/{concept}" for name in ADAPT for concept in DATASETS[name].concepts),
        tests=tuple(Scored(len(row.concepts) * row.test_per_concept, len(row.concepts)) for row in DATASETS.values()),
        pool_samples=config.pool,
        anatomy=_anatomy(),
    )
    return replace(known, facts=partial(_facts, config, known, cache))


YEARS = {
    **{"greek": 2017, "cyrillic": 2017, "hebrew": 2018, "pictograms": 2018, "operators": 2019},
    **{"forms": 2020, "weaves": 2020, "counts": 2021, "dials": 2022, "charts": 2022},
}
"""When each data set appeared. The world is invented, and so are its years."""


def _facts(config: Pocket, identity: Identity, cache: Path, kind: str) -> NDArray[np.generic]:
    """Facts of a kind about all concepts; see `Identity.facts`."""
    concepts = [(name, concept) for name in ADAPT for concept in DATASETS[name].concepts]
    if kind == "year":
        return np.array([YEARS[name] for name, _ in concepts])

    def find() -> NDArray[np.generic]:
        if kind == "count":
            return mentions([concept for _, concept in concepts], pool(config.pool, cache).captions)
        from trainables.workloads.pocket.workload import open_pocket  # torch

        return open_pocket(config, identity, Runtime(cache=cache)).facts(kind)

    return cached_fact(kind, [identity.base, identity.data, identity.suite], cache, find)


def _anatomy() -> Anatomy:
    """The anatomy of the model, read from the header of the weights' file; no tensor is loaded."""
    with safe_open(WEIGHTS_FILE, framework="np") as weights:
        return describe({name: tuple(weights.get_slice(name).get_shape()) for name in weights.keys()})  # noqa: SIM118


def _drawn_by() -> list[object]:
    """The versions of the code that draws: ours, `WORLD_VERSION` (a test pins pictures to it), and other libraries'."""
    return [WORLD_VERSION, library_versions()]


def _content(name: str, *fields: str) -> list[object]:
    """The content of a data set that training (templates) or the suite (prompt) depends on."""
    row = asdict(DATASETS[name])
    return [name, row["group"], row["concepts"], *(row[field] for field in fields)]
