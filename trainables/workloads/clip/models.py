"""Models of open_clip with their weights: from what a user names to an architecture, a digest and a file of tensors.

Weights are random draws, checkpoint files, or files that open_clip knows by a tag. All are converted once to one
safetensors file in the cache, in fp32 and in the model's own layout, with the model's config in its header, so that
its SHA-256 is the digest of the base model: equal weights under another activation are another model.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import file_digest
from pathlib import Path
from typing import Any, Literal

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model
from open_clip.transform import PreprocessCfg
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainables.files import draft, locked, whole
from trainables.frozen import ConfigError, digest
from trainables.randomness import torch_seed
from trainables.workloads.anatomy import Anatomy
from trainables.workloads.clip import architectures, checkpoints, hub, tokenizers
from trainables.workloads.clip.architectures import CONFIG_FILE, Architecture, Maker
from trainables.workloads.clip.settings import FOLDER, HUB, Model
from trainables.workloads.clip.towers import describe

RANDOM = "random"
_BROUGHT = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "model.safetensors",
    "pytorch_model.bin",
)
"""Weights in a folder of a model, the best first."""
_VERSION = 1
"""Raised by every change of what a conversion writes."""


@dataclass(frozen=True, kw_only=True)
class OpenModel:
    """A model whose weights are in the cache.

    Attributes:
        base_digest: SHA-256 of the file of its weights, whose header holds its config.
        anatomy: its parameters, and the layers that adapters may change.
        architecture: makes a new module of any values, on the default device.
        base: its weights, mapped from the file, so that processes share the memory until they write.
        config: `model_cfg` of open_clip, as an export has it.
        text_config: the config.json of a text tower of transformers in a folder of the user's, or None.
        preprocessing: the way from images to inputs.
        tokenize: tokens [N, L] of N texts, at the full context length.
        cut: the number of texts that are longer than the context, given texts and their tokens.
        tokenizer_name: identifies the function of `tokenize`.
        export_tokenizer: a tokenizer of transformers as files by name; nothing of open_clip's own.
        hub_tokenizer: the same for a hub, where open_clip's own becomes one of transformers.
        loss: the kind that it was pretrained with.
    """

    base_digest: str
    anatomy: Anatomy
    architecture: Callable[[], nn.Module]
    base: Callable[[], dict[str, Tensor]]
    config: dict[str, Any]
    text_config: Path | None
    preprocessing: PreprocessCfg
    tokenize: Callable[[Sequence[str]], NDArray[np.int32]]
    cut: Callable[[Sequence[str], NDArray[np.int32]], int]
    tokenizer_name: str
    export_tokenizer: Callable[[], Mapping[str, str]]
    hub_tokenizer: Callable[[], Mapping[str, str]]
    loss: Literal["clip", "siglip"]

    @property
    def tokenizer_files(self) -> Mapping[str, str]:
        """The files of the tokenizer in an export, by name."""
        return self.export_tokenizer()


@lru_cache(maxsize=4)
def open_model(model: Model, cache: Path) -> OpenModel:
    """A model by its config; its weights are converted into `cache` where they are not there yet.

    Raises:
        ConfigError: the model cannot be used, or something of it is not on this machine: nothing is downloaded.
    """
    architecture = architectures.find(model.name)
    described = inspect(architecture)
    tokenizer = tokenizers.find(architecture, described.vocabulary)
    make = Maker(architecture)
    path = _converted(model, architecture, make, cache)
    return OpenModel(
        base_digest=path.stem,
        anatomy=described.anatomy,
        architecture=make,
        base=lambda: load_file(path),
        config=architecture.portable(),
        text_config=architecture.own_text_config(),
        preprocessing=architectures.preprocessing(architecture, model.pretrained, described.image_size),
        tokenize=tokenizer,
        cut=tokenizer.cut,
        tokenizer_name=tokenizer.name,
        export_tokenizer=tokenizer.files,
        hub_tokenizer=tokenizer.hub_files,
        loss=loss_of(architecture),
    )


def fetch_model(model: Model, cache: Path, progress: Callable[[str], object]) -> OpenModel:
    """Download all that a model needs of the network, and open it; `progress` takes lines about it.

    Raises:
        ConfigError: the model cannot be used, or a download failed.
    """
    if model.name.startswith(HUB):
        repository = model.name.removeprefix(HUB)
        progress(f"config of {repository}")
        hub.download(model.name, repository, CONFIG_FILE)
    architecture = architectures.find(model.name)
    for key, what in (("hf_model_name", "text tower"), ("hf_tokenizer_name", "tokenizer")):
        named = architecture.text.get(key)
        if named and hub.local(named, architecture.folder) is None and not model.name.startswith(FOLDER):
            progress(f"{what} of {named}")
            hub.download(model.name, named, *hub.TOKENIZER_FILES)
    if model.name.startswith(HUB):
        repository = model.name.removeprefix(HUB)
        progress(f"weights of {repository}")
        hub.fetched(model.name, repository, lambda: open_clip.pretrained.download_pretrained_from_hf(repository))
    elif tag := _tag(model):
        progress(f"weights of {model.name}, {model.pretrained}")
        source = str(tag.get("hf_hub") or tag.get("url") or model.name).rstrip("/")
        hub.fetched(model.name, source, lambda: open_clip.download_pretrained(tag))
    progress(f"opening {model.name}")
    open_model.cache_clear()
    return open_model(model, cache)


@dataclass(frozen=True, kw_only=True)
class Described:
    """An architecture as the meta device shows it: its parts, and the sizes of its inputs."""

    anatomy: Anatomy
    image_size: int | tuple[int, int]
    vocabulary: int


def inspect(architecture: Architecture) -> Described:
    """Build an architecture and run it, on the meta device: nothing is computed.

    Raises:
        ConfigError: it cannot be built, cannot run, or has parts that are not known.
    """
    where = f"model: {architecture.name}"
    with torch.device("meta"):
        model: Any = architectures.build(architecture)
        size, vocabulary = model.visual.image_size, int(getattr(model, "vocab_size", 0))
        height, width = (size, size) if isinstance(size, int) else size
        try:
            features = (
                model.encode_image(torch.zeros(2, 3, height, width)),
                model.encode_text(torch.zeros(2, model.context_length, dtype=torch.long)),
            )
        except Exception as error:  # libraries say what they refuse by errors of any type
            said = " ".join(f"{error}".split())[:300] or type(error).__name__
            raise ConfigError(
                f"{where}: it does not take what its config says, images of {height} x {width} and texts of "
                f"{model.context_length}: {said}"
            ) from error
    shapes = [tuple(one.shape) if isinstance(one, Tensor) else type(one).__name__ for one in features]
    if shapes[0] != shapes[1] or len(shapes[0]) != 2:
        raise ConfigError(f"{where}: its towers give {shapes[0]} and {shapes[1]}; one vector each of a width is needed")
    try:
        anatomy = describe(model)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
    return Described(anatomy=anatomy, image_size=size, vocabulary=vocabulary)


def loss_of(architecture: Architecture) -> Literal["clip", "siglip"]:
    """The loss that a model is trained with: the sigmoid loss has a bias of the logits (arXiv 2303.15343)."""
    return "clip" if architecture.config.get("init_logit_bias") is None else "siglip"


# -- weights -----------------------------------------------------------------------------------------------------------


def _converted(model: Model, architecture: Architecture, make: Maker, cache: Path) -> Path:
    """The file of a model's weights in the cache, converted if it is not there."""
    canonical = architecture.canonical()
    source = None if model.pretrained == RANDOM else _checkpoint(model, architecture)
    if source is None:
        origin: list[object] = [RANDOM, model.seed]
    else:
        status = source.stat()
        origin = [str(source.resolve()), status.st_size, status.st_mtime_ns]
    folder = cache / "models"
    note = folder / "known" / f"{digest([_VERSION, canonical, origin])[:32]}.json"
    if (known := _known(note, folder)) is not None:
        return known
    with locked(note):
        if (known := _known(note, folder)) is not None:  # another process has just made it
            return known
        if source is None:
            with torch_seed("weights", model.seed), torch.device("cpu"):
                made = architectures.build(architecture)
        else:
            state = checkpoints.read(source, model=model.name)
            made = make()
            checkpoints.fill(made, state, name=model.name, path=source)
            checkpoints.require_finite(made, name=model.name, path=source)
        return _keep(made, canonical, folder, note)


def _checkpoint(model: Model, architecture: Architecture) -> Path:
    """The file of a model's pretrained weights.

    Raises:
        ConfigError: it is not on this machine.
    """
    if model.name.startswith(HUB):
        names = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
        return hub.cached_file(model.name, model.name.removeprefix(HUB), *names)
    if model.name.startswith(FOLDER):
        folder = architecture.folder or Path()
        found = next((folder / name for name in _BROUGHT if (folder / name).is_file()), None)
        if found is None:
            raise ConfigError(f"model: {model.name}: it has no weights; one of {', '.join(_BROUGHT)} is needed")
        return found
    given = str(model.pretrained)
    if tag := _tag(model):
        if tag.get("quick_gelu") and not architecture.config.get("quick_gelu"):
            raise ConfigError(
                f"model: {model.name}: pretrained: {given} was trained with another activation (QuickGELU); "
                f"name {model.name}-quickgelu"
            )
        return _cached_tag(model, tag)
    path = Path(given).expanduser()
    if path.is_file():
        return path
    tags = list_pretrained_tags_by_model(model.name.replace("/", "-"))
    raise ConfigError(
        f"model: {model.name}: pretrained: {given!r} given, which is neither a file nor a tag; "
        f"allowed: {', '.join([*tags, RANDOM])}, or a checkpoint file"
    )


def _tag(model: Model) -> Mapping[str, Any]:
    found: Mapping[str, Any] = get_pretrained_cfg(model.name.replace("/", "-"), str(model.pretrained))
    return found


def _cached_tag(model: Model, tag: Mapping[str, Any]) -> Path:
    """The file in which open_clip keeps the weights of a tag; its name is that of `download_pretrained`."""
    repository, _, file = str(tag.get("hf_hub", "")).rpartition("/")
    if repository:
        names = [file] if file else ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"]
        safe = [f"{Path(name).stem}.safetensors" for name in names if name.endswith((".bin", ".pth"))]
        folder = hub.cached_folder(repository, *safe, *names)
        path = next((folder / name for name in (*safe, *names) if folder and (folder / name).is_file()), None)
        what = f"{repository}/{names[0]}"
    else:
        what = str(tag.get("url"))
        path = Path("~/.cache/clip").expanduser() / Path(what).name
        path = path if path.is_file() else None
    if path is None:
        raise ConfigError(
            f"model: {model.name}: the weights {model.pretrained} are not on this machine; `retune fetch STUDY` "
            f"downloads them ({what}); without a network, bring that file and name it (pretrained: /path/to/file)"
        )
    return path


def _known(note: Path, folder: Path) -> Path | None:
    """The file of an earlier conversion; None where the file or its note is not whole."""
    try:
        written = json.loads(note.read_text())
        path = folder / f"{written['digest']}.safetensors"
        return path if path.stat().st_size == written["bytes"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(model: nn.Module, config: Mapping[str, Any], folder: Path, note: Path) -> Path:
    """Write a model's weights under their digest."""
    state = {
        name: (tensor.float() if tensor.is_floating_point() else tensor).detach().clone().contiguous()
        for name, tensor in model.state_dict().items()
    }
    # One entry: the order of several differs from process to process, and would change the digest.
    header = {"model_cfg": json.dumps(config, sort_keys=True)}
    with draft(folder / "weights") as made:
        try:
            save_file(state, made.path, metadata=header)
        except OSError as error:
            raise ConfigError(f"{folder}: the weights cannot be kept: {error}; free some space") from error
        with made.path.open("rb") as file:
            name = file_digest(file, "sha256").hexdigest()
        path = folder / f"{name}.safetensors"
        made.replace(path)
    with whole(note) as file_of_note:
        file_of_note.write_text(json.dumps({"digest": name, "bytes": path.stat().st_size}))
    return path
