"""Time and memory of a driver's work on a large study of the noop workload: `python -m tests.benchmarks.scale`.

Planning, checking what is done, tables and status of 10 000 trials of 20 tasks, each in a process of its own. The first
trials are really run; the scores and records of the others are written as these are, of weights drawn from their keys.

Seconds of CPU and peak MiB of 10 005 trials (139 755 updates, 192 256 evaluations), on two cores that other work kept
busy, which makes them up to half as much again. `status` includes its own planning.

    4 data sets     plan 10, 306     check 0.4, 300    tables 16, 587    status 13, 386    840 040 scores
    63 data sets    plan  9, 307     check 0.4, 301    tables 41, 788    status 14, 391    13 230 630 scores
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from study.definition.files import dump
from study.definition.study import StudyDefinition
from study.folder.folder import Folder
from study.planning.plan import Plan, make_plan, stored_keys
from study.results.tables import make_tables, write
from trainables.frozen import parse
from trainables.metrics import encode
from trainables.runtime import Runtime
from trainables.store.envelope import seal
from trainables.store.store import Kind
from trainables.workloads.noop.identity import WEIGHT
from trainables.workloads.noop.settings import Noop

CONFIGS_OF_AN_LR = 16 * 5
"""Of each learning rate: finetune, and five weights of three timelines, with five schedules."""

LIMITS = {"plan": 20.0, "check": 1.0, "tables": 30.0, "status": 30.0}
"""Seconds of CPU that each part may take."""

MOST_MIB = 2048.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000, help="rounded to whole products of the grid")
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--datasets", type=int, default=4)
    parser.add_argument("--real", type=int, default=100, help="trials that are really run")
    parser.add_argument("--dir", type=Path, help="where the study is made, such as /dev/shm")
    parser.add_argument("--keep", type=Path, help="folder of the study, which is made there once and stays")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        part, folder = options.child
        _print(*_PARTS[part](Folder(path=Path(folder))))
        return
    with tempfile.TemporaryDirectory(dir=options.dir) as temporary:
        home = Folder(path=options.keep or Path(temporary) / "study")
        if not home.definition_file.exists():
            definition = study(
                trials=options.trials, tasks=options.tasks, blocks=options.blocks, datasets=options.datasets
            )
            home.path.mkdir(parents=True)
            home.definition_file.write_text(dump(definition))
            _fill(home, definition, real=options.real)
        taken = {part: _measured(part, home) for part in LIMITS}
    sys.exit(int(any(seconds > LIMITS[part] or mib > MOST_MIB for part, (seconds, mib) in taken.items())))


def study(*, trials: int, tasks: int, blocks: int, datasets: int) -> StudyDefinition:
    """A grid of about so many trials, with the sharing that a study of merging has."""
    rates = max(1, round(trials / blocks / CONFIGS_OF_AN_LR))
    grid = {
        "timeline": ["finetune", "ema", "ft", "zs"],
        "w": [0.1, 0.3, 0.5, 0.7, 0.9],
        "schedule": ["cosine", "rsqrt", "constant", "autoregressive_cosine", "continued_rsqrt"],
        "lr": [1e-4 * 1.1**i for i in range(rates)],
    }
    value = {
        "name": "scale",
        "workload": {"name": "noop", "datasets": datasets},
        "fixed": {"tasks": tasks, "steps": 2, "batch_size": 32},
        "grid": [grid],
        "blocks": blocks,
    }
    return parse(StudyDefinition, value, source="scale")


# -- the store ---------------------------------------------------------------------------------------------------------


def _fill(home: Folder, definition: StudyDefinition, *, real: int) -> None:
    import torch  # a driver does without

    from trainables import cycle
    from trainables.build import Builder
    from trainables.workloads.catalogue import open_workload

    plan = make_plan(definition, "scale")
    assert isinstance(definition.workload, Noop)
    workload, runtime, store = open_workload(definition.workload, Runtime()), Runtime(), home.store()
    runtime.apply()
    builder = Builder(workload, store, runtime)
    builder.cost(plan.trials[0].trial.config.recipe)
    began = time.process_time()
    for planned in plan.trials[:real]:
        cycle.run(planned.trial.config, builder, lambda _, __: None)
    trained = len(builder.trained)
    each = 1e3 * (time.process_time() - began) / max(1, trained)
    print(f"{real} trials really run: {trained} updates, {each:.2f} ms of CPU each, with its evaluation")
    for planned in plan.trials[real:]:
        builder.cost(planned.trial.config.recipe)
    model = workload.architecture()
    there = stored_keys(store)
    for key in sorted(plan.unique_scores - there.scores):
        model.load_state_dict({WEIGHT: torch.tensor([[1 + int(key[:8], 16) / 2**32]])})
        _put(home, "scores", key, encode(workload.evaluate(model)))
    record = json.dumps({"losses": [0.25, 0.25], "wall_seconds": 0.001}).encode()
    for key in sorted(plan.unique_updates.keys() - there.updates):
        _put(home, "records", key, record)
    print(f"{len(plan.trials)} trials, {len(plan.unique_updates)} updates, {len(plan.unique_scores)} evaluations")


def _put(home: Folder, kind: Kind, key: str, value: bytes) -> None:
    """As the store does, without waiting for the disk."""
    path = home.path / "store" / kind / key[:2] / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(seal(value) + value)


# -- what is measured --------------------------------------------------------------------------------------------------


def _plan(home: Folder) -> tuple[float, str]:
    definition = home.definition()
    began = time.process_time()
    plan = make_plan(definition, "scale")
    unique = len(plan.unique_updates), len(plan.unique_scores)
    return time.process_time() - began, f"{len(plan.trials)} trials, {unique[0]} updates, {unique[1]} evaluations"


def _check(home: Folder) -> tuple[float, str]:
    plan, store = _planned(home), home.store()
    began = time.process_time()
    missing = plan.missing(stored_keys(store))
    return time.process_time() - began, f"{len(missing)} trials missing, by one listing a kind"


def _tables(home: Folder) -> tuple[float, str]:
    plan, store = _planned(home), home.store()
    began = time.process_time()
    tables = make_tables(plan, store, {})
    write(tables, home.tables)
    rows = sum(len(one.evaluation.values) for one in tables.scores)
    return time.process_time() - began, f"{len(tables.unfinished)} trials unfinished, {rows} scores written"


def _status(home: Folder) -> tuple[float, str]:
    from study.status.observer import status

    began = time.process_time()
    found = status(home)
    return time.process_time() - began, f"{found.done} of {found.trials} done; with its own planning"


_PARTS: dict[str, Callable[[Folder], tuple[float, str]]] = {
    "plan": _plan,
    "check": _check,
    "tables": _tables,
    "status": _status,
}


def _planned(home: Folder) -> Plan:
    return make_plan(home.definition(), "scale")


def _print(seconds: float, said: str) -> None:
    peak = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert peak is not None
    print(json.dumps({"seconds": seconds, "mib": int(peak[1]) / 1024, "said": said}))


def _measured(part: str, home: Folder) -> tuple[float, float]:
    command = [sys.executable, "-m", "tests.benchmarks.scale", "--child", part, str(home.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{part} failed:\n{done.stderr}")
    found = json.loads(done.stdout.splitlines()[-1])
    print(f"{part:7} {found['seconds']:6.1f} s of CPU, peak {found['mib']:5.0f} MiB: {found['said']}", flush=True)
    return found["seconds"], found["mib"]


if __name__ == "__main__":
    main()
