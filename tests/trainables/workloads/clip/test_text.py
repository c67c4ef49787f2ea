"""Captions without padding and repeats: features, loss and gradients are those of open_clip on the plain batch."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from open_clip import ClipLoss
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from tests.trainables import toys
from trainables.runtime import Runtime
from trainables.workloads.catalogue import open_workload
from trainables.workloads.clip import text
from trainables.workloads.clip.batch import ClipBatch
from trainables.workloads.pocket.model import build, load_pretrained
from trainables.workloads.pocket.settings import Pocket

WORKLOAD = toys.workload()
END = 40


class Case(NamedTuple):
    model: Callable[[], CLIP]
    batch: Callable[[Path], ClipBatch]


def long_clip(**text_config: Any) -> CLIP:
    """A CLIP with random weights and the context of the published models."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return CLIP(
            embed_dim=12,
            vision_cfg=CLIPVisionCfg(image_size=16, patch_size=8, width=16, layers=1, head_width=8),
            text_cfg=CLIPTextCfg(context_length=77, vocab_size=END + 1, width=12, heads=2, layers=2, **text_config),
        )


def captions(*lengths: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Random captions [B, 77] of so many tokens each, the last of them <end>; equal lengths give equal captions."""
    tokens = np.zeros((len(lengths), 77), dtype=np.int64)
    for row, length in zip(tokens, lengths, strict=True):
        row[: length - 1] = np.random.default_rng(length).integers(1, END, length - 1)
        row[length - 1] = END
    return tokens


def batch_of(tokens_BL: np.ndarray[Any, np.dtype[np.int64]]) -> ClipBatch:
    rng = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (len(tokens_BL), 3, 16, 16), dtype=torch.uint8, generator=rng)
    return ClipBatch(images, *(torch.from_numpy(array) for array in text.distinct(tokens_BL)))


def pocket() -> CLIP:
    model = build(0)
    model.load_state_dict(load_pretrained())
    return model


def pocket_batch(cache: Path) -> ClipBatch:
    """Half from the stream, where captions repeat, and half from the pool."""
    workload = open_workload(Pocket(pool=512), Runtime(cache=cache))
    rng = np.random.default_rng(0)
    new = workload.samples(workload.identity.concepts[:4])
    batch = workload.batch(np.concatenate([rng.choice(new, 16), rng.choice(workload.pool(), 16)]), rng)
    assert isinstance(batch, ClipBatch)
    return batch


def toy_batch(_: Path) -> ClipBatch:
    return WORKLOAD.batch(np.arange(0, 80, 5), np.random.default_rng(0))


CASES = {
    "pocket": Case(pocket, pocket_batch),
    "toy": Case(toys.architecture, toy_batch),
    "context 77": Case(long_clip, lambda _: batch_of(captions(8, 20, 8, 3, 12, 12, 12, 5))),
    "all captions equal": Case(long_clip, lambda _: batch_of(captions(9, 9, 9, 9))),
    "one as long as the context": Case(long_clip, lambda _: batch_of(captions(77, 4, 9, 4))),
    "pooled at the id of <end>": Case(
        lambda: long_clip(pool_type="eos", eos_id=END), lambda _: batch_of(captions(8, 20, 8, 3))
    ),
    "projection with bias": Case(lambda: long_clip(proj_bias=True), lambda _: batch_of(captions(8, 20, 8, 3))),
    "no projection": Case(lambda: long_clip(proj_type="none"), lambda _: batch_of(captions(8, 20, 8, 3))),
    "not causal": Case(lambda: long_clip(no_causal_mask=True), lambda _: batch_of(captions(8, 20, 8, 3))),
    "pooled at the last token": Case(lambda: long_clip(pool_type="last"), lambda _: batch_of(captions(8, 20, 8, 3))),
    "pooled at padding": Case(lambda: long_clip(pool_type="eos", eos_id=0), lambda _: batch_of(captions(8, 20, 8, 3))),
}
FULL_LENGTH = ("not causal", "pooled at the last token", "pooled at padding")


def plain_tokens(model: CLIP, batch: ClipBatch) -> Tensor:
    """The caption of each image at the length of the context."""
    short = batch.tokens_UL[batch.caption_B]
    return F.pad(short, (0, model.context_length - short.shape[1]))


def plain_loss(model: CLIP, batch: ClipBatch) -> Tensor:
    images_BD = model.encode_image(WORKLOAD.pixels(batch), normalize=True)
    texts_BD = model.encode_text(plain_tokens(model, batch), normalize=True)
    loss: Tensor = ClipLoss()(images_BD, texts_BD, model.logit_scale.exp())
    return loss


def gradients(model: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    loss.backward()
    return {name: each.grad for name, each in model.named_parameters() if each.grad is not None}


def distance(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """Largest relative distance of two gradients over all tensors."""
    assert one.keys() == other.keys()
    # The bias of the keys has no effect, so its gradient is rounding alone: a floor keeps it out.
    floor = 1e-4 * max(float(each.norm()) for each in other.values())
    return max(float((one[name] - other[name]).norm() / other[name].norm().clamp_min(floor)) for name in other)


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
class TestAgainstThePlainComputation:
    def test_features(self, case: Case, cache: Path) -> None:
        model, batch = case.model().train(), case.batch(cache)
        expected = model.encode_text(plain_tokens(model, batch))
        got = text.encode_text(model, batch.tokens_UL).index_select(0, batch.caption_B)
        torch.testing.assert_close(got, expected, atol=2e-6, rtol=1e-5)

    def test_loss_and_gradients(self, case: Case, cache: Path) -> None:
        ours, plain, batch = case.model().train(), case.model().train(), case.batch(cache)
        loss, expected = WORKLOAD.loss(ours, batch), plain_loss(plain, batch)
        torch.testing.assert_close(loss, expected, atol=1e-6, rtol=1e-6)
        assert distance(gradients(ours, loss), gradients(plain, expected)) < 1e-5

    def test_loss_and_gradients_in_bfloat16(self, case: Case, cache: Path) -> None:
        """Eight bits of mantissa: both are some percent from the exact gradient, and ours is no further."""
        exact, ours, plain, batch = *(case.model().train() for _ in range(3)), case.batch(cache)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss, expected = WORKLOAD.loss(ours, batch), plain_loss(plain, batch)
        torch.testing.assert_close(loss, expected, atol=2e-2, rtol=1e-2)
        true = gradients(exact, plain_loss(exact, batch))
        assert distance(gradients(ours, loss), true) < 1.5 * distance(gradients(plain, expected), true) + 1e-3


def test_positions_that_no_caption_reaches_get_a_gradient_of_zero() -> None:
    """Zero and not None, so that weight decay and moments act on all of the tensor, as in the plain computation."""
    model, batch = long_clip().train(), batch_of(captions(8, 20, 3))
    WORKLOAD.loss(model, batch).backward()
    gradient = model.positional_embedding.grad
    assert gradient is not None
    assert gradient.shape == (77, 12)
    assert not gradient[20:].any()
    assert gradient[:20].any(dim=1).all()


@pytest.mark.parametrize("name", CASES)
def test_only_a_text_that_ends_at_its_end_is_read_at_its_length(name: str, cache: Path) -> None:
    model, batch = CASES[name].model(), CASES[name].batch(cache)
    lengths = []
    model.transformer.register_forward_pre_hook(lambda _, inputs: lengths.append(inputs[0].shape[:2]))
    text.encode_text(model, batch.tokens_UL)
    rows, length = batch.tokens_UL.shape
    assert lengths == [(rows, model.context_length if name in FULL_LENGTH else length)]


@given(arrays(np.int16, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=st.integers(0, 2)))
def test_distinct_captions_are_the_captions(tokens_BL: np.ndarray[Any, np.dtype[np.int16]]) -> None:
    before = tokens_BL.copy()
    tokens_UL, caption_B = text.distinct(tokens_BL)
    length = tokens_UL.shape[1]
    np.testing.assert_array_equal(tokens_UL[caption_B], tokens_BL[:, :length])
    assert not tokens_BL[:, length:].any()
    assert length == 1 or tokens_UL[:, -1].any()
    assert len(np.unique(tokens_UL, axis=0)) == len(tokens_UL)
    assert tokens_UL.dtype == caption_B.dtype == np.int64
    np.testing.assert_array_equal(tokens_BL, before)


def saved_while(function: Callable[[], Tensor]) -> tuple[Tensor, int]:
    """What a function returns, and how many tensors autograd keeps for its backward pass."""
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        result = function()
    return result, len(kept)


@pytest.mark.parametrize("frozen", ["image", "text"])
@pytest.mark.parametrize("name", ["pocket", "context 77"])
def test_frozen_tower_is_not_differentiated(name: str, frozen: str, cache: Path) -> None:
    ours, plain, batch = *(CASES[name].model().train() for _ in range(2)), CASES[name].batch(cache)
    for parameter_name, parameter in ours.named_parameters():
        if parameter_name != "logit_scale" and parameter_name.startswith("visual.") == (frozen == "image"):
            parameter.requires_grad_(requires_grad=False)
    images, count_images = saved_while(lambda: ours.encode_image(WORKLOAD.pixels(batch)))
    texts, count_texts = saved_while(lambda: text.encode_text(ours, batch.tokens_UL))
    assert (images.grad_fn is None, texts.grad_fn is None) == (frozen == "image", frozen == "text")
    assert (count_images == 0, count_texts == 0) == (frozen == "image", frozen == "text")

    got = gradients(ours, WORKLOAD.loss(ours, batch))
    expected = gradients(plain, plain_loss(plain, batch))
    assert got.keys() == {name for name, each in ours.named_parameters() if each.requires_grad}
    assert distance(got, {name: expected[name] for name in got}) < 1e-5
