"""The pocket models: real open_clip ``CLIP``s of 0.43 and 1.44 million parameters.

The vision transformer sees 16 patches of 8x8, the text transformer 10 words; sizes were chosen for one CPU core.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from safetensors.torch import load_file
from torch import Tensor

from trainables.workloads.pocket.release import Release
from trainables.workloads.pocket.settings import Size
from trainables.workloads.pocket.tokenizer import CONTEXT_LENGTH, VOCABULARY_SIZE
from trainables.workloads.pocket.world.drawing.fields import SIDE

# Mean and standard deviation of the pool's pixels, for each of red, green and blue, in [0, 1].
MEAN: tuple[float, float, float] = (0.45, 0.45, 0.45)
STD: tuple[float, float, float] = (0.32, 0.32, 0.32)


def _config(*, embed: int, image: tuple[int, int], text: tuple[int, int]) -> dict[str, Any]:
    """A configuration of open_clip by the towers' widths and layers."""
    return {
        "embed_dim": embed,
        "vision_cfg": {
            "image_size": SIDE,
            "patch_size": 8,
            "width": image[0],
            "layers": image[1],
            "head_width": _HEAD,
            "mlp_ratio": 3.0,
        },
        "text_cfg": {
            "context_length": CONTEXT_LENGTH,
            "vocab_size": VOCABULARY_SIZE,
            "width": text[0],
            "heads": text[0] // _HEAD,
            "layers": text[1],
        },
    }


_HEAD = 32

MODEL_CONFIGS: dict[Size, dict[str, Any]] = {
    "s": _config(embed=64, image=(96, 3), text=(64, 2)),
    "m": _config(embed=64, image=(160, 4), text=(96, 3)),
}
"""Configurations of open_clip, by size."""

_SHIPPED = Release("s")


def build(seed: int, size: Size = "s") -> CLIP:
    """The pocket model of a size with random weights; the global random state is left as it was."""
    config = MODEL_CONFIGS[size]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return CLIP(
            embed_dim=config["embed_dim"],
            vision_cfg=CLIPVisionCfg(**config["vision_cfg"]),
            text_cfg=CLIPTextCfg(**config["text_cfg"]),
        )


def load_pretrained(release: Release = _SHIPPED) -> dict[str, Tensor]:
    """Pretrained weights, by parameter name: halves from the file as floats, which is exact."""
    return {name: value.float() for name, value in load_file(release.weights).items()}


def normalise(images_NHWC: NDArray[np.uint8]) -> Tensor:
    """Bytes [N, 32, 32, 3] as normalised floats [N, 3, 32, 32]; the input is copied."""
    images = torch.from_numpy(np.array(images_NHWC)).permute(0, 3, 1, 2).contiguous().float()
    mean, std = (255 * torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (images - mean) / std
