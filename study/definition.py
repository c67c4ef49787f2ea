"""A study's definition: the YAML that a user writes, validated and frozen, and the trials that follow from it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, field_validator, model_validator

from search_spaces.space import AXES, Scalar, Values, axis_values, build, expand, product, require_known
from trainables.config import SCHEDULES, Clip, Learnt, Pocket, Subset, TrialConfig
from trainables.frozen import ConfigError, Frozen, parse, suggestion
from trainables.schedules import scaled

PRESETS = resources.files("search_spaces.presets")


class Block(Frozen):
    """One repetition of every config: a seed of training and a number of the stream's order."""

    seed: int = Field(ge=0)
    order: int = Field(ge=0)


class Resources(Frozen):
    """What one trial holds while it runs."""

    cpus: float = Field(default=1, gt=0)
    gpus: float | None = Field(default=None, ge=0, description="default: 1 where there is a GPU, else 0")
    cache_gb: float | None = Field(
        default=None, ge=0, description="most 1e9 bytes of decoded images on a machine; default: half of its free disk"
    )


class Budget(Frozen):
    """Steps by price: every method gets as many as its share of one budget buys. One of the four.

    Attributes:
        total_mafs: memory-adjusted FLOPs of the whole stream (arXiv 2408.14471, section 4).
        total_flops: the same in plain FLOPs.
        steps_per_task: the same steps for every method.
        relative_to_full_steps: per task the MAFs of this many steps of full fine-tuning.
        accounting: how a step is counted, "ours" or "paper" (`trainables.budget`).
    """

    total_mafs: float | None = Field(default=None, gt=0)
    total_flops: float | None = Field(default=None, gt=0)
    steps_per_task: int | None = Field(default=None, ge=1)
    relative_to_full_steps: int | None = Field(default=None, ge=1)
    accounting: Literal["ours", "paper"] = "ours"

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        given = [name for name in _BUDGETS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"one of {', '.join(_BUDGETS)} is needed, not {len(given)}")
        return self

    @property
    def kind(self) -> str:
        """Which of the four it is."""
        return next(name for name in _BUDGETS if getattr(self, name) is not None)


_BUDGETS = ("total_mafs", "total_flops", "steps_per_task", "relative_to_full_steps")


class LrScaling(Frozen):
    """Learning rates that were chosen at another batch size.

    Attributes:
        rule: "linear" or "sqrt" of the ratio of batch sizes.
        batch_size: samples per step at which the study's values of `lr` were chosen.
    """

    rule: Literal["linear", "sqrt"]
    batch_size: int = Field(ge=1)


class StudyDefinition(Frozen):
    """A grid of configs, each run on the same blocks, and the anchors they are compared with.

    Attributes:
        name: name of the study, and of its default folder.
        workload: model and data.
        fixed: axis values that hold for every trial.
        grid: products of axes; their union is the study.
        blocks: a number n, for seeds and orders (0, 0) .. (n-1, n-1), or a list of {seed, order}.
        evaluate_at: fractions of every task, above 0 and below 1, after which what is being trained is scored, too.
        subset: {share, seed} of the test images that are scored during the stream; null scores all of them.
        lr_scaling: how `lr` follows the batch size; null leaves it as it is.
        budget: what all tasks together may cost, in place of the axis `steps`.
        joint: axis values of the joint anchor, on top of `fixed` and the first config; null leaves the anchor out.
        resources: what one trial holds.
        retries: how often a failed trial is tried again.
    """

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="letters, digits, . _ and -, a letter or digit first, 64 characters at most, such as birds-2",
    )
    workload: Learnt = Pocket()
    fixed: dict[str, Scalar] = Field(default_factory=dict)
    grid: list[dict[str, Values]]
    blocks: list[Block] = Field(default_factory=lambda: [Block(seed=0, order=0)])
    lr_scaling: LrScaling | None = None
    evaluate_at: list[float] = Field(default_factory=list)
    subset: Subset | None = None
    budget: Budget | None = None
    joint: dict[str, Scalar] | None = Field(default_factory=dict)
    resources: Resources = Resources()
    retries: int = Field(default=1, ge=0)

    @field_validator("fixed", "joint", mode="before")
    @classmethod
    def _one_value_an_axis(cls, value: object) -> object:
        """One value each; said here because the union of allowed types would say it once for each of them."""
        for name, one in value.items() if isinstance(value, Mapping) else ():
            if not _is_value(name, one):
                raise ValueError(f"{name}: {one!r} given; one value is needed here, lists belong in grid")
        return value

    @field_validator("grid", mode="before")
    @classmethod
    def _lists_of_values(cls, value: object) -> object:
        """A list of products; each axis has a value or a list of values."""
        if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
            raise ValueError("a list of mappings is needed, such as - {method: full, lr: [1e-3, 3e-3]}")
        for i, grid in enumerate(value):
            for name, values in grid.items():
                for one in values if isinstance(values, list) else [values]:
                    if not _is_value(name, one):
                        raise ValueError(f"[{i}].{name}: {one!r} given; a value or a list of values is needed")
        return value

    @field_validator("blocks", mode="before")
    @classmethod
    def _count_of_blocks(cls, value: object) -> object:
        """A number stands for that many pairs of seed and order."""
        if isinstance(value, int) and not isinstance(value, bool):
            if value < 1:
                raise ValueError("at least one block is needed")
            return [{"seed": i, "order": i} for i in range(value)]
        if not isinstance(value, list):
            raise ValueError("a number of blocks is needed, or a list of {seed, order}")
        return value

    @model_validator(mode="after")
    def _within_tasks(self) -> Self:
        if not all(0 < at < 1 for at in self.evaluate_at):
            raise ValueError(f"evaluate_at: {self.evaluate_at} given; fractions of a task, above 0 and below 1")
        return self

    @model_validator(mode="after")
    def _blocks_differ(self) -> Self:
        if not self.blocks or len(set(self.blocks)) < len(self.blocks):
            raise ValueError("blocks: give at least one block, and each pair of seed and order once")
        return self


def _is_value(axis: str, value: object) -> bool:
    return isinstance(value, str | int | float | None) or (axis == "arguments" and isinstance(value, Mapping))


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


def trials(definition: StudyDefinition, source: str) -> tuple[Trial, ...]:
    """All trials of a study, block by block: anchors first, then the grid in the order written.

    The methods `joint` and `zeroshot` of a grid are anchors. A grid that names `joint` says with which values; else the
    study's key `joint` does.

    Raises:
        ConfigError: the grid or the joint anchor is not valid.
    """
    grids = [_without_joint(grid) for grid in definition.grid]
    if not any(grids) and any(JOINT in _methods(grid) for grid in definition.grid):
        raise ConfigError(f"{source}: grid: {_ANCHORS_ONLY}")
    said = {*definition.fixed, *(definition.joint or {}), *(name for grid in definition.grid for name in grid)}
    if definition.budget is not None and "steps" in said:
        raise ConfigError(f"{source}: steps: the budget says how many; remove one of the two")
    expanded = expand(grids, fixed=_fixed(definition), workload=definition.workload, source=source)
    configs = [_afforded(_scaled(config, definition), definition, source) for config in expanded]
    own = [config for config in configs if not config.recipe.method.is_frozen]
    if not own:
        raise ConfigError(f"{source}: grid: {_ANCHORS_ONLY}")
    first = next(config for config in expanded if not config.recipe.method.is_frozen)
    anchors = _joint(definition, first, source)
    if {config.config_id for config in anchors} & {config.config_id for config in own}:
        raise ConfigError(f"{source}: grid: it holds the joint anchor itself; remove it there, or say `joint: null`")
    found = [
        *(Trial(kind="anchor", method=JOINT, config=config) for config in anchors),
        *(Trial(kind="anchor", method="zeroshot", config=one) for one in configs if one.recipe.method.is_frozen),
        *(Trial(kind="trial", method=config.recipe.method.name, config=config) for config in own),
    ]
    return tuple(
        replace(trial, config=trial.config.model_copy(update={"seed": block.seed, "order": block.order}))
        for block in definition.blocks
        for trial in found
    )


def _fixed(definition: StudyDefinition) -> dict[str, Scalar]:
    """Steps of a study with a budget are only known when the config is."""
    return definition.fixed if definition.budget is None else {**definition.fixed, "steps": 1}


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
    if rule is None:
        return ()
    said = []
    for config in expand(
        [_without_joint(grid) for grid in definition.grid],
        fixed=_fixed(definition),
        workload=definition.workload,
        source=source,
    ):
        recipe = config.recipe
        if not recipe.method.is_frozen:
            lr = recipe.optimiser.lr
            said.append(scaled(lr, batch_size=recipe.batch_size, reference=rule.batch_size, rule=rule.rule)[1])
    return tuple(dict.fromkeys(said))


def _afforded(config: TrialConfig, definition: StudyDefinition, source: str) -> TrialConfig:
    """A config with the steps that the study's budget buys it."""
    if definition.budget is None or config.recipe.method.is_frozen:
        return config
    from study.affordable import steps

    recipe = config.recipe.model_copy(update={"steps": steps(config, definition.budget, source)})
    return config.model_copy(update={"recipe": recipe})


JOINT = "joint"
_ANCHORS_ONLY = "it has anchors only; give at least one method that trains, such as full"
_JOINT: dict[str, Scalar] = {"method": "full", "timeline": "finetune", "new_share": None, "buffer_share": 0.0}


def _methods(axes: Mapping[str, Values]) -> list[Scalar]:
    methods = axes.get("method", [])
    return methods if isinstance(methods, list) else [methods]


def _without_joint(axes: Mapping[str, Values]) -> Mapping[str, Values]:
    """The axes of a grid without the joint anchor; none of a grid that has nothing else."""
    methods = _methods(axes)
    if JOINT not in methods:
        return axes
    trained = [name for name in methods if name != JOINT]
    return {**axes, "method": trained} if trained else {}


def _joint(definition: StudyDefinition, first: TrialConfig, source: str) -> list[TrialConfig]:
    """The joint anchors: full fine-tuning on all concepts in one task, as many steps as a whole stream, no buffer.

    What neither the anchor nor `fixed` says is as in the first config of the grid, but for how that config trains.
    """
    asked = [
        (point, f"{source}: grid[{i}]", len(set(map(str, _methods(grid)))) == 1)
        for i, grid in enumerate(definition.grid)
        if JOINT in _methods(grid)
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
    values = {**own, **_fixed(definition), **asked}
    values = {name: value for name, value in values.items() if not _is_of_updates(name)} | _JOINT
    values = {name: value for name, value in values.items() if name not in _OF_STREAMS}
    if "peaks" not in SCHEDULES.get(str(values["schedule"]), ("peaks",)):  # one task has nothing to look back at
        values["schedule"] = "cosine" if "cosine" in str(values["schedule"]) else "rsqrt"
    pool = values["pool_share"]
    return {**values, "new_share": 1 - pool if isinstance(pool, int | float) else values["new_share"]}


_OF_STREAMS = (
    *("peaks", "buffer_size", "buffer_policy", "temperature"),
    *("ordering", "embedding", "start_concept"),
)
"""Axes that mean nothing to a single task of all concepts."""


def _is_of_updates(axis: str) -> bool:
    """Whether an axis says how a stream is updated, which the joint anchor is not."""
    return AXES[axis].path[:2] == ("recipe", "method") or AXES[axis].path[0] == "timeline" or axis == "online_ema"


def _joint_config(values: Mapping[str, Scalar], definition: StudyDefinition, where: str) -> TrialConfig:
    config, _ = build(values, workload=definition.workload, source=where)
    config = _afforded(_scaled(config, definition), definition, where)
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


# -- reading and writing -----------------------------------------------------------------------------------------------


def load(study: str) -> tuple[StudyDefinition, str]:
    """The definition that `study` names (a YAML file or a preset), and a name of its source for messages.

    Raises:
        ConfigError: there is no such file or preset, or it is not valid.
    """
    path = Path(study)
    if path.is_file():
        return read(path), str(path)
    if (path / "study.yaml").is_file():
        raise ConfigError(f"{study}: a study's folder; its definition is {study}/study.yaml, to run with --dir {study}")
    preset = PRESETS / f"{study}.yaml"
    if re.fullmatch(r"[\w-]+", study) and preset.is_file():
        return _parse(preset.read_text(), f"preset {study}"), f"preset {study}"
    meant = suggestion(study, presets())
    raise ConfigError(f"{study}: neither a YAML file nor a preset; {meant}presets: {', '.join(presets())}")


def presets() -> list[str]:
    """Names of the presets."""
    return sorted(path.name.removesuffix(".yaml") for path in PRESETS.iterdir() if path.name.endswith(".yaml"))


def read(path: Path) -> StudyDefinition:
    """The definition in a YAML file.

    Raises:
        ConfigError: the file cannot be read or is not valid.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        definition = _parse(text, str(path))
    except ConfigError as error:
        if path.name != "study.yaml" or not (path.parent / "store").is_dir():
            raise
        raise ConfigError(f"{error}\n{recovery(path.parent)}") from error
    if not isinstance(definition.workload, Clip):
        return definition
    return definition.model_copy(update={"workload": placed(definition.workload, path.resolve().parent)})


def recovery(folder: Path) -> str:
    """What to do about a study's folder whose definition is broken or gone, but not what was trained by it."""
    return (
        f"the store of {folder} is intact: remove study.yaml if it is there, and run the definition that made the "
        f"folder again, which computes only what is missing: retune run STUDY --dir {folder}"
    )


def placed(workload: Clip, folder: Path) -> Clip:
    """A workload whose files are named by their whole path; users name them as seen from `folder`."""
    model = workload.model
    named = {"name": model.name, "pretrained": model.pretrained or ""}
    files = {key: str(folder / one) for key, one in named.items() if one and (folder / one).is_file()}
    if model.name.startswith(LOCAL):
        files["name"] = f"{LOCAL}{folder / model.name.removeprefix(LOCAL)}"
    return workload.model_copy(update={"data": str(folder / workload.data), "model": model.model_copy(update=files)})


LOCAL = "local-dir:"
"""Before the folder of a model with its weights."""


def dump(definition: StudyDefinition) -> str:
    """The definition as YAML, with the defaults of its own keys; those of axes stay with `TrialConfig`."""
    return yaml.safe_dump(definition.canonical(), sort_keys=False, default_flow_style=None, width=100)


def differences(old: StudyDefinition, new: StudyDefinition) -> list[str]:
    """What changed between two definitions, a line a key."""
    before, after = old.canonical(), new.canonical()
    return [f"{key}: {before[key]} -> {after[key]}" for key in after if before[key] != after[key]]


def _parse(text: str, source: str) -> StudyDefinition:
    try:
        value = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not YAML: {error}") from error
    if not isinstance(value, Mapping):
        raise ConfigError(f"{source}: a mapping of keys is needed, with at least name and grid")
    return parse(StudyDefinition, value, source=source)


class _Loader(yaml.SafeLoader):
    """YAML 1.2 numbers (1e-3 is one), and an error for a key that is written twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for twice in _repeated(keys):
            raise yaml.MarkedYAMLError(problem=f"the key {twice!r} is written twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep=deep)


def _repeated(keys: list[Any]) -> Iterator[Any]:
    return (key for i, key in enumerate(keys) if key in keys[:i])


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
)
