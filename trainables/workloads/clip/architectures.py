"""Architectures of open_clip: found by name, checked, and built without weights and without the network.

A name is one of open_clip's own, a JSON config file, `hf-hub:ORG/REPO` or `local-dir:FOLDER`. Parts of other libraries
(image towers of timm, text towers and tokenizers of transformers) are built from their configs alone.

Nothing is drawn in a forward pass, so that a step depends on its batch alone and a resumed trial has the same bits:
towers of other libraries and ResNets always run as in evaluation, and dropout of open_clip's own towers is off.
BatchNorm thus keeps the statistics that it was pretrained with, while its factors and biases train.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.coca_model import CoCa
from open_clip.hf_model import ClsPooler, HFTextEncoder
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP
from open_clip.modified_resnet import ModifiedResNet
from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model
from open_clip.timm_model import TimmModel
from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH
from open_clip.transform import PreprocessCfg, merge_preprocess_dict
from open_clip.transformer import PatchDropout
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from trainables.frozen import ConfigError, suggestion
from trainables.randomness import torch_seed
from trainables.workloads.clip import hub
from trainables.workloads.clip.settings import FOLDER, HUB

CONFIG_FILE = "open_clip_config.json"
_STEADY = (TimmModel, HFTextEncoder, ModifiedResNet, PatchDropout, _DropoutNd)
_TOP = ("embed_dim", "vision_cfg", "text_cfg")
_OPTIONAL = ("custom_text", "quick_gelu", "init_logit_scale", "init_logit_bias", "nonscalar_logit_scale")
_MASKED = "sdpa_masked"
_PREPROCESS = ("mean", "std", "interpolation", "resize_mode", "fill_color")


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A found architecture.

    Attributes:
        name: as the user wrote it.
        config: `model_cfg` of open_clip.
        preprocessing: settings of its own config, as `preprocess_cfg` of open_clip.
        folder: the place of files that the config names; None of an architecture of open_clip's own.
    """

    name: str
    config: Mapping[str, Any]
    preprocessing: Mapping[str, Any]
    folder: Path | None

    @property
    def text(self) -> Mapping[str, Any]:
        """The text tower's part of the config."""
        found: Mapping[str, Any] = self.config["text_cfg"]
        return found

    def text_folder(self) -> Path | None:
        """The folder with the config of a text tower of transformers; None of other towers.

        Raises:
            ConfigError: it is not on this machine.
        """
        name = self.text.get("hf_model_name")
        if not name:
            return None
        local = hub.local(name, self.folder)
        folder = local or hub.cached_folder(name, "config.json")
        if folder is None or not (folder / "config.json").is_file():
            raise ConfigError(hub.absent(self.name, f"its text tower is {name}, whose config.json", name))
        return folder

    def own_text_config(self) -> Path | None:
        """The config.json of a text tower of transformers in a folder of the user's; None of others."""
        local = hub.local(self.text.get("hf_model_name") or "", self.folder)
        return None if local is None else local / "config.json"

    def portable(self) -> dict[str, Any]:
        """`model_cfg` for an export, in which a tokenizer from a folder of the user's lies beside the config."""
        config = copy.deepcopy(dict(self.config))
        if hub.local(self.text.get("hf_tokenizer_name") or "", self.folder) is not None:
            config["text_cfg"]["hf_tokenizer_name"] = "."
        return config

    def canonical(self) -> dict[str, Any]:
        """The values that decide, beside the weights, what a model computes."""
        config = copy.deepcopy(dict(self.config))
        for part in ("vision_cfg", "text_cfg"):
            for key in ("timm_model_pretrained", "hf_model_pretrained", "hf_tokenizer_name", "tokenizer_mode"):
                config[part].pop(key, None)
            config[part].pop("tokenizer_kwargs", None)
        folder = self.text_folder()
        if folder is not None:
            config["text_cfg"]["hf_model_name"] = json.loads((folder / "config.json").read_text())
        return config


def find(name: str) -> Architecture:
    """An architecture by its name.

    Raises:
        ConfigError: there is none, its config is wrong or not on this machine, or it is of a kind that cannot train.
    """
    if name.startswith(HUB):
        return _read(name, hub.cached_file(name, name.removeprefix(HUB), CONFIG_FILE))
    if name.startswith(FOLDER):
        folder = Path(name.removeprefix(FOLDER)).expanduser()
        if not folder.is_dir():
            raise ConfigError(f"model: {name}: there is no folder {folder}")
        return _read(name, folder / CONFIG_FILE)
    if name.endswith(".json"):
        return _read(name, Path(name).expanduser())
    config = open_clip.get_model_config(name.replace("/", "-"))
    if config is None:
        known = open_clip.list_models()
        close = get_close_matches(name, known, n=4, cutoff=0.3)
        raise ConfigError(
            f"model: {name!r} is unknown to open_clip; such as {', '.join(close) or 'ViT-B-32'}, a JSON config file, "
            f"{HUB}ORG/REPO or {FOLDER}FOLDER"
        )
    return _checked(Architecture(name=name, config=config, preprocessing={}, folder=None))


def preprocessing(architecture: Architecture, pretrained: str | None, size: int | tuple[int, int]) -> PreprocessCfg:
    """The preprocessing of images for a model: as its config or its tag says, at the size of its tower.

    Weights of no tag (a checkpoint file, random ones) are taken to see what all tags of the architecture agree on, and
    what open_clip does by default where they do not.
    """
    name = architecture.name.replace("/", "-")
    tag = get_pretrained_cfg(name, pretrained) if pretrained else {}
    tags = [tag] if tag else [get_pretrained_cfg(name, other) for other in list_pretrained_tags_by_model(name)]
    agreed = {key: tags[0].get(key) for key in _PREPROCESS if tags and len({str(one.get(key)) for one in tags}) == 1}
    merged = merge_preprocess_dict(merge_preprocess_dict(PreprocessCfg(), agreed), dict(architecture.preprocessing))
    return PreprocessCfg(**{**merged, "size": size})


def build(architecture: Architecture) -> nn.Module:
    """A new module on the default device, its values drawn from torch's global generator.

    Raises:
        ConfigError: open_clip cannot build it.
    """
    config = copy.deepcopy(dict(architecture.config))
    custom = config.pop("custom_text", False)
    folder = architecture.text_folder()
    if folder is not None:
        config["text_cfg"] |= {"hf_model_name": str(folder), "hf_model_pretrained": False}
    if "timm_model_name" in config["vision_cfg"]:
        config["vision_cfg"]["timm_model_pretrained"] = False
    kind = CustomTextCLIP if custom or folder is not None else CLIP
    vision, text = CLIPVisionCfg(**config.pop("vision_cfg")), CLIPTextCfg(**config.pop("text_cfg"))
    try:
        model: Any = kind(vision_cfg=vision, text_cfg=text, **config)
    except Exception as error:  # libraries say what they refuse by errors of any type
        raise ConfigError(f"model: {architecture.name}: open_clip cannot build it: {_said(error)}") from error
    if folder is not None:  # the tokenizer's length: the tower itself names the most that it could take, or nothing
        model.context_length = text.context_length or DEFAULT_CONTEXT_LENGTH
        _mask_always(model)
        if type(model.text.pooler) is ClsPooler:
            model.text.pooler = _FirstToken()
    built: nn.Module = model
    for module in built.modules():
        if isinstance(module, _STEADY):
            module.register_forward_pre_hook(_as_in_evaluation)
    return built


def context_length(architecture: Architecture) -> int:
    """The number of tokens of a text."""
    return int(architecture.text.get("context_length", DEFAULT_CONTEXT_LENGTH))


class Maker:
    """Makes modules of an architecture without drawing their values: copies of one that was built once.

    Its parameters are zero, and its buffers have their values, as those that no state dict holds must.
    """

    def __init__(self, architecture: Architecture) -> None:
        self._architecture = architecture
        self._pattern: nn.Module | None = None

    def __call__(self) -> nn.Module:
        """A new module on the default device."""
        if torch.get_default_device().type == "meta":
            return build(self._architecture)
        if self._pattern is None:
            with torch_seed("pattern"), torch.device("cpu"):
                self._pattern = _without_values(build(self._architecture))
        return _with_zeros(copy.deepcopy(self._pattern))


def _without_values(model: nn.Module) -> nn.Module:
    """Move the parameters of a module to the meta device, in place; tied ones stay tied."""
    return _replace(model, lambda parameter: torch.empty_like(parameter, device="meta"))


def _with_zeros(model: nn.Module) -> nn.Module:
    """Make the parameters of a module zeros on the CPU, in place; tied ones stay tied."""
    return _replace(model, lambda parameter: torch.zeros(parameter.shape, dtype=parameter.dtype, device="cpu"))


def _replace(model: nn.Module, value: Any) -> nn.Module:
    made: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, old in module._parameters.items():
            if old is None:
                continue
            if id(old) not in made:
                made[id(old)] = nn.Parameter(value(old.detach()), requires_grad=old.requires_grad)
            module._parameters[name] = made[id(old)]
    return model


class _FirstToken(ClsPooler):  # type: ignore[misc]
    """A copy of open_clip's own pooler under another type.

    For a pooler of its own type open_clip also gathers the other tokens, which nothing here reads. It gathers them by
    a mask, whose number of tokens the meta device cannot know.
    """


def _mask_always(model: Any) -> None:
    """Give attention of transformers its mask even where nothing is padding.

    Otherwise transformers looks at the values of the mask first: a meta tensor has none, and a GPU would be waited for.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    def mask(*args: Any, **options: Any) -> Any:
        return sdpa_mask(*args, **{**options, "allow_is_bidirectional_skip": False, "allow_is_causal_skip": False})

    AttentionInterface.register(_MASKED, sdpa_attention_forward)
    AttentionMaskInterface.register(_MASKED, mask)
    model.text.transformer.set_attn_implementation(_MASKED)


def _as_in_evaluation(module: nn.Module, _: object) -> None:
    module.eval()


def _read(name: str, path: Path) -> Architecture:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"model: {name}: {path} is no readable JSON config of open_clip: {_said(error)}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"model: {name}: {path} is no mapping")
    config = content.get("model_cfg", content)
    preprocessing = content.get("preprocess_cfg") or {} if "model_cfg" in content else {}
    architecture = Architecture(name=name, config=config, preprocessing=preprocessing, folder=path.parent)
    unknown = sorted(preprocessing.keys() - {one.name for one in fields(PreprocessCfg)})
    if unknown:
        known = ", ".join(one.name for one in fields(PreprocessCfg))
        raise ConfigError(f"model: {name}: preprocess_cfg.{unknown[0]}: unknown key; allowed here: {known}")
    return _checked(architecture)


def _checked(architecture: Architecture) -> Architecture:
    config, where = architecture.config, f"model: {architecture.name}"
    if "multimodal_cfg" in config:
        raise ConfigError(
            f"{where}: it is a {CoCa.__name__}, half of whose loss is the captions that its decoder writes; retune "
            "trains the contrastive loss alone: choose a model of two towers, such as ViT-B-32"
        )
    missing = [key for key in _TOP if key not in config]
    if missing:
        raise ConfigError(f"{where}: {missing[0]}: missing; a config of open_clip has {', '.join(_TOP)}")
    allowed = {
        "": (*_TOP, *_OPTIONAL),
        "vision_cfg.": tuple(one.name for one in fields(CLIPVisionCfg)),
        "text_cfg.": tuple(one.name for one in fields(CLIPTextCfg)),
    }
    for prefix, keys in allowed.items():
        part = config[prefix.removesuffix(".")] if prefix else config
        if not isinstance(part, Mapping):
            raise ConfigError(f"{where}: {prefix.removesuffix('.')}: {part!r} given; allowed: a mapping")
        for key in part:
            if key not in keys:
                meant = suggestion(key, keys)
                raise ConfigError(f"{where}: {prefix}{key}: unknown key; {meant}allowed here: {', '.join(keys)}")
    timm = str(config["vision_cfg"].get("timm_model_name") or "")
    if ":" in timm:
        raise ConfigError(f"{where}: vision_cfg.timm_model_name: {timm!r} is on a hub; name an architecture of timm")
    return architecture


def _said(error: Exception) -> str:
    """An error as one line."""
    return " ".join(f"{error}".split()) or type(error).__name__
