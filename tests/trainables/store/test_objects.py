"""Object storage: large values, and what services and networks do to requests, on a real server behind a real proxy."""

import contextlib
import secrets
import threading
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from tests.s3 import Fault, Proxy, Server, proxy
from trainables.frozen import ConfigError, digest
from trainables.store import objects, outages
from trainables.store.envelope import ENVELOPE_BYTES
from trainables.store.objects import ObjectStore
from trainables.store.opening import open_store
from trainables.store.store import StoreError

KEY, OTHER = digest("one"), digest("other")
PART = 5 << 20
"""The smallest that S3 takes."""


@pytest.fixture
def address(s3: Server) -> str:
    """A place of its own in a bucket."""
    with contextlib.suppress(Exception):
        s3.make_bucket("faults")
    return f"s3://faults/{secrets.token_hex(6)}"


@pytest.fixture
def failing(s3: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy before the server, to which the environment leads; what the client tries itself takes seconds."""
    monkeypatch.setattr(outages, "_PAUSES", (0.01, 0.05))
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    once = {**objects._S3["config_kwargs"], "retries": {"total_max_attempts": 1}}
    monkeypatch.setitem(objects._OPTIONS, "s3", {**objects._S3, "config_kwargs": once})
    with proxy(s3) as made:
        for name, value in made.variables.items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "BLOCK_BYTES", PART)


def large(parts: int = 3) -> memoryview:
    """Some parts and a bit, and different bytes in each."""
    return memoryview(bytearray(b"".join(bytes([i]) * PART for i in range(parts)) + b"end"))


@pytest.mark.usefixtures("small_parts")
def test_a_large_value_travels_in_parts_and_takes_little_memory_beside_itself(s3: Server, address: str) -> None:
    store, value = open_store(address), large(8)
    store.check(writable=True)
    tracemalloc.start()
    store.put("updates", KEY, [b"head", value])
    _, putting = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    got = store.get("updates", KEY)
    _, getting = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert got == b"head" + value
    assert putting < 4 * PART
    assert getting < len(value) + 6 * PART
    assert store.sizes("updates") == {KEY: ENVELOPE_BYTES + 4 + len(value)}
    store.put("updates", KEY, value)  # the first wins
    assert store.get("updates", KEY) == b"head" + value
    assert s3.uploads("faults") == []


@pytest.mark.usefixtures("small_parts")
def test_of_two_uploads_in_parts_at_once_the_first_to_end_wins(s3: Server, address: str) -> None:
    one, other = ObjectStore(address), ObjectStore(address)
    path = one._path("updates", KEY)
    assert one._create(path, [b"1", large()])
    assert not other._create(path, [b"2", large()])  # it had not looked
    assert s3.read("faults", path.partition("/")[2])[:1] == b"1"
    assert s3.uploads("faults") == []


@pytest.mark.usefixtures("small_parts")
def test_an_upload_that_is_cut_is_never_seen_and_sent_again(s3: Server, address: str, failing: Proxy) -> None:
    store = ObjectStore(address, patience=0.0)
    prefix = address.removeprefix("s3://faults/")
    failing.fail("cut upload", after=2_000_000)
    with pytest.raises(StoreError, match=f"{address}: no answer"):
        store.put("updates", KEY, large())
    assert failing.failed >= 1
    assert s3.names("faults", prefix) == []
    assert not store.has("updates", KEY)
    failing.fail("cut upload", after=2_000_000, count=7)
    ObjectStore(address, patience=60).put("updates", KEY, large())
    assert failing.failed >= 1
    failing.heal()
    assert s3.uploads("faults") == []
    assert store.get("updates", KEY) == bytes(large())


def refuse_for_a_while(failing: Proxy) -> None:
    failing.fail("refuse")
    threading.Timer(0.15, failing.heal).start()


FAULTS: dict[Fault, Callable[[Proxy], None]] = {
    "refuse": refuse_for_a_while,
    "500": lambda failing: failing.fail("500", count=2),
    "503": lambda failing: failing.fail("503", count=2),
    "slow": lambda failing: failing.fail("slow", seconds=0.05),
    "cut upload": lambda failing: failing.fail("cut upload", after=100, count=2),
    "cut answer": lambda failing: failing.fail("cut answer", after=100, count=2),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_request_outlives_an_outage(fault: Fault, address: str, failing: Proxy) -> None:
    told: list[str] = []
    store = ObjectStore(address, told.append, patience=60)
    store.put("scores", OTHER, b"other")
    acts: list[Callable[[], object]] = [
        lambda: store.put("scores", KEY, b"value"),
        lambda: store.get("scores", KEY),
        lambda: store.keys("scores"),
        lambda: store.create_note("leases/a.1", b"mine"),
        lambda: store.read_note("leases/a.1"),
        lambda: store.delete("scores", OTHER),
        lambda: store.has("scores", OTHER),
    ]
    results = []
    for act in acts:
        FAULTS[fault](failing)
        results.append(act())
    assert results == [None, b"value", {KEY, OTHER}, True, b"mine", None, False]
    failing.heal()
    assert store.keys("scores") == {KEY}
    assert told == []


def test_an_outage_without_end_is_told_while_it_lasts_and_then_ends_in_one_message(
    address: str, failing: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "_TELL_SECONDS", 0.1)
    told: list[str] = []
    store = ObjectStore(address, told.append, patience=1)
    failing.fail("503")
    with pytest.raises(StoreError, match=r"no answer for \d+ s \(SlowDown.*the same command again: nothing is lost"):
        store.put("scores", KEY, b"value")
    (line,) = told
    assert line.startswith(f"{address}: no answer (SlowDown")
    assert line.endswith("trying again for 1 s")


def test_what_is_damaged_on_its_way_is_read_again(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    store = ObjectStore(address, told.append)
    store.put("scores", KEY, b"value")
    whole, reads = store._files.cat_file, []

    def hurt_once(path: str) -> bytes:
        reads.append(path)
        blob: bytes = whole(path)
        return blob if len(reads) > 1 else blob[:-1] + b"?"

    monkeypatch.setattr(store._files, "cat_file", hurt_once)
    assert store.get("scores", KEY) == b"value"
    assert told == []


def test_what_is_there_is_one_listing_and_nothing_is_remembered(address: str, failing: Proxy) -> None:
    store, other = open_store(address), open_store(address)
    for i in range(20):
        store.put("scores", digest(i), b"")
    failing.requests.clear()
    assert len(store.keys("scores")) == 20
    assert len(failing.requests) <= 1  # on a connection that is open already, none is seen
    other.put("scores", KEY, b"value")
    assert KEY in store.keys("scores")
    assert store.has("scores", KEY)


# -- what a user has to change -----------------------------------------------------------------------------------------


@pytest.fixture
def guarded(s3: Server, address: str) -> Iterator[tuple[str, dict[str, str]]]:
    """A server that asks who one is, and the keys of somebody who may read there and not write."""
    with s3.guarded() as keys:
        yield address, keys


def test_a_bucket_that_may_not_be_written_is_told(
    guarded: tuple[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, keys = guarded
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    store = open_store(address)
    store.check(writable=False)
    with pytest.raises(ConfigError, match=f"{address}: no permission .*AccessDenied.*allow this user to list, read"):
        store.check(writable=True)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"AWS_ACCESS_KEY_ID": "nobody"}, "does not accept the credentials .*InvalidAccessKeyId"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "does not accept the credentials .*SignatureDoesNotMatch"),
        (
            {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None},
            "does not accept the credentials .*Unable to locate credentials",
        ),
    ],
    ids=["unknown user", "wrong secret", "none"],
)
def test_wrong_credentials_are_told(
    variables: dict[str, str | None],
    said: str,
    guarded: tuple[str, dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address, keys = guarded
    for name, value in {**keys, **variables}.items():
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"{address}: the storage {said}.*set AWS_ACCESS_KEY_ID"):
        open_store(address).check(writable=False)


@pytest.mark.usefixtures("s3")
def test_a_bucket_that_is_not_there_is_told() -> None:
    store = open_store("s3://missing-bucket/prefix")
    acts: list[Callable[[], object]] = [
        lambda: store.check(writable=False),
        lambda: store.put("scores", KEY, b""),
        lambda: store.keys("scores"),
        lambda: store.create_note("leases/a.1", b""),
    ]
    for act in acts:
        with pytest.raises(ConfigError, match="s3://missing-bucket/prefix: there is no bucket 'missing-bucket'; make"):
            act()


def test_a_store_where_nobody_answers_is_told_at_once(
    address: str, failing: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "GREETING_SECONDS", 0.5)
    failing.fail("refuse")
    with pytest.raises(StoreError, match=f"{address}: no answer for .*Could not connect.*check the network"):
        open_store(address).check(writable=False)


def test_a_storage_without_conditional_writes_is_refused(address: str, failing: Proxy) -> None:
    failing.fail("unconditional")
    with pytest.raises(ConfigError, match=f"{address}: this storage does not refuse to write one name twice"):
        open_store(address).check(writable=True)
