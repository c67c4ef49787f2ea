"""A toy workload of the CLIP family, small enough to train a whole cycle in a second, and configs for it.

Each concept is a pattern of four colours; the pool and the held-out set know concepts that the stream does not bring.
"""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

from search_spaces.space import Scalar
from search_spaces.space import build as build_config
from trainables.config import TrialConfig
from trainables.workloads.clip.data.corpus import Corpus, Segment
from trainables.workloads.clip.evaluation import Classification
from trainables.workloads.clip.layout import describe
from trainables.workloads.clip.workload import ClipWorkload
from trainables.workloads.identity import Identity, Scored
from trainables.workloads.pocket.settings import Pocket

CONTEXT_LENGTH, END = 5, 31
NEW, OLD = 8, 4
SIDE = 16


def workload(*, crop: float = 1.0) -> ClipWorkload:
    """A new toy workload, which cuts training images to at least this share of their area."""
    return ClipWorkload(
        identity=IDENTITY,
        architecture=architecture,
        base=lambda: {name: tensor.clone() for name, tensor in _base().items()},
        corpus=corpus,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        model_config={"text_cfg": {}},
        tokenizer_files=dict,
        crop=crop,
    )


def architecture() -> CLIP:
    """A CLIP whose towers differ in width, heads and depth."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return CLIP(
            embed_dim=12,
            vision_cfg=CLIPVisionCfg(image_size=SIDE, patch_size=8, width=32, layers=2, head_width=8, mlp_ratio=2.0),
            text_cfg=CLIPTextCfg(context_length=CONTEXT_LENGTH, vocab_size=END + 1, width=16, heads=2, layers=2),
        )


@cache
def _base() -> dict[str, torch.Tensor]:
    """The weights of a new model, drawn once."""
    return dict(architecture().state_dict())


IDENTITY = Identity(
    base="b" * 64,
    data="d" * 64,
    suite="s" * 64,
    concepts=tuple(f"toy/{i}" for i in range(NEW)),
    tests=(Scored(4 * NEW, NEW), Scored(4 * OLD, OLD)),
    pool_samples=16 * OLD,
    anatomy=describe({name: tuple(tensor.shape) for name, tensor in architecture().state_dict().items()}),
)


@cache
def corpus() -> Corpus:
    """Two segments: the stream's concepts, and the pool of the old ones."""
    new, old = range(NEW), range(NEW, NEW + OLD)
    return Corpus(
        segments=(_segment(list(new), 10, IDENTITY.concepts), _segment(list(old), 16, ())),
        suite=(_test_set("toy", list(new)), _test_set("old", list(old))),
    )


def trial(**axes: Scalar) -> TrialConfig:
    """A config of flat axis values, seed and order: three tasks of three steps unless they say otherwise."""
    block = {name: axes.pop(name, 0) for name in ("seed", "order")}
    defaults: dict[str, Scalar] = {"tasks": 3, "steps": 3, "batch_size": 12, "lr": 1e-2}
    values: dict[str, Scalar] = {"method": "full", **defaults, **axes}
    config, _ = build_config(values, workload=Pocket(pool=512), source="toy")
    return config.model_copy(update=block)


def _segment(concepts: list[int], each: int, names: tuple[str, ...]) -> Segment:
    labels = np.repeat(concepts, each)
    captions = [_captions(label) for label in labels]
    return Segment(
        images=_images(labels, seed=1),
        tokens=np.concatenate(captions),
        first=np.cumsum([0, *map(len, captions)]),
        concepts=names,
        concept=labels.astype(np.int32) if names else np.full(len(labels), -1, dtype=np.int32),
    )


def _test_set(name: str, concepts: list[int]) -> Classification:
    labels = np.repeat(concepts, 4)
    return Classification(
        name=name,
        group="adapt" if name == "toy" else "holdout",
        images=_images(labels, seed=2),
        labels=labels - concepts[0],
        classes=tuple(str(i) for i in concepts),
        prompts=np.stack([_captions(i)[:1] for i in concepts]),
    )


def _images(labels: NDArray[np.int64], *, seed: int) -> NDArray[np.uint8]:
    patterns = np.random.default_rng(0).integers(30, 226, (NEW + OLD, 2, 2, 3))
    noise = np.random.default_rng(seed).integers(-30, 31, (len(labels), SIDE, SIDE, 3))
    return (patterns[labels].repeat(8, axis=1).repeat(8, axis=2) + noise).clip(0, 255).astype(np.uint8)


def _captions(label: int) -> NDArray[np.int16]:
    """Two captions, of three and of four tokens; every third concept has the first alone."""
    rows = np.zeros((2, CONTEXT_LENGTH), dtype=np.int16)
    rows[0, :3] = 1, 3 + label, END
    rows[1, :4] = 1, 2, 3 + label, END
    return rows[: 2 if label % 3 else 1]
