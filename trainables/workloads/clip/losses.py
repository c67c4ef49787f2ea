"""The losses that two-tower models are pretrained with, by open_clip's own code."""

from collections.abc import Callable
from typing import Any, Literal

from open_clip.loss import ClipLoss, SigLipLoss
from torch import Tensor


def contrastive_loss(kind: Literal["clip", "siglip"]) -> Callable[[Tensor, Tensor, Any], Tensor]:
    """The loss of features [B, D] of images and texts, of length 1, at the temperature (and bias) of a model.

    "clip" is symmetric InfoNCE (arXiv 2103.00020, figure 3), "siglip" the pairwise sigmoid loss (arXiv 2303.15343).
    """
    if kind == "clip":
        info_nce = ClipLoss()
        return lambda images_BD, texts_BD, model: info_nce(images_BD, texts_BD, model.logit_scale.exp())
    sigmoid = SigLipLoss()
    return lambda images_BD, texts_BD, model: sigmoid(images_BD, texts_BD, model.logit_scale.exp(), model.logit_bias)
