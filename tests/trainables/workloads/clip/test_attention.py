"""Both forms of attention: open_clip's function and gradients, under its names or with a way back to them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from open_clip.model import CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP
from open_clip.transformer import AttentionalPooler
from torch import Tensor, nn

from tests.trainables import toys
from trainables.workloads.clip import attention
from trainables.workloads.clip.losses import contrastive_loss
from trainables.workloads.pocket.model import build

MODELS: dict[str, Callable[[], nn.Module]] = {"pocket": lambda: build(0), "unequal towers": toys.architecture}
FORMS = {"own": attention.own, "split": attention.split}


def masked(**text: Any) -> CustomTextCLIP:
    """A model whose text tower has another mask, or none."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return CustomTextCLIP(
            embed_dim=12,
            vision_cfg=CLIPVisionCfg(image_size=16, patch_size=8, width=32, layers=1, head_width=8),
            text_cfg=CLIPTextCfg(context_length=5, vocab_size=32, width=16, heads=2, layers=2, **text),
        )


MASKED: dict[str, Callable[[], nn.Module]] = {
    "no mask": lambda: masked(no_causal_mask=True, pool_type="last"),
    "class token": lambda: masked(embed_cls=True),
}


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


def loss(model: Any) -> Tensor:
    images_BD, texts_BD = (F.normalize(features, dim=-1) for features in outputs(model))
    return contrastive_loss("clip")(images_BD, texts_BD, model)


@pytest.mark.parametrize("name", MODELS | MASKED)
@pytest.mark.parametrize("form", FORMS)
class TestForms:
    def test_loss_is_that_of_open_clip_to_the_bit_and_its_gradient_up_to_rounding(self, form: str, name: str) -> None:
        theirs, ours = (MODELS | MASKED)[name]().train(), FORMS[form]((MODELS | MASKED)[name]()).train()
        losses = [loss(model) for model in (theirs, ours)]
        assert torch.equal(losses[1], losses[0])
        for value in losses:
            value.backward()
        expected = {key: value.grad for key, value in theirs.named_parameters() if value.grad is not None}
        got = attention.fuse({key: value.grad for key, value in ours.named_parameters() if value.grad is not None})
        assert got.keys() == expected.keys()
        for key, gradient in expected.items():
            # Three products of a third of the width add up in another order than one product.
            allowed = 1e-6 if form == "own" else 1e-5 * float(gradient.abs().max())
            torch.testing.assert_close(got[key], gradient, atol=allowed, rtol=0)

    def test_training_sees_the_same_function_to_the_bit(self, form: str, name: str) -> None:
        theirs, ours = (MODELS | MASKED)[name]().train(), FORMS[form]((MODELS | MASKED)[name]()).train()
        for expected, got in zip(outputs(theirs), outputs(ours), strict=True):
            assert torch.equal(got, expected)

    def test_evaluation_sees_what_training_sees(self, form: str, name: str) -> None:
        theirs, ours = (MODELS | MASKED)[name]().eval(), FORMS[form]((MODELS | MASKED)[name]())
        trained = outputs(ours.train())
        ours.eval()
        with torch.inference_mode():
            for expected, got in zip(trained, outputs(ours), strict=True):
                assert torch.equal(got, expected)
            for expected, got in zip(outputs(theirs), outputs(ours), strict=True):
                # torch evaluates its own module by another kernel, which rounds differently.
                torch.testing.assert_close(got, expected, atol=2e-6, rtol=0)

    def test_blocks_that_are_computed_again_in_the_backward_pass_give_the_same_bits(self, form: str, name: str) -> None:
        kept, again = (FORMS[form]((MODELS | MASKED)[name]()).train() for _ in range(2))
        again.set_grad_checkpointing(True)  # type: ignore[operator]
        for model in (kept, again):
            loss(model).backward()
        gradients = [{key: value.grad for key, value in model.named_parameters()} for model in (kept, again)]
        assert gradients[0].keys() == gradients[1].keys()
        for key, gradient in gradients[0].items():
            other = gradients[1][key]
            assert gradient is other is None or torch.equal(other, gradient)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", MODELS | MASKED)
class TestOwn:
    def test_parameters_stay_the_same_under_the_same_names(self, name: str) -> None:
        model = (MODELS | MASKED)[name]()
        before, buffers = dict(model.named_parameters()), dict(model.named_buffers())
        attention.own(model)
        assert not [module for module in model.modules() if isinstance(module, nn.MultiheadAttention)]
        assert list(before) == list(dict(model.named_parameters()))
        assert all(parameter is before[key] for key, parameter in model.named_parameters())
        assert list(buffers) == list(dict(model.named_buffers()))
        assert list(model.state_dict()) == list((MODELS | MASKED)[name]().state_dict())


@pytest.mark.parametrize("name", MODELS)
class TestSplit:
    def test_text_sees_no_later_word(self, name: str) -> None:
        split: Any = attention.split(MODELS[name]()).train()
        _, tokens = inputs(split)
        changed = tokens.clone()
        changed[:3, 3:] = 5
        changed[:3, 2] = tokens[:3, 2]
        assert torch.equal(split.encode_text(changed)[:3], split.encode_text(tokens)[:3])

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


UNFIT = {
    "sequence first": nn.MultiheadAttention(8, 2, batch_first=False),
    "dropout": nn.MultiheadAttention(8, 2, batch_first=True, dropout=0.1),
    "unequal widths": nn.MultiheadAttention(8, 2, batch_first=True, kdim=4),
    "bias_kv": nn.MultiheadAttention(8, 2, batch_first=True, add_bias_kv=True),
    "zero": nn.MultiheadAttention(8, 2, batch_first=True, add_zero_attn=True),
}


@pytest.mark.parametrize("unfit", UNFIT.values(), ids=UNFIT)
def test_attention_of_another_kind_stays_and_cannot_be_split(unfit: nn.MultiheadAttention) -> None:
    model = nn.Sequential(unfit)
    assert attention.own(model)[0] is unfit  # type: ignore[index]
    with pytest.raises(ValueError, match="only batch-first attention"):
        attention.split(model)


def test_a_pooler_keeps_its_attention() -> None:
    pooler = AttentionalPooler(8, 8, n_head=2, n_queries=3)
    kept = pooler.attn
    assert attention.split(nn.Sequential(pooler))[0].attn is kept  # type: ignore[index]


@pytest.mark.parametrize("form", FORMS)
def test_attention_without_bias(form: str) -> None:
    packed = nn.MultiheadAttention(8, 2, batch_first=True, bias=False).train()
    x_BLD = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))
    expected, _ = packed(x_BLD, x_BLD, x_BLD, need_weights=False)
    got, _ = FORMS[form](nn.Sequential(packed))[0](x_BLD, x_BLD, x_BLD, need_weights=False)  # type: ignore[index]
    # Without a bias torch multiplies by all three projections at once, which rounds differently from three products.
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=0)
