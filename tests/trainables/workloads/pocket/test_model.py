"""The model: a small open_clip CLIP, and shipped weights that know the old and hardly the new."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from open_clip.model import CLIP

from trainables.workloads.pocket import WEIGHTS_FILE
from trainables.workloads.pocket.model import (
    CARD_FILE,
    MEAN,
    STD,
    build,
    load_pretrained,
    normalise,
)
from trainables.workloads.pocket.pretrain import summary, zero_shot
from trainables.workloads.pocket.samples import pool
from trainables.workloads.pocket.tokenizer import tokenize


def test_model_is_a_small_open_clip_model() -> None:
    model = build(0)
    assert type(model) is CLIP
    assert sum(parameter.numel() for parameter in model.parameters()) <= 2_000_000
    image, text, scale = model(torch.zeros(2, 3, 32, 32), tokenize(["a red star", "the letter A"]))
    assert image.shape == text.shape == (2, 64)
    assert scale.ndim == 0


def test_build_depends_on_the_seed_only_and_leaves_the_random_state() -> None:
    before = torch.get_rng_state()
    first, second, other = build(1).state_dict(), build(1).state_dict(), build(2).state_dict()
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert not torch.equal(first["visual.conv1.weight"], other["visual.conv1.weight"])


def test_shipped_file_is_small_and_fits_the_model() -> None:
    assert WEIGHTS_FILE.stat().st_size <= 8 * 2**20
    weights = load_pretrained()
    assert not build(0).load_state_dict(weights).missing_keys
    assert all(value.dtype == torch.float32 and value.isfinite().all() for value in weights.values())


def test_shipped_weights_retain_and_have_room_to_accumulate(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    model = build(0)
    model.load_state_dict(load_pretrained())
    scores = summary(zero_shot(model, tmp_path))
    assert scores["AZS"] >= 0.65
    assert 0.25 <= scores["AKA"] <= 0.45
    card = json.loads(CARD_FILE.read_text(encoding="utf-8"))
    assert scores == pytest.approx(card["zero_shot"], abs=0.03)


def test_normalised_pool_has_mean_zero_and_deviation_one(tmp_path: Path) -> None:
    pixels = normalise(pool(500, tmp_path).images)
    assert pixels.shape == (500, 3, 32, 32)
    torch.testing.assert_close(pixels.mean(dim=(0, 2, 3)), torch.zeros(3), atol=0.1, rtol=0)
    torch.testing.assert_close(pixels.std(dim=(0, 2, 3)), torch.ones(3), atol=0.1, rtol=0)


def test_normalise_copies() -> None:
    images = np.full((1, 32, 32, 3), 255, dtype=np.uint8)
    images.flags.writeable = False
    pixels = normalise(images)
    assert pixels[0, :, 0, 0].tolist() == pytest.approx([(1 - m) / s for m, s in zip(MEAN, STD, strict=True)])
