"""All that a study needs before it runs: weights downloaded, the manifest made ready, images decoded."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from study.data.inspection import Meter
from study.processes import spread
from trainables.config import Clip, Learnt, Noop
from trainables.runtime import Runtime, TrainingError

_PART = 512
"""Images that a process decodes before it says so; for fewer the start of a second process does not pay."""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What was made ready: numbers of images in the data and in the cache, and why some images cannot be decoded."""

    images: int
    cached: int
    cache_bytes: int
    seconds: float
    bad: tuple[str, ...]


def fetch(workload: Learnt, runtime: Runtime, *, workers: int, tell: Callable[[str], None]) -> Fetched:
    """Download the weights of a workload where it names some, and fill its cache of images.

    What is there already is kept, so an interrupted fetch goes on.

    Args:
        workload: of a study.
        runtime: says where the cache is and how large it may grow.
        workers: processes that decode.
        tell: takes a line of progress.

    Raises:
        ConfigError: the model or the manifest cannot be used, images are gone or changed, or there is no network.
    """
    if isinstance(workload, Noop):
        return Fetched(images=0, cached=0, cache_bytes=0, seconds=0, bad=())
    if not isinstance(workload, Clip):
        from trainables.workloads import open_workload

        tell("drawing the images of the embedded benchmark")
        return Fetched(images=len(open_workload(workload, runtime).pool()), cached=0, cache_bytes=0, seconds=0, bad=())
    from study.data.intact import require_images
    from trainables.workloads.clip.models import fetch_model
    from trainables.workloads.clip.opening import images_of

    fetch_model(workload.model, runtime.cache, tell)
    require_images(workload, runtime.cache)
    images = images_of(workload, runtime)
    missing = images.missing(np.arange(len(images)))
    began = time.monotonic()
    meter = Meter(len(missing), done="decoded")
    bad: list[str] = []
    parts = np.split(missing, range(_PART, len(missing), _PART)) if len(missing) else []
    for count, wrong in spread(partial(_decode, workload, runtime), parts, workers):
        meter.add(count)
        bad += wrong
    return Fetched(
        images=len(images),
        cached=images.cached - len(images.missing(np.arange(len(images)))),
        cache_bytes=images.cached_bytes,
        seconds=time.monotonic() - began,
        bad=tuple(bad),
    )


def _decode(workload: Clip, runtime: Runtime, rows: NDArray[np.int64]) -> tuple[int, list[str]]:
    from trainables.workloads.clip.opening import images_of

    images, bad = images_of(workload, runtime), []
    for row in rows:
        try:
            images[row[None]]
        except TrainingError as error:
            bad.append(str(error))
    return len(rows), bad
