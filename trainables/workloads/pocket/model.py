"""The pocket model: a real open_clip ``CLIP`` of half a million parameters, and its shipped pretrained weights.

The vision transformer sees 16 patches of 8x8, the text transformer 10 words; sizes were chosen for one CPU core.
``pocket.safetensors`` is made by ``python -m trainables.workloads.pocket.pretrain``; ``pocket.json`` is its card.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from safetensors.torch import load_file
from torch import Tensor

from trainables.workloads.pocket import WEIGHTS_FILE
from trainables.workloads.pocket.drawing import SIDE
from trainables.workloads.pocket.tokenizer import CONTEXT_LENGTH, VOCABULARY_SIZE

CARD_FILE = Path(__file__).with_name("pocket.json")

# Mean and standard deviation of the pool's pixels, for each of red, green and blue, in [0, 1].
MEAN: tuple[float, float, float] = (0.45, 0.45, 0.45)
STD: tuple[float, float, float] = (0.32, 0.32, 0.32)

POCKET_CONFIG: dict[str, Any] = {
    "embed_dim": 64,
    "vision_cfg": {
        "image_size": SIDE,
        "patch_size": 8,
        "width": 96,
        "layers": 3,
        "head_width": 32,
        "mlp_ratio": 3.0,
    },
    "text_cfg": {
        "context_length": CONTEXT_LENGTH,
        "vocab_size": VOCABULARY_SIZE,
        "width": 64,
        "heads": 2,
        "layers": 2,
    },
}


def build(seed: int) -> CLIP:
    """The pocket model with random weights; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return CLIP(
            embed_dim=POCKET_CONFIG["embed_dim"],
            vision_cfg=CLIPVisionCfg(**POCKET_CONFIG["vision_cfg"]),
            text_cfg=CLIPTextCfg(**POCKET_CONFIG["text_cfg"]),
        )


def load_pretrained() -> dict[str, Tensor]:
    """The shipped pretrained weights, by parameter name."""
    weights: dict[str, Tensor] = load_file(WEIGHTS_FILE)
    return weights


def normalise(images_NHWC: NDArray[np.uint8]) -> Tensor:
    """Bytes [N, 32, 32, 3] as normalised floats [N, 3, 32, 32]; the input is copied."""
    images = torch.from_numpy(np.array(images_NHWC)).permute(0, 3, 1, 2).contiguous().float()
    mean, std = (255 * torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (images - mean) / std
