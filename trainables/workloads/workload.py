"""The seam between the update cycle and a model with its data: what a workload must offer, and nothing more."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.config import Subset
from trainables.metrics import Score
from trainables.workloads.identity import Identity

State = Mapping[str, Tensor]
"""Weights by name, in the workload's own layout, on the CPU. Never changed in place."""


class Batch(NamedTuple):
    """Model inputs of one step: B images, their U distinct captions, and for each image the row of its caption.

    Images are bytes, which the loss turns into what the model sees, on the device that they are on. `crops_B4` are the
    parts of them to see, as top, left, height and width in fractions; without rows: all of them. Captions are as long
    as the longest of them, padded with zeros.
    """

    images_BCHW: Tensor  # noqa: N815
    tokens_UL: Tensor  # noqa: N815
    caption_B: Tensor  # noqa: N815
    crops_B4: Tensor = torch.empty(0, 4)  # noqa: N815

    def to(self, device: torch.device | str) -> "Batch":
        """The same on a device, sent while the caller goes on."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in self))


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
        """Samples by id, on the CPU; `rng` chooses among the captions of a sample."""

    def example(self, batch_size: int) -> Batch:
        """A nominal batch with any values: all captions distinct and as long as the model allows; no data is loaded.

        Costs are counted on it, so they are those of the plain computation, whatever a batch of data saves.
        """

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean loss of a batch, a scalar."""

    def after_step(self, model: nn.Module) -> None:
        """Project the parameters onto the allowed set, in place, after each optimiser step."""

    def evaluate(self, model: nn.Module, subset: Subset | None = None) -> tuple[Score, ...]:
        """Scores on every data set of the suite, over its full label set, of all test images or a subset of them."""

    def split(self, model: nn.Module) -> nn.Module:
        """The same function with each projection of the anatomy an `nn.Linear` of its own; changes `model` in place."""

    def fuse(self, state: State) -> dict[str, Tensor]:
        """State of a split model, in the workload's own layout."""

    def export(self, state: State, folder: Path) -> None:
        """Write weights as a checkpoint that the model's own library loads."""
