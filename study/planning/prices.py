"""Prices of steps, counted once on a machine and kept in the cache; they are the same on every machine."""

import json

from trainables.config import Learnt, Recipe
from trainables.frozen import digest
from trainables.metrics import Cost
from trainables.nodes import cost_key
from trainables.runtime import Runtime
from trainables.store.store import LocalStore
from trainables.workloads import identify, open_workload


def price(recipe: Recipe, workload: Learnt, runtime: Runtime, accounting: str = "ours") -> Cost:
    """FLOPs and MAFs of one optimiser step of a recipe, by one of the accountings of `trainables.costs`."""
    store = LocalStore(runtime.cache / "prices")
    key = digest([cost_key(recipe, identify(workload).base), accounting])
    known = store.get("costs", key)
    if known is not None:
        return Cost(**json.loads(known))
    from trainables.costs import cost_per_step

    cost = cost_per_step(
        recipe.method,
        open_workload(workload, runtime),
        recipe.batch_size,
        precision=recipe.precision,
        averages=recipe.averages,
        accounting="paper" if accounting == "paper" else "ours",
    )
    store.put("costs", key, json.dumps(cost._asdict()).encode())
    return cost
