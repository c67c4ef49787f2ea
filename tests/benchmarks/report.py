"""Time and memory of the report of a large study: `python -m tests.benchmarks.report`.

Tables of a made-up study are written as Parquet (zstd, in chunks), and `retune analyse` writes its report. With --parts
it is written once more, by a process that prints the time of its parts. 10 000 trials of 20 tasks and 63 datasets have
13 million scores. On a busy machine, `chrt -f 1` gives the report both cores.
"""

import argparse
import inspect
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from search_spaces.space import AXES
from study.results.tables import SCORES, TASKS, TRIALS

BLOCKS = 5
ADAPT, HOLDOUT = 41, 22
RETRIEVAL = 3
CHUNK = 500
METHODS = ("full", "lora", "dora", "vera", "galore", "ewc", "si", "bitfit", "locked_image", "freeze_mlp")
RANKED = ("lora", "dora", "vera", "galore")
ZERO_SHOT, JOINT = np.array([0.385, 0.679]), np.array([0.560, 0.625])
LIMITS = {10_000: (60.0, 4096.0), 160: (3.0, 4096.0)}
"""Seconds, with imports, and MiB that a report of so many trials may take; on a busy machine, seconds of CPU."""

Row = dict[str, Any]
FloatArray = npt.NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[160, 10_000])
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--keep", type=Path, help="folder for the studies, which are made there once and stay")
    parser.add_argument("--parts", action="store_true", help="also print the time of the parts")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        _report(options.child)
        return
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        for trials in options.trials:
            study = (options.keep or Path(temporary)) / f"{trials}x{options.tasks}"
            if not study.is_dir():
                write_study(study, trials=trials, tasks=options.tasks)
            failed |= not _measure(study, trials)
            if options.parts:
                subprocess.run([sys.executable, "-m", "tests.benchmarks.report", "--child", str(study)], check=True)
    sys.exit(int(failed))


def write_study(folder: Path, *, trials: int, tasks: int, seed: int = 0) -> Path:
    """Tables of a grid of methods, learning rates, timelines and merge weights, each on `BLOCKS` blocks, and of J."""
    rng = np.random.default_rng(seed)
    (folder / "tables").mkdir(parents=True)
    rows = [*_grid(trials // BLOCKS), _config("joint", lr=1e-4)]
    planned = [(number, row, block) for number, row in enumerate(rows) for block in range(BLOCKS)]
    trial_rows = [
        {
            **dict.fromkeys(AXES),
            "steps": 100,
            "schedule": "cosine",
            **row,
            "trial": f"{number:012x}{block:04x}",
            "config_id": f"{number:012x}",
            "block": f"seed{block}-order{block}",
            "kind": "anchor" if row["method"] == "joint" else "trial",
            "seed": block,
            "order": block,
            "status": "done",
        }
        for number, row, block in planned
    ]
    pq.write_table(pa.Table.from_pylist(trial_rows, schema=TRIALS), folder / "tables" / "trials.parquet")
    offsets = rng.normal(0.0, 0.1, ADAPT + HOLDOUT)
    offsets[:ADAPT] -= offsets[:ADAPT].mean()
    offsets[ADAPT:] -= offsets[ADAPT:].mean()
    shift_S2 = rng.normal(0.0, 0.003, (BLOCKS, 2))
    paths = {name: folder / "tables" / f"{name}.parquet" for name in ("tasks", "scores")}
    with (
        pq.ParquetWriter(paths["tasks"], TASKS, compression="zstd") as tasks_file,
        pq.ParquetWriter(paths["scores"], SCORES, compression="zstd") as scores_file,
    ):
        for first in range(0, len(planned), CHUNK):
            part = planned[first : first + CHUNK]
            ends = np.array([_end(number, row, rng) + shift_S2[block] for number, row, block in part])
            names = np.array([trial_rows[first + i]["trial"] for i in range(len(part))])
            for table, file in zip(_chunk(names, ends, tasks, offsets, rng), (tasks_file, scores_file), strict=True):
                file.write_table(table)
    return folder


def _config(method: str, **axes: object) -> Row:
    rank = 16 if method in RANKED else None
    return {"method": method, "rank": rank, "timeline": None, "rule": None, "w": None, **axes}


def _grid(configs: int) -> Iterator[Row]:
    """Methods x learning rates x (no merging, and three timelines x merge weights), as many as wanted."""
    methods, rates, weights = (METHODS, 8, 8) if configs > 32 else (METHODS[:4], 2, 1)
    rows = [
        _config(method, lr=float(lr), timeline=timeline, w=w, rule=None if w is None else "lerp")
        for method in methods
        for lr in np.geomspace(1e-6, 1e-3, rates)
        for timeline, w in (
            ("finetune", None),
            *(
                (name, round(0.1 + 0.8 * (k + 0.5) / weights, 3))
                for name in ("ema", "zs", "ft")
                for k in range(weights)
            ),
        )
    ]
    if configs > len(rows):
        raise ValueError(f"the grid has {len(rows)} configs; {configs} are too many")
    yield from rows[:configs]


def _end(number: int, row: Row, rng: np.random.Generator) -> FloatArray:
    """Where a trial ends in the plane: every config has a place near the line, the joint model its own."""
    if row["method"] == "joint":
        return np.asarray(JOINT + rng.normal(0.0, 0.001, 2), dtype=float)
    own = np.random.default_rng(number)
    slide, lift = own.uniform(0.1, 0.95), own.normal(-0.004, 0.006)
    end = ZERO_SHOT + slide * (JOINT - ZERO_SHOT) + np.array([0.0, lift]) + rng.normal(0.0, 0.002, 2)
    return np.asarray(end, dtype=float)


def _chunk(
    names: npt.NDArray[np.str_], ends: FloatArray, tasks: int, offsets: FloatArray, rng: np.random.Generator
) -> tuple[pa.Table, pa.Table]:
    n, steps, datasets = len(names), tasks + 1, len(offsets)
    share = (np.arange(steps) / tasks) ** 0.7
    way = ZERO_SHOT + (ends[:, np.newaxis] - ZERO_SHOT) * share[:, np.newaxis]
    noise = rng.normal(0.0, 0.01, (n, steps, datasets)) * (share > 0)[:, np.newaxis]
    values = np.clip(way[:, :, [0] * ADAPT + [1] * HOLDOUT] + offsets + noise, 0.0, 1.0)
    aka, azs = values[:, :, :ADAPT].mean(axis=2).ravel(), values[:, :, ADAPT:].mean(axis=2).ravel()
    task = np.tile(np.arange(steps), n)
    by_task = {
        "trial": np.repeat(names, steps),
        "task": task,
        "aka": aka,
        "azs": azs,
        "gm": np.sqrt(aka * azs),
        "cost_flops": 2.1e15 * task,
        "cost_mafs": 3.2e15 * task,
        "wall_s": 40.0 * task + rng.uniform(0.0, 30.0, n).repeat(steps),
    }
    metric = ["accuracy"] * datasets
    for d in (0, ADAPT, ADAPT + 1)[:RETRIEVAL]:
        metric[d] = "recall@5"
    by_dataset = {
        "dataset": [f"dataset{d:02d}" for d in range(datasets)],
        "group": ["adapt"] * ADAPT + ["holdout"] * HOLDOUT,
        "metric": metric,
        "n": [1000 + 10 * d for d in range(datasets)],
    }
    places = n * steps
    scores = {
        "trial": _repeated(names, steps * datasets),
        "task": np.repeat(task, datasets),
        **{name: pa.array(column).take(np.tile(np.arange(datasets), places)) for name, column in by_dataset.items()},
        "value": values.ravel(),
    }
    return (
        pa.table(by_task, schema=TASKS),
        pa.table({name: scores[name] for name in SCORES.names}, schema=SCORES),
    )


def _repeated(names: npt.NDArray[np.str_], times: int) -> pa.Array:
    return pa.array(names.tolist()).take(np.repeat(np.arange(len(names)), times))


def _measure(study: Path, trials: int) -> bool:
    """Whether the report was written within its limits."""
    began = time.perf_counter()
    command = ["analyse", str(study), "--out", str(study / "report")]
    child = subprocess.Popen([sys.executable, "-m", "study", *command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    peak = usage.ru_maxrss / 1024
    size = sum(path.stat().st_size for path in (study / "report").rglob("*") if path.is_file()) / 2**20
    cpu_s = usage.ru_utime + usage.ru_stime
    took = f"{seconds:.2f} s ({cpu_s:.2f} s of CPU) with imports"
    print(f"{study.name}: {took}, peak {peak:.0f} MiB, report of {size:.1f} MiB")
    limit_s, limit_mib = LIMITS.get(trials, (math.inf, math.inf))
    good = child.returncode == 0 and min(seconds, cpu_s) <= limit_s and peak <= limit_mib
    if not good:
        print(f"  failed, or too slow or too large: {limit_s} s and {limit_mib} MiB are allowed")
    return good


def _report(study: Path) -> None:
    """Write a report, and print the CPU time of the functions that are called on the way, with what they call."""
    began = time.process_time()
    from analysis import evaluation, report  # imports are part of what is measured
    from analysis.tables import loading  # imports are part of what is measured

    parts = {"imports": time.process_time() - began}

    def timed(name: str, call: Callable[..., object]) -> Callable[..., object]:
        @wraps(call)
        def wrapper(*args: object, **kwargs: object) -> object:
            start = time.process_time()
            try:
                return call(*args, **kwargs)
            finally:
                parts[name] = parts.get(name, 0.0) + time.process_time() - start

        return wrapper

    for module in (report, evaluation):
        for name, value in list(vars(module).items()):
            if inspect.isfunction(value) and value.__module__.startswith("analysis."):
                setattr(module, name, timed(name, value))
    report.write_report(timed("load_tables", loading.load_tables)(study), study / "report")  # type: ignore[arg-type]
    for name, seconds in sorted(parts.items(), key=lambda item: -item[1]):
        if seconds > 0.02:
            print(f"  {seconds:7.2f} s of CPU  {name}")
    drawing = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"  {drawing.ru_utime + drawing.ru_stime:7.2f} s of CPU  figures, in a process of their own meanwhile")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
