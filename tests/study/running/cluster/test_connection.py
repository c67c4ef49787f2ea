"""Addresses that cannot be used are refused before anything is asked; what travels to the nodes is what stores need."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from study.running.cluster.connection import PACKAGES, connected, copied, passed_on, require_address
from trainables.frozen import ConfigError


@pytest.mark.parametrize("address", ["nonsense", "10.0.0.1", "10.0.0.1:", ":6379", "10.0.0.1:0", "10.0.0.1:99999", ""])
def test_what_is_no_address_is_told_with_one_that_is(address: str) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT such as") as told:
        require_address(address)
    assert repr(address) in str(told.value)


def test_ray_client_is_refused_with_the_way_to_go() -> None:
    with pytest.raises(ConfigError, match="ray job submit"):
        require_address("ray://10.0.0.1:10001")


@pytest.fixture
def port() -> Iterator[int]:
    """A port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener.getsockname()[1]


def test_a_cluster_that_does_not_answer_is_told_at_once(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {})
    with pytest.raises(ConfigError, match=rf"no Ray cluster answers at 127\.0\.0\.1:{port} \(Connection refused\)"):
        with connected(f"127.0.0.1:{port}", threads=1):
            pass


def test_variables_of_stores_and_caches_travel_and_no_others() -> None:
    theirs = {"AWS_ENDPOINT_URL": "http://here", "GOOGLE_APPLICATION_CREDENTIALS": "/key", "RETUNE_CACHE": "/cache"}
    assert passed_on({**theirs, "HOME": "/root", "PATH": "/bin", "HF_TOKEN": "secret"}) == theirs


def test_what_travels_are_the_sources_of_the_packages(tmp_path: Path) -> None:
    folder = copied(tmp_path / "packages")
    assert {path.name for path in folder.iterdir()} == set(PACKAGES)
    assert (folder / "study" / "commands" / "app.py").exists()
    assert not list(folder.rglob("__pycache__"))
