"""A store that counts what it is asked for."""

from collections import Counter
from collections.abc import Callable
from typing import Any, cast

from trainables.store.store import Store


def counted(store: Store) -> tuple[Store, Counter[str]]:
    """A store that passes every request on to `store`, and how many they were by name."""
    requests: Counter[str] = Counter()
    return cast("Store", _Counted(store, requests)), requests


class _Counted:
    def __init__(self, store: Store, requests: Counter[str]) -> None:
        self._store, self._requests = store, requests

    def __getattr__(self, name: str) -> Callable[..., Any]:
        request = getattr(self._store, name)

        def passed_on(*arguments: Any, **options: Any) -> Any:
            self._requests[name] += 1
            return request(*arguments, **options)

        return passed_on
