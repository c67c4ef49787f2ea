"""Random resized crops, the training augmentation of arXiv 2408.14471 and of open_clip: drawn here, cut on the device.

As torchvision's `RandomResizedCrop`: an area between `smallest` and 1 of the image's, a ratio of sides between 3/4 and
4/3 (uniform in its logarithm), tried ten times until it fits; then all of the image. Crops are cut from
the image that evaluation sees, already at the model's size; the reference crops the original.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

_TRIES = 10
_RATIO = 4 / 3


def random_crops(count: int, smallest: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Crops [count, 4] as top, left, height and width, in fractions of a square image."""
    area = rng.uniform(smallest, 1, (count, _TRIES))
    ratio = np.exp(rng.uniform(-math.log(_RATIO), math.log(_RATIO), (count, _TRIES)))
    place = rng.random((count, 2))
    height, width = np.sqrt(area / ratio), np.sqrt(area * ratio)
    fits = (height <= 1) & (width <= 1)
    rows, first = np.arange(count), fits.argmax(axis=1)
    sides = np.stack([height[rows, first], width[rows, first]], axis=1)
    sides[~fits.any(axis=1)] = 1
    return np.concatenate([place * (1 - sides), sides], axis=1).astype(np.float32)


def cropped(images_BCHW: Tensor, crops_B4: Tensor) -> Tensor:
    """Crops of images in [0, 255], resized to the images' own size by bicubic interpolation."""
    top, left, height, width = crops_B4.unbind(dim=1)
    transform_B23 = torch.zeros(len(crops_B4), 2, 3, device=crops_B4.device)
    transform_B23[:, 0, 0], transform_B23[:, 0, 2] = width, 2 * left + width - 1
    transform_B23[:, 1, 1], transform_B23[:, 1, 2] = height, 2 * top + height - 1
    grid = F.affine_grid(transform_B23, list(images_BCHW.shape), align_corners=False)
    return F.grid_sample(images_BCHW, grid, mode="bicubic", padding_mode="border", align_corners=False).clamp(0, 255)
