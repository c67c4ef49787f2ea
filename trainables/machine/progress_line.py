"""A line that says how far something is: renewed in place on a terminal, printed now and then into a file."""

import contextlib
import sys
import time
from collections.abc import Callable
from typing import TextIO

_TERMINAL_SECONDS = 0.2
_FILE_SECONDS = 15.0


class ProgressLine:
    """Prints the line, and keeps the time.

    Args:
        out: where the line goes; None: standard error.
        clock: gives seconds.
    """

    def __init__(self, out: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._clock = sys.stderr if out is None else out, clock
        self._in_place = self._out.isatty()
        self._began = self._last = clock()

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._began

    def show(self, line: Callable[[], str], *, is_last: bool = False) -> None:
        """Print a line if the one before is old enough, or if it is the last one."""
        now = self._clock()
        if not is_last and now - self._last < (_TERMINAL_SECONDS if self._in_place else _FILE_SECONDS):
            return
        self._last = now
        self._write(f"\r\x1b[2K{line()}" + ("\n" if is_last else "") if self._in_place else f"{line()}\n")

    def say(self, message: str) -> None:
        """Print a message that stays, on a line of its own."""
        clear = "\r\x1b[2K" if self._in_place else ""
        self._write(f"{clear}{message}\n")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a closed pipe must not end the work
            self._out.write(text)
            self._out.flush()


def clock_time(seconds: float) -> str:
    """A duration as 1:02:03 or 2:03, and from 100 hours on as 4.2 days."""
    if seconds >= 100 * 3600:
        return f"{seconds / 86400:,.1f} days"
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
