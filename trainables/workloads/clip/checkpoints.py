"""Checkpoints of open_clip models, read without running code, and taken only where every tensor fits.

Wrappers, names and position embeddings of another size are adapted by the functions of open_clip itself.
"""

import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from open_clip.convert import convert_state_dict
from open_clip.model import convert_to_custom_text_state_dict, resize_pos_embed, resize_text_pos_embed
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from trainables.frozen import ConfigError

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
_SHOWN = 3
_POSITION_IDS = "text.transformer.embeddings.position_ids"


def read(path: Path, *, model: str) -> dict[str, Tensor]:
    """The tensors of a checkpoint file, by the names that it gives them, without its wrappers.

    Raises:
        ConfigError: it cannot be read, would run code, or holds something else than tensors.
    """
    where = f"model: {model}: {path}"
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{where}: a checkpoint is one of {', '.join(SUFFIXES)}")
    try:
        found: Any = load_file(path) if path.suffix == ".safetensors" else _unpickled(path, where)
    except ConfigError:
        raise
    except (OSError, SafetensorError, RuntimeError, EOFError, ValueError) as error:
        raise ConfigError(f"{where}: it cannot be read, and may be incomplete: {_said(error)}") from error
    state = found.get("state_dict", found) if isinstance(found, Mapping) else found
    if not isinstance(state, Mapping) or not state:
        raise ConfigError(f"{where}: it holds a {type(state).__name__}, not tensors by name")
    if next(iter(state)).startswith("module."):
        state = {name.removeprefix("module."): value for name, value in state.items()}
    other = next((name for name, value in state.items() if not isinstance(value, Tensor)), None)
    if other is not None:
        raise ConfigError(f"{where}: {other!r} is a {type(state[other]).__name__}; a state dict of tensors is needed")
    return dict(state)


@torch.no_grad()
def fill(model: nn.Module, state: dict[str, Tensor], *, name: str, path: Path) -> None:
    """Give a model the values of a checkpoint, which must have exactly the tensors of the model.

    Raises:
        ConfigError: they are of another architecture; the message names some of the tensors that differ.
    """
    fitted = _fitted(model, state, name=name, path=path)
    wanted = model.state_dict()
    missing = [key for key in wanted if key not in fitted and not key.endswith(".num_batches_tracked")]
    unexpected = [key for key in fitted if key not in wanted]
    mismatched = [
        f"{key} {list(fitted[key].shape)} instead of {list(wanted[key].shape)}"
        for key in wanted
        if key in fitted and fitted[key].shape != wanted[key].shape
    ]
    if missing or unexpected or mismatched:
        differences = "; ".join(
            f"{len(names)} {what}: {', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''}"
            for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", mismatched))
            if names
        )
        raise ConfigError(f"model: {name}: {path} holds another architecture ({differences}); name the one it is of")
    model.load_state_dict(fitted)


def require_finite(model: nn.Module, *, name: str, path: Path) -> None:
    """Raises: ConfigError: a weight is infinite or no number, as after a training that diverged."""
    for key, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise ConfigError(
                f"model: {name}: {path}: {key} has values that are infinite or no number; take an earlier checkpoint"
            )


def _unpickled(path: Path, where: str) -> object:
    """Raises: ConfigError: it is no plain checkpoint."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                raise ConfigError(
                    f"{where}: it is a TorchScript archive, such as OpenAI's, which holds code; name the weights by "
                    "their tag (openai), or save the state dict of the model alone"
                )
    with path.open("rb") as file:
        head = file.read(len(_POINTER))
    if head == _POINTER:
        raise ConfigError(f"{where}: it is a pointer of Git LFS, not the weights; fetch them with git lfs pull")
    if not head.startswith((b"PK", b"\x80")):  # a zip archive, or a pickle
        raise ConfigError(f"{where}: it is no checkpoint: neither safetensors nor a file that torch.save wrote")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of unusual pickle protocols, which are read or refused all the same
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ConfigError(
            f"{where}: to read it would run code of its own{_refused(error)}; save its state dict alone, best as "
            ".safetensors"
        ) from error
    except (KeyError, IndexError, TypeError, AttributeError, struct.error) as error:
        raise ConfigError(f"{where}: it is damaged ({_said(error)}); get it again") from error


_POINTER = b"version https://git-lfs"


def _fitted(model: Any, state: dict[str, Tensor], *, name: str, path: Path) -> dict[str, Tensor]:
    """The tensors as `open_clip.load_checkpoint` adapts them to a model."""
    try:
        state = dict(convert_state_dict(model, state))
        if "positional_embedding" in state and not hasattr(model, "positional_embedding"):
            state = convert_to_custom_text_state_dict(state)
        for scalar in ("logit_scale", "logit_bias"):
            if scalar in state and getattr(model, scalar) is not None:
                state[scalar] = state[scalar].reshape(getattr(model, scalar).shape)
        if model.logit_bias is not None and "logit_bias" not in state and "logit_scale" in state:
            state["logit_bias"] = torch.zeros_like(state["logit_scale"])
        if _POSITION_IDS in state and _POSITION_IDS not in model.state_dict():
            del state[_POSITION_IDS]
        if hasattr(model, "positional_embedding") or hasattr(model.text, "positional_embedding"):
            resize_text_pos_embed(state, model)
        resize_pos_embed(state, model)
    except (AssertionError, AttributeError, KeyError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"model: {name}: {path} holds another architecture ({_said(error)}); name the one it is of"
        ) from error
    return state


def _refused(error: Exception) -> str:
    """The name of the object that torch refused, if its message has one, without its advice to trust the file."""
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    return f" ({named[1]})" if named else ""


def _said(error: Exception) -> str:
    return (" ".join(f"{error}".split()) or type(error).__name__)[:300]
