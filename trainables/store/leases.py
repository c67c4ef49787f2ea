"""Leases: who trains an update now, so that two trials, drivers or studies on one store never train it at once.

A lease is a note "leases/KEY.ATTEMPT". To make the next attempt is to hold it: of several who try, one can. The holder
writes a beat into it now and then, and before it commits it makes sure that no higher attempt was made. Attempts of
holders that died are taken over. Nothing is compared with a clock of another machine, or of the day: a waiter counts
on its own monotonic clock for how long it has seen no beat.
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
"""A holder is dead when six of its beats are missing: enough for a slow storage, or a garbage collection, and little
beside the minutes that an update takes. On the same machine nobody waits for it: there is no such process any more."""

_PAUSES = (0.1, 5.0)
_GAP_SECONDS = TTL_SECONDS / 3
"""A waiter that has not looked for so long was asleep, or the store away: it has not seen that there was no beat."""


class LeaseLostError(RuntimeError):
    """A lease was taken over by another process; what its former holder made is not to be kept."""


class Lease:
    """A lease that this process holds."""

    def __init__(self, store: Store, key: str, attempt: int) -> None:
        self._store, self._key, self.attempt = store, key, attempt
        self._token, self._beats = secrets.token_hex(8), 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease {key[:8]}", daemon=True)

    def check(self) -> None:
        """Raises: LeaseLostError: another attempt was made, since this one seemed dead."""
        if not self._is_held():
            raise LeaseLostError(
                f"{self._store.location}: another process took over update {self._key}, since this one stood still "
                f"for over {TTL_SECONDS:.0f} s; what it trained is left to the other"
            )

    def take(self) -> bool:
        """Make the attempt; whether nobody was faster."""
        taken = self._store.create_note(_name(self._key, self.attempt), self._body())
        if taken:
            self._thread.start()
        return taken

    def release(self) -> None:
        """Let others have it, with what dead holders left; one that was taken over is theirs already."""
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
def held(store: Store, key: str, is_done: Callable[[], bool]) -> Iterator[Lease | None]:
    """Hold the lease on an update; while another holds it, wait until that has made it or died.

    Args:
        store: where the update will be.
        key: of the update.
        is_done: whether it is there, or whatever else was to be made.

    Yields:
        The lease; None when another has done it.
    """
    lease = _acquired(store, key, is_done)
    try:
        yield lease
    finally:
        if lease is not None:
            lease.release()


def clear(store: Store) -> None:
    """Delete the leases on updates that are there: of holders that died, or that a storage kept from deleting them."""
    # Leases first: one that was there before its update was seen protects nothing any more.
    with contextlib.suppress(StoreError, ConfigError):
        if names := store.notes("leases"):
            made = store.keys("updates")
            for name in names:
                if name.removeprefix("leases/").split(".")[0] in made:
                    store.delete_note(name)


def _acquired(store: Store, key: str, is_done: Callable[[], bool]) -> Lease | None:
    watch, pause = _Watch(), _PAUSES[0]
    while True:
        attempts = _attempts(store, key)
        last = attempts[-1] if attempts else 0
        if not attempts or watch.sees_dead(last, store.read_note(_name(key, last))):
            lease = Lease(store, key, last + 1)
            if lease.take():
                if not is_done():
                    return lease
                lease.release()
                return None
        elif is_done():
            return None
        time.sleep(pause)  # also where another took it first: a listing may be old
        pause = min(1.5 * pause, _PAUSES[1])


class _Watch:
    """What a waiter has seen of the holder."""

    def __init__(self) -> None:
        self._seen: tuple[int, bytes | None] = (0, None)
        self._since = self._looked = time.monotonic()

    def sees_dead(self, attempt: int, body: bytes | None) -> bool:
        """Whether the holder of an attempt is dead, now that its note was read."""
        now = time.monotonic()
        if (attempt, body) != self._seen or now - self._looked > _GAP_SECONDS:
            self._seen, self._since = (attempt, body), now
        self._looked = now
        return now - self._since > TTL_SECONDS or _is_gone(_said(body))


def _name(key: str, attempt: int) -> str:
    return f"leases/{key}.{attempt}"


def _attempts(store: Store, key: str) -> list[int]:
    """Numbers of the attempts that there are, lowest first."""
    start = f"leases/{key}."
    return sorted(int(name.removeprefix(start)) for name in store.notes("leases") if name.startswith(start))


def _said(body: bytes | None) -> dict[str, object]:
    """What a note says; nothing where it is damaged, or not written yet."""
    try:
        said = json.loads(body or b"{}")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _process() -> dict[str, object]:
    """This process, by what no other has: its machine, its number, and when it was started."""
    pid = os.getpid()
    return {"machine": _machine(), "pid": pid, "started": _started(pid)}


def _is_gone(said: dict[str, object]) -> bool:
    """Whether a process was one of this machine, and is no more."""
    pid = said.get("pid")
    if said.get("machine") != _machine() or not isinstance(pid, int):
        return False
    started = _started(pid)
    return started is None or started not in ("", said.get("started"))


@cache
def _machine() -> str:
    """This machine since it was started, as far as processes see each other: containers number their own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return platform.node()


def _started(pid: int) -> str | None:
    """When a process was started, in ticks since its machine was: no clock is asked, which could jump.

    None: it has ended. Empty: it runs, and no more can be known here.
    """
    try:
        fields = re.sub(r"^.*\)", "", Path(f"/proc/{pid}/stat").read_text(), flags=re.DOTALL).split()
    except OSError:
        return "" if psutil.pid_exists(pid) else None
    state, ticks = fields[0], fields[19]
    return None if state in "ZX" else ticks  # killed, and not yet waited for
