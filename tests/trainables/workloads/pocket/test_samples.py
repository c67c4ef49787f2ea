"""The cache: the same samples every time, whoever wrote them, and never a damaged one."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trainables.workloads.pocket.samples import pool, samples, world_digest
from trainables.workloads.pocket.world.datasets import DATASETS
from trainables.workloads.pocket.world.rendering import pool_samples, render


def test_samples_are_what_render_draws(tmp_path: Path) -> None:
    drawn = samples("counts", "test", tmp_path)
    row = DATASETS["counts"]
    assert drawn.images.shape == (len(row.concepts) * row.test_per_concept, 32, 32, 3)
    assert np.bincount(drawn.concept).tolist() == [row.test_per_concept] * len(row.concepts)
    some = np.array([0, 11])
    pictures, concepts = render("counts", "test", some)
    np.testing.assert_array_equal(drawn.images[some], pictures)
    for index, concept in zip(some, concepts, strict=True):
        assert drawn.concept[index] == concept
        assert drawn.captions[index] == tuple(t.format(row.concepts[concept]) for t in row.templates)


def test_pool_is_a_prefix_of_a_larger_pool(tmp_path: Path) -> None:
    small, large = pool(20, tmp_path), pool(40, tmp_path)
    np.testing.assert_array_equal(small.images, large.images[:20])
    assert small.captions == large.captions[:20]
    assert small.captions == tuple(pool_samples(np.arange(20))[1])
    assert (small.concept == -1).all()


def test_images_are_read_only_memory_maps(tmp_path: Path) -> None:
    images = samples("charts", "test", tmp_path).images
    assert isinstance(images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        images[0, 0, 0, 0] = 1


def test_second_reading_draws_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool(30, tmp_path)
    monkeypatch.setattr("trainables.workloads.pocket.samples.pool_samples", None)
    assert len(pool(30, tmp_path).captions) == 30


@pytest.mark.parametrize("suffix", [".npy", ".json", ".digest"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damaged_file_is_drawn_again(tmp_path: Path, suffix: str, damage: str) -> None:
    expected = np.array(pool(30, tmp_path).images)
    (path,) = tmp_path.glob(f"*{suffix}")
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    else:
        path.unlink()
    healed = pool(30, tmp_path)
    np.testing.assert_array_equal(healed.images, expected)
    assert healed.captions == tuple(pool_samples(np.arange(30))[1])


def test_processes_may_race_for_the_cache(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, hashlib\n"
        "from trainables.workloads.pocket.samples import pool\n"
        "for size in (40, 41, 42, 43):\n"
        "    drawn = pool(size, pathlib.Path(sys.argv[1]))\n"
        "    print(hashlib.sha256(drawn.images.tobytes() + repr(drawn.captions).encode()).hexdigest())\n"
    )
    racers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [racer.communicate(timeout=60)[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    assert said[0] == said[1]
    assert len(said[0].split()) == 4
    assert not list(tmp_path.glob("*.tmp"))


def test_cache_is_keyed_by_the_world(tmp_path: Path) -> None:
    for seed in (0, 1):
        samples("dials", "test", tmp_path / str(seed), world_seed=seed)
        assert all(world_digest(seed) in path.name for path in (tmp_path / str(seed)).iterdir())
    assert world_digest(0) != world_digest(1)
