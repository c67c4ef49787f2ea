"""The script for a GPU runs on a CPU, all of it in `make test-all`; and what no GPU is needed for holds here."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.device.__main__ import PARTS, main, summary
from tests.device.rows import NeedsGpuError, Row
from tests.device.running import Entry, Line, run
from tests.device.setting import Setting
from tests.device.timeline import Span, of_spans

WITHOUT_RAY = (
    "import sys; sys.modules['ray'] = None; from tests.device.__main__ import main; sys.exit(main(sys.argv[1:]))"
)


@pytest.mark.parametrize(
    "parts",
    [("machine", "timeline", "evaluation", "around"), pytest.param(tuple(PARTS), marks=pytest.mark.thorough)],
    ids=["some", "all"],
)
def test_parts_run_on_a_cpu(parts: tuple[str, ...], tmp_path: Path) -> None:
    """Without Ray, and without any file in the cache or where it is called."""
    out, cache, work = tmp_path / "lines", tmp_path / "cache", tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_RAY, "--tiny", "--out", str(out), "--only", *parts],
        cwd=work,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "RETUNE_CACHE": str(cache)}
        | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    *lines, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert out.read_text() == done.stdout
    assert not cache.exists()
    assert not list(work.iterdir())
    assert {line["part"] for line in lines} == {"data", *parts}
    errors = {line["part"]: line["error"] for line in lines if "error" in line}
    assert set(errors) == {"machine", "timeline", "shared"} & {*parts}
    assert {*errors.values()} == {"NeedsGpuError: needs a GPU"}
    assert last["all_held"]
    assert last["checks"] == sum(line.get("holds") is not None for line in lines)
    assert last["checks"] >= (24 if "determinism" in parts else 1)
    assert last["parts_that_need_a_gpu"] == sorted(errors)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_full_sizes_without_a_gpu_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--only", "machine"])
    said = capsys.readouterr()
    assert "there is no GPU here" in said.err
    assert not said.out


def test_all_parts_together_are_in_time() -> None:
    assert sum(entry.seconds for entry in PARTS.values()) <= 720


def _fine(_: Setting) -> Iterator[Row]:
    yield Row(name="one", value=1)
    yield Row(name="two", value=2.0 / 3, unit="GB", against=None, holds=True)


def _fails(_: Setting) -> Iterator[Row]:
    yield Row(name="one", value=1, holds=False)
    raise ValueError("two lines\nof words")


def _hangs(_: Setting) -> Iterator[Row]:
    yield Row(name="one", value=1)
    time.sleep(600)


def _dies(_: Setting) -> Iterator[Row]:
    yield Row(name="one", value=1)
    os._exit(3)


def _needs_gpu(_: Setting) -> Iterator[Row]:
    yield Row(name="one", value=1)
    raise NeedsGpuError


SOME = {"fine": _fine, "fails": _fails, "hangs": _hangs, "dies": _dies, "needs": _needs_gpu}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_part_that_fails_hangs_or_dies_is_told_and_ended(tmp_path: Path) -> None:
    lines: list[Line] = []
    for name, part in SOME.items():
        seconds = 0.3 if name == "hangs" else 60.0
        lines += run(name, Entry(part, seconds, forks=True), Setting(folder=tmp_path, device="cpu", tiny=True))
    said = {line.part: line.error for line in lines if line.error is not None}
    assert said == {
        "fails": "ValueError: two lines\nof words",
        "hangs": "took longer than 0.3 s",
        "dies": "the process died",
        "needs": "NeedsGpuError: needs a GPU",
    }
    assert [line.row.name for line in lines if line.row is not None] == ["one", "two", "one", "one", "one", "one"]
    found = lines[1].as_json()
    assert {name: one for name, one in found.items() if name != "seconds"} == {
        "part": "fine",
        "name": "two",
        "value": 0.6667,
        "unit": "GB",
        "holds": True,
    }
    last = summary(lines)
    assert last["all_held"] is False
    assert last["checks"] == 2
    assert last["did_not_hold"] == ["fails: one"]
    assert last["parts_that_failed"] == ["dies", "fails", "hangs"]
    assert last["parts_that_need_a_gpu"] == ["needs"]


def test_a_timeline_counts_overlapping_kernels_once() -> None:
    """Two steps of 10 ms, in which the device is busy from 0 to 6, 8 to 12 and 15 to 20 ms."""
    ms = 1_000_000
    spans = [
        Span("void vectorized_elementwise_kernel<FillFunctor<float>>", 15 * ms, 5 * ms),
        Span("Memcpy HtoD (Pageable -> Device)", 2 * ms, 4 * ms),
        Span("nvjet_hsh_128x256", 0, 4 * ms),
        Span("direct_copy_kernel_cuda", 8 * ms, 4 * ms),
        Span("flash_bwd_kernel", 9 * ms, 1 * ms),
    ]
    found = {row.name: row.value for row in of_spans(spans, steps=2)}
    assert found["a step in the profile"] == 10.0
    assert found["share of the time in which the device idles"] == pytest.approx(0.25)
    assert found["kernels and copies of a step"] == 2.5
    assert found["of a step: fills"] == 2.5
    assert found["of a step: copies from the host"] == 2.0
    assert found["of a step: copies on the device"] == 2.0
    assert found["of a step: matrix products"] == 2.0
    assert found["of a step: attention"] == 0.5
    assert [row.value for row in of_spans([], steps=2)] == [0]
