"""Pretraining: an interrupted run ends in the bytes of an uninterrupted one, and the card says what was made."""

from pathlib import Path

import pytest
import torch

from trainables.workloads.pocket import pretraining as module
from trainables.workloads.pocket.model import build, load_pretrained
from trainables.workloads.pocket.pretrain import RECIPES, make
from trainables.workloads.pocket.pretraining import Pretraining, batch, pretrain, write
from trainables.workloads.pocket.world import WORLD_VERSION

RECIPE = Pretraining(steps=5, batch_size=8, warmup_steps=2)


class _KilledError(Exception):
    pass


def test_resumed_run_equals_uninterrupted_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pretrain(RECIPE, out=tmp_path)
    real_batch, drawn = module.batch, []

    def batch_until_killed(recipe, step):  # type: ignore[no-untyped-def]
        drawn.append(step)
        if step == 4 and drawn.count(4) == 1:
            raise _KilledError
        return real_batch(recipe, step)

    monkeypatch.setattr(module, "batch", batch_until_killed)
    with pytest.raises(_KilledError):
        pretrain(RECIPE, out=tmp_path, checkpoint_steps=3)
    resumed = pretrain(RECIPE, out=tmp_path, checkpoint_steps=3)
    assert drawn == [0, 1, 2, 3, 4, 3, 4]
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_seed_and_world_change_the_weights(tmp_path: Path) -> None:
    first, seeded, elsewhere = (
        pretrain(Pretraining(steps=2, batch_size=8, warmup_steps=1, seed=seed, world_seed=world), out=tmp_path)[
            "text_projection"
        ]
        for seed, world in ((0, 0), (1, 0), (0, 1))
    )
    assert not torch.equal(first, seeded)
    assert not torch.equal(first, elsewhere)


def test_checkpoint_of_another_recipe_is_not_used(tmp_path: Path) -> None:
    longer = Pretraining(steps=9, batch_size=8, warmup_steps=2)
    expected = pretrain(RECIPE, out=tmp_path)
    model = build(5)
    write(tmp_path / "pocket-s.checkpoint.safetensors", model.state_dict(), {})
    module._save(tmp_path / "pocket-s.checkpoint.safetensors", longer, 3, model, torch.optim.AdamW(model.parameters()))
    again = pretrain(RECIPE, out=tmp_path)
    assert all(torch.equal(value, again[name]) for name, value in expected.items())


def test_no_step_sees_a_picture_of_another() -> None:
    first, second = (batch(RECIPE, step)[0] for step in (0, 1))
    assert len(torch.cat((first, second)).flatten(1).unique(dim=0)) == 16


def test_made_weights_load_and_have_a_card(tmp_path: Path, cache: Path) -> None:
    recipe = Pretraining(steps=1, batch_size=8, warmup_steps=1, world_seed=1)
    release = make(recipe, out=tmp_path / "out", cache_dir=cache)
    assert not build(0).load_state_dict(load_pretrained(release)).missing_keys
    assert release.world_seed == 1
    assert release.card["world_version"] == WORLD_VERSION
    assert 0 < release.card["zero_shot"]["AZS"] < 0.5
    assert release.weights.stat().st_size < 1.2e6


def test_recipes_are_those_of_their_size() -> None:
    assert all(recipe.size == size and recipe.world_seed == 0 for size, recipe in RECIPES.items())
