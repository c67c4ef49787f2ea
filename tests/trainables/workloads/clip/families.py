"""One small model of each family that open_clip builds, as configs in files, and a toy corpus that fits it."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.workloads.clip.data.corpus import Corpus, Segment
from trainables.workloads.clip.models import OpenModel, open_model
from trainables.workloads.clip.settings import Model
from trainables.workloads.clip.workload import ClipWorkload
from trainables.workloads.identity import Identity

LENGTH, WORDS = 12, 64
NEW = 8
"""Concepts of the stream; half as many are in the pool."""


class Family(NamedTuple):
    """A model.

    `hf` is the config of a text tower of transformers, `frame` are the tokens before, after and beyond a text, and
    `adapts` the towers that LoRA can be put on.
    """

    vision: Mapping[str, Any]
    text: Mapping[str, Any] = MappingProxyType({})
    more: Mapping[str, Any] = MappingProxyType({})
    hf: Mapping[str, Any] | None = None
    frame: tuple[int, int, int] = (1, WORDS - 1, 0)
    adapts: str = "all"


VIT = {"image_size": 16, "patch_size": 8, "width": 16, "layers": 2, "head_width": 8}
OWN_TEXT = {"context_length": LENGTH, "vocab_size": WORDS, "width": 12, "heads": 2, "layers": 2}
SIGLIP_TEXT = {**OWN_TEXT, "no_causal_mask": True, "pool_type": "last", "proj_bias": True}
_ENCODER = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
_WORDS = {"vocab_size": WORDS, "max_position_embeddings": 40}
M2M = {
    f"{part}_{what}": value
    for part in ("encoder", "decoder")
    for what, value in (("layers", 2), ("attention_heads", 2), ("ffn_dim", 24))
}


def timm(name: str, size: int, **more: Any) -> dict[str, Any]:
    return {"timm_model_name": name, "image_size": size, "timm_pool": "avg", "timm_proj": "linear", **more}


FAMILIES: dict[str, Family] = {
    "clip": Family(VIT, OWN_TEXT),
    "resnet": Family(
        {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}, OWN_TEXT, adapts="text"
    ),
    "custom text": Family({**VIT, "ls_init_value": 0.1, "patch_dropout": 0.5}, OWN_TEXT, {"custom_text": True}),
    "siglip": Family(
        timm("test_vit", 160, timm_pool="map", timm_proj="none"),
        SIGLIP_TEXT,
        {"custom_text": True, "init_logit_bias": -10, "embed_dim": 64},
        frame=(2, 1, 1),
    ),
    "timm vit": Family(timm("test_vit2", 160, timm_drop=0.3, timm_drop_path=0.2), OWN_TEXT, {"custom_text": True}),
    "timm relative": Family(timm("test_vit_relpos", 160), OWN_TEXT),
    "timm resnet": Family(timm("resnet10t", 64), OWN_TEXT, {"custom_text": True}, adapts="text"),
    "convnext": Family(timm("test_convnext", 64), OWN_TEXT),
    "fastvit": Family(timm("fastvit_mci0", 64, timm_proj=None), OWN_TEXT),
    "eva": Family(timm("eva02_tiny_patch14_224", 224, timm_pool="token"), OWN_TEXT, {"custom_text": True}),
    "roberta": Family(VIT, hf={"model_type": "roberta", **_ENCODER, **_WORDS, "pad_token_id": 1}, frame=(0, 2, 1)),
    "bert": Family(
        VIT,
        {"hf_pooler_type": "cls_pooler", "hf_proj_type": "linear"},
        hf={"model_type": "bert", **_ENCODER, **_WORDS, "pad_token_id": 0},
        frame=(3, 4, 0),
    ),
    "mt5": Family(
        VIT,
        hf={"model_type": "mt5", "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
        | {"vocab_size": WORDS, "pad_token_id": 0},
        frame=(3, 1, 0),
    ),
    "m2m": Family(
        VIT,
        {"hf_pooler_type": "cls_pooler", "hf_proj_type": "linear"},
        {"init_logit_bias": -10},
        hf={"model_type": "m2m_100", "d_model": 16, **M2M, **_WORDS, "pad_token_id": 1},
        frame=(5, 2, 1),
    ),
}


def written(name: str, folder: Path) -> Model:
    """The config of a family in a file, with random weights."""
    family = FAMILIES[name]
    text = dict(family.text)
    if family.hf is not None:
        (folder / "text").mkdir(parents=True, exist_ok=True)
        (folder / "text" / "config.json").write_text(json.dumps(dict(family.hf)))
        text |= {"hf_model_name": "text", "hf_tokenizer_name": "text", "context_length": LENGTH}
    path = folder / "model.json"
    path.write_text(json.dumps({"embed_dim": 10, "vision_cfg": family.vision, "text_cfg": text, **family.more}))
    return Model(name=str(path), pretrained="random")


@cache
def opened(name: str, folder: Path) -> OpenModel:
    """A family's model; its files are kept in a folder of the cache."""
    own = folder / "families" / name.replace(" ", "-")
    own.mkdir(parents=True, exist_ok=True)
    return open_model(written(name, own), own / "cache")


@cache
def workload(name: str, folder: Path) -> ClipWorkload:
    """A family's model on the toy corpus."""
    model = opened(name, folder)
    return ClipWorkload(
        identity=Identity(
            base=model.base_digest,
            data="d" * 64,
            suite="s" * 64,
            concepts=tuple(f"toy/{i}" for i in range(NEW)),
            tests=(),
            pool_samples=2 * NEW,
            anatomy=model.anatomy,
        ),
        architecture=model.architecture,
        base=lambda: _living(model.base()),
        corpus=lambda: corpus(name, model),
        mean=model.preprocessing.mean,
        std=model.preprocessing.std,
        model_config=model.config,
        tokenizer_files=dict,
        text_config=model.text_config,
        loss=model.loss,
    )


def _living(base: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights without tensors of zeros: residual branches of fresh ResNets are off, and nothing in them would move."""
    return {
        name: torch.full_like(tensor, 0.1) if tensor.is_floating_point() and not tensor.any() else tensor
        for name, tensor in base.items()
    }


def corpus(name: str, model: OpenModel) -> Corpus:
    """A colour of its own for each concept, with noise, and two captions."""
    size = model.preprocessing.size
    height, width = (size, size) if isinstance(size, int) else size
    rng = np.random.default_rng(0)
    segments = []
    for concepts, each in ((range(NEW), 4), (range(NEW, NEW + NEW // 2), 4)):
        labels = np.repeat(concepts, each)
        colours = rng.integers(30, 220, (NEW + NEW // 2, 1, 1, 3))
        noise = rng.integers(-30, 31, (len(labels), height, width, 3))
        names = tuple(f"toy/{i}" for i in concepts) if concepts.start == 0 else ()
        segments.append(
            Segment(
                images=(colours[labels] + noise).clip(0, 255).astype(np.uint8),
                tokens=np.concatenate([captions(name, label) for label in labels]),
                first=np.arange(0, 2 * len(labels) + 1, 2),
                concepts=names,
                concept=labels.astype(np.int32) if names else np.full(len(labels), -1, dtype=np.int32),
            )
        )
    return Corpus(segments=tuple(segments), suite=())


def captions(name: str, label: int) -> NDArray[np.int32]:
    """Two captions [2, L] of a concept, of different lengths."""
    start, end, beyond = FAMILIES[name].frame
    rows = np.full((2, LENGTH), beyond, dtype=np.int32)
    rows[0, :3] = start, 10 + label, end
    rows[1, :5] = start, 8, 9, 10 + label, end
    return rows
