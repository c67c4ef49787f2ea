"""A model and a manifest as a workload: scores of open_clip's own code, cycles that repeat, data that lack things."""

import io
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from PIL import Image

from search_spaces.space import Scalar
from search_spaces.space import build as build_config
from tests import images
from trainables import cycle
from trainables.build import Builder
from trainables.config import TrialConfig
from trainables.frozen import ConfigError
from trainables.lineages import Lineages
from trainables.metrics import Score
from trainables.runtime import Runtime, TrainingError
from trainables.store.memory import MemoryStore
from trainables.workloads.catalogue import open_workload
from trainables.workloads.clip.data import manifest
from trainables.workloads.clip.data.images import encoded
from trainables.workloads.clip.identity import identify_clip
from trainables.workloads.clip.opening import images_of, pack_of
from trainables.workloads.clip.settings import Clip, Model
from trainables.workloads.clip.workload import ClipWorkload
from trainables.workloads.identity import Identity

TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 32, "layers": 2, "head_width": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
NEW, HELD, WEB = images.CLASSES[:4], images.CLASSES[8:10], images.CLASSES[20:30]
TEMPLATES = ("a photo of a {}.", "a drawing of a {}.")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of four data sets, a model's config, and the images."""
    home = tmp_path_factory.mktemp("data")
    (home / "tiny.json").write_text(json.dumps(TINY))
    rows: list[dict[str, Any]] = []

    def add(name: str, number: int, **values: Any) -> None:
        path = home / f"{len(rows)}.png"
        images.shape(name, number, size=40 + number % 9).save(path)
        rows.append({"image": path.name, "caption": f"a {name}", "concept": name, "split": "train", **values})

    for year, name in enumerate(NEW):
        for number in range(12):
            split = "test" if number >= 8 else "train"
            add(name, number, dataset="new", group="adapt", split=split, year=2030 - year, templates=list(TEMPLATES))
    for name in HELD:
        for number in range(4):
            add(name, number, dataset="held", group="holdout", split="test")
    for number, name in enumerate(images.CLASSES[:6]):
        captions = [f"one {name}", f"a {name} alone"]
        add(name, number, caption=captions, dataset="found", group="holdout", split="test", kind="retrieval")
    for number, name in enumerate(WEB):
        add(name, number, dataset="web", group="pool", concept=None)
    manifest.write(pd.DataFrame(rows), home / "m.parquet")
    return home


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    return Runtime(cache=tmp_path_factory.mktemp("cache"))


def config(folder: Path, *, data: str = "m.parquet", **values: Any) -> Clip:
    model = Model(name=str(folder / "tiny.json"), pretrained="random")
    return Clip(**{"model": model, "data": str(folder / data), **values})


def trial(workload: Clip, **axes: Scalar) -> TrialConfig:
    values: dict[str, Scalar] = {"method": "full", "tasks": 2, "steps": 3, "batch_size": 12, "lr": 1e-2, **axes}
    return build_config(values, workload=workload, source="test")[0]


def opened(workload: Clip, runtime: Runtime) -> ClipWorkload:
    made = open_workload(workload, runtime)
    assert isinstance(made, ClipWorkload)
    return made


def run(workload: Clip, runtime: Runtime, store: MemoryStore, **axes: Scalar) -> list[tuple[Score, ...]]:
    found: list[tuple[Score, ...]] = []
    builder = Builder(open_workload(workload, runtime), store, runtime)
    cycle.run(trial(workload, **axes), builder, lambda _, scores: found.append(scores))
    return found


def test_scores_are_those_of_open_clip_on_the_same_files(folder: Path, runtime: Runtime, tmp_path: Path) -> None:
    """Its own model, transform, tokenizer, classifier and accuracy, image by image from the files."""
    workload = opened(config(folder), runtime)
    ours: Any = workload.architecture()
    ours.load_state_dict(workload.base())
    workload.export(ours.state_dict(), tmp_path / "out", "open_clip")
    theirs, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'out'}")
    theirs.eval()
    frame = manifest.read(folder / "m.parquet")
    tokenizer = open_clip.SimpleTokenizer(context_length=12)
    expected = {}
    for name, classes, templates in (("new", NEW, TEMPLATES), ("held", HELD, (manifest.TEMPLATE,))):
        rows = frame[(frame["dataset"] == name) & (frame["split"] == "test")]
        weights = open_clip.build_zero_shot_classifier(theirs, tokenizer, sorted(classes), templates)
        pixels = torch.stack([preprocess(Image.open(folder / one)) for one in rows["image"]])
        with torch.no_grad():
            guesses = (theirs.encode_image(pixels, normalize=True) @ weights).argmax(dim=1)
        expected[name] = np.mean([sorted(classes)[i] == one for i, one in zip(guesses, rows["concept"], strict=True)])
    scores = {score.dataset: score for score in workload.evaluate(ours)}
    assert {name: scores[name].value for name in expected} == expected
    assert workload.evaluate(theirs) == tuple(scores.values())
    assert scores["found"].metric == "recall@5"
    assert [scores[name].n for name in ("new", "held", "found")] == [16, 8, 6]


def test_images_are_what_open_clip_sees_to_the_byte(folder: Path, runtime: Runtime) -> None:
    workload = opened(config(folder, crop=1.0), runtime)
    ids = workload.samples(["new/" + NEW[0]])
    got = workload.pixels(workload.batch(ids, np.random.default_rng(0)))
    frame = manifest.read(folder / "m.parquet")
    rows = frame[(frame["concept"] == NEW[0]) & (frame["split"] == "train")]
    preprocess = open_clip.image_transform(32, is_train=False)
    expected = torch.stack([preprocess(Image.open(folder / one)) for one in rows["image"]])
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
def test_odd_images_are_what_open_clip_sees_to_the_byte(mode: str, folder: Path, tmp_path: Path) -> None:
    """Palettes, one bit, 16 bits, transparency, CMYK: resized as they are stored, and then made RGB."""
    odd = [*images.odd_images().values(), *(images.encoded(one) for one in noise_in_all_modes())]
    frame = manifest.read(folder / "m.parquet")
    frame["image"] = [str(folder / one) for one in frame["image"]]
    for number, content in enumerate(odd):
        path = tmp_path / f"odd{number}"
        path.write_bytes(content)
        frame.loc[number, "image"] = str(path)
    manifest.write(frame, tmp_path / "m.parquet")
    (tmp_path / "tiny.json").write_text(json.dumps({"model_cfg": TINY, "preprocess_cfg": {"resize_mode": mode}}))
    runtime = Runtime(cache=tmp_path / "cache")
    used = config(tmp_path)
    preprocess = open_clip.image_transform(32, is_train=False, mean=(0, 0, 0), std=(1, 1, 1), resize_mode=mode)
    images_, pack = images_of(used, runtime), pack_of(used, runtime.cache)
    contents = {row: encoded(pack.source(row)) for row in range(len(pack))}
    compared = [row for row, content in contents.items() if content in odd]
    assert {contents[row] for row in compared} == set(odd)
    for row in compared:
        if mode == "longest" and contents[row] == images.odd_images()["thin.png"]:
            with pytest.raises(
                TrainingError, match=r"odd\d+: open_clip cannot resize it: .*; leave it out of the data"
            ):
                images_[np.array([row])]
            continue
        with Image.open(io.BytesIO(contents[row])) as image, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's on transparency that RGB has not
            expected = preprocess(image)
        got = images_[np.array([row])][0]
        assert np.array_equal(got, (expected * 255).round().byte().permute(1, 2, 0).numpy()), image


def noise_in_all_modes() -> list[Image.Image]:
    """Noise, of which every pixel tells how it was resized."""
    rng = np.random.default_rng(0)
    colours = Image.fromarray(rng.integers(0, 256, (45, 37, 4), dtype=np.uint8), "RGBA")
    levels = Image.fromarray(rng.integers(0, 65_536, (45, 37), dtype=np.uint16))
    dark = Image.fromarray(rng.integers(0, 256, (45, 37), dtype=np.uint16))
    flat = colours.convert("RGB")
    return [colours, colours.convert("LA"), *(flat.convert(mode) for mode in ("1", "L", "P", "RGB")), levels, dark]


def test_cycles_repeat_to_the_bit_with_and_without_a_cache_of_images(
    folder: Path, runtime: Runtime, tmp_path: Path
) -> None:
    first, second = MemoryStore(), MemoryStore()
    scores = run(config(folder), runtime, first)
    again = run(config(folder), Runtime(cache=tmp_path, cache_gb=0), second)
    assert scores == again
    assert first.keys("updates") == second.keys("updates")
    for key in first.keys("updates"):
        assert first.get("updates", key) == second.get("updates", key)


def test_training_sees_crops_and_keys_tell_so(folder: Path, runtime: Runtime) -> None:
    cropping, plain = (opened(config(folder, crop=crop), runtime) for crop in (0.9, 1.0))
    ids = cropping.pool()
    cropped, whole = (one.batch(ids, np.random.default_rng(0)) for one in (cropping, plain))
    assert (len(cropped.crops_B4), len(whole.crops_B4)) == (len(ids), 0)
    assert torch.equal(cropped.images_BCHW, whole.images_BCHW)
    assert not torch.equal(cropping.pixels(cropped), plain.pixels(whole))
    assert cropping.identity.data != plain.identity.data
    assert cropping.identity.suite == plain.identity.suite


def test_a_model_that_trains_on_it_learns_it(folder: Path, runtime: Runtime) -> None:
    axes: dict[str, Scalar] = {"pool_share": 0.0, "new_share": 1.0, "buffer_share": 0.0}
    scores = run(config(folder), runtime, MemoryStore(), tasks=1, steps=120, batch_size=16, lr=5e-3, **axes)
    before, after = ({score.dataset: score.value for score in some} for some in scores)
    assert after["new"] > before["new"] + 0.2


def identity(folder: Path, runtime: Runtime, **values: Any) -> Identity:
    return identify_clip(config(folder, **values), runtime.cache)


def test_facts_of_the_data(folder: Path, runtime: Runtime) -> None:
    found = identity(folder, runtime)
    assert found.concepts == tuple(f"new/{name}" for name in sorted(NEW))
    assert [2030 - NEW.index(name) for name in sorted(NEW)] == list(found.facts("year"))
    assert found.facts("count").shape == (4,)
    assert found.facts("image").shape == found.facts("text").shape == (4, 16)
    assert np.isfinite(found.facts("loss").astype(float)).all()
    assert (found.pool_samples, found.test_samples) == (len(WEB), 16 + 8 + 6)


def without(folder: Path, name: str, keep: Any) -> str:
    frame = manifest.read(folder / "m.parquet")
    manifest.write(frame[keep(frame)].reset_index(drop=True), folder / name)
    return name


def test_data_that_lack_a_pool_or_years_say_so_at_planning(folder: Path, runtime: Runtime) -> None:
    poor = without(folder, "poor.parquet", lambda frame: frame["group"] != "pool")
    found = identity(folder, runtime, data=poor)
    with pytest.raises(ConfigError, match=r"pool_share: 0\.33 given; the data have no pool"):
        list(Lineages(found).of(trial(config(folder, data=poor))))
    axes: dict[str, Scalar] = {"pool_share": 0.0, "new_share": 0.5, "buffer_share": 0.5}
    assert len(list(Lineages(found).of(trial(config(folder, data=poor), **axes)))) == 3
    assert len(run(config(folder, data=poor), runtime, MemoryStore(), steps=1, **axes)) == 3
    with pytest.raises(ConfigError, match="frequency counts concepts in the captions of the pool"):
        list(Lineages(found).of(trial(config(folder, data=poor), ordering="frequency", **axes)))
    frame = manifest.read(folder / "m.parquet")
    manifest.write(frame.assign(year=None), folder / "undated.parquet")
    undated = config(folder, data="undated.parquet")
    with pytest.raises(ConfigError, match="has none for 4 of them, such as new/"):
        list(Lineages(identify_clip(undated, runtime.cache)).of(trial(undated, ordering="time")))


def test_texts_that_are_too_long_are_counted(folder: Path, runtime: Runtime) -> None:
    """Of twelve tokens ten are words; captions that nothing reads do not count."""
    assert identity(folder, runtime).warnings == ()
    frame = manifest.read(folder / "m.parquet")
    words = " ".join(["and"] * 8)
    test = (frame["split"] == "test") & (frame["kind"] != "retrieval")
    caption = [(f"{'' if unread else words} {one[0]}",) for one, unread in zip(frame["caption"], test, strict=True)]
    templates = [(f"{words} {{}}.", "a {}.")] * len(frame)
    long = frame.assign(caption=pd.Series(caption), templates=pd.Series(templates))
    manifest.write(long, folder / "long.parquet")
    data = folder / "long.parquet"
    name = folder / "tiny.json"
    read = len({text for (text,), unread in zip(caption, test, strict=True) if not unread})
    assert identity(folder, runtime, data="long.parquet").warnings == (
        f"{data}: {read} of {read} distinct captions are longer than the context of {name} and lose their ends",
        f"{data}: 6 of 12 prompts of classes are longer than the context of {name} and lose their ends",
    )


def test_an_image_that_is_gone_ends_a_trial_and_says_where_to_look(folder: Path, tmp_path: Path) -> None:
    frame = manifest.read(folder / "m.parquet")
    frame["image"] = [str(folder / one) for one in frame["image"]]
    lost = tmp_path / "lost.png"
    images.shape(NEW[0], 999).save(lost)
    frame.loc[frame.index[0], "image"] = str(lost)
    manifest.write(frame, tmp_path / "m.parquet")
    found = config(folder, data=str(tmp_path / "m.parquet"))
    runtime = Runtime(cache=tmp_path / "cache")
    identify_clip(found, runtime.cache)
    lost.unlink()
    rows = np.arange(len(images_of(found, runtime)))
    with pytest.raises(TrainingError, match=r"lost\.png: cannot be read: No such file.*`retune data check` lists"):
        images_of(found, runtime)[rows]


@pytest.mark.thorough
def test_vit_b_32_with_random_weights_runs_two_tasks(folder: Path, tmp_path: Path) -> None:
    found = Clip(model=Model(name="ViT-B-32", pretrained="random"), data=str(folder / "m.parquet"))
    scores = run(found, Runtime(cache=tmp_path), MemoryStore(), steps=2, batch_size=8, lr=1e-5)
    assert len(scores) == 3
    assert all(0 <= score.value <= 1 for some in scores for score in some)
