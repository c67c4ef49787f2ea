"""The pocket benchmark as a workload: the procedural world's data and the small pretrained CLIP."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from trainables.config import Pocket
from trainables.frozen import digest
from trainables.runtime import cache_folder
from trainables.streams.mentions import mentions
from trainables.workloads.anatomy import Anatomy
from trainables.workloads.clip.layout import describe
from trainables.workloads.concept_facts import cached_fact
from trainables.workloads.identity import Identity, Scored
from trainables.workloads.pocket import WEIGHTS_FILE
from trainables.workloads.pocket.samples import library_versions, pool, samples
from trainables.workloads.pocket.world import ADAPT, DATASETS, WORLD_VERSION

_SCORED = "zero-shot accuracy, one prompt a class"

if TYPE_CHECKING:
    from trainables.workloads.clip.corpus import Corpus, Segment
    from trainables.workloads.clip.evaluation import Classification
    from trainables.workloads.clip.workload import ClipWorkload


@lru_cache(maxsize=8)
def identify_pocket(config: Pocket) -> Identity:
    """Digests of world and weights, the adaptation concepts as "dataset/concept", and what the model is made of."""
    return Identity(
        base=hashlib.sha256(WEIGHTS_FILE.read_bytes()).hexdigest(),
        data=digest([*_drawn_by(), config.pool, [_content(name, "train_per_concept", "templates") for name in ADAPT]]),
        suite=digest([*_drawn_by(), [_content(name, "test_per_concept", "prompt") for name in DATASETS], _SCORED]),
        concepts=tuple(f"{name}/{concept}" for name in ADAPT for concept in DATASETS[name].concepts),
        tests=tuple(Scored(len(row.concepts) * row.test_per_concept, len(row.concepts)) for row in DATASETS.values()),
        pool_samples=config.pool,
        anatomy=_anatomy(),
        facts=partial(_facts, config),
    )


@lru_cache(maxsize=2)
def open_pocket(config: Pocket, cache: Path) -> "ClipWorkload":
    """The workload; its images are drawn at first use and kept under `cache`."""
    from trainables.workloads.clip.workload import ClipWorkload
    from trainables.workloads.pocket import model
    from trainables.workloads.pocket.export import tokenizer_files

    return ClipWorkload(
        identity=identify_pocket(config),
        architecture=partial(model.build, seed=0),
        base=model.load_pretrained,
        corpus=partial(_corpus, config, cache),
        mean=model.MEAN,
        std=model.STD,
        model_config=model.POCKET_CONFIG,
        tokenizer_files=tokenizer_files,
    )


YEARS = {
    **{"greek": 2017, "cyrillic": 2017, "hebrew": 2018, "pictograms": 2018, "operators": 2019},
    **{"forms": 2020, "weaves": 2020, "counts": 2021, "dials": 2022, "charts": 2022},
}
"""When each data set appeared. The world is invented, and so are its years."""


def _facts(config: Pocket, kind: str) -> NDArray[np.generic]:
    """See `Identity.facts`."""
    concepts = [(name, concept) for name in ADAPT for concept in DATASETS[name].concepts]
    if kind == "year":
        return np.array([YEARS[name] for name, _ in concepts])
    identity, cache = identify_pocket(config), cache_folder()
    return cached_fact(
        kind,
        [identity.base, identity.data, identity.suite],
        cache,
        lambda: _find_facts(config, kind, [concept for _, concept in concepts], cache),
    )


def _find_facts(config: Pocket, kind: str, concepts: Sequence[str], cache: Path) -> NDArray[np.generic]:
    if kind == "count":
        return mentions(concepts, pool(config.pool, cache).captions)
    return open_pocket(config, cache).facts(kind)


def _anatomy() -> Anatomy:
    """Read from the header of the weights' file: no tensor is loaded."""
    with safe_open(WEIGHTS_FILE, framework="np") as weights:
        return describe({name: tuple(weights.get_slice(name).get_shape()) for name in weights.keys()})  # noqa: SIM118


def _drawn_by() -> list[object]:
    """What draws the pictures: our code, by `WORLD_VERSION` (a test pins pictures to it), and other libraries."""
    return [WORLD_VERSION, library_versions()]


def _content(name: str, *fields: str) -> list[object]:
    """What a data set says, as far as training (templates) or the suite (prompt) depends on it."""
    row = asdict(DATASETS[name])
    return [name, row["group"], row["concepts"], *(row[field] for field in fields)]


def _corpus(config: Pocket, cache: Path) -> "Corpus":
    from trainables.workloads.clip.corpus import Corpus

    return Corpus(
        segments=(*(_segment(name, cache) for name in ADAPT), _pool(config, cache)),
        suite=tuple(_test_set(name, cache) for name in DATASETS),
    )


def _segment(name: str, cache: Path) -> "Segment":
    from trainables.workloads.clip.corpus import Segment

    drawn = samples(name, "train", cache)
    concepts = tuple(f"{name}/{concept}" for concept in DATASETS[name].concepts)
    tokens, first = _tokens(drawn.captions)
    return Segment(images=drawn.images, tokens=tokens, first=first, concepts=concepts, concept=drawn.concept)


def _pool(config: Pocket, cache: Path) -> "Segment":
    from trainables.workloads.clip.corpus import Segment

    drawn = pool(config.pool, cache)
    tokens, first = _tokens(drawn.captions)
    return Segment(images=drawn.images, tokens=tokens, first=first, concepts=(), concept=drawn.concept)


def _tokens(captions: tuple[tuple[str, ...], ...]) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """Caption candidates as `tokens` and `first` of a segment."""
    from trainables.workloads.pocket.tokenizer import tokenize

    texts = [text for candidates in captions for text in candidates]
    unique = {caption: i for i, caption in enumerate(dict.fromkeys(texts))}
    table = tokenize(list(unique)).numpy().astype(np.int16)
    return table[[unique[text] for text in texts]], np.cumsum([0, *map(len, captions)])


def _test_set(name: str, cache: Path) -> "Classification":
    from trainables.workloads.clip.evaluation import Classification
    from trainables.workloads.pocket.tokenizer import tokenize

    dataset, drawn = DATASETS[name], samples(name, "test", cache)
    return Classification(
        name=name,
        group=dataset.group,
        images=drawn.images,
        labels=drawn.concept.astype(np.int64),
        classes=dataset.concepts,
        prompts=tokenize([dataset.prompt.format(concept) for concept in dataset.concepts]).numpy()[:, None],
    )
