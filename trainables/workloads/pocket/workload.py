"""The pocket benchmark as a workload: the procedural world's data and the small pretrained CLIP."""

import hashlib
from dataclasses import asdict
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainables.config import Pocket, digest
from trainables.workloads.identity import Identity
from trainables.workloads.pocket.samples import LIBRARIES, pool, samples
from trainables.workloads.pocket.world import ADAPT, DATASETS, WORLD_VERSION

WEIGHTS_FILE = Path(__file__).with_name("pocket.safetensors")

if TYPE_CHECKING:
    from trainables.workloads.clip.workload import ClipWorkload, Corpus, EvaluationSet, Segment


def identify_pocket(config: Pocket) -> Identity:
    """Digests of world and weights, and the adaptation concepts as "dataset/concept"."""
    world = _world()
    return Identity(
        base=hashlib.sha256(WEIGHTS_FILE.read_bytes()).hexdigest(),
        data=digest({"world": world, "pool": config.pool}),
        suite=digest({"world": world, "scored": "zero-shot accuracy, one prompt a class"}),
        concepts=tuple(f"{name}/{concept}" for name in ADAPT for concept in DATASETS[name].concepts),
        test_samples=sum(len(row.concepts) * row.test_per_concept for row in DATASETS.values()),
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


def _world() -> str:
    """Digest of all that the world says, and of the versions of what draws it.

    The drawing code itself enters by `WORLD_VERSION`; a test pins pictures, so that no change of them goes without one.
    """
    return digest([WORLD_VERSION, [asdict(row) for row in DATASETS.values()], [(n, version(n)) for n in LIBRARIES]])


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
