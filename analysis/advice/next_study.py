"""The study that runs recommended trials, as the mapping that its YAML file holds.

A definition says some axes and leaves the others to defaults that follow from them, so a config is written by the axes
that the definition names somewhere. Nothing is trained twice on one store: all blocks of a config that is repeated are
there but the new one, and of the joint anchor, too.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analysis.advice.recommend import Advice
from analysis.configs import AxisValue, Config
from analysis.roles import Roles
from analysis.surfaces.candidates import Axes

Definition = Mapping[str, Any]

PLACES = ("start", "serve")
JOINT_AXES = (
    *("lr", "weight_decay", "clip_norm", "schedule", "warmup", "cooldown"),
    *("pool_share", "batch_size", "steps", "tasks", "precision"),
)
"""Axes of the joint anchor; where the definition leaves one open, the anchor takes it from the grid's first config."""


def recommended_study(
    definition: Definition, items: Sequence[Advice], *, tested: Sequence[Config], roles: Roles
) -> dict[str, Any]:
    """The study of these trials alone, to be run in the folder of the study that they were recommended for.

    With a repeat among them all of them get one more block than the study had; what is stored is not trained again.

    Args:
        definition: that study's own, as loaded from its `study.yaml`.
        items: what to run; advice to stop is passed over.
        tested: that study's configs.
        roles: what its tables say of their columns.
    """
    chosen = [item for item in items if item.axes is not None]
    if not chosen:
        raise ValueError("no trials to run: give at least one item of kind new or repeat")
    grid = [_entry(definition, item.axes, roles) for item in chosen if item.axes is not None]
    found = {**definition, "grid": [*grid, *_joint_entries(definition)]}
    configs = [item.axes for item in chosen]
    kept = {name: value for name, value in _fixed(definition).items() if _applies(name, configs, roles)}
    found["fixed"] = kept
    found["joint"] = _joint(definition, tested)
    if any(item.kind == "repeat" for item in chosen):
        found["blocks"] = _one_more(definition.get("blocks", 1))
    return found


def extended_study(definition: Definition, items: Sequence[Advice], *, roles: Roles) -> dict[str, Any]:
    """The study itself with the new configs among the items added to its grid; repeats are passed over.

    Run in the study's folder it trains the new configs only, and its report compares them with all others.
    """
    new = [_entry(definition, item.axes, roles) for item in items if item.kind == "new" and item.axes is not None]
    return {**definition, "grid": [*definition["grid"], *new]}


def _entry(definition: Definition, axes: Axes, roles: Roles) -> dict[str, AxisValue]:
    """A config by the axes that the definition names, without those that `fixed` says alike."""
    fixed = _fixed(definition)
    named = {*fixed, *(name for grid in definition["grid"] for name in grid)}
    if named & set(PLACES):
        named = {*named, *PLACES} - {"timeline"}
    found: dict[str, AxisValue] = {}
    for name in axes:
        value = _written(definition, name, axes)
        if name in named and (value is not None or (roles.is_switch(name) and fixed.get(name) not in (None, "none"))):
            found[name] = "none" if value is None else value
    entry = {name: value for name, value in found.items() if name not in fixed or fixed[name] != value}
    return entry or found


def _written(definition: Definition, name: str, axes: Axes) -> AxisValue:
    """The value of an axis as a definition writes it: a learning rate as it was before scaling to the batch size."""
    value, scaling = axes[name], definition.get("lr_scaling")
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    size = axes.get("batch_size")
    if name != "lr" or scaling is None or not isinstance(value, float) or not isinstance(size, int | float):
        return value
    ratio = size / scaling["batch_size"]
    by = ratio if scaling["rule"] == "linear" else ratio**0.5
    said = [float(lr) for lr in _said(definition, "lr") if abs(float(lr) * by - value) <= 1e-9 * value]
    return said[0] if said else float(f"{value / by:.12g}")


def _said(definition: Definition, name: str) -> Iterator[Any]:
    """All values that a definition gives an axis."""
    for grid in (_fixed(definition), *definition["grid"]):
        values = grid.get(name, [])
        yield from values if isinstance(values, list) else [values]


def _fixed(definition: Definition) -> dict[str, Any]:
    return dict(definition.get("fixed") or {})


def _applies(name: str, configs: Sequence[Axes | None], roles: Roles) -> bool:
    """Whether a fixed axis applies to one of the configs; a definition must not fix an axis that applies to none."""
    return roles.is_switch(name) or any(axes is not None and axes.get(name) is not None for axes in configs)


def _joint_entries(definition: Definition) -> list[dict[str, Any]]:
    """The grid's own entries of the joint anchor."""
    entries = []
    for grid in definition["grid"]:
        methods = grid.get("method", [])
        methods = methods if isinstance(methods, list) else [methods]
        if "joint" in methods:
            alone = len(methods) == 1
            axes = {name: values for name, values in grid.items() if alone or name in JOINT_AXES}
            entries.append({**axes, "method": "joint"})
    return entries


def _joint(definition: Definition, tested: Sequence[Config]) -> dict[str, Any] | None:
    """The axes of the joint anchor, with those written out that it had from the first config, now another one."""
    said = definition.get("joint", {})
    if said is None:
        return None
    first = _first(definition, tested)
    inherited = {
        name: _written(definition, name, first)
        for name in JOINT_AXES
        if first is not None and name not in _fixed(definition) and any(name in grid for grid in definition["grid"])
        if first.get(name) is not None
    }
    return {**inherited, **said}


def _first(definition: Definition, tested: Sequence[Config]) -> Axes | None:
    """The study's first config, named by the first values of the grid's first trained entry; None if not tested."""
    for grid in definition["grid"]:
        values = {name: value if isinstance(value, list) else [value] for name, value in grid.items()}
        methods = [name for name in values.get("method", ["full"]) if name not in ("joint", "zeroshot")]
        if methods:
            wanted = {**{name: value[0] for name, value in values.items()}, "method": methods[0]}
            others = {name for other in definition["grid"] for name in other} - wanted.keys()
            alike = [one.axes for one in tested if _is(one.axes, wanted, definition)]
            return min(alike, key=lambda axes: sum(_is_said(axes, name, definition) for name in others), default=None)
    return None


def _is(axes: Axes, wanted: Mapping[str, Any], definition: Definition) -> bool:
    """Whether a config has these values wherever they apply to it."""
    named = ((name, value) for name, value in wanted.items() if axes.get(name) is not None)
    return all(str(_written(definition, name, axes)) == str(value) or axes[name] == value for name, value in named)


def _is_said(axes: Axes, name: str, definition: Definition) -> bool:
    """Whether a value is one that the definition gives; if not it is a default."""
    return axes.get(name) is not None and _written(definition, name, axes) in _said(definition, name)


def _one_more(blocks: int | Sequence[Mapping[str, int]]) -> int | list[Mapping[str, int]]:
    """A block that the study does not have yet."""
    if isinstance(blocks, int):
        return blocks + 1
    unused = 1 + max(max(block["seed"], block["order"]) for block in blocks)
    return [*blocks, {"seed": unused, "order": unused}]
