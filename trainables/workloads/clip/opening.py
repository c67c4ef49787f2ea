"""A model of open_clip and a manifest, as a workload."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.config import Clip
from trainables.frozen import ConfigError
from trainables.runtime import Runtime, TrainingError
from trainables.streams.mentions import mentions
from trainables.workloads.clip.corpus import Corpus, Segment
from trainables.workloads.clip.data import pack as packs
from trainables.workloads.clip.data.images import ImageError, Source, decoded, encoded
from trainables.workloads.clip.data.pixels import Pixels, Rows
from trainables.workloads.clip.evaluation import Classification, Retrieval, TestSet
from trainables.workloads.clip.models import OpenModel, open_model
from trainables.workloads.clip.workload import ClipWorkload
from trainables.workloads.concept_facts import cached_fact
from trainables.workloads.identity import Identity, Scored


@lru_cache(maxsize=4)
def identify_clip(config: Clip, cache: Path) -> Identity:
    """Digests of model, training data and suite, the stream's concepts, and what the model is made of.

    Raises:
        ConfigError: the model or the manifest cannot be used.
    """
    model = open_model(config.model, cache)
    pack = _pack(config, model, cache)
    return Identity(
        base=model.base_digest,
        data=f"{pack.data}-{config.crop:g}",
        suite=pack.suite,
        concepts=pack.concepts,
        tests=tuple(Scored(len(test.rows), len(test.classes)) for test in pack.tests),
        pool_samples=len(pack.train[-1].rows),
        anatomy=model.anatomy,
        facts=partial(_facts, config, cache),
        warnings=tuple(_cut_texts(config, pack)),
    )


def pack_of(config: Clip, cache: Path) -> packs.Pack:
    """The manifest, made ready for the model."""
    return _pack(config, open_model(config.model, cache), cache)


@lru_cache(maxsize=2)
def open_clip_workload(config: Clip, runtime: Runtime) -> ClipWorkload:
    """The workload; its images are decoded when they are first needed and kept under the cache."""
    cache = runtime.cache
    model = open_model(config.model, cache)
    seen = model.preprocessing
    return ClipWorkload(
        identity=identify_clip(config, cache),
        architecture=model.architecture,
        base=model.base,
        corpus=lambda: _corpus(_pack(config, model, cache), images_of(config, runtime)),
        mean=seen.mean,
        std=seen.std,
        model_config=model.config,
        tokenizer_files=lambda: model.tokenizer_files,
        text_config=model.text_config,
        preprocessing={"interpolation": seen.interpolation, "resize_mode": seen.resize_mode},
        crop=config.crop,
        loss=model.loss,
    )


@lru_cache(maxsize=2)
def images_of(config: Clip, runtime: Runtime) -> Pixels:
    """All images of the manifest, as the model sees them before it normalises."""
    model = open_model(config.model, runtime.cache)
    pack = _pack(config, model, runtime.cache)
    most = None if runtime.cache_gb is None else int(runtime.cache_gb * 1e9)
    return Pixels(
        pack.folder,
        sources=pack.source,
        length=len(pack),
        decode=partial(_pixels, _resized(model)),
        size=_size(model),
        most_bytes=most,
    )


def _pack(config: Clip, model: OpenModel, cache: Path) -> packs.Pack:
    return packs.pack(Path(config.data), seen_as=_seen_as(model), tokenize=model.tokenize, cut=model.cut, cache=cache)


def _cut_texts(config: Clip, pack: packs.Pack) -> Iterator[str]:
    for kind, (cut, count) in pack.cut.items():
        if cut:
            what = f"{cut} of {count} {'distinct captions' if kind == 'captions' else 'prompts of classes'}"
            yield f"{config.data}: {what} are longer than the context of {config.model.name} and lose their ends"


def _seen_as(model: OpenModel) -> Mapping[str, object]:
    """What a model makes of images and texts."""
    seen = model.preprocessing
    return {
        "size": list(_size(model)),
        "mean": list(seen.mean),
        "std": list(seen.std),
        "interpolation": seen.interpolation,
        "resize_mode": seen.resize_mode,
        "fill_color": seen.fill_color,
        "tokenizer": model.tokenizer_name,
    }


def _size(model: OpenModel) -> tuple[int, int]:
    size = model.preprocessing.size
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def _resized(model: OpenModel) -> Callable[[Any], Any]:
    """open_clip's transform for evaluation, without its last steps: to a tensor, and normalised."""
    from open_clip.transform import image_transform_v2

    *steps, _, _ = image_transform_v2(model.preprocessing, is_train=False).transforms

    def resize(image: Any) -> Any:
        for step in steps:
            image = step(image)
        return image

    return resize


def _pixels(resize: Callable[[Any], Any], source: Source) -> NDArray[np.uint8]:
    try:
        return np.asarray(resize(decoded(encoded(source), source)))
    except ImageError as error:
        raise TrainingError(f"{error}; `retune data check` lists all such images") from error


def _corpus(pack: packs.Pack, images: Pixels) -> Corpus:
    tokens, first, concept = (pack.array(name) for name in ("tokens", "first", "concept"))

    def segment(one: packs.TrainSet) -> Segment:
        begin, end = one.rows.start, one.rows.stop
        return Segment(
            images=Rows(images, one.rows),
            tokens=tokens,
            first=first[begin : end + 1],
            concepts=tuple(f"{one.name}/{name}" for name in one.concepts),
            concept=concept[begin:end],
        )

    def test(one: packs.TestSet) -> TestSet:
        begin, end = one.rows.start, one.rows.stop
        if not one.classes:
            own = first[begin : end + 1]
            return Retrieval(
                name=one.name,
                group=one.group,
                images=Rows(images, one.rows),
                tokens=tokens[own[0] : own[-1]],
                image=np.repeat(np.arange(end - begin), np.diff(own)),
                k=int(one.metric.removeprefix("recall@")),
            )
        return Classification(
            name=one.name,
            group=one.group,
            images=Rows(images, one.rows),
            labels=concept[begin:end].astype(np.int64),
            classes=one.classes,
            prompts=pack.array(f"prompts-{one.name}"),
            metric=one.metric,
        )

    return Corpus(segments=tuple(map(segment, pack.train)), suite=tuple(map(test, pack.tests)))


def _facts(config: Clip, cache: Path, kind: str) -> NDArray[np.generic]:
    """See `Identity.facts`."""
    identity = identify_clip(config, cache)
    pack = pack_of(config, cache)
    if kind == "year":
        undated = [name for name, year in zip(pack.concepts, pack.years, strict=True) if year is None]
        if undated:
            raise ConfigError(
                f"ordering: it needs the year of every concept; {config.data} has none for {len(undated)} of them, "
                f"such as {', '.join(undated[:3])}; add a column year, or use another ordering"
            )
        return np.array(pack.years)

    def find() -> NDArray[np.generic]:
        if kind == "count":
            if not pack.pool_captions():
                raise ConfigError(
                    f"ordering: frequency counts concepts in the captions of the pool; {config.data} has no pool: "
                    "import one, or use another ordering"
                )
            return mentions([name.partition("/")[2] for name in pack.concepts], pack.pool_captions())
        return open_clip_workload(config, Runtime(cache=cache)).facts(kind)

    return cached_fact(kind, [identity.base, identity.data, identity.suite], cache, find)
