"""Adapters by peft: put on exactly the chosen layers of a split model, and folded into their weights.

peft has the parameters, their initialisation and the merge of every adapter. The forward of the common ones is ours,
the same function at less cost: with peft's, LoRA takes 1.06 of the time of full fine-tuning on the pocket model, with
ours 0.80 (`tests/benchmarks/steps.py`).
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from peft import FourierFTConfig, IA3Config, OFTConfig, PeftConfig, VeraConfig
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
from peft.tuners import lora, vera
from peft.tuners.fourierft.layer import FourierFTLinear
from peft.tuners.loha.layer import LoHaLayer
from peft.tuners.lokr.layer import LoKrLayer
from peft.tuners.lora.variants import DoraLinearVariant
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from trainables.methods.parts import LOW_RANK, Adapter, FourierFt, Ia3, LowRank, Oft, Peft, Vera
from trainables.methods.peft_types import SEEDS
from trainables.randomness import entropy, torch_seed
from trainables.workloads.anatomy import Projection

_NAME = "default"  # peft can hold many adapters by name; we have one


def inject(model: nn.Module, adapter: Adapter, projections: Sequence[Projection], *, seed: int, task: int) -> nn.Module:
    """Put `adapter` on these layers of a split model, in place; only its parameters require gradients afterwards.

    The model computes the same function as before (pissa, HRA and DEFT change it by rounding). Random draws depend on
    (seed, task) alone, and those that all tasks share, VeRA's matrices and FourierFT's locations, on the seed.
    """
    config = _config(adapter, projections, seed=seed)
    model.requires_grad_(requires_grad=False)
    with torch_seed("adapter", seed, task):
        # What peft.inject_adapter_in_model does, which refuses adapters whose layers share tensors, such as VeRA.
        PEFT_TYPE_TO_TUNER_MAPPING[config.peft_type](model, config, adapter_name=_NAME)
    for layer in _layers(model).values():
        if (forward := _forward(layer)) is not None:
            layer.forward = partial(forward, layer)
    return model


def fold(model: nn.Module) -> nn.Module:
    """Merge every adapter into its layer's weight and bias, and put the plain layer back, in place."""
    for name, layer in _layers(model).items():
        layer.merge()
        model.set_submodule(name, layer.get_base_layer())
    return model


def own_state(model: nn.Module) -> dict[str, Tensor]:
    """The adapter's own tensors, by their names in the adapted model's state dict; shared tensors occur once.

    The same injection on the same weights, with these tensors, is the same adapter.
    """
    inside = tuple(f"{name}." for name in _layers(model))
    persistent = model.state_dict().keys()
    return {
        name: tensor.detach()
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
        if name in persistent and name.startswith(inside) and ".base_layer." not in name
    }


@torch.no_grad()
def load_own_state(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Set the tensors of an adapter to those that `own_state` returned."""
    own = own_state(model)
    assert own.keys() == tensors.keys(), f"not the tensors of this adapter: {sorted(own.keys() ^ tensors.keys())}"
    for name, tensor in own.items():
        tensor.copy_(tensors[name])


class Rehearsal(NamedTuple):
    """The largest moves of outputs of size one: when an adapter is put on, and when it is folded after a change."""

    at_first: float
    when_folded: float


def rehearse(adapter: Adapter, projections: Sequence[Projection]) -> Rehearsal:
    """Put an adapter on untrained layers of these widths, change it a little and fold it."""
    widths = {(projection.inputs, projection.outputs): projection for projection in projections}
    where = [replace(projection, name=str(i)) for i, projection in enumerate(widths.values())]
    with torch_seed("trial of an adapter"), torch.no_grad():
        model = nn.Sequential(*(nn.Linear(projection.inputs, projection.outputs) for projection in where))
        inputs = [torch.randn(2, projection.inputs) for projection in where]

        def outputs() -> list[Tensor]:
            return [layer(x) for layer, x in zip(model, inputs, strict=True)]

        plain = outputs()
        inject(model, adapter, where, seed=0, task=0)
        first = outputs()
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.01)
        changed = outputs()
        fold(model)
        return Rehearsal(_largest(plain, first), _largest(changed, outputs()))


def _largest(some: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    return max(float((one - other).abs().max()) for one, other in zip(some, others, strict=True))


def _layers(model: nn.Module) -> dict[str, Any]:
    """The adapted layers."""
    return {name: module for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)}


# -- adapters as configs of peft ---------------------------------------------------------------------------------------


def _config(adapter: Adapter, projections: Sequence[Projection], *, seed: int) -> PeftConfig:
    layers = _exactly(projections)
    drawn = entropy("adapter", seed) % 2**31
    match adapter:
        case LowRank(name=name, rank=rank, alpha=alpha):
            row = LOW_RANK[name]
            scale = {"lora_alpha" if row.peft_type == "LORA" else "alpha": alpha}
            return PEFT_TYPE_TO_CONFIG_MAPPING[row.peft_type](target_modules=layers, r=rank, **scale, **row.arguments)
        case Vera(rank=rank):
            return VeraConfig(target_modules=layers, r=rank, projection_prng_key=drawn, save_projection=True)
        case Ia3():
            inner = _exactly([projection for projection in projections if projection.target == "mlp_out"])
            return IA3Config(target_modules=layers, feedforward_modules=inner)
        case Oft(block_size=size):
            return OFTConfig(target_modules=layers, r=0, oft_block_size=size)
        case FourierFt(frequencies=frequencies, scaling=scaling):
            return FourierFTConfig(
                target_modules=layers,
                n_frequency=frequencies,
                scaling=scaling,
                random_loc_seed=drawn,
                init_weights=True,
            )
        case Peft(peft_type=kind, arguments=arguments):
            config = PEFT_TYPE_TO_CONFIG_MAPPING[kind]
            seeds = {name: drawn for name in SEEDS if name in config.__dataclass_fields__}
            return config(target_modules=layers, **seeds, **json.loads(arguments))


def _exactly(projections: Sequence[Projection]) -> str:
    """A pattern of these names; of a list peft would take whatever ends like one of them, in other towers too."""
    return "|".join(re.escape(projection.name) for projection in projections)


# -- forward -----------------------------------------------------------------------------------------------------------


def _forward(layer: Any) -> Callable[[Any, Tensor], Tensor] | None:
    """Our forward for a layer of peft; None where peft's own is used."""
    match layer:
        case lora.Linear() if layer.lora_B[_NAME].bias is not None:
            return None
        case lora.Linear() if not layer.lora_variant:
            return _lora
        case lora.Linear() if isinstance(layer.lora_variant[_NAME], DoraLinearVariant):
            return _dora
        case vera.Linear():
            return _vera
        case LoHaLayer() | LoKrLayer() | FourierFTLinear():
            return _dense
    return None


def _lora(layer: Any, x: Tensor) -> Tensor:
    base = layer.get_base_layer()
    return low_rank(x, base.weight, base.bias, *_factors(layer))


def _dora(layer: Any, x: Tensor) -> Tensor:
    """Magnitude / norm * (W + scale B A) x + bias; the norm has no gradient (arXiv 2402.09353, section 4.3)."""
    base, (down_RI, up_OR, scale) = layer.get_base_layer(), _factors(layer)
    with torch.no_grad():
        norm_O = _row_norms(base.weight, down_RI, up_OR, scale)
    factor_O: Tensor = layer.lora_magnitude_vector[_NAME].weight / norm_O
    y = low_rank(x, base.weight, None, down_RI, up_OR, scale)
    y = y * factor_O.to(y.dtype)
    return y if base.bias is None else y + base.bias.to(y.dtype)


def _vera(layer: Any, x: Tensor) -> Tensor:
    base = layer.get_base_layer()
    down_RI = layer.vera_lambda_d[_NAME].unsqueeze(1) * layer.vera_A[_NAME][:, : layer.in_features]
    up_OR = layer.vera_lambda_b[_NAME].unsqueeze(1) * layer.vera_B[_NAME][: layer.out_features]
    return low_rank(x, base.weight, base.bias, down_RI, up_OR, 1.0)


def _dense(layer: Any, x: Tensor) -> Tensor:
    """(W + delta) x + bias of a delta without a low rank; W and delta are added once instead of all outputs.

    peft's own forward of LoHa and LoKr also draws a number from torch's global generator, for a dropout of 0.
    """
    base = layer.get_base_layer()
    return F.linear(x, base.weight + layer.get_delta_weight(_NAME), base.bias)


def _factors(layer: Any) -> tuple[Tensor, Tensor, float]:
    return layer.lora_A[_NAME].weight, layer.lora_B[_NAME].weight, layer.scaling[_NAME]


def low_rank(
    x: Tensor, weight_OI: Tensor, bias_O: Tensor | None, down_RI: Tensor, up_OR: Tensor, scale: float
) -> Tensor:
    """(W + scale * up down) x + bias, for any leading dimensions of x; W and the bias get no gradient.

    Shapes: N samples times tokens, I inputs, O outputs, R rank.
    """
    if torch.is_autocast_enabled(_kind(x)):
        x = x.to(torch.get_autocast_dtype(_kind(x)))
    y: Tensor = _LowRank.apply(x, weight_OI, bias_O, down_RI, up_OR, scale)
    return y


class _LowRank(torch.autograd.Function):
    """One large product forward and one backward, where full fine-tuning has two backward; all others are thin.

    No product of the factors is ever made. peft's forward adds four more passes over N, and its thin products have a
    layout that is up to six times slower on a CPU: rows of length N are what MKL wants, on both sides.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor, scale: float
    ) -> Tensor:
        down, up = down.to(x.dtype), up.to(x.dtype)
        down_RN = down @ _rows(x).T
        y = F.linear(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype))
        _add_product(_rows(y), up, down_RN, scale)
        ctx.save_for_backward(x, weight, down, up, down_RN)
        ctx.scale = scale
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, None, Tensor, Tensor, None]:
        x, weight, down_RI, up_OR, down_RN = ctx.saved_tensors
        scale: float = ctx.scale
        grad_NO = _rows(grad)
        up_RN = up_OR.T.contiguous() @ grad_NO.T
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_NI = grad_NO @ weight.to(x.dtype)
            _add_product(grad_NI, down_RI.T, up_RN, scale)
            grad_x = grad_NI.view(x.shape)
        return grad_x, None, None, scale * (up_RN @ _rows(x)), (scale * (down_RN @ grad_NO)).T, None


def _rows(tensor: Tensor) -> Tensor:
    """Leading dimensions as one: N."""
    return tensor.reshape(-1, tensor.shape[-1])


def _add_product(rows_NK: Tensor, left_KR: Tensor, right_RN: Tensor, scale: float) -> None:
    """Add scale * (left right)^T in place. Not by `addmm_`, which torch's FLOP counter does not see."""
    torch.addmm(rows_NK.T, left_KR, right_RN, alpha=scale, out=rows_NK.T)


def _row_norms(weight_OI: Tensor, down_RI: Tensor, up_OR: Tensor, scale: float) -> Tensor:
    """Norms of the rows of W + scale * up down, from thin products: |W|^2 + 2 s up . (W down^T) + s^2 up G . up.

    G = down down^T. In full precision. Rounding may leave a square of about 1e-7 |W|^2 too little, never a wrong sign
    for rows that are not all but cancelled by their update.
    """
    with torch.autocast(_kind(weight_OI), enabled=False):
        cross_O = (up_OR * (weight_OI @ down_RI.T)).sum(dim=1)
        update_O = (up_OR * (up_OR @ (down_RI @ down_RI.T))).sum(dim=1)
        squares_O = weight_OI.square().sum(dim=1) + 2 * scale * cross_O + scale**2 * update_O
        return squares_O.clamp(min=0).sqrt()


def _kind(tensor: Tensor) -> str:
    """The kind of device that autocast is asked about; autocast does not know the meta device."""
    return "cpu" if tensor.is_meta else tensor.device.type
