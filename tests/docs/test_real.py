"""`docs/real.yaml`: a study of the user's own checkpoint and images, planned as it is, and run with fewer steps."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import open_clip
import pytest
import torch
import yaml

from tests.docs.pages import ROOT
from tests.images import CLASSES, shape
from tests.study.command import ok_here

STUDY = ROOT / "docs" / "real.yaml"
MODEL = "ViT-B-32"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with 200 image files and their manifest, as the study names it; it goes, as weights fill disks."""
    monkeypatch.setenv("RETUNE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "mine"
    for group, names, splits in (
        ("adapt", CLASSES[:24], {"train": 3, "test": 2}),
        ("holdout", CLASSES[24:28], {"test": 10}),
        ("pool", CLASSES[28:48], {"train": 2}),
    ):
        for name in names:
            for split, count in splits.items():
                home = folder / group / split / name
                home.mkdir(parents=True)
                for number in range(count):
                    shape(name, f"{split}{number}").save(home / f"{number}.png")
        append = ["--append"] if group != "adapt" else []
        told: list[str | Path] = [
            "--out",
            folder / "m.parquet",
            "--group",
            group,
            "--caption",
            "a photo of a {}.",
            *append,
        ]
        ok_here("data", "import", "folder", folder / group, *told)
    assert len(list(folder.rglob("*.png"))) == 200
    yield folder
    shutil.rmtree(tmp_path)


def test_the_study_is_planned_as_it_is(folder: Path) -> None:
    """The checkpoint has the tensors of the model, each a single number that is spread out: FLOPs need no weights."""
    with torch.device("meta"):
        tensors = open_clip.CLIP(**open_clip.get_model_config(MODEL)).state_dict()
    torch.save({name: torch.zeros(()).expand(tensor.shape) for name, tensor in tensors.items()}, folder / f"{MODEL}.pt")
    (folder / "real.yaml").write_text(STUDY.read_text())
    said = " ".join(ok_here("plan", folder / "real.yaml", "--gpu", "h100-80", "--no-timing").split())
    assert "trials 12 = 4 configs x 3 blocks, 20 tasks each; 3 anchors" in said
    assert "full 1420 steps; 2.26e+13" in said  # 512 samples, three times what a forward pass of a ViT-B/32 takes
    assert "GPU-hours" in said
    assert "full 19 GB" in said


@pytest.mark.thorough
def test_a_small_one_runs_to_an_export_that_open_clip_loads(folder: Path) -> None:
    torch.manual_seed(0)
    base = open_clip.create_model(MODEL).state_dict()
    torch.save(base, folder / f"{MODEL}.pt")
    study = yaml.safe_load(STUDY.read_text())
    study["fixed"] |= {"tasks": 2, "steps": 3, "batch_size": 8}
    study |= {"blocks": 1, "joint": None, "subset": None}
    study["grid"][0] |= {"timeline": "ema", "w": 0.9}
    (folder / "real.yaml").write_text(yaml.safe_dump(study))
    ok_here("run", folder / "real.yaml", "--dir", folder / "run", "--inline")
    trial, *_ = ok_here("status", folder / "run", "--trials").splitlines()[-1].split()
    ok_here("export", folder / "run", "--trial", trial, "--out", folder / "out")
    served, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder / 'out'}")
    moved = [float((tensor - base[name]).abs().max()) for name, tensor in served.state_dict().items()]
    assert len(moved) == len(base)
    assert 0 < max(moved) < 2 * 3 * 1e-5  # two tasks of three steps, of which a merge keeps a tenth
    image = preprocess(shape(CLASSES[0], "new")).unsqueeze(0)
    assert torch.isfinite(served.encode_image(image)).all()
