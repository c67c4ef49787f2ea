"""What all tests share: one thread, and one cache of the pocket world's pictures, kept between runs."""

import ctypes
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.s3 import Server, serve

# A script that runs the tests beside something else lets them ignore Ctrl-C, and so would all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No test is about time: a loaded machine must not fail one, and a fresh clone first makes tables of characters.
for _name, _examples in (("ci", 25), ("thorough", 200)):
    settings.register_profile(
        _name, deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=_examples
    )
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the most slow tests first, so that no worker begins a long one when the others have finished."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session", autouse=True)
def cache(request: pytest.FixtureRequest) -> Iterator[Path]:
    """The folder that `RETUNE_CACHE` names during the tests, in `.pytest_cache`; its files are named by content."""
    import torch

    torch.set_num_threads(1)
    folder = Path(request.config.cache.mkdir("retune"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETUNE_CACHE", str(folder))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("RAY_worker_niceness", "0")  # beside other tests, Ray's 15 would starve them
        yield folder


@pytest.fixture(scope="module", autouse=True)
def _memory_is_given_back() -> Iterator[None]:
    """What the C library keeps of freed memory: 3 GB after a model of real size."""
    yield
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


@pytest.fixture(scope="session")
def s3() -> Iterator[Server]:
    """A real S3 server, to which the environment leads; processes that tests start inherit it."""
    with serve() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.variables.items():
            patch.setenv(name, value)
        yield server
