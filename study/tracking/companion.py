"""The study's side of tracking: the process beside it is started, told when to end, and not waited for too long."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

from study.definition.study import StudyDefinition
from study.folder.folder import Folder

PATIENCE_SECONDS = 20.0
"""How long the process may take for its last look when all trials have ended, which it is then told; it says what it
could not do by then, and ends."""

_GRACE_SECONDS = 5.0
"""For that; then it is killed."""


@contextlib.contextmanager
def tracked(definition: StudyDefinition, folder: Folder, warn: Callable[[str], None]) -> Iterator[None]:
    """Run the process that feeds a study's trackers, for the time of a run.

    Args:
        definition: of the study.
        folder: of the study.
        warn: takes what the user should know.
    """
    if not definition.tracking:
        yield
        return
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "study.tracking", str(folder.path), *definition.tracking],
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is not for it
        )
    except OSError as error:
        warn(f"tracking: no process could be started for it: {error.strerror}")
        yield
        return
    try:
        yield
    finally:
        _end(process, folder, warn)


def _end(process: "subprocess.Popen[bytes]", folder: Folder, warn: Callable[[str], None]) -> None:
    """End the process: it may write the rest, and processes that its libraries started end with it."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.write(f"{PATIENCE_SECONDS}\n".encode())
        process.stdin.flush()
    try:
        if process.wait(PATIENCE_SECONDS + _GRACE_SECONDS):
            warn(f"tracking: its process ended with status {process.returncode}; see {folder.path}/tracking/output.log")
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    with contextlib.suppress(OSError):
        process.stdin.close()
