"""MLflow: one run a trial, below one run for the study, found again by their tags."""

import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from study.tracking.tracker import End, Point, Run

if TYPE_CHECKING:
    from study.tracking.tracker import Sink

_PARENT = "mlflow.parentRunId"
_STUDY, _TRIAL = "retune.study", "retune.trial"
_PAGE = 1000
_ENDS: Mapping[End, str] = {"done": "FINISHED", "failed": "FAILED", "open": "KILLED"}


class MLflow:
    """Writes to the tracking server that `MLFLOW_TRACKING_URI` names, or into a database in a folder.

    The experiment is the one that `MLFLOW_EXPERIMENT_NAME` names, or `retune`.
    """

    def __init__(self, folder: Path, study: str) -> None:
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        folder.mkdir(parents=True, exist_ok=True)
        own = f"sqlite:///{folder.resolve() / 'mlflow.db'}"
        uri = os.environ.get("MLFLOW_TRACKING_URI") or own
        self.where = "here" if uri == own else without_credentials(uri)
        self._client = MlflowClient(tracking_uri=uri)
        artifacts = (folder.resolve() / "artifacts").as_uri() if uri == own else None
        self._experiment = self._experiment_named(os.environ.get("MLFLOW_EXPERIMENT_NAME") or "retune", artifacts)
        self._runs = self._known(study)
        self._study = self._runs.get("") or self._create(study, {_STUDY: study})
        self._client.update_run(self._study, status="RUNNING")
        self._begun: set[str] = set()

    def write(self, run: Run, points: Sequence[Point]) -> None:
        """Write metrics by task, after the trial's parameters, which are written once."""
        id_ = self._runs.get(run.trial)
        if id_ is not None and run.trial not in self._begun:
            self._client.update_run(id_, status="RUNNING")
        elif id_ is None:
            tags = {_STUDY: run.study, _TRIAL: run.trial, _PARENT: self._study, **run.tags}
            id_ = self._runs[run.trial] = self._create(run.name, tags)
            params = [Param(name, str(value)) for name, value in run.params.items()]
            self._client.log_batch(id_, params=params)
        self._begun.add(run.trial)
        now = round(1000 * time.time())
        metrics = [Metric(name, value, now, point.task) for point in points for name, value in point.values.items()]
        for first in range(0, len(metrics), _PAGE):
            self._client.log_batch(id_, metrics=metrics[first : first + _PAGE])

    def end(self, run: Run, how: End) -> None:
        """Say how the trial ended."""
        self._begun.discard(run.trial)
        if run.trial in self._runs:
            self._client.set_terminated(self._runs[run.trial], _ENDS[how])

    def close(self, *, finished: bool) -> None:
        """Say how the study ended."""
        self._client.set_terminated(self._study, "FINISHED" if finished else "KILLED")

    def _experiment_named(self, name: str, artifacts: str | None) -> str:
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self._client.create_experiment(name, artifact_location=artifacts))

    def _known(self, study: str) -> dict[str, str]:
        """The MLflow runs of earlier runs of the study, by trial; the study's own run has the key ""."""
        found: dict[str, str] = {}
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment], f"tags.`{_STUDY}` = '{study}'", max_results=_PAGE, page_token=token
            )
            found |= {run.data.tags.get(_TRIAL, ""): run.info.run_id for run in page}
            token = page.token
            if not token:
                return found

    def _create(self, name: str, tags: dict[str, str]) -> str:
        return str(self._client.create_run(self._experiment, run_name=name, tags=tags).info.run_id)


def without_credentials(uri: str) -> str:
    """An address without the name and password that it may have in it."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if parts.netloc else uri


if TYPE_CHECKING:
    _: Sink = MLflow(Path(), "")
