"""A source of trials as Ray Tune knows it: a search algorithm that asks it, a scheduler that lets it stop trials."""

import json
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from study.planning.plan import PlannedTrial
from study.running.retries import Tries
from study.running.trial_source import Idle, TrialSource
from trainables.metrics import Summary


class SourceSearcher(Searcher):  # type: ignore[misc]
    """Suggests the trials of a source: None while none is ready, FINISHED when there are no more.

    What Ray calls a trial is one try of ours: one that failed is suggested anew. Ray's own recovery does not tell whose
    fault it was, and gives up a trial whose node dies just when a process that ran another takes it over.
    """

    def __init__(self, source: TrialSource, tries: Tries) -> None:
        super().__init__()
        self._source = source
        self._tries = tries
        self._trials: dict[str, PlannedTrial] = {}
        self._told: set[str] = set()
        self._again: list[PlannedTrial] = []

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray writes all that it was given into a file, which nobody reads."""
        return {}

    def suggest(self, trial_id: str) -> Any:
        """The config of the next trial."""
        planned = self._again.pop(0) if self._again else self._source.next()
        if isinstance(planned, Idle):
            return Searcher.FINISHED if planned is Idle.END and not self._trials else None  # one may have to run again
        trial = planned.trial
        self._trials[trial_id] = planned
        asked = {
            "trial": trial.config.canonical(),
            "evaluate_at": list(planned.evaluate_at),
            "subset": None if planned.subset is None else planned.subset.canonical(),
        }
        # As text: Ray copies a config, and takes it apart again with every report.
        return {"id": trial.id, "method": trial.config.recipe.method.name, "asked": json.dumps(asked)}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tasks are the scheduler's; a trial that cannot go on says so before it ends."""
        name = self._trials[trial_id].trial.id
        if "task" in result:
            self._tries.went_on(name)
        elif "failed" in result:
            self._tries.failed(name, hopeless=result["final"])
            self._told.add(trial_id)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial has ended; it is over unless that was an error which does not end it for good."""
        planned = self._trials.pop(trial_id)
        if error and trial_id not in self._told:
            self._tries.died(planned.trial.id)
        if error and not self._tries.is_over(planned.trial.id):
            self._again.append(planned)
        else:
            self._source.ended(planned.trial.id, failed=self._tries.is_over(planned.trial.id))

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """No metric is needed."""
        return True

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: store and decisions are on the disk."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


class SourceScheduler(FIFOScheduler):  # type: ignore[misc]
    """Runs trials in the order suggested, and stops those that their source stops after a task."""

    _supports_buffered_results = False  # a trial must not go on while its result waits

    def __init__(self, source: TrialSource) -> None:
        super().__init__()
        self._source = source

    def __getstate__(self) -> dict[str, Any]:
        """Nothing, as of the searcher."""
        return {}

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Whether a trial goes on after a task."""
        if "task" not in result:
            return str(TrialScheduler.CONTINUE)
        summary = Summary(result["aka"], result["azs"], result["gm"])
        stops = self._source.reached(str(trial.config["id"]), result["task"], summary)
        return str(TrialScheduler.STOP if stops else TrialScheduler.CONTINUE)

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """None that would be preferred: Ray starts what waits in its order, and nothing is ever paused.

        The method of the base class looks at all trials of the run to find that out, each time that anything happens.
        """
