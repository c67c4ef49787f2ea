"""One trial's training against open_clip's own loop: same model, weights, batches, rates and threads, same process.

The other loop is `open_clip_train.train.train_one_epoch` with torch's plain AdamW, on batches that are already
normalised floats and tokens in memory. Ours draws, mixes and normalises each batch, and folds the weights. Rounds
alternate; times are of the CPU, which a loaded machine moves little, and on a GPU of the clock. The number is the ratio
of open_clip's median time to ours: at least 1 where ours is as fast. Full fine-tuning of the pocket model, rounds of
14 steps on two hyper-threads of an AMD EPYC core: 1.10, and between 1.10 and 1.20 with other work on them.

    python -m tests.benchmarks.training [--batch-size 128] [--steps 16] [--rounds 5] [--method lora]
"""

import argparse
import json
import statistics
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from open_clip import ClipLoss
from open_clip_train.train import train_one_epoch
from torch import Tensor, nn

from trainables.config import Recipe
from trainables.methods.method import METHODS, named
from trainables.methods.parts import Optimiser
from trainables.nodes import Base, Update
from trainables.runtime import Runtime
from trainables.schedules import factor
from trainables.streams.tasks import cut
from trainables.train import Batches, Start, train
from trainables.workloads.catalogue import open_workload
from trainables.workloads.clip.batch import ClipBatch
from trainables.workloads.clip.workload import ClipWorkload
from trainables.workloads.pocket.model import build
from trainables.workloads.pocket.settings import Pocket

T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--method", choices=sorted(METHODS.keys() - {"zeroshot"}), default="full")
    options = parser.parse_args()

    runtime = Runtime(threads=options.threads, device=options.device)
    runtime.apply()
    update, workload = pocket_task(options.method, steps=options.steps, batch_size=options.batch_size, runtime=runtime)
    found = compare(update, workload, partial(build, seed=0), rounds=options.rounds, runtime=runtime)
    images = options.steps * options.batch_size
    result = {
        "ratio": round(found.ratio, 3),
        "trial_images_per_second": round(images / statistics.median(found.own_seconds)),
        "open_clip_images_per_second": round(images / statistics.median(found.open_clip_seconds)),
        "method": options.method,
        "batch_size": options.batch_size,
        "threads": options.threads,
        "device": options.device,
    }
    print(json.dumps(result))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Seconds of each round, and the losses of all steps, which are those of the last round."""

    own_seconds: Sequence[float]
    open_clip_seconds: Sequence[float]
    own_losses: Sequence[float]
    open_clip_losses: Sequence[float]

    @property
    def ratio(self) -> float:
        """The time of open_clip's loop as a multiple of ours."""
        return statistics.median(self.open_clip_seconds) / statistics.median(self.own_seconds)


def pocket_task(
    method: str, *, steps: int, batch_size: int, runtime: Runtime, pool: int = 2000
) -> tuple[Update, ClipWorkload]:
    """The second task of the pocket stream."""
    workload = open_workload(Pocket(pool=pool), runtime)
    assert isinstance(workload, ClipWorkload)
    recipe = Recipe(method=named(method), steps=steps, batch_size=batch_size, optimiser=Optimiser(lr=1e-4))
    task = cut(workload.identity.concepts, 2)[1]
    return Update(start=Base(model=""), task=task, recipe=recipe, data=workload.identity.data, seed=0), workload


def compare(
    update: Update, workload: ClipWorkload, make: Callable[[], nn.Module], *, rounds: int, runtime: Runtime
) -> Comparison:
    """Train one task in both ways, in turn; a round before the first warms up.

    Times on a GPU are of the steps alone: it takes seconds to make a model of real size, which a long task hides.

    Args:
        update: the task.
        workload: its model and data.
        make: gives a new model as open_clip has it.
        rounds: that are timed.
        runtime: says where both compute.
    """
    start, loader = Start(state=workload.base(), carry={}), _Loader(update, workload, runtime)
    own, others, own_losses, other_losses = [], [], list[float](), list[float]()
    for round_number in range(rounds + 1):
        own_seconds, trained = _timed(lambda: train(update, start, workload, runtime), runtime)
        other_seconds, other = _timed(lambda: _open_clip(make(), loader, update, start, runtime), runtime)
        own_losses, other_losses = [*trained.losses], other.losses
        if round_number:
            own.append(trained.wall_seconds if runtime.kind == "cuda" else own_seconds)
            others.append(other.wall_seconds if runtime.kind == "cuda" else other_seconds)
    return Comparison(own_seconds=own, open_clip_seconds=others, own_losses=own_losses, open_clip_losses=other_losses)


def _timed(function: Callable[[], T], runtime: Runtime) -> tuple[float, T]:
    """Seconds of a call and its result."""
    clock = time.perf_counter if runtime.kind == "cuda" else time.process_time
    began = clock()
    result = function()
    if runtime.kind == "cuda":
        torch.cuda.synchronize()
    return clock() - began, result


class _Loader:
    """The batches of a task in memory, as open_clip's loop takes them: floats, and captions at their full length."""

    def __init__(self, update: Update, workload: ClipWorkload, runtime: Runtime) -> None:
        drawn, length = Batches(update, workload), workload.example(1).tokens_UL.shape[1]
        batches = [one for step in range(update.recipe.steps) if isinstance(one := drawn.batch(step), ClipBatch)]
        self._batches = [
            (workload.pixels(one), F.pad(one.tokens_UL[one.caption_B], (0, length - one.tokens_UL.shape[1])))
            for one in batches
        ]
        if runtime.kind == "cuda":  # as open_clip's own loader does
            self._batches = [(images.pin_memory(), tokens.pin_memory()) for images, tokens in self._batches]
        self.num_batches = len(batches)
        self.num_samples = self.num_batches * update.recipe.batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(self._batches)


class _Other(NamedTuple):
    """The losses of open_clip's loop, and the seconds of its steps."""

    losses: list[float]
    wall_seconds: float


def _open_clip(model: Any, loader: _Loader, update: Update, start: Start, runtime: Runtime) -> _Other:
    """The steps of open_clip's own loop, fine-tuning the whole model."""
    recipe = update.recipe
    model.load_state_dict(start.state)
    model.to(runtime.device).output_dict = True
    of_task = recipe.optimiser
    betas = (of_task.beta1, of_task.beta2)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=of_task.lr, betas=betas, eps=of_task.eps, weight_decay=of_task.weight_decay
    )
    contrastive, losses = ClipLoss(), list[Tensor]()

    def loss(**outputs: Any) -> dict[str, Tensor]:
        found: dict[str, Tensor] = contrastive(**outputs)
        losses.append(found["contrastive_loss"].detach())
        return found

    def scheduler(step: int) -> None:
        optimiser.param_groups[0]["lr"] = of_task.lr * factor(
            recipe.schedule, step=step, steps=recipe.steps, earlier=update.earlier_steps
        )

    settings = Namespace(
        device=runtime.device,
        precision={"fp32": "fp32", "bf16": "amp_bf16"}[recipe.precision],
        distill=False,
        accum_freq=1,
        skip_scheduler=False,
        grad_clip_norm=of_task.clip_norm,
        log_every_n_steps=100,
        rank=0,
        world_size=1,
        batch_size=recipe.batch_size,
        wandb=False,
    )
    data = {"train": Namespace(dataloader=loader, set_epoch=lambda _: None)}
    with _as_open_clip_does(runtime):
        began = time.perf_counter()
        train_one_epoch(model, data, loss, 0, optimiser, None, scheduler, None, settings)
        values = [float(value) for value in losses]  # numbers: the device has to be done
        return _Other(values, time.perf_counter() - began)


@contextmanager
def _as_open_clip_does(runtime: Runtime) -> Iterator[None]:
    """The kernels that open_clip's own program lets torch choose, among them such as give other bits each time."""
    before = torch.get_float32_matmul_precision()
    torch.use_deterministic_algorithms(mode=False)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        runtime.apply()


if __name__ == "__main__":
    main()
