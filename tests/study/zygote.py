"""Processes of the command `retune` without the seven seconds of a core that each takes to import torch and open_clip.

A server of this test process imports them once and forks for each command: a real process with a number, an
environment, a folder and output of its own, which a test may interrupt and kill. What has to be a fresh interpreter
(other hashes of text, settings that libraries read when they are loaded) starts one.
"""

import atexit
import contextlib
import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_FORKING = get_context("forkserver")
_FORKING.set_forkserver_preload(
    ["torch", "open_clip", "pandas", "study.commands.app", "trainables.workloads.pocket.workload"]
)


class Command:
    """A running command, with the methods of `subprocess.Popen` that tests use; its output is text.

    Attributes:
        args: what was asked for.
        pid: number of the process.
    """

    def __init__(self, arguments: Sequence[str], variables: Mapping[str, str]) -> None:
        self.args = ["retune", *arguments]
        self._output = tempfile.mkdtemp(prefix="retune-test-")
        weakref.finalize(self, shutil.rmtree, self._output, ignore_errors=True)
        self._process = _FORKING.Process(
            target=_run, args=(self.args, dict(variables), os.getcwd(), self._output), daemon=False
        )
        with contextlib.chdir(_ROOT):  # where the server finds our packages, if this is what starts it
            self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit status; minus a signal that ended it, None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        if self.returncode is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for the end; returns output and errors."""
        self.wait(timeout)
        said = [(Path(self._output) / name).read_text(encoding="utf-8") for name in ("out", "err")]
        return said[0], said[1]

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


barrier = _FORKING.Barrier
"""Where so many forked processes wait for each other."""


def forked(function: Callable[..., None], *arguments: object) -> BaseProcess:
    """A started process that calls a function of a module, with this environment and the modules loaded above."""
    process = _FORKING.Process(target=_call, args=(dict(os.environ), function, arguments))
    with contextlib.chdir(_ROOT):
        process.start()
    return process


def _call(variables: dict[str, str], function: Callable[..., None], arguments: Sequence[object]) -> None:
    os.environ.update(variables)
    function(*arguments)


def _run(arguments: list[str], variables: dict[str, str], folder: str, output: str) -> None:
    """In the forked process: what a new interpreter would do."""
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(Path(output) / name, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", buffering=1, closefd=False)
    for name in set(os.environ) - set(variables):
        del os.environ[name]
    os.environ.update(variables)
    os.chdir(folder)
    sys.argv = arguments
    code: object = 0
    try:
        importlib.import_module("study.commands.app").main()
    except SystemExit as ended:
        code = ended.code or 0
    except KeyboardInterrupt:
        code = 130
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code if isinstance(code, int) else 1)
