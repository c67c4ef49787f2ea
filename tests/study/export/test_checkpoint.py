"""`retune export --format hf`: the tokenizer's files as open_clip puts them on a hub, and what an upload needs."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch

from study.export.checkpoint import Exported, export_weights
from tests import images
from tests.trainables.workloads.clip.families import FAMILIES
from tests.trainables.workloads.clip.test_opening import config, trial
from trainables.frozen import ConfigError
from trainables.nodes import NUMERICS_VERSION, Base, cost_key, scores_key
from trainables.runtime import Runtime
from trainables.store.memory import MemoryStore
from trainables.store.store import Kind, Store
from trainables.workloads.catalogue import identify
from trainables.workloads.clip.data import manifest
from trainables.workloads.clip.models import open_model
from trainables.workloads.clip.settings import Model
from trainables.workloads.pocket.export import tokenizer_files
from trainables.workloads.pocket.tokenizer import WORDS
from trainables.workloads.workload import Layout

TINY = {
    "embed_dim": 10,
    "vision_cfg": {"image_size": 16, "patch_size": 8, "width": 16, "layers": 1, "head_width": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 12, "heads": 2, "layers": 1},
}


def exported(
    folder: Path,
    model: dict[str, object],
    layout: Layout,
    store: Store | None = None,
    numerics: int = NUMERICS_VERSION,
) -> Exported:
    """The zero-shot model of a manifest of a few images, exported to folder/out."""
    rows = []
    for i in range(12):
        (folder / f"{i}.png").write_bytes(images.some(i))
        group, split = ("holdout", "test") if i < 4 else ("adapt", "test" if i < 8 else "train")
        values = {"image": f"{i}.png", "caption": "the letter", "concept": WORDS[i % 2], "dataset": group}
        rows.append({**values, "split": split, "group": group})
    import pandas as pd

    manifest.write(pd.DataFrame(rows), folder / "m.parquet")
    (folder / "tiny.json").write_text(json.dumps(model))
    return export_weights(
        trial(config(folder), pool_share=0.0, new_share=0.5, buffer_share=0.5),
        0,
        study="s",
        store=store or MemoryStore(),
        runtime=Runtime(cache=folder / "cache"),
        out=folder / "out",
        layout=layout,
        numerics=numerics,
    )


def test_the_default_tokenizer_is_written_for_a_hub_alone(tmp_path: Path) -> None:
    for layout in ("open_clip", "hf"):
        done = exported(tmp_path, TINY, layout)
        assert (tmp_path / "out" / "tokenizer.json").is_file() == (layout == "hf")
        assert done.notes == ()
        tokens = open_clip.get_tokenizer(f"local-dir:{tmp_path / 'out'}")(["a cat"])
        assert torch.equal(tokens, open_clip.SimpleTokenizer(context_length=12)(["a cat"]))
        card = (tmp_path / "out" / "README.md").read_text()
        assert "data: m.parquet" in card
        assert str(tmp_path) not in card
    text = json.loads((tmp_path / "out" / "open_clip_config.json").read_text())["model_cfg"]["text_cfg"]
    assert text == TINY["text_cfg"]


def test_what_another_version_scored_is_exported_under_its_name(tmp_path: Path) -> None:
    store, other = MemoryStore(), NUMERICS_VERSION + 1
    own = exported(tmp_path, TINY, "open_clip", store)
    weights = (tmp_path / "out" / "open_clip_model.safetensors").read_bytes()
    with pytest.raises(ConfigError, match=f"scores of version {other} of the numerics are not in the store"):
        exported(tmp_path, TINY, "open_clip", store, other)
    identity = identify(config(tmp_path))
    recipe = trial(config(tmp_path), pool_share=0.0, new_share=0.5, buffer_share=0.5).recipe
    scores = [scores_key(Base(model=identity.base, numerics=one), identity.suite) for one in (NUMERICS_VERSION, other)]
    prices = [cost_key(recipe, identity.base, one) for one in (NUMERICS_VERSION, other)]
    kinds: tuple[tuple[Kind, list[str]], ...] = (("scores", scores), ("costs", prices))
    for kind, (mine, theirs) in kinds:
        store.put(kind, theirs, store.get(kind, mine) or b"")
    assert exported(tmp_path, TINY, "open_clip", store, other) == own
    assert (tmp_path / "out" / "open_clip_model.safetensors").read_bytes() == weights
    assert f"retune numerics {other}." in (tmp_path / "out" / "README.md").read_text()


def test_a_tokenizer_with_settings_of_open_clip_is_not_written(tmp_path: Path) -> None:
    text = {**TINY["text_cfg"], "tokenizer_kwargs": {"clean": "whitespace"}}  # type: ignore[dict-item]
    (note,) = exported(tmp_path, {**TINY, "text_cfg": text}, "hf").notes
    assert "settings that transformers has not" in note
    assert not (tmp_path / "out" / "tokenizer.json").exists()


def test_a_text_tower_in_a_folder_is_taken_along(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    hf = {**(FAMILIES["bert"].hf or {}), "vocab_size": 1000}
    (tmp_path / "text" / "config.json").write_text(json.dumps(hf))
    for name, content in tokenizer_files().items():
        (tmp_path / "text" / name).write_text(content)
    text = {**FAMILIES["bert"].text, "hf_model_name": "text", "hf_tokenizer_name": "text", "context_length": 12}
    done = exported(tmp_path, {**TINY, "text_cfg": text}, "hf")
    assert [note.split(" ")[0] for note in done.notes] == ["the", "on"]
    card = (tmp_path / "out" / "README.md").read_text()
    assert all(f"Note: {note}." in card for note in done.notes)
    (tmp_path / "text").rename(tmp_path / "gone")
    with torch.random.fork_rng(devices=[]):
        loaded = open_clip.create_model(f"local-dir:{tmp_path / 'out'}")
    tokens = open_clip.get_tokenizer(f"local-dir:{tmp_path / 'out'}")(["the letter"])
    own = open_model(Model(name=f"local-dir:{tmp_path / 'out'}"), tmp_path / "cache")
    np.testing.assert_array_equal(own.tokenize(["the letter"]), tokens.numpy())
    assert all(torch.equal(own.base()[name], value) for name, value in loaded.state_dict().items())
