"""The pocket workload: identity without torch, data that fits together."""

from pathlib import Path

import numpy as np
import pytest

from trainables.runtime import Runtime
from trainables.workloads.catalogue import identify, open_workload
from trainables.workloads.clip.batch import ClipBatch
from trainables.workloads.pocket.settings import Pocket
from trainables.workloads.pocket.world.datasets import ADAPT, DATASETS


def test_identity_counts_what_the_workload_holds(cache: Path) -> None:
    config = Pocket(pool=512)
    identity = identify(config)
    workload = open_workload(config, Runtime(cache=cache))
    assert workload.identity == identity
    assert len(identity.concepts) == len(set(identity.concepts)) >= 100
    assert len(workload.pool()) == 512
    ids = workload.samples(identity.concepts)
    assert (
        len(np.unique(ids))
        == len(ids)
        == sum(len(DATASETS[name].concepts) * DATASETS[name].train_per_concept for name in ADAPT)
    )
    scores = workload.evaluate(workload.architecture())
    assert [score.dataset for score in scores] == list(DATASETS)
    assert sum(score.n for score in scores) == identity.test_samples


def test_identity_depends_on_the_pool_only_where_it_trains() -> None:
    small, large = identify(Pocket(pool=512)), identify(Pocket(pool=1024))
    assert small.data != large.data
    assert (small.base, small.suite) == (large.base, large.suite)


@pytest.mark.parametrize("name", ADAPT)
def test_a_batch_pairs_each_picture_with_its_own_caption(name: str, cache: Path) -> None:
    from trainables.workloads.pocket.tokenizer import tokenize

    workload = open_workload(Pocket(pool=512), Runtime(cache=cache))
    row = DATASETS[name]
    for k, concept in enumerate(row.concepts[:3]):
        ids = workload.samples([f"{name}/{concept}"])[:4]
        batch = workload.batch(ids, np.random.default_rng(k))
        assert isinstance(batch, ClipBatch)
        length = batch.tokens_UL.shape[1]
        allowed = tokenize([t.format(concept) for t in row.templates])[:, :length].tolist()
        assert all(tokens in allowed for tokens in batch.tokens_UL[batch.caption_B].tolist())
