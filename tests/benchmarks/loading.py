"""Images per second of the loader against those of a training step, in one run.

The loader makes whole batches (mapped pixels, captions, crops) from a cache that is filled; "decode" fills it from JPEG
files. The step is full fine-tuning of the same model: forward, backward, AdamW. Measured figures are in CHANGELOG.md.

    python -m tests.benchmarks.loading [--model ViT-B-32|pocket] [--batch-size 32] [--images 512] [--side 256]
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from tests import images
from trainables.runtime import Runtime
from trainables.workloads.catalogue import open_workload
from trainables.workloads.clip.data import manifest
from trainables.workloads.clip.opening import images_of
from trainables.workloads.clip.settings import Clip, Model
from trainables.workloads.pocket.settings import Pocket
from trainables.workloads.workload import Workload, to_device


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="ViT-B-32", help="of open_clip, with random weights; or pocket")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--images", type=int, default=512, help="images, as JPEG files")
    parser.add_argument("--side", type=int, default=256, help="their height and width")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        runtime = Runtime(device=options.device, threads=options.threads, cache=Path(folder) / "cache")
        runtime.apply()
        decoded = None
        if options.model == "pocket":
            workload = open_workload(Pocket(pool=2000), Runtime(device=options.device))
        else:
            config = Clip(
                model=Model(name=options.model, pretrained="random"),
                data=str(_manifest(Path(folder), options.images, options.side)),
            )
            workload = open_workload(config, runtime)
            pixels = images_of(config, runtime)
            decoded = len(pixels) / _seconds(lambda: pixels[np.arange(len(pixels))])
        loader, step = _rates(workload, runtime, options.batch_size, options.rounds)
    result = {
        "model": options.model,
        "loader_images_per_second": round(loader),
        "step_images_per_second": round(step, 1),
        "loader_over_step": round(loader / step, 1),
        "decode_images_per_second": None if decoded is None else round(decoded),
        "batch_size": options.batch_size,
        "threads": options.threads,
        "device": options.device,
    }
    print(json.dumps(result))


def _rates(workload: Workload, runtime: Runtime, batch_size: int, rounds: int) -> tuple[float, float]:
    """Images per second of the loader and of a step, medians of alternating rounds."""
    ids = np.concatenate([workload.samples(workload.identity.concepts), workload.pool()])
    rng = np.random.default_rng(0)
    model = workload.architecture()
    model.load_state_dict(workload.base())
    model.to(runtime.device).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)

    def load() -> None:
        for _ in range(4):
            workload.batch(rng.choice(ids, batch_size), rng)

    batch = to_device(workload.batch(rng.choice(ids, batch_size), rng), runtime.device)

    def step() -> None:
        optimiser.zero_grad()
        loss = workload.loss(model, batch)
        loss.backward()
        optimiser.step()
        loss.item()  # a number: the device has to be done

    load()
    step()
    found = [(4 * batch_size / _seconds(load), batch_size / _seconds(step)) for _ in range(rounds)]
    return statistics.median(one for one, _ in found), statistics.median(one for _, one in found)


def _seconds(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def _manifest(folder: Path, count: int, side: int) -> Path:
    """Half of the images to train on, a quarter each of test images and of a pool."""
    rows = []
    for i in range(count):
        name = images.CLASSES[i % 8]
        (folder / f"{i}.jpg").write_bytes(images.encoded(images.shape(name, i, side), "JPEG", quality=90))
        role = ("adapt", "train"), ("adapt", "train"), ("holdout", "test"), ("pool", "train")
        group, split = role[i // 8 % 4]
        rows.append({"image": f"{i}.jpg", "caption": f"a photo of a {name}.", "concept": name, "dataset": group})
        rows[-1] |= {"split": split, "group": group}
    tests = [{**one, "split": "test"} for one in rows[:8]]
    manifest.write(pd.DataFrame(rows + tests), folder / "m.parquet")
    return folder / "m.parquet"


if __name__ == "__main__":
    main()
