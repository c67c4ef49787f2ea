"""Split attention: the same function and the same gradients as open_clip's, and a way back to its layout."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from open_clip.model import CLIP
from torch import Tensor, nn

from tests.trainables import toys
from trainables.workloads.clip import attention
from trainables.workloads.pocket.model import build

MODELS: dict[str, Callable[[], CLIP]] = {"pocket": lambda: build(0), "unequal towers": toys.architecture}


def inputs(model: Any) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    height, width = model.visual.image_size
    images = torch.randn(6, 3, height, width, generator=rng)
    tokens = torch.randint(1, 30, (6, model.context_length), generator=rng)
    tokens[:3, 3:] = 0  # short texts, whose <end> is not at the end
    tokens[:3, 2] = 31
    return images, tokens


def outputs(model: Any) -> tuple[Tensor, Tensor]:
    images, tokens = inputs(model)
    return model.encode_image(images), model.encode_text(tokens)


@pytest.mark.parametrize("name", MODELS)
class TestSplit:
    def test_training_sees_the_same_function_to_the_bit(self, name: str) -> None:
        fused, split = MODELS[name]().train(), attention.split(MODELS[name]()).train()
        for expected, got in zip(outputs(fused), outputs(split), strict=True):
            assert torch.equal(got, expected)

    def test_evaluation_sees_the_same_function(self, name: str) -> None:
        fused, split = MODELS[name]().eval(), attention.split(MODELS[name]()).eval()
        with torch.inference_mode():
            for expected, got in zip(outputs(fused), outputs(split), strict=True):
                # torch evaluates its own module by another kernel, which rounds differently.
                torch.testing.assert_close(got, expected, atol=2e-6, rtol=0)

    def test_text_sees_no_later_word(self, name: str) -> None:
        split: Any = attention.split(MODELS[name]()).train()
        _, tokens = inputs(split)
        changed = tokens.clone()
        changed[:3, 3:] = 5
        changed[:3, 2] = tokens[:3, 2]
        assert torch.equal(split.encode_text(changed)[:3], split.encode_text(tokens)[:3])

    def test_gradients_agree(self, name: str) -> None:
        fused, split = MODELS[name]().train(), attention.split(MODELS[name]()).train()
        for model in (fused, split):
            torch.stack([output.square().sum() for output in outputs(model)]).sum().backward()
        expected = {key: value.grad for key, value in fused.named_parameters() if value.grad is not None}
        got = attention.fuse({key: value.grad for key, value in split.named_parameters() if value.grad is not None})
        assert got.keys() == expected.keys()
        for key, gradient in expected.items():
            # Three products of a third of the width add up in another order than one product.
            torch.testing.assert_close(got[key], gradient, atol=1e-5 * float(gradient.abs().max()), rtol=0)

    def test_fused_state_is_the_original_to_the_bit(self, name: str) -> None:
        original = {key: value.clone() for key, value in MODELS[name]().state_dict().items()}
        split = attention.split(MODELS[name]())
        fused = attention.fuse(split.state_dict())
        assert fused.keys() == original.keys()
        assert all(torch.equal(fused[key], value) for key, value in original.items())
        MODELS[name]().load_state_dict(fused)

    def test_every_attention_is_split_and_every_weight_kept(self, name: str) -> None:
        fused, split = MODELS[name](), attention.split(MODELS[name]())
        assert not [module for module in split.modules() if isinstance(module, nn.MultiheadAttention)]
        count = [sum(parameter.numel() for parameter in model.parameters()) for model in (fused, split)]
        assert count[0] == count[1]

    def test_split_draws_nothing(self, name: str) -> None:
        model, before = MODELS[name](), torch.get_rng_state()
        split = attention.split(model)
        assert torch.equal(torch.get_rng_state(), before)
        assert all(parameter.requires_grad for parameter in split.parameters())

    def test_split_stays_on_the_meta_device(self, name: str) -> None:
        with torch.device("meta"):
            split = attention.split(MODELS[name]())
        assert all(parameter.is_meta for parameter in split.parameters())

    def test_split_shares_no_memory_with_the_state(self, name: str) -> None:
        split = attention.split(MODELS[name]())
        before = {key: value.clone() for key, value in attention.fuse(split.state_dict()).items()}
        state = attention.fuse({key: value.clone() for key, value in split.state_dict().items()})
        with torch.no_grad():
            for parameter in split.parameters():
                parameter.zero_()
        assert all(torch.equal(state[key], value) for key, value in before.items())


@pytest.mark.parametrize(
    "unfit",
    [
        nn.MultiheadAttention(8, 2, batch_first=False),
        nn.MultiheadAttention(8, 2, batch_first=True, dropout=0.1),
        nn.MultiheadAttention(8, 2, batch_first=True, kdim=4),
        nn.MultiheadAttention(8, 2, batch_first=True, add_bias_kv=True),
    ],
    ids=["sequence first", "dropout", "unequal widths", "bias_kv"],
)
def test_attention_that_cannot_be_split_is_refused(unfit: nn.MultiheadAttention) -> None:
    with pytest.raises(ValueError, match="only batch-first attention"):
        attention.split(nn.Sequential(unfit))


def test_attention_without_bias() -> None:
    fused = nn.MultiheadAttention(8, 2, batch_first=True, bias=False).train()
    split = attention.SplitAttention(fused)
    x_BLD = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))
    expected, _ = fused(x_BLD, x_BLD, x_BLD, need_weights=False)
    got, _ = split(x_BLD, x_BLD, x_BLD, need_weights=False)
    # Without a bias torch multiplies by all three projections at once, which rounds differently.
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=0)
