"""What all tests share: one thread, and one cache of the pocket world's pictures, kept between runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No test is about time: a loaded machine must not fail one, and a fresh clone first makes tables of characters.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def cache(request: pytest.FixtureRequest) -> Iterator[Path]:
    """The folder that `RETUNE_CACHE` names during the tests, in `.pytest_cache`; its files are named by content."""
    import torch

    torch.set_num_threads(1)
    folder = Path(request.config.cache.mkdir("retune"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETUNE_CACHE", str(folder))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield folder
