"""Weights & Biases: one run a trial, in a group a study. Without a server named by the user it stays on this machine.

Offline, every run of a study that adds to a trial makes one more folder of the same run id, which
`wandb sync --append` puts together on a server.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import wandb

from study.tracking.tracker import End, Point, Run

if TYPE_CHECKING:
    from study.tracking.tracker import Sink

_ENDS: Mapping[End, int] = {"done": 0, "failed": 1, "open": 255}
"""Exit codes: 255 is a run that was ended from outside."""


class WeightsAndBiases:
    """Writes to the server that `WANDB_BASE_URL` names, as `WANDB_MODE` says, or offline into a folder.

    The project is the one that `WANDB_PROJECT` names, or `retune`.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._mode = mode_of(os.environ)
        server = os.environ.get("WANDB_BASE_URL") or "wandb.ai"
        self.where = "here" if self._mode == "offline" else server
        self._open: dict[str, Any] = {}

    def write(self, run: Run, points: Sequence[Point]) -> None:
        """Log a row for each task; the task is the horizontal axis of all charts."""
        open_run = self._open.get(run.trial)
        if open_run is None:
            open_run = self._open[run.trial] = self._started(run)
        for point in points:
            open_run.log({"task": point.task, **point.values})

    def end(self, run: Run, how: End) -> None:
        """Finish the trial's run."""
        open_run = self._open.pop(run.trial, None)
        if open_run is not None:
            open_run.finish(exit_code=_ENDS[how])

    def close(self, *, finished: bool) -> None:  # noqa: ARG002
        """Finish all open runs; W&B has no run for a study as a whole."""
        for open_run in self._open.values():
            open_run.finish(exit_code=_ENDS["open"])
        self._open.clear()

    def _started(self, run: Run) -> Any:
        settings = wandb.Settings(
            silent=True,
            console="off",  # what the process prints is no part of a trial
            disable_git=True,
            disable_code=True,
            x_disable_stats=True,  # of this machine, which need not be the one that trains
            x_disable_meta=True,
        )
        started = wandb.init(
            id=run.id,
            name=run.name,
            group=run.study,
            job_type=run.tags["kind"],
            tags=[run.tags["method"]],
            config={**run.params, **run.tags},
            project=os.environ.get("WANDB_PROJECT") or "retune",
            dir=os.environ.get("WANDB_DIR") or str(self._folder),
            mode=self._mode,
            resume="allow",
            reinit="create_new",
            settings=settings,
        )
        started.define_metric("*", step_metric="task")
        return started


def mode_of(variables: Mapping[str, str]) -> Any:
    """The mode of W&B: offline unless the user sets a mode or names a server."""
    return variables.get("WANDB_MODE") or ("online" if variables.get("WANDB_BASE_URL") else "offline")


if TYPE_CHECKING:
    _: Sink = WeightsAndBiases(Path())
