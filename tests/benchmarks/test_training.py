"""The comparison with open_clip's own loop compares the same training."""

from functools import partial
from pathlib import Path

import pytest

from tests.benchmarks.training import compare, pocket_task
from trainables.runtime import Runtime
from trainables.workloads.pocket.model import build


def test_both_loops_train_the_same(cache: Path) -> None:
    runtime = Runtime(cache=cache)
    update, workload = pocket_task("full", steps=3, batch_size=16, runtime=runtime, pool=512)
    found = compare(update, workload, partial(build, seed=0), rounds=1, runtime=runtime)
    assert len(found.own_losses) == len(set(found.own_losses)) == 3
    assert found.open_clip_losses == pytest.approx(found.own_losses, rel=1e-5)
    assert found.own_losses[-1] != pytest.approx(found.own_losses[0], rel=1e-3)
    assert found.ratio == found.open_clip_seconds[0] / found.own_seconds[0] > 0
