"""The command `retune` as a user runs it, with a study small enough for tests.

`retune` and `ok` start a process, forked from one that has torch and open_clip (`zygote`). `here` and `ok_here` run the
same command in this process: for tests of what a command says and writes, not of signals or of Ray. `start_afresh` is a
new interpreter, which takes seven seconds of a core to import them.
"""

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch

from study.commands import app
from tests.study.zygote import Command

STUDY = """
name: tiny
workload: {name: pocket, pool: 512}
fixed: {tasks: 3, steps: 2, batch_size: 32, lr: 1e-3}
grid:
  - {method: full, timeline: [finetune, ema], w: [0.5]}
  - {method: full, timeline: zs, w: [0.5, 0.8]}
  - {method: lora, rank: [2]}
blocks: 1
joint: {lr: 1e-3}
retries: 2
"""


def write_study(folder: Path, text: str = STUDY) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path


def start(*arguments: str | Path, **variables: str) -> Command:
    """Start a command without waiting for it."""
    return Command(list(map(str, arguments)), {**os.environ, **variables})


def start_afresh(*arguments: str | Path, **variables: str) -> subprocess.Popen[str]:
    """Start a command in a new interpreter without waiting for it."""
    return subprocess.Popen(
        [sys.executable, "-m", "study", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    )


def retune(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    process = start(*arguments, **variables)
    out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.wait(), out, err)


def ok(*arguments: str | Path, **variables: str) -> str:
    """Run a command that has to succeed; returns what it printed."""
    return _printed(retune(*arguments, **variables))


def here(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in this process."""
    said = ["retune", *map(str, arguments)]
    out, err, threads = io.StringIO(), io.StringIO(), torch.get_num_threads()
    code: object = 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr("sys.argv", said)
        for name, value in variables.items():
            patch.setenv(name, value)
        try:
            app.main()
        except SystemExit as ended:
            code = ended.code or 0
    torch.set_num_threads(threads)
    assert isinstance(code, int), code
    return subprocess.CompletedProcess(said, code, out.getvalue(), err.getvalue())


def ok_here(*arguments: str | Path, **variables: str) -> str:
    """Run a command that has to succeed in this process; returns what it printed."""
    return _printed(here(*arguments, **variables))


def _printed(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def wait_until(condition: Callable[[], bool], *, what: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.02)


def kill(process: Command | subprocess.Popen[str]) -> None:
    """Send SIGKILL, as an out-of-memory killer does it; nothing of the process gets to clean up."""
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    psutil.wait_procs(children, timeout=30)


def updates(folder: Path) -> dict[str, int]:
    """Files of the updates in a study's store, with the time each was written: a change means it was trained again."""
    files = (folder / "store" / "updates").glob("??/*")
    return {path.name: path.stat().st_mtime_ns for path in files if not path.name.startswith(".")}


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    """The tables without measured times."""
    frames = {path.stem: pd.read_parquet(path) for path in sorted((folder / "tables").glob("*.parquet"))}
    return {name: frame[[c for c in frame.columns if not c.endswith("_s")]] for name, frame in frames.items()}


def assert_same_tables(one: Path, other: Path) -> None:
    assert_same_tables_as(tables(one), other)


def assert_same_tables_as(left: dict[str, pd.DataFrame], other: Path) -> None:
    right = tables(other)
    assert left.keys() == right.keys() == {"trials", "tasks", "scores", "inside", "full", "full_scores"}
    for name in left:
        pd.testing.assert_frame_equal(left[name], right[name], check_exact=True)
