"""The trackers by name: the library that each is written with, and what opens it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.frozen import ConfigError

if TYPE_CHECKING:
    from study.tracking.tracker import Sink


@dataclass(frozen=True, kw_only=True)
class TrackerRow:
    """A tracker: the module that it needs, and what opens its sink, given a folder for its files and a study's name.

    Its own settings in the environment may say that the files go elsewhere.
    """

    library: str
    open: Callable[[Path, str], "Sink"]


def require_libraries(trackers: Sequence[str], source: str) -> None:
    """Raises: ConfigError: the library of a tracker is not installed."""
    for name in trackers:
        library = TRACKERS[name].library
        if find_spec(library) is None:
            raise ConfigError(
                f"{source}: tracking: {name} needs the library {library}, which is not installed; install it "
                f'with: pip install "retune[{name}]", or remove {name} there'
            )


def _tensorboard(folder: Path, _: str) -> "Sink":
    from study.tracking.tensorboard import TensorBoard

    return TensorBoard(folder)


def _mlflow(folder: Path, study: str) -> "Sink":
    from study.tracking.mlflow import MLflow

    return MLflow(folder, study)


def _wandb(folder: Path, _: str) -> "Sink":
    from study.tracking.wandb import WeightsAndBiases

    return WeightsAndBiases(folder)


TRACKERS: dict[str, TrackerRow] = {
    "tensorboard": TrackerRow(library="tensorboardX", open=_tensorboard),
    "mlflow": TrackerRow(library="mlflow", open=_mlflow),
    "wandb": TrackerRow(library="wandb", open=_wandb),
}
