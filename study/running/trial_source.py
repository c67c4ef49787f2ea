"""Where trials come from: one seam with two implementations, the plan of a grid and a search.

Both executors (Ray Tune, and this process) ask it for the next trial, and tell it how trials go.
"""

from collections.abc import Callable, Iterable, Set
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from study.planning.decisions import DecisionFile
from study.planning.plan import Known, PlannedTrial
from study.planning.trials import Recorded, Trial
from study.running.early_stopping import Reached, Rungs
from trainables.metrics import Summary


class Idle(Enum):
    """Why there is no trial."""

    WAIT = "none is ready; one may be when another has reached a task or has ended"
    END = "there are no more"


class TrialSource(Protocol):
    """Hands out trials, and hears how they go.

    * `next` is a trial that is ready, each once, or why there is none. With nothing running it never is `Idle.WAIT`.
    * `reached` is called after each task of a trial, in order; a trial that is tried again comes from task 0. When it
      returns True the trial ends here.
    * `ended` is called once for each trial that was handed out, also for one that `reached` has stopped.
    * All decisions follow from the results and their order, and those that later ones depend on are on the disk before
      they have an effect: whatever is killed, the same command goes on as if nothing had happened.
    """

    def next(self) -> PlannedTrial | Idle:
        """The next trial."""

    def reached(self, trial: str, task: int, summary: Summary) -> bool:
        """A trial's scores after a task are in the store."""

    def ended(self, trial: str, *, failed: bool) -> None:
        """A trial has done all it was to do, or has failed for good."""

    @property
    def is_done(self) -> bool:
        """Whether nothing runs and nothing is left to run."""

    @property
    def methods(self) -> Set[str]:
        """Methods of the trials that it may hand out."""


class Queue:
    """Trials that wait, in the order of preference, and trials that run.

    A trial whose next update is being trained, or will be, by a running trial is held back: it takes no slot while it
    waits, and finds the update in the store when its turn comes. Duplicate work would be harmless, only wasted.

    Args:
        known: what the store holds.
    """

    def __init__(self, known: Known) -> None:
        self._known = known
        self._have = set(known.updates)
        self._reached: set[str] = set()
        self._waiting: dict[str, PlannedTrial] = {}
        self._running: dict[str, PlannedTrial] = {}

    @property
    def waiting(self) -> int:
        """How many trials wait."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """How many trials run."""
        return len(self._running)

    def add(self, planned: PlannedTrial) -> None:
        """Let a trial wait behind the others."""
        self._waiting[planned.trial.id] = planned
        self._have -= planned.to_train(self._known) - self._reached  # also what passes again, to be scored on the way

    def pop(self) -> PlannedTrial | None:
        """Take the first trial that is ready, which then counts as running; None if none is."""
        promised = {key for planned in self._running.values() for key in planned.updates if key not in self._have}
        for name, planned in self._waiting.items():
            following = next((key for key in planned.updates if key not in self._have), None)
            if following not in promised:
                self._running[name] = self._waiting.pop(name)
                return planned
        return None

    def reached(self, trial: str, task: int) -> PlannedTrial:
        """Note that a trial's updates up to a task are in the store."""
        planned = self._running[trial]
        done = {step.update for step in planned.steps if step.update is not None and step.task <= task}
        self._have |= done
        self._reached |= done
        return planned

    def ended(self, trial: str) -> PlannedTrial:
        """Note that a trial runs no more, and so promises no more updates."""
        return self._running.pop(trial)


class Stopping:
    """Early stopping in a run: decides, notes it on the disk, and tells.

    Args:
        rungs: what trials are compared by.
        file: where decisions go.
        tell: hears of a trial that ends early, with the task and the reason, once it runs no more.
    """

    def __init__(self, rungs: Rungs, file: DecisionFile, tell: Callable[[str, int, str], None]) -> None:
        self._rungs, self._file, self._tell = rungs, file, tell
        self._stopped: dict[str, tuple[int, str]] = {}

    def reached(self, planned: PlannedTrial, task: int, summary: Summary) -> bool:
        """Whether a trial ends with this task, as the plan says or as the comparison with other trials decides now."""
        trial = planned.trial
        if trial.kind == "anchor":
            return False
        if planned.is_stopped:  # it runs again, since something of it was lost
            if task == planned.steps[-1].task:
                self._stopped[trial.id] = task, "as decided before"
            return trial.id in self._stopped
        verdict = self._rungs.decide(reached(trial, task, aka=summary.aka, azs=summary.azs))
        if verdict.stops:
            self._stop(trial, task, verdict.reason)
        return verdict.stops

    def leaves_out(self, planned: PlannedTrial, known: Known) -> bool:
        """Whether a trial is left out, since its config was stopped elsewhere; it then ends with what is scored."""
        trial = planned.trial
        if trial.kind == "anchor" or not self._rungs.stopped_elsewhere(trial.config_id, trial.block):
            return False
        self._stop(trial, planned.scored_to(known), "its config was stopped on another block")
        return True

    def ended(self, trial: Trial | Recorded, *, failed: bool) -> int | None:
        """Tell of a trial that runs no more, if it was stopped; the task that it was stopped after."""
        if trial.id not in self._stopped:
            if not failed:
                self._rungs.finish(trial.config_id)
            return None
        self._tell(trial.id, *self._stopped[trial.id])
        return self._stopped[trial.id][0]

    def _stop(self, trial: Trial | Recorded, task: int, reason: str) -> None:
        self._file.stop(trial.id, task, reason)
        self._stopped[trial.id] = task, reason


def reached(trial: Trial | Recorded, task: int, *, aka: float, azs: float) -> Reached:
    """What a trial scored after a task."""
    config = trial.config
    return Reached(
        trial=trial.id,
        config=config.config_id,
        block=config.block,
        tasks=config.stream.tasks,
        task=task,
        aka=aka,
        azs=azs,
    )


class GridSource:
    """The trials of a plan that are not done.

    Args:
        missing: these trials, in the order of preference.
        known: what the store holds.
        stopping: which of them end early.
    """

    def __init__(self, missing: Iterable[PlannedTrial], known: Known, stopping: Stopping) -> None:
        self._queue, self._known, self._stopping = Queue(known), known, stopping
        self._methods: set[str] = set()
        for planned in missing:
            self._queue.add(planned)
            self._methods.add(planned.trial.config.recipe.method.name)

    def next(self) -> PlannedTrial | Idle:
        """The next trial that is ready."""
        while (planned := self._queue.pop()) is not None:
            if not self._stopping.leaves_out(planned, self._known):
                return planned
            self.ended(planned.trial.id, failed=False)
        return Idle.WAIT if self._queue.waiting else Idle.END

    def reached(self, trial: str, task: int, summary: Summary) -> bool:
        """Whether a trial ends here; anchors never do."""
        return self._stopping.reached(self._queue.reached(trial, task), task, summary)

    def ended(self, trial: str, *, failed: bool) -> None:
        """Note that a trial runs no more."""
        self._stopping.ended(self._queue.ended(trial).trial, failed=failed)

    @property
    def is_done(self) -> bool:
        """Whether nothing runs and nothing is left to run."""
        return not self._queue.waiting and not self._queue.running

    @property
    def methods(self) -> Set[str]:
        """Methods of the trials that are not done."""
        return self._methods


if TYPE_CHECKING:

    def _is_source(grid: GridSource) -> TrialSource:
        return grid
