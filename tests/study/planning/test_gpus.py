"""Plans for GPUs that are elsewhere: what fits, what it takes by FLOPs, and what is asked for."""

import json
import socket
from pathlib import Path

import pytest

from study.planning.gpu_paces import UTILISATION
from study.planning.gpus import GPUS, Gpus, asked_for
from tests.study import command, quick
from trainables.frozen import ConfigError
from trainables.workloads.catalogue import identify
from trainables.workloads.noop.settings import Noop


def plan(folder: Path, *options: str, text: str = quick.STUDY) -> dict[str, object]:
    said = command.ok_here("plan", quick.write(folder, text), "--dir", folder / "run", "--json", *options)
    found: dict[str, object] = json.loads(said)
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("h200", Gpus(GPUS["h200"], 1)),
        ("H100-80:8", Gpus(GPUS["h100-80"], 8)),
    ],
)
def test_kinds_are_asked_for_by_name_and_number(text: str, expected: Gpus) -> None:
    assert asked_for(text) == expected


def test_a_kind_that_is_not_listed_is_asked_for_by_its_memory() -> None:
    gpu, count = asked_for("24:2")
    assert (gpu.memory_bytes, dict(gpu.flops), count) == (24e9, {}, 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("h20", "did you mean h200?"),
        ("h200:0", "the number of GPUs is 1 or more"),
        ("h200:many", "the number of GPUs is 1 or more"),
        ("h200:\N{SUPERSCRIPT TWO}", "the number of GPUs is 1 or more"),
        ("-5", "allowed: h200, h100-80"),
        ("nan", "allowed: h200, h100-80"),
    ],
)
def test_others_are_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        asked_for(text)


def test_hours_are_flops_over_a_share_of_the_peak(tmp_path: Path) -> None:
    """Of updates in bf16 and of a forward pass in TF32 for every test image, a third of a step each."""
    found = plan(tmp_path, "--gpu", "h200:4")
    assert (found["training_precision"], found["evaluation_precision"]) == (["bf16"], "tf32")
    gpus = found["gpus"]
    assert isinstance(gpus, dict)
    assert (gpus["name"], gpus["count"], gpus["memory_gb"]) == ("H200", 4, 141.0)
    rate = {precision: UTILISATION[precision] * GPUS["h200"].flops[precision] for precision in ("bf16", "tf32")}
    (step,) = {row["flops_per_step"] for row in found["by_method"]}  # type: ignore[attr-defined]
    scores = found["evaluations_unique"] * identify(Noop()).test_samples * step / 8 / 3  # type: ignore[operator]
    seconds = found["flops_to_do"] / rate["bf16"] + scores / rate["tf32"]  # type: ignore[operator]
    assert gpus["gpu_hours"] == pytest.approx(seconds / 3600)
    assert found["workers"] == 4


def test_trials_that_share_a_gpu_are_as_many_more(tmp_path: Path) -> None:
    alone, shared = (
        plan(tmp_path, "--gpu", "h200:2", text=f"{quick.STUDY}resources: {{gpus: {share}}}\n") for share in (1, 0.5)
    )
    assert (alone["workers"], shared["workers"]) == (2, 4)
    assert alone["gpus"]["gpu_hours"] == pytest.approx(2 * shared["gpus"]["gpu_hours"])  # type: ignore[index]


def test_what_does_not_fit_is_said_with_numbers_and_not_run(tmp_path: Path) -> None:
    study = quick.write(tmp_path)
    said = command.here("plan", study, "--dir", tmp_path / "run", "--gpu", "1e-9")
    assert said.returncode == 0
    assert "does not fit" in said.stdout
    assert "time      not timed" in said.stdout
    assert "warning: memory: a step of full on 8 samples in bf16 takes about " in said.stderr
    with socket.create_server(("127.0.0.1", 0)) as cluster:  # refused before anything is asked of it
        there = f"127.0.0.1:{cluster.getsockname()[1]}"
        for where in (["--inline"], ["--address", there]):
            refused = command.here("run", study, "--dir", tmp_path / "run", *where, "--gpu", "1e-9")
            assert refused.returncode == 2
            assert "lower batch_size (8)" in refused.stderr
    assert not (tmp_path / "run").exists()
    assert "H100, 80 GB; what a step takes" in command.ok_here(
        "plan", study, "--dir", tmp_path / "run", "--gpu", "h100-80"
    )


def test_a_plan_may_time_nothing(tmp_path: Path) -> None:
    found = plan(tmp_path, "--no-timing")
    assert (found["is_timed"], found["seconds_to_do"], found["gpus"]) == (False, None, None)
    assert found["training_precision"] == ["fp32"]
    said = command.ok_here("plan", quick.write(tmp_path), "--dir", tmp_path / "run", "--no-timing")
    assert "time      not timed\n" in said
    assert "too little memory" not in said
