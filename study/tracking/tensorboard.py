"""TensorBoard: one folder of event files a trial. Files written in several runs of a study are one curve there."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams

from study.tracking.tracker import End, Point, Run

if TYPE_CHECKING:
    from study.tracking.tracker import Sink

_METRICS = ("aka", "azs", "gm", "gain")


class TensorBoard:
    """Writes event files below a folder."""

    def __init__(self, folder: Path) -> None:
        self.where = "here"
        self._folder = folder
        self._open: dict[str, SummaryWriter] = {}

    def write(self, run: Run, points: Sequence[Point]) -> None:
        """Write scalars by task, and once the trial's axes for the page of hyperparameters."""
        writer = self._open.get(run.trial)
        if writer is None:
            writer = self._open[run.trial] = self._started(run)
        for point in points:
            for name, value in point.values.items():
                writer.add_scalar(name, value, point.task)
        writer.flush()

    def end(self, run: Run, how: End) -> None:  # noqa: ARG002
        """Close the trial's file."""
        writer = self._open.pop(run.trial, None)
        if writer is not None:
            writer.close()

    def close(self, *, finished: bool) -> None:  # noqa: ARG002
        """Close all files."""
        for writer in self._open.values():
            writer.close()
        self._open.clear()

    def _started(self, run: Run) -> SummaryWriter:
        writer = SummaryWriter(logdir=str(self._folder / run.label), write_to_disk=True)
        plain = {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in run.params.items()}
        for summary in hparams(plain, dict.fromkeys(_METRICS, 0.0))[:2]:
            writer.file_writer.add_summary(summary)
        writer.add_text("trial", f"{run.name} ({run.trial})")
        return writer


if TYPE_CHECKING:
    _: Sink = TensorBoard(Path())
