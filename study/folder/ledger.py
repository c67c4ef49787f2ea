"""The ledger of a study's folder: its trials and the names of all their results, as the version that makes them says.

A version of the numerics names results by its own rules. What another version made is therefore read by the ledger, and
a finished study stays one. What is guaranteed:

* Status, tables, report, findings and trackers need neither configs nor rules of the release that reads: fields of
  configs and axes may come, go and change their names, keys may be made of other things, libraries and data may change.
  They need a `study.yaml` that this release reads, and scores in their present format.
* Advice, warm starts and `export` build configs, so they need fields that this release has, too. `export` needs the
  updates of the trial in the store, and that this release would merge the same ones.
* A folder without a ledger was made before there were any, under `UNMARKED_VERSION`. Its results are named once more by
  this release, under that version: that finds them while configs have at most new fields, each in `Frozen.later`.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from search_spaces.space import AXES
from study.planning.plan import PlannedMidTask, PlannedStep, PlannedTrial
from study.planning.trials import Recorded
from trainables.files import whole
from trainables.frozen import ConfigError, parse
from trainables.store.store import StoreError
from trainables.workloads.settings import PLAIN, Evaluation


@dataclass(frozen=True, kw_only=True)
class Head:
    """What a ledger says of a whole study.

    Attributes:
        numerics: the version of the results.
        release: of retune, that ran the study last; None where nobody knows.
        asked: what its search was asked for; None of a grid.
        parameters: the size of its model; None where nobody knows.
    """

    numerics: int
    release: str | None
    asked: str | None
    parameters: int | None = None


class Ledger:
    """A file with the head of a ledger, and a line for each trial."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def head(self) -> Head | None:
        """What it says of the study; None where there is no ledger.

        Raises:
            ConfigError: it cannot be read.
        """
        try:
            with self.path.open() as file:
                return self._head(file)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def trials(self) -> list[PlannedTrial]:
        """All trials, each once; a line that a crash cut short is passed over.

        Raises:
            ConfigError: it cannot be read.
        """
        found: dict[str, PlannedTrial] = {}
        with self.path.open() as file:
            self._head(file)
            for line in file:
                with contextlib.suppress(json.JSONDecodeError):
                    planned = _read(json.loads(line))
                    found[planned.trial.id] = planned
        return list(found.values())

    def write(self, head: Head, planned: Iterable[PlannedTrial]) -> None:
        """Write it anew, whole or not at all.

        Raises:
            StoreError: it cannot be written.
        """
        try:
            with whole(self.path) as made, made.open("w") as file:
                said = {"numerics": head.numerics, "retune": head.release, "asked": head.asked}
                file.write(json.dumps({**said, "parameters": head.parameters}) + "\n")
                file.writelines(map(_line, planned))
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}; nothing is lost, run the same command again") from error

    def add(self, planned: PlannedTrial) -> None:
        """Add a trial, which a search has asked for.

        Raises:
            StoreError: it cannot be written.
        """
        try:
            with self.path.open("a") as file:
                file.write(_line(planned))
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}; nothing is lost, run the same command again") from error

    def _head(self, file: TextIO) -> Head:
        try:
            said = json.loads(file.readline())
            known = {"release": said["retune"], "asked": said["asked"], "parameters": said.get("parameters")}
            return Head(numerics=int(said["numerics"]), **known)
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{self.path}: the ledger of this study cannot be read; put it back from a copy, or remove it if the "
                "study was made by this release of retune, which then writes it anew"
            ) from error


# -- lines -------------------------------------------------------------------------------------------------------------


def _line(planned: PlannedTrial) -> str:
    trial = planned.trial
    said = {
        "trial": {name: value for name, value in trial.row.items() if value is not None},
        "tasks": trial.tasks,
        "cost": planned.cost,
        "steps": [dict(_written(step)) for step in planned.steps],
        **({} if planned.evaluation == PLAIN else {"evaluation": planned.evaluation.canonical()}),
        "config": trial.written if isinstance(trial, Recorded) else trial.config.canonical(),
    }
    return json.dumps(said, separators=(",", ":")) + "\n"


def _written(step: PlannedStep) -> Iterator[tuple[str, Any]]:
    yield from (("task", step.task), ("scores", step.scores))
    if step.update is not None:
        yield from (("update", step.update), ("steps", step.steps), ("passes", step.passes))
    if step.inside:
        yield "inside", [[one.step, one.scores] for one in step.inside]
    if step.full is not None:
        yield "full", step.full


def _read(said: dict[str, Any]) -> PlannedTrial:
    row = {**dict.fromkeys(AXES), **said["trial"]}
    return PlannedTrial(
        trial=Recorded(row=row, tasks=said["tasks"], written=said["config"]),
        steps=tuple(_step(one) for one in said["steps"]),
        cost=said["cost"],
        evaluation=parse(Evaluation, said.get("evaluation", {}), source="ledger"),
    )


def _step(said: dict[str, Any]) -> PlannedStep:
    return PlannedStep(
        task=said["task"],
        update=said.get("update"),
        scores=said["scores"],
        steps=said.get("steps", 0),
        passes=said.get("passes", 0),
        inside=tuple(PlannedMidTask(step=step, scores=key) for step, key in said.get("inside", ())),
        full=said.get("full"),
    )
