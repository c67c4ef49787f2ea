"""`retune fetch`, and studies whose data and model are files: paths, bounds, kills, images that are bad."""

import hashlib
import json
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from study.definition.files import load
from tests import images
from tests.study import command
from trainables.runtime import Runtime
from trainables.workloads.clip.data import manifest
from trainables.workloads.clip.opening import images_of
from trainables.workloads.clip.settings import Clip

TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 32, "layers": 1, "head_width": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
STUDY = """
name: shapes
workload: {model: {name: tiny.json, pretrained: random}, data: m.parquet}
fixed: {tasks: 2, steps: 2, batch_size: 16, lr: 1e-3, pool_share: 0, new_share: 0.5, buffer_share: 0.5}
grid: [{timeline: [finetune, ema], w: 0.5}]
subset: {share: 0.5}
joint: null
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, their manifest, a model's config and a study."""
    made = tmp_path_factory.mktemp("home")
    images.write_classes(made / "new", images.CLASSES[:3], 40, kind="JPEG")
    images.write_classes(made / "old", images.CLASSES[8:10], 10)
    command.ok_here("data", "import", "folder", made / "new", "--out", made / "m.parquet", "--caption", "a {}")
    command.ok_here(
        *("data", "import", "folder", made / "old", "--out", made / "m.parquet"), *("--append", "--group", "holdout")
    )
    (made / "tiny.json").write_text(json.dumps(TINY))
    (made / "study.yaml").write_text(STUDY)
    return made


def workload(home: Path) -> Clip:
    found = load(str(home / "study.yaml"))[0].workload
    assert isinstance(found, Clip)
    return found


def test_files_are_found_beside_the_study(home: Path) -> None:
    found = workload(home)
    assert (found.data, found.model.name) == (str(home / "m.parquet"), str(home / "tiny.json"))
    assert found.model.pretrained == "random"


def test_fetch_decodes_what_is_missing_and_a_run_goes_on_with_it(home: Path, tmp_path: Path) -> None:
    cache = {"RETUNE_CACHE": str(tmp_path / "cache")}
    said = command.ok_here("fetch", home / "study.yaml", **cache)
    count = len(images_of(workload(home), Runtime(cache=tmp_path / "cache")))
    assert f"{count} images, {count} decoded in the cache" in said
    again = command.here("fetch", home / "study.yaml", **cache)
    assert "images decoded," not in again.stderr
    command.ok_here("run", home / "study.yaml", "--dir", tmp_path / "run", "--inline", **cache)
    command.ok_here("report", tmp_path / "run", **cache)
    report = json.loads((tmp_path / "run" / "report" / "report.json").read_text())
    assert len(report["configs"]) == 2
    assert any("subset of the test images" in warning for warning in report["warnings"])
    command.ok_here("export", tmp_path / "run", "--trial", _first(tmp_path / "run"), "--out", tmp_path / "out", **cache)
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith("# tiny, updated")
    for said in ("accumulation, AKA", "| new | adapt | accuracy |", "| old | holdout | accuracy |", "timeline"):
        assert said in card


def _first(folder: Path) -> str:
    import pandas as pd

    return str(pd.read_parquet(folder / "tables" / "trials.parquet")["trial"].iloc[0])


def test_a_bound_leaves_images_out_of_the_cache(home: Path, tmp_path: Path) -> None:
    cache = {"RETUNE_CACHE": str(tmp_path)}
    said = command.ok_here("fetch", home / "study.yaml", "--cache-gb", "0.00001", **cache)
    assert ", 3 decoded in the cache" in said  # 3072 bytes an image


def test_a_killed_fetch_goes_on(home: Path, tmp_path: Path) -> None:
    cache = {"RETUNE_CACHE": str(tmp_path)}
    process = command.start("fetch", home / "study.yaml", **cache)
    command.wait_until(lambda: any(tmp_path.rglob("checksums.u4")), what="the cache is there")
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    found = images_of(workload(home), Runtime(cache=tmp_path))
    said = command.ok_here("fetch", home / "study.yaml", **cache)
    assert f"{len(found)} decoded in the cache" in said
    assert not len(found.missing(np.arange(len(found))))


def test_images_that_cannot_be_decoded_are_counted(home: Path, tmp_path: Path) -> None:
    own = shutil.copytree(home, tmp_path / "home")
    frame = manifest.read(own / "m.parquet")
    bad = own / frame["image"][0]
    bad.write_bytes(bad.read_bytes()[:100])
    frame.loc[0, "sha256"] = hashlib.sha256(bad.read_bytes()).hexdigest()  # as an import without decoding has it
    manifest.write(frame, own / "m.parquet")
    done = command.here("fetch", own / "study.yaml", RETUNE_CACHE=str(tmp_path))
    assert done.returncode == 1
    assert f"{bad.name}: cannot be decoded" in done.stderr
    assert "1 images cannot be decoded; `retune data check` lists them" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_embedded_benchmark_needs_nothing(tmp_path: Path) -> None:
    command.write_study(tmp_path)
    assert command.ok_here("fetch", tmp_path / "tiny.yaml").startswith("512 images")


def test_a_card_for_a_hub_has_its_head(finished: Path, tmp_path: Path) -> None:
    trial = _first(finished)
    command.ok_here("export", finished, "--trial", trial, "--out", tmp_path / "out", "--format", "hf")
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith("---\ntags:\n- clip\n")
    assert "library_name: open_clip" in card
    wrong = command.here("export", finished, "--trial", trial, "--out", tmp_path / "no", "--format", "onnx")
    assert wrong.returncode == 2
    assert "--format: 'onnx' given; allowed: open_clip, hf" in wrong.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("finished")
    command.write_study(
        home,
        "name: one\nworkload: {pool: 512}\n"
        "fixed: {tasks: 1, steps: 1, batch_size: 32}\ngrid: [{lr: 1e-3}]\njoint: null\n",
    )
    command.ok_here("run", home / "tiny.yaml", "--dir", home / "run", "--inline")
    return home / "run"
