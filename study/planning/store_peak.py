"""Peak bytes of a plan: how much its updates take at the most at once, if what need not stay is freed as it goes.

The plan is gone through in its order, as many trials side by side as there are workers. How large the Pareto set will
be is not known before: of n configs as many are taken for it as of n unrelated points are not dominated in the mean
(1 + 1/2 + ... + 1/n), and the largest ones.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from study.definition.study import Keep
from study.planning.plan import Plan, PlannedTrial
from trainables.dependencies import needs_of
from trainables.lineages import Lineages
from trainables.nodes import Weights
from trainables.workloads.identity import Identity


@dataclass(frozen=True, kw_only=True)
class _Pattern:
    """What a trial reads of its own updates, by their numbers from 0.

    Attributes:
        last_read: for each update, the number of the last one whose making or scoring reads it.
        final: those that its last weights are read from.
    """

    last_read: tuple[int, ...]
    final: tuple[int, ...]


def peak_bytes(plan: Plan, size: Callable[[str], int], *, identity: Identity, workers: int) -> dict[Keep, int]:
    """Most bytes of updates at once, by retention; `size` gives those of an update by its key."""
    patterns = _Patterns(identity)
    trials = [planned for planned in plan.trials if planned.updates]
    final = {planned.trial.id: _final(planned, patterns) for planned in trials}
    everything = frozenset(key for planned in trials for key in planned.updates)
    kept: dict[Keep, Collection[str]] = {
        "needed": _pareto(trials, final, size),
        "final": frozenset(key for keys in final.values() for key in keys),
        "all": everything,
    }
    rounds = list(_rounds(trials, workers))
    last: dict[str, int] = {}
    for now, (number, beside) in enumerate(rounds):
        for planned in beside:
            for key, read in zip(planned.updates, patterns.of(planned).last_read, strict=True):
                if read >= number:
                    last[key] = now
    return {keep: _peak(rounds, last, keys, size) for keep, keys in kept.items()}


_Round = tuple[int, Sequence[PlannedTrial]]
"""Trials that make their update of a number at the same time."""


def _rounds(trials: Sequence[PlannedTrial], workers: int) -> Iterator[_Round]:
    for first in range(0, len(trials), workers):
        beside = trials[first : first + workers]
        for number in range(max(len(planned.updates) for planned in beside)):
            yield number, [planned for planned in beside if number < len(planned.updates)]


def _peak(rounds: Sequence[_Round], last: dict[str, int], kept: Collection[str], size: Callable[[str], int]) -> int:
    """The most bytes after any round, before updates are freed that the round was the last to read."""
    freed_after: dict[int, list[str]] = defaultdict(list)
    for key, now in last.items():
        if key not in kept:
            freed_after[now].append(key)
    made: set[str] = set()
    taken, peak = 0, 0
    for now, (number, beside) in enumerate(rounds):
        new = {planned.updates[number] for planned in beside} - made
        made |= new
        taken += sum(map(size, new))
        peak = max(peak, taken)
        taken -= sum(map(size, freed_after[now]))
    return peak


def _final(planned: PlannedTrial, patterns: "_Patterns") -> frozenset[str]:
    return frozenset(planned.updates[number] for number in patterns.of(planned).final)


def _pareto(
    trials: Sequence[PlannedTrial], final: dict[str, frozenset[str]], size: Callable[[str], int]
) -> frozenset[str]:
    """The last weights of as many configs as may be in the Pareto set."""
    configs: dict[str, set[str]] = defaultdict(set)
    for planned in trials:
        if planned.trial.kind == "trial":
            configs[planned.trial.config.config_id] |= final[planned.trial.id]
    count = math.ceil(sum(1 / n for n in range(1, len(configs) + 1)))
    largest = sorted(configs.values(), key=lambda keys: sum(map(size, keys)), reverse=True)[:count]
    return frozenset().union(*largest)


class _Patterns:
    """Finds the patterns of trials; trials with the same timeline, method and number of tasks share one."""

    def __init__(self, identity: Identity) -> None:
        self._identity, self._lineages = identity, Lineages(identity)
        self._known: dict[tuple[str, str, int], _Pattern] = {}

    def of(self, planned: PlannedTrial) -> _Pattern:
        """The pattern of a trial."""
        config = planned.trial.config
        asked = (config.timeline.text, config.recipe.method.text, len(planned.updates))
        if asked not in self._known:
            self._known[asked] = self._find(planned)
        return self._known[asked]

    def _find(self, planned: PlannedTrial) -> _Pattern:
        numbers = {key: number for number, key in enumerate(planned.updates)}
        anatomy = self._identity.anatomy
        steps = [step for step in self._lineages.of(planned.trial.config) if step.update]
        last_read = list(range(len(numbers)))
        final: frozenset[str] = frozenset()
        for number, step in enumerate(steps[: len(numbers)]):
            assert step.update is not None
            before: list[Weights] = [step.update]
            others = numbers.keys() - {step.update.key}
            for key in needs_of(before, others, anatomy).read:
                last_read[numbers[key]] = number
            final = needs_of([step.served], numbers, anatomy).read
            for key in final:
                last_read[numbers[key]] = number
        return _Pattern(last_read=tuple(last_read), final=tuple(sorted(numbers[key] for key in final)))
