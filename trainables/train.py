"""The training loop, the only one: from the weights that a task starts from to the weights that it ends with."""

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.config import Recipe
from trainables.frozen import ConfigError
from trainables.memory.device_memory import is_recomputed, memory_errors, peaks
from trainables.memory.recompute import recompute
from trainables.methods import penalties
from trainables.methods.attach import Attached, attach
from trainables.methods.galore import GaloreAdamW
from trainables.nodes import Update, first_of
from trainables.randomness import generator
from trainables.runtime import Runtime, TrainingError
from trainables.schedules import factor
from trainables.streams.buffers import buffer_samples
from trainables.streams.mixture import draw, shares
from trainables.workloads.workload import Batch, State, Workload, to_device

Carry = Mapping[str, Tensor]
"""The tensors on the CPU that an update leaves for later ones: "adapter/NAME" of an adapter, and a penalty's memory."""

ADAPTER = "adapter/"
NOTHING: Mapping[int, Callable[[State], object]] = {}


@dataclass(frozen=True, kw_only=True)
class Start:
    """The start of an update: weights (of an adapter that continues, those that it was first put on) and a carry."""

    state: State
    carry: Carry


@dataclass(frozen=True, kw_only=True)
class Trained:
    """Weights after a task, their carry, the loss of each step, and the measured time of the training."""

    state: dict[str, Tensor]
    carry: dict[str, Tensor]
    losses: tuple[float, ...]
    wall_seconds: float


def train(
    update: Update,
    start: Start,
    workload: Workload,
    runtime: Runtime,
    *,
    watch: Mapping[int, Callable[[State], object]] = NOTHING,
) -> Trained:
    """Train `start` on the task of `update`.

    AdamW with all its state fresh, decay on every trained tensor, one clipping of the whole gradient, and the schedule
    restarted (arXiv 2408.14471, section 5). A penalty adds its gradient to the loss's before the clipping. The batch of
    a step depends on (seed, task, step) alone. With `online_ema` the update is the average of the weights over the
    steps, from the start on, and that is also what penalties and later tasks see of it. `watch` is called with the
    weights after some steps (from 1); it changes nothing, and its time is not counted.

    Raises:
        TrainingError: the loss or a weight became infinite or NaN, or the memory ran out.
    """
    recipe = update.recipe
    with memory_errors(f"training {recipe.method.name} on {recipe.batch_size} samples a step on {runtime.device}"):
        return _trained(update, start, workload, runtime, watch)


def _trained(
    update: Update,
    start: Start,
    workload: Workload,
    runtime: Runtime,
    watch: Mapping[int, Callable[[State], object]],
) -> Trained:
    recipe, method = update.recipe, update.recipe.method
    again = recomputes(recipe, workload, runtime)
    attached = _attached(update, start, workload)
    model = attached.model.to(runtime.device).train()
    if again:
        recompute(workload.blocks(model))
    if recipe.temperature is not None:
        _set_temperature(model, recipe.temperature, workload)
    parameters = attached.trainable
    optimiser = GaloreAdamW(parameters.values(), method.projection, recipe.optimiser)
    base = workload.base() if method.penalty is not None and method.penalty.needs_base else {}
    pull, memory = penalties.build(method.penalty, parameters, carry=start.carry, base=base)
    batches = Batches(update, workload)

    def backward(step: int) -> Tensor:
        """Leave the gradient of the loss of a batch in the parameters, and return the loss."""
        batch = to_device(batches.batch(step), runtime.device)
        optimiser.zero_grad()  # before the forward pass, which then has their memory
        with torch.autocast(runtime.kind, dtype=torch.bfloat16, enabled=recipe.precision == "bf16"):
            loss = workload.loss(model, batch)
        loss.backward()
        return loss.detach()

    def rate(step: int) -> float:
        return factor(recipe.schedule, step=step, steps=recipe.steps, earlier=update.earlier_steps)

    average = [parameter.detach().clone() for parameter in parameters.values()] if recipe.averages else []
    losses = []
    began = time.perf_counter()
    for step in range(recipe.steps):
        losses.append(backward(step))
        memory.before_step()  # before the penalty's own gradient, which is none of the loss
        pull.add_gradient()
        torch.nn.utils.clip_grad_norm_(parameters.values(), recipe.optimiser.clip_norm)
        optimiser.set_lr(recipe.optimiser.lr * rate(step))
        optimiser.step()
        workload.after_step(model)
        memory.after_step()
        if average:
            torch._foreach_lerp_(average, [p.detach() for p in parameters.values()], 1 - (recipe.online_ema or 0.0))
        if step + 1 in watch:
            paused = time.perf_counter()
            watch[step + 1](_on_the_way(attached, average))
            began += time.perf_counter() - paused
    if average:
        with torch.no_grad():
            torch._foreach_copy_(list(parameters.values()), average)
    for extra in range(recipe.extra_passes):
        backward(recipe.steps + extra)
        memory.after_extra_pass()
    carry = memory.carry()
    values = tuple(torch.stack(losses).tolist())
    wall_seconds = time.perf_counter() - began
    carry |= {ADAPTER + name: tensor for name, tensor in attached.own().items()}
    state = attached.fold(model)
    _require_finite(values, state, update)
    return Trained(state=state, carry=carry, losses=values, wall_seconds=wall_seconds)


def recomputes(recipe: Recipe, workload: Workload, runtime: Runtime) -> bool:
    """Whether steps of a recipe compute their activations again; where the memory is not known, only if told to.

    Raises:
        TrainingError: a step does not fit in the memory of the device; nothing has been trained.
    """
    if runtime.device_bytes is None:
        return runtime.recompute == "on"
    needed = peaks(recipe, workload)
    try:
        return is_recomputed(recipe, needed, recompute=runtime.recompute, device_bytes=runtime.device_bytes)
    except ConfigError as error:
        raise TrainingError(f"{error}") from error


def _on_the_way(attached: Attached, average: Sequence[Tensor]) -> dict[str, Tensor]:
    """The weights in the middle of a task, folded in a copy, so that training goes on as if nobody had looked."""
    model = copy.deepcopy(attached.model)
    if average:
        with torch.no_grad():
            trained: list[Tensor] = [parameter for parameter in model.parameters() if parameter.requires_grad]
            torch._foreach_copy_(trained, list(average))
    return attached.fold(model)


def _set_temperature(model: nn.Module, temperature: float, workload: Workload) -> None:
    """Set the temperature that a task starts from; logit_scale is the logarithm of its inverse."""
    with torch.no_grad():
        for parameter in workload.identity.anatomy.parameters:
            if parameter.part == "scale" and not parameter.bias:
                model.get_parameter(parameter.name).fill_(-math.log(temperature))


def folded(update: Update, state: State, carry: Carry, workload: Workload) -> dict[str, Tensor]:
    """The weights of an update whose adapter is in `carry`: `state` with the adapter folded in, as in `train`."""
    attached = _attached(update, Start(state=state, carry=carry), workload, continues=True)
    return attached.fold(attached.model)


def _attached(update: Update, start: Start, workload: Workload, *, continues: bool | None = None) -> Attached:
    continues = update.continues if continues is None else continues
    adapter = {name.removeprefix(ADAPTER): t for name, t in start.carry.items() if name.startswith(ADAPTER)}
    return attach(
        update.recipe.method,
        workload,
        start.state,
        seed=update.seed,
        task=first_of(update).task.index,
        adapter=adapter if continues else None,
    )


def _buffered(update: Update, workload: Workload) -> NDArray[np.int64]:
    """The samples of earlier concepts that the buffer holds."""
    mixture, earlier = update.recipe.mixture, sorted(update.task.earlier)
    if mixture.buffer_size is None or mixture.buffer_policy is None:
        return workload.samples(earlier)
    samples = [workload.samples((concept,)) for concept in earlier]
    return buffer_samples(earlier, samples, size=mixture.buffer_size, policy=mixture.buffer_policy, seed=update.seed)


class Batches:
    """The batches of a task, drawn from the pool, the new concepts, and the buffer of earlier ones."""

    def __init__(self, update: Update, workload: Workload) -> None:
        task, recipe = update.task, update.recipe
        counts = shares(recipe.mixture, recipe.batch_size, buffer_empty=not task.earlier)
        self._parts: list[tuple[str, NDArray[np.int64], int]] = [("new", workload.samples(task.new), counts.new)]
        if counts.pool:
            self._parts.append(("pool", workload.pool(), counts.pool))
        if counts.buffer:
            self._parts.append(("buffer", _buffered(update, workload), counts.buffer))
        self._workload, self._seed, self._task = workload, update.seed, task.index

    def batch(self, step: int) -> Batch:
        """The batch of a step: its samples of new concepts, pool and buffer, in this order."""
        ids = [
            draw(samples, count, seed=self._seed, task=self._task, step=step, source=source)
            for source, samples, count in self._parts
        ]
        # The label is older than workloads without captions; another would move the numbers of all stores.
        return self._workload.batch(np.concatenate(ids), generator("captions", self._seed, self._task, step))


def _require_finite(losses: tuple[float, ...], state: State, update: Update) -> None:
    """Raise TrainingError for a loss or a weight that is not finite; the loss of a step is blind to its own update."""
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
