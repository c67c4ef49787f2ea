"""Axes and grids: flat names that users write, conditions between them, and the configs that follow.

An axis is a name for one place in a `TrialConfig`. It applies where the chosen variant has that place: `rank` where the
method has one, `w` where the timeline merges. A grid crosses its axes; values that do not apply fall away, and what is
then equal is one config.
"""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast, get_args

from trainables.config import Recipe, TrialConfig
from trainables.frozen import ConfigError, Frozen, parse, suggestion
from trainables.merging.rule import ROWS, SETTINGS, MergeRule
from trainables.merging.timeline import NAMED, PLACES, SERVED, TIMELINES, Timeline, needs, timeline
from trainables.methods.method import COMPOSED, METHODS, hyperparameters
from trainables.schedules import SCHEDULES, Schedule
from trainables.streams.mixture import Mixture
from trainables.streams.orderings import ORDERINGS, Stream, forward
from trainables.workloads.settings import WorkloadSettings

Scalar = str | int | float | bool | dict[str, Any] | None
Values = Scalar | list[Scalar]
Role = Literal["method", "merging", "training", "stream"]

_ROLES: Mapping[tuple[str, ...], Role] = {
    ("recipe", "method"): "method",
    ("timeline", "lifetime"): "method",  # what becomes of an adapter stands in the timeline, and is the adapter's own
    ("timeline",): "merging",
    ("stream",): "stream",
    ("recipe",): "training",
}
"""What the parts of a config are for; the first that a path starts with counts."""


class Axis(NamedTuple):
    """A name for one place in a trial's config, and the type of its values."""

    path: tuple[str, ...]
    type: type[str | int | float | bool]
    meaning: str

    @property
    def role(self) -> Role:
        """What it is for: the method itself, its merging, how all methods are trained, or the stream of tasks."""
        return next(role for part, role in _ROLES.items() if self.path[: len(part)] == part)


def _hyperparameter_axes() -> dict[str, Axis]:
    """What can be set of any method, by the name and the meaning that its part gives it."""
    found: dict[str, Axis] = {}
    for name in METHODS:
        for key, info in hyperparameters(name).items():
            found.setdefault(key, Axis(("recipe", "method", key), _type(info.annotation), info.description or ""))
    return found


def _type(annotation: object) -> type[str | int | float | bool]:
    """The type of an annotation's values: of `float | None` float, of literals that of the first value."""
    first = (get_args(annotation) or (annotation,))[0]
    if get_args(first):
        return _type(first)
    return cast("type[str | int | float | bool]", first if isinstance(first, type) else type(first))


def _of(model: type[Frozen], field: str, path: tuple[str, ...]) -> Axis:
    """The axis of a field, with the meaning that it gives itself."""
    info = model.model_fields[field]
    return Axis(path, _type(info.annotation), info.description or field)


_RULE_AXES = {"scale": "merge_scale", "logit_scale": "merge_logit_scale"}
"""Settings of rules whose names are hyperparameters of methods, too."""

_HYPERPARAMETERS = _hyperparameter_axes()
AXES: dict[str, Axis] = {
    "method": Axis(("recipe", "method", "name"), str, "what trains: " + ", ".join(METHODS)),
    "rank": _HYPERPARAMETERS["rank"],
    "timeline": Axis(("timeline", "name"), str, "what starts and what is served: " + ", ".join(NAMED)),
    "start": Axis(("timeline", "start"), str, "where a task starts: " + ", ".join(PLACES)),
    "serve": Axis(("timeline", "serve"), str, "what is served after it: " + ", ".join(SERVED)),
    "rule": Axis(("timeline", "rule", "name"), str, "merge rule of a timeline that merges: " + ", ".join(ROWS)),
    "w": Axis(("timeline", "w"), float, "merge weight of the OLD weights, 0 to 1"),
    **{name: _of(Timeline, name, ("timeline", name)) for name in ("chain", "recency", "wise_ft", "lifetime")},
    **{
        _RULE_AXES.get(name, name): _of(MergeRule, name, ("timeline", "rule", name))
        for name in (*SETTINGS, "logit_scale")
    },
    "lr": Axis(("recipe", "optimiser", "lr"), float, "peak learning rate"),
    "weight_decay": Axis(("recipe", "optimiser", "weight_decay"), float, "decoupled weight decay"),
    "clip_norm": Axis(("recipe", "optimiser", "clip_norm"), float, "largest norm of the gradient"),
    "schedule": Axis(("recipe", "schedule", "name"), str, "learning rate over steps: " + ", ".join(SCHEDULES)),
    **{name: _of(Schedule, name, ("recipe", "schedule", name)) for name in ("warmup", "cooldown", "peaks")},
    "pool_share": Axis(("recipe", "mixture", "pool"), float, "share of pretraining samples in a batch"),
    "new_share": Axis(("recipe", "mixture", "new"), float, "share of the new task in a batch"),
    "buffer_share": Axis(("recipe", "mixture", "buffer"), float, "share of earlier tasks in a batch"),
    **{name: _of(Mixture, name, ("recipe", "mixture", name)) for name in ("buffer_size", "buffer_policy")},
    "batch_size": Axis(("recipe", "batch_size"), int, "samples per optimiser step"),
    "steps": Axis(("recipe", "steps"), int, "optimiser steps per task"),
    "precision": Axis(("recipe", "precision"), str, "matrix products in training: fp32, bf16"),
    **{name: _of(Recipe, name, ("recipe", name)) for name in ("temperature", "online_ema")},
    "tasks": Axis(("stream", "tasks"), int, "updates in the stream"),
    "steps_factors": _of(Stream, "steps_factors", ("stream", "steps_factors")),
    "ordering": Axis(("stream", "ordering"), str, f"order of the concepts: {', '.join(ORDERINGS)}, reversed_..."),
    **{name: _of(Stream, name, ("stream", name)) for name in ("embedding", "start_concept", "dataset")},
    **{
        kind: Axis(("recipe", "method", kind), str, f"a {kind} composed with another method: none, {', '.join(names)}")
        for kind, names in COMPOSED.items()
    },
    **_HYPERPARAMETERS,
}

_PARTS_OF_METHOD = ("trains", "adapter", "penalty", "projection")
SWITCHES = (
    *("wise_ft", "online_ema", "lines", "fisher_floor"),
    *("temperature", "buffer_size", "peaks", "steps_factors", "dataset"),
)
"""Axes that are off where they have no value; without a value any other axis does not apply."""

CAN_BE_NONE = (*SWITCHES, "cooldown", "start_concept")
"""Axes for which a user may write `none`; the last two are then what they are by default."""

_OF_RULE = ("chain", *(_RULE_AXES.get(name, name) for name in SETTINGS if name not in SWITCHES))
"""Axes whose defaults differ from merge rule to merge rule."""

_ALWAYS = ("method", "timeline", "start", "serve")
"""Axes that every config has."""

_UNTRAINED = ("method", "tasks", "ordering")
"""All that there is to say about the zero-shot model."""


def expand(
    grids: Sequence[Mapping[str, Values]], *, fixed: Mapping[str, Scalar], workload: WorkloadSettings, source: str
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
    require_known(fixed, f"{source}: fixed")
    configs: dict[str, TrialConfig] = {}
    applied_anywhere: set[str] = set()
    for i, grid in enumerate(grids):
        where = f"{source}: grid[{i}]"
        require_known(grid, where)
        applied: set[str] = set()
        for point in product(grid, where):
            values = {**fixed, **point}
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


def build(values: Mapping[str, Scalar], *, workload: WorkloadSettings, source: str) -> tuple[TrialConfig, set[str]]:
    """One config from flat axis values, and the names of the axes that applied.

    Raises:
        ConfigError: a value is not allowed, or one is missing.
    """
    require_known(values, source)
    values = _completed(values, source)
    untrained = values["method"] == "zeroshot"
    tree: dict[str, Any] = {"workload": workload, "recipe": {"steps": 1} if untrained else {}, "stream": {}}
    used = {name for name in values if _applies(name, values, source)}
    for name in used:
        _set(tree, AXES[name].path, values[name])
    config = parse(TrialConfig, tree, source=source, named=_axis_at)
    if untrained:  # how the others train says nothing about it, so all of these are one config
        plain = {"recipe": Recipe(method=config.recipe.method, steps=1), "timeline": timeline("finetune")}
        config = config.model_copy(update=plain)
    return config, used


def applies(axis: str, values: Mapping[str, Scalar], source: str) -> bool:
    """Whether an axis means something beside the values of others."""
    return axis in _ALWAYS or _applies(axis, _completed(values, source), source)


def axis_values(config: TrialConfig) -> dict[str, Scalar]:
    """A config as flat axis values; an axis that does not apply is None."""
    method = config.recipe.method
    tree = config.canonical()
    tree["recipe"]["method"] = method.flat()
    if method.adapter is None:
        tree["timeline"]["lifetime"] = None
    names = _UNTRAINED if method.trains_nothing else AXES
    return {name: _get(tree, axis.path) if name in names else None for name, axis in AXES.items()}


def marks(axis: str) -> tuple[str, ...]:
    """What a reader of an axis's values has to know beside its role: whether it is a switch, or follows the rule."""
    return tuple(mark for mark, names in (("switch", SWITCHES), ("of-rule", _OF_RULE)) if axis in names)


def require_known(axes: Mapping[str, object], where: str) -> None:
    """Raise ConfigError for a name that is no axis."""
    for name in axes:
        if name not in AXES:
            raise ConfigError(f"{where}.{name}: unknown axis; {suggestion(name, AXES)}allowed: {', '.join(AXES)}")


def product(grid: Mapping[str, Values], where: str) -> Iterator[dict[str, Scalar]]:
    """Every combination of a grid's values, in the order written."""
    lists = {name: values if isinstance(values, list) else [values] for name, values in grid.items()}
    for name, values in lists.items():
        if not values:
            raise ConfigError(f"{where}.{name}: an empty list; give at least one value or remove the axis")
    if lists:
        yield from (dict(zip(lists, point, strict=True)) for point in itertools.product(*lists.values()))


def _completed(values: Mapping[str, Scalar], source: str) -> Mapping[str, Scalar]:
    """Values with the choices that conditions ask for, and without what is switched off."""
    off = {name: None if name in CAN_BE_NONE and value == "none" else value for name, value in values.items()}
    return _with_places({"method": "full", **off}, source)


def _with_places(values: Mapping[str, Scalar], source: str) -> Mapping[str, Scalar]:
    """Values that say the timeline one way: by its name (finetune where nothing says more), or by start and serve."""
    said = ("timeline", "start", "serve")
    values = {name: value for name, value in values.items() if name not in said or value is not None}
    places = {name for name in ("start", "serve") if name in values}
    if not places:
        return {"timeline": "finetune", **values}
    named = TIMELINES.get(str(values.get("timeline")))
    if "timeline" in values and named != (values.get("start"), values.get("serve")):
        raise ConfigError(f"{source}.timeline: a name and {' and '.join(sorted(places))} given; give one or the other")
    for missing in {"start", "serve"} - places:
        raise ConfigError(f"{source}.{missing}: missing beside {places.pop()}; a timeline has both, or a name")
    return values


def _applies(name: str, values: Mapping[str, Scalar], source: str) -> bool:
    path = AXES[name].path
    if name in _ALWAYS:
        return True
    if path[0] == "timeline":
        return path[-1] in _settings_of_timeline(values, source)
    if name == "buffer_policy":
        return values.get("buffer_size") not in (None, "none")
    if name == "dataset":
        return values["method"] != "zeroshot"
    if name in ("embedding", "start_concept"):
        return forward(str(values.get("ordering"))) == "similarity"
    if name in ("cooldown", "peaks"):
        schedule = _chosen("schedule", {"schedule": "cosine", **values}, source, SCHEDULES)
        return name in SCHEDULES[schedule].settings
    if path[:-1] != ("recipe", "method"):
        return True
    method = _chosen("method", values, source, METHODS)
    row = METHODS[method]
    trains = method != "zeroshot"
    composed = {
        "penalty": trains and row.part != "penalty",
        "projection": trains and row.part not in ("projection", "adapter"),
    }
    if name in composed:
        return composed[name]
    parts = {kind: str(values[kind]) for kind in COMPOSED if composed[kind] and values.get(kind) in COMPOSED[kind]}
    return path[-1] in hyperparameters(method, **parts)


def _settings_of_timeline(values: Mapping[str, Scalar], source: str) -> set[str]:
    """Which settings the chosen timeline, rule and method have, by the last part of their paths."""
    if values.get("timeline") is None:
        places = (_chosen("start", values, source, PLACES), str(values["serve"]))
    else:
        places = TIMELINES[_chosen("timeline", values, source, TIMELINES, listed=NAMED)]
    rule = _chosen("rule", {"rule": "lerp", **values}, source, ROWS)
    found = set(needs(*places, ROWS[rule])) | {"wise_ft"}
    if METHODS[_chosen("method", values, source, METHODS)].part != "adapter":
        found.discard("lifetime")
    if "rule" not in found:
        return found
    found = found - {"rule"} | {"name", "logit_scale", "lines", *ROWS[rule].defaults}
    if values.get("lines") not in (None, "none"):
        found = found - {"scale"} | {"lines_first", "lines_more"}
    return found


def _chosen(
    axis: str, values: Mapping[str, Scalar], source: str, allowed: Collection[str], *, listed: Collection[str] = ()
) -> str:
    chosen = values[axis]
    if not isinstance(chosen, str) or chosen not in allowed:
        more = {"method": "; in the grid of a study also joint", "timeline": "; or a start and a serve, as in last-all"}
        names, meant = ", ".join(listed or allowed), suggestion(chosen, allowed)
        raise ConfigError(f"{source}.{axis}: {chosen!r} is unknown; {meant}allowed: {names}{more.get(axis, '')}")
    return chosen


def _set(tree: dict[str, Any], path: tuple[str, ...], value: Scalar) -> None:
    *parents, last = path
    for part in parents:
        tree = tree.setdefault(part, {})
    tree[last] = value


def _get(tree: Mapping[str, Any], path: tuple[str, ...]) -> Scalar:
    value: Any = tree
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None  # not Mapping: a table asks a million times
    scalar: Scalar = value
    return scalar


def _axis_at(path: tuple[str, ...]) -> str:
    """What users call a place in a config: the axis that sets it; the keys where none does."""
    if len(path) > 3 and path[:2] == ("recipe", "method") and path[2] in _PARTS_OF_METHOD:
        path = (*path[:2], *path[3:])  # users write what belongs to a part beside the name of the method
    if path == ("recipe", "mixture"):
        return f": {', '.join(_SHARES)}"
    axis = _AXIS_AT.get(path) or _AXIS_AT.get((*path, "name"))
    return f": {'.'.join(path)}" if axis is None else f".{axis}"


_AXIS_AT = {axis.path: name for name, axis in AXES.items()}
_SHARES = [name for name, axis in AXES.items() if axis.type is float and axis.path[:2] == ("recipe", "mixture")]
