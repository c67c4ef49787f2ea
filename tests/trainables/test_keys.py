"""Recorded names of results: of every method, timeline, rule and recipe, so that what a store holds stays found."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest

from tests.trainables.toys import IDENTITY, trial
from trainables.config import SCHEDULES, TrialConfig
from trainables.cycle import lineage
from trainables.frozen import digest
from trainables.lineages import Shared
from trainables.merging.rule import ROWS
from trainables.merging.timeline import TIMELINES, Recency
from trainables.methods.method import METHODS
from trainables.nodes import cost_key, scores_key

AXES: dict[str, list[dict[str, Any]]] = {
    "methods": [
        {"method": name, **axes}
        for name in METHODS
        for axes in ({}, {"timeline": "ema", "w": 0.9}, {"seed": 2, "order": 1, "tasks": 4})
        if name != "peft"  # whose default is larger than the toy model
    ],
    "timelines": [
        {"timeline": name, "rule": rule, "w": 0.25, "tasks": 4}
        for name, places in TIMELINES.items()
        for rule in ("lerp", "slerp", "ties")
        if rule != "slerp" or "all" not in places
    ],
    "rules": [
        *({"timeline": "ema", "rule": rule, "w": 0.5, "penalty": "ewc"} for rule in ROWS if rule != "tall_masks"),
        {"timeline": "ema", "rule": "dare", "lines": "sqrt"},
        {"timeline": "offline", "merge_logit_scale": "base"},
    ],
    "merging": [
        *({"timeline": "all-all", "recency": one, "tasks": 4} for one in get_args(Recency)),
        *({"timeline": "ema", "w": 0.5, "chain": "first"}, {"wise_ft": 0.3}, {"timeline": "ema", "w": 1.0}),
        {"method": "lora", "lifetime": "fold"},
    ],
    "recipes": [
        *({"schedule": name} for name in SCHEDULES),
        *({"peaks": "1, 0.5, 0.25"}, {"steps_factors": "2, 1, 0.5"}),
        *({"buffer_size": 5}, {"buffer_size": 5, "buffer_policy": "balanced"}),
        *({"online_ema": 0.9}, {"temperature": 0.05}, {"precision": "bf16"}),
        *({"ordering": "dataset"}, {"ordering": "reversed_random"}),
        {"penalty": "si", "projection": "galore"},
        {"method": "bitfit", "penalty": "l2init", "strength": 2},
        {"pool_share": 0, "new_share": 1, "buffer_share": 0},
    ],
}
RECORDED = {
    "methods": "0aecb87b31859304",
    "timelines": "9812aae67e9406fa",
    "rules": "32d41257834f04b1",
    "merging": "2c0ae4bffb1bdc89",
    "recipes": "69f8e5ed83bbb63a",
}


@pytest.mark.parametrize("family", AXES)
def test_names_are_those_that_were_recorded(family: str) -> None:
    """A change here makes every store worthless: raise NUMERICS_VERSION and say so, or leave the names alone.

    They are the same whether a trial is planned alone or beside others.
    """
    configs = [trial(**axes) for axes in AXES[family]]
    shared = Shared(IDENTITY)
    assert digest([name for config in configs for name in names(config, Shared(IDENTITY))])[:16] == RECORDED[family]
    assert digest([name for config in configs for name in names(config, shared)])[:16] == RECORDED[family]


def names(config: TrialConfig, shared: Shared) -> Iterator[str]:
    yield from (config.config_id, config.trial_id, cost_key(config.recipe, IDENTITY.base))
    for step in lineage(config, IDENTITY, (0.5, 0.75), shared):
        yield "" if step.update is None else step.update.key
        yield scores_key(step.served, IDENTITY.suite)
        yield from (scores_key(one, IDENTITY.suite) for one in step.inside)
