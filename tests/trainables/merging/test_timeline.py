"""Timelines: the table cell by cell, their settings, and the closed forms of the chains."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from search_spaces.space import Scalar
from tests.trainables import toys
from trainables.lineages import Lineages, Step
from trainables.merging.merge import MergeInputs, merge
from trainables.merging.rule import MergeRule
from trainables.merging.timeline import NAMED, PLACES, SERVED, TIMELINES, Timeline, recency_weights, timeline
from trainables.nodes import Base, Merge, Update, Weights
from trainables.workloads.identity import Identity, Scored

TASKS = 20
IDENTITY = Identity(
    base="b",
    data="d",
    suite="s",
    concepts=tuple(f"c/{i}" for i in range(TASKS)),
    tests=(Scored(1, 1),),
    pool_samples=1,
    anatomy=toys.IDENTITY.anatomy,
)


def chain(tasks: int = TASKS, **axes: Scalar) -> tuple[Step, ...]:
    return tuple(Lineages(IDENTITY).of(toys.trial(tasks=tasks, **axes)))


def of(start: str, serve: str, **axes: Scalar) -> tuple[Step, ...]:
    weighs = {"w": 0.5} if {"ema", "patched"} & {start, serve} else {}
    return chain(3, start=start, serve=serve, **{**weighs, **axes})


# -- the table ---------------------------------------------------------------------------------------------------------


def test_table_has_every_pair_of_places_once() -> None:
    assert sorted(TIMELINES.values()) == sorted((start, serve) for start in PLACES for serve in SERVED)
    assert all(TIMELINES[name] == places for name, places in NAMED.items())


@pytest.mark.parametrize("name", TIMELINES)
def test_name_and_places_say_the_same(name: str) -> None:
    start, serve = TIMELINES[name]
    settings = {"w": 0.5} if {"ema", "patched"} & {start, serve} else {}
    by_name = timeline(name, **settings)
    assert Timeline.model_validate({"start": start, "serve": serve, **settings}) == by_name
    assert Timeline.model_validate(by_name.canonical()) == by_name
    assert (by_name.name, by_name.start, by_name.serve) == (name, start, serve)


@pytest.mark.parametrize("name", TIMELINES)
def test_all_cycles_begin_at_the_base(name: str) -> None:
    first, second, *_ = of(*TIMELINES[name])
    assert isinstance(first.served, Base)
    assert second.update is not None
    assert second.update.start is first.served


def expected(place: str, base: Weights, updates: Sequence[Update], w: float) -> Weights:
    """A place after some updates, written down from its definition, for a plain weighted average."""

    def pair(old: Weights, new: Weights, weight: float) -> Merge:
        return Merge(rule=MergeRule(), inputs=(old, new), weights=(weight, 1 - weight))

    match place:
        case "base":
            return base
        case "last":
            return updates[-1]
        case "patched":
            return pair(base, updates[-1], w)
        case "ema":
            total = base
            for update in updates:
                total = pair(total, update, w)
            return total
        case _:
            total = updates[0]
            for i, update in enumerate(updates[1:], start=1):
                total = pair(total, update, 1 - 1 / (i + 1))
            return total


@pytest.mark.parametrize("start", PLACES)
@pytest.mark.parametrize("serve", SERVED)
def test_every_cell_starts_and_serves_what_it_says(start: str, serve: str) -> None:
    steps = of(start, serve)
    base, updates = steps[0].served, [step.update for step in steps if step.update is not None]
    for step, update in zip(steps[1:], updates, strict=True):
        done = updates[: step.task]
        before = done[:-1]
        assert update.start.key == (expected(start, base, before, 0.5).key if before else base.key)
        assert step.served.key == expected(serve, base, done, 0.5).key


def test_chain_may_begin_at_the_first_update() -> None:
    first = of("base", "ema", chain="first")
    assert first[1].served is first[1].update
    assert isinstance(first[2].served, Merge)
    assert first[2].served.inputs == (first[1].update, first[2].update)


def test_wise_ft_serves_with_the_base_and_changes_no_update() -> None:
    plain, patched = of("last", "last"), of("last", "last", wise_ft=0.3)
    for one, other in zip(plain[1:], patched[1:], strict=True):
        assert one.update is not None
        assert other.update is not None
        assert one.update.key == other.update.key
        assert isinstance(other.served, Merge)
        assert (other.served.inputs[1].key, other.served.weights) == (one.served.key, (0.3, 0.7))
        assert isinstance(other.served.inputs[0], Base)


def test_serving_the_last_with_the_base_is_patched() -> None:
    keys = [[step.served.key for step in steps] for steps in (of("last", "last", wise_ft=0.5), of("last", "patched"))]
    assert keys[0] == keys[1]


def test_one_update_is_its_own_merge() -> None:
    for rule in ("lerp", "ties", "model_stock"):
        steps = of("base", "all", rule=rule)
        assert steps[1].served is steps[1].update


def test_rules_that_are_no_average_see_all_updates_and_the_base() -> None:
    steps = of("base", "all", rule="ties")
    served = steps[3].served
    assert isinstance(served, Merge)
    assert served.inputs == tuple(step.update for step in steps[1:])
    assert served.weights is None
    assert isinstance(served.base, Base)


def test_average_of_all_is_a_running_one() -> None:
    """A cycle of T tasks costs T interpolations."""
    steps = of("base", "all", recency="linear")
    served = steps[3].served
    assert isinstance(served, Merge)
    assert [one.key for one in served.inputs] == [step.key for step in (steps[2].served, steps[3].update) if step]
    assert served.weights == pytest.approx((0.5, 0.5))


def test_starts_that_are_not_merged_share_their_updates() -> None:
    for start in ("base", "last"):
        keys = {
            tuple(step.update.key for step in of(start, serve, rule=rule) if step.update is not None)
            for serve in SERVED
            for rule in ("lerp", "ties", "task_arithmetic")
            if not (rule != "lerp" and serve == "last")
        }
        assert len(keys) == 1


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "emma"}, r"'emma' is unknown; did you mean ema\? allowed: finetune, ema, ft, zs, offline"),
        ({"start": "last"}, "give a name, or both start and serve"),
        ({"name": "ema", "start": "base", "w": 0.5}, "ema starts from ema and serves ema"),
        ({"start": "last", "serve": "base"}, "anchor zeroshot"),
        ({"name": "ema"}, "w: missing"),
        ({"name": "offline", "w": 0.5}, "w: has no effect in the timeline offline"),
        ({"name": "ema", "w": 0.5, "rule": {"name": "ties"}}, "w: has no effect in the timeline ema with rule ties"),
        ({"name": "finetune", "chain": "base"}, "chain: has no effect in the timeline finetune"),
        ({"name": "ema", "w": 0.5, "recency": "linear"}, "recency: has no effect"),
        ({"name": "ema", "w": 0.5, "lifetime": "continue"}, "lifetime: has no effect"),
        ({"name": "offline", "rule": {"name": "slerp"}}, "slerp merges 2"),
        ({"name": "ema", "chain": "base", "rule": {"name": "model_stock"}}, "no angle with itself"),
        ({"name": "ft", "rule": {"name": "model_stock"}}, "cannot merge with the base"),
        ({"name": "ft", "rule": {"name": "tall_masks"}}, "cannot merge two"),
        ({"name": "ema", "w": 0.5, "rule": {"name": "ties", "mask_strength": 1.0}}, "has no effect|ties has none"),
        ({"name": "ema", "rule": {"name": "ties", "lines": "linear", "scale": 1.0}}, "lines takes its place"),
        ({"name": "ema", "rule": {"name": "breadcrumbs", "density": 0.8, "prune_top": 0.3}}, "more than all"),
    ],
)
def test_wrong_settings_are_said(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Timeline.model_validate(given)


def test_rules_that_cannot_merge_with_the_base_begin_at_the_first_update() -> None:
    assert timeline("ema", rule={"name": "model_stock"}).chain == "first"
    assert timeline("ema", rule={"name": "tall_masks", "agree": 1}).chain == "base"
    assert timeline("ema", w=0.5).chain == "base"


@pytest.mark.parametrize(
    ("name", "rule", "growth"),
    [
        ("ema", {"name": "task_arithmetic"}, 2.0),
        ("ema", {"name": "task_arithmetic", "scale": 0.5}, 1.0),
        ("ema", {"name": "ties"}, 1.0),
        ("zs", {"name": "task_arithmetic"}, 1.0),
        ("all-all", {"name": "dare"}, 2.0),
        ("ema", {"name": "task_arithmetic", "lines": "linear"}, 2.0),
    ],
)
def test_growth(name: str, rule: dict[str, Any], growth: float) -> None:
    assert timeline(name, rule=rule).growth == growth


# -- recency -----------------------------------------------------------------------------------------------------------

RAW: dict[str, Callable[[int], float]] = {
    "uniform": lambda _: 1.0,
    "linear": float,
    "sqrt": lambda i: i**0.5,
    "quadratic": lambda i: i**2.0,
    "exponential": lambda i: 2.0**i,
    "log": lambda i: float(torch.log(torch.tensor(i + 1.0, dtype=torch.float64))),
}


@pytest.mark.parametrize("name", RAW)
def test_recency_weights(name: str) -> None:
    raw = torch.tensor([RAW[name](i) for i in range(1, 8)], dtype=torch.float64)
    assert recency_weights(name, 7) == pytest.approx((raw / raw.sum()).tolist())
    if name != "uniform":
        turned = recency_weights(f"reversed_{name}", 7)
        assert turned == pytest.approx((raw / raw.sum()).flip(0).tolist())


def test_recency_of_many_tasks_is_finite() -> None:
    assert sum(recency_weights("exponential", 3000)) == pytest.approx(1)


# -- closed forms ------------------------------------------------------------------------------------------------------


def evaluate(steps: Sequence[Step], base: Tensor, deltas: Tensor) -> list[Tensor]:
    """The served weights when training adds deltas[t - 1] to whatever task t starts from."""
    known: dict[str, Tensor] = {}

    def value(node: Weights) -> Tensor:
        if node.key not in known:
            match node:
                case Base():
                    known[node.key] = base
                case Update():
                    known[node.key] = value(node.start) + deltas[node.task.index - 1]
                case Merge():
                    sources = MergeInputs(
                        states=tuple({"x": value(one)} for one in node.inputs),
                        weights=node.weights,
                        base={"x": base},
                    )
                    known[node.key] = merge(node.rule, sources)["x"]
        return known[node.key]

    return [value(step.served) for step in steps]


def numbers() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    return torch.randn(4, generator=rng), torch.randn(TASKS, 4, generator=rng)


def coefficient(name: str, w: float, *, task: int, of: int) -> float:
    """Weight of the displacement of task `of` in what is served after `task`."""
    match name:
        case "ema":
            return 1 - w
        case "zs":
            return (1 - w) * w ** (task - of)
        case _:
            return float((1 - w) ** (task - of + 1))


@pytest.mark.parametrize("name", ["ema", "zs", "ft"])
@pytest.mark.parametrize("w", [0.0, 0.5, 0.9, 1.0])
def test_chain_is_its_closed_form(name: str, w: float) -> None:
    base, deltas = numbers()
    served = evaluate(chain(timeline=name, w=w), base, deltas)
    for task in range(TASKS + 1):
        weights = torch.tensor([coefficient(name, w, task=task, of=i) for i in range(1, task + 1)])
        total = base + (weights[:, None] * deltas[:task]).sum(dim=0)
        torch.testing.assert_close(served[task], total)


def test_finetune_adds_up() -> None:
    base, deltas = numbers()
    served = evaluate(chain(timeline="finetune"), base, deltas)
    for task in range(TASKS + 1):
        torch.testing.assert_close(served[task], base + deltas[:task].sum(dim=0))


@pytest.mark.parametrize("recency", [*RAW, *(f"reversed_{name}" for name in RAW if name != "uniform")])
def test_offline_is_the_weighted_mean_of_what_each_task_learnt(recency: str) -> None:
    base, deltas = numbers()
    served = evaluate(chain(timeline="offline", recency=recency), base, deltas)
    for task in range(1, TASKS + 1):
        weights = torch.tensor(recency_weights(recency, task))
        torch.testing.assert_close(served[task], base + (weights[:, None] * deltas[:task]).sum(dim=0))


def test_task_arithmetic_doubles_what_was_learnt_every_task() -> None:
    """theta_t = base + scale * (2 * (theta_(t-1) - base) + delta_t): with scale 1 a chain grows as 2^t."""
    base, deltas = numbers()
    served = evaluate(chain(timeline="ema", rule="task_arithmetic"), base, deltas)
    for task in range(1, TASKS + 1):
        weights = torch.tensor([2.0 ** (task - i) for i in range(1, task + 1)])
        torch.testing.assert_close(served[task], base + (weights[:, None] * deltas[:task]).sum(dim=0))
    assert float(served[-1].abs().max()) > 2**17


@pytest.mark.parametrize("name", ["ema", "zs", "ft"])
def test_all_weight_on_the_old_serves_the_base_for_ever(name: str) -> None:
    assert all(isinstance(step.served, Base) for step in chain(timeline=name, w=1.0))


@pytest.mark.parametrize("name", ["ema", "ft"])
def test_no_weight_on_the_old_is_fine_tuning_itself(name: str) -> None:
    merged, plain = chain(timeline=name, w=0.0), chain(timeline="finetune")
    assert [step.served.key for step in merged] == [step.served.key for step in plain]
