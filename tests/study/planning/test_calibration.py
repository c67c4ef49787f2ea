"""Calibration: seconds of real steps, measured once for all recipes that cost the same, and kept."""

from dataclasses import replace
from pathlib import Path

import pytest

from study.planning.calibration import Calibration, Pace
from tests.trainables import toys
from tests.trainables.toys import trial
from trainables.runtime import Runtime

WORKLOAD = toys.workload()


def test_pace_is_a_line_in_the_passes() -> None:
    assert Pace(fixed_seconds=2.0, seconds_per_pass=0.5).seconds(10) == 7.0


def test_measured_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime(cache=tmp_path)
    found = Calibration(WORKLOAD, runtime).pace(trial().recipe)
    assert found is not None
    assert 0 < found.seconds_per_pass < 5
    monkeypatch.setattr("study.planning.calibration.train", None)  # it would have to be called to measure again
    again = Calibration(WORKLOAD, runtime)
    assert again.pace(trial().recipe) == found
    assert again.pace(trial(steps=77, lr=0.5).recipe) == found
    with pytest.raises(TypeError):
        again.pace(trial(batch_size=32).recipe)
    with pytest.raises(TypeError):
        Calibration(WORKLOAD, replace(runtime, threads=2)).pace(trial().recipe)


def test_measurements_that_take_long_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    quick = Calibration(WORKLOAD, Runtime(cache=tmp_path), told.append)
    quick.pace(trial(batch_size=8).recipe)
    assert not told
    monkeypatch.setattr("study.planning.calibration._LONG_SECONDS", 0.0)
    quick.pace(trial(method="lora", batch_size=10).recipe)
    quick.seconds_per_sample()
    assert [line.partition("; now ")[2] for line in told] == ["lora on 10 samples ...", "evaluation ..."]
    quick.pace(trial(method="lora", batch_size=10).recipe)
    assert len(told) == 2


def test_more_samples_take_longer(tmp_path: Path) -> None:
    calibration = Calibration(WORKLOAD, Runtime(cache=tmp_path))
    small, large = (calibration.pace(trial(batch_size=size).recipe) for size in (4, 1024))
    assert small is not None
    assert large is not None
    assert large.seconds_per_pass > small.seconds_per_pass


def test_steps_that_need_more_memory_than_there_is_are_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibration = Calibration(WORKLOAD, Runtime(cache=tmp_path))
    monkeypatch.setattr("study.planning.calibration.train", None)  # it would have to be called to try
    assert calibration.pace(trial(batch_size=10**8).recipe) is None
    (said,) = calibration.too_large
    assert "a step of full on 100000000 samples takes about" in said


def test_steps_that_do_not_fit_a_gpu_are_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime(cache=tmp_path, device_bytes=10**6)
    calibration = Calibration(WORKLOAD, runtime)
    assert calibration.pace(trial(batch_size=8).recipe) is not None
    monkeypatch.setattr("study.planning.calibration.train", None)  # it would have to be called to try
    assert calibration.pace(trial(batch_size=10**4).recipe) is None
    (said,) = calibration.too_large
    assert "memory: a step of full on 10000 samples in fp32 takes about" in said
    assert "cannot run here" in said


@pytest.mark.parametrize("method", ["ewc", "si", "galore", "lora", "l2init"])
def test_methods_with_more_than_steps_have_a_pace(method: str, tmp_path: Path) -> None:
    pace = Calibration(WORKLOAD, Runtime(cache=tmp_path)).pace(trial(method=method).recipe)
    assert pace is not None
    assert pace.seconds_per_pass > 0
    assert pace.fixed_seconds >= 0


def test_evaluation_is_kept_too(tmp_path: Path) -> None:
    runtime = Runtime(cache=tmp_path)
    seconds = Calibration(WORKLOAD, runtime).seconds_per_sample()
    assert seconds > 0
    assert Calibration(WORKLOAD, runtime).seconds_per_sample() == seconds
