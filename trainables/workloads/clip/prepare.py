"""A CLIP workload made ready: weights downloaded, images found where the manifest has them, and decoded into the cache.

An image file with the stamp of its last check (`data.stamps`) is taken as unchanged; other files are read and compared
with the manifest's hashes. Decoded images in a cache make no difference to that.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainables.frozen import ConfigError
from trainables.machine.processes import spread, usable_cpus
from trainables.machine.progress_line import clock_time
from trainables.runtime import Runtime, TrainingError
from trainables.workloads.clip.data import stamps
from trainables.workloads.clip.data.inspection import Meter, inspect
from trainables.workloads.clip.models import fetch_model
from trainables.workloads.clip.opening import images_of, pack_of
from trainables.workloads.clip.settings import Clip
from trainables.workloads.prepared import Prepared

_PART = 512
"""Images that a process decodes before it says so; for fewer the start of a second process does not pay."""

_SHOWN = 3
_MANY = 1000
"""Images whose reading takes a while."""


def prepare_clip(settings: Clip, runtime: Runtime, tell: Callable[[str], None]) -> Prepared:
    """Download the weights of the model where a tag or a hub names them, and decode all images into the cache.

    Whatever is in the cache already is kept, so an interrupted command goes on. `tell` takes a line of progress.

    Raises:
        ConfigError: the model or the manifest cannot be used, images are gone or changed, or there is no network.
    """
    fetch_model(settings.model, runtime.cache, tell)
    require_images(settings, runtime.cache)
    images = images_of(settings, runtime)
    missing = images.missing(np.arange(len(images)))
    meter = Meter(len(missing), done="decoded")
    bad: list[str] = []
    parts = np.split(missing, range(_PART, len(missing), _PART)) if len(missing) else []
    for count, wrong in spread(partial(_decode, settings, runtime), parts, usable_cpus()):
        meter.add(count)
        bad += wrong
    cached = images.cached - len(images.missing(np.arange(len(images))))
    return Prepared(
        summary=f"{len(images)} images, {cached} decoded in the cache ({images.cached_bytes / 1e9:.2f} GB), "
        f"{clock_time(meter.elapsed)}",
        problems=tuple(bad),
        failure=f"{len(bad)} images cannot be decoded; `retune data check` lists them" if bad else None,
    )


def _decode(settings: Clip, runtime: Runtime, rows: NDArray[np.int64]) -> tuple[int, list[str]]:
    """Decode images; return their number, and a line for each that cannot be decoded."""
    images, bad = images_of(settings, runtime), []
    for row in rows:
        try:
            images[row[None]]
        except TrainingError as error:
            bad.append(str(error))
    return len(rows), bad


def require_images(settings: Clip, cache: Path) -> None:
    """Make sure that the images of the manifest are there and have not changed.

    Raises:
        ConfigError: some are gone or have changed; how many, and which.
    """
    pack = pack_of(settings, cache)
    missing, others = stamps.doubts(pack.folder)
    if missing:
        raise ConfigError(f"{settings.data}: {_some(missing, 'image files')} not there; bring them back, {_AGAIN}")
    if not others:
        return
    places = pack.sources_in(frozenset(others))
    meter = Meter(len(places), done="compared") if len(places) >= _MANY else None
    looks = inspect(places, decode=False, meter=meter)
    changed = [str(place) for place, look in zip(places, looks, strict=True) if look.wrong is not None]
    if changed:
        raise ConfigError(
            f"{settings.data}: {_some(changed, 'images')} not those that were imported; bring those back, {_AGAIN}"
        )
    stamps.settle(pack.folder, others)


_AGAIN = "or import again; `retune data check` lists all"


def _some(names: Sequence[str], what: str) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)} {what} ({', '.join(names[:_SHOWN])}{more}) are"
