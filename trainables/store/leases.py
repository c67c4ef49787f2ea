"""Leases: who trains an update now, so that two trials, drivers or studies on one store never train it at once.

A lease is a note "leases/KEY.ATTEMPT". Whoever creates the note of the next attempt holds the lease: of several who
try, one can. The holder writes a beat into its note now and then, and before it commits its update it makes sure that
no higher attempt exists. A waiter takes over from a dead holder by the next attempt. No clock of another machine is
read: a waiter measures on its own monotonic clock for how long it has seen no beat.
"""

import contextlib
import json
import os
import platform
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import psutil

from trainables.frozen import ConfigError
from trainables.store.store import Store, StoreError

BEAT_SECONDS = 10.0
TTL_SECONDS = 60.0
"""A holder counts as dead when six of its beats are missing: time enough for a slow storage or a garbage collection,
and little beside the minutes that an update takes. On the same machine the end of its process is seen at once."""

_PAUSES = (0.1, 5.0)
_GAP_SECONDS = TTL_SECONDS / 3
"""A waiter that has not looked for so long was asleep, or the store was away. Beats may have come meanwhile, so the
waiter starts to count anew."""


class LeaseLostError(RuntimeError):
    """Another process took a lease over; the update of the former holder must not be kept."""


class Lease:
    """A lease that this process holds."""

    def __init__(self, store: Store, key: str, attempt: int) -> None:
        self._store, self._key, self.attempt = store, key, attempt
        self._token, self._beats = secrets.token_hex(8), 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease {key[:8]}", daemon=True)

    def check(self) -> None:
        """Make sure that this process still holds the lease.

        Raises:
            LeaseLostError: another process made a higher attempt, since this one seemed dead.
        """
        if not self._is_held():
            raise LeaseLostError(
                f"{self._store.location}: another process took over update {self._key}, since this one stood still "
                f"for over {TTL_SECONDS:.0f} s; what it trained is left to the other"
            )

    def take(self) -> bool:
        """Make the attempt, and return False where another process was faster."""
        taken = self._store.create_note(_name(self._key, self.attempt), self._body())
        if taken:
            self._thread.start()
        return taken

    def release(self) -> None:
        """Delete the notes of this attempt and of those before it; a lease that was taken over stays with its taker."""
        self._ended.set()
        self._thread.join(timeout=1)
        # What cannot be deleted now is dead soon.
        with contextlib.suppress(StoreError, ConfigError):
            if self._is_held():
                for attempt in _attempts(self._store, self._key):
                    self._store.delete_note(_name(self._key, attempt))

    def _is_held(self) -> bool:
        attempts = _attempts(self._store, self._key)
        if not attempts or attempts[-1] != self.attempt:
            return False
        return _said(self._store.read_note(_name(self._key, self.attempt))).get("token") == self._token

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            # A beat that fails is made up for by the next one.
            with contextlib.suppress(StoreError, ConfigError):
                if self._is_held() and not self._ended.is_set():
                    self._beats += 1
                    self._store.write_note(_name(self._key, self.attempt), self._body())

    def _body(self) -> bytes:
        return json.dumps({"token": self._token, "beat": self._beats, "host": platform.node(), **_process()}).encode()


@contextlib.contextmanager
def lease(store: Store, key: str, is_done: Callable[[], bool]) -> Iterator[Lease | None]:
    """Hold the lease on an update; while another process holds it, wait until the update is made or the holder is dead.

    Args:
        store: where the update will be.
        key: of the update.
        is_done: says whether the update, and what else was to be made with it, is there.

    Yields:
        The lease; None when another process has made the update.
    """
    acquired = _acquired(store, key, is_done)
    try:
        yield acquired
    finally:
        if acquired is not None:
            acquired.release()


def clear(store: Store) -> None:
    """Delete leases on updates that are there already: their holders died, or could not reach the store at the end."""
    # Leases first: one that was there before its update was seen protects nothing any more.
    with contextlib.suppress(StoreError, ConfigError):
        if names := store.notes("leases"):
            made = store.keys("updates")
            for name in names:
                if name.removeprefix("leases/").rpartition(".")[0] in made:  # the key has a dot, too
                    store.delete_note(name)


def _acquired(store: Store, key: str, is_done: Callable[[], bool]) -> Lease | None:
    watch, pause = _Watch(), _PAUSES[0]
    while True:
        attempts = _attempts(store, key)
        last = attempts[-1] if attempts else 0
        if not attempts or watch.sees_dead(last, store.read_note(_name(key, last))):
            attempt = Lease(store, key, last + 1)
            if attempt.take():
                if not is_done():
                    return attempt
                attempt.release()
                return None
        elif is_done():
            return None
        time.sleep(pause)  # also where another took it first: a listing may be old
        pause = min(1.5 * pause, _PAUSES[1])


class _Watch:
    """The last note of the holder that a waiter has seen, and since when."""

    def __init__(self) -> None:
        self._seen: tuple[int, bytes | None] = (0, None)
        self._since = self._looked = time.monotonic()

    def sees_dead(self, attempt: int, body: bytes | None) -> bool:
        """Whether the holder of an attempt is dead, given the note that was just read."""
        now = time.monotonic()
        if (attempt, body) != self._seen or now - self._looked > _GAP_SECONDS:
            self._seen, self._since = (attempt, body), now
        self._looked = now
        return now - self._since > TTL_SECONDS or _is_gone(_said(body))


def _name(key: str, attempt: int) -> str:
    return f"leases/{key}.{attempt}"


def _attempts(store: Store, key: str) -> list[int]:
    """The numbers of all attempts at an update, lowest first."""
    start = f"leases/{key}."
    return sorted(int(name.removeprefix(start)) for name in store.notes("leases") if name.startswith(start))


def _said(body: bytes | None) -> dict[str, object]:
    """The fields of a note; none where the note is damaged, or not written yet."""
    try:
        said = json.loads(body or b"{}")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _process() -> dict[str, object]:
    """Fields that identify this process: its machine, its number, and when it was started."""
    pid = os.getpid()
    return {"machine": _machine(), "pid": pid, "started": _started(pid)}


def _is_gone(said: dict[str, object]) -> bool:
    """Whether a process ran on this machine and has ended."""
    pid = said.get("pid")
    if said.get("machine") != _machine() or not isinstance(pid, int):
        return False
    started = _started(pid)
    return started is None or started not in ("", said.get("started"))


@cache
def _machine() -> str:
    """A name of this machine since its last start and, as containers number their own processes, of this container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return platform.node()


def _started(pid: int) -> str | None:
    """When a process was started, in ticks since the start of its machine: a clock could jump.

    None where the process has ended; empty where it runs and this system does not say since when.
    """
    try:
        fields = re.sub(r"^.*\)", "", Path(f"/proc/{pid}/stat").read_text(), flags=re.DOTALL).split()
    except OSError:
        return "" if psutil.pid_exists(pid) else None
    state, ticks = fields[0], fields[19]
    return None if state in "ZX" else ticks  # killed, and not yet waited for
