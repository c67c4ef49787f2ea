"""Axes and grids: flat names that users write, conditions between them, and the configs that follow.

An axis is a name for one place in a `TrialConfig`. It applies where the chosen variant has that place: `rank` where the
method has one, `w` where the timeline merges. A grid crosses its axes; values that do not apply fall away, and what is
then equal is one config.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel

from trainables.config import METHODS, TIMELINES, ConfigError, Pocket, TrialConfig, parse

Scalar = str | int | float | bool | None
Values = Scalar | list[Scalar]


class Axis(NamedTuple):
    """A name for one place in a trial's config."""

    path: tuple[str, ...]
    meaning: str


AXES: dict[str, Axis] = {
    "method": Axis(("recipe", "method", "name"), "what trains: " + ", ".join(METHODS)),
    "rank": Axis(("recipe", "method", "rank"), "rank of a low-rank adapter, from 1"),
    "alpha": Axis(("recipe", "method", "alpha"), "scale of a low-rank adapter times its rank"),
    "timeline": Axis(("timeline", "name"), "what starts and what is served: " + ", ".join(TIMELINES)),
    "rule": Axis(("timeline", "rule"), "merge rule of a timeline that merges"),
    "w": Axis(("timeline", "w"), "merge weight of the OLD weights, 0 to 1"),
    "lr": Axis(("recipe", "optimiser", "lr"), "peak learning rate"),
    "weight_decay": Axis(("recipe", "optimiser", "weight_decay"), "decoupled weight decay"),
    "clip_norm": Axis(("recipe", "optimiser", "clip_norm"), "largest norm of the gradient"),
    "schedule": Axis(("recipe", "schedule", "name"), "learning rate within a task: cosine, constant"),
    "warmup": Axis(("recipe", "schedule", "warmup"), "share of a task's steps that warm up"),
    "pool_share": Axis(("recipe", "mixture", "pool"), "share of pretraining samples in a batch"),
    "new_share": Axis(("recipe", "mixture", "new"), "share of the new task in a batch"),
    "buffer_share": Axis(("recipe", "mixture", "buffer"), "share of earlier tasks in a batch"),
    "batch_size": Axis(("recipe", "batch_size"), "samples per optimiser step"),
    "steps": Axis(("recipe", "steps"), "optimiser steps per task"),
    "precision": Axis(("recipe", "precision"), "matrix products in training: fp32, bf16"),
    "tasks": Axis(("stream", "tasks"), "updates in the stream"),
    "ordering": Axis(("stream", "ordering"), "order of the concepts: random"),
}

_VARIANTS: dict[tuple[str, ...], tuple[str, Mapping[str, type[BaseModel]]]] = {
    ("recipe", "method"): ("method", METHODS),
    ("timeline",): ("timeline", TIMELINES),
}
_DEFAULTS: dict[str, Scalar] = {"method": "full", "timeline": "finetune"}


def expand(
    grids: Sequence[Mapping[str, Values]], *, fixed: Mapping[str, Scalar], workload: Pocket, source: str
) -> tuple[TrialConfig, ...]:
    """All configs of a list of grids, in the order written, each once; block (0, 0).

    Args:
        grids: axis name -> value or list of values; each grid is the product of its axes.
        fixed: axis values that hold in every grid unless it says otherwise.
        workload: what all trials train.
        source: name of the file, for messages.

    Raises:
        ConfigError: an unknown axis, a value that is not allowed, an axis that applies nowhere, an empty grid.
    """
    _require_known(fixed, f"{source}: fixed")
    configs: dict[str, TrialConfig] = {}
    applied_anywhere: set[str] = set()
    for i, grid in enumerate(grids):
        where = f"{source}: grid[{i}]"
        _require_known(grid, where)
        applied: set[str] = set()
        for point in _product(grid, where):
            values = {**_DEFAULTS, **fixed, **point}
            config, used = build(values, workload=workload, source=where)
            applied |= used
            configs.setdefault(config.config_id, config)
        applied_anywhere |= applied
        for name in grid.keys() - applied:
            raise ConfigError(f"{where}.{name}: applies to no config of this grid ({AXES[name].meaning}); remove it")
    for name in fixed.keys() - applied_anywhere if configs else ():
        raise ConfigError(f"{source}: fixed.{name}: applies to no config of the grid ({AXES[name].meaning}); remove it")
    if not configs:
        raise ConfigError(f"{source}: grid: it is empty; give at least one value to at least one axis, such as lr")
    return tuple(configs.values())


def build(values: Mapping[str, Scalar], *, workload: Pocket, source: str) -> tuple[TrialConfig, set[str]]:
    """One config from flat axis values, and the names of the axes that applied.

    Raises:
        ConfigError: a value is not allowed, or one is missing.
    """
    _require_known(values, source)
    tree: dict[str, Any] = {"workload": workload, "recipe": {}, "stream": {}, "timeline": {}}
    used = set()
    for name, value in values.items():
        if _applies(name, values, source):
            _set(tree, AXES[name].path, value)
            used.add(name)
    try:
        return parse(TrialConfig, tree, source=source), used
    except ConfigError as error:
        raise ConfigError(_with_axis_names(str(error))) from error


def axis_values(config: TrialConfig) -> dict[str, Scalar]:
    """A config as flat axis values; an axis that does not apply is None."""
    tree = config.canonical()
    return {name: _get(tree, axis.path) for name, axis in AXES.items()}


def _require_known(axes: Mapping[str, object], where: str) -> None:
    for name in axes:
        if name not in AXES:
            raise ConfigError(f"{where}.{name}: unknown axis; allowed: {', '.join(AXES)}")


def _product(grid: Mapping[str, Values], where: str) -> Iterator[dict[str, Scalar]]:
    lists = {name: values if isinstance(values, list) else [values] for name, values in grid.items()}
    for name, values in lists.items():
        if not values:
            raise ConfigError(f"{where}.{name}: an empty list; give at least one value or remove the axis")
    if lists:
        yield from (dict(zip(lists, point, strict=True)) for point in itertools.product(*lists.values()))


def _applies(name: str, values: Mapping[str, Scalar], source: str) -> bool:
    *parent, last = AXES[name].path
    variant = _VARIANTS.get(tuple(parent))
    if variant is None or last == "name":
        return True
    axis, variants = variant
    chosen = values[axis]
    if chosen not in variants:
        raise ConfigError(f"{source}.{axis}: {chosen!r} is unknown; allowed: {', '.join(variants)}")
    return last in variants[str(chosen)].model_fields


def _set(tree: dict[str, Any], path: tuple[str, ...], value: Scalar) -> None:
    *parents, last = path
    for part in parents:
        tree = tree.setdefault(part, {})
    tree[last] = value


def _get(tree: Mapping[str, Any], path: tuple[str, ...]) -> Scalar:
    value: Any = tree
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    scalar: Scalar = value
    return scalar


def _with_axis_names(message: str) -> str:
    """Paths inside a config as the flat names that the user wrote, longest path first."""
    for name, axis in sorted(AXES.items(), key=lambda item: -len(item[1].path)):
        message = message.replace(f": {'.'.join(axis.path)}:", f".{name}:")
    return message.replace(": recipe.mixture:", ": pool_share, new_share, buffer_share:")
