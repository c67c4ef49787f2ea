"""Merge rules: pure functions on state dicts. The inputs are never changed; w always weighs the OLD weights."""

from collections.abc import Mapping

import torch
from torch import Tensor


class MergeError(ValueError):
    """Weights that cannot be merged; the message lists the tensors that differ."""


def lerp(old: Mapping[str, Tensor], new: Mapping[str, Tensor], *, w: float) -> dict[str, Tensor]:
    """Linear interpolation: w * old + (1 - w) * new, tensor by tensor, accumulated in fp32 whatever the storage type.

    Tensors that are not floating point are copied from `new`. Source: arXiv 2408.14471, section 5.2 (EMA-merge).

    Raises:
        MergeError: names or shapes differ.
    """
    _check_alike(old, new)
    return {name: _lerp(old[name], tensor, w) for name, tensor in new.items()}


def _lerp(old: Tensor, new: Tensor, w: float) -> Tensor:
    if not new.is_floating_point():
        return new.clone()
    # torch.lerp is exact at both ends: weight 0 gives new, weight 1 gives old, to the bit.
    return torch.lerp(new.float(), old.float(), w).to(new.dtype)


def _check_alike(old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> None:
    only = sorted(old.keys() ^ new.keys())
    shapes = [
        f"{name} {tuple(old[name].shape)} / {tuple(new[name].shape)}"
        for name in sorted(old.keys() & new.keys())
        if old[name].shape != new[name].shape
    ]
    if only or shapes:
        raise MergeError(f"weights differ; tensors in only one of them: {only or 'none'}; shapes: {shapes or 'none'}")


RULES = {"lerp": lerp}
