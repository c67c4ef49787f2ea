"""The process beside a study: `python -m study.tracking DIR TRACKER...`, started by `retune run`.

It ends when its standard input does, after a last look: a short one if the study's process has died, and did not say
how many seconds it may take.
"""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from study.folder.folder import Folder
from study.tracking.feed import Feed
from study.tracking.points import Source, Trials

_NICE = 10
"""Trials come first."""

_ORPHAN_SECONDS = 10.0
"""How long it stays when the study's process is gone: libraries hold points back, which would be lost with them."""

_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # no network that the user has not named
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_SILENT": "true",
}
"""Settings of the trackers' own, where the user has said nothing."""


def main(folder: Path, trackers: list[str]) -> None:
    """Feed the trackers until the study's run ends."""
    for name in (signal.SIGINT, signal.SIGTERM):  # they are for the study, which says when to end
        signal.signal(name, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    for variable, value in _QUIET.items():
        os.environ.setdefault(variable, value)
    home = Folder(path=folder)
    place = folder / "tracking"
    place.mkdir(exist_ok=True)
    told = _output_to(place / "output.log")

    def off(tracker: str, error: str) -> None:
        first = error.strip().splitlines()[0]
        home.log("tracking_off", tracker=tracker, error=error)
        message = f"warning: tracking: {tracker} is off for this run: {first}; the same command writes what it lacks"
        with contextlib.suppress(OSError):
            os.write(told, f"{message}\n".encode())

    trials = Trials(home)
    feeds = [Feed(name, Source(home, trials), place / name, study=trials.now.study, off=off) for name in trackers]
    for feed in feeds:
        feed.start()
    patience = float(sys.stdin.readline() or _ORPHAN_SECONDS)
    for feed in feeds:
        feed.end()
    until = time.monotonic() + patience
    for feed in feeds:
        feed.join(max(0.0, until - time.monotonic()))
        if feed.is_alive():
            off(feed.tracker, f"it is still not done {patience:g} s after the last trial")
    os._exit(0)  # the libraries' own clean-up may wait for a server


def _output_to(path: Path) -> int:
    """Send what the libraries print into a file; returns a handle of what standard error was."""
    told = os.dup(2)
    with path.open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    return told


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
