"""Small values of a study's store: what was scored, what it cost and how long it took, each read once."""

import json
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from trainables import costs
from trainables.metrics import Cost, Suite, Summary, decode_columns, summary_of
from trainables.store.local import LocalStore
from trainables.store.memory import MemoryStore
from trainables.store.store import Kind, Store

_READERS = 32
"""Reads at once of a remote store, where each waits for an answer. A local one is read fastest by one thread."""

_AT_ONCE = 4096
"""Keys whose values are held as bytes at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Scores of some weights: the suite, the value on each of its data sets, and what they make together."""

    suite: Suite
    values: "array[float]"
    summary: Summary


class Results:
    """Reads scores, costs and times of a store, each once; an absent value is looked for again at the next request.

    `devices` are the names of the devices that updates were trained on, of those whose times were read.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._suites: dict[Suite, Suite] = {}
        self._evaluations: dict[str, Evaluation] = {}
        self._costs: dict[str, Cost] = {}
        self._seconds: dict[str, float] = {}
        self.devices: Counter[str] = Counter()

    def fetch(self, scores: Iterable[str]) -> None:
        """Read many scores at once, before they are asked for one by one."""
        for key, payload in self._read("scores", scores, self._evaluations):
            self._evaluations[key] = self._evaluation(payload)

    def fetch_seconds(self, updates: Iterable[str]) -> None:
        """Read the times of many updates at once, before they are asked for one by one."""
        for key, payload in self._read("records", updates, self._seconds):
            record = json.loads(payload)
            self._seconds[key] = record["wall_seconds"]
            if "device_name" in record:  # older releases wrote none
                self.devices[record["device_name"]] += 1

    def evaluation(self, key: str) -> Evaluation | None:
        """What a key of scores says."""
        if key not in self._evaluations:
            self.fetch([key])
        return self._evaluations.get(key)

    def summary(self, key: str) -> Summary | None:
        """AKA, AZS and GM of a key of scores."""
        found = self.evaluation(key)
        return None if found is None else found.summary

    def seconds(self, update: str) -> float | None:
        """Measured time of the training of an update."""
        if update not in self._seconds:
            self.fetch_seconds([update])
        return self._seconds.get(update)

    def cost(self, key: str) -> Cost | None:
        """The price of one optimiser step."""
        if key not in self._costs:
            found = costs.read(self._store, key)
            if found is None:
                return None
            self._costs[key] = found
        return self._costs[key]

    def _evaluation(self, payload: bytes) -> Evaluation:
        suite, values = decode_columns(payload)
        suite = self._suites.setdefault(suite, suite)
        return Evaluation(suite, array("d", values), summary_of(suite.groups, values))

    def _read(self, kind: Kind, keys: Iterable[str], known: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Read the values of keys that are new; keys that the store lacks are left out."""
        missing = [key for key in dict.fromkeys(keys) if key not in known]
        if isinstance(self._store, LocalStore | MemoryStore) or len(missing) == 1:
            found: Iterable[tuple[str, bytes | None]] = ((key, self._store.get(kind, key)) for key in missing)
        else:
            found = self._read_at_once(kind, missing)
        yield from ((key, payload) for key, payload in found if payload is not None)

    def _read_at_once(self, kind: Kind, keys: list[str]) -> Iterator[tuple[str, bytes | None]]:
        with ThreadPoolExecutor(_READERS) as pool:
            for first in range(0, len(keys), _AT_ONCE):
                some = keys[first : first + _AT_ONCE]
                yield from zip(some, pool.map(lambda key: self._store.get(kind, key), some), strict=True)
