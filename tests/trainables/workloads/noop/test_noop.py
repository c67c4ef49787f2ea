"""The noop workload: every way of updating that one number allows really runs, and learns and forgets."""

import math
from pathlib import Path

import pytest

from search_spaces.space import Scalar, build
from trainables import cycle
from trainables.build import Builder
from trainables.config import TrialConfig
from trainables.frozen import ConfigError
from trainables.lineages import Lineages, Step
from trainables.merging.rule import ROWS
from trainables.merging.timeline import TIMELINES
from trainables.methods import scope
from trainables.methods.method import METHODS, named
from trainables.metrics import Score, Summary, summarise
from trainables.runtime import Runtime
from trainables.store.memory import MemoryStore
from trainables.workloads.catalogue import identify, open_workload
from trainables.workloads.noop.settings import Noop
from trainables.workloads.settings import PLAIN, Evaluation, Subset

WORKLOAD = Noop()
IDENTITY = identify(WORKLOAD)


def trial(**axes: Scalar) -> TrialConfig:
    values: dict[str, Scalar] = {"tasks": 3, "steps": 3, "batch_size": 16, "lr": 0.05, "weight_decay": 0.0, **axes}
    return build(values, workload=WORKLOAD, source="noop")[0]


def run(config: TrialConfig, evaluation: Evaluation = PLAIN) -> tuple[list[tuple[Score, ...]], Builder]:
    """Scores after each task, and the builder that made them."""
    found: list[tuple[Score, ...]] = []

    def report(_: Step, scores: tuple[Score, ...]) -> None:
        found.append(scores)

    builder = Builder(open_workload(config.workload, Runtime()), MemoryStore(), Runtime())
    cycle.run(config, builder, report, evaluation=evaluation)
    return found, builder


def points(config: TrialConfig) -> list[Summary]:
    return [summarise(scores) for scores in run(config)[0]]


def test_what_is_learnt_is_also_forgotten_and_merging_moves_between() -> None:
    before, *_, after = points(trial())
    assert after.aka > before.aka
    assert after.azs < before.azs
    half = points(trial(timeline="ema", w=0.5))[-1]
    assert before.aka < half.aka < after.aka
    assert before.azs > half.azs > after.azs
    replayed = points(trial(pool_share=0.9, new_share=0.1, buffer_share=0.0))[-1]
    assert replayed.azs > after.azs


def test_every_timeline_and_rule_runs_and_is_a_pure_function_of_the_config() -> None:
    merging: list[dict[str, Scalar]] = [{"timeline": name, "w": 0.5} for name in TIMELINES]
    for rule in ROWS:
        axes: dict[str, Scalar] = {"timeline": "ema", "rule": rule, "w": 0.5}
        axes |= {"agree": 1} if rule == "tall_masks" else {}
        merging.append(axes | ({"penalty": "ewc"} if rule == "fisher" else {}))
    for axes in merging:
        scores, _ = run(trial(**axes))
        assert len(scores) == 4
        assert all(0 < score.value <= 1 for some in scores for score in some), axes
    assert run(trial(**merging[-1]))[0] == scores


def test_methods_run_or_are_refused() -> None:
    """One number has no layers: what needs some is refused by name, and all else trains it."""
    refused = {name for name in METHODS if scope.refusal(named(name), IDENTITY.anatomy)}
    assert refused >= {"lora", "dora", "peft", "lnfit", "bitfit", "locked_image", "freeze_first_layers", "galore"}
    zero_shot = points(trial())[0]
    for name in METHODS.keys() - refused - {"zeroshot"}:
        assert points(trial(method=name))[-1] != zero_shot, name
    assert set(points(trial(method="zeroshot"))) == {zero_shot}
    assert points(trial(projection="galore", rank=1))[-1] != zero_shot
    for name in refused - {"galore"}:
        with pytest.raises(ConfigError, match=f"method {name}: "):
            list(Lineages(IDENTITY).of(trial(method=name)))


def test_seed_and_order_change_what_is_learnt() -> None:
    config = trial()
    ends = {points(config.model_copy(update=block))[-1] for block in ({}, {"seed": 1}, {"order": 1})}
    assert len(ends) == 3


def test_suite_has_as_many_data_sets_as_asked_for() -> None:
    for count in (2, 4, 63):
        workload = Noop(datasets=count)
        config, _ = build({"tasks": 1, "steps": 1, "lr": 0.1}, workload=workload, source="noop")
        scores = run(config)[0][0]
        assert len({score.dataset for score in scores}) == count == len(identify(workload).tests)
        assert {score.group for score in scores} == {"adapt", "holdout"}
    whole, part = identify(Noop()), Subset(share=0.5)
    assert whole.is_cut_by(part)
    assert {score.n for score in run(trial(), Evaluation(subset=part))[0][1]} == {500}


def test_costs_are_those_of_one_product_each_way() -> None:
    _, builder = run(trial())
    assert builder.cost(trial().recipe).flops == 2 * 16 + 2 * 16
    assert math.isclose(builder.cost(trial().recipe).mafs, 64)


def test_one_number_is_no_checkpoint(tmp_path: Path) -> None:
    workload = open_workload(WORKLOAD, Runtime())
    with pytest.raises(ConfigError, match="export: the workload noop has no model"):
        workload.export(workload.base(), tmp_path, "hf")
