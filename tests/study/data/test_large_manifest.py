"""A study over 20 000 images, twelve data sets and a pool in shards, from the import to the report, with figures."""

import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests import images
from tests.study import command
from trainables.workloads.clip.data import manifest

ADAPT, HELD = 8, 4
CLASSES, TRAIN, TEST = 8, 94, 30
POOL, SHARDS = 11_200, 8

SMALL = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 64, "layers": 2, "head_width": 32},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
LARGE = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 512, "layers": 6, "head_width": 64},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 128, "heads": 2, "layers": 1},
}


def _write_images(home: Path) -> None:
    """Class folders of twelve data sets, the first eight with training images, and shards of a pool."""
    for k in range(ADAPT + HELD):
        classes = [images.CLASSES[(5 * k + i) % 64] for i in range(CLASSES)]
        for split, count in (("train", TRAIN), ("test", TEST)):
            if split == "test" or k < ADAPT:
                folder = home / f"set{k}" / split
                images.write_classes(folder, classes, count, seed=f"{k}/{split}", kind="JPEG")  # type: ignore[arg-type]
    for shard in range(SHARDS):
        members = {}
        for i in range(shard, POOL, SHARDS):
            name = images.CLASSES[i % 64]
            members[f"{i:06}.jpg"] = images.encoded(images.shape(name, f"web/{i}", 24), "JPEG")
            members[f"{i:06}.txt"] = f"a picture of a {name} on the web".encode()
        images.write_shard(home / "web" / f"{shard:03}.tar", members)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("large")
    _write_images(made)
    return made


def _imports() -> Iterator[list[str]]:
    for k in range(ADAPT + HELD):
        yield ["folder", f"set{k}", "--group", "adapt" if k < ADAPT else "holdout", "--caption", "a photo of a {}."]
    yield ["webdataset", "web", "--group", "pool"]


@pytest.mark.thorough
def test_a_study_of_20_000_images_runs_to_a_report(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = home / "m.parquet"
    began = time.monotonic()
    for arguments in _imports():
        kind, folder, *options = arguments
        command.ok_here("data", "import", kind, home / folder, "--out", path, "--append", *options)
    import_seconds = time.monotonic() - began
    frame = manifest.read(path)
    assert len(frame) >= 20_000
    assert frame["dataset"].nunique() == ADAPT + HELD + 1
    assert frame.loc[frame["dataset"] == "web", "offset"].notna().all()

    (home / "small.json").write_text(json.dumps(SMALL))
    (home / "study.yaml").write_text(
        "name: large\nworkload: {model: {name: small.json, pretrained: random}, data: m.parquet}\n"
        "fixed: {tasks: 2, steps: 12, batch_size: 128, lr: 1e-3}\n"
        "grid: [{timeline: [finetune, ema], w: 0.5}]\njoint: null\n"
    )
    fetched = command.ok("fetch", home / "study.yaml")
    assert f"{len(frame)} images, {len(frame)} decoded in the cache" in fetched
    began = time.monotonic()
    command.ok("run", home / "study.yaml", "--dir", home / "run")
    run_seconds = time.monotonic() - began
    command.ok_here("report", home / "run")
    report = json.loads((home / "run" / "report" / "report.json").read_text())
    assert len(report["configs"]) == 2
    tasks = pd.read_parquet(home / "run" / "tables" / "tasks.parquet")
    assert tasks["aka"].between(0, 1).all()
    growth, model_bytes = _second_worker(home)
    with capsys.disabled():
        print(
            f"\n{len(frame)} images: import {import_seconds:.0f} s; {fetched.strip().splitlines()[-1]}; "
            f"run {run_seconds:.0f} s; a second worker adds {growth / model_bytes:.2f} of its model"
        )
    assert growth < 1.2 * model_bytes


def _second_worker(home: Path) -> tuple[int, int]:
    """Bytes that a process makes its own to open a large model and to read every image, and the bytes of the model.

    Another process has the same open. Pages of files that are only read are nobody's own, whether or not the other one
    still holds them, which on a busy machine is chance.
    """
    (home / "large.json").write_text(json.dumps(LARGE))
    first = _worker(home)
    assert first.stdout is not None
    assert first.stdin is not None
    first.stdout.readline()
    second = _worker(home)
    said, _ = second.communicate("\n", timeout=300)
    first.communicate("\n", timeout=60)
    growth, model_bytes = np.array(said.split(), dtype=int)
    return int(growth), int(model_bytes)


WORKER = """
    import sys
    from pathlib import Path
    import numpy as np, psutil, torch
    from trainables.workloads.clip.settings import Clip, Model
    from trainables.runtime import Runtime
    from trainables.workloads.catalogue import open_workload
    from trainables.workloads.clip.opening import images_of
    home = Path(sys.argv[1])
    def private():
        return sum(one.private_dirty for one in psutil.Process().memory_maps())
    def opened(name):
        config = Clip(model=Model(name=str(home / name), pretrained="random"), data=str(home / "m.parquet"))
        workload = open_workload(config, Runtime())
        model = workload.architecture()
        model.load_state_dict(workload.base())
        images = images_of(config, Runtime())
        for begin in range(0, len(images), 500):
            images[np.arange(begin, min(begin + 500, len(images)))]
        workload.batch(workload.samples(workload.identity.concepts)[:64], np.random.default_rng(0))
        return model
    small = opened("small.json")  # what libraries take when they are first used
    before = private()
    model = opened("large.json")
    size = sum(one.numel() * one.element_size() for one in model.state_dict().values())
    print(private() - before, size, flush=True)
    sys.stdin.readline()
"""


def _worker(home: Path) -> "subprocess.Popen[str]":
    run = [sys.executable, "-c", textwrap.dedent(WORKER), str(home)]
    return subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
