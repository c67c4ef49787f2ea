"""Running a study: what the store lacks, by Ray (`study.running.on_ray`), or in this process without it.

Running again is resuming.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psutil

from study.definition.study import StudyDefinition
from study.folder.folder import Folder
from study.planning.plan import PlannedTrial
from study.running.progress import Progress
from study.running.retries import Tries
from study.running.trial_source import TrialSource
from trainables.frozen import ConfigError
from trainables.metrics import summarise
from trainables.runtime import TrainingError
from trainables.store.leases import LeaseLostError
from trainables.store.store import Store

if TYPE_CHECKING:
    from trainables import cycle
    from trainables.metrics import Score

Executor = Literal["ray", "inline"]


class RunError(RuntimeError):
    """The run could not start; the message says why and what to do."""


def run_trials(
    source: TrialSource,
    *,
    definition: StudyDefinition,
    folder: Folder,
    progress: Progress,
    executor: Executor = "ray",
    address: str | None = None,
) -> None:
    """Run trials until there are no more of them, or the run is interrupted."""
    if executor == "inline":
        with contextlib.suppress(KeyboardInterrupt):
            _run_inline(source, definition=definition, folder=folder, progress=progress)
    else:
        from study.running.cluster.connection import connected

        with connected(address, threads=definition.resources.runtime(gpus=0).threads):
            from study.running.on_ray import needs_of, run_on_ray  # Ray reads its settings when it is loaded

            with needs_of(definition, folder, progress, address) as needs:
                run_on_ray(
                    source, definition=definition, folder=folder, progress=progress, needs=needs, address=address
                )


# -- in this process ---------------------------------------------------------------------------------------------------


class _Stops(Exception):  # noqa: N818 - no error, but the way out of a cycle
    """A trial ends with the task that it has reached."""


def _run_inline(source: TrialSource, *, definition: StudyDefinition, folder: Folder, progress: Progress) -> None:
    import torch

    from study.running.worker import builder, say_error, say_worker
    from trainables import cycle

    runtime = definition.resources.runtime(gpus=torch.cuda.device_count())
    if runtime.kind == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "resources: gpus, or device: cuda, given, and this process has no GPU; run where there is one, or set "
            "device: cpu in `resources`"
        )
    store = location_of(folder.store())
    tries = Tries(definition.retries)
    while isinstance(planned := source.next(), PlannedTrial):
        name = planned.trial.id
        progress.started(name)
        while True:
            try:
                build = builder(planned.trial.config.workload, store, runtime)
                say_worker(name, runtime, gpus=float(runtime.kind == "cuda"))
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
    step: "cycle.Step",
    scores: "tuple[Score, ...]",
) -> None:
    _log_events(folder)
    progress.task(trial, step.task)
    if source.reached(trial, step.task, summarise(scores)):
        raise _Stops


def _log_events(folder: Folder) -> None:
    from study.running.worker import take_events

    for event in take_events():
        folder.log(**event)


# -- this machine ------------------------------------------------------------------------------------------------------


def usable_cpus() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def location_of(store: Store) -> str:
    """Where a store is, for processes with another working folder."""
    return store.location if "://" in store.location else str(Path(store.location).absolute())


@contextlib.contextmanager
def gentle_end() -> Iterator[None]:
    """SIGTERM (a scheduler's or a cloud's way to end a job) ends as gently as Ctrl-C."""
    before = signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _short(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__


def end_children() -> None:
    """Kill every child of this process, after an interruption that could not wait for them."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
