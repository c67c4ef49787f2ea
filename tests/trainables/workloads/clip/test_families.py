"""Every family of models of open_clip: declared once, split exactly, trained, folded, and resumed to the bit."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from torch import Tensor, nn

from search_spaces.space import Scalar
from search_spaces.space import build as build_config
from tests.trainables.workloads.clip.families import FAMILIES, LENGTH, captions, opened, workload
from trainables.build import Builder
from trainables.frozen import ConfigError
from trainables.lineages import Lineages
from trainables.methods import scope
from trainables.methods.attach import attach
from trainables.methods.method import named
from trainables.nodes import Update
from trainables.runtime import Runtime
from trainables.store.memory import MemoryStore
from trainables.train import Start, train
from trainables.workloads.clip import attention, text
from trainables.workloads.clip.layout import describe as describe_by_names
from trainables.workloads.clip.workload import ClipWorkload
from trainables.workloads.pocket.settings import Pocket
from trainables.workloads.workload import State

METHODS = ("lnfit", "bitfit", "locked_image", "locked_text")
"""Beside `full` and `lora`, which are trained to see whether they give the same bits again."""

LARGE = ("eva", "fastvit")
"""Families without a small member, of which fewer methods are tried, and these by `make test-all` alone."""

CASES = [(f, m) for f in FAMILIES for m in METHODS if f not in LARGE]


def families(*thorough: str) -> list[object]:
    """All of them; these by `make test-all` alone."""
    return [pytest.param(name, marks=pytest.mark.thorough if name in thorough else ()) for name in FAMILIES]


def model_of(own: ClipWorkload) -> Any:
    model = own.architecture()
    model.load_state_dict(own.base())
    return model


def features(own: ClipWorkload, model: Any) -> Tensor:
    batch = own.batch(np.arange(0, 24, 4), np.random.default_rng(0))
    with torch.no_grad():
        return torch.cat([model.encode_image(own.pixels(batch)), text.encode_text(model, batch.tokens_UL)])


def update_of(own: ClipWorkload, name: str, **axes: Scalar) -> Update:
    values: dict[str, Scalar] = {
        "tasks": 4,
        "steps": 2,
        "batch_size": 8,
        "lr": 1e-2,
        "weight_decay": 0.0,
        "warmup": 0.0,
    }
    config, _ = build_config({"method": name, **values, **axes}, workload=Pocket(pool=512), source="test")
    steps = [step.update for step in Lineages(own.identity).of(config) if step.update is not None]
    return steps[0]


def axes_of(family: str, method: str) -> dict[str, Scalar]:
    return {"towers": FAMILIES[family].adapts} if method == "lora" else {}


def assert_all_that_trains_has_moved_and_nothing_else(own: ClipWorkload, update: Update, state: State) -> None:
    """After two steps."""
    base, method, anatomy = own.base(), update.recipe.method, own.identity.anatomy
    changed = {name for name, tensor in state.items() if not torch.equal(tensor, base[name])}
    expected = scope.trained(method, anatomy)
    if method.adapter is not None:
        expected |= {each.parameter for each in scope.adapted(method.adapter, anatomy)}
    # A constant over all positions changes no softmax: such a bias has a gradient by rounding alone.
    rounding = {name for name in expected if name.endswith("rel_pos.mlp.fc2.bias")}
    assert changed | rounding == expected


@pytest.fixture(scope="module", autouse=True)
def _models_are_given_back() -> Iterator[None]:
    yield
    opened.cache_clear()
    workload.cache_clear()


@pytest.mark.parametrize("family", FAMILIES)
class TestFamily:
    def test_every_tensor_is_declared_once(self, family: str, cache: Path) -> None:
        own = workload(family, cache)
        declared, model = own.identity.anatomy.parameters, own.architecture()
        assert Counter(each.name for each in declared) == Counter(model.state_dict().keys())
        assert {each.name: each.shape for each in declared} == {
            name: tuple(tensor.shape) for name, tensor in model.state_dict().items()
        }
        trains = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        assert {each.name for each in declared if not each.fixed} == trains
        for each in declared:
            scale = each.name.startswith("logit_")
            assert each.tower == (None if scale else "image" if each.name.startswith("visual.") else "text")
            assert (each.part == "scale") == scale
        assert own.identity.anatomy.towers == ("image", "text")
        assert all(own.identity.anatomy.depth(tower) > 1 for tower in ("image", "text"))

    def test_attention_of_torch_is_in_no_model(self, family: str, cache: Path) -> None:
        own = workload(family, cache)
        for model in (own.architecture(), own.split(own.architecture())):
            assert not [module for module in model.modules() if isinstance(module, nn.MultiheadAttention)]

    def test_norms_are_what_torch_calls_a_norm(self, family: str, cache: Path) -> None:
        own = workload(family, cache)
        modules = dict(own.architecture().named_modules())
        for each in own.identity.anatomy.parameters:
            norm = "norm" in type(modules[each.name.rpartition(".")[0]]).__name__.lower()
            assert (each.part == "norm") == norm, each.name

    def test_every_projection_is_a_linear_layer_of_the_split_model(self, family: str, cache: Path) -> None:
        own = workload(family, cache)
        layers = dict(own.split(own.architecture()).named_modules())
        for each in own.identity.anatomy.projections:
            layer = layers[each.name]
            assert type(layer) is nn.Linear or isinstance(layer, nn.modules.linear.NonDynamicallyQuantizableLinear)
            assert (layer.in_features, layer.out_features) == (each.inputs, each.outputs)
        towers = {each.tower for each in own.identity.anatomy.projections}
        assert towers == ({"image", "text"} if FAMILIES[family].adapts == "all" else {"text"})

    def test_split_is_the_same_function_and_fuses_to_the_same_bits(self, family: str, cache: Path) -> None:
        own = workload(family, cache)
        plain, split = model_of(own).train(), own.split(model_of(own)).train()
        torch.testing.assert_close(features(own, split), features(own, plain), atol=2e-6, rtol=1e-5)
        fused = own.fuse(split.state_dict())
        assert fused.keys() == plain.state_dict().keys()
        assert all(torch.equal(fused[name], tensor) for name, tensor in plain.state_dict().items())

    def test_text_at_its_length_is_text_at_the_full_context(self, family: str, cache: Path) -> None:
        own = workload(family, cache)
        model = model_of(own).train()
        tokens = np.concatenate([captions(family, label) for label in range(4)])
        with torch.no_grad():
            expected = model.encode_text(torch.from_numpy(tokens).long())
            short = text.distinct(tokens)
            got = text.encode_text(model, torch.from_numpy(short.tokens_UL))[torch.from_numpy(short.caption_B)]
        torch.testing.assert_close(got, expected, atol=2e-6, rtol=1e-5)

    def test_only_a_text_that_ends_at_its_end_is_read_at_its_length(self, family: str, cache: Path) -> None:
        own, lengths = workload(family, cache), []
        model = own.architecture()
        blocks = [one for name, one in model.named_modules() if name.endswith("0") and "visual" not in name]
        blocks[0].register_forward_pre_hook(lambda _, inputs: lengths.append(inputs[0].shape[1]))
        text.encode_text(model, torch.from_numpy(captions(family, 1)[:, :6]).long())
        assert lengths == [LENGTH if FAMILIES[family].hf or family == "siglip" else 6]

    def test_no_value_is_drawn_to_make_a_module(self, family: str, cache: Path) -> None:
        own, before = workload(family, cache), torch.get_rng_state()
        model = own.architecture()
        with torch.device("meta"):
            empty = own.architecture()
        assert torch.equal(torch.get_rng_state(), before)
        assert all(tensor.is_meta for tensor in (*empty.parameters(), *empty.buffers()))
        assert {tensor.device.type for tensor in (*model.parameters(), *model.buffers())} == {"cpu"}
        assert [name for name, _ in model.named_buffers()] == [name for name, _ in empty.named_buffers()]

    def test_open_clip_loads_what_is_exported(self, family: str, cache: Path, tmp_path: Path) -> None:
        own = workload(family, cache)
        own.export(own.base(), tmp_path / "out", "open_clip")
        with torch.random.fork_rng(devices=[]):
            loaded = open_clip.create_model(f"local-dir:{tmp_path / 'out'}").eval()
        ours = model_of(own).eval()
        loaded.context_length = ours.context_length  # that of its tokenizer; the tower says how much it could take
        torch.testing.assert_close(features(own, loaded), features(own, ours), atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("family", families(*LARGE))
class TestTraining:
    @pytest.mark.parametrize("method", ["full", "lora"])
    def test_training_again_and_reading_the_store_give_the_same_bits(
        self, family: str, method: str, cache: Path
    ) -> None:
        """Whatever torch's global generator has drawn in between: no tower of any library may ask it."""
        own, store = workload(family, cache), MemoryStore()
        update = update_of(own, method, **axes_of(family, method))
        first = Builder(own, store, Runtime()).weights(update)
        read = Builder(own, store, Runtime()).weights(update)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            again = Builder(own, MemoryStore(), Runtime()).weights(update)
        for other in (read, again):
            assert other.keys() == first.keys()
            assert all(torch.equal(other[name], tensor) for name, tensor in first.items())
        assert_all_that_trains_has_moved_and_nothing_else(own, update, first)

    def test_folded_adapter_is_the_adapted_model(self, family: str, cache: Path) -> None:
        own = workload(family, cache)
        method = named("lora", rank=2, towers=FAMILIES[family].adapts)
        attached = attach(method, own, own.base(), seed=0, task=1)
        rng = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in attached.trainable.values():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=rng))
        adapted = features(own, attached.model.train())
        folded = own.architecture()
        folded.load_state_dict(attached.fold(attached.model))
        moved = features(own, model_of(own).train())
        assert not torch.allclose(adapted, moved, atol=1e-4)
        torch.testing.assert_close(features(own, folded.train()), adapted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", families(*LARGE, "convnext", "timm relative"))
def test_a_step_is_counted_on_the_meta_device(family: str, cache: Path) -> None:
    own = workload(family, cache)
    example = own.example(3)
    assert example.tokens_UL.shape == (3, LENGTH)
    cost = Builder(own, MemoryStore(), Runtime()).cost(update_of(own, "full").recipe)
    assert cost.flops > 0


@pytest.mark.parametrize(("family", "method"), CASES)
def test_two_steps_move_all_that_trains_and_nothing_else(family: str, method: str, cache: Path) -> None:
    own = workload(family, cache)
    update = update_of(own, method)
    result = train(update, Start(state=own.base(), carry={}), own, Runtime())
    assert_all_that_trains_has_moved_and_nothing_else(own, update, result.state)


def test_plain_clip_is_declared_by_modules_as_by_names(cache: Path) -> None:
    own = workload("clip", cache)
    shapes = {name: tuple(tensor.shape) for name, tensor in own.architecture().state_dict().items()}
    assert own.identity.anatomy == describe_by_names(shapes)


PLACES: dict[str, dict[str, tuple[int | None, str, bool, bool]]] = {
    "resnet": {
        "visual.conv1.weight": (None, "embedding", False, False),
        "visual.bn1.running_mean": (None, "norm", False, True),
        "visual.layer2.0.conv1.weight": (1, "mlp", False, False),
        "visual.layer4.0.downsample.1.bias": (3, "norm", True, False),
        "visual.layer4.0.bn3.num_batches_tracked": (3, "norm", False, True),
        "visual.attnpool.q_proj.weight": (None, "head", False, False),
    },
    "custom text": {
        "visual.transformer.resblocks.1.ls_1.gamma": (1, "attention", False, False),
        "visual.transformer.resblocks.1.ls_2.gamma": (1, "mlp", False, False),
        "text.transformer.resblocks.0.attn.in_proj_bias": (0, "attention", True, False),
        "text.token_embedding.weight": (None, "embedding", False, False),
        "text.text_projection": (None, "head", False, False),
    },
    "siglip": {
        "visual.trunk.pos_embed": (None, "embedding", False, False),
        "visual.trunk.patch_embed.proj.bias": (None, "embedding", True, False),
        "visual.trunk.blocks.3.attn.qkv.weight": (3, "attention", False, False),
        "visual.trunk.attn_pool.latent": (None, "head", False, False),
        "text.text_projection.bias": (None, "head", True, False),
        "logit_bias": (None, "scale", True, False),
    },
    "timm relative": {"visual.trunk.blocks.1.attn.rel_pos.mlp.fc1.weight": (1, "attention", False, False)},
    "convnext": {
        "visual.trunk.stem.0.weight": (None, "embedding", False, False),
        "visual.trunk.stages.2.blocks.0.conv_dw.weight": (2, "mlp", False, False),
        "visual.head.proj.weight": (None, "head", False, False),
    },
    "roberta": {
        "text.transformer.embeddings.word_embeddings.weight": (None, "embedding", False, False),
        "text.transformer.encoder.layer.1.attention.output.dense.weight": (1, "attention", False, False),
        "text.transformer.encoder.layer.1.output.dense.weight": (1, "mlp", False, False),
        "text.proj.0.weight": (None, "head", False, False),
    },
    "mt5": {
        "text.transformer.block.0.layer.0.SelfAttention.relative_attention_bias.weight": (0, "embedding", False, False),
        "text.transformer.block.1.layer.1.DenseReluDense.wi_1.weight": (1, "mlp", False, False),
    },
}


@pytest.mark.parametrize(("family", "name"), [(family, name) for family, names in PLACES.items() for name in names])
def test_place(family: str, name: str, cache: Path) -> None:
    each = {each.name: each for each in opened(family, cache).anatomy.parameters}[name]
    assert (each.layer, each.part, each.bias, each.fixed) == PLACES[family][name]


@pytest.mark.parametrize(
    ("family", "method", "said"),
    [
        ("resnet", {"name": "lora"}, "targets: the image tower has no linear layer of its own; allowed: towers: text"),
        ("resnet", {"name": "lora", "towers": "image"}, "allowed: methods without an adapter"),
        (
            "convnext",
            {"name": "ia3"},
            "the image tower has no linear layer of its own for k, v; allowed: targets: all, ",
        ),
        (
            "convnext",
            {"name": "lora", "targets": "q+k"},
            "of its own for q, k; allowed: targets: all, mlp_in, mlp_out; ",
        ),
        ("resnet", {"name": "freeze_first_layers", "n": 3}, "n: 3 given; allowed: 1 to 2"),
    ],
)
def test_a_method_that_a_tower_cannot_have_is_refused(
    family: str, method: dict[str, Any], said: str, cache: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        scope.check(named(**method), opened(family, cache).anatomy)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_statistics_of_batch_norm_are_those_of_the_base(cache: Path) -> None:
    """In training mode as well: a module of the tower is asked for its mode in every forward pass."""
    own = workload("timm resnet", cache)
    model = model_of(own).train()
    batch = own.batch(np.arange(8), np.random.default_rng(0))
    with torch.no_grad():
        together = model.encode_image(own.pixels(batch))
        alone = torch.cat([model.encode_image(own.pixels(batch)[i : i + 1]) for i in range(8)])
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-5)
    base = own.base()
    assert all(torch.equal(tensor, base[name]) for name, tensor in model.state_dict().items())


class TestFusedAttentionOfTimm:
    """Kinds that no small model has: their layer `qkv` is split, and the function stays."""

    def kinds(self) -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
        from timm.layers.attention import AttentionRope
        from timm.models.eva import EvaAttention
        from timm.models.swin_transformer import WindowAttention

        return {
            "eva": (EvaAttention(16, num_heads=2, qkv_fused=True, qkv_bias=True, norm_layer=nn.LayerNorm), (2, 9, 16)),
            "rope": (AttentionRope(16, num_heads=2, qkv_bias=True, norm_layer=nn.LayerNorm), (2, 9, 16)),
            "window": (WindowAttention(16, num_heads=2, window_size=3), (2, 9, 16)),
        }

    @pytest.mark.parametrize("kind", ["eva", "rope", "window"])
    def test_split(self, kind: str) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module, shape = self.kinds()[kind]
            for parameter in module.parameters():
                nn.init.normal_(parameter, std=0.2)
            x = torch.randn(shape)
        model = nn.Sequential(module)
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        with torch.no_grad():
            expected = model(x)
            got = attention.split(model)(x)
        torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-5)
        assert isinstance(module.qkv, attention.SplitLinear)
        fused = attention.fuse(model.state_dict())
        assert fused.keys() == before.keys()
        assert all(torch.equal(fused[name], tensor) for name, tensor in before.items())
