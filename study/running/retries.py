"""How often a trial is tried again: who is to blame decides.

Its own error, which its worker reports before it ends, counts towards the study's `retries`. A worker or a node that
dies says nothing, and that is no failure of the trial: it goes on elsewhere after its last finished task, unless
workers die of it again and again without a task in between, as they do where it needs too much memory.
"""

from collections import Counter

DEATHS = 20
"""Workers that may die of one trial in a row."""


class Retries:
    """Counts what happens to each trial of a run.

    Args:
        retries: how often a trial is tried again after errors of its own.
    """

    def __init__(self, retries: int) -> None:
        self._retries = retries
        self._failures: Counter[str] = Counter()
        self._deaths: Counter[str] = Counter()
        self._over: set[str] = set()

    def failed(self, trial: str, *, hopeless: bool) -> None:
        """Count an error of the trial's own; a hopeless one ends the trial for good."""
        self._failures[trial] += 1
        if hopeless or self._failures[trial] > self._retries:
            self._over.add(trial)

    def died(self, trial: str) -> None:
        """Count that the worker of a trial died, or could not run it."""
        self._deaths[trial] += 1
        if self._deaths[trial] > DEATHS:
            self._over.add(trial)

    def went_on(self, trial: str) -> None:
        """Note that a trial finished a task, which ends a row of deaths."""
        self._deaths.pop(trial, None)

    def is_over(self, trial: str) -> bool:
        """Whether a trial is not tried again."""
        return trial in self._over
