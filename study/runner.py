"""Running a study: what the store lacks, as one disposable Ray Tune session, or in this process without Ray.

Nothing is ever read back from Ray: no checkpoint, no result file, no experiment state (they can lose rows and finished
work, ray#41668). Running again is resuming.
"""

import contextlib
import logging
import os
import secrets
import shutil
import signal
import traceback
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Literal

import psutil

from study.definition import Resources, StudyDefinition
from study.folder import Folder
from study.plan import Known, PlannedTrial
from study.progress import Progress
from trainables.runtime import Runtime, TrainingError
from trainables.silence import silenced

if TYPE_CHECKING:
    from trainables import cycle
    from trainables.metrics import Score

Executor = Literal["ray", "inline"]


class RunError(RuntimeError):
    """The run could not start; the message says why and what to do."""


def run_trials(
    missing: tuple[PlannedTrial, ...],
    known: Known,
    *,
    definition: StudyDefinition,
    folder: Folder,
    progress: Progress,
    executor: Executor = "ray",
    address: str | None = None,
) -> None:
    """Run trials until each is done, has failed for good, or the run is interrupted."""
    if executor == "inline":
        with contextlib.suppress(KeyboardInterrupt):
            _run_inline(missing, definition=definition, folder=folder, progress=progress)
    else:
        with _ray_session(address):
            _run_on_ray(missing, known, definition=definition, folder=folder, progress=progress)


# -- in this process ---------------------------------------------------------------------------------------------------


def _run_inline(
    missing: tuple[PlannedTrial, ...], *, definition: StudyDefinition, folder: Folder, progress: Progress
) -> None:
    import torch

    from study.trainable import builder
    from trainables import cycle

    runtime = runtime_of(definition.resources, gpus=torch.cuda.device_count())
    for planned in missing:
        name = planned.trial.id
        progress.started(name)
        for attempt in range(definition.retries + 1):
            try:
                build = builder(planned.trial.config.workload, folder.path, runtime)
                report = partial(_report, progress, name)
                cycle.run(planned.trial.config, build, report, planned.evaluate_at, planned.subset)
            except Exception as error:
                folder.log("trial_error", trial=name, error=str(error), traceback=traceback.format_exc())
                final = attempt == definition.retries or isinstance(error, TrainingError)
                progress.error(name, _short(error), final=final)
                if final:
                    break
            else:
                progress.done(name)
                break


def _report(progress: Progress, trial: str, step: "cycle.Step", _: "tuple[Score, ...]") -> None:
    progress.task(trial, step.task)


# -- on Ray Tune -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _ray_session(address: str | None) -> Iterator[None]:
    """A connection to a Ray cluster; a local one is made, and ends with this process."""
    settings = {
        "RAY_CHDIR_TO_TRIAL_DIR": "0",  # paths mean what they mean here
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the store is the record
        "TUNE_GLOBAL_CHECKPOINT_S": "1000000",  # experiment state is never used
        "RAY_USAGE_STATS_ENABLED": "0",  # no network
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_AIR_NEW_OUTPUT": "0",  # the progress line is ours
    }
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    if address is None:
        # A token for this run alone; Ray would otherwise write one into the home folder.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    import ray

    try:
        if address is None:
            ray.init(num_cpus=usable_cpus(), include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        where = f"no Ray cluster answers at {address}" if address else "Ray could not start here"
        raise RunError(f"{where}: {_short(error)}") from error
    children = psutil.Process().children(recursive=True) if address is None else []
    try:
        yield
    finally:
        ray.shutdown()
        _, alive = psutil.wait_procs(children, timeout=2)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def usable_cpus() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run_on_ray(
    missing: tuple[PlannedTrial, ...],
    known: Known,
    *,
    definition: StudyDefinition,
    folder: Folder,
    progress: Progress,
) -> None:
    import ray
    from ray import tune
    from ray.tune.search import ConcurrencyLimiter

    from study.ray_callback import RayProgress
    from study.searcher import PlanSearcher
    from study.trainable import run_trial

    cluster = ray.cluster_resources()
    runtime = runtime_of(definition.resources, gpus=cluster.get("GPU", 0))
    cpus, gpus = definition.resources.cpus, definition.resources.gpus
    gpus = (1.0 if runtime.kind == "cuda" else 0.0) if gpus is None else gpus
    slots = _slots(cluster, cpus, gpus)
    shutil.rmtree(folder.ray, ignore_errors=True)  # of runs that were killed
    to_train = frozenset().union(*(planned.to_train(known) for planned in missing))
    session = folder.ray / f"session-{os.getpid()}"
    tuner = tune.Tuner(
        tune.with_resources(
            partial(run_trial, study=str(folder.path.absolute()), runtime=runtime), {"cpu": cpus, "gpu": gpus}
        ),
        tune_config=tune.TuneConfig(
            search_alg=ConcurrencyLimiter(PlanSearcher(missing, known.updates - to_train), max_concurrent=slots),
            num_samples=-1,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=tune.RunConfig(
            name="trials",
            storage_path=str(session.absolute()),
            verbose=0,
            callbacks=[RayProgress(progress)],
            failure_config=tune.FailureConfig(max_failures=definition.retries),
        ),
    )
    # Ray warns of result files that are switched off, once a trial. Again gentle_end: ray.init has its own handler.
    with silenced("ray.tune"), gentle_end():
        try:
            tuner.fit()
        finally:
            shutil.rmtree(session, ignore_errors=True)
            with contextlib.suppress(OSError):
                folder.ray.rmdir()


def runtime_of(resources: Resources, *, gpus: float) -> Runtime:
    """Device and threads of a trial: the same for every executor, so that a study is computed alike throughout.

    Args:
        resources: what the study gives a trial.
        gpus: how many GPUs there are.
    """
    uses_gpu = gpus > 0 if resources.gpus is None else resources.gpus > 0
    return Runtime(
        device="cuda" if uses_gpu else "cpu", threads=max(1, int(resources.cpus)), cache_gb=resources.cache_gb
    )


def _slots(cluster: dict[str, float], cpus: float, gpus: float) -> int:
    """How many trials fit at once.

    Raises:
        RunError: none does, and none ever would.
    """
    fits = [cluster.get("CPU", 0) // cpus]
    if gpus:
        fits.append(cluster.get("GPU", 0) // gpus)
    if min(fits) < 1:
        raise RunError(
            f"resources: a trial asks for {cpus:g} CPUs and {gpus:g} GPUs; there are "
            f"{cluster.get('CPU', 0):g} and {cluster.get('GPU', 0):g}; lower `resources` in the study"
        )
    return int(min(fits))


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
