"""What the trials of a search came to, config by config, as far as the store has it."""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from study.definition.search import Objective
from study.definition.study import StudyDefinition
from study.planning.plan import Known, Plan, PlannedTrial
from study.results.gain import Line, anchors
from study.results.reader import Results
from study.search.sampler import State
from trainables.metrics import Summary
from trainables.store.store import Store

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a config came to.

    Attributes:
        state: on the first blocks; "pruned" where a trial was stopped.
        ends: what is served in the end, on the blocks that it has finished, from the first one.
        starts: what the zero-shot model scores there.
        left: share of the tasks that it did not see where it was stopped, on the block where it came farthest.
    """

    state: State
    ends: tuple[Summary, ...] = ()
    starts: tuple[Summary, ...] = ()
    left: float = 0.0


class Outcomes:
    """The trials of a search and how they ended.

    Args:
        definition: of the study.
        store: where scores are.
        known: what it holds.
        failed: trials that this run has given up.
    """

    def __init__(self, definition: StudyDefinition, store: Store, known: Known, failed: Collection[str]) -> None:
        assert definition.search is not None
        self._first = definition.search.first_blocks
        self._blocks = definition.blocks[: self._first]
        self._results = Results(store)
        self._scored = set(known.scores)
        self._failed = set(failed)
        self._open: set[str] = set()
        self._hours: dict[str, float] = {}
        self._planned: dict[str, PlannedTrial] = {}
        self._of_config: dict[str, list[str]] = {}

    @property
    def trials(self) -> Iterator[PlannedTrial]:
        """All trials but the anchors."""
        return (one for one in self._planned.values() if one.trial.kind == "trial")

    def add(self, planned: PlannedTrial, *, is_open: bool) -> None:
        """Take a trial of the plan; `is_open` says that it has not ended."""
        name = planned.trial.id
        if name not in self._planned and planned.trial.kind == "trial":
            self._of_config.setdefault(planned.trial.config.config_id, []).append(name)
        self._planned[name] = planned
        if is_open and name not in self._failed:
            self._open.add(name)

    def has(self, trial: str) -> bool:
        """Whether a trial is known."""
        return trial in self._planned

    def reached(self, planned: PlannedTrial, task: int) -> None:
        """Note that a trial's scores up to a task are in the store."""
        self._scored.update(step.scores for step in planned.steps if step.task <= task)

    def ended(self, planned: PlannedTrial, *, failed: bool) -> None:
        """Note that a trial has ended; a stopped trial is given without the steps that it did not run."""
        self._open.discard(planned.trial.id)
        self._planned[planned.trial.id] = planned
        if failed or self._end(planned) is None:
            self._failed.add(planned.trial.id)

    def of(self, config: str) -> Outcome:
        """What a config came to."""
        planned = [self._planned[name] for name in self._of_config.get(config, ())]
        first = planned[: self._first]
        if any(one.trial.id in self._failed for one in first):
            return Outcome(state="failed")
        if stopped := [one for one in first if one.is_stopped and one.trial.id not in self._open]:
            return Outcome(state="pruned", left=min(_left(one) for one in stopped))
        done: list[PlannedTrial] = []
        for one in planned:
            if one.trial.id in self._open or one.trial.id in self._failed or one.is_stopped:
                break
            done.append(one)
        ends = [self._end(one) for one in done]
        starts = [self._read(one.steps[0].scores) for one in done]
        if len(done) < self._first or None in ends or None in starts:
            return Outcome(state="running")
        return Outcome(
            state="done",
            ends=tuple(one for one in ends if one is not None),
            starts=tuple(one for one in starts if one is not None),
        )

    def line(self) -> Line | None:
        """The line from the zero-shot to the joint point on the first blocks; None while there is none."""
        found = anchors(Plan(trials=tuple(self._planned.values())), self._read, "path")
        return found.line([f"seed{block.seed}-order{block.order}" for block in self._blocks])

    @property
    def anchors_are_open(self) -> bool:
        """Whether an anchor has not ended."""
        return any(one.trial.kind == "anchor" and one.trial.id in self._open for one in self._planned.values())

    def first_trial(self, config: str) -> PlannedTrial:
        """The trial of a config on the first block."""
        return self._planned[self._of_config[config][0]]

    def hours_of(self, planned: PlannedTrial) -> float:
        """Hours that a trial trained, by the records of its updates; they are read once, when it has ended."""
        name = planned.trial.id
        if name in self._open:
            return 0.0
        if name not in self._hours:
            self._results.fetch_seconds(planned.updates)
            self._hours[name] = math.fsum(self._results.seconds(key) or 0.0 for key in planned.updates) / 3600
        return self._hours[name]

    def _end(self, planned: PlannedTrial) -> Summary | None:
        return self._read(planned.steps[-1].scores)

    def _read(self, key: str) -> Summary | None:
        return self._results.summary(key) if key in self._scored else None


def _left(planned: PlannedTrial) -> float:
    return 1 - planned.steps[-1].task / planned.trial.config.stream.tasks


def values_of(ends: Sequence[Summary], objectives: Sequence[Objective], line: Line | None) -> FloatArray:
    """Objectives (blocks, objectives) of what is served in the end; the objective gain needs a line."""

    def value(end: Summary, name: Objective) -> float:
        if name == "gain":
            assert line is not None
            return line.gain(end.aka, end.azs)
        return float(getattr(end, name))

    return np.array([[value(end, name) for name in objectives] for end in ends], dtype=float)
