"""One trial in a Ray worker process. Workers run many trials; what they keep between them is data, never state."""

import os
import traceback
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.folder import Folder
from trainables import cycle
from trainables.config import Learnt, Subset, TrialConfig
from trainables.frozen import parse
from trainables.metrics import Score, summarise
from trainables.runtime import Runtime, TrainingError

if TYPE_CHECKING:
    from trainables.build import Builder


def run_trial(config: dict[str, Any], *, study: str, runtime: Runtime) -> None:
    """Run a trial into the study's store and report AKA, AZS and GM after every task."""
    from ray import tune

    def report(step: cycle.Step, scores: tuple[Score, ...]) -> None:
        tune.report({"task": step.task, **summarise(scores)._asdict()})

    trial = parse(TrialConfig, config["trial"], source="trial")
    folder = Folder(path=Path(study))
    try:
        subset = None if config["subset"] is None else parse(Subset, config["subset"], source="trial")
        cycle.run(trial, builder(trial.workload, folder.path, runtime), report, config["evaluate_at"], subset)
    except Exception as error:
        folder.log("trial_error", trial=trial.trial_id, error=str(error), traceback=traceback.format_exc())
        if not isinstance(error, TrainingError):
            raise
        tune.report({"gave_up": str(error)})  # it would fail again in the same way, so Ray is not to try again


@lru_cache(maxsize=1)
def builder(workload: Learnt, study: Path, runtime: Runtime) -> "Builder":
    """This process's builder: data is mapped and the model is made once, however many trials follow."""
    from trainables.build import Builder  # imports torch, which the driver's process does without
    from trainables.workloads import open_workload

    runtime.apply()
    folder = Folder(path=study)
    folder.log("worker", workload=workload.name, device=runtime.device, host=os.uname().nodename)
    return Builder(open_workload(workload, runtime), folder.store(), runtime)
