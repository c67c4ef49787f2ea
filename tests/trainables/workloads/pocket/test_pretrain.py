"""Pretraining: an interrupted run ends in the bits of an uninterrupted one."""

from pathlib import Path

import pytest
import torch

from trainables.workloads.pocket import pretrain as module
from trainables.workloads.pocket.model import build
from trainables.workloads.pocket.pretrain import Pretraining, pretrain

RECIPE = Pretraining(steps=5, pool_size=64, batch_size=8, warmup_steps=2)


class _KilledError(Exception):
    pass


def test_resumed_run_equals_uninterrupted_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    whole = pretrain(RECIPE, out=tmp_path, cache_dir=cache)
    real_batch, drawn = module.batch, []

    def batch_until_killed(recipe, step, **data):  # type: ignore[no-untyped-def]
        drawn.append(step)
        if step == 4 and drawn.count(4) == 1:
            raise _KilledError
        return real_batch(recipe, step, **data)

    monkeypatch.setattr(module, "batch", batch_until_killed)
    with pytest.raises(_KilledError):
        pretrain(RECIPE, out=tmp_path, cache_dir=cache, checkpoint_steps=3)
    resumed = pretrain(RECIPE, out=tmp_path, cache_dir=cache, checkpoint_steps=3)
    assert drawn == [0, 1, 2, 3, 4, 3, 4]
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_seed_changes_the_weights(tmp_path: Path) -> None:
    first = pretrain(RECIPE, out=tmp_path, cache_dir=tmp_path)
    other = pretrain(
        Pretraining(steps=5, pool_size=64, batch_size=8, warmup_steps=2, seed=1), out=tmp_path, cache_dir=tmp_path
    )
    assert not torch.equal(first["text_projection"], other["text_projection"])


def test_checkpoint_of_another_recipe_is_not_used(tmp_path: Path) -> None:
    longer = Pretraining(steps=9, pool_size=64, batch_size=8, warmup_steps=2)
    checkpoint = tmp_path / "pretrain.checkpoint.safetensors"
    expected = pretrain(RECIPE, out=tmp_path, cache_dir=tmp_path)
    module._save(checkpoint, longer, 3, build(5), torch.optim.AdamW(build(5).parameters()))
    again = pretrain(RECIPE, out=tmp_path, cache_dir=tmp_path)
    assert all(torch.equal(value, again[name]) for name, value in expected.items())
