"""Running trials on Ray: one disposable Ray Tune session over the nodes of a cluster, this machine alone or many.

Nothing is ever read back from Ray: no checkpoint, no result file, no experiment state (they can lose rows and finished
work, ray#41668).
"""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

from ray import tune
from ray.air._internal import usage
from ray.tune.search import ConcurrencyLimiter

from study.definition.precision import slow_on_gpus
from study.definition.resources import Bundle
from study.definition.study import StudyDefinition
from study.folder.folder import Folder
from study.running.cluster.nodes import grows, nodes, slots, unfit
from study.running.cluster.visibility import WorkerNeeds, marked, missing_on
from study.running.progress import Progress
from study.running.ray_hooks import Capacity, RayProgress, SourceScheduler, SourceSearcher
from study.running.retries import Retries
from study.running.trial_source import TrialSource
from study.running.worker import location_of, run_trial
from trainables.frozen import ConfigError
from trainables.machine.processes import RunError, gentle_end
from trainables.machine.quiet_logs import silenced

_WAITING = 8
"""Trials that wait on a cluster that grows, beside as many as run: it may double."""

_PATIENCE_SECONDS = 5.0
"""How long to wait for an autoscaler's first word."""


@contextlib.contextmanager
def needs_of(
    definition: StudyDefinition, folder: Folder, progress: Progress, address: str | None
) -> Iterator[WorkerNeeds]:
    """Find what workers need of the study; every node of a cluster is first asked whether it sees all of that.

    Raises:
        RunError: some node does not.
    """
    store = folder.store()
    needs = WorkerNeeds(store=location_of(store), files=definition.workload.files())
    if address is None:
        yield needs
        return
    with marked(store, needs) as needs:
        lacks = missing_on(nodes(), needs, progress.say)
        if lacks:
            said = "\n  ".join(f"{', '.join(sorted(names))} {one}" for one, names in lacks.items())
            raise RunError(
                f"not every node can run this study:\n  {said}\nput the study's folder and its data on a file system "
                "that all nodes share, or the store on an object store (`store: s3://BUCKET/PREFIX`), and install the "
                "same libraries on all nodes"
            )
        yield needs


def run_on_ray(
    source: TrialSource,
    *,
    definition: StudyDefinition,
    folder: Folder,
    progress: Progress,
    needs: WorkerNeeds,
    address: str | None,
) -> None:
    """Run the trials of a source until there are no more, or the run is interrupted.

    Args:
        source: of the trials.
        definition: of the study.
        folder: of the study, which this process alone writes to.
        progress: hears of everything.
        needs: what workers need.
        address: of the cluster; None is this machine alone.

    Raises:
        ConfigError: trials ask for what no node has.
    """
    gpus = sum(node.total.get("GPU", 0.0) for node in nodes())
    if not gpus and definition.resources.gpus is None and grows():
        progress.say("warning: no node has a GPU now, so trials compute on CPUs; `resources: {gpus: 1}` waits for GPUs")
    if definition.resources.is_on_gpu(gpus=gpus) and (slow := slow_on_gpus(definition)) is not None:
        progress.say(f"warning: {slow}")
    bundles = {method: definition.resources.bundle(method, gpus=gpus) for method in sorted(source.methods)}
    _require_room(bundles, progress, patience=0 if address is None else _PATIENCE_SECONDS)

    def room() -> int:
        """How many trials are started at once; more where nodes can be added, which shows an autoscaler the need."""
        fit = slots(bundles.values(), nodes())
        return 2 * fit + _WAITING if grows() else fit

    shutil.rmtree(folder.ray, ignore_errors=True)  # of runs that were killed
    session = folder.ray / f"session-{os.getpid()}"
    tries = Retries(definition.retries)
    limiter = ConcurrencyLimiter(SourceSearcher(source, tries), max_concurrent=room())
    tuner = tune.Tuner(
        tune.with_resources(
            partial(run_trial, needs=needs, runtime=definition.resources.runtime(gpus=gpus)),
            lambda config: tune.PlacementGroupFactory([bundles[config["method"]]]),
        ),
        tune_config=tune.TuneConfig(
            search_alg=limiter,
            scheduler=SourceScheduler(source),
            num_samples=-1,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=tune.RunConfig(
            name="trials",
            storage_path=str(session.absolute()),
            verbose=0,
            callbacks=[RayProgress(progress, folder, tries), Capacity(limiter, room, progress.say)],
        ),
    )
    # Ray warns of result files that are switched off, once a trial, and prints what it knows of nodes that die.
    # Again gentle_end: ray.init has its own handler.
    with silenced("ray.tune"), _uncounted(), gentle_end(), Path(os.devnull).open("w") as out, redirect_stdout(out):
        try:
            tuner.fit()
        finally:
            shutil.rmtree(session, ignore_errors=True)
            with contextlib.suppress(OSError):
                folder.ray.rmdir()


def _require_room(bundles: Mapping[str, Bundle], progress: Progress, *, patience: float) -> None:
    """Make sure that every trial fits on some node, or that an autoscaler could still add such a node.

    Raises:
        ConfigError: one does not, and never would.
    """
    why = unfit(bundles, nodes())
    end = time.monotonic() + patience
    while why is not None and not grows():
        if time.monotonic() > end:
            raise ConfigError(f"resources: {why}; lower `resources` in the study, or add such a node")
        time.sleep(1)
        why = unfit(bundles, nodes())
    if why is not None:
        progress.say(f"warning: resources: {why}; waiting for the cluster's autoscaler to add one that has")


@contextlib.contextmanager
def _uncounted() -> Iterator[None]:
    """Switch off Ray's statistics of callbacks, for which Ray imports every tracker that is installed, for seconds."""
    before = usage.tag_callbacks
    usage.tag_callbacks = lambda _: None
    try:
        yield
    finally:
        usage.tag_callbacks = before
