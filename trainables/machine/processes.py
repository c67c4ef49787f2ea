"""Processes of this machine: how many cores they may use, how they end, and work that is spread over several.

Processes over which work is spread end with the process that asked for it, however that ends.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import TypeVar

import psutil


class RunError(RuntimeError):
    """The run could not start or go on; the message says why and what to do."""


def usable_cpus() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def gentle_end() -> Iterator[None]:
    """SIGTERM (a scheduler's or a cloud's way to end a job) ends as gently as Ctrl-C."""
    before = signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end_children() -> None:
    """Kill every child of this process, after an interruption that could not wait for them."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


# -- work that is spread over processes --------------------------------------------------------------------------------

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def spread(call: Callable[[_In], _Out], parts: Sequence[_In], processes: int) -> Iterator[_Out]:
    """Call a function on each part and yield the results in their order; one process means this one.

    Raises:
        RunError: a process was killed, as it happens where memory runs out.
    """
    if processes <= 1 or len(parts) <= 1:
        yield from map(call, parts)
        return
    # New processes, not copies of this one: its libraries run threads, which do not survive a fork.
    pool = ProcessPoolExecutor(min(processes, len(parts)), mp_context=get_context("spawn"), initializer=_begin)
    try:
        yield from pool.map(call, parts)
    except BrokenProcessPool as error:
        raise RunError(
            "a process that took part of the work was killed, as it happens where memory runs out"
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _begin() -> None:
    """Begin a process: it leaves Ctrl-C to its parent, and ends when its parent does, even if that was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
