"""Seconds of an optimiser step and its peak memory, of every method, as ratios to full fine-tuning in the same process.

A step is that of `trainables.train`: loss, backward, penalty, clipping, optimiser, on one nominal batch of noise, in
which every sample has a caption of its own and of full length. Rounds alternate between full fine-tuning and a method;
seconds are medians. ViT-B-32 has random weights. On a CPU the peak is that of all bytes which torch's allocator has
handed out at once (weights, gradients and optimiser state included), by the records of its profiler; scratch memory of
MKL is not in it. On CUDA it is `torch.cuda.max_memory_allocated`. Measured ratios are in CHANGELOG.md.

    python -m tests.benchmarks.steps [--model pocket|ViT-B-32] [--batch-size 128] [--methods lora,dora] [--device cuda]
"""

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial

import open_clip
import torch
from open_clip.model import CLIP
from torch import Tensor, nn
from torch.autograd.profiler import profile, record_function

from trainables.memory.recompute import recompute
from trainables.methods import penalties
from trainables.methods.attach import attach
from trainables.methods.galore import GaloreAdamW
from trainables.methods.method import METHODS, Method, named
from trainables.methods.parts import L2Init, Optimiser, Penalty
from trainables.runtime import Runtime
from trainables.workloads.catalogue import open_workload
from trainables.workloads.clip.batch import ClipBatch
from trainables.workloads.clip.data.corpus import Corpus
from trainables.workloads.clip.layout import describe
from trainables.workloads.clip.workload import ClipWorkload
from trainables.workloads.identity import Identity
from trainables.workloads.pocket.settings import Pocket
from trainables.workloads.workload import State, Workload, to_device

OPTIMISER = Optimiser(lr=1e-7)  # so small that all rounds are alike


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("pocket", "ViT-B-32"), default="pocket")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--methods", default=",".join(METHODS.keys() - {"zeroshot"}))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    options = parser.parse_args()

    runtime = Runtime(threads=options.threads, device=options.device)
    runtime.apply()
    workload = open_workload(Pocket(pool=512), runtime) if options.model == "pocket" else _vit_b_32()
    size = options.batch_size or (128 if options.model == "pocket" else 16)
    words = int(workload.base()["token_embedding.weight"].shape[0])
    example = workload.example(size)
    assert isinstance(example, ClipBatch)
    batch = to_device(noise(example, words), options.device)
    names = ["full", *(name for name in METHODS if name in options.methods.split(",") and name != "full")]

    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    peaks: dict[str, int] = {}
    builders = {name: partial(Step, named(name), workload, batch, bf16=options.precision == "bf16") for name in names}
    for name, build in builders.items():
        peaks[name] = peak_bytes(build)
    full = builders["full"]()
    for name in names:
        step = full if name == "full" else builders[name]()
        for round_number in range(options.rounds + 1):
            taken = _timed(full), _timed(step)
            if round_number:  # the first round warms up
                seconds[name].append(taken)
        print(f"{name} ...", file=sys.stderr)
    medians = {name: statistics.median(own for _, own in pairs) for name, pairs in seconds.items()}
    ratios = {name: medians[name] / statistics.median(whole for whole, _ in pairs) for name, pairs in seconds.items()}
    print(f"{'method':20} {'ms a step':>10} {'time':>6} {'MiB':>8} {'memory':>6}")
    for name in names:
        time_ratio, memory_ratio = ratios[name], peaks[name] / peaks["full"]
        print(
            f"{name:20} {1000 * medians[name]:10.2f} {time_ratio:6.3f} {peaks[name] / 2**20:8.1f} {memory_ratio:6.3f}"
        )
    settings = {
        "model": options.model,
        "batch_size": size,
        "threads": options.threads,
        "device": options.device,
        "precision": options.precision,
    }
    for name in names:
        row = {
            "method": name,
            "seconds": round(medians[name], 5),
            "time_ratio": round(ratios[name], 3),
            "peak_bytes": peaks[name],
            "memory_ratio": round(peaks[name] / peaks["full"], 3),
        }
        print(json.dumps({**row, **settings}))


class Step:
    """The step of a method, again and again on one batch.

    Args:
        method: trains.
        workload: has the model.
        batch: on the device that the step computes on.
        bf16: whether matrix products are in bf16.
        again: whether activations are computed again.
        start: the weights to start from; by default those of the workload.
        earlier: whether a penalty remembers an earlier task.
    """

    def __init__(
        self,
        method: Method,
        workload: Workload,
        batch: ClipBatch,
        *,
        bf16: bool,
        again: bool = False,
        start: State | None = None,
        earlier: bool = False,
    ) -> None:
        if start is None:
            start = {name: tensor.clone() for name, tensor in workload.base().items()}  # in memory that is counted
        self.batch = batch
        self._workload, self._bf16 = workload, bf16
        attached = attach(method, workload, start, seed=0, task=0)
        self._model = attached.model.to(batch.images_BCHW.device).train()
        if again:
            recompute(workload.blocks(self._model))
        self._parameters = attached.trainable
        self._optimiser = GaloreAdamW(self._parameters.values(), method.projection, OPTIMISER)
        base = start if isinstance(method.penalty, L2Init) else {}
        carry = remembered(method.penalty, self._parameters) if earlier else {}
        self._pull, self._memory = penalties.build(method.penalty, self._parameters, carry=carry, base=base)

    def __call__(self) -> None:
        kind = self.batch.images_BCHW.device.type
        self._optimiser.zero_grad()
        with torch.autocast(kind, dtype=torch.bfloat16, enabled=self._bf16):
            loss = self._workload.loss(self._model, self.batch)
        loss.backward()
        self._memory.before_step()
        self._pull.add_gradient()
        torch.nn.utils.clip_grad_norm_(self._parameters.values(), OPTIMISER.clip_norm)
        self._optimiser.step()
        self._workload.after_step(self._model)
        self._memory.after_step()


def remembered(penalty: Penalty | None, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """What a penalty carries over from an earlier task."""
    prefix = {"ewc": "fisher/", "si": "omega/"}.get("" if penalty is None else penalty.name)
    return {f"{prefix}{name}": torch.full_like(p, 1e-9) for name, p in parameters.items()} if prefix else {}


def peak_bytes(build: Callable[[], Step]) -> int:
    """Peak memory of a method's second step; all that it has held since before it was built counts."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        step = build()
        step()
        torch.cuda.reset_peak_memory_stats()
        step()
        return torch.cuda.max_memory_allocated()
    gc.collect()  # what an earlier method leaves behind must not be freed while this one is measured
    with profile(profile_memory=True) as profiler:
        step = build()
        step()
        with record_function(_MEASURED):
            step()
    events = sorted(profiler.kineto_results.events(), key=lambda event: event.start_ns())
    began = next(event.start_ns() for event in events if event.name() == _MEASURED)
    level, peak = 0, 0
    for event in events:
        if event.name() == "[memory]":
            level += event.nbytes()
            peak = max(peak, level) if event.start_ns() >= began else level
    return peak


_MEASURED = "measured step"


def _timed(step: Step) -> float:
    if step.batch.images_BCHW.is_cuda:
        torch.cuda.synchronize()
    began = time.perf_counter()
    step()
    if step.batch.images_BCHW.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began


def noise(example: ClipBatch, words: int) -> ClipBatch:
    """A batch in the shapes of an example: images of noise, captions of random words that end at the context."""
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, example.images_BCHW.shape, dtype=torch.uint8, generator=rng)
    tokens = torch.randint(1, words - 1, example.tokens_UL.shape, generator=rng)
    tokens[:, -1] = words - 1
    return ClipBatch(images, tokens, torch.arange(len(images)))


def _vit_b_32() -> Workload:
    """ViT-B-32 of open_clip with random weights and without data."""
    config = open_clip.get_model_config("ViT-B-32")

    def architecture() -> CLIP:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return CLIP(**config)

    state = architecture().state_dict()
    anatomy = describe({name: tuple(tensor.shape) for name, tensor in state.items()})
    return ClipWorkload(
        identity=Identity(
            base="random",
            data="none",
            suite="none",
            concepts=("none",),
            tests=(),
            pool_samples=0,
            anatomy=anatomy,
        ),
        architecture=architecture,
        base=lambda: {name: tensor.clone() for name, tensor in state.items()},
        corpus=lambda: Corpus(segments=(), suite=()),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        model_config=config,
        tokenizer_files=dict,
    )


if __name__ == "__main__":
    main()
