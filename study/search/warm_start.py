"""Warm start: finished trials of earlier studies that lie in the space that is searched.

Only their tables are read. A config counts if it is the one that its point in this space makes, so that nothing differs
but what is searched, and if it has run on all blocks that every config of this search runs on.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from search_spaces.search import Point, SearchSpace
from search_spaces.space import AXES
from study.definition.files import read
from study.definition.study import StudyDefinition
from study.planning.searched import config_at
from trainables.frozen import ConfigError
from trainables.metrics import Summary

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Warm:
    """A config of an earlier study.

    Attributes:
        point: where it is in this space.
        config: its id.
        ends: what it scored after the last task, on each of the first blocks of this study.
        starts: what the zero-shot model scored there.
        trials: all trials of it that the earlier study has finished, on other blocks too.
    """

    point: Point
    config: str
    ends: tuple[Summary, ...]
    starts: tuple[Summary, ...]
    trials: frozenset[str]


def warm_started(definition: StudyDefinition, space: SearchSpace, source: str) -> tuple[Warm, ...]:
    """Read the configs of earlier studies, each once, in the order of the folders and of their tables.

    Raises:
        ConfigError: a folder is none of a study, has no tables, or its study has another workload.
    """
    assert definition.search is not None
    found: dict[str, Warm] = {}
    for i, folder in enumerate(definition.search.warm_start):
        where = f"{source}: search.warm_start[{i}]"
        _require_alike(Path(folder), definition, where)
        for warm in _of_folder(Path(folder), definition, space, source=source, where=where):
            found.setdefault(warm.config, warm)
    return tuple(found.values())


def _require_alike(folder: Path, definition: StudyDefinition, where: str) -> None:
    if not (folder / "study.yaml").is_file():
        raise ConfigError(f"{where}: {folder} is no study's folder (it has no study.yaml)")
    earlier = read(folder / "study.yaml")
    for key in ("workload", "evaluation"):
        theirs, ours = getattr(earlier, key), getattr(definition, key)
        if theirs != ours:
            raise ConfigError(
                f"{where}: {folder} has another {key}, so its scores say nothing here: {_shown(theirs)} there, "
                f"{_shown(ours)} here; remove it"
            )


def _shown(value: Any) -> object:
    return None if value is None else value.canonical()


def _of_folder(
    folder: Path, definition: StudyDefinition, space: SearchSpace, *, source: str, where: str
) -> Iterator[Warm]:
    assert definition.search is not None
    blocks = [(block.seed, block.order) for block in definition.blocks[: definition.search.first_blocks]]
    try:
        trials: list[Row] = pq.read_table(folder / "tables" / "trials.parquet").to_pylist()
        tasks: list[Row] = pq.read_table(folder / "tables" / "tasks.parquet").to_pylist()
    except (OSError, pa.ArrowInvalid) as error:
        raise ConfigError(
            f"{where}: the tables of {folder} cannot be read ({error}); `retune report {folder}` writes them"
        ) from error
    summaries: dict[str, dict[int, Summary]] = defaultdict(dict)
    for row in tasks:
        summaries[row["trial"]][row["task"]] = Summary(row["aka"], row["azs"], row["gm"])
    configs: dict[str, dict[tuple[int, int], Row]] = defaultdict(dict)
    for row in trials:
        if row["kind"] == "trial" and row["status"] == "done":
            configs[row["config_id"]][row["seed"], row["order"]] = row
    for config, on_blocks in configs.items():
        if not all(block in on_blocks for block in blocks):
            continue
        values = {axis: on_blocks[blocks[0]].get(axis) for axis in AXES}
        for point in space.points_with(values):
            made = config_at(point.values, definition, space, source)
            if made is not None and made.config_id == config:
                paths = [summaries[on_blocks[block]["trial"]] for block in blocks]
                yield Warm(
                    point=point,
                    config=config,
                    ends=tuple(path[max(path)] for path in paths),
                    starts=tuple(path[0] for path in paths),
                    trials=frozenset(row["trial"] for row in on_blocks.values()),
                )
                break
