"""Work spread over processes of this machine, which end with the process that asked for it, however that ends."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import TypeVar

from study.running.run import RunError

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def spread(call: Callable[[_In], _Out], parts: Sequence[_In], processes: int) -> Iterator[_Out]:
    """Results of a call on each part, in their order; one process is this one.

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
        raise RunError("a process that decoded images was killed, as it happens where memory runs out") from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _begin() -> None:
    """Ctrl-C is the parent's, and its end is that of this process: a killed parent cannot say so itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
