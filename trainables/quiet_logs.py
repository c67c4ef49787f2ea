"""Silence: log lines of other libraries held back while we call them, where our own message says it all."""

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def silenced(logger: str) -> Iterator[None]:
    """Hold back what a logger and those below it say."""
    log = logging.getLogger(logger)
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(before)
