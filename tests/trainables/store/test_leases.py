"""Leases: one trainer at a time, the dead are followed at once, the slow after a while, and zombies commit nothing."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from search_spaces.space import Scalar, build
from tests.s3 import Server
from tests.study import zygote
from trainables import cycle
from trainables.build import Builder
from trainables.frozen import digest
from trainables.runtime import Runtime
from trainables.store import leases
from trainables.store.leases import Lease, LeaseLostError
from trainables.store.local import LocalStore
from trainables.store.memory import MemoryStore
from trainables.store.opening import open_store
from trainables.store.store import Store
from trainables.workloads.catalogue import open_workload
from trainables.workloads.noop.settings import Noop

KEY = digest("update")


def never() -> bool:
    return False


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes as tenths of a second."""
    monkeypatch.setattr(leases, "TTL_SECONDS", 0.6)
    monkeypatch.setattr(leases, "_GAP_SECONDS", 0.3)
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(leases, "_PAUSES", (0.02, 0.05))


def elsewhere(store: Store, *, attempt: int = 1, beat: int = 0) -> None:
    """A beat of a holder on another machine, whose processes cannot be seen from here."""
    body = {"token": "t", "beat": beat, "machine": "another", "pid": os.getpid(), "started": "1"}
    store.write_note(f"leases/{KEY}.{attempt}", json.dumps(body).encode())


@pytest.mark.usefixtures("quick")
def test_of_many_who_want_an_update_one_makes_it_and_the_others_wait_for_it(tmp_path: Path) -> None:
    made: list[int] = []
    waited: list[int] = []

    def want(i: int) -> None:
        store = LocalStore(tmp_path)
        with leases.lease(store, KEY, lambda: store.has("updates", KEY)) as lease:
            if lease is None:
                waited.append(i)
                return
            time.sleep(0.1)
            lease.check()
            store.put("updates", KEY, b"value")
            made.append(i)

    threads = [threading.Thread(target=want, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(made) == 1
    assert len(waited) == 5
    assert LocalStore(tmp_path).notes("leases") == []


@pytest.mark.usefixtures("quick")
def test_a_trainer_that_fails_leaves_the_lease_to_the_next() -> None:
    store = MemoryStore()
    with pytest.raises(ZeroDivisionError), leases.lease(store, KEY, never):
        raise ZeroDivisionError
    with leases.lease(store, KEY, never) as lease:
        assert lease is not None
        assert lease.attempt == 1


_HOLDER = """
import sys, time
from pathlib import Path
from trainables.store.leases import lease
from trainables.store.local import LocalStore
with lease(LocalStore(Path(sys.argv[1])), sys.argv[2], lambda: False):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def holder(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process of this machine that holds the lease."""
    process = subprocess.Popen([sys.executable, "-c", _HOLDER, folder, KEY], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("awaited", [True, False], ids=["ended", "killed and not waited for"])
def test_a_holder_of_this_machine_that_was_killed_is_followed_at_once(tmp_path: Path, *, awaited: bool) -> None:
    store = LocalStore(tmp_path)
    with holder(tmp_path) as process:
        assert leases._acquired(store, KEY, lambda: True) is None  # it is held: nothing but the end of it is waited for
        process.kill()
        if awaited:
            process.wait()
        else:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the table of processes
        with leases.lease(store, KEY, never) as lease:  # a minute, if it were waited for
            assert lease is not None
            assert lease.attempt == 2
            lease.check()
    assert store.notes("leases") == []


def test_another_process_with_the_number_of_the_dead_one_is_not_it(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    body = {**leases._process(), "token": "t", "beat": 0, "started": "1"}
    store.write_note(f"leases/{KEY}.1", json.dumps(body).encode())
    with leases.lease(store, KEY, never) as lease:
        assert lease is not None
        assert lease.attempt == 2


@pytest.mark.usefixtures("quick")
def test_a_holder_elsewhere_is_followed_when_its_beats_end_whatever_the_clocks_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path)
    elsewhere(store)
    clock = iter(range(0, 10**9, 86_400 * 365))
    monkeypatch.setattr(time, "time", lambda: float(next(clock)))  # years pass between two looks
    began = time.monotonic()
    for beat in range(12):
        threading.Timer(0.1 * beat, elsewhere, args=(store,), kwargs={"beat": beat}).start()
    with leases.lease(store, KEY, never) as lease:
        waited = time.monotonic() - began
        assert lease is not None
        assert lease.attempt == 2
        assert store.notes("leases") == [f"leases/{KEY}.1", f"leases/{KEY}.2"]
    assert waited > 1.1 + leases.TTL_SECONDS
    assert store.notes("leases") == []


@pytest.mark.parametrize("content", [b"", b"retune-store 1 sha256=", b"\0" * 300])
@pytest.mark.usefixtures("quick")
def test_a_damaged_lease_is_that_of_a_holder_without_beats(tmp_path: Path, content: bytes) -> None:
    store = LocalStore(tmp_path)
    elsewhere(store)
    (tmp_path / "leases" / f"{KEY}.1").write_bytes(content)
    began = time.monotonic()
    with leases.lease(store, KEY, never) as lease:
        assert lease is not None
    assert time.monotonic() - began > leases.TTL_SECONDS


def test_a_waiter_that_slept_starts_to_count_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((0.0, 0.0, 15.0, 30.0, 300.0, 315.0, 330.0, 345.0, 359.0, 361.0))  # asleep from 30 to 300
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    watch = leases._Watch()
    assert [watch.sees_dead(1, b"{}") for _ in range(9)] == [False] * 8 + [True]


@pytest.mark.usefixtures("quick")
def test_a_zombie_commits_nothing_and_comes_back_no_more(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    zombie = Lease(store, KEY, 1)
    assert zombie.take()
    zombie.check()
    zombie._ended.set()  # it stands still: no beat
    with leases.lease(store, KEY, never) as lease:
        assert lease is not None
        assert lease.attempt == 2
        with pytest.raises(LeaseLostError, match=f"another process took over update {KEY}"):
            zombie.check()
    with pytest.raises(LeaseLostError):  # nor when the other has done
        zombie.check()
    with leases.lease(store, KEY, never) as lease:
        assert lease is not None
        assert lease.attempt == 1
        with pytest.raises(LeaseLostError):  # nor under its own number
            zombie.check()
        zombie._ended.clear()
        threading.Timer(0.3, zombie._ended.set).start()
        zombie._beat()  # it goes on, and writes nothing over the other's
        lease.check()


@pytest.mark.usefixtures("quick")
def test_beats_outlive_a_store_that_is_away_for_a_while(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    with leases.lease(store, KEY, never) as lease:
        assert lease is not None
        (tmp_path / "store").rename(tmp_path / "away")
        (tmp_path / "store").write_text("not a folder")
        time.sleep(0.3)
        (tmp_path / "store").unlink()
        (tmp_path / "away").rename(tmp_path / "store")
        before = store.read_note(f"leases/{KEY}.1")
        time.sleep(0.3)
        assert store.read_note(f"leases/{KEY}.1") != before
        lease.check()


def drive(location: str, start: Barrier, trained: Path) -> None:
    """Run two trials that share their first update, and write how many were trained here."""
    leases._PAUSES = (0.02, 0.2)  # of this process, which ends
    builder = Builder(open_workload(Noop(), Runtime()), open_store(location), Runtime())
    start.wait(120)
    for w in (0.5, 0.9):
        axes: dict[str, Scalar] = {"method": "full", "tasks": 3, "steps": 200, "batch_size": 8, "lr": 1e-2}
        config, _ = build({**axes, "timeline": "ema", "w": w}, workload=Noop(), source="driver")
        cycle.run(config, builder, lambda *_: None)
    trained.write_text(str(len(builder.trained)))


@pytest.mark.slow
def test_two_drivers_at_once_on_one_bucket_train_each_update_once(s3: Server, tmp_path: Path) -> None:
    """Two trials of three tasks, which share the first update: five."""
    location, start = s3.make_bucket("drivers"), zygote.barrier(2)
    said = [tmp_path / "one", tmp_path / "other"]
    drivers = [zygote.forked(drive, location, start, trained) for trained in said]
    for driver in drivers:
        driver.join(120)
    trained = [int(path.read_text()) for path in said]
    assert sum(trained) == 5
    assert len(s3.names("drivers", "updates/")) == 5
    assert s3.names("drivers", "leases/") == []


def test_only_leases_on_updates_that_are_there_are_cleared(tmp_path: Path) -> None:
    store, other, later = LocalStore(tmp_path), digest("another update"), f"{digest('a later version')}.5"
    for key in (KEY, later):
        store.put("updates", key, b"value")
    store.write_note(f"leases/{later}.1", b"")  # the name of a later version's update has a dot itself
    elsewhere(store)
    elsewhere(store, attempt=12)
    store.write_note(f"leases/{other}.1", b"")
    leases.clear(store)
    assert store.notes("leases") == [f"leases/{other}.1"]


@pytest.mark.usefixtures("quick")
def test_one_that_was_taken_over_leaves_the_lease_of_a_later_holder(tmp_path: Path) -> None:
    """The one that took over has failed, so attempts are counted from one again."""
    store = LocalStore(tmp_path)
    zombie = Lease(store, KEY, 1)
    assert zombie.take()
    store.delete_note(f"leases/{KEY}.1")
    with leases.lease(store, KEY, never) as lease:
        assert lease is not None
        assert lease.attempt == 1
        zombie.release()
        lease.check()


class Stale(MemoryStore):
    """A store whose listings are old, and that counts the attempts to write."""

    tries = 0

    def notes(self, folder: str) -> list[str]:
        return super().notes(folder) if self.tries > 10 else []

    def create_note(self, name: str, content: bytes) -> bool:
        self.tries += 1
        return super().create_note(name, content)


@pytest.mark.usefixtures("quick")
def test_who_was_beaten_to_it_by_one_that_it_does_not_see_yet_waits_before_the_next_try() -> None:
    store = Stale()
    elsewhere(store)
    began = time.monotonic()
    with leases.lease(store, KEY, never) as lease:
        assert lease is not None
    assert store.tries == 12
    assert time.monotonic() - began > 10 * leases._PAUSES[0]
