"""The CLIP workload: samples by id, the loss of open_clip, zero-shot scores, and checkpoints."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from tests.trainables import toys
from trainables.workloads.clip.batch import WHOLE_IMAGES, ClipBatch
from trainables.workloads.clip.evaluation import Classification
from trainables.workloads.clip.workload import MAX_LOGIT_SCALE, ClipWorkload


@pytest.fixture(scope="module")
def workload() -> ClipWorkload:
    return toys.workload()


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_ids_partition_into_concepts_and_pool(workload: ClipWorkload) -> None:
    concepts = [workload.samples([name]) for name in toys.IDENTITY.concepts]
    everything = np.concatenate([*concepts, workload.pool()])
    assert sorted(everything.tolist()) == list(range(len(everything)))
    assert [len(ids) for ids in concepts] == [10] * toys.NEW
    assert len(workload.pool()) == 16 * toys.OLD


def test_samples_do_not_depend_on_the_order_of_the_concepts(workload: ClipWorkload) -> None:
    names = ["toy/3", "toy/1", "toy/7"]
    np.testing.assert_array_equal(workload.samples(names), workload.samples(sorted(names)))


def test_batch_holds_image_and_caption_of_each_id(workload: ClipWorkload) -> None:
    corpus = toys.corpus()
    ids = np.array([25, 0, 100, 79, 80, 25])
    batch = workload.batch(ids, rng())
    images, tokens_UL, caption_B = workload.pixels(batch), batch.tokens_UL, batch.caption_B
    for i, sample in enumerate(ids):
        segment = corpus.segments[0] if sample < 80 else corpus.segments[1]
        local = sample if sample < 80 else sample - 80
        pixels = torch.tensor(segment.images[np.array([local])][0]).permute(2, 0, 1) / 255
        torch.testing.assert_close(images[i], (pixels - 0.5) / 0.25)
        captions = segment.tokens[segment.first[local] : segment.first[local + 1]].tolist()
        row = tokens_UL[caption_B[i]].tolist()
        assert row + [0] * (toys.CONTEXT_LENGTH - len(row)) in captions
    assert images.dtype == torch.float32
    assert batch.images_BCHW.dtype == torch.uint8
    assert tokens_UL.dtype == caption_B.dtype == torch.int64


@pytest.mark.parametrize("crop", [1.0, 0.5])
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_pixels_are_the_same_to_the_bit_under_autocast(crop: float, kind: torch.dtype) -> None:
    workload = toys.workload(crop=crop)
    batch = workload.batch(np.arange(12), rng())
    expected = workload.pixels(batch)
    with torch.autocast("cpu", dtype=kind):
        got = workload.pixels(batch)
        assert torch.is_autocast_enabled("cpu")  # for the model, which comes next
    assert torch.equal(got, expected)
    uncropped = workload.pixels(batch._replace(crops_B4=WHOLE_IMAGES))
    assert torch.equal(uncropped, expected) == (crop == 1)


def test_batch_holds_each_caption_once_and_no_more_padding_than_it_must(workload: ClipWorkload) -> None:
    ids = np.array([0, 1, 2, 30, 31, 0])  # concepts 0 and 3, each with one caption of three tokens
    _, tokens_UL, caption_B, _ = workload.batch(ids, rng())
    assert tokens_UL.tolist() == [[1, 3, toys.END], [1, 6, toys.END]]
    assert caption_B.tolist() == [0, 0, 0, 1, 1, 0]


def test_captions_are_chosen_evenly_and_by_the_generator_alone(workload: ClipWorkload) -> None:
    two, one = np.full(2000, 10), np.full(50, 0)  # a concept with two captions, and one with one
    first = workload.batch(two, rng())
    assert torch.equal(workload.batch(two, rng()).caption_B, first.caption_B)
    assert not torch.equal(workload.batch(two, np.random.default_rng(1)).caption_B, first.caption_B)
    assert 850 < int((first.tokens_UL[first.caption_B, 1] == 2).sum()) < 1150
    assert len(workload.batch(one, rng()).tokens_UL) == 1


def test_example_is_a_batch_of_distinct_captions_as_long_as_the_context(workload: ClipWorkload) -> None:
    real, example = workload.batch(np.arange(3), rng()), workload.example(3)
    assert [t.dtype for t in real] == [t.dtype for t in example]
    assert example.images_BCHW.shape == real.images_BCHW.shape
    assert example.tokens_UL.shape == (3, toys.CONTEXT_LENGTH)
    assert example.caption_B.tolist() == [0, 1, 2]


def test_loss_is_symmetric_cross_entropy_at_the_learnt_temperature(workload: ClipWorkload) -> None:
    model: Any = workload.architecture().train()
    with torch.no_grad():
        model.logit_scale.fill_(math.log(20.0))
    batch = workload.batch(np.arange(0, 60, 10), rng())
    tokens_BL = F.pad(batch.tokens_UL[batch.caption_B], (0, toys.CONTEXT_LENGTH - batch.tokens_UL.shape[1]))
    images_BD = F.normalize(model.encode_image(workload.pixels(batch)), dim=-1)
    texts_BD = F.normalize(model.encode_text(tokens_BL), dim=-1)
    logits_BB = 20 * images_BD @ texts_BD.T
    expected = (-logits_BB.log_softmax(0).diagonal().mean() - logits_BB.log_softmax(1).diagonal().mean()) / 2
    torch.testing.assert_close(workload.loss(model, batch), expected)


@pytest.mark.parametrize(("before", "after"), [(9.0, MAX_LOGIT_SCALE), (-1.0, 0.0), (2.5, 2.5)])
def test_logit_scale_is_clamped(workload: ClipWorkload, before: float, after: float) -> None:
    model = workload.architecture()
    scale = model.get_parameter("logit_scale")
    with torch.no_grad():
        scale.fill_(before)
    others = {name: value.clone() for name, value in model.state_dict().items() if name != "logit_scale"}
    workload.after_step(model)
    assert scale.item() == pytest.approx(after)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in others.items())


def test_scores_are_zero_shot_accuracies(workload: ClipWorkload) -> None:
    model: Any = workload.architecture().eval()
    corpus = toys.corpus()
    for score, test in zip(workload.evaluate(model), corpus.suite, strict=True):
        assert isinstance(test, Classification)
        with torch.no_grad():
            pixels = (torch.tensor(np.asarray(test.images)).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
            texts = F.normalize(model.encode_text(torch.tensor(test.prompts[:, 0]).long()), dim=-1)
            images = F.normalize(model.encode_image(pixels), dim=-1)
            right = (images @ texts.T).argmax(dim=1).numpy() == test.labels
        assert score.value == right.mean()
        assert (score.dataset, score.group, score.metric, score.n) == (
            test.name,
            test.group,
            "accuracy",
            len(test.labels),
        )


def test_evaluation_changes_no_weight_and_repeats(workload: ClipWorkload) -> None:
    model = workload.architecture()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert workload.evaluate(model) == workload.evaluate(model)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())


def test_base_is_owned_by_the_caller(workload: ClipWorkload) -> None:
    first = workload.base()
    for tensor in first.values():
        tensor.zero_()
    assert all(not torch.equal(tensor, first[name]) for name, tensor in workload.base().items() if tensor.any())


def test_export_writes_weights_and_a_config(workload: ClipWorkload, tmp_path: Path) -> None:
    state = workload.base()
    workload.export(state, tmp_path / "out", "open_clip")
    saved = load_file(tmp_path / "out" / "open_clip_model.safetensors")
    assert saved.keys() == state.keys()
    assert all(torch.equal(saved[name], tensor) for name, tensor in state.items())
    config = json.loads((tmp_path / "out" / "open_clip_config.json").read_text())
    assert config["preprocess_cfg"] == {"mean": [0.5] * 3, "std": [0.25] * 3}


def test_batch_is_images_captions_and_who_has_which() -> None:
    assert ClipBatch._fields == ("images_BCHW", "tokens_UL", "caption_B", "crops_B4")
