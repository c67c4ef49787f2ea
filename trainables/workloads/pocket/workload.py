"""The pocket benchmark as a workload: the procedural world's data and the small pretrained CLIP."""

import hashlib
import os
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
from trainables.workloads.identity import Identity
from trainables.workloads.pocket import WEIGHTS_FILE
from trainables.workloads.pocket.samples import library_versions, pool, samples
from trainables.workloads.pocket.world import ADAPT, DATASETS, WORLD_VERSION

_SCORED = "zero-shot accuracy, one prompt a class"

if TYPE_CHECKING:
    from trainables.workloads.clip.workload import ClipWorkload, Corpus, EvaluationSet, Segment


def identify_pocket(config: Pocket) -> Identity:
    """Digests of world and weights, the adaptation concepts as "dataset/concept", and what the model is made of."""
    return Identity(
        base=hashlib.sha256(WEIGHTS_FILE.read_bytes()).hexdigest(),
        data=digest([*_drawn_by(), config.pool, [_content(name, "train_per_concept", "templates") for name in ADAPT]]),
        suite=digest([*_drawn_by(), [_content(name, "test_per_concept", "prompt") for name in DATASETS], _SCORED]),
        concepts=tuple(f"{name}/{concept}" for name in ADAPT for concept in DATASETS[name].concepts),
        test_samples=sum(len(row.concepts) * row.test_per_concept for row in DATASETS.values()),
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

_FACTS_VERSION = 1
"""Raised by every change of how facts are computed."""


def _facts(config: Pocket, kind: str) -> NDArray[np.generic]:
    """See `Identity.facts`. Years are looked up; all else is kept in the cache under what it follows from."""
    concepts = [(name, concept) for name in ADAPT for concept in DATASETS[name].concepts]
    if kind == "year":
        return np.array([YEARS[name] for name, _ in concepts])
    identity, cache = identify_pocket(config), cache_folder()
    key = digest([kind, identity.base, identity.data, identity.suite, _FACTS_VERSION])
    path = cache / "facts" / f"{kind}-{key[:24]}.npy"
    try:
        known: NDArray[np.generic] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        known = _find_facts(config, kind, [concept for _, concept in concepts], cache)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp.npy")
        np.save(temporary, known)
        temporary.replace(path)
    return known


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
    from trainables.workloads.clip.workload import Corpus

    return Corpus(
        segments=(*(_segment(name, cache) for name in ADAPT), _pool(config, cache)),
        suite=tuple(_test_set(name, cache) for name in DATASETS),
    )


def _segment(name: str, cache: Path) -> "Segment":
    from trainables.workloads.clip.workload import Segment

    drawn = samples(name, "train", cache)
    concepts = tuple(f"{name}/{concept}" for concept in DATASETS[name].concepts)
    return Segment(images=drawn.images, tokens=_tokens(drawn.captions), concepts=concepts, concept=drawn.concept)


def _pool(config: Pocket, cache: Path) -> "Segment":
    from trainables.workloads.clip.workload import Segment

    drawn = pool(config.pool, cache)
    return Segment(images=drawn.images, tokens=_tokens(drawn.captions), concepts=(), concept=drawn.concept)


def _tokens(captions: tuple[tuple[str, ...], ...]) -> np.ndarray[tuple[int, int, int], np.dtype[np.int16]]:
    """Caption candidates as tokens [N, K, L]; rows after a sample's last candidate are zero."""
    from trainables.workloads.pocket.tokenizer import CONTEXT_LENGTH, tokenize

    unique = {caption: i for i, caption in enumerate(dict.fromkeys(text for texts in captions for text in texts))}
    table = tokenize(list(unique)).numpy().astype(np.int16)
    rows = np.zeros((len(captions), max(map(len, captions)), CONTEXT_LENGTH), dtype=np.int16)
    for i, texts in enumerate(captions):
        rows[i, : len(texts)] = table[[unique[text] for text in texts]]
    return rows


def _test_set(name: str, cache: Path) -> "EvaluationSet":
    from trainables.workloads.clip.workload import EvaluationSet
    from trainables.workloads.pocket.tokenizer import tokenize

    dataset, drawn = DATASETS[name], samples(name, "test", cache)
    return EvaluationSet(
        name=name,
        group=dataset.group,
        images=drawn.images,
        labels=drawn.concept.astype(np.int64),
        prompts=tokenize([dataset.prompt.format(concept) for concept in dataset.concepts]),
    )
