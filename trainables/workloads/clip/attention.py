"""Attention in two forms: of one projection, as all models here have it, and of separate ones, for adapters.

`own` replaces open_clip's `nn.MultiheadAttention` by `FusedAttention`: the same function under the same names, without
the copies that torch makes of q, k and v (a step of the pocket model takes 0.9 of the time), and without the other
kernel that torch takes in evaluation. Adapters need plain `nn.Linear` layers: `split` makes them, also of timm's
attention that has one layer for q, k and v, and `fuse` takes a state back to the old layout. Kinds of attention that
are not known keep their fused layers.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.transformer import AttentionalPooler
from timm.layers.attention import Attention, AttentionRope
from timm.models.eva import EvaAttention
from timm.models.fastvit import Attention as FastVitAttention
from timm.models.swin_transformer import WindowAttention
from timm.models.vision_transformer_relpos import RelPosAttention
from torch import Tensor, nn

PROJECTIONS = ("q_proj", "k_proj", "v_proj")
PARTS = ("q", "k", "v")

_THIRDS = (Attention, AttentionRope, EvaAttention, FastVitAttention, WindowAttention, RelPosAttention)
"""Attention of timm whose layer `qkv` has q, k and v as the first, second and third part of its rows, all heads."""

_SPLIT_ATTENTION = re.compile(r"(.*resblocks\.\d+\.attn\.)([qkv])_proj\.(weight|bias)")
_SPLIT_LINEAR = re.compile(r"(.*\.qkv\.)([qkv])\.(weight|bias)")


class FusedAttention(nn.Module):
    """Self-attention equal to a batch-first `nn.MultiheadAttention`, whose parameters it takes over by their names."""

    in_proj_bias: nn.Parameter | None

    def __init__(self, packed: nn.MultiheadAttention) -> None:
        super().__init__()
        _require_plain(packed)
        self.num_heads, self.embed_dim = packed.num_heads, packed.embed_dim
        self.in_proj_weight = packed.in_proj_weight
        self.register_parameter("in_proj_bias", packed.in_proj_bias)
        self.out_proj = packed.out_proj

    def forward(
        self, q_BLD: Tensor, k_BLD: Tensor, v_BLD: Tensor, *, need_weights: bool, attn_mask: Tensor | None = None
    ) -> tuple[Tensor, None]:
        """Attention output [B, L, D]; the second value stands for the weights, which are never computed."""
        assert not need_weights
        assert q_BLD is k_BLD is v_BLD
        projected_BLE = F.linear(q_BLD, self.in_proj_weight, self.in_proj_bias)
        q_BLHd, k_BLHd, v_BLHd = projected_BLE.unflatten(-1, (len(PARTS), self.num_heads, -1)).unbind(dim=2)
        out_BLD: Tensor = self.out_proj(_attended(q_BLHd, k_BLHd, v_BLHd, attn_mask))
        return out_BLD, None


class SplitAttention(nn.Module):
    """Self-attention equal to a fused one, out of four `nn.Linear` layers."""

    def __init__(self, fused: FusedAttention) -> None:
        super().__init__()
        self.num_heads = fused.num_heads
        width = fused.embed_dim
        bias = fused.in_proj_bias is not None
        # On the meta device a layer draws no values, which would move torch's global generator.
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width, bias=bias, device="meta") for _ in PROJECTIONS)
        for i, layer in enumerate((self.q_proj, self.k_proj, self.v_proj)):
            rows = slice(i * width, (i + 1) * width)
            layer.weight = nn.Parameter(fused.in_proj_weight[rows].detach().clone())
            if fused.in_proj_bias is not None:
                layer.bias = nn.Parameter(fused.in_proj_bias[rows].detach().clone())
        self.out_proj = nn.Linear(width, width, bias=bias, device="meta")
        self.out_proj.load_state_dict(fused.out_proj.state_dict(), assign=True)

    def forward(
        self, q_BLD: Tensor, k_BLD: Tensor, v_BLD: Tensor, *, need_weights: bool, attn_mask: Tensor | None = None
    ) -> tuple[Tensor, None]:
        """As that of `FusedAttention`."""
        assert not need_weights
        q_BLHd, k_BLHd, v_BLHd = (
            projection(x_BLD).unflatten(-1, (self.num_heads, -1))
            for projection, x_BLD in ((self.q_proj, q_BLD), (self.k_proj, k_BLD), (self.v_proj, v_BLD))
        )
        out_BLD: Tensor = self.out_proj(_attended(q_BLHd, k_BLHd, v_BLHd, attn_mask))
        return out_BLD, None


class SplitLinear(nn.Module):
    """A linear layer [B, L, 3 * W] of three layers whose outputs follow each other; any leading dimensions."""

    def __init__(self, fused: nn.Linear) -> None:
        super().__init__()
        rows = fused.out_features // len(PARTS)
        self.q, self.k, self.v = (
            nn.Linear(fused.in_features, rows, bias=fused.bias is not None, device="meta") for _ in PARTS
        )
        for i, layer in enumerate((self.q, self.k, self.v)):
            layer.weight = nn.Parameter(fused.weight[i * rows : (i + 1) * rows].detach().clone())
            if fused.bias is not None:
                layer.bias = nn.Parameter(fused.bias[i * rows : (i + 1) * rows].detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """The three outputs, one after the other."""
        return torch.cat([self.q(x), self.k(x), self.v(x)], dim=-1)


def own(model: nn.Module) -> nn.Module:
    """Replace every `nn.MultiheadAttention` that `FusedAttention` equals, in place; its parameters stay the same.

    Poolers stay: their queries are others than their keys.
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(parent, AttentionalPooler) or not isinstance(child, nn.MultiheadAttention):
                continue
            if _is_plain(child):
                setattr(parent, name, FusedAttention(child))
    return model


def split(model: nn.Module) -> nn.Module:
    """Replace every fused projection that is known, in place; poolers outside of the blocks stay as they are.

    Raises:
        ValueError: an `nn.MultiheadAttention` of a kind that cannot be split.
    """
    for parent in list(own(model).modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, FusedAttention):
                setattr(parent, name, SplitAttention(child))
            elif isinstance(child, nn.MultiheadAttention) and not isinstance(parent, AttentionalPooler):
                _require_plain(child)
            elif name == "qkv" and isinstance(parent, _THIRDS) and isinstance(child, nn.Linear):
                setattr(parent, name, SplitLinear(child))
                _call_the_layer(parent)
    return model


def fuse(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A split model's state in the layout of the fused one; other tensors stay as they are."""
    fused = {}
    for name, tensor in state.items():
        if match := _SPLIT_ATTENTION.fullmatch(name):
            parts, whole = [f"{match[1]}{part}_proj.{match[3]}" for part in PARTS], f"{match[1]}in_proj_{match[3]}"
        elif match := _SPLIT_LINEAR.fullmatch(name):
            parts, whole = [f"{match[1]}{part}.{match[3]}" for part in PARTS], f"{match[1]}{match[3]}"
        else:
            fused[name] = tensor
            continue
        if match[2] == PARTS[0]:
            fused[whole] = torch.cat([state[part] for part in parts])
    return fused


def fused_in(modules: Mapping[str, nn.Module], name: str) -> tuple[str, ...]:
    """Names of the layers q, k and v of the split model whose weights a tensor holds; none if it is no fused weight.

    Args:
        modules: of the model that is not split, by name.
        name: of the weight, in the model's state dict.

    Raises:
        ValueError: it is of an attention that cannot be split.
    """
    path, _, leaf = name.rpartition(".")
    parent, _, last = path.rpartition(".")
    holder = modules[path]
    if isinstance(holder, nn.MultiheadAttention) and leaf == "in_proj_weight":
        _require_plain(holder)
        return tuple(f"{path}.{projection}" for projection in PROJECTIONS)
    if last == "qkv" and leaf == "weight" and isinstance(modules[parent], _THIRDS):
        return tuple(f"{path}.{part}" for part in PARTS)
    return ()


def is_output(modules: Mapping[str, nn.Module], path: str) -> bool:
    """Whether a layer is the output of an attention that `split` replaces."""
    parent, _, last = path.rpartition(".")
    return last == "out_proj" and isinstance(modules[parent], nn.MultiheadAttention)


def _attended(q_BLHd: Tensor, k_BLHd: Tensor, v_BLHd: Tensor, mask: Tensor | None) -> Tensor:
    """The heads' outputs side by side [B, L, D]; the mask is [L, L], or [B * H, L, L] where texts have their own."""
    if mask is not None and mask.dim() == 3:
        mask = mask.unflatten(0, (-1, q_BLHd.shape[2]))
    q_BHLd, k_BHLd, v_BHLd = (each_BLHd.transpose(1, 2) for each_BLHd in (q_BLHd, k_BLHd, v_BLHd))
    return F.scaled_dot_product_attention(q_BHLd, k_BHLd, v_BHLd, attn_mask=mask).transpose(1, 2).flatten(2)


def _is_plain(packed: nn.MultiheadAttention) -> bool:
    adds_nothing = packed.bias_k is None and not packed.add_zero_attn and not packed.dropout
    return packed.batch_first and packed.in_proj_weight is not None and adds_nothing


def _require_plain(packed: nn.MultiheadAttention) -> None:
    if not _is_plain(packed):
        raise ValueError("only batch-first attention with equal widths and without dropout can be split")


def _call_the_layer(parent: Any) -> None:
    """Let EVA call its layer and add the biases, which equals its own product with the layer's weight."""
    if isinstance(parent, EvaAttention):
        parent.qkv_bias_separate = True
