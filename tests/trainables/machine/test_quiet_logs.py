"""Silence: of a logger and those below it, and only as long as it is asked for."""

import logging

import pytest

from trainables.machine.quiet_logs import silenced


def test_a_logger_and_those_below_it_are_silent_for_a_while(caplog: pytest.LogCaptureFixture) -> None:
    with silenced("other"):
        logging.getLogger("other.http").warning("retry 1")
        logging.getLogger("ours").warning("kept")
    logging.getLogger("other.http").warning("after")
    assert caplog.messages == ["kept", "after"]


def test_it_ends_with_an_error() -> None:
    with pytest.raises(KeyError), silenced("other"):
        raise KeyError
    assert logging.getLogger("other").level == logging.NOTSET
