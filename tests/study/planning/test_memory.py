"""Trials are compared with the memory of a GPU before any starts; a number of bytes stands for the GPU."""

from pathlib import Path

import pytest

from study.definition.resources import Resources
from study.planning.memory import require_memory
from study.planning.prices import peaks
from tests.trainables.toys import trial
from trainables.frozen import ConfigError, parse
from trainables.runtime import Runtime

CONFIGS = [trial(batch_size=32), trial(batch_size=32, lr=0.5), trial(batch_size=32, method="lora", rank=2)]
BYTES = peaks(CONFIGS[0].recipe, CONFIGS[0].workload, Runtime())
HALF = parse(Resources, {"gpus": 1, "by_method": {"lora": {"gpus": 0.5}}}, source="s")


def check(resources: Resources, gpu_bytes: int | None, cache: Path | None = None) -> None:
    runtime = Runtime() if cache is None else Runtime(cache=cache)
    require_memory(CONFIGS, resources, gpu_bytes=gpu_bytes, runtime=runtime, source="s.yaml")


def test_a_gpu_on_which_all_fit_is_taken() -> None:
    check(Resources(), 2 * BYTES.plain)
    check(Resources(), int(1.1 * BYTES.recomputed))


def test_a_gpu_that_is_too_small_is_told_of_with_the_study() -> None:
    with pytest.raises(ConfigError, match=r"s\.yaml: memory: a step of full on 32 samples in fp32 takes about .* GB"):
        check(Resources(), BYTES.recomputed)
    with pytest.raises(ConfigError, match=r"set `resources: \{recompute: auto\}`"):
        check(parse(Resources, {"recompute": "off"}, source="s"), BYTES.plain)


def test_a_share_of_a_gpu_has_that_share_of_its_memory() -> None:
    with pytest.raises(ConfigError, match=r"memory: a step of lora"):
        check(HALF, int(1.1 * BYTES.recomputed))
    check(HALF, 2 * BYTES.plain)


def test_nothing_is_counted_where_no_gpu_is_known_or_none_is_computed_on(tmp_path: Path) -> None:
    check(Resources(), None, tmp_path)
    check(parse(Resources, {"device": "cpu", "gpus": 1}, source="s"), 1, tmp_path)
    assert not list(tmp_path.iterdir())


def test_estimates_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(Resources(), 2 * BYTES.plain, tmp_path)
    monkeypatch.setattr("trainables.memory.device_memory.peaks", None)  # it would have to be called to count again
    check(Resources(), 2 * BYTES.plain, tmp_path)
