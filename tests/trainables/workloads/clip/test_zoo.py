"""Every model that open_clip lists: it can be priced and trained, or a message says why not."""

import open_clip
import pytest
import torch
from open_clip.transformer import AttentionalPooler
from torch import nn

from trainables.frozen import ConfigError
from trainables.workloads.clip import architectures
from trainables.workloads.clip.models import loss_of
from trainables.workloads.clip.workload import ClipWorkload
from trainables.workloads.clip.zoo import without_data

NAMES: list[str] = open_clip.list_models()
CHUNK = 12


def test_some_models() -> None:
    check(NAMES[:: 2 * CHUNK])


@pytest.mark.thorough
@pytest.mark.parametrize("first", range(0, len(NAMES), CHUNK))
def test_all_models(first: int) -> None:
    check(NAMES[first : first + CHUNK])


def check(names: list[str]) -> None:
    for name in names:
        config = open_clip.get_model_config(name)
        own, said = opened(name)
        if own is None:  # only for a reason that lies in its parts
            assert "multimodal_cfg" in config or config["text_cfg"].get("hf_model_name"), said
            assert said.startswith(f"model: {name}: it")
            assert "\n" not in said
            continue
        with torch.device("meta"):
            parts = dict(own.architecture().named_modules())
        packed = [path.rpartition(".")[0] for path, one in parts.items() if isinstance(one, nn.MultiheadAttention)]
        assert all(isinstance(parts[path], AttentionalPooler) for path in packed)
        anatomy = own.identity.anatomy
        assert anatomy.towers == ("image", "text")
        layers = config["vision_cfg"].get("layers", [])
        if isinstance(layers, int):
            assert anatomy.depth("image") == layers
        if "layers" in config["text_cfg"]:
            assert anatomy.depth("text") == config["text_cfg"]["layers"]
        assert {one.target for one in anatomy.projections if one.tower == "text"} >= {"q", "k", "v", "out"}


def opened(name: str) -> tuple[ClipWorkload | None, str]:
    """A model, or why there is none."""
    try:
        return without_data(name), ""
    except ConfigError as error:
        return None, str(error)


@pytest.mark.parametrize(("name", "depth", "loss"), [("RN50", 4, "clip"), ("ViT-B-16-SigLIP", 12, "siglip")])
def test_family(name: str, depth: int, loss: str) -> None:
    assert without_data(name).identity.anatomy.depth("image") == depth
    assert loss_of(architectures.find(name)) == loss
