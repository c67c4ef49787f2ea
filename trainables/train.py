"""The training loop, the only one: from the weights that a task starts from to the weights that it ends with."""

import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.lineage import Update
from trainables.methods import attach
from trainables.randomness import generator
from trainables.runtime import Runtime, TrainingError
from trainables.schedules import factor
from trainables.streams.mixture import draw, shares
from trainables.workloads.workload import Batch, State, Workload


@dataclass(frozen=True, kw_only=True)
class Trained:
    """Weights after a task, the loss of each step, and the measured time of the steps."""

    state: dict[str, Tensor]
    losses: tuple[float, ...]
    wall_seconds: float


def train(update: Update, start: State, workload: Workload, runtime: Runtime) -> Trained:
    """Train `start` on the task of `update`.

    AdamW with all its state fresh, decay on every trained tensor, one clipping of the whole gradient, and the schedule
    restarted (arXiv 2408.14471, section 5). The batch of a step depends on (seed, task, step) alone.

    Raises:
        TrainingError: the loss or a weight became infinite or NaN.
    """
    recipe, task = update.recipe, update.task
    attached = attach(recipe.method, workload, start, seed=update.seed, task=task.index)
    model = attached.model.to(runtime.device).train()
    parameters = attached.trainable
    optimiser = torch.optim.AdamW(
        parameters,
        lr=recipe.optimiser.lr,
        betas=(recipe.optimiser.beta1, recipe.optimiser.beta2),
        eps=recipe.optimiser.eps,
        weight_decay=recipe.optimiser.weight_decay,
        fused=True,
    )
    sources = Sources(update, workload)
    losses = []
    began = time.perf_counter()
    for step in range(recipe.steps):
        for group in optimiser.param_groups:
            group["lr"] = recipe.optimiser.lr * factor(recipe.schedule, step=step, steps=recipe.steps)
        batch = sources.batch(step)
        with torch.autocast(runtime.kind, dtype=torch.bfloat16, enabled=recipe.precision == "bf16"):
            loss = workload.loss(model, Batch(*(tensor.to(runtime.device, non_blocking=True) for tensor in batch)))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, recipe.optimiser.clip_norm)
        optimiser.step()
        workload.after_step(model)
        losses.append(loss.detach())
    values = tuple(torch.stack(losses).tolist())
    wall_seconds = time.perf_counter() - began
    state = attached.fold()
    _require_finite(values, state, update)
    return Trained(state=state, losses=values, wall_seconds=wall_seconds)


class Sources:
    """The samples that a task draws from: pool, new concepts, buffer of the earlier ones."""

    def __init__(self, update: Update, workload: Workload) -> None:
        task, recipe = update.task, update.recipe
        counts = shares(recipe.mixture, recipe.batch_size, buffer_empty=not task.earlier)
        self._parts: list[tuple[str, NDArray[np.int64], int]] = [("new", workload.samples(task.new), counts.new)]
        if counts.pool:
            self._parts.append(("pool", workload.pool(), counts.pool))
        if counts.buffer:
            self._parts.append(("buffer", workload.samples(task.earlier), counts.buffer))
        self._workload, self._seed, self._task = workload, update.seed, task.index

    def batch(self, step: int) -> Batch:
        """The batch of a step: new, pool, buffer."""
        ids = [
            draw(samples, count, seed=self._seed, task=self._task, step=step, source=source)
            for source, samples, count in self._parts
        ]
        return self._workload.batch(np.concatenate(ids), generator("captions", self._seed, self._task, step))


def _require_finite(losses: tuple[float, ...], state: State, update: Update) -> None:
    """The loss of a step is taken before its update, so the weights after the last one are looked at as well."""
    bad = np.flatnonzero(~np.isfinite(losses))
    if len(bad):
        what = f"the loss was {losses[bad[0]]} at step {bad[0]}"
    elif not all(bool(tensor.isfinite().all()) for tensor in state.values() if tensor.is_floating_point()):
        what = "the weights were not finite at the end"
    else:
        return
    raise TrainingError(
        f"{what} of task {update.task.index} (lr {update.recipe.optimiser.lr:g}); "
        "lower the learning rate or raise the warm-up"
    )
