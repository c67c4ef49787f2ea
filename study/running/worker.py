"""One trial in a worker process. Workers run many trials; what they keep between them is data, never state.

A worker writes to the store alone, which may be far from the study's folder: what is to be logged travels to the
driver with the reports, as events.
"""

import json
import os
import platform
import traceback
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.running.cluster.visibility import WorkerNeeds
from trainables import cycle
from trainables.config import TrialConfig
from trainables.frozen import parse
from trainables.lineages import Step
from trainables.machine.device import device_name
from trainables.metrics import Score, summarise
from trainables.runtime import Runtime, TrainingError, cache_folder
from trainables.store.leases import LeaseLostError
from trainables.store.opening import open_store
from trainables.store.store import Store
from trainables.workloads.settings import Subset, WorkloadSettings

if TYPE_CHECKING:
    from trainables.build import Builder

Event = dict[str, Any]
"""A line of the study's log: its name under "event", and its values."""

_events: list[Event] = []
"""What this process has to say and has not said yet."""


def run_trial(config: dict[str, Any], *, needs: WorkerNeeds, runtime: Runtime) -> None:
    """Run a trial into the study's store and report AKA, AZS and GM after every task.

    What goes wrong with the trial is reported, too. Then this process ends with the error, and the driver decides
    whether the trial is tried again, in a new one; unless it would fail again in the same way.
    """
    from ray import tune

    def report(step: Step, scores: tuple[Score, ...]) -> None:
        tune.report({"task": step.task, **summarise(scores)._asdict(), "events": take_events()})

    asked = json.loads(config["asked"])
    trial = parse(TrialConfig, asked["trial"], source="trial")
    gpus = tune.get_context().get_trial_resources().bundles[0].get("GPU", 0.0)
    say_worker(trial.trial_id, runtime, gpus=gpus)
    tune.report({"events": take_events()})
    if lacks := needs.missing_after():
        raise RuntimeError(f"node {platform.node()} {'; '.join(lacks)}")  # no failure of the trial, so none is reported
    try:
        subset = None if asked["subset"] is None else parse(Subset, asked["subset"], source="trial")
        cycle.run(trial, builder(trial.workload, needs.store, runtime, gpus), report, asked["evaluate_at"], subset)
    except LeaseLostError:
        raise  # this process was away for too long; the trial is fine
    except Exception as error:
        final = isinstance(error, TrainingError)
        say_error(trial.trial_id, error)
        tune.report({"failed": str(error) or type(error).__name__, "final": final, "events": take_events()})
        if not final:
            raise


@lru_cache(maxsize=1)
def builder(workload: WorkloadSettings, store: str, runtime: Runtime, gpus: float) -> "Builder":
    """The builder of this process; it maps the data and makes the model once, for all trials that follow."""
    from trainables.build import Builder  # imports torch, which the driver's process does without
    from trainables.workloads.catalogue import open_workload

    runtime = replace(runtime, cache=cache_folder())  # that of this machine
    runtime.apply()
    runtime = runtime.on_share(gpus)
    return Builder(open_workload(workload, runtime), open_store(store, _say_damage), runtime, _say_trained)


def location_of(store: Store) -> str:
    """Where a store is, for processes with another working folder."""
    return store.location if "://" in store.location else str(Path(store.location).absolute())


def take_events() -> list[Event]:
    """Take the events that this process has not told yet."""
    taken = list(_events)
    del _events[: len(taken)]
    return taken


def say_worker(trial: str, runtime: Runtime, *, gpus: float) -> None:
    """Say that this process works on a trial, with so many GPUs."""
    _say("worker", trial=trial, device=runtime.device, device_name=device_name(runtime.device), gpus=gpus)


def say_error(trial: str, error: Exception) -> None:
    """Say that a trial failed in this process, with the traceback of the exception that is handled."""
    _say("trial_error", trial=trial, error=str(error), traceback=traceback.format_exc())


def _say_trained(update: str) -> None:
    _say("trained", update=update)


def _say_damage(message: str) -> None:
    _say("damaged", message=message)


def _say(event: str, **values: object) -> None:
    _events.append({"event": event, "host": platform.node(), "pid": os.getpid(), **values})
