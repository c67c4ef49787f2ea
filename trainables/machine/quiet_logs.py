"""Quiet logs: the lines of another library are held back during a call, where our own message says it all."""

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def silenced(logger: str) -> Iterator[None]:
    """Hold back the lines of a logger and of those below it."""
    log = logging.getLogger(logger)
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(before)
