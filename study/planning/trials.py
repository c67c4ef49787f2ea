"""The trials that follow from a study's definition: configs of its grid on its blocks, and the anchors."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from search_spaces.space import AXES, Scalar, Values, axis_values, build, expand, product, require_known
from study.definition.study import StudyDefinition
from trainables.config import TrialConfig
from trainables.frozen import ConfigError, parse
from trainables.schedules import SCHEDULES, scaled

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A config with its place in the study. The joint anchor is a config of one task and method "full"."""

    kind: Literal["trial", "anchor"]
    method: str
    config: TrialConfig

    @property
    def id(self) -> str:
        """Name of the trial."""
        return self.config.trial_id

    @property
    def config_id(self) -> str:
        """Name of its config without the block."""
        return self.config.config_id

    @property
    def block(self) -> str:
        """Name of its block."""
        return self.config.block

    @property
    def tasks(self) -> int:
        """Tasks of its stream."""
        return self.config.stream.tasks

    @property
    def row(self) -> Row:
        """What it is, with its value on every axis: null where one does not apply."""
        config = self.config
        axes = axis_values(config)
        if self.kind == "anchor":
            axes |= dict.fromkeys(("timeline", "start", "serve"))
        return {
            "trial": self.id,
            "kind": self.kind,
            "config_id": config.config_id,
            "block": config.block,
            "seed": config.seed,
            "order": config.order,
            **axes,
            "method": self.method,
        }


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A trial as the release that ran it wrote it down; nothing of it is computed from a config of this release.

    `row` is the same as of a trial that is planned here, `written` its config in canonical form.
    """

    row: Row
    tasks: int
    written: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Name of the trial."""
        return str(self.row["trial"])

    @property
    def kind(self) -> str:
        """Whether it is a trial or an anchor."""
        return str(self.row["kind"])

    @property
    def method(self) -> str:
        """Its method, or what anchor it is."""
        return str(self.row["method"])

    @property
    def config_id(self) -> str:
        """Name of its config without the block."""
        return str(self.row["config_id"])

    @property
    def block(self) -> str:
        """Name of its block."""
        return str(self.row["block"])

    @property
    def config(self) -> TrialConfig:
        """Its config, for what has to be built.

        Raises:
            ConfigError: this release has no such config.
        """
        return parse(TrialConfig, self.written, source=f"trial {self.id}")


def trials(definition: StudyDefinition, source: str) -> tuple[Trial, ...]:
    """All trials of a grid, block by block: anchors first, then the grid in the order written.

    The methods `joint` and `zeroshot` of a grid are anchors. A grid that names `joint` says with which values; else the
    study's key `joint` does.

    Raises:
        ConfigError: the grid or the joint anchor is not valid.
    """
    assert definition.grid is not None
    grids = [_without_joint(grid) for grid in definition.grid]
    if not any(grids) and any(JOINT in methods_of(grid) for grid in definition.grid):
        raise ConfigError(f"{source}: grid: {_ANCHORS_ONLY}")
    require_steps_once(definition, definition.grid, source)
    expanded = expand(grids, fixed=fixed_axes(definition), workload=definition.workload, source=source)
    configs = [as_run(config, definition, source) for config in expanded]
    own = [config for config in configs if not config.recipe.method.trains_nothing]
    if not own:
        raise ConfigError(f"{source}: grid: {_ANCHORS_ONLY}")
    if len({config.stream.dataset is None for config in own}) > 1:
        raise ConfigError(
            f"{source}: grid: dataset: some configs train on a data set alone and others on all of them, and their AKA "
            "cannot be compared; make a study of each, and give both to `retune findings`"
        )
    first = next(config for config in expanded if not config.recipe.method.trains_nothing)
    anchors = joint_anchors(definition, first, source)
    if {config.config_id for config in anchors} & {config.config_id for config in own}:
        raise ConfigError(f"{source}: grid: it holds the joint anchor itself; remove it there, or say `joint: null`")
    found = [
        *(Trial(kind="anchor", method=JOINT, config=config) for config in anchors),
        *(Trial(kind="anchor", method="zeroshot", config=one) for one in configs if one.recipe.method.trains_nothing),
        *(Trial(kind="trial", method=config.recipe.method.name, config=config) for config in own),
    ]
    return tuple(
        replace(trial, config=trial.config.model_copy(update={"seed": block.seed, "order": block.order}))
        for block in definition.blocks
        for trial in found
    )


def require_steps_once(definition: StudyDefinition, axes: Iterable[Iterable[str]], source: str) -> None:
    """Raises: ConfigError: both a budget and an axis say how many steps a task has."""
    said = {*definition.fixed, *(definition.joint or {}), *(name for names in axes for name in names)}
    if definition.budget is not None and "steps" in said:
        raise ConfigError(f"{source}: steps: the budget says how many; remove one of the two")


def fixed_axes(definition: StudyDefinition) -> dict[str, Scalar]:
    """Axis values that hold for all trials; a budget's steps, which follow from the config, are 1 here."""
    return definition.fixed if definition.budget is None else {**definition.fixed, "steps": 1}


def as_run(config: TrialConfig, definition: StudyDefinition, source: str) -> TrialConfig:
    """A config as it runs in a study: with its learning rate scaled, and with the steps that the budget buys it."""
    return _afforded(_scaled(config, definition), definition, source)


def _scaled(config: TrialConfig, definition: StudyDefinition) -> TrialConfig:
    """A config with its learning rate scaled to its batch size."""
    rule, recipe = definition.lr_scaling, config.recipe
    if rule is None:
        return config
    lr, _ = scaled(recipe.optimiser.lr, batch_size=recipe.batch_size, reference=rule.batch_size, rule=rule.rule)
    optimiser = recipe.optimiser.model_copy(update={"lr": lr})
    return config.model_copy(update={"recipe": recipe.model_copy(update={"optimiser": optimiser})})


def scalings(definition: StudyDefinition, source: str) -> tuple[str, ...]:
    """What `lr_scaling` did to the learning rates of a study, in sentences."""
    rule = definition.lr_scaling
    if rule is None or definition.grid is None:
        return ()
    said = []
    for config in expand(
        [_without_joint(grid) for grid in definition.grid or ()],
        fixed=fixed_axes(definition),
        workload=definition.workload,
        source=source,
    ):
        recipe = config.recipe
        if not recipe.method.trains_nothing:
            lr = recipe.optimiser.lr
            said.append(scaled(lr, batch_size=recipe.batch_size, reference=rule.batch_size, rule=rule.rule)[1])
    return tuple(dict.fromkeys(said))


def _afforded(config: TrialConfig, definition: StudyDefinition, source: str) -> TrialConfig:
    """A config with the steps that the study's budget buys it."""
    if definition.budget is None or config.recipe.method.trains_nothing:
        return config
    from study.planning.prices import steps

    recipe = config.recipe.model_copy(update={"steps": steps(config, definition.budget, source)})
    return config.model_copy(update={"recipe": recipe})


JOINT = "joint"
_ANCHORS_ONLY = "it has anchors only; give at least one method that trains, such as full"
_JOINT: dict[str, Scalar] = {"method": "full", "timeline": "finetune", "new_share": None, "buffer_share": 0.0}


def methods_of(axes: Mapping[str, Values]) -> list[Scalar]:
    """The methods that an entry of a grid names."""
    methods = axes.get("method", [])
    return methods if isinstance(methods, list) else [methods]


def _without_joint(axes: Mapping[str, Values]) -> Mapping[str, Values]:
    """The axes of a grid's entry without the joint anchor; empty if the entry names nothing else."""
    methods = methods_of(axes)
    if JOINT not in methods:
        return axes
    trained = [name for name in methods if name != JOINT]
    return {**axes, "method": trained} if trained else {}


def joint_anchors(definition: StudyDefinition, first: TrialConfig, source: str) -> list[TrialConfig]:
    """The joint anchors: full fine-tuning on all concepts in one task, as many steps as a whole stream, no buffer.

    What neither the anchor nor `fixed` says is as in the first config of the grid, but for how that config trains.
    """
    asked = [
        (point, f"{source}: grid[{i}]", len(set(map(str, methods_of(grid)))) == 1)
        for i, grid in enumerate(definition.grid or ())
        if JOINT in methods_of(grid)
        for point in [*product({axis: values for axis, values in grid.items() if axis != "method"}, source)] or [{}]
    ]
    if not asked and definition.joint is not None:
        asked = [(definition.joint, f"{source}: joint", True)]
    found: dict[str, TrialConfig] = {}
    for values, where, alone in asked:
        if alone:  # in a grid with other methods an axis may be theirs
            _require_settable(values, definition, first, where)
        config = _joint_config(_joint_values(values, definition, first), definition, where)
        found.setdefault(config.config_id, config)
    return list(found.values())


def _joint_values(asked: Mapping[str, Scalar], definition: StudyDefinition, first: TrialConfig) -> dict[str, Scalar]:
    own = {name: value for name, value in axis_values(first).items() if value is not None}
    values = {**own, **fixed_axes(definition), **asked}
    values = {name: value for name, value in values.items() if not _is_of_updates(name)} | _JOINT
    values = {name: value for name, value in values.items() if name not in _OF_STREAMS}
    if (schedule := SCHEDULES.get(str(values["schedule"]))) is not None:  # one task has nothing to look back at
        values["schedule"] = schedule.within
    pool = values["pool_share"]
    return {**values, "new_share": 1 - pool if isinstance(pool, int | float) else values["new_share"]}


_OF_STREAMS = (
    *("peaks", "buffer_size", "buffer_policy", "temperature"),
    *("ordering", "embedding", "start_concept", "dataset"),
)
"""Axes that mean nothing to a single task of all concepts."""


def _is_of_updates(axis: str) -> bool:
    """Whether an axis says how a stream is updated, which the joint anchor is not."""
    return AXES[axis].path[:2] == ("recipe", "method") or AXES[axis].path[0] == "timeline" or axis == "online_ema"


def _joint_config(values: Mapping[str, Scalar], definition: StudyDefinition, where: str) -> TrialConfig:
    config, _ = build(values, workload=definition.workload, source=where)
    config = as_run(config, definition, where)
    one_task = {
        "stream": config.stream.model_copy(update={"tasks": 1, "steps_factors": None}),
        "recipe": config.recipe.model_copy(update={"steps": sum(config.stream.steps(config.recipe.steps))}),
    }
    return config.model_copy(update=one_task)


def _require_settable(asked: Mapping[str, Scalar], definition: StudyDefinition, first: TrialConfig, where: str) -> None:
    require_known(asked, where)
    unusable = [name for name in asked if name in _JOINT or _is_of_updates(name)]
    if not unusable:
        _, used = build(_joint_values(asked, definition, first), workload=definition.workload, source=where)
        unusable = sorted(asked.keys() - used)
    for name in unusable:
        raise ConfigError(
            f"{where}.{name}: cannot be set here: the joint anchor is full fine-tuning on all concepts at once, with "
            "the pool's share of samples and no buffer"
        )
