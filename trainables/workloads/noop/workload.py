"""The noop workload itself: linear regression without a bias, from 1 to the numbers that samples ask for."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.frozen import ConfigError
from trainables.metrics import Score
from trainables.workloads.identity import Identity
from trainables.workloads.noop.identity import (
    CLASSES,
    POOL,
    PRETRAINED,
    SAMPLES,
    TESTS,
    WEIGHT,
    data_sets,
    targets,
)
from trainables.workloads.noop.settings import Noop
from trainables.workloads.settings import Subset
from trainables.workloads.workload import Checkpoint, Layout, State

if TYPE_CHECKING:
    from trainables.workloads.workload import Workload


NoopBatch = dict[str, Tensor]
"""Numbers `asked` for [B, 1], and the `samples` [B] and `concepts` [B] that ask: labels, as those of real data."""


class NoopWorkload:
    """One weight, and for each sample a number that the weight should have."""

    def __init__(self, config: Noop, identity: Identity) -> None:
        self.identity: Identity = identity
        self._suite = data_sets(config.datasets)
        asked = np.repeat(np.fromiter(targets(config.datasets), np.float32), SAMPLES)
        self._targets = torch.from_numpy(np.concatenate([asked, np.full(POOL, PRETRAINED, np.float32)]))
        self._places = {name: i for i, name in enumerate(self.identity.concepts)}

    def architecture(self) -> nn.Module:
        """A linear layer from one number to one."""
        return nn.Linear(1, 1, bias=False)

    def base(self) -> dict[str, Tensor]:
        """The weight that only the held-out data ask for."""
        return {WEIGHT: torch.tensor([[PRETRAINED]])}

    def pool(self) -> NDArray[np.int64]:
        """Samples that ask for the pretrained weight."""
        return np.arange(len(self._targets) - POOL, len(self._targets))

    def samples(self, concepts: Sequence[str]) -> NDArray[np.int64]:
        """Ids of the training samples of some concepts."""
        places = np.array(sorted(self._places[name] for name in concepts), dtype=np.int64)
        return (SAMPLES * places[:, None] + np.arange(SAMPLES)).reshape(-1)

    def batch(self, ids: NDArray[np.int64], rng: np.random.Generator) -> NoopBatch:  # noqa: ARG002 (nothing is drawn)
        """The samples with what they ask for."""
        samples_B = torch.from_numpy(ids)
        asked_B1 = self._targets[samples_B].unsqueeze(1)
        return {"asked": asked_B1, "samples": samples_B, "concepts": samples_B // SAMPLES}

    def example(self, batch_size: int) -> NoopBatch:
        """Samples that ask for 0."""
        nothing_B = torch.zeros(batch_size, dtype=torch.long)
        return {"asked": torch.zeros(batch_size, 1), "samples": nothing_B, "concepts": nothing_B.clone()}

    def loss(self, model: nn.Module, batch: NoopBatch) -> Tensor:
        """Mean squared distance of the weight from the numbers asked for."""
        predicted: Tensor = model(torch.ones_like(batch["asked"]))
        return F.mse_loss(predicted.float(), batch["asked"])

    def after_step(self, model: nn.Module) -> None:
        """Do nothing: every weight is allowed."""

    def evaluate(self, model: nn.Module, subset: Subset | None = None) -> tuple[Score, ...]:
        """Scores 1 / (1 + squared distance of the weight from the data set's number), also for a subset."""
        weight = float(model.get_parameter(WEIGHT).detach())
        tests = TESTS if subset is None else subset.size(TESTS, CLASSES)
        return tuple(
            Score(
                dataset=one.name,
                group=one.group,
                metric="nearness",
                value=1 / (1 + (weight - one.asks_for) * (weight - one.asks_for)),
                n=tests,
            )
            for one in self._suite
        )

    def blocks(self, model: nn.Module) -> Sequence[nn.Module]:  # noqa: ARG002
        """None: nothing is kept for the backward pass that could be computed again."""
        return ()

    def split(self, model: nn.Module) -> nn.Module:
        """The model itself, since it has no projections."""
        return model

    def fuse(self, state: State) -> dict[str, Tensor]:
        """A copy of the state, which nothing has split."""
        return dict(state)

    def export(self, state: State, folder: Path, layout: Layout) -> Checkpoint:  # noqa: ARG002
        """Raises: ConfigError: one number is no checkpoint."""
        raise ConfigError("export: the workload noop has no model that a library could load; export is of real ones")


if TYPE_CHECKING:

    def _check(workload: NoopWorkload) -> Workload:
        return workload
