"""Trials without training: what they score is a function of the trial and the task, put into a store as a worker would.

The source, its plan, the store's keys and the decisions on the disk are the real ones.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from study.definition.study import StudyDefinition
from study.planning.decisions import DecisionFile
from study.planning.plan import Plan, PlannedTrial, make_plan, stored_keys
from study.running.trial_source import GridSource, Idle
from study.search.search import SearchSource
from study.search.start import source_of
from trainables.frozen import parse
from trainables.metrics import Cost, Score, encode, summarise
from trainables.store.memory import MemoryStore
from trainables.store.store import Store

Scores = Callable[[PlannedTrial, int], tuple[float, float] | None]
"""AKA and AZS of a trial after a task; None where it fails."""

BASE = {"name": "s", "workload": {"name": "pocket", "pool": 512}, "fixed": {"tasks": 2, "steps": 1, "batch_size": 16}}


def definition(**parts: object) -> StudyDefinition:
    return parse(StudyDefinition, {**BASE, **parts}, source="s.yaml")


class Driver:
    """A study that is run again and again on one store and one folder."""

    def __init__(
        self,
        definition: StudyDefinition,
        folder: Path,
        scores: Scores,
        store: Store | None = None,
        on_end: Callable[[PlannedTrial], None] = lambda _: None,
    ) -> None:
        self.definition, self._scores, self._on_end = definition, scores, on_end
        self.file = DecisionFile(folder / "decisions.jsonl")
        self.store = store or MemoryStore()
        self.stopped: dict[str, int] = {}
        self.started: list[PlannedTrial] = []
        self.tasks = 0
        self.reason: str | None = None

    def plan(self) -> Plan:
        return make_plan(self.definition, "s.yaml", self.file.read())

    def source(self) -> GridSource | SearchSource:
        return source_of(
            self.definition,
            "s.yaml",
            self.plan(),
            known=stored_keys(self.store),
            store=self.store,
            file=self.file,
            failed=(),
            on_stop=lambda trial, task, _: self.stopped.__setitem__(trial, task),
            on_trial=lambda _: None,
        )

    def run(self, *, slots: int = 1, most_tasks: float = float("inf")) -> None:
        """Run until the end, `slots` at a time in turns, or until so many tasks were done: then all is let go."""
        source = self.source()
        running: list[Iterator[bool]] = []
        while True:
            while len(running) < slots and isinstance(planned := source.next(), PlannedTrial):
                self.started.append(planned)
                running.append(self._steps(source, planned))
            if not running:
                assert source.next() is Idle.END
                assert source.is_done
                self.reason = getattr(source, "reason", None)
                return
            for one in tuple(running):
                if self.tasks >= most_tasks:
                    return
                if not next(one):
                    running.remove(one)

    def _steps(self, source: GridSource | SearchSource, planned: PlannedTrial) -> Iterator[bool]:
        name = planned.trial.id
        cost = Cost(flops=10, mafs=5)
        self.store.put("costs", planned.cost, json.dumps(cost._asdict()).encode())
        for step in planned.steps:
            found = self._scores(planned, step.task)
            if found is None:
                source.ended(name, failed=True)
                yield False
            assert found is not None
            self.tasks += step.task > 0
            scores = scores_of(*found)
            if step.update is not None:
                self.store.put("records", step.update, b'{"wall_seconds": 1800}')
                self.store.put("updates", step.update, b"")
            for key in (step.scores, step.full):
                if key is not None:
                    self.store.put("scores", key, encode(scores))
            if source.reached(name, step.task, summarise(scores)):
                break
            yield True
        source.ended(name, failed=False)
        self._on_end(planned)
        yield False

    def configs(self) -> list[dict[str, object]]:
        """Values of the suggested configs, in their order."""
        return [dict(one.values) for one in self.file.read().suggested]


def scores_of(aka: float, azs: float) -> tuple[Score, ...]:
    return (
        Score(dataset="a", group="adapt", metric="accuracy", value=aka, n=100),
        Score(dataset="b", group="holdout", metric="accuracy", value=azs, n=100),
    )


def lr_of(planned: PlannedTrial) -> float:
    return planned.trial.config.recipe.optimiser.lr


def names(planned: Iterable[PlannedTrial]) -> list[str]:
    return [one.trial.id for one in planned]
