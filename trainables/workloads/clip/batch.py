"""The batch of the CLIP family: images, and a caption of each."""

from typing import NamedTuple

import torch
from torch import Tensor

WHOLE_IMAGES = torch.empty(0, 4)
"""Crops of a batch whose images are seen whole."""


class ClipBatch(NamedTuple):
    """B images, their U distinct captions, and for each image the row of its caption.

    Images are bytes, which the loss turns into what the model sees, on the device that they are on. `crops_B4` are the
    parts of the images to see, as top, left, height and width in fractions; without rows images are seen whole.
    Captions are as long as the longest of them, padded with zeros.
    """

    images_BCHW: Tensor  # noqa: N815
    tokens_UL: Tensor  # noqa: N815
    caption_B: Tensor  # noqa: N815
    crops_B4: Tensor = WHOLE_IMAGES  # noqa: N815
