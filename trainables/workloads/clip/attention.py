"""Attention with separate q, k, v projections, so that adapters find plain `nn.Linear` layers.

`nn.MultiheadAttention` fuses q, k and v into one parameter and calls its output projection's weight directly; adapters
on it are ignored or counted twice. `split` replaces it by an equal module, `fuse` takes a state back to the old layout.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PROJECTIONS = ("q_proj", "k_proj", "v_proj")


class SplitAttention(nn.Module):
    """Self-attention equal to a batch-first `nn.MultiheadAttention`, out of four `nn.Linear` layers."""

    def __init__(self, fused: nn.MultiheadAttention) -> None:
        super().__init__()
        if not fused.batch_first or fused.in_proj_weight is None or fused.bias_k is not None or fused.dropout:
            raise ValueError("only batch-first attention with equal widths and without dropout can be split")
        self.num_heads = fused.num_heads
        width = fused.embed_dim
        bias = fused.in_proj_bias is not None
        # On the meta device a layer draws no values, which would move torch's global generator.
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width, bias=bias, device="meta") for _ in PROJECTIONS)
        for i, layer in enumerate((self.q_proj, self.k_proj, self.v_proj)):
            rows = slice(i * width, (i + 1) * width)
            layer.weight = nn.Parameter(fused.in_proj_weight[rows].detach().clone())
            if bias:
                layer.bias = nn.Parameter(fused.in_proj_bias[rows].detach().clone())
        self.out_proj = nn.Linear(width, width, bias=bias, device="meta")
        self.out_proj.load_state_dict(fused.out_proj.state_dict(), assign=True)

    def forward(
        self, q_BLD: Tensor, k_BLD: Tensor, v_BLD: Tensor, *, need_weights: bool, attn_mask: Tensor | None = None
    ) -> tuple[Tensor, None]:
        """Attention output [B, L, D]; the second value stands for the weights, which are never computed."""
        assert not need_weights
        q_BHLd, k_BHLd, v_BHLd = (
            projection(x_BLD).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for projection, x_BLD in ((self.q_proj, q_BLD), (self.k_proj, k_BLD), (self.v_proj, v_BLD))
        )
        out_BHLd = F.scaled_dot_product_attention(q_BHLd, k_BHLd, v_BHLd, attn_mask=attn_mask)
        out_BLD: Tensor = self.out_proj(out_BHLd.transpose(1, 2).flatten(2))
        return out_BLD, None


def split(model: nn.Module) -> nn.Module:
    """Replace every `nn.MultiheadAttention` of `model`, in place."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.MultiheadAttention):
                setattr(parent, name, SplitAttention(child))
    return model


def fuse(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A split model's state in the layout of `nn.MultiheadAttention`; other tensors stay as they are."""
    fused = {}
    for name, tensor in state.items():
        if ".q_proj." in name:
            parts = [state[name.replace("q_proj", projection)] for projection in PROJECTIONS]
            fused[name.replace("q_proj.", "in_proj_")] = torch.cat(parts)
        elif ".k_proj." not in name and ".v_proj." not in name:
            fused[name] = tensor
    return fused
