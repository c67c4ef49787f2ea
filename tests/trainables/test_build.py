"""The three promises: resumed equals uninterrupted, shared work is done once, only what may change numbers does."""

import json
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import load
from torch import nn

from search_spaces.space import Scalar
from tests.trainables import toys
from trainables import cycle
from trainables.build import CARRY, FISHER, Builder
from trainables.config import TrialConfig
from trainables.frozen import ConfigError
from trainables.lineages import Lineages, Step
from trainables.machine.device import device_name
from trainables.merging.merge import MergeInputs, lerp, lerp_, merge
from trainables.merging.rule import MergeRule
from trainables.metrics import Score
from trainables.nodes import NUMERICS_VERSION, Base, MidTask, Update, Weights, scores_key
from trainables.runtime import Runtime
from trainables.store import leases
from trainables.store.local import LocalStore
from trainables.store.memory import MemoryStore
from trainables.store.store import Kind, Store
from trainables.train import ADAPTER
from trainables.workloads.settings import Subset

WORKLOAD = toys.workload()
CYCLES: dict[str, dict[str, Scalar]] = {
    "finetune": {},
    "ema": {"timeline": "ema", "w": 0.5},
    "ft": {"timeline": "ft", "w": 0.3},
    "zs": {"timeline": "zs", "w": 0.5},
    "lora": {"method": "lora", "rank": 2, "timeline": "ema", "w": 0.5},
    "lora continued": {"method": "lora", "rank": 2},
    "ewc": {"method": "ewc", "timeline": "ema", "w": 0.5},
    "si": {"method": "si", "strength": 10.0},
    "offline": {"timeline": "offline"},
    "dare over all": {"timeline": "all-all", "rule": "dare_ties"},
    "model stock": {"timeline": "last-ema", "rule": "model_stock", "wise_ft": 0.2},
    "fisher": {"timeline": "offline", "rule": "fisher", "penalty": "ewc", "strength": 0.0},
    "average over steps": {"online_ema": 0.7, "method": "ewc"},
    "lora served merged": {"method": "lora", "rank": 2, "timeline": "last-all"},
}


SOME = ("ema", "lora continued", "offline")
"""A chain of merges, an adapter that goes on, and a merge of all: at every moment; the others at the hardest."""


class KilledError(Exception):
    """Stands for a kill after a report."""


def run(
    config: TrialConfig, store: Store, runtime: Runtime | None = None, keep_bytes: int | None = None
) -> list[tuple[int, tuple[Score, ...]]]:
    """What a trial reports, run by a builder that knows nothing but the store."""
    reports: list[tuple[int, tuple[Score, ...]]] = []
    builder = Builder(WORKLOAD, store, runtime or Runtime(), keep_bytes=keep_bytes)
    cycle.run(config, builder, lambda step, scores: reports.append((step.task, scores)))
    return reports


def payloads(store: Store) -> dict[tuple[Kind, str], bytes | None]:
    """Everything in a store but records, which hold measured times."""
    kinds: tuple[Kind, ...] = ("updates", "scores", "costs")
    return {(kind, key): store.get(kind, key) for kind in kinds for key in store.keys(kind)}


@cache
def whole(name: str) -> tuple[list[tuple[int, tuple[Score, ...]]], MemoryStore]:
    """What a cycle of three tasks reports that nothing interrupts, and its store, which no test changes."""
    store = MemoryStore()
    return run(toys.trial(tasks=3, steps=2, **CYCLES[name]), store), store


def updates(config: TrialConfig) -> list[Update]:
    return [step.update for step in Lineages(toys.IDENTITY).of(config) if step.update is not None]


def cases(hardest: object, others: Sequence[object]) -> list[object]:
    """All cycles at the hardest moment, and at the others some, the rest of them by `make test-all` alone."""
    more = [(name, other) for name in CYCLES for other in others]
    return [(name, hardest) for name in CYCLES] + [
        pytest.param(*one, marks=() if one[0] in SOME else pytest.mark.thorough) for one in more
    ]


@pytest.mark.parametrize(("name", "moment"), cases("after training", ["after the report"]))
def test_interrupted_after_each_task_equals_uninterrupted(name: str, moment: str, tmp_path: Path) -> None:
    config = toys.trial(tasks=3, steps=2, **CYCLES[name])
    expected, undisturbed = whole(name)

    def report(task: int) -> Callable[[Step, tuple[Score, ...]], None]:
        def stop(step: Step, _: tuple[Score, ...]) -> None:
            if step.task == task:
                raise KilledError

        return stop

    store = LocalStore(tmp_path)
    for task in range(3):
        with pytest.raises(KilledError):
            cycle.run(config, Builder(WORKLOAD, store, Runtime()), report(task))
        if moment == "after training" and task:
            node = list(Lineages(toys.IDENTITY).of(config))[task].served
            path = store.folder / "scores" / (key := scores_key(node, toys.IDENTITY.suite))[:2] / key
            path.unlink()
    assert run(config, store) == expected
    assert payloads(store) == payloads(undisturbed)
    assert store.keys("records") == store.keys("updates")


def test_second_run_computes_nothing(tmp_path: Path) -> None:
    config = toys.trial(**CYCLES["ema"])
    first = run(config, LocalStore(tmp_path))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    builder = Builder(WORKLOAD, LocalStore(tmp_path), Runtime())
    again: list[tuple[int, tuple[Score, ...]]] = []
    cycle.run(config, builder, lambda step, scores: again.append((step.task, scores)))
    assert again == first
    assert len(builder.trained) == 0
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("name", "task"), cases(2, [1, 3]))
def test_damaged_update_in_a_chain_heals_to_the_same_bytes(name: str, task: int, tmp_path: Path) -> None:
    config = toys.trial(tasks=3, steps=2, **CYCLES[name])
    told: list[str] = []
    store = LocalStore(tmp_path, told.append)
    expected, undisturbed = whole(name)
    before = payloads(undisturbed)
    for (kind, one), value in before.items():
        store.put(kind, one, value or b"")
    key = updates(config)[task - 1].key
    path = tmp_path / "updates" / key[:2] / key
    path.write_bytes(path.read_bytes()[:-9])
    for scores in tmp_path.glob("scores/??/*"):
        scores.unlink()  # or nobody would look at the weights again
    assert run(config, store) == expected
    assert payloads(store) == before
    assert len(told) == 1
    assert key in told[0]


def test_lost_updates_at_the_start_of_a_chain_heal(tmp_path: Path) -> None:
    config = toys.trial(tasks=3, steps=2, **CYCLES["ema"])
    store = LocalStore(tmp_path)
    expected = run(config, store)
    before = payloads(store)
    for update in updates(config)[:2]:
        store.delete("updates", update.key)
    for key in store.keys("scores"):
        store.delete("scores", key)
    assert run(config, store) == expected
    assert payloads(store) == before


def test_updates_that_were_freed_are_not_trained_again_for_what_is_scored() -> None:
    """Of three tasks of full fine-tuning the last is open: it starts from the second update, which was kept."""
    store, config = MemoryStore(), toys.trial()
    run(config, store)
    before = payloads(store)
    first, _, last = updates(config)
    store.delete("updates", first.key)
    store.delete("updates", last.key)
    store.delete("scores", scores_key(last, toys.IDENTITY.suite))
    builder = Builder(WORKLOAD, store, Runtime())
    cycle.run(config, builder, lambda *_: None)
    assert len(builder.trained) == 1
    assert payloads(store) == {name: one for name, one in before.items() if name != ("updates", first.key)}


def test_shared_work_is_done_once() -> None:
    """Three tasks: 1 first update, 2 more of finetune, 2 of ema, 1 of ft (task 2 is that of ema), 2 of zs for any w."""
    store = MemoryStore()
    builder = Builder(WORKLOAD, store, Runtime())
    grid = [
        toys.trial(),
        *(toys.trial(timeline=name, w=0.5) for name in ("ema", "ft", "zs")),
        toys.trial(timeline="zs", w=0.9),
    ]
    for config in grid:
        cycle.run(config, builder, lambda *_: None)
    assert len(builder.trained) == 1 + 2 + 2 + 1 + 2
    assert len(store.keys("updates")) == len(builder.trained)
    assert len(store.keys("scores")) == len({step.served.key for c in grid for step in Lineages(toys.IDENTITY).of(c)})
    assert len(store.keys("costs")) == 1


def test_sharing_does_not_change_numbers() -> None:
    shared = MemoryStore()
    for name in ("finetune", "ft", "ema", "zs"):
        run(toys.trial(**CYCLES[name]), shared)
    for name in ("zs", "ema"):
        alone = MemoryStore()
        run(toys.trial(**CYCLES[name]), alone)
        assert payloads(alone).items() <= payloads(shared).items()


def test_seed_and_order_change_numbers() -> None:
    """Everything but the zero-shot point, which trains nothing."""
    results = []
    for seed, order in ((0, 0), (1, 0), (0, 1)):
        store = MemoryStore()
        run(toys.trial(seed=seed, order=order), store)
        results.append({store.get("updates", key) for key in store.keys("updates")})
    assert not results[0] & results[1]
    assert not results[0] & results[2]


@pytest.mark.parametrize("runtime", [Runtime(threads=1), Runtime(cache=Path("/nowhere"))], ids=["applied", "cache"])
def test_runtime_changes_no_number_and_no_key(runtime: Runtime) -> None:
    config = toys.trial(**CYCLES["ema"])
    plain, other = MemoryStore(), MemoryStore()
    run(config, plain)
    with applied(runtime):
        run(config, other, runtime)
    assert payloads(other) == payloads(plain)


def test_threads_change_no_key_and_numbers_by_rounding_alone() -> None:
    """Products are summed in another order by two threads, and Adam enlarges what is rounded."""
    config = toys.trial(tasks=2, steps=1, **CYCLES["ema"])
    plain, other = MemoryStore(), MemoryStore()
    run(config, plain)
    with applied(Runtime(threads=2)):
        assert torch.get_num_threads() == 2
        run(config, other, Runtime(threads=2))
    assert plain.blobs.keys() == other.blobs.keys()
    for key in plain.keys("updates"):
        one, two = (load(store.get("updates", key) or b"") for store in (plain, other))
        for name, tensor in one.items():
            torch.testing.assert_close(two[name], tensor, atol=2e-2, rtol=0)


@contextmanager
def applied(runtime: Runtime) -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    runtime.apply()
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.set_num_threads(before[1])


def test_random_state_of_the_process_changes_no_number() -> None:
    stores = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        stores.append(MemoryStore())
        run(toys.trial(**CYCLES["lora"]), stores[-1])
    assert payloads(stores[0]) == payloads(stores[1])


def test_another_suite_evaluates_again_and_trains_nothing() -> None:
    store = MemoryStore()
    config = toys.trial()
    run(config, store)
    other = toys.workload()
    other._identity = replace(toys.IDENTITY, suite="other")
    builder = Builder(other, store, Runtime())
    cycle.run(config, builder, lambda *_: None)
    assert len(builder.trained) == 0
    assert len(store.keys("scores")) == 2 * 4


def test_served_weights_are_the_merge_of_the_stored_ones() -> None:
    store = MemoryStore()
    config = toys.trial(**CYCLES["ema"])
    run(config, store)
    builder = Builder(WORKLOAD, store, Runtime())
    served = dict(WORKLOAD.base())
    for update, step in zip(updates(config), list(Lineages(toys.IDENTITY).of(config))[1:], strict=True):
        new = load(store.get("updates", update.key) or b"")
        served = lerp(served, new, w=0.5)
        got = builder.weights(step.served)
        assert all(torch.equal(got[name], tensor) for name, tensor in served.items())


def test_merge_of_all_is_the_rule_over_the_stored_updates() -> None:
    store = MemoryStore()
    config = toys.trial(timeline="offline", rule="ties", lines="linear", merge_logit_scale="base")
    run(config, store)
    experts = [{**WORKLOAD.base(), **load(store.get("updates", one.key) or b"")} for one in updates(config)]
    served = list(Lineages(toys.IDENTITY).of(config))[-1].served
    rule = MergeRule(name="ties", lines="linear", logit_scale="base")
    expected = merge(rule, MergeInputs(states=tuple(experts), base=WORKLOAD.base()))
    got = Builder(WORKLOAD, store, Runtime()).weights(served)
    assert all(torch.equal(got[name], tensor) for name, tensor in expected.items())


def test_fisher_merge_weighs_by_what_ewc_keeps() -> None:
    """A chain's precision is the weighted sum of its inputs' Fisher matrices (2111.09832, section 3)."""
    store = MemoryStore()
    config = toys.trial(timeline="ema", rule="fisher", w=0.25, penalty="ewc", strength=0.0)
    run(config, store)
    stored = [load(store.get("updates", one.key) or b"") for one in updates(config)]
    states = [{**WORKLOAD.base(), **{k: t for k, t in one.items() if not k.startswith(CARRY)}} for one in stored]
    prefix = f"{CARRY}{FISHER}"
    fishers = [{k.removeprefix(prefix): t for k, t in one.items() if k.startswith(prefix)} for one in stored]
    rule = MergeRule(name="fisher")
    two = merge(rule, MergeInputs(states=tuple(states[:2]), weights=(0.25, 0.75), fishers=tuple(fishers[:2])))
    both = {name: 0.25 * fishers[0][name] + 0.75 * fishers[1][name] for name in fishers[0]}
    three = merge(rule, MergeInputs(states=(two, states[2]), weights=(0.25, 0.75), fishers=(both, fishers[2])))
    builder = Builder(WORKLOAD, store, Runtime())
    for step, expected in zip(list(Lineages(toys.IDENTITY).of(config))[2:], (two, three), strict=True):
        got = builder.weights(step.served)
        for name, tensor in expected.items():
            torch.testing.assert_close(got[name], tensor, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("keep_bytes", [None, 0], ids=["in memory", "the least in memory"])
@pytest.mark.parametrize("name", ["ema", "zs", "offline"])
def test_cycle_of_t_tasks_costs_t_interpolations(
    name: str, keep_bytes: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Task by task, and when the last merge alone is asked for; averages that were stored are not read twice."""
    tasks = 6
    config = toys.trial(tasks=tasks, steps=1, timeline=name, **({} if name == "offline" else {"w": 0.5}))
    calls = 0

    def counted(*given: object, **options: object) -> None:
        nonlocal calls
        calls += 1
        lerp_(*given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("trainables.build.lerp_", counted)
    store = MemoryStore()
    run(config, store, keep_bytes=keep_bytes)
    links = tasks - 1 if name == "offline" else tasks
    assert calls == links
    calls = 0
    builder = Builder(WORKLOAD, store, Runtime(), keep_bytes=keep_bytes)
    builder.weights(list(Lineages(toys.IDENTITY).of(config))[-1].served)
    assert calls == links


def test_chain_in_place_has_the_bits_of_single_merges() -> None:
    """Also where a link of it is in memory, which must stay what it is."""
    store = MemoryStore()
    config = toys.trial(tasks=5, steps=1, timeline="zs", w=0.3)
    run(config, store)
    served = [step.served for step in Lineages(toys.IDENTITY).of(config)][1:]
    one_by_one = Builder(WORKLOAD, store, Runtime())
    expected = [{name: t.clone() for name, t in one_by_one.weights(node).items()} for node in served]
    at_once = Builder(WORKLOAD, store, Runtime())
    for i in (2, 4, 2, 0, 4):
        got = at_once.weights(served[i])
        assert all(torch.equal(got[name], tensor) for name, tensor in expected[i].items())


def test_average_over_steps_is_that_of_the_weights_after_every_step() -> None:
    """The same training, stopped after each step by its schedule-free twin, gives the weights to average."""
    axes: dict[str, Scalar] = {"tasks": 1, "schedule": "constant", "warmup": 0.0}
    builder = Builder(WORKLOAD, MemoryStore(), Runtime())
    average = {name: tensor.double() for name, tensor in WORKLOAD.base().items()}
    for steps in (1, 2, 3):
        after = builder.weights(updates(toys.trial(steps=steps, **axes))[0])
        average = {name: 0.75 * tensor + 0.25 * after[name].double() for name, tensor in average.items()}
    got = builder.weights(updates(toys.trial(steps=3, online_ema=0.75, **axes))[0])
    for name, tensor in average.items():
        torch.testing.assert_close(got[name].double(), tensor, atol=1e-6, rtol=1e-6)


def test_starts_that_are_not_merged_train_once_for_all_that_is_served() -> None:
    store = MemoryStore()
    builder = Builder(WORKLOAD, store, Runtime())
    for start in ("base", "last"):
        for axes in (
            {"serve": "last"},
            {"serve": "last", "wise_ft": 0.5},
            {"serve": "ema", "w": 0.5},
            {"serve": "ema", "w": 0.9},
            {"serve": "ema", "rule": "ties"},
            {"serve": "patched", "w": 0.5},
            {"serve": "all"},
            {"serve": "all", "rule": "magmax"},
            {"serve": "all", "recency": "reversed_linear"},
        ):
            cycle.run(toys.trial(start=start, steps=1, **axes), builder, lambda *_: None)
    assert len(builder.trained) == 1 + 2 + 2


def test_adapter_updates_store_the_adapter_and_no_weights() -> None:
    store = MemoryStore()
    run(toys.trial(method="lora", rank=2), store)
    for key in store.keys("updates"):
        names = load(store.get("updates", key) or b"").keys()
        assert names
        assert all(name.startswith(f"{CARRY}{ADAPTER}") for name in names)


def test_temperature_that_trains_beside_an_adapter_is_stored_and_goes_on() -> None:
    store = MemoryStore()
    config = toys.trial(method="lora", rank=2, logit_scale=True)
    run(config, store)
    scales = []
    for update in updates(config):
        tensors = load(store.get("updates", update.key) or b"")
        assert [name for name in tensors if not name.startswith(CARRY)] == ["logit_scale"]
        scales.append(tensors["logit_scale"].item())
    assert len({WORKLOAD.base()["logit_scale"].item(), *scales}) == 4
    assert Builder(WORKLOAD, store, Runtime()).weights(updates(config)[-1])["logit_scale"].item() == scales[-1]


@pytest.mark.parametrize("name", CYCLES)
def test_weights_that_are_let_go_of_are_read_again_to_the_same_bits(name: str) -> None:
    expected, undisturbed = whole(name)
    store = MemoryStore()
    assert run(toys.trial(tasks=3, steps=2, **CYCLES[name]), store, keep_bytes=0) == expected
    assert payloads(store) == payloads(undisturbed)


def test_no_second_model_stays_on_another_device() -> None:
    """The meta device stands for it, where nothing is computed."""
    evaluated: list[weakref.ref[nn.Module]] = []

    def evaluate(model: nn.Module, subset: Subset | None = None) -> tuple[Score, ...]:
        assert {tensor.device.type for tensor in model.state_dict().values()} == {"meta"}
        evaluated.append(weakref.ref(model))
        return WORKLOAD.evaluate(WORKLOAD.architecture(), subset)

    own = toys.workload()
    own.evaluate = evaluate  # type: ignore[method-assign]
    Builder(own, MemoryStore(), Runtime(device="meta")).scores(Base(model=toys.IDENTITY.base))
    assert [one() for one in evaluated] == [None]


def test_a_record_names_the_kind_of_device() -> None:
    _, store = whole("finetune")
    records = [json.loads(store.get("records", key) or b"") for key in store.keys("records")]
    assert {(one["device"], one["device_name"]) for one in records} == {("cpu", device_name("cpu"))}


def test_report_comes_after_every_task_from_the_zero_shot_point_on() -> None:
    reports = run(toys.trial(), MemoryStore())
    assert [task for task, _ in reports] == [0, 1, 2, 3]
    assert all({score.group for score in scores} == {"adapt", "holdout"} for _, scores in reports)
    assert reports[0][1] == WORKLOAD.evaluate(WORKLOAD.architecture())


def test_toy_learns() -> None:
    """Golden in kind: forty steps a task teach the toy its patterns."""
    reports = run(toys.trial(steps=40), MemoryStore())
    new = [next(score.value for score in scores if score.group == "adapt") for _, scores in reports]
    assert new[0] < 0.3
    assert new[-1] > 0.6


@pytest.mark.parametrize("name", ["finetune", "lora continued"])
def test_reading_an_update_does_not_walk_its_chain(name: str) -> None:
    """Full fine-tuning changes every tensor, and a continuing adapter sits on the first weights."""
    store = MemoryStore()
    config = toys.trial(tasks=4, steps=1, **CYCLES[name])
    run(config, store)
    last = updates(config)[-1]
    alone = MemoryStore()
    alone.put("updates", last.key, store.get("updates", last.key) or b"")
    builder = Builder(WORKLOAD, alone, Runtime())
    expected = Builder(WORKLOAD, store, Runtime()).weights(last)
    got = builder.weights(last)
    assert len(builder.trained) == 0
    assert all(torch.equal(got[key], tensor) for key, tensor in expected.items())


@pytest.mark.parametrize("method", ["lora", "lnfit", "locked_text"])
def test_temperature_that_does_not_train_stays_what_it_is(method: str) -> None:
    """Even one that is above the bound of those that train."""
    own = toys.workload()
    high = {**WORKLOAD.base(), "logit_scale": torch.tensor(4.7)}
    own._base = lambda: dict(high)
    store = MemoryStore()
    chain = updates(toys.trial(method=method, steps=1))
    trained = Builder(own, store, Runtime()).weights(chain[-1])
    read = Builder(own, store, Runtime()).weights(chain[-1])
    assert trained["logit_scale"] == read["logit_scale"] == high["logit_scale"]


# -- within tasks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "axes",
    [
        {},
        {"method": "lora", "rank": 2},
        {"online_ema": 0.5},
        {"method": "lora", "rank": 2, "timeline": "ema", "w": 0.5},
    ],
)
def test_evaluations_within_tasks_change_nothing_and_are_stored(axes: dict[str, Scalar]) -> None:
    config = toys.trial(steps=4, tasks=2, **axes)
    plain, watched = MemoryStore(), MemoryStore()
    cycle.run(config, Builder(WORKLOAD, plain, Runtime()), lambda *_: None)
    builder = Builder(WORKLOAD, watched, Runtime())
    cycle.run(config, builder, lambda *_: None, evaluate_at=[0.25, 0.5, 0.99])
    assert all(watched.get("updates", key) == plain.get("updates", key) for key in plain.keys("updates"))
    inside = [one for step in Lineages(toys.IDENTITY).of(config, [0.25, 0.5, 0.99]) for one in step.inside]
    assert [one.step for one in inside] == [1, 2, 4, 1, 2, 4]
    assert watched.keys("scores") - plain.keys("scores") == {scores_key(one, toys.IDENTITY.suite) for one in inside}
    trained = len(builder.trained)
    cycle.run(config, builder, lambda *_: None, evaluate_at=[0.5])
    assert len(builder.trained) == trained


def test_weights_within_a_task_are_those_of_a_shorter_one() -> None:
    """With a constant rate, the first steps of a task do not know how many follow; its last step is its end."""
    axes: dict[str, Scalar] = {"schedule": "constant", "warmup": 0.0, "tasks": 1}
    store = MemoryStore()
    cycle.run(
        toys.trial(steps=6, **axes), Builder(WORKLOAD, store, Runtime()), lambda *_: None, evaluate_at=[1 / 3, 0.999]
    )
    (_, long), (_, short) = (
        list(Lineages(toys.IDENTITY).of(toys.trial(steps=n, **axes), [1 / 3, 0.999])) for n in (6, 2)
    )
    cycle.run(toys.trial(steps=2, **axes), Builder(WORKLOAD, store, Runtime()), lambda *_: None)

    def scores(node: Weights | MidTask) -> bytes | None:
        return store.get("scores", scores_key(node, toys.IDENTITY.suite))

    assert scores(long.inside[0]) == scores(short.served) is not None
    assert scores(long.inside[1]) == scores(long.served)


def test_updates_that_are_there_are_trained_again_only_for_scores_that_are_not() -> None:
    config, store = toys.trial(steps=3, tasks=2), MemoryStore()
    cycle.run(config, Builder(WORKLOAD, store, Runtime()), lambda *_: None)
    before = {key: store.get("updates", key) for key in store.keys("updates")}
    builder = Builder(WORKLOAD, store, Runtime())
    cycle.run(config, builder, lambda *_: None, evaluate_at=[0.5])
    assert len(builder.trained) == 2
    assert {key: store.get("updates", key) for key in store.keys("updates")} == before


def test_a_lease_on_an_update_that_is_there_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another study that ends meanwhile clears it."""
    config, store = toys.trial(steps=3, tasks=1), MemoryStore()
    cycle.run(config, Builder(WORKLOAD, store, Runtime()), lambda *_: None)
    monkeypatch.setattr(leases.Lease, "_is_held", lambda _: False)
    builder = Builder(WORKLOAD, store, Runtime())
    cycle.run(config, builder, lambda *_: None, evaluate_at=[0.5])
    assert len(builder.trained) == 1


def test_nothing_is_computed_under_the_name_of_another_version() -> None:
    store, config = MemoryStore(), toys.trial(tasks=1, steps=2)
    builder = Builder(WORKLOAD, store, Runtime())
    served = [step.served for step in Lineages(WORKLOAD.identity, NUMERICS_VERSION + 1).of(config)]
    for compute in (
        lambda: builder.weights(served[-1]),
        lambda: builder.scores(served[0]),
        lambda: builder.cost(config.recipe, NUMERICS_VERSION + 1),
    ):
        with pytest.raises(
            ConfigError, match=f"of version {NUMERICS_VERSION + 1} of the numerics are not in the store"
        ):
            compute()
    assert not store.blobs
