"""A store in a folder: what only files can suffer."""

import errno
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from trainables.frozen import digest
from trainables.store.envelope import ENVELOPE_BYTES
from trainables.store.local import LocalStore
from trainables.store.store import Kind, StoreError

KEY = digest("one")


def file_of(store: LocalStore, kind: Kind, key: str) -> Path:
    return store.folder / kind / key[:2] / key


def temporary_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.endswith(".tmp")]


def test_file_without_its_envelope_is_the_plain_value(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put("updates", KEY, b"plain")
    assert file_of(store, "updates", KEY).read_bytes()[ENVELOPE_BYTES:] == b"plain"


def test_damaged_file_is_set_aside_not_lost(tmp_path: Path) -> None:
    told: list[str] = []
    store = LocalStore(tmp_path, told.append)
    for value in (b"first", b"again"):
        store.put("updates", KEY, value)
        path = file_of(store, "updates", KEY)
        path.write_bytes(path.read_bytes()[:-1])
        assert store.get("updates", KEY) is None
    kept = sorted(path.read_bytes()[ENVELOPE_BYTES:] for path in tmp_path.glob("damaged/*"))
    assert kept == [b"agai", b"firs"]
    assert all(str(file_of(store, "updates", KEY)) in line for line in told)


def test_value_outlives_the_object(tmp_path: Path) -> None:
    LocalStore(tmp_path).put("updates", KEY, b"value")
    assert LocalStore(tmp_path).get("updates", KEY) == b"value"


_RACER = """
import sys, time, pathlib
from trainables.frozen import digest
from trainables.store.local import LocalStore
folder = pathlib.Path(sys.argv[1])
store = LocalStore(folder / "store")
(folder / f"ready{sys.argv[2]}").touch()
while not (folder / "go").exists():
    time.sleep(0.001)
for i in range(40):
    store.put("updates", digest(i), bytes([i]) * 5000)
"""


def test_processes_that_race_leave_one_whole_file_each(tmp_path: Path) -> None:
    racers = [subprocess.Popen([sys.executable, "-c", _RACER, str(tmp_path), str(i)]) for i in range(4)]
    _wait_until(lambda: len(list(tmp_path.glob("ready*"))) == 4)
    (tmp_path / "go").touch()
    assert [racer.wait(timeout=60) for racer in racers] == [0] * 4
    told: list[str] = []
    store = LocalStore(tmp_path / "store", told.append)
    assert [store.get("updates", digest(i)) for i in range(40)] == [bytes([i]) * 5000 for i in range(40)]
    files = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert len(files) == 40
    assert told == []


_WRITER = """
import itertools, sys, pathlib
from trainables.frozen import digest
from trainables.store.local import LocalStore
store = LocalStore(pathlib.Path(sys.argv[1]))
for i in itertools.count():
    store.put("updates", digest(i), i.to_bytes(8) * 50_000)
"""


def test_killed_writer_leaves_only_whole_values(tmp_path: Path) -> None:
    told: list[str] = []
    store = LocalStore(tmp_path, told.append)
    for round_ in range(2):
        already = len(store.keys("updates"))
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path)])
        _wait_until(lambda enough=already + 5: len(store.keys("updates")) >= enough)  # type: ignore[misc]
        time.sleep(0.003 * round_)
        writer.send_signal(signal.SIGKILL)
        assert writer.wait(timeout=60) == -signal.SIGKILL
        keys = store.keys("updates")
        expected = {digest(i): i.to_bytes(8) * 50_000 for i in range(len(keys))}
        assert {key: store.get("updates", key) for key in keys} == expected
    assert told == []


def _wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited for a minute"
        time.sleep(0.002)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_named_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def full(_: int) -> None:
        raise OSError(code, os.strerror(code))

    store = LocalStore(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match=f"{file_of(store, 'updates', KEY)}: no space left"):
            store.put("updates", KEY, b"value")
    assert not store.has("updates", KEY)
    assert temporary_files(tmp_path) == []
    store.put("updates", KEY, b"value")
    assert store.get("updates", KEY) == b"value"


def test_write_that_stops_half_way_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StoreError, match=str(file_of(store, "updates", KEY))):
            store.put("updates", KEY, b"x" * 1_000_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not store.has("updates", KEY)
    assert temporary_files(tmp_path) == []


def test_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "store").touch()
    store = LocalStore(tmp_path / "store")
    with pytest.raises(StoreError, match=str(tmp_path / "store")):
        store.put("updates", KEY, b"value")


@contextmanager
def not_root() -> Iterator[None]:
    """Root may write anywhere, so the tests of permissions act as nobody."""
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(me)


@pytest.fixture
def shut() -> Iterator[Path]:
    """A folder that may be read and not written, under parents that all may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        yield Path(folder)
        Path(folder).chmod(0o755)


def test_unwritable_folder_is_named(shut: Path) -> None:
    store = LocalStore(shut / "store")
    with not_root(), pytest.raises(StoreError, match=f"{file_of(store, 'scores', KEY)}: no permission"):
        store.put("scores", KEY, b"value")


def test_unreadable_folder_is_named(shut: Path) -> None:
    store = LocalStore(shut)
    shut.chmod(0o000)
    acts: list[Callable[[], object]] = [
        lambda: store.get("scores", KEY),
        lambda: store.put("scores", KEY, b""),
        lambda: store.has("scores", KEY),
    ]
    for act in acts:
        with not_root(), pytest.raises(StoreError, match=f"{shut}.*no permission"):
            act()


def test_damage_that_cannot_be_set_aside_is_named(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put("updates", KEY, b"value")
    file_of(store, "updates", KEY).write_bytes(b"")
    (tmp_path / "damaged").touch()
    with pytest.raises(StoreError, match=str(file_of(store, "updates", KEY))):
        store.get("updates", KEY)


def test_name_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "link", broken)
    store = LocalStore(tmp_path)
    with pytest.raises(StoreError, match=f"{file_of(store, 'updates', KEY)}: Input/output error"):
        store.put("updates", KEY, b"value")
    assert temporary_files(tmp_path) == []


def test_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refused)
    store = LocalStore(tmp_path)
    store.put("updates", KEY, b"first")
    store.put("updates", KEY, b"second")
    assert store.get("updates", KEY) == b"first"
    assert temporary_files(tmp_path) == []


def test_sweep_deletes_what_killed_writers_left_and_nothing_younger(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put("scores", KEY, b"value")
    young, old = (file_of(store, "scores", KEY).with_name(f".{KEY}.{pid}.1.tmp") for pid in (1, 2))
    for path in (young, old):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    store.sweep()
    assert not old.exists()
    assert young.exists()
    assert store.get("scores", KEY) == b"value"
