"""The catalogue of workloads: a row for each, from which the settings that users may write follow.

A new workload is a folder and a row. A row imports what reads data, draws or trains when it is called: to name a
workload takes none of that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

from pydantic import Discriminator, GetCoreSchemaHandler, Tag
from pydantic_core import CoreSchema

from trainables.runtime import Runtime, cache_folder
from trainables.workloads.clip.settings import Clip
from trainables.workloads.identity import Identity
from trainables.workloads.noop.settings import Noop
from trainables.workloads.pocket.settings import Pocket
from trainables.workloads.prepared import Prepared
from trainables.workloads.settings import WorkloadSettings

if TYPE_CHECKING:
    from trainables.workloads.workload import Workload

_Settings = TypeVar("_Settings", bound=WorkloadSettings)

Tell = Callable[[str], None]
"""Takes a line of progress."""


def _is_ready(settings: WorkloadSettings, runtime: Runtime, tell: Tell) -> Prepared:  # noqa: ARG001
    return Prepared(summary=f"the workload {settings.name} needs nothing but itself")


def _has_no_files(settings: WorkloadSettings, cache: Path) -> None:
    """A workload without files of the user's lacks none."""


@dataclass(frozen=True, kw_only=True)
class Row(Generic[_Settings]):
    """One workload.

    Attributes:
        settings: class of what a user writes; its field `name` allows the name of the row alone.
        identify: the workload's digests and concepts, by its settings and the cache folder, without loading data or
            weights. What a model and a manifest make is found once and kept in the cache.
        open: the workload itself, which has that identity; what it makes or decodes is kept under `Runtime.cache`.
        prepare: makes ready what trials need, such as weights to download; it takes lines of progress. No other
            function of a workload uses the network.
        require_data: raises ConfigError for data in the user's files that are gone or have changed.
    """

    settings: type[_Settings]
    identify: Callable[[_Settings, Path], Identity]
    open: Callable[[_Settings, Identity, Runtime], "Workload"]
    prepare: Callable[[_Settings, Runtime, Tell], Prepared] = _is_ready
    require_data: Callable[[_Settings, Path], None] = _has_no_files


def _identify_pocket(settings: Pocket, cache: Path) -> Identity:
    from trainables.workloads.pocket.identity import identify_pocket

    return identify_pocket(settings, cache)


def _open_pocket(settings: Pocket, identity: Identity, runtime: Runtime) -> "Workload":
    from trainables.workloads.pocket.workload import open_pocket

    return open_pocket(settings, identity, runtime)


def _prepare_pocket(settings: Pocket, runtime: Runtime, tell: Tell) -> Prepared:
    from trainables.workloads.pocket.prepare import prepare_pocket

    return prepare_pocket(settings, runtime, tell)


def _identify_clip(settings: Clip, cache: Path) -> Identity:
    from trainables.workloads.clip.identity import identify_clip

    return identify_clip(settings, cache)


def _open_clip(settings: Clip, identity: Identity, runtime: Runtime) -> "Workload":
    from trainables.workloads.clip.opening import open_clip_workload

    return open_clip_workload(settings, identity, runtime)


def _prepare_clip(settings: Clip, runtime: Runtime, tell: Tell) -> Prepared:
    from trainables.workloads.clip.prepare import prepare_clip

    return prepare_clip(settings, runtime, tell)


def _require_images(settings: Clip, cache: Path) -> None:
    from trainables.workloads.clip.prepare import require_images

    require_images(settings, cache)


def _identify_noop(settings: Noop, cache: Path) -> Identity:
    from trainables.workloads.noop.identity import identify_noop

    return identify_noop(settings, cache)


def _open_noop(settings: Noop, identity: Identity, runtime: Runtime) -> "Workload":  # noqa: ARG001
    from trainables.workloads.noop.workload import NoopWorkload

    return NoopWorkload(settings, identity)


WORKLOADS: dict[str, Row[Any]] = {
    "pocket": Row(settings=Pocket, identify=_identify_pocket, open=_open_pocket, prepare=_prepare_pocket),
    "clip": Row(
        settings=Clip,
        identify=_identify_clip,
        open=_open_clip,
        prepare=_prepare_clip,
        require_data=_require_images,
    ),
    "noop": Row(settings=Noop, identify=_identify_noop, open=_open_noop),
}
"""All workloads by name."""


def identify(settings: WorkloadSettings) -> Identity:
    """The workload's digests and concepts; found once in a process.

    Raises:
        ConfigError: the model or the data cannot be used.
    """
    return _identified(settings, cache_folder())


@lru_cache(maxsize=16)
def _identified(settings: WorkloadSettings, cache: Path) -> Identity:
    return WORKLOADS[settings.name].identify(settings, cache)


@lru_cache(maxsize=4)
def open_workload(settings: WorkloadSettings, runtime: Runtime) -> "Workload":
    """The workload itself; opened once in a process.

    Raises:
        ConfigError: the model or the data cannot be used.
    """
    return WORKLOADS[settings.name].open(settings, _identified(settings, runtime.cache), runtime)


def prepare(settings: WorkloadSettings, runtime: Runtime, tell: Tell) -> Prepared:
    """Make ready what the trials of a workload need; what is ready already is kept.

    Args:
        settings: of the workload.
        runtime: says where the cache is and how large it may grow.
        tell: takes a line of progress.

    Raises:
        ConfigError: the model or the data cannot be used, or there is no network.
    """
    return WORKLOADS[settings.name].prepare(settings, runtime, tell)


def require_data(settings: WorkloadSettings, cache: Path) -> None:
    """Raises: ConfigError: data that the workload reads from files of the user's are gone or have changed; which."""
    WORKLOADS[settings.name].require_data(settings, cache)


# -- the type of a field -----------------------------------------------------------------------------------------------


def _name_of(value: object) -> str:
    """The name of the workload that a value is for; without a name, a model or data mean clip, else pocket."""
    if isinstance(value, Mapping):
        return str(value.get("name", "clip" if {"model", "data"} & value.keys() else "pocket"))
    return str(getattr(value, "name", value))


class _Catalogued:
    """Makes a field take the settings of any workload in the catalogue, told apart by name."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        rows: list[Any] = [Annotated[row.settings, Tag(name)] for name, row in WORKLOADS.items()]
        return handler.generate_schema(Annotated[reduce(or_, rows), Discriminator(_name_of)])


AnyWorkload = Annotated[WorkloadSettings, _Catalogued()]
"""The type of a field that holds the settings of a workload."""
