"""Costs of optimiser steps in a store: each is counted once, and read from then on.

The counting is in `counting`, which loads torch; whoever finds a cost in the store need not.
"""

import json
from collections.abc import Callable

from trainables.metrics import Cost
from trainables.store.store import Store


def read(store: Store, key: str) -> Cost | None:
    """The cost under a key (`nodes.cost_key`), or None where it has not been counted yet."""
    payload = store.get("costs", key)
    return None if payload is None else Cost(**json.loads(payload))


def stored(store: Store, key: str, count: Callable[[], Cost]) -> Cost:
    """The cost under a key: read, or counted and put there."""
    cost = read(store, key)
    if cost is None:
        cost = count()
        store.put("costs", key, json.dumps(cost._asdict()).encode())
    return cost
