"""Prices: what an optimiser step costs, and how many steps a study's budget buys a config.

A price is counted once on a machine and kept in its cache; it is the same on every machine.
"""

import json
from bisect import bisect_right
from collections.abc import Callable
from typing import TYPE_CHECKING

from study.definition.study import Budget
from trainables import costs
from trainables.config import Recipe, TrialConfig
from trainables.frozen import ConfigError, digest
from trainables.methods.method import named
from trainables.metrics import Accounting, Cost
from trainables.nodes import cost_key
from trainables.runtime import Runtime
from trainables.store.local import LocalStore
from trainables.workloads.catalogue import identify, open_workload
from trainables.workloads.settings import WorkloadSettings

if TYPE_CHECKING:
    from trainables.memory.device_memory import Peaks


def price(recipe: Recipe, workload: WorkloadSettings, runtime: Runtime, accounting: Accounting = "ours") -> Cost:
    """FLOPs and MAFs of one optimiser step of a recipe, from the cache of this machine."""

    def count() -> Cost:
        from trainables.counting.steps import cost_per_step  # loads torch

        return cost_per_step(recipe, open_workload(workload, runtime), accounting)

    key = digest([cost_key(recipe, identify(workload).base), accounting])
    return costs.stored(LocalStore(runtime.cache / "prices"), key, count)


def peaks(recipe: Recipe, workload: WorkloadSettings, runtime: Runtime) -> "Peaks":
    """The peak bytes of a step of a recipe, with and without activations that are computed again, from the cache."""
    from trainables.memory import device_memory  # loads torch

    store = LocalStore(runtime.cache / "prices")
    key = digest([cost_key(recipe, identify(workload).base), "peaks"])
    known = store.get("costs", key)
    if known is not None:
        return device_memory.Peaks(**json.loads(known))
    found = device_memory.peaks(recipe, open_workload(workload, runtime))
    store.put("costs", key, json.dumps(found._asdict()).encode())
    return found


MOST_STEPS = 10**9


def steps(config: TrialConfig, budget: Budget, source: str) -> int:
    """The steps that a budget buys a config in a task of factor 1.

    Raises:
        ConfigError: less than one; names the method and the smallest budget.
    """
    if budget.steps_per_task is not None:
        return budget.steps_per_task
    recipe, runtime, tasks = config.recipe, Runtime(), sum(config.stream.factors)
    own = price(recipe, config.workload, runtime, budget.accounting)
    unit = own.flops if budget.kind == "total_flops" else own.mafs
    if budget.relative_to_full_steps is not None:
        full = recipe.model_copy(update={"method": named("full"), "online_ema": None})
        per_task = budget.relative_to_full_steps * price(full, config.workload, runtime, budget.accounting).mafs
    else:
        per_task = (budget.total_flops or budget.total_mafs or 0.0) / tasks

    def extra(count: int) -> int:
        """Passes after so many steps; none in the paper's accounting, which counts them in every step."""
        return 0 if budget.accounting == "paper" else _with_steps(recipe, count).extra_passes

    found = affordable_steps(per_task / unit, extra)
    if not 0 < found < MOST_STEPS:
        least = unit * (1 + extra(1))
        if budget.relative_to_full_steps is not None:
            enough = f"{budget.relative_to_full_steps * least / per_task:.3g} steps of full fine-tuning"
        else:
            enough = f"{least * tasks:.4g}"
        bought = "more steps than can be run" if found else "less than one step"
        raise ConfigError(
            f"{source}: budget.{budget.kind}: {getattr(budget, budget.kind):g} buys {recipe.method.name} {bought} in "
            f"each of {config.stream.tasks} tasks; one step in each takes {enough}"
        )
    return found


def _with_steps(recipe: Recipe, count: int) -> Recipe:
    return recipe.model_copy(update={"steps": count})


def affordable_steps(passes: float, extra_passes: Callable[[int], int]) -> int:
    """The most steps of a task, `MOST_STEPS` at most, that fit into a number of passes rounded to the nearest.

    So a task may cost half a pass more than its share, as in the table of arXiv 2408.14471.

    Args:
        passes: forward and backward passes that a task may cost.
        extra_passes: those after a number of steps, such as of a Fisher matrix; it never falls.
    """
    most = round(min(passes, MOST_STEPS))
    return bisect_right(range(1, most + 1), most, key=lambda steps: steps + extra_passes(steps))
