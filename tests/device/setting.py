"""What all parts share: device and sizes, a model of real size, and a corpus of noise on the disk that it trains on.

The data are the product's own: a manifest, made ready as a pack, with pixels in the cache as if they had been decoded.
"""

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

from trainables.config import Precision, Recipe
from trainables.machine.processes import usable_cpus
from trainables.methods.method import named
from trainables.methods.parts import Optimiser
from trainables.nodes import Base, Update
from trainables.runtime import Runtime
from trainables.streams.tasks import cut
from trainables.train import Start, Trained, train
from trainables.workloads.catalogue import open_workload
from trainables.workloads.clip.data import manifest
from trainables.workloads.clip.data.images import Source
from trainables.workloads.clip.data.pixels import Pixels
from trainables.workloads.clip.opening import pack_of
from trainables.workloads.clip.settings import Clip, Model
from trainables.workloads.clip.workload import ClipWorkload

CONCEPTS = 40
VOCABULARY = 49_408
"""Tokens of open_clip's own tokenizer."""

SMALL = "small"
"""A model for tests on a CPU, and for what takes too long on one of real size."""

_SMALL_CONFIG: dict[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 64, "layers": 2, "head_width": 32},
    "text_cfg": {"context_length": 16, "vocab_size": VOCABULARY, "width": 64, "heads": 2, "layers": 2},
}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where parts compute, and how much.

    Attributes:
        folder: for all files.
        device: "cpu" or "cuda".
        tiny: sizes for a test.
    """

    folder: Path
    device: str
    tiny: bool = False

    @property
    def has_gpu(self) -> bool:
        """Whether parts compute on a GPU."""
        return self.device == "cuda"

    @property
    def model(self) -> str:
        """The model that most parts measure."""
        return SMALL if self.tiny else "ViT-B-16"

    @property
    def batch(self) -> int:
        """Samples of a step."""
        return 12 if self.tiny else 512

    @property
    def runtime(self) -> Runtime:
        """The runtime of all parts."""
        threads = 1 if self.tiny else min(8, usable_cpus())
        return Runtime(device=self.device, threads=threads, cache=self.folder / "cache")

    def rows(self, model: str) -> int:
        """Training images, and as many for tests."""
        return 240 if model == SMALL else 20_000

    def clip(self, model: str) -> Clip:
        """The settings of a model on noise."""
        name = str(self.folder / "small.json") if model == SMALL else model
        return Clip(model=Model(name=name, pretrained="random"), data=str(self.folder / f"{model}.parquet"))

    def open(self, model: str | None = None) -> ClipWorkload:
        """The workload of a model, which `prepare` has made ready."""
        workload = open_workload(self.clip(model or self.model), self.runtime)
        assert isinstance(workload, ClipWorkload)
        return workload


def prepare(setting: Setting, model: str) -> int:
    """Write weights, a manifest and the pixels of a model; return the number of images."""
    (setting.folder / "small.json").write_text(json.dumps(_SMALL_CONFIG))
    config = setting.clip(model)
    _write_manifest(Path(config.data), setting.rows(model))
    pack, workload = pack_of(config, setting.runtime.cache), setting.open(model)
    height, width = workload.example(1).images_BCHW.shape[2:]
    block = np.random.default_rng(0).integers(0, 256, 2**24 + height * width * 3, dtype=np.uint8)
    draws = np.random.default_rng(1)

    def decode(_: Source) -> NDArray[np.uint8]:
        begin = int(draws.integers(2**24))
        return block[begin : begin + height * width * 3].reshape(height, width, 3)

    pixels = Pixels(pack.folder, sources=pack.source, length=len(pack), decode=decode, size=(height, width))
    with ThreadPoolExecutor(setting.runtime.threads) as pool:
        list(pool.map(lambda rows: len(pixels[rows]), np.array_split(np.arange(len(pack)), max(1, len(pack) // 100))))
    assert not len(pixels.missing(np.arange(len(pack))))
    return len(pack)


def _write_manifest(path: Path, count: int) -> None:
    """Rows for training, of which two fifths are the pool, and as many for tests, of which half are held out."""
    dot = io.BytesIO()
    Image.new("RGB", (1, 1)).save(dot, "PNG")
    words = np.random.default_rng(0).integers(0, 1000, (count, 8))
    rows = []
    for i, (split, group) in enumerate(
        [("train", "adapt")] * (3 * count // 5) + [("train", "pool")] * (2 * count // 5)
    ):
        caption = f"{_concept(i)} " + " ".join(f"{word}" for word in words[i])
        concept = None if group == "pool" else _concept(i)
        rows.append({"caption": caption, "concept": concept, "dataset": group, "split": split, "group": group})
    for i in range(count):
        group = ("adapt", "holdout")[i // CONCEPTS % 2]
        rows.append({"caption": _concept(i), "concept": _concept(i), "dataset": group, "split": "test", "group": group})
    manifest.write(pd.DataFrame(rows).assign(image=None, bytes=dot.getvalue()), path)


def _concept(i: int) -> str:
    return f"noise {i % CONCEPTS}"


def task(
    workload: ClipWorkload, method: str, *, steps: int, batch_size: int, precision: Precision = "bf16", **values: object
) -> Update:
    """The second task of two of the workload's stream, so that batches have all their sources."""
    recipe = Recipe(
        method=named(method, **values),
        steps=steps,
        batch_size=batch_size,
        precision=precision,
        optimiser=Optimiser(lr=1e-4),
    )
    second = cut(workload.identity.concepts, 2)[1]
    return Update(
        start=Base(model=workload.identity.base), task=second, recipe=recipe, data=workload.identity.data, seed=0
    )


def trained(update: Update, workload: ClipWorkload, runtime: Runtime, *, again: bool = False) -> Trained:
    """Train a task from the base, with the product's own loop."""
    runtime = replace(runtime, recompute="on" if again else "off")
    return train(update, Start(state=workload.base(), carry={}), workload, runtime)


@contextmanager
def tf32() -> Iterator[None]:
    """Products of fp32 matrices on tensor cores, with 10 bits of mantissa."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


_KERNELS: Any = torch.utils.deterministic  # a module whose type has a property


def is_filled() -> bool:
    """Whether new memory is filled with NaN where only deterministic kernels may run."""
    return bool(_KERNELS.fill_uninitialized_memory)


@contextmanager
def filling(*, on: bool) -> Iterator[None]:
    """New memory is filled, or not."""
    before = is_filled()
    _KERNELS.fill_uninitialized_memory = on
    try:
        yield
    finally:
        _KERNELS.fill_uninitialized_memory = before
