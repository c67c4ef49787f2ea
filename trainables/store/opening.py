"""Opening a store by its location: a folder, or an address of an object storage."""

from collections.abc import Callable
from pathlib import Path

from trainables.frozen import ConfigError
from trainables.store.local import LocalStore
from trainables.store.store import ALLOWED, Store, canonical, is_address


def open_store(location: str, tell: Callable[[str], None] = lambda _: None) -> Store:
    """The store at a location; nothing is read yet.

    Args:
        location: a folder (a path, file://...), or an address of fsspec, such as s3://bucket/prefix or gs://bucket.
        tell: takes messages for the user: about damaged values, and a storage that does not answer.

    Raises:
        ConfigError: the location names no store, or a library for it is not installed.
    """
    if is_address(location) and "://" not in location:
        raise ConfigError(f"store: {location!r} given; {ALLOWED}")
    location = canonical(location)
    if "://" not in location:
        return LocalStore(Path(location), tell)
    from trainables.store.objects import ObjectStore  # fsspec is loaded only where it is needed

    return ObjectStore(location, tell)
