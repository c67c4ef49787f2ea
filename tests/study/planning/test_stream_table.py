"""`retune plan --stream`: what each task of each block teaches, in words and for programs."""

import json
import re
from pathlib import Path

import pytest

from study.definition.study import StudyDefinition
from study.planning.plan import Plan, make_plan
from study.planning.stream_table import TaughtStream, as_json, streams, table
from tests.study import command
from tests.trainables import toys
from trainables.frozen import ConfigError, parse
from trainables.runtime import Runtime
from trainables.workloads.catalogue import open_workload
from trainables.workloads.pocket.settings import Pocket
from trainables.workloads.pocket.world.datasets import ADAPT, DATASETS

POCKET = open_workload(Pocket(pool=512), Runtime())


def plan(*grids: dict[str, object], blocks: object = 1) -> Plan:
    value = {
        "name": "p",
        "workload": {"pool": 512},
        "blocks": blocks,
        "fixed": {"steps": 2, "batch_size": 32, "tasks": 3},
        "grid": [*grids],
    }
    return make_plan(parse(StudyDefinition, value, source="p.yaml"), "p.yaml")


def taught(*grids: dict[str, object], blocks: object = 1) -> tuple[TaughtStream, ...]:
    return streams(plan(*grids, blocks=blocks), POCKET)


def test_every_concept_is_taught_once_with_all_its_images() -> None:
    (found,) = taught({"lr": [1e-3, 2e-3], "method": ["full", "lora"]})
    assert [task.task for task in found.tasks] == [1, 2, 3]
    parts = [part for task in found.tasks for part in task.datasets]
    names = [(part.dataset, concept) for part in parts for concept in part.concepts]
    assert len(names) == len(set(names)) == 199
    for name in ADAPT:
        row = DATASETS[name]
        images = sum(part.images for part in parts if part.dataset == name)
        assert images == len(row.concepts) * row.train_per_concept


def test_a_task_is_that_which_is_trained() -> None:
    """The parts of a task are the concepts of the lineage's task, which keys follow from."""
    from trainables.lineages import Lineages

    found = plan({"lr": 1e-3})
    (listed,) = streams(found, POCKET)
    config = found.trials[-1].trial.config
    trained = [step.update.task for step in Lineages(POCKET.identity).of(config) if step.update is not None]
    for task, own in zip(trained, listed.tasks, strict=True):
        assert {f"{part.dataset}/{name}" for part in own.datasets for name in part.concepts} == set(task.new)


def test_blocks_of_one_order_and_configs_of_one_stream_are_one() -> None:
    blocks = [{"seed": 0, "order": 0}, {"seed": 1, "order": 0}, {"seed": 0, "order": 1}]
    found = taught({"steps_factors": ["none", "1, 2, 3"]}, {"ordering": "similarity"}, blocks=blocks)
    assert [(one.ordering, one.embedding, one.order, one.blocks) for one in found] == [
        ("random", None, 0, ("seed0-order0", "seed1-order0")),
        ("similarity", "text", 0, ("seed0-order0", "seed1-order0")),
        ("random", None, 1, ("seed0-order1",)),
        ("similarity", "text", 1, ("seed0-order1",)),
    ]


def test_a_stream_of_one_data_set_says_so() -> None:
    alone, other = taught({"dataset": ["greek", "weaves"]})
    assert {part.dataset for task in alone.tasks for part in task.datasets} == {"greek"} == {alone.dataset}
    lines = list(table([alone, other]))
    assert [line for line in lines if line.startswith("ordering")] == [
        "ordering random, greek alone, order 0, in seed0-order0:",
        "ordering random, weaves alone, order 0, in seed0-order0:",
    ]
    assert sum("  5 concepts (160 images): greek 5 (160)" in line for line in lines) == 2


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({"dataset": "greeks"}, "dataset: 'greeks' is no data set of the stream; did you mean greek? allowed: greek, "),
        ({"dataset": "weaves", "tasks": 11}, "tasks: 11 given; the stream has 10 concepts, one a task at least"),
    ],
)
def test_streams_that_a_data_set_cannot_make_are_refused(axes: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        plan(axes)


def test_lines_have_numbers_and_json_has_names() -> None:
    (found,) = streams(plan({"lr": 1e-3}), toys.workload())
    assert list(table([found])) == [
        "ordering random, order 0, in seed0-order0:",
        *(f"  task {i + 1}   {n:4} concepts ({10 * n} images): toy {n} ({10 * n})" for i, n in enumerate(_sizes())),
    ]
    (listed,) = json.loads(as_json([found]))
    assert listed["blocks"] == ["seed0-order0"]
    first = listed["tasks"][0]["datasets"]
    assert [(part["dataset"], len(part["concepts"]), part["images"]) for part in first] == [
        ("toy", _sizes()[0], 10 * _sizes()[0])
    ]


def _sizes() -> list[int]:
    short, longer = divmod(toys.NEW, 3)
    return [short + (i < longer) for i in range(3)]


def test_the_command(tmp_path: Path) -> None:
    study = command.write_study(tmp_path)
    said = command.ok_here("plan", study, "--stream")
    assert said.startswith("ordering random, order 0, in seed0-order0:\n  task 1     67 concepts (")
    listed = json.loads(command.ok_here("plan", study, "--stream", "--json"))
    assert sum(len(part["concepts"]) for task in listed[0]["tasks"] for part in task["datasets"]) == 199
    assert not (tmp_path / "runs").exists()
