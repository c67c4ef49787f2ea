"""A process that draws the figures for papers: it starts while numbers are computed, and draws while they are written.

Importing matplotlib and drawing take longer than the rest of a small report. The process is fed through a pipe and ends
with its parent; where none can be started, figures are drawn in the process that asks for them.
"""

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from analysis.drawing.marks import View


class FigureProcess:
    """A context that ends with all figures written, or with the error that kept them from it.

    Left with an error it stops drawing at once. Errors of the drawing are raised as they are.
    """

    def __init__(self) -> None:
        """Start the process."""
        places = os.pathsep.join(place for place in sys.path if place)
        try:
            self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
                [sys.executable, "-P", "-m", "analysis.drawing.figure_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": places, "OPENBLAS_NUM_THREADS": "1"},
            )
        except OSError:  # no memory, or no interpreter, for another process
            self._process = None

    def __enter__(self) -> Self:
        return self

    def draw(self, stem: Path, view: View) -> None:
        """Begin to write a figure in all formats, as `stem` with their suffixes."""
        if self._process is None:
            from analysis.drawing.figures import write_figure

            write_figure(stem, view)
            return
        assert self._process.stdin is not None
        try:
            pickle.dump((stem.absolute(), view), self._process.stdin)
            self._process.stdin.flush()
        except BrokenPipeError:
            self._end()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None and kind is not None:
            self._process.kill()
            self._process.communicate()
        elif self._process is not None and self._process.returncode is None:
            self._end()

    def _end(self) -> None:
        """Wait, and raise what the process could not do."""
        assert self._process is not None
        said, complaint = self._process.communicate()
        code = self._process.returncode
        if said:
            raise pickle.loads(said)
        if code < 0:
            name = signal.Signals(-code).name
            raise ChildProcessError(f"the process that draws the figures was ended by {name}; run the report again")
        if code > 0:
            raise ChildProcessError(f"the process that draws the figures failed: {complaint.decode(errors='replace')}")


def main() -> int:
    """Draw what is asked for on stdin; an error goes to stdout."""
    from analysis.drawing.figures import small_fonts, write_figure

    small_fonts()
    while True:
        try:
            stem, view = pickle.load(sys.stdin.buffer)
        except EOFError:  # there is no more, or the parent has ended
            return 0
        try:
            write_figure(stem, view)
        except Exception as error:
            sys.stdout.buffer.write(pickle.dumps(error))
            return 1


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # to take matplotlib apart would take longer than a figure
