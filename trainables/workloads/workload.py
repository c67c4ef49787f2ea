"""The seam between the update cycle and a model with its data: the methods that a workload must have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from trainables.metrics import Score
from trainables.workloads.identity import Identity
from trainables.workloads.settings import Subset

State = Mapping[str, Tensor]
"""Weights by name, in the workload's own layout, on the CPU. Never changed in place."""


Batch: TypeAlias = object
"""Model inputs of one step: a tensor, or a tree of tensors in dicts, lists and (named) tuples.

Only the workload that made a batch looks inside of it.
"""

_Tree = TypeVar("_Tree")


def to_device(batch: _Tree, device: torch.device | str) -> _Tree:
    """The same batch on a device; tensors are sent while the caller goes on."""
    sent: _Tree = tree_map_only(Tensor, lambda tensor: tensor.to(device, non_blocking=True), batch)
    return sent


Layout = Literal["open_clip", "hf"]
"""What an exported folder is for: the model's own library, or also a hub, to be put there as it is."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The words for a user of an exported checkpoint.

    Attributes:
        loading: Python code that loads the checkpoint; FOLDER stands for its place.
        hub_head: head of a card on the hub.
        notes: changes that the folder needs when it moves.
    """

    loading: str
    hub_head: str
    notes: tuple[str, ...] = ()


class Workload(Protocol):
    """A model family with its data. Everything is deterministic; no method keeps state that a later call can see."""

    def __hash__(self) -> int:
        """Workloads are values to caches: equal only to themselves."""

    @property
    def identity(self) -> Identity:
        """Digests, concepts and anatomy."""

    def architecture(self) -> nn.Module:
        """A new module in the workload's own layout; its values are arbitrary."""

    def base(self) -> dict[str, Tensor]:
        """The pretrained weights; the caller owns the tensors."""

    def pool(self) -> NDArray[np.int64]:
        """Ids of the pretraining samples."""

    def samples(self, concepts: Sequence[str]) -> NDArray[np.int64]:
        """Ids of the training samples of some adaptation concepts, in canonical order."""

    def batch(self, ids: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """Samples by id, on the CPU; `rng` makes every random choice within a sample, such as one of its captions."""

    def example(self, batch_size: int) -> Batch:
        """A batch of the largest shapes that samples can have, with any values; no data is loaded.

        Costs are counted on this batch, so they are those of the plain computation, whatever a batch of data saves. The
        meta device counts them too, so no branch of the loss may depend on values.
        """

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """Mean loss of a batch, a scalar."""

    def after_step(self, model: nn.Module) -> None:
        """Project the parameters onto the allowed set, in place, after each optimiser step."""

    def evaluate(self, model: nn.Module, subset: Subset | None = None) -> tuple[Score, ...]:
        """Scores on every data set of the suite, over its full label set, of all test samples or a subset of them."""

    def blocks(self, model: nn.Module) -> Sequence[nn.Module]:
        """The blocks of a model, split and adapted or not, of which each can be computed again from what goes into it.

        None lies in another, and all that a block does it does in its forward pass; a model may have none.
        """

    def split(self, model: nn.Module) -> nn.Module:
        """The same function with each projection of the anatomy an `nn.Linear` of its own; changes `model` in place."""

    def fuse(self, state: State) -> dict[str, Tensor]:
        """The state of a split model in the workload's own layout."""

    def export(self, state: State, folder: Path, layout: Layout) -> Checkpoint:
        """Write weights as a checkpoint that the model's own library loads.

        Raises:
            ConfigError: the workload has no such checkpoint.
        """
