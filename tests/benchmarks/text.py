"""Time of loss and gradients with captions stripped of padding and repeats, against the plain batch: same process.

Three forms of the same batches go through `Workload.loss` and its backward pass: plain (each image's caption, padded to
the context), trimmed (to the longest caption of the batch), distinct (also without repeats, as batches are made). The
pocket model sees batches of the default mixture; ViT-B-32 has random weights and random captions of 8 to 20 tokens, of
which some repeat. Rounds alternate between the forms; ratios are of medians.

Measured on one core, float32, 7 rounds:

    pocket, batch 128    trimmed 0.96 of plain, distinct 0.95; 92 % of the captions and 90 % of the length are kept
    ViT-B-32, batch 16   trimmed 0.70 of plain, distinct 0.66; 81 % and 26 %

Stripping takes 0.2 to 0.5 ms a batch, of 98 ms and 8.7 s.

    python -m tests.benchmarks.text [--rounds 5] [--threads 1]
"""

import argparse
import json
import statistics
import time
from typing import Any

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from torch import nn

from trainables.config import Recipe
from trainables.nodes import Base, Update
from trainables.runtime import Runtime
from trainables.streams.tasks import cut
from trainables.train import Batches
from trainables.workloads.catalogue import open_workload
from trainables.workloads.clip import text
from trainables.workloads.clip.batch import ClipBatch
from trainables.workloads.pocket.settings import Pocket
from trainables.workloads.workload import Workload


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()

    runtime = Runtime(threads=options.threads)
    runtime.apply()
    workload = open_workload(Pocket(pool=2000), runtime)
    pocket: Any = workload.architecture().train()
    pocket.load_state_dict(workload.base())
    large = CLIP(**open_clip.get_model_config("ViT-B-32")).train()
    for name, model, batches in (
        ("pocket", pocket, _pocket_batches(workload, batch_size=128, count=8)),
        ("ViT-B-32", large, _random_batches(large, batch_size=16, count=2)),
    ):
        print(json.dumps({"model": name, **_compare(workload, model, batches, options.rounds)}))


def _compare(workload: Workload, model: CLIP, batches: list[ClipBatch], rounds: int) -> dict[str, float]:
    plain = [_plain(batch, model.context_length) for batch in batches]
    forms = {"plain": plain, "trimmed": [_trimmed(batch) for batch in batches], "distinct": batches}
    seconds: dict[str, list[float]] = {name: [] for name in (*forms, "stripping")}
    for round_number in range(rounds + 1):
        for name, form in forms.items():
            taken = _timed(workload, model, form)
            if round_number:  # the first round warms up
                seconds[name].append(taken)
        began = time.perf_counter()
        for batch in plain:
            text.distinct(batch.tokens_UL.numpy())
        seconds["stripping"].append(time.perf_counter() - began)
    median = {name: statistics.median(values) / len(batches) for name, values in seconds.items()}
    return {
        "plain_seconds_per_batch": round(median["plain"], 4),
        "stripping_seconds_per_batch": round(median["stripping"], 5),
        "trimmed_over_plain": round(median["trimmed"] / median["plain"], 3),
        "distinct_over_plain": round(median["distinct"] / median["plain"], 3),
        "captions_kept": round(statistics.mean(len(b.tokens_UL) / len(b.caption_B) for b in batches), 3),
        "length_kept": round(statistics.mean(b.tokens_UL.shape[1] for b in batches) / model.context_length, 3),
    }


def _timed(workload: Workload, model: nn.Module, batches: list[ClipBatch]) -> float:
    began = time.perf_counter()
    for batch in batches:
        model.zero_grad()
        workload.loss(model, batch).backward()
    return time.perf_counter() - began


def _trimmed(batch: ClipBatch) -> ClipBatch:
    return ClipBatch(batch.images_BCHW, batch.tokens_UL[batch.caption_B], torch.arange(len(batch.caption_B)))


def _plain(batch: ClipBatch, context_length: int) -> ClipBatch:
    trimmed = _trimmed(batch)
    return trimmed._replace(tokens_UL=F.pad(trimmed.tokens_UL, (0, context_length - trimmed.tokens_UL.shape[1])))


def _pocket_batches(workload: Workload, *, batch_size: int, count: int) -> list[ClipBatch]:
    task = cut(workload.identity.concepts, 2)[1]
    recipe = Recipe(steps=count, batch_size=batch_size)
    batches = Batches(Update(start=Base(model=""), task=task, recipe=recipe, data="", seed=0), workload)
    return [one for step in range(count) if isinstance(one := batches.batch(step), ClipBatch)]


def _random_batches(model: CLIP, *, batch_size: int, count: int) -> list[ClipBatch]:
    rng, end = np.random.default_rng(0), model.vocab_size - 1
    batches = []
    for _ in range(count):
        tokens = np.zeros((3 * batch_size // 2, model.context_length), dtype=np.int64)
        for row in tokens:
            length = rng.integers(8, 21)
            row[:length] = [*rng.integers(1, end, length - 1), end]
        captions = text.distinct(tokens[rng.integers(0, len(tokens), batch_size)])
        images = torch.from_numpy(rng.integers(0, 256, (batch_size, 3, *model.visual.image_size), dtype=np.uint8))
        batches.append(ClipBatch(images, *(torch.from_numpy(array) for array in captions)))
    return batches


if __name__ == "__main__":
    main()
