"""Images per second of one trial's training against a bare open_clip loop: same model, batch, threads, same process.

The bare loop is open_clip's own training step (forward, ClipLoss, backward, clip, AdamW, clamp of the logit scale) on
batches that are already normalised floats and tokens in memory. Ours draws, mixes and normalises each batch, restarts
the schedule and folds the weights. Rounds alternate; the ratio is of medians. Measured ratios are in CHANGELOG.md.

    python -m tests.benchmarks.training [--batch-size 128] [--steps 16] [--rounds 5] [--method lora]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from open_clip import ClipLoss
from torch.utils.data import DataLoader, TensorDataset

from trainables.config import Recipe
from trainables.methods.method import METHODS, named
from trainables.methods.parts import Optimiser
from trainables.nodes import Base, Update
from trainables.runtime import Runtime
from trainables.streams.tasks import cut
from trainables.train import Batches, Start, train
from trainables.workloads.catalogue import open_workload
from trainables.workloads.clip.batch import ClipBatch
from trainables.workloads.pocket.settings import Pocket
from trainables.workloads.workload import Workload


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
    workload = open_workload(Pocket(pool=2000), runtime)
    method = named(options.method)
    recipe = Recipe(method=method, steps=options.steps, batch_size=options.batch_size, optimiser=Optimiser(lr=1e-4))
    task = cut(workload.identity.concepts, 2)[1]
    update = Update(start=Base(model=""), task=task, recipe=recipe, data=workload.identity.data, seed=0)
    images = options.steps * options.batch_size

    start = workload.base()
    loader = _loader(update, workload)
    ours, bare = [], []
    for round_number in range(options.rounds + 1):
        own_seconds = _timed(lambda: train(update, Start(state=start, carry={}), workload, runtime))
        bare_seconds = _timed(lambda: _bare(loader, workload, runtime))
        if round_number:  # the first round warms up
            ours.append(images / own_seconds)
            bare.append(images / bare_seconds)
    result = {
        "trial_images_per_second": round(statistics.median(ours)),
        "bare_images_per_second": round(statistics.median(bare)),
        "ratio": round(statistics.median(ours) / statistics.median(bare), 3),
        "method": options.method,
        "batch_size": options.batch_size,
        "threads": options.threads,
        "device": options.device,
    }
    print(json.dumps(result))


def _timed(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def _loader(update: Update, workload: Workload) -> "DataLoader[tuple[torch.Tensor, ...]]":
    drawn = Batches(update, workload)
    batches = [one for step in range(update.recipe.steps) if isinstance(one := drawn.batch(step), ClipBatch)]
    images = torch.cat([batch.images_BCHW for batch in batches])
    example = workload.example(1)
    assert isinstance(example, ClipBatch)
    length = example.tokens_UL.shape[1]  # the bare loop encodes every caption at full length
    tokens = torch.cat([F.pad(b.tokens_UL[b.caption_B], (0, length - b.tokens_UL.shape[1])) for b in batches])
    return DataLoader(TensorDataset(images, tokens), batch_size=update.recipe.batch_size, shuffle=True)


def _bare(loader: "DataLoader[tuple[torch.Tensor, ...]]", workload: Workload, runtime: Runtime) -> None:
    model = workload.architecture()
    model.load_state_dict(workload.base())
    model.to(runtime.device).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.2)
    loss = ClipLoss()
    for images, tokens in loader:
        optimiser.zero_grad()
        features = model(images.to(runtime.device), tokens.to(runtime.device))
        loss(*features).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        with torch.no_grad():
            model.get_parameter("logit_scale").clamp_(0, 4.6052)


if __name__ == "__main__":
    main()
