"""What the trials of a search cost, and what is left of what it may cost.

Costs are of trials as if they shared no work, as in the tables, so that they follow from the trials alone. FLOPs are
known before a trial runs, hours only after it.
"""

import math
from collections.abc import Collection, Mapping

from study.definition.search import Constraints, Stop
from study.planning.plan import PlannedTrial
from study.planning.prices import price
from study.search.outcomes import Outcomes
from trainables.metrics import Cost
from trainables.runtime import Runtime


class Spending:
    """Adds up what trials cost.

    Args:
        stop: what they may cost together.
        outcomes: the trials.
        free: trials that cost nothing, since an earlier study has trained them.
    """

    def __init__(self, stop: Stop, outcomes: Outcomes, free: Collection[str]) -> None:
        self._stop, self._outcomes, self._free = stop, outcomes, free

    def is_spent(self) -> str | None:
        """The reason why no more trials are to begin; None while there is none."""
        for unit, (spent, most) in self._accounts().items():
            if spent >= most:
                return f"{most:g} {unit}, as asked"
        return None

    def needs_the_rest(self, blocks: Mapping[str, int]) -> bool:
        """Whether some configs need all that is left to run on so many more blocks.

        That is no more than half of all: the other half is for new configs, whatever the noise.
        """
        trials = {name: self._outcomes.first_trial(name) for name in blocks}
        for unit, (spent, most) in self._accounts().items():
            need = math.fsum(number * self._cost(unit, trials[name]) for name, number in blocks.items())
            if most - spent <= min(need, most / 2):
                return True
        return False

    def affordable(self, blocks: Mapping[str, int]) -> list[str]:
        """As many configs, from the first one on, as can run on so many more blocks with the rest; at least one."""
        accounts = self._accounts()
        for i, (name, number) in enumerate(blocks.items()):
            trial = self._outcomes.first_trial(name)
            accounts = {
                unit: (spent + number * self._cost(unit, trial), most) for unit, (spent, most) in accounts.items()
            }
            if i and any(spent > most for spent, most in accounts.values()):
                return list(blocks)[:i]
        return list(blocks)

    def _accounts(self) -> dict[str, tuple[float, float]]:
        """What is spent and what may be spent at most, by unit."""
        limits = {"trials": self._stop.trials, "MAFs": self._stop.mafs, "hours": self._stop.hours}
        return {unit: (self._spent(unit), float(most)) for unit, most in limits.items() if most is not None}

    def _spent(self, unit: str) -> float:
        own = (one for one in self._outcomes.trials if one.trial.id not in self._free)
        return math.fsum(self._cost(unit, planned) for planned in own)

    def _cost(self, unit: str, planned: PlannedTrial) -> float:
        match unit:
            case "trials":
                return 1.0
            case "MAFs":
                return passes(planned) * cost_of(planned).mafs
            case _:
                return self._outcomes.hours_of(planned)


def excesses(planned: PlannedTrial, constraints: Constraints) -> dict[str, float]:
    """By how much a trial exceeds each bound on cost, relative to the bound; 0 or less keeps it."""
    limits = {"cost_mafs": constraints.cost_mafs, "cost_flops": constraints.cost_flops}
    if not any(limits.values()):
        return {}
    cost = cost_of(planned)
    paid = {"cost_mafs": cost.mafs, "cost_flops": cost.flops}
    return {name: passes(planned) * paid[name] / most - 1 for name, most in limits.items() if most is not None}


def passes(planned: PlannedTrial) -> int:
    """Forward and backward passes of a trial."""
    return sum(step.passes for step in planned.steps)


def cost_of(planned: PlannedTrial) -> Cost:
    """FLOPs and memory-adjusted FLOPs of one step of a trial."""
    config = planned.trial.config
    return price(config.recipe, config.workload, Runtime())
