"""The models: small open_clip CLIPs of two sizes, and shipped weights that score what their cards say."""

from pathlib import Path

import numpy as np
import pytest
import torch
from open_clip.model import CLIP

from trainables.runtime import Runtime
from trainables.workloads.catalogue import identify, open_workload
from trainables.workloads.pocket.model import MEAN, STD, build, load_pretrained, normalise
from trainables.workloads.pocket.release import Release
from trainables.workloads.pocket.samples import pool
from trainables.workloads.pocket.scoring import summary, zero_shot
from trainables.workloads.pocket.settings import Pocket, Size
from trainables.workloads.pocket.tokenizer import tokenize

SIZES: tuple[Size, ...] = ("s", "m")


@pytest.mark.parametrize(("size", "least", "most"), [("s", 400_000, 450_000), ("m", 1_300_000, 1_600_000)])
def test_model_is_a_small_open_clip_model(size: Size, least: int, most: int) -> None:
    model = build(0, size)
    assert type(model) is CLIP
    assert least <= sum(parameter.numel() for parameter in model.parameters()) <= most
    image, text, scale = model(torch.zeros(2, 3, 32, 32), tokenize(["a red star", "the letter A"]))
    assert image.shape == text.shape == (2, 64)
    assert scale.ndim == 0


def test_build_depends_on_the_seed_only_and_leaves_the_random_state() -> None:
    before = torch.get_rng_state()
    first, second, other = build(1).state_dict(), build(1).state_dict(), build(2).state_dict()
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert not torch.equal(first["visual.conv1.weight"], other["visual.conv1.weight"])


def test_shipped_files_are_small() -> None:
    assert sum(Release(size).weights.stat().st_size for size in SIZES) <= 8 * 2**20


@pytest.mark.parametrize("size", SIZES)
def test_shipped_weights_fit_the_model_and_are_halves(size: Size) -> None:
    weights = load_pretrained(Release(size))
    assert not build(0, size).load_state_dict(weights).missing_keys
    assert all(value.dtype == torch.float32 and value.isfinite().all() for value in weights.values())
    assert all(torch.equal(value, value.half().float()) for value in weights.values())


@pytest.mark.parametrize("size", ["s", pytest.param("m", marks=pytest.mark.thorough)])
def test_shipped_weights_score_what_their_card_says(size: Size, cache: Path) -> None:
    torch.set_num_threads(1)
    release = Release(size)
    model = build(0, size)
    model.load_state_dict(load_pretrained(release))
    scores = summary(zero_shot(model, cache))
    assert scores == pytest.approx(release.card["zero_shot"], abs=0.02)


def test_size_m_trains_a_step(cache: Path) -> None:
    workload = open_workload(Pocket(size="m", pool=512), Runtime(cache=cache))
    model = workload.architecture()
    model.load_state_dict(workload.base())
    loss = workload.loss(
        model.train(), workload.batch(workload.samples(["tiny/A", "greek/xi"])[:16], np.random.default_rng(0))
    )
    loss.backward()
    assert loss.isfinite()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


def test_sizes_have_bases_of_their_own_and_the_same_data() -> None:
    small, medium = identify(Pocket()), identify(Pocket(size="m"))
    assert small.base != medium.base
    assert (small.data, small.suite, small.concepts) == (medium.data, medium.suite, medium.concepts)
    assert small.anatomy.depth("image") == 3
    assert medium.anatomy.depth("image") == 4


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
