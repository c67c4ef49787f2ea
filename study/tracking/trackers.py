"""The table of trackers: the names that a study may give, the library that each needs, and how it is opened."""

from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from study.tracking.tracker import Sink
from trainables.frozen import ConfigError


class TrackerRow(NamedTuple):
    """A row of the table: how a tracker is opened, and what it needs.

    Attributes:
        library: what it is written with; the extra of the same name as the tracker installs it.
        open: gives its sink, from a folder for its files and the name of a study; only then is the library loaded.
            Its own settings in the environment may say another place than the folder.
    """

    library: str
    open: Callable[[Path, str], Sink]


def _tensorboard(folder: Path, study: str) -> Sink:  # noqa: ARG001 - a folder has one study
    from study.tracking.tensorboard import TensorBoard

    return TensorBoard(folder)


def _mlflow(folder: Path, study: str) -> Sink:
    from study.tracking.mlflow import MLflow

    return MLflow(folder, study)


def _wandb(folder: Path, study: str) -> Sink:  # noqa: ARG001 - each run says of which study it is
    from study.tracking.wandb import WeightsAndBiases

    return WeightsAndBiases(folder)


TRACKERS: Mapping[str, TrackerRow] = {
    "tensorboard": TrackerRow(library="tensorboardX", open=_tensorboard),
    "mlflow": TrackerRow(library="mlflow", open=_mlflow),
    "wandb": TrackerRow(library="wandb", open=_wandb),
}


def require_libraries(trackers: Iterable[str], source: str) -> None:
    """Raises: ConfigError: the library of a tracker is not installed."""
    for name in trackers:
        library = TRACKERS[name].library
        if find_spec(library) is None:
            raise ConfigError(
                f"{source}: tracking: {name} needs the library {library}, which is not installed; install it with: "
                f'pip install "retune[{name}]", or remove {name} there'
            )
