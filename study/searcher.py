"""The plan as a Ray Tune search algorithm: it hands out trials, and holds back those that would train the same thing.

A trial whose next update is being trained, or will be, by a running trial is not started: it takes no slot while it
waits, and finds the update in the store when its turn comes. Duplicate work would be harmless, only wasted.
"""

from collections.abc import Iterable
from typing import Any

from ray.tune.search import Searcher

from study.plan import PlannedTrial


class PlanSearcher(Searcher):  # type: ignore[misc]
    """Suggests the trials of a plan that are not done, each once, the first ready one first.

    Args:
        missing: trials to run, in the order of preference.
        updates: keys of the updates that are in the store.
    """

    def __init__(self, missing: Iterable[PlannedTrial], updates: Iterable[str]) -> None:
        super().__init__()
        self._waiting = list(missing)
        self._running: dict[str, PlannedTrial] = {}
        self._have = set(updates)

    def suggest(self, trial_id: str) -> Any:
        """The config of the next ready trial; None while all are held back; FINISHED when there are no more."""
        if not self._waiting:
            return Searcher.FINISHED
        promised = {key for planned in self._running.values() for key in planned.updates if key not in self._have}
        for i, planned in enumerate(self._waiting):
            following = next((key for key in planned.updates if key not in self._have), None)
            if following not in promised:
                self._running[trial_id] = self._waiting.pop(i)
                trial = planned.trial
                return {
                    "id": trial.id,
                    "trial": trial.config.canonical(),
                    "evaluate_at": list(planned.evaluate_at),
                    "subset": None if planned.subset is None else planned.subset.canonical(),
                }
        return None

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Updates up to the reported task are in the store now."""
        if "task" not in result:
            return
        steps = self._running[trial_id].steps
        self._have.update(step.update for step in steps if step.update is not None and step.task <= result["task"])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial that ended promises nothing any more."""
        self._running.pop(trial_id, None)

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """The plan needs no metric."""
        return True

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the store knows what is done."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""
