"""Crops: drawn as torchvision draws them, cut as it cuts them."""

import numpy as np
import torch
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms.functional import resized_crop

from trainables.workloads.clip.data.crops import cropped, random_crops


def test_crops_lie_in_the_image_and_keep_what_is_asked_for() -> None:
    crops = random_crops(4000, 0.9, np.random.default_rng(0))
    top, left, height, width = crops.T
    assert crops.dtype == np.float32
    assert (crops >= 0).all()
    assert (top + height <= 1 + 1e-6).all()
    assert (left + width <= 1 + 1e-6).all()
    assert (height * width >= 0.9 - 1e-5).all()


def test_crops_are_distributed_as_those_of_torchvision() -> None:
    """Means of sides and places over 4000 draws, within four standard errors."""
    torch.manual_seed(0)
    image = torch.zeros(3, 1000, 1000)
    theirs = np.array(
        [RandomResizedCrop.get_params(image, scale=[0.6, 1.0], ratio=[3 / 4, 4 / 3]) for _ in range(4000)]
    )
    ours = random_crops(4000, 0.6, np.random.default_rng(0))
    error = 4 * np.sqrt(theirs.var(axis=0) / 4000 * 2) / 1000
    assert (abs(ours.mean(axis=0) - theirs.mean(axis=0) / 1000) < error).all()


def test_the_whole_image_is_the_image() -> None:
    images = torch.randint(0, 256, (2, 3, 8, 8)).float()
    whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(2, 4)
    torch.testing.assert_close(cropped(images, whole), images, atol=1e-3, rtol=0)


def test_crops_are_those_of_torchvision_where_both_have_whole_pixels() -> None:
    """Away from the borders, where torchvision repeats pixels of the crop and we see what lies around it."""
    images = torch.rand(1, 3, 32, 32) * 255
    got = cropped(images, torch.tensor([[4 / 32, 2 / 32, 24 / 32, 28 / 32]]))
    expected = resized_crop(images, 4, 2, 24, 28, [32, 32], InterpolationMode.BICUBIC, antialias=False).clamp(0, 255)
    torch.testing.assert_close(got[..., 4:-4, 4:-4], expected[..., 4:-4, 4:-4], atol=0.05, rtol=0)


def test_each_image_has_its_own_crop_and_colours_stay_in_range() -> None:
    images = (torch.rand(2, 3, 16, 16) > 0.5).float() * 255
    crops = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5]])
    both = cropped(images, crops)
    for i in range(2):
        torch.testing.assert_close(cropped(images[i : i + 1], crops[i : i + 1])[0], both[i])
    assert both.min() >= 0
    assert both.max() <= 255
