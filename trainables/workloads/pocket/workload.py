"""The pocket benchmark as a workload: the procedural world's data and the small pretrained CLIP."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainables.runtime import Runtime
from trainables.workloads.clip.data.corpus import Corpus, Segment
from trainables.workloads.clip.evaluation import Classification
from trainables.workloads.clip.workload import ClipWorkload
from trainables.workloads.identity import Identity
from trainables.workloads.pocket import model
from trainables.workloads.pocket.export import tokenizer_files
from trainables.workloads.pocket.release import release_of
from trainables.workloads.pocket.samples import Samples, pool, samples
from trainables.workloads.pocket.settings import Pocket
from trainables.workloads.pocket.tokenizer import tokenize
from trainables.workloads.pocket.world.datasets import ADAPT, DATASETS, PocketDataset, data_sets


def open_pocket(config: Pocket, identity: Identity, runtime: Runtime) -> ClipWorkload:
    """The workload; its images are drawn at first use and kept under `Runtime.cache`."""
    release = release_of(config)
    return ClipWorkload(
        identity=identity,
        architecture=partial(model.build, seed=0, size=config.size),
        base=partial(model.load_pretrained, release),
        corpus=partial(_corpus, config.pool, release.world_seed, runtime.cache),
        mean=model.MEAN,
        std=model.STD,
        model_config=model.MODEL_CONFIGS[config.size],
        tokenizer_files=tokenizer_files,
    )


def _corpus(pool_size: int, world_seed: int, cache: Path) -> Corpus:
    learnt = (_segment(name, samples(name, "train", cache, world_seed=world_seed)) for name in ADAPT)
    return Corpus(
        segments=(*learnt, _pool(pool(pool_size, cache, world_seed=world_seed))),
        suite=tuple(
            _test_set(dataset, samples(name, "test", cache, world_seed=world_seed))
            for name, dataset in data_sets(world_seed).items()
        ),
    )


def _segment(name: str, drawn: Samples) -> Segment:
    concepts = tuple(f"{name}/{concept}" for concept in DATASETS[name].concepts)
    tokens, first = _tokens(drawn.captions)
    return Segment(images=drawn.images, tokens=tokens, first=first, concepts=concepts, concept=drawn.concept)


def _pool(drawn: Samples) -> Segment:
    tokens, first = _tokens(drawn.captions)
    return Segment(images=drawn.images, tokens=tokens, first=first, concepts=(), concept=drawn.concept)


def _tokens(captions: tuple[tuple[str, ...], ...]) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """Caption candidates as `tokens` and `first` of a segment."""
    texts = [text for candidates in captions for text in candidates]
    unique = {caption: i for i, caption in enumerate(dict.fromkeys(texts))}
    table = tokenize(list(unique)).numpy().astype(np.int16)
    return table[[unique[text] for text in texts]], np.cumsum([0, *map(len, captions)])


def _test_set(dataset: PocketDataset, drawn: Samples) -> Classification:
    return Classification(
        name=dataset.name,
        group=dataset.group,
        images=drawn.images,
        labels=drawn.concept.astype(np.int64),
        classes=dataset.concepts,
        prompts=tokenize([dataset.prompt.format(concept) for concept in dataset.concepts]).numpy()[:, None],
    )
