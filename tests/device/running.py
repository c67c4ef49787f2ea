"""Parts are run each in a process of its own, which ends with its part, however that ends; rows come as they are found.

Processes are forked from one that never touches a GPU, so that they start at once and each has a GPU as if it were new.
"""

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from typing import NamedTuple

from tests.device.rows import Part, Row
from tests.device.setting import Setting

_FORK = multiprocessing.get_context("fork")


class Entry(NamedTuple):
    """A part of the script.

    Attributes:
        part: gives the rows.
        seconds: after which the part is ended.
        forks: whether the part starts processes of its own before it computes, and then sets itself up.
    """

    part: Part
    seconds: float
    forks: bool = False


class Line(NamedTuple):
    """A row or an error, and the seconds since the one before it in the part."""

    part: str
    seconds: float
    row: Row | None
    error: str | None = None

    def as_json(self) -> dict[str, object]:
        """What is printed."""
        row = {} if self.row is None else {name: one for name, one in vars(self.row).items() if one not in (None, "")}
        found = {"part": self.part, **row, "error": self.error, "seconds": round(self.seconds, 3)}
        return {name: _short(value) for name, value in found.items() if value is not None}


def run(name: str, entry: Entry, setting: Setting) -> Iterator[Line]:
    """The lines of a part; an error or a part that takes too long is the last."""
    ours, theirs = _FORK.Pipe(duplex=False)
    child = _FORK.Process(target=_send, args=(entry, setting, theirs))
    child.start()
    theirs.close()
    began = time.monotonic()
    before = began
    try:
        while True:
            if not ours.poll(max(0.0, began + entry.seconds - time.monotonic())):
                yield Line(name, time.monotonic() - before, None, f"took longer than {entry.seconds:g} s")
                return
            try:
                found = ours.recv()
            except EOFError:
                yield Line(name, time.monotonic() - before, None, "the process died")
                return
            now = time.monotonic()
            if found is None:
                return
            yield Line(name, now - before, *((found, None) if isinstance(found, Row) else (None, found)))
            before = now
    finally:
        _end(child)


def _send(entry: Entry, setting: Setting, connection: Connection) -> None:
    os.setsid()  # what the part starts can be ended with it
    try:
        if not entry.forks:
            setting.runtime.apply()
        for row in entry.part(setting):
            connection.send(row)
    except BaseException as error:
        connection.send(f"{type(error).__name__}: {error}"[:600])
    connection.send(None)


def _end(child: ForkProcess) -> None:
    """End the process of a part, which has no more to say, and all that it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid or 0, signal.SIGKILL)
    child.kill()
    child.join()


def has_gpu() -> bool:
    """Whether there is a GPU, asked in another process: this one could not be forked afterwards."""
    with _FORK.Pool(1) as pool:
        return pool.apply(_sees_gpu)


def _sees_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _short(value: object) -> object:
    """A value with four figures, also inside of mappings and sequences."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {str(name): _short(one) for name, one in value.items()}
    return [_short(one) for one in value] if isinstance(value, list | tuple) else value
