"""A model of open_clip and a manifest, as a workload."""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.runtime import Runtime, TrainingError
from trainables.workloads.clip.data import pack as packs
from trainables.workloads.clip.data.corpus import Corpus, Segment
from trainables.workloads.clip.data.images import ImageError, Source, decoded, encoded
from trainables.workloads.clip.data.pixels import Pixels, Rows
from trainables.workloads.clip.evaluation import Classification, Retrieval, TestSet
from trainables.workloads.clip.models import OpenModel, open_model
from trainables.workloads.clip.settings import Clip
from trainables.workloads.clip.workload import ClipWorkload
from trainables.workloads.identity import Identity


def pack_of(config: Clip, cache: Path) -> packs.Pack:
    """The manifest, made ready for the model."""
    model = open_model(config.model, cache)
    return packs.pack(Path(config.data), seen_as=_seen_as(model), tokenize=model.tokenize, cut=model.cut, cache=cache)


def open_clip_workload(config: Clip, identity: Identity, runtime: Runtime) -> ClipWorkload:
    """The workload; its images are decoded when they are first needed and kept under the cache."""
    cache = runtime.cache
    model = open_model(config.model, cache)
    seen = model.preprocessing
    return ClipWorkload(
        identity=identity,
        architecture=model.architecture,
        base=model.base,
        corpus=lambda: _corpus(pack_of(config, cache), images_of(config, runtime)),
        mean=seen.mean,
        std=seen.std,
        model_config=model.config,
        tokenizer_files=lambda: model.tokenizer_files,
        hub_tokenizer=model.hub_tokenizer,
        text_config=model.text_config,
        preprocessing={"interpolation": seen.interpolation, "resize_mode": seen.resize_mode},
        crop=config.crop,
        loss=model.loss,
    )


@lru_cache(maxsize=2)
def images_of(config: Clip, runtime: Runtime) -> Pixels:
    """All images of the manifest at the model's size, not normalised yet."""
    model = open_model(config.model, runtime.cache)
    pack = pack_of(config, runtime.cache)
    most = None if runtime.cache_gb is None else int(runtime.cache_gb * 1e9)
    return Pixels(
        pack.folder,
        sources=pack.source,
        length=len(pack),
        decode=partial(_pixels, _resized(model)),
        size=_size(model),
        most_bytes=most,
    )


def _seen_as(model: OpenModel) -> Mapping[str, object]:
    """The model's view of images and texts, which enters the digests of a pack."""
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
    """The transform of open_clip for evaluation without its last two steps, which make a tensor and normalise it."""
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
    except ValueError as error:  # of Pillow, such as for an image of one column whose longer side is to fit
        raise TrainingError(f"{source}: open_clip cannot resize it: {error}; leave it out of the data") from error


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
