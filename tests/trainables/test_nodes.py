"""Keys: equal for equal numbers, and changed by everything that changes them; `test_keys` has recorded ones."""

from dataclasses import replace

import pytest

from tests.trainables.toys import IDENTITY, trial
from trainables.config import TrialConfig
from trainables.frozen import ConfigError
from trainables.lineages import Lineages, Step
from trainables.merging.rule import MergeRule
from trainables.nodes import (
    NUMERICS_VERSION,
    UNMARKED_VERSION,
    Base,
    Merge,
    Update,
    cost_key,
    first_of,
    last_update,
    scores_key,
    version_of,
)
from trainables.workloads.identity import Identity


def steps(config: TrialConfig, identity: Identity = IDENTITY) -> list[Step]:
    return list(Lineages(identity).of(config))


def update_keys(config: TrialConfig, identity: Identity = IDENTITY) -> list[str]:
    return [step.update.key for step in steps(config, identity) if step.update is not None]


def unique(*configs: TrialConfig) -> int:
    return len({key for config in configs for key in update_keys(config)})


def identity(**changes: str) -> Identity:
    return replace(IDENTITY, **changes)  # type: ignore[arg-type]


def test_equal_configs_have_equal_keys() -> None:
    for first, again in zip(steps(trial(timeline="ema", w=0.9)), steps(trial(timeline="ema", w=0.9)), strict=True):
        assert first.served.key == again.served.key
        assert first.served is not again.served or isinstance(first.served, Base)


def test_steps_begin_with_the_zero_shot_point() -> None:
    first, *rest = steps(trial(tasks=3))
    assert (first.task, first.update) == (0, None)
    assert first.served.key == Base(model=IDENTITY.base).key
    assert [step.task for step in rest] == [1, 2, 3]
    assert all(step.served is step.update for step in rest)


CHANGES: dict[str, TrialConfig] = {
    "seed": trial(seed=1),
    "order": trial(order=1),
    "lr": trial(lr=2e-2),
    "weight decay": trial(weight_decay=0.1),
    "steps": trial(steps=4),
    "batch size": trial(batch_size=16),
    "mixture": trial(pool_share=0.3, new_share=0.4, buffer_share=0.3),
    "warm-up": trial(warmup=0.2),
    "schedule": trial(schedule="constant"),
    "precision": trial(precision="bf16"),
    "clipping": trial(clip_norm=2.0),
    "tasks": trial(tasks=4),
    "method": trial(method="lora", rank=4),
    "rank": trial(method="lora", rank=5),
    "alpha": trial(method="lora", rank=4, alpha=1.0),
    "adapter": trial(method="dora", rank=4),
    "targets": trial(method="lora", rank=4, targets="q+v"),
    "penalty": trial(penalty="ewc"),
    "strength": trial(penalty="ewc", strength=7.0),
    "temperature": trial(logit_scale=False),
    "projection": trial(projection="galore", rank=4),
    "average over steps": trial(online_ema=0.9),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_numbers_changes_every_update(name: str) -> None:
    others = {key for other, config in CHANGES.items() if other != name for key in update_keys(config)}
    assert not set(update_keys(CHANGES[name])) & (others | set(update_keys(trial())))


@pytest.mark.parametrize("field", ["base", "data"])
def test_model_and_data_change_every_update(field: str) -> None:
    assert not set(update_keys(trial())) & set(update_keys(trial(), identity(**{field: "x"})))


def test_suite_changes_scores_and_nothing_else() -> None:
    node = steps(trial())[-1].served
    assert update_keys(trial()) == update_keys(trial(), identity(suite="x"))
    assert scores_key(node, "s") != scores_key(node, "x")
    assert scores_key(node, "s") != node.key


def test_weight_of_a_merge_changes_what_follows_from_it() -> None:
    one, other = update_keys(trial(timeline="ema", w=0.5)), update_keys(trial(timeline="ema", w=0.9))
    assert one[0] == other[0]
    assert not set(one[1:]) & set(other[1:])
    served = [steps(trial(timeline="ema", w=w))[1].served.key for w in (0.5, 0.9)]
    assert served[0] != served[1]


def test_weight_of_a_merge_leaves_training_from_the_base_alone() -> None:
    assert update_keys(trial(timeline="zs", w=0.5)) == update_keys(trial(timeline="zs", w=0.9))
    served = {step.served.key for w in (0.5, 0.9) for step in steps(trial(timeline="zs", w=w))[1:]}
    assert len(served) == 6


def test_key_of_a_merge_depends_on_rule_weight_and_sides() -> None:
    a, b = Base(model="a"), Base(model="b")
    pair = {"rule": MergeRule(), "inputs": (a, b), "weights": (0.5, 0.5)}
    changes: list[dict[str, object]] = [
        {},
        {"inputs": (b, a)},
        {"inputs": (a, b, a), "weights": (0.5, 0.25, 0.25)},
        {"weights": (0.6, 0.4)},
        {"weights": None},
        {"rule": MergeRule(name="slerp")},
        {"rule": MergeRule(logit_scale="latest")},
        {"rule": MergeRule(name="ties"), "weights": None, "base": a},
        {"rule": MergeRule(name="ties", density=0.2), "weights": None, "base": a},
        {"rule": MergeRule(name="ties"), "weights": None, "base": b},
    ]
    keys = {Merge(**{**pair, **change}).key for change in changes}  # type: ignore[arg-type]
    assert len(keys | {a.key, b.key}) == len(changes) + 2


def test_first_update_is_shared_by_all_timelines() -> None:
    timelines = [trial(), *(trial(timeline=name, w=0.5) for name in ("ema", "ft", "zs"))]
    assert len({update_keys(config)[0] for config in timelines}) == 1


def test_unique_updates_of_a_grid_by_hand() -> None:
    """Four tasks: 1 first update; 3 more of finetune; 3 of zs, whatever w; per w 3 of ema and 2 of ft.

    The first merge of ft is that of ema: both merge the first update with the base, so both share task 2.
    """
    merging = [trial(timeline=name, w=w, tasks=4) for name in ("ema", "ft", "zs") for w in (0.5, 0.9)]
    assert unique(trial(tasks=4), *merging) == 1 + 3 + 3 + 2 * (3 + 2)
    other_seed = [config.model_copy(update={"seed": 1}) for config in (trial(tasks=4), *merging)]
    assert unique(trial(tasks=4), *merging, *other_seed) == 2 * 17


def test_data_of_a_task_is_a_set() -> None:
    """One task of all concepts is the same in every order of the stream."""
    assert update_keys(trial(tasks=1)) == update_keys(trial(tasks=1, order=3))


def test_start_data_and_seed_are_in_the_key() -> None:
    (one,) = [step.update for step in steps(trial(tasks=1)) if step.update is not None]
    parts = {"start": one.start, "task": one.task, "recipe": one.recipe, "data": one.data, "seed": one.seed}
    assert Update(**parts).key == one.key  # type: ignore[arg-type]
    for change in ({"start": Base(model="x")}, {"data": "x"}, {"seed": 7}):
        assert Update(**{**parts, **change}).key != one.key  # type: ignore[arg-type]


def test_cost_depends_on_method_batch_averaging_and_model_alone() -> None:
    keys = {
        cost_key(trial().recipe, "m"),
        cost_key(trial(method="lora", rank=4).recipe, "m"),
        cost_key(trial(batch_size=64).recipe, "m"),
        cost_key(trial(online_ema=0.9).recipe, "m"),
        cost_key(trial().recipe, "n"),
    }
    assert len(keys) == 5
    assert {cost_key(one.recipe, "m") for one in (trial(lr=0.1), trial(steps=7), trial(seed=3))} <= keys


def test_lifetime_of_an_adapter_changes_what_follows_the_first_task() -> None:
    continued, folded, ema = (
        trial(method="lora", rank=2, **axes) for axes in ({}, {"lifetime": "fold"}, {"timeline": "ema", "w": 0.5})
    )
    assert update_keys(continued)[0] == update_keys(folded)[0] == update_keys(ema)[0]
    assert not set(update_keys(continued)[1:]) & set(update_keys(folded)[1:])
    last = [step.update for step in steps(continued) if step.update is not None][-1]
    assert last.continues
    assert first_of(last).key == update_keys(continued)[0]


def test_memory_comes_from_the_last_update_before_a_merge() -> None:
    _, first, second, _ = steps(trial(timeline="ema", w=0.5))
    assert isinstance(first.served, Merge)
    assert last_update(first.served) is first.update
    assert second.update is not None
    assert last_update(second.update.start) is first.update
    assert last_update(Base(model="m")) is None


def test_zero_shot_model_is_served_throughout() -> None:
    found = steps(trial(method="zeroshot", tasks=3))
    assert [step.task for step in found] == [0, 1, 2, 3]
    assert {step.update for step in found} == {None}
    assert {step.served.key for step in found} == {Base(model=IDENTITY.base).key}


def test_method_that_the_model_cannot_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="rank: 17 given"):
        steps(trial(method="lora", rank=17))


def test_the_version_of_a_base_is_in_every_key_that_follows() -> None:
    config = trial(timeline="ema", w=0.9, tasks=2)

    def keys(numerics: int) -> list[str]:
        built = list(Lineages(IDENTITY, numerics).of(config, (0.5,)))
        nodes = [one.served for one in built] + [one.update for one in built if one.update is not None]
        scores = [scores_key(one, IDENTITY.suite) for step in built for one in (step.served, *step.inside)]
        return [*(one.key for one in nodes), *scores, cost_key(config.recipe, IDENTITY.base, numerics)]

    of = {version: keys(version) for version in (UNMARKED_VERSION, UNMARKED_VERSION + 1, UNMARKED_VERSION + 2)}
    for version, names in of.items():
        assert {version_of(key) for key in names} == {version}
        assert (names == keys(NUMERICS_VERSION)) == (version == NUMERICS_VERSION)
    digests = [{key.partition(".")[0] for key in names} for names in of.values()]
    assert not digests[0] & digests[1]
    assert all(len(key) == 64 for key in of[UNMARKED_VERSION])
