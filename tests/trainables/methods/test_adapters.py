"""Every adapter, and every type of peft that is let in: unchanged at first, all of it moves, folds, comes back."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch
from peft.tuners import lora
from peft.tuners.fourierft.layer import FourierFTLinear
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tests.trainables import toys
from trainables.frozen import ConfigError
from trainables.methods import adapter_limits, adapters, peft_types
from trainables.methods.parts import Adapter, FourierFt, Ia3, LowRank, Oft, Peft, Vera
from trainables.workloads.anatomy import Projection
from trainables.workloads.clip import attention
from trainables.workloads.clip.layout import describe
from trainables.workloads.pocket.model import build

NAMED: dict[str, Adapter] = {
    "lora": LowRank(name="lora"),
    "lora, alpha 1": LowRank(name="lora", alpha=1.0),
    "dora": LowRank(name="dora"),
    "rslora": LowRank(name="rslora", rank=3, alpha=2.0),
    "pissa": LowRank(name="pissa"),
    "loha": LowRank(name="loha"),
    "lokr": LowRank(name="lokr"),
    "vera": Vera(name="vera"),
    "ia3": Ia3(name="ia3"),
    "oft": Oft(name="oft", block_size=8),
    "fourierft": FourierFt(name="fourierft", frequencies=20),
}
ARGUMENTS = {
    "C3A": '{"block_size": 16, "init_weights": true}',
    "FOURIERFT": '{"n_frequency": 20, "init_weights": true}',
    "OFT": '{"oft_block_size": 8}',
    "OSF": '{"effective_rank": 4}',
    "ROAD": '{"group_size": 16}',
}
"""Arguments of types of peft whose defaults fit wide layers only, or change the function."""
PEFT: dict[str, Adapter] = {
    **{
        kind: Peft(name="peft", peft_type=kind, arguments=ARGUMENTS.get(kind, '{"r": 4}'))
        for kind in peft_types.LAYER_ADAPTERS
    },
    **{kind: Peft(name="peft", peft_type=kind) for kind in ("BEFT", "SUPERTUNING", "TINYLORA")},
    "LORA with a bias": Peft(name="peft", peft_type="LORA", arguments='{"lora_bias": true}'),
    "LORA, olora": Peft(name="peft", peft_type="LORA", arguments='{"init_lora_weights": "olora"}'),
}
ADAPTERS = {**NAMED, **PEFT}
MODELS = ("two widths", "pocket")

PAIRS = pytest.mark.parametrize(
    ("model", "name"),
    [
        pytest.param(model, name, marks=pytest.mark.thorough if model == "pocket" and name != "lora" else ())
        for model in MODELS
        for name in ADAPTERS
    ],
    scope="class",
)
"""All tests of a pair in a row, so that they share its models; most on the pocket model in `make test-all` alone."""


@cache
def projections(model: str) -> tuple[Projection, ...]:
    state = (build(0) if model == "pocket" else toys.architecture()).state_dict()
    return describe({name: tuple(tensor.shape) for name, tensor in state.items()}).projections


def split(model: str) -> Any:
    return attention.split(build(0) if model == "pocket" else toys.architecture()).train()


def adapted(model: str, name: str, *, seed: int = 0, task: int = 1) -> Any:
    return adapters.inject(split(model), ADAPTERS[name], projections(model), seed=seed, task=task).train()


def outputs(model: Any) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    images = torch.randn(4, 3, *model.visual.image_size, generator=rng)
    tokens = torch.randint(1, 30, (4, model.context_length), generator=rng)
    return torch.cat([model.encode_image(images), model.encode_text(tokens)])


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def train(model: nn.Module, steps: int = 2) -> nn.Module:
    optimiser = torch.optim.AdamW(trainable(model).values(), lr=1e-3, weight_decay=0)
    for _ in range(steps):
        result = outputs(model)
        optimiser.zero_grad()
        (result * torch.linspace(-1, 1, result.shape[-1])).square().sum().backward()
        optimiser.step()
    return model


def tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers, each once: layers of VeRA and TinyLoRA share some."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(other[key], tensor) for key, tensor in one.items())


@pytest.fixture(autouse=True)
def _random_state_is_untouched() -> Iterator[None]:
    before = torch.get_rng_state()
    yield
    assert torch.equal(torch.get_rng_state(), before)


@cache
def plain_outputs(model: str) -> Tensor:
    return outputs(split(model)).detach()


@pytest.fixture(scope="class")
def fresh(model: str, name: str) -> Any:
    """An adapted model at step zero, which no test changes."""
    return adapted(model, name)


@pytest.fixture(scope="class")
def trained(model: str, name: str) -> Any:
    """One after two steps, which no test changes."""
    return train(adapted(model, name))


@PAIRS
class TestEveryAdapter:
    def test_step_zero_is_the_base_model(self, model: str, fresh: Any) -> None:
        """Up to rounding of those that take something out of a weight and add it again, or turn it by the identity."""
        torch.testing.assert_close(outputs(fresh), plain_outputs(model), atol=1e-5, rtol=0)

    def test_only_its_own_tensors_train(self, model: str, name: str, fresh: Any) -> None:
        plain = split(model).state_dict().keys()
        own = adapters.own_state(fresh)
        assert trainable(fresh)
        assert trainable(fresh).keys() <= own.keys()
        assert {key.replace(".base_layer.", ".") for key in fresh.state_dict().keys() - own.keys()} >= plain
        layers = {projection.name for projection in projections(model)}
        assert {layer for layer in layers for key in trainable(fresh) if key.startswith(f"{layer}.")} == layers or (
            name == "TINYLORA"  # whose layers share what trains
        )
        assert all(any(key.startswith(f"{layer}.") for layer in layers) for key in own)

    def test_two_steps_move_all_that_trains_and_nothing_else(self, fresh: Any, trained: Any) -> None:
        """One step is not enough where one factor starts at zero: the other then has no gradient."""
        before, after = tensors(fresh), tensors(trained)
        assert {key for key, one in after.items() if not torch.equal(one, before[key])} == set(trainable(trained))

    def test_own_tensors_are_the_adapter_to_the_bit_and_fold_to_its_function(
        self, model: str, name: str, trained: Any
    ) -> None:
        same = train(adapted(model, name))  # of the same seed and task
        assert equal(same.state_dict(), trained.state_dict())
        again = adapted(model, name)
        adapters.load_own_state(again, copies(adapters.own_state(trained)))
        expected = outputs(trained)
        assert torch.equal(outputs(again), expected)
        plain = adapters.fold(again)
        assert plain.state_dict().keys() == split(model).state_dict().keys()
        assert equal(plain.state_dict(), adapters.fold(same).state_dict())
        assert not any("peft" in type(module).__module__ for module in plain.modules())
        # W x + dW x and (W + dW) x round differently: a few units in the last place of fp32 in each layer.
        torch.testing.assert_close(outputs(plain), expected, atol=2e-5, rtol=2e-5)

    def test_costs_can_be_counted_on_the_meta_device(self, model: str, name: str, fresh: Any) -> None:
        with torch.device("meta"):
            what = adapted(model, name)
            what.encode_text(torch.zeros(4, what.context_length, dtype=torch.long)).sum().backward()
        assert {key: value.shape for key, value in trainable(what).items()} == {
            key: value.shape for key, value in trainable(fresh).items()
        }

    def test_it_is_allowed_on_these_layers(self, model: str, name: str) -> None:
        adapter_limits.check(ADAPTERS[name], projections(model))


@pytest.mark.parametrize("change", [{"seed": 1}, {"task": 2}])
@pytest.mark.parametrize("name", ["lora", "dora", "rslora", "loha", "lokr", "HRA"])
def test_draws_depend_on_seed_and_task(name: str, change: dict[str, int]) -> None:
    one, other = (adapters.own_state(adapted("pocket", name, **values)) for values in ({}, change))
    assert any(not torch.equal(other[key], tensor) for key, tensor in one.items())


@pytest.mark.parametrize("name", ["vera", "fourierft", "RANDLORA", "TINYLORA"])
def test_what_tasks_share_depends_on_the_seed_alone(name: str) -> None:
    drawn = [frozen(adapted("pocket", name, **values)) for values in ({}, {"task": 2}, {"seed": 1})]
    assert all(torch.equal(one, other) for one, other in zip(drawn[0], drawn[1], strict=True))
    assert not all(torch.equal(one, other) for one, other in zip(drawn[0], drawn[2], strict=True))


def frozen(model: Any) -> list[Tensor]:
    """What an adapter has that does not train; where FourierFT's frequencies are is no part of a state dict."""
    layer: Any = model.get_submodule(projections("pocket")[0].name)
    if isinstance(layer, FourierFTLinear):
        return [layer.indices["default"]]
    return [tensor for key, tensor in adapters.own_state(model).items() if key not in trainable(model)]


def test_shared_matrices_are_kept_once() -> None:
    own = adapters.own_state(adapted("two widths", "vera"))
    assert [key.split(".vera_")[1] for key in own if "lambda" not in key] == ["A.default", "B.default"]


def test_exactly_the_chosen_layers() -> None:
    """Names of the text tower end names of the image tower, which peft would take as well."""
    text = [projection for projection in projections("pocket") if projection.tower == "text"][:3]
    model = adapters.inject(split("pocket"), NAMED["lora"], text, seed=0, task=0)
    layers = {name for name, module in model.named_modules() if isinstance(module, lora.Linear)}
    assert layers == {projection.name for projection in text}


def test_ia3_scales_the_inputs_of_the_second_mlp_layer_and_the_outputs_of_others() -> None:
    model = adapted("two widths", "ia3")
    for projection in projections("two widths"):
        size = projection.inputs if projection.target == "mlp_out" else projection.outputs
        assert model.get_parameter(f"{projection.name}.ia3_l.default").numel() == size


@pytest.mark.parametrize(
    "name", ["lora", "lora, alpha 1", "rslora", "dora", "pissa", "vera", "loha", "lokr", "fourierft"]
)
@pytest.mark.parametrize("rows", [(5,), (2, 3)])
class TestForward:
    """Ours against peft's own: the same function and gradients, up to rounding."""

    def test_function_and_gradients_are_those_of_peft(self, name: str, rows: tuple[int, ...]) -> None:
        results: list[list[Any]] = []
        for own in (False, True):
            layer = moved_layer(name)
            assert "forward" in vars(layer)
            if not own:
                del layer.forward
            x = torch.randn(*rows, 16, generator=torch.Generator().manual_seed(1)).requires_grad_()
            with torch.random.fork_rng(devices=[]):  # peft's LoHa and LoKr draw a number
                y = layer(x)
            y.square().sum().backward()
            results.append([y, x.grad, *(parameter.grad for parameter in trainable(layer).values())])
        for ours, theirs in zip(results[1], results[0], strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5 * float(theirs.detach().abs().max()), rtol=1e-5)

    def test_gradients_are_right_under_bfloat16(self, name: str, rows: tuple[int, ...]) -> None:
        grads: list[list[Any]] = []
        for enabled in (False, True):
            layer = moved_layer(name)
            x = torch.randn(*rows, 16, generator=torch.Generator().manual_seed(1)).requires_grad_()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
                y = layer(x)
            assert y.dtype == (torch.bfloat16 if enabled else torch.float32)
            y.float().square().sum().backward()
            grads.append([x.grad, *(parameter.grad for parameter in trainable(layer).values())])
        for low, full in zip(grads[1], grads[0], strict=True):
            assert low.dtype == torch.float32
            torch.testing.assert_close(low, full, atol=0.05 * float(full.abs().max()), rtol=0.0)


def moved_layer(name: str) -> Any:
    """A layer with an adapter whose parameters are all away from where they start."""
    where = projection(inputs=16, outputs=24)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.ModuleDict({where.name: nn.Linear(16, 24)})
    layer: Any = adapters.inject(model, NAMED[name], [where], seed=0, task=0)[where.name]  # type: ignore[index]
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in trainable(layer).values():
            parameter.add_(torch.randn(parameter.shape, generator=rng), alpha=0.1)
    return layer


def test_first_layer_needs_no_gradient_of_its_input() -> None:
    layer = moved_layer("lora")
    layer(torch.ones(3, 16)).sum().backward()
    assert all(parameter.grad is not None for parameter in trainable(layer).values())
    assert layer.get_base_layer().weight.grad is None


def test_twice_differentiated_is_refused() -> None:
    layer, x = moved_layer("lora"), torch.ones(3, 16, requires_grad=True)
    (grad,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def projection(*, inputs: int, outputs: int, name: str = "layer") -> Projection:
    return Projection(
        name=name, parameter=f"{name}.weight", tower="image", layer=0, target="q", inputs=inputs, outputs=outputs
    )


LAYERS = [projection(inputs=12, outputs=20, name="a"), projection(inputs=18, outputs=6, name="b")]
REFUSED: dict[str, tuple[Adapter, str]] = {
    "rank": (LowRank(name="lora", rank=7), r"rank: 7 given; allowed: 1 to 6, .* of b \(18 inputs, 6 outputs\)"),
    "rank of loha": (LowRank(name="loha", rank=99), "rank: 99 given; allowed: 1 to 6"),
    "block": (Oft(name="oft", block_size=4), "block_size: 4 given; allowed: 2, 3, 6, which divide all inputs"),
    "frequencies": (
        FourierFt(name="fourierft", frequencies=200),
        r"frequencies: 200 given; allowed: 1 to 108, the weights of b \(18 inputs, 6 outputs\)",
    ),
    "no such type": (Peft(name="peft", peft_type="foo"), "peft_type: 'FOO' given; allowed: BEFT, C3A, .*VERA"),
    "prompt": (Peft(name="peft", peft_type="PROMPT_TUNING"), "no other type of peft is a layer adapter that folds"),
    "argument": (
        Peft(name="peft", peft_type="HRA", arguments='{"rank": 4}'),
        "arguments: 'rank' is unknown for HRA; allowed: apply_GS, init_weights, r",
    ),
    "where": (
        Peft(name="peft", peft_type="HRA", arguments='{"target_modules": "all-linear"}'),
        "'target_modules' cannot be set for HRA here; allowed: apply_GS",
    ),
    "noise": (
        Peft(name="peft", peft_type="LORA", arguments='{"lora_dropout": 0.1}'),
        "'lora_dropout' cannot be set for LORA here; allowed: ",
    ),
    "seed": (
        Peft(name="peft", peft_type="RANDLORA", arguments='{"projection_prng_key": 1}'),
        "'projection_prng_key' cannot be set for RANDLORA here",
    ),
    "refused by peft": (
        Peft(name="peft", peft_type="C3A", arguments='{"block_size": 7}'),
        'arguments: {"block_size": 7} given, which peft refuses: The block size should be a factor of the input size',
    ),
    "wrong type": (Peft(name="peft", peft_type="HRA", arguments='{"r": "many"}'), "which peft refuses: "),
    "changed": (
        Peft(name="peft", peft_type="FOURIERFT", arguments='{"n_frequency": 9}'),
        "with which FOURIERFT changes the model before it trains; choose another initialisation",
    ),
    "rank of peft": (
        Peft(name="peft", peft_type="LORA", arguments='{"r": 7}'),
        "arguments: r: 7 given; allowed: 1 to 6, the smaller width of a layer",
    ),
    "alpha of peft": (
        Peft(name="peft", peft_type="LORA", arguments='{"lora_alpha": -4}'),
        "arguments: lora_alpha: -4 given; allowed: greater than 0",
    ),
    "needs data": (
        Peft(name="peft", peft_type="LORA", arguments='{"init_lora_weights": "eva"}'),
        "arguments: init_lora_weights: 'eva' needs data before training; allowed: true, gaussian, pissa, olora",
    ),
    "does not fold": (
        Peft(name="peft", peft_type="LORA", arguments='{"alora_invocation_tokens": [1]}'),
        "'alora_invocation_tokens' cannot be set for LORA here",
    ),
    "not a number": (
        Peft(name="peft", peft_type="HRA", arguments='{"apply_GS": true, "r": 4}'),
        "with which HRA changes the model",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_these_layers_cannot_have_is_refused(case: str) -> None:
    adapter, message = REFUSED[case]
    with pytest.raises(ConfigError, match=message):
        adapter_limits.check(adapter, LAYERS)


def test_no_layer_at_all_is_refused() -> None:
    adapter = LowRank(name="lora", targets="q", towers="text", layers="0")
    with pytest.raises(ConfigError, match="'q', 'text' and '0' given, which together choose no layer"):
        adapter_limits.check(adapter, [])


@pytest.mark.parametrize("adapter", [LowRank(name="lora", rank=6), Oft(name="oft", block_size=6), Vera(name="vera")])
def test_largest_values_are_allowed(adapter: Adapter) -> None:
    adapter_limits.check(adapter, LAYERS)


def test_rank_of_vera_may_exceed_the_width_but_not_the_weights() -> None:
    adapter_limits.check(Vera(name="vera", rank=108), LAYERS)
    with pytest.raises(ConfigError, match=r"rank: 109 given; allowed: 1 to 108, the weights of b"):
        adapter_limits.check(Vera(name="vera", rank=109), LAYERS)


@pytest.mark.parametrize("kind", ["WAVEFT", "UNILORA"])
def test_types_of_peft_left_out_for_their_cost_still_cannot_be_counted(kind: str) -> None:
    """When this fails, peft has learnt to, and they may be let in."""
    with pytest.raises((NotImplementedError, RuntimeError)):
        forward_on_meta(Peft(name="peft", peft_type=kind))


def forward_on_meta(adapter: Adapter) -> None:
    with torch.device("meta"):
        model = adapters.inject(split("pocket"), adapter, projections("pocket"), seed=0, task=0)
        text: Any = model.train()
        text.encode_text(torch.zeros(4, text.context_length, dtype=torch.long)).sum().backward()


@pytest.mark.parametrize("rank", [1, 4])
def test_flops_of_a_low_rank_layer_are_their_closed_form(rank: int) -> None:
    """Two large products and six thin ones, where full fine-tuning has three large."""
    n, inputs, outputs = 7, 12, 20
    for device in ("cpu", "meta"):
        x = torch.zeros(n, inputs, device=device, requires_grad=True)
        weight = torch.zeros(outputs, inputs, device=device)
        down, up = (
            torch.zeros(shape, device=device, requires_grad=True) for shape in ((rank, inputs), (outputs, rank))
        )
        with FlopCounterMode(display=False) as counter:
            adapters.low_rank(x, weight, None, down, up, 1.0).sum().backward()
        assert counter.get_total_flops() == 2 * n * (2 * inputs * outputs + 3 * rank * (inputs + outputs)), device


def test_row_norms_of_dora_are_those_of_the_adapted_weight() -> None:
    rng = torch.Generator().manual_seed(0)
    weight, down, up = (torch.randn(shape, generator=rng) for shape in ((20, 12), (3, 12), (20, 3)))
    expected = torch.linalg.vector_norm(weight + 0.7 * up @ down, dim=1)
    torch.testing.assert_close(adapters._row_norms(weight, down, up, 0.7), expected)
