"""Search and early stopping against a grid: `python -m tests.benchmarks.search STUDY...`, folders of finished grids.

Nothing is trained. A finished grid study is a lookup table: its grid becomes the space, every sampler asks for configs
of it on one block, and what a trial scores is looked up, task by task. What is reached are two areas of configs that
ran to their ends, by their means over all blocks of the study, as shares of those of all configs: below their staircase
(the hypervolume) and below their routing hull (with the zero-shot point, which is free). What it costs are tasks
trained, as a share of those of the whole grid on that block.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from analysis import pareto
from analysis.plane.areas import box_of, hull_area
from analysis.plane.points import Means
from study.definition.files import read
from study.definition.search import EarlyStopping, Search, Stop
from study.definition.study import StudyDefinition
from study.planning.plan import PlannedTrial
from study.search.sampler import SAMPLERS
from tests.study.search.driver import Driver

FloatArray = npt.NDArray[np.float64]

AT = (0.15, 0.3, 0.5)
"""Shares of the grid's tasks at which areas are read."""

ENOUGH = 0.95


class Lookup:
    """A finished grid study: what its trials scored after each task, and how much of the area some configs have."""

    def __init__(self, folder: Path) -> None:
        self.definition = read(folder / "study.yaml")
        trials = pd.read_parquet(folder / "tables" / "trials.parquet")
        tasks = pd.read_parquet(folder / "tables" / "tasks.parquet").merge(trials, on="trial", suffixes=("", "_axis"))
        columns = (tasks[name].tolist() for name in ("trial", "task", "aka", "azs"))
        self._scores = {(trial, task): (aka, azs) for trial, task, aka, azs in zip(*columns, strict=True)}
        ends = tasks[tasks["task"] == tasks.groupby("trial")["task"].transform("max")]
        own = ends[ends["kind"] == "trial"]
        self._means = own.groupby("config_id")[["aka", "azs"]].mean()
        joint = ends[ends["method"] == "joint"][["aka", "azs"]].mean()
        zero = tasks[tasks["task"] == 0][["aka", "azs"]].mean()
        self._anchors = zero.to_numpy(), joint.to_numpy()
        self.tasks = int(own.drop_duplicates("config_id")["task"].sum())
        self.configs = len(self._means)
        self._whole = self._areas(list(self._means.index))

    def scores(self, planned: PlannedTrial, task: int) -> tuple[float, float] | None:
        """AKA and AZS of a trial after a task."""
        return self._scores.get((planned.trial.id, task))

    def shares(self, configs: Sequence[str]) -> FloatArray:
        """Both areas of some configs over those of all."""
        return self._areas(configs) / self._whole

    def _areas(self, configs: Sequence[str]) -> FloatArray:
        points = self._means.loc[list(configs)].to_numpy()
        zero, joint = self._anchors
        means = Means(x=points[:, 0], y=points[:, 1], zero_shot=zero, joint=joint)
        box = box_of(means)
        staircase = pareto.staircase_area(means.x, means.y, reference=box.reference) / box.area
        return np.array([staircase, hull_area(means, box=box)])


class Run(NamedTuple):
    """The way of one run: tasks trained so far as a share of the grid's, and the shares of both areas (N, 2)."""

    cost: FloatArray
    areas: FloatArray

    def at(self, cost: float, which: int) -> float:
        """An area at a cost."""
        return float(self.areas[self.cost <= cost, which].max(initial=0.0))

    def until(self, area: float, which: int) -> float:
        """The cost at which an area is reached; 1 where it is not, since the grid reaches it."""
        return float(self.cost[self.areas[:, which] >= area].min(initial=1.0))


def replay(lookup: Lookup, change: Callable[[StudyDefinition, int], StudyDefinition], seed: int) -> Run:
    """One run of a search, or of the grid, over a lookup table."""
    definition = change(lookup.definition, seed)
    costs, areas, done = [0.0], [lookup.shares([])], list[str]()
    with tempfile.TemporaryDirectory() as folder:

        def note(planned: PlannedTrial) -> None:
            if planned.trial.kind == "trial" and planned.trial.id not in driver.stopped:
                done.append(planned.trial.config.config_id)
                costs.append(driver.tasks / lookup.tasks)
                areas.append(lookup.shares(done))

        driver = Driver(definition, Path(folder), lookup.scores, on_end=note)
        driver.run(most_tasks=int(1.01 * max(AT) * lookup.tasks))
    return Run(np.array(costs), np.array(areas))


def on_one_block(definition: StudyDefinition, seed: int, stopping: EarlyStopping | None) -> StudyDefinition:
    """The grid as it is, on one of its blocks."""
    block = definition.blocks[seed % len(definition.blocks)]
    return definition.model_copy(update={"blocks": [block], "early_stopping": stopping, "joint": None})


def searched(definition: StudyDefinition, seed: int, stopping: EarlyStopping | None, sampler: str) -> StudyDefinition:
    """A search through the grid."""
    spaces = [{**grid, "method": _trained(grid.get("method", "full"))} for grid in definition.grid or ()]
    search = Search(spaces=[space for space in spaces if space["method"]], seed=seed, stop=Stop())
    search = search.model_copy(update={"sampler": sampler})
    return on_one_block(definition, seed, stopping).model_copy(update={"grid": None, "search": search})


def _trained(methods: object) -> list[object]:
    listed = methods if isinstance(methods, list) else [methods]
    return [name for name in listed if name not in ("joint", "zeroshot")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", type=Path, nargs="+")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--samplers", nargs="+", default=list(SAMPLERS))
    parser.add_argument("--keep", type=float, default=0.5)
    options = parser.parse_args()
    for folder in options.studies:
        lookup = Lookup(folder)
        tasks = lookup.tasks // lookup.configs
        stopping = EarlyStopping(at=sorted({max(1, tasks // 3), max(1, 2 * tasks // 3)}), keep=options.keep)
        print(f"\n{folder.name}: {lookup.configs} configs x {tasks} tasks on one block; stopping at {stopping.at}")
        heads = [f"{name} at {at:.0%}" for name in ("volume", "hull") for at in AT]
        heads += [f"cost of {ENOUGH:.0%}"]
        print(f"{'':24}{''.join(f'{head:>15}' for head in heads)}{'CPU s a run':>13}")
        for name in ("grid", *options.samplers):
            for stops in (None, stopping):
                seeds = len(lookup.definition.blocks) if name == "grid" else options.seeds
                change = (
                    partial(on_one_block, stopping=stops)
                    if name == "grid"
                    else partial(searched, stopping=stops, sampler=name)
                )
                began = time.process_time()
                runs = [replay(lookup, change, seed) for seed in range(seeds)]
                seconds = (time.process_time() - began) / seeds
                found = [[run.at(at, which) for run in runs] for which in (0, 1) for at in AT]
                found += [[run.until(ENOUGH, 0) for run in runs]]
                label = f"{name}{' + stopping' if stops else ''} ({seeds})"
                print(f"{label:24}{''.join(f'{_interval(values):>15}' for values in found)}{seconds:13.1f}", flush=True)


def _interval(values: Sequence[float]) -> str:
    """The mean in percent with its 95 % interval."""
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{100 * np.mean(values):.0f} +- {100 * half:.0f} %"


if __name__ == "__main__":
    main()
