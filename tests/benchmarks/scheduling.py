"""What the driver adds to Ray Tune, per trial: CPU seconds of this process, ours against raw Ray Tune, in one run.

Raw is a function that reports the same numbers of as many tasks and computes nothing, with the same resources, actors
reused, loggers off. Ours is a study of the noop workload whose results are in the store already, so that its workers
compute nothing, too: what is measured is suggesting, dependencies, progress, the log. Exit status 0 up to 1.5 x.

    python -m tests.benchmarks.scheduling [--trials 160] [--tasks 20] [--rounds 2]
"""

import argparse
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from study.definition.files import dump
from study.definition.study import StudyDefinition
from study.folder.folder import Folder
from study.planning.plan import Known, make_plan
from study.running.cluster.connection import connected
from study.running.progress import Progress
from study.running.run import run_trials
from study.running.worker import location_of
from study.search.start import source_of
from tests.benchmarks.scale import study
from trainables.machine.quiet_logs import silenced

MOST = 1.5
"""Times the driver's CPU seconds of raw Ray Tune."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=160, help="rounded to whole products of the grid")
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        definition = study(trials=options.trials, tasks=options.tasks, blocks=1, datasets=2)
        folder = Folder(path=Path(temporary))
        folder.definition_file.write_text(dump(definition))
        trials = len(make_plan(definition, "benchmark").trials)
        run_trials(
            _source(definition, folder),
            definition=definition,
            folder=folder,
            progress=_progress(folder),
            executor="inline",
        )
        taken: dict[str, list[tuple[float, float]]] = {"raw": [], "ours": []}
        with connected(None, threads=1):
            for _ in range(options.rounds):
                taken["raw"].append(_measured(partial(_raw, trials, options.tasks, folder)))
                taken["ours"].append(_measured(partial(_ours, definition, folder)))
    cpu = {name: statistics.median(cpu for cpu, _ in rows) / trials for name, rows in taken.items()}
    wall = {name: statistics.median(wall for _, wall in rows) / trials for name, rows in taken.items()}
    print(f"{trials} trials of {options.tasks} tasks, {options.rounds} rounds; milliseconds a trial of the driver:")
    for name in taken:
        print(f"{name:5} CPU {1e3 * cpu[name]:6.1f}   wall {1e3 * wall[name]:6.1f}")
    times = cpu["ours"] / cpu["raw"]
    print(f"ours is {times:.2f} x raw; at most {MOST} x")
    sys.exit(0 if times <= MOST else 1)


def _measured(run: Callable[[], None]) -> tuple[float, float]:
    """CPU seconds of this process and wall seconds."""
    cpu, wall = time.process_time(), time.monotonic()
    run()
    return time.process_time() - cpu, time.monotonic() - wall


def _idle(config: dict[str, Any]) -> None:
    from ray import tune

    for task in range(config["tasks"] + 1):
        tune.report({"task": task, "aka": 0.5, "azs": 0.5, "gm": 0.5})


def _raw(trials: int, tasks: int, folder: Folder) -> None:
    from ray import tune

    tuner = tune.Tuner(
        tune.with_resources(_idle, {"cpu": 1}),
        param_space={"id": tune.grid_search(list(range(trials))), "tasks": tasks},
        tune_config=tune.TuneConfig(reuse_actors=True),
        run_config=tune.RunConfig(name="raw", storage_path=str(folder.path / f"raw{time.monotonic_ns()}"), verbose=0),
    )
    with silenced("ray.tune"):
        tuner.fit()


def _ours(definition: StudyDefinition, folder: Folder) -> None:
    from study.running.cluster.visibility import WorkerNeeds
    from study.running.on_ray import run_on_ray

    run_on_ray(
        _source(definition, folder),
        definition=definition,
        folder=folder,
        progress=_progress(folder),
        needs=WorkerNeeds(store=location_of(folder.store())),
        address=None,
    )


def _source(definition: StudyDefinition, folder: Folder) -> Any:
    """All trials of the study, as if the store held nothing."""
    return source_of(
        definition,
        "benchmark",
        make_plan(definition, "benchmark"),
        known=Known(updates=set(), scores=set(), costs=set()),
        store=folder.store(),
        file=folder.decisions,
        failed={},
        on_stop=lambda *_: None,
        on_trial=lambda _: None,
    )


def _progress(folder: Folder) -> Progress:
    return Progress(folder, trials=None, tasks=None, trial_names={}, out=io.StringIO())


if __name__ == "__main__":
    main()
