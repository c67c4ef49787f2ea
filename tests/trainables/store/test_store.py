"""Stores: one contract for every implementation."""

import secrets
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.s3 import Server
from trainables.frozen import digest
from trainables.store.envelope import ENVELOPE_BYTES
from trainables.store.local import LocalStore
from trainables.store.memory import MemoryStore
from trainables.store.objects import ObjectStore
from trainables.store.store import Kind, Store

KEY, OTHER = digest("one"), digest("other")


@dataclass
class Case:
    """A store, what it told about damage, and a way to change the bytes that it keeps."""

    store: Store
    told: list[str]
    change: Callable[[Kind, str, Callable[[bytes], bytes]], None]
    aside: Callable[[], list[bytes]]


@contextmanager
def memory() -> Iterator[Case]:
    told: list[str] = []
    store = MemoryStore(told.append)

    def change(kind: Kind, key: str, how: Callable[[bytes], bytes]) -> None:
        store.blobs[kind, key] = how(store.blobs[kind, key])

    yield Case(store, told, change, list)


@contextmanager
def local() -> Iterator[Case]:
    told: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        store = LocalStore(Path(folder) / "store", told.append)

        def change(kind: Kind, key: str, how: Callable[[bytes], bytes]) -> None:
            path = file_of(store, kind, key)
            path.write_bytes(how(path.read_bytes()))

        yield Case(store, told, change, lambda: [path.read_bytes() for path in store.folder.glob("damaged/*")])


@contextmanager
def bucket(server: Server, name: str) -> Iterator[Case]:
    told: list[str] = []
    prefix = f"some/{secrets.token_hex(8)}"

    def change(kind: Kind, key: str, how: Callable[[bytes], bytes]) -> None:
        path = f"{prefix}/{kind}/{key[:2]}/{key}"
        server.write(name, path, how(server.read(name, path)))

    def aside() -> list[bytes]:
        return [server.read(name, one) for one in server.names(name, f"{prefix}/damaged/")]

    yield Case(ObjectStore(f"s3://{name}/{prefix}", told.append), told, change, aside)


Make = Callable[[], AbstractContextManager[Case]]


@pytest.fixture(params=["memory", "local", "s3"], scope="module")
def make(request: pytest.FixtureRequest) -> Make:
    if request.param == "s3":
        server = request.getfixturevalue("s3")
        server.make_bucket("contract")
        return partial(bucket, server, "contract")
    return {"memory": memory, "local": local}[request.param]


def examples(make: Make) -> settings:
    """Fewer for a server, which takes a hundred times as long."""
    return settings(max_examples=5 if isinstance(make, partial) else 30, deadline=None)


def file_of(store: LocalStore, kind: Kind, key: str) -> Path:
    return store.folder / kind / key[:2] / key


def flip(position: int, bit: int = 0) -> Callable[[bytes], bytes]:
    def flipped(blob: bytes) -> bytes:
        at = position % len(blob)
        return blob[:at] + bytes([blob[at] ^ 1 << bit]) + blob[at + 1 :]

    return flipped


def cut(length: int) -> Callable[[bytes], bytes]:
    return lambda blob: blob[:length]


# In the digest, the size, the padding, the end of the line, the payload's first and last byte.
FLIPS = {f"flip {at}": flip(at) for at in (0, 30, 92, 110, ENVELOPE_BYTES - 1, ENVELOPE_BYTES, -1)}
CUTS = {f"cut {at}": cut(at) for at in (0, 1, ENVELOPE_BYTES - 1, ENVELOPE_BYTES, -1)}
DAMAGES = {**FLIPS, **CUTS, "longer": lambda blob: blob + b"\0", "twice": lambda blob: blob * 2}


class TestContract:
    def test_absent_is_none(self, make: Make) -> None:
        with make() as case:
            assert case.store.get("updates", KEY) is None
            assert not case.store.has("updates", KEY)
            assert case.store.keys("updates") == set()
            assert case.told == []

    @pytest.mark.parametrize("value", [b"", b"\0", b"\n" * 300, bytes(range(256)) * 4096], ids=len)
    def test_bytes_come_back(self, make: Make, value: bytes) -> None:
        with make() as case:
            case.store.put("updates", KEY, value)
            assert case.store.get("updates", KEY) == value
            assert case.store.has("updates", KEY)

    def test_any_bytes_come_back(self, make: Make) -> None:
        @examples(make)
        @given(values=st.lists(st.binary(max_size=200), min_size=1, max_size=5))
        def holds(values: list[bytes]) -> None:
            with make() as case:
                for i, value in enumerate(values):
                    case.store.put("scores", digest(i), value)
                assert [case.store.get("scores", digest(i)) for i in range(len(values))] == values
                assert case.store.keys("scores") == {digest(i) for i in range(len(values))}

        holds()

    def test_kinds_do_not_meet(self, make: Make) -> None:
        with make() as case:
            for kind in get_args(Kind):
                case.store.put(kind, KEY, kind.encode())
            case.store.put("costs", OTHER, b"")
            assert [case.store.get(kind, KEY) for kind in get_args(Kind)] == [kind.encode() for kind in get_args(Kind)]
            assert {kind: case.store.keys(kind) for kind in get_args(Kind)} == {
                **{kind: {KEY} for kind in get_args(Kind)},
                "costs": {KEY, OTHER},
            }

    def test_first_put_wins(self, make: Make) -> None:
        with make() as case:
            case.store.put("updates", KEY, b"first")
            case.store.put("updates", KEY, b"second")
            assert case.store.get("updates", KEY) == b"first"

    @pytest.mark.parametrize("damage", DAMAGES)
    def test_damage_is_told_once_and_can_be_put_again(self, make: Make, damage: str) -> None:
        with make() as case:
            case.store.put("updates", KEY, b"value")
            case.store.put("updates", OTHER, b"whole")
            case.change("updates", KEY, DAMAGES[damage])
            assert case.store.get("updates", KEY) is None
            assert len(case.told) == 1
            assert KEY in case.told[0]
            assert "damaged" in case.told[0]
            assert not case.store.has("updates", KEY)
            assert case.store.get("updates", KEY) is None
            assert len(case.told) == 1
            assert case.store.keys("updates") == {OTHER}
            case.store.put("updates", KEY, b"value")
            assert case.store.get("updates", KEY) == b"value"
            assert case.store.get("updates", OTHER) == b"whole"
            assert len(case.told) == 1

    def test_no_flipped_bit_goes_unseen(self, make: Make) -> None:
        @examples(make)
        @given(value=st.binary(max_size=60), position=st.integers(0, 10_000), bit=st.integers(0, 7))
        def holds(value: bytes, position: int, bit: int) -> None:
            with make() as case:
                case.store.put("scores", KEY, value)
                case.change("scores", KEY, flip(position, bit))
                assert case.store.get("scores", KEY) is None

        holds()

    def test_parts_are_one_value(self, make: Make) -> None:
        with make() as case:
            case.store.put("updates", KEY, [b"", b"head", memoryview(bytearray(b"tail"))])
            assert case.store.get("updates", KEY) == b"headtail"
            case.store.put("updates", OTHER, [])
            assert case.store.get("updates", OTHER) == b""

    def test_what_is_deleted_is_free(self, make: Make) -> None:
        with make() as case:
            case.store.put("updates", KEY, b"value")
            case.store.put("updates", OTHER, b"longer value")
            sizes = {KEY: ENVELOPE_BYTES + 5, OTHER: ENVELOPE_BYTES + 12}
            assert case.store.sizes("updates") == sizes
            case.store.delete("updates", KEY)
            case.store.delete("updates", KEY)
            assert case.store.sizes("updates") == {OTHER: sizes[OTHER]}
            assert case.store.get("updates", KEY) is None
            case.store.put("updates", KEY, b"again")
            assert case.store.get("updates", KEY) == b"again"
            assert case.told == []

    def test_a_note_is_made_once_and_may_change(self, make: Make) -> None:
        with make() as case:
            assert case.store.notes("leases") == []
            assert case.store.read_note("leases/a.1") is None
            assert case.store.create_note("leases/a.1", b"first")
            assert not case.store.create_note("leases/a.1", b"second")
            assert case.store.read_note("leases/a.1") == b"first"
            case.store.write_note("leases/a.1", b"third")
            case.store.write_note("leases/b.1", b"other")
            assert case.store.read_note("leases/a.1") == b"third"
            assert case.store.notes("leases") == ["leases/a.1", "leases/b.1"]
            assert case.store.notes("studies") == []
            case.store.delete_note("leases/a.1")
            case.store.delete_note("leases/a.1")
            assert case.store.notes("leases") == ["leases/b.1"]
            assert case.store.create_note("leases/a.1", b"")
            assert not case.store.create_note("leases/a.1", b"more")
            assert not [key for kind in get_args(Kind) for key in case.store.keys(kind)]

    def test_of_many_that_make_a_note_at_once_one_does(self, make: Make) -> None:
        with make() as case, ThreadPoolExecutor(4) as pool:
            for name in ("studies/a", "studies/b", "studies/c"):
                made = list(pool.map(lambda i, name=name: case.store.create_note(name, b"%d" % i), range(8)))
                assert sum(made) == 1
                assert case.store.read_note(name) == b"%d" % made.index(True)

    def test_a_store_that_can_be_used_passes_its_check_and_keeps_nothing_of_it(self, make: Make) -> None:
        with make() as case:
            case.store.check(writable=False)
            case.store.check(writable=True)
            assert case.store.notes("probe") == []
            assert case.told == []
