"""Ray Tune's events, told to the run's progress. A callback that raises would end the study, so these only count."""

from typing import Any

from ray.tune import Callback

from study.progress import Progress


class RayProgress(Callback):  # type: ignore[misc]
    """Translates Ray's trials into ours."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial runs."""
        self._progress.started(_name(trial))

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Any],
        trial: Any,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        """A trial reported a task, or that it gave up."""
        if "gave_up" in result:
            self._progress.error(_name(trial), result["gave_up"], final=True)
        else:
            self._progress.task(_name(trial), result["task"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial ended, well unless it gave up before."""
        if _name(trial) not in self._progress.failed:
            self._progress.done(_name(trial))

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial failed and is tried again."""
        self._progress.error(_name(trial), _reason(trial), final=False)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial failed for good."""
        self._progress.error(_name(trial), _reason(trial), final=True)


def _name(trial: Any) -> str:
    return str(trial.config["id"])


def _reason(trial: Any) -> str:
    """What went wrong in the trial, without Ray's own frames."""
    try:
        error = trial.get_pickled_error() or trial.get_error()
    except Exception as unreadable:
        error = unreadable
    cause = getattr(error, "cause", None) or error
    lines = [line for line in str(cause).strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(cause).__name__
