"""What a trial asks for: by method for the scheduler, and one device and thread count for all that computes."""

import re
from pathlib import Path

import pytest

from study.definition.resources import Resources, in_words
from tests.study import command
from trainables.frozen import ConfigError, parse


def _resources(**values: object) -> Resources:
    return parse(Resources, values, source="study.yaml: resources")


def test_a_method_may_ask_for_something_else_and_computes_alike() -> None:
    resources = _resources(
        cpus=4, gpus=1, memory_gb=32, custom={"a100": 1}, by_method={"lora": {"cpus": 1, "gpus": 0.25, "custom": {}}}
    )
    assert resources.bundle("full", gpus=8) == {"CPU": 4, "GPU": 1, "memory": 32e9, "a100": 1}
    assert resources.bundle("lora", gpus=8) == {"CPU": 1, "GPU": 0.25, "memory": 32e9}
    assert resources.runtime(gpus=8).threads == 4
    assert resources.runtime(gpus=8).device == "cuda"
    assert in_words(resources.bundle("full", gpus=8)) == "4 CPUs, 1 GPU, 32 GB of memory, 1 a100"


def test_by_default_a_trial_takes_one_gpu_where_there_is_any() -> None:
    assert Resources().bundle("full", gpus=0) == {"CPU": 1}
    assert Resources().bundle("full", gpus=2) == {"CPU": 1, "GPU": 1}
    assert Resources().runtime(gpus=0).device == "cpu"
    assert Resources().runtime(gpus=2).device == "cuda"


def test_cpus_may_be_computed_on_beside_gpus_that_are_only_counted() -> None:
    counted = _resources(gpus=1, device="cpu")
    assert counted.bundle("full", gpus=2) == {"CPU": 1, "GPU": 1}
    assert counted.runtime(gpus=2).device == "cpu"
    assert _resources(device="cpu").bundle("full", gpus=2) == {"CPU": 1}


@pytest.mark.parametrize(("given", "meant"), [(True, "on"), (False, "off"), ("on", "on"), ("auto", "auto")])
def test_recompute_may_be_said_as_yaml_reads_it(given: object, meant: str) -> None:
    """Without quotes, on and off are true and false there."""
    assert _resources(recompute=given).runtime(gpus=0).recompute == meant
    assert Resources().runtime(gpus=1).recompute == "auto"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"gpus": 1.5}, r"gpus: 1.5 given; allowed: 1, or a share of one GPU; a trial computes on one, and others"),
        ({"by_method": {"lora": {"gpus": 4}}}, r"by_method.lora.gpus: 4 given; allowed: 1, or a share of one GPU"),
        ({"by_method": {"lorra": {"gpus": 1}}}, r"by_method: 'lorra' is no method; did you mean lora\?"),
        ({"custom": {"GPU": 1}}, r"custom: GPU has a key of its own; write gpus instead"),
        ({"by_method": {"lora": {"custom": {"memory": 1}}}}, r"write memory_gb instead"),
        ({"gpus": 1, "by_method": {"lora": {"gpus": 0}}}, r"by_method.lora.gpus: 0 given beside gpus; methods share"),
        ({"gpus": 0, "device": "cuda"}, r"gpus: 0 given beside device: cuda"),
        ({"recompute": "yes"}, r"recompute: 'yes' given; allowed: 'auto', 'on' or 'off'"),
        ({"cpus": 0}, r"cpus"),
        ({"memory": 4}, r"memory"),
    ],
)
def test_what_cannot_be_asked_for_is_told(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        _resources(**values)


def test_a_plan_says_what_this_machine_cannot_give(tmp_path: Path) -> None:
    text = "name: s\nworkload: {name: noop}\nfixed: {tasks: 2, steps: 2}\n"
    trials = {"grid": "grid: [{lr: 0.1}]\n", "search": "search: {spaces: [{lr: [0.1, 0.2]}]}\n"}
    for kind, asks in (("grid", "cpus: 1000"), ("search", "custom: {tpu: 1}")):
        study = command.write_study(tmp_path, f"{text}{trials[kind]}resources: {{{asks}}}\n")
        done = command.here("plan", study, "--dir", tmp_path / "run")
        assert done.returncode == 0, done.stderr
        assert re.search(r"warning: resources: .* this machine, has .*needs a cluster", done.stderr)
    assert "resources" not in command.here("plan", command.write_study(tmp_path, text + trials["grid"])).stderr
