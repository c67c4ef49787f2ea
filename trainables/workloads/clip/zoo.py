"""Models of open_clip by name, as workloads without weights or data: all that budgets need of them."""

from difflib import get_close_matches
from functools import partial
from typing import NoReturn

import open_clip
import torch
from open_clip.model import CLIP

from trainables.frozen import ConfigError
from trainables.workloads.clip.layout import describe
from trainables.workloads.clip.workload import ClipWorkload
from trainables.workloads.identity import Identity

_FOREIGN = {"hf_model_name", "timm_model_name", "custom_text", "multimodal_cfg"}
_INSTEAD = "choose a CLIP of two transformers, such as ViT-B-32"


def without_data(name: str) -> ClipWorkload:
    """The workload of a model; what it is asked for beyond its architecture is an error.

    Raises:
        ConfigError: open_clip has no such model, or it is no CLIP of two transformers.
    """
    if name not in open_clip.list_models():  # asked first: a name of a hub would be looked up on the network
        close = get_close_matches(name, open_clip.list_models(), n=4, cutoff=0.3)
        raise ConfigError(f"model: {name!r} is unknown to open_clip; such as {', '.join(close) or 'ViT-B-32'}")
    config = open_clip.get_model_config(name)
    foreign = {**config, **config["text_cfg"], **config["vision_cfg"]}.keys() & _FOREIGN
    if foreign:
        raise ConfigError(f"model: {name}: it has parts of other kinds ({', '.join(sorted(foreign))}); {_INSTEAD}")
    build = partial(CLIP, **config)
    try:
        with torch.device("meta"):
            anatomy = describe({key: tuple(one.shape) for key, one in build().state_dict().items()})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model: {name}: {error}; {_INSTEAD}") from error
    return ClipWorkload(
        identity=Identity(base=name, data="", suite="", concepts=(), test_samples=0, anatomy=anatomy),
        architecture=build,
        base=_none,
        corpus=_none,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        model_config=config,
        tokenizer_files=dict,
    )


def _none() -> NoReturn:
    raise NotImplementedError("a model by name has neither weights nor data")
