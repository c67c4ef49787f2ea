"""Images before anything trains: all are there, and are those of the manifest, as `retune data check` sees it.

A file that looks as it did when it was last known (`trainables.workloads.clip.data.stamps`) is taken as known; others
are read and compared with the manifest's hashes. What is decoded in a cache already makes no difference.
"""

from collections.abc import Sequence
from pathlib import Path

from study.data.inspection import Meter, inspect
from trainables.config import Clip
from trainables.frozen import ConfigError
from trainables.workloads.clip.data import stamps
from trainables.workloads.clip.opening import pack_of

_SHOWN = 3
_MANY = 1000
"""Images whose reading takes a while."""


def require_images(workload: Clip, cache: Path) -> None:
    """Make sure that the images of a workload's manifest are there and have not changed.

    Raises:
        ConfigError: some are gone or have changed; how many, and which.
    """
    pack = pack_of(workload, cache)
    missing, others = stamps.doubts(pack.folder)
    if missing:
        raise ConfigError(f"{workload.data}: {_some(missing, 'image files')} not there; bring them back, {_AGAIN}")
    if not others:
        return
    places = pack.sources_in(frozenset(others))
    meter = Meter(len(places), done="compared") if len(places) >= _MANY else None
    looks = inspect(places, decode=False, meter=meter)
    changed = [str(place) for place, look in zip(places, looks, strict=True) if look.wrong is not None]
    if changed:
        raise ConfigError(
            f"{workload.data}: {_some(changed, 'images')} not those that were imported; bring those back, {_AGAIN}"
        )
    stamps.settle(pack.folder, others)


_AGAIN = "or import again; `retune data check` lists all"


def _some(names: Sequence[str], what: str) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)} {what} ({', '.join(names[:_SHOWN])}{more}) are"
