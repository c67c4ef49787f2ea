"""Space: a run frees updates by itself, but only as many as keep the store below its bound (`resources.store_gb`)."""

import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator

from study.definition.study import StudyDefinition
from study.folder.folder import Folder
from study.folder.retention import holdings_of, register
from trainables.frozen import ConfigError
from trainables.store.local import LocalStore
from trainables.store.store import Store, StoreError

_LOOK_SECONDS = 10.0
_ENDS_WITHIN_SECONDS = 10.0
_MOST_SHARE = 0.05
"""Of a run's time that looking takes, however many updates there are."""
_FREED_TO = 0.8
"""Of the bound: what is freed lasts for a while."""


@contextlib.contextmanager
def kept_within(home: Folder, definition: StudyDefinition, tell: Callable[[str], None]) -> Iterator[None]:
    """Tell the store that a study uses it, and while the study runs keep the store below its bound."""
    store = home.store()
    register(store, home, definition)
    bound = _bound(store, definition)
    if bound is None:
        yield
        return
    keeper = _Keeper(store, home, definition, bound, tell)
    ended = threading.Event()
    thread = threading.Thread(target=keeper.watch, args=(ended,), name="space", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=_ENDS_WITHIN_SECONDS)


def _bound(store: Store, definition: StudyDefinition) -> float | None:
    """The bound on bytes of updates in a store; None if there is none."""
    if definition.resources.store_gb is not None:
        return 1e9 * definition.resources.store_gb
    if not isinstance(store, LocalStore):
        return None
    place = next(path for path in (store.folder.absolute(), *store.folder.absolute().parents) if path.exists())
    return sum(store.sizes("updates").values()) + 0.5 * shutil.disk_usage(place).free


class _Keeper:
    """Looks at the store now and then, and frees what need not stay once it has outgrown its bound."""

    def __init__(
        self, store: Store, home: Folder, definition: StudyDefinition, bound: float, tell: Callable[[str], None]
    ) -> None:
        self._store, self._home, self._definition, self._bound, self._tell = store, home, definition, bound, tell
        self._told: set[type[Exception] | None] = set()

    def watch(self, ended: threading.Event) -> None:
        """Look until the run has ended."""
        pause = 0.0
        while not ended.wait(pause):
            began = time.monotonic()
            try:
                self.free()
            except (ConfigError, StoreError) as error:
                self._tell_once(type(error), f"the store cannot be kept below {self._bound / 1e9:.3g} GB: {error}")
            pause = max(_LOOK_SECONDS, (time.monotonic() - began) / _MOST_SHARE)

    def free(self) -> None:
        """Free what is too much."""
        size = sum(self._store.sizes("updates").values())
        if size <= self._bound:
            return
        holdings = holdings_of(self._store, self._home, self._definition)
        freed, before = 0, size
        for key in holdings.freeable(self._definition.keep):
            if size <= _FREED_TO * self._bound:
                break
            self._store.delete("updates", key)
            size -= holdings.sizes[key]
            freed += 1
        if freed:
            self._home.log("freed", updates=freed, bytes=before - size)
        if size > self._bound:
            others = "".join(
                f"; {one.bytes / 1e9:.3g} GB are of version {version} of the numerics, which go by retune gc "
                f"{self._home.path} --version {version} --yes alone"
                for version, one in holdings.foreign.items()
            )
            self._tell_once(
                None,
                f"the store takes {size / 1e9:.3g} GB, over its bound of {self._bound / 1e9:.3g} GB, and all of that "
                f"is needed (keep: {self._definition.keep}){others}; raise store_gb in `resources`, or free some disk",
            )

    def _tell_once(self, why: type[Exception] | None, message: str) -> None:
        """Say it once a run: the numbers in it change with every look."""
        if why not in self._told:
            self._told.add(why)
            self._tell(message)
