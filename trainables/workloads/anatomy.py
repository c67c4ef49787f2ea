"""The anatomy of a model: its named tensors, and the linear layers that an adapter may change.

Methods choose among these declarations ("biases", "the attention of the last layer of the text tower") and know no
model family. A workload declares each entry of its own state dict exactly once. This file imports no torch, since
plans read anatomies.
"""

import math
from dataclasses import dataclass
from typing import Literal

Part = Literal["norm", "attention", "mlp", "embedding", "head", "scale"]
Target = Literal["q", "k", "v", "out", "mlp_in", "mlp_out"]


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One tensor of the model.

    Attributes:
        name: key in the model's own state dict.
        shape: its sizes; () of a scalar.
        tower: name of the tower, such as "image" or "text"; None of a tensor of no tower.
        layer: index of the transformer block, or of the stage of a convolutional tower; None outside of these.
        part: "embedding" turns inputs into vectors (patches, tokens, positions), "head" projects the tower's output,
            "mlp" is all else within a block, convolutions too, "scale" is the temperature of the loss.
        bias: whether it is a bias, be it of a layer, of a norm or of fused projections.
        fixed: whether it never trains: a buffer, such as running statistics, or a constant.
    """

    name: str
    shape: tuple[int, ...]
    tower: str | None
    layer: int | None
    part: Part
    bias: bool
    fixed: bool = False


@dataclass(frozen=True, kw_only=True)
class Projection:
    """A linear layer of the split model (`Workload.split`).

    Attributes:
        name: the module's name in the split model.
        parameter: key in the model's own state dict of the tensor that holds its weight, alone or among others.
        tower: as of `Parameter`.
        layer: as of `Parameter`.
        target: the work of the layer in its block.
        inputs: features that go in.
        outputs: features that come out.
    """

    name: str
    parameter: str
    tower: str
    layer: int
    target: Target
    inputs: int
    outputs: int


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """All parameters and all projections of a model, in an order that depends on their names alone."""

    parameters: tuple[Parameter, ...]
    projections: tuple[Projection, ...]

    @property
    def size(self) -> int:
        """The number of numbers that may train, which is called the number of parameters of a model."""
        return sum(math.prod(parameter.shape) for parameter in self.parameters if not parameter.fixed)

    @property
    def towers(self) -> tuple[str, ...]:
        """Names of the towers, sorted."""
        return tuple(sorted({parameter.tower for parameter in self.parameters if parameter.tower is not None}))

    def depth(self, tower: str) -> int:
        """Number of transformer blocks of a tower."""
        if tower not in self.towers:
            raise ValueError(f"the model has no tower {tower!r}; choose one of {list(self.towers)}")
        return len({parameter.layer for parameter in self.parameters if parameter.tower == tower} - {None})
