"""Running the trials of a study in this process, one at a time, without Ray."""

from functools import partial

from study.definition.study import StudyDefinition
from study.folder.folder import Folder
from study.planning.plan import PlannedTrial
from study.running.progress import Progress
from study.running.retries import Retries
from study.running.trial_source import TrialSource
from study.running.worker import builder, location_of, say_error, say_worker, take_events
from trainables import cycle
from trainables.frozen import ConfigError
from trainables.lineages import Step
from trainables.metrics import Score, summarise
from trainables.runtime import TrainingError
from trainables.store.leases import LeaseLostError


class _Stops(Exception):  # noqa: N818 - no error, but the way out of a cycle
    """The trial ends with the task that it has reached."""


def run_inline(source: TrialSource, *, definition: StudyDefinition, folder: Folder, progress: Progress) -> None:
    """Run the trials of a source one after the other, until there are no more of them.

    Raises:
        ConfigError: the study computes on GPUs, and this process has none.
    """
    import torch  # not for commands that train nothing

    runtime = definition.resources.runtime(gpus=torch.cuda.device_count())
    if runtime.kind == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "resources: gpus, or device: cuda, given, and this process has no GPU; run where there is one, or set "
            "device: cpu in `resources`"
        )
    store, gpus = location_of(folder.store()), float(runtime.kind == "cuda")
    tries = Retries(definition.retries)
    while isinstance(planned := source.next(), PlannedTrial):
        name = planned.trial.id
        progress.started(name)
        while True:
            try:
                build = builder(planned.trial.config.workload, store, runtime, gpus)
                say_worker(name, runtime, gpus=gpus)
                _log_events(folder)
                report = partial(_report, source, progress, folder, name)
                cycle.run(planned.trial.config, build, report, planned.evaluate_at, planned.subset)
            except _Stops:
                break
            except Exception as error:
                say_error(name, error)
                _log_events(folder)
                if isinstance(error, LeaseLostError):
                    tries.died(name)  # this process was away for too long; the trial is fine
                else:
                    tries.failed(name, hopeless=isinstance(error, TrainingError))
                progress.error(name, _short(error), final=tries.is_over(name))
                if tries.is_over(name):
                    break
            else:
                break
        source.ended(name, failed=name in progress.failed)
        if name not in progress.failed and name not in progress.stopped:
            progress.done(name)


def _report(
    source: TrialSource,
    progress: Progress,
    folder: Folder,
    trial: str,
    step: Step,
    scores: tuple[Score, ...],
) -> None:
    _log_events(folder)
    progress.task(trial, step.task)
    if source.reached(trial, step.task, summarise(scores)):
        raise _Stops


def _log_events(folder: Folder) -> None:
    for event in take_events():
        folder.log(**event)


def _short(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
