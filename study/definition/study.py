"""A study's definition: the YAML that a user writes, validated and frozen."""

import re
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import Field, field_validator, model_validator

from search_spaces.space import Scalar, Values
from study.definition.resources import Resources
from study.definition.search import EarlyStopping, Search
from study.tracking.trackers import TRACKERS
from trainables.config import Clip, Learnt, Pocket, Subset
from trainables.frozen import ConfigError, FieldError, Frozen, OneOf, parse, suggestion
from trainables.store.store import is_address

PRESETS = resources.files("search_spaces.presets")


class Block(Frozen):
    """One repetition of every config: a seed of training and a number of the stream's order."""

    seed: int = Field(ge=0)
    order: int = Field(ge=0)


class Budget(Frozen):
    """Steps by price: every method gets as many as its share of one budget buys. One of the four.

    Attributes:
        total_mafs: memory-adjusted FLOPs of the whole stream (arXiv 2408.14471, section 4).
        total_flops: the same in plain FLOPs.
        steps_per_task: the same steps for every method.
        relative_to_full_steps: per task the MAFs of this many steps of full fine-tuning.
        accounting: how a step is counted, "ours" or "paper" (`trainables.costs`).
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


Keep = Literal["needed", "final", "all"]
KEEPS: tuple[Keep, ...] = get_args(Keep)


class StudyDefinition(Frozen):
    """A grid of configs or a search through them, all on the same blocks, and the anchors they are compared with.

    Attributes:
        name: name of the study, and of its default folder.
        workload: model and data.
        fixed: axis values that hold for every trial.
        grid: products of axes; their union is the study.
        search: a search in place of the grid.
        blocks: a number n, for seeds and orders (0, 0) .. (n-1, n-1), or a list of {seed, order}.
        evaluate_at: fractions of every task, above 0 and below 1, after which what is being trained is scored, too.
        subset: {share, seed} of the test images that are scored during the stream; null scores all of them.
        lr_scaling: how `lr` follows the batch size; null leaves it as it is.
        budget: what all tasks together may cost, in place of the axis `steps`.
        early_stopping: when a trial ends before its stream does; null runs all to their ends.
        joint: axis values of the joint anchor, on top of `fixed` and the first config; null leaves the anchor out.
        store: a folder or s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, which studies may share; null is the study's folder.
        keep: updates that are never freed: needed (what unfinished trials need, and the served weights of the final
            tasks of the Pareto set), final (those of every trial), all.
        resources: what one trial holds.
        retries: how often a failed trial is tried again.
        tracking: experiment trackers that show the study while it runs: tensorboard, mlflow, wandb.
    """

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="letters, digits, . _ and -, a letter or digit first, 64 characters at most, such as birds-2",
    )
    workload: Learnt = Pocket()
    fixed: dict[str, Scalar] = Field(default_factory=dict)
    grid: list[dict[str, Values]] | None = None
    search: Search | None = None
    blocks: list[Block] = Field(default_factory=lambda: [Block(seed=0, order=0)])
    lr_scaling: LrScaling | None = None
    evaluate_at: list[float] = Field(default_factory=list)
    subset: Subset | None = None
    budget: Budget | None = None
    early_stopping: EarlyStopping | None = None
    joint: dict[str, Scalar] | None = Field(default_factory=dict)
    store: str | None = Field(default=None, min_length=1)
    keep: Keep = "needed"
    resources: Resources = Resources()
    retries: int = Field(default=1, ge=0)
    tracking: list[Annotated[str, OneOf(TRACKERS)]] = Field(default_factory=list)

    @field_validator("fixed", "joint", mode="before")
    @classmethod
    def _one_value_an_axis(cls, value: object) -> object:
        """One value each; said here because the union of allowed types would say it once for each of them."""
        for name, one in value.items() if isinstance(value, Mapping) else ():
            if not _is_value(name, one):
                raise FieldError(name, f"{one!r} given; one value is needed here, lists belong in grid")
        return value

    @field_validator("grid", mode="before")
    @classmethod
    def _lists_of_values(cls, value: object) -> object:
        """A list of products; each axis has a value or a list of values."""
        if value is None:
            return value
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
    def _grid_or_search(self) -> Self:
        if self.grid is None and self.search is None:
            raise FieldError("grid", "missing; give a grid of configs, or a search through them")
        if self.grid is not None and self.search is not None:
            raise FieldError("search", "given beside a grid; a study has one of the two")
        return self

    @model_validator(mode="after")
    def _searchable(self) -> Self:
        if self.search is None:
            return self
        if self.search.first_blocks > len(self.blocks):
            raise FieldError(
                "search.first_blocks", f"{self.search.first_blocks} given; the study has {len(self.blocks)} blocks"
            )
        if "gain" in self.search.objectives and self.joint is None:
            raise FieldError(
                "search.objectives",
                "gain is measured from the line between the zero-shot and the joint point, and "
                "`joint: null` leaves the joint anchor out; remove it, or search for [aka, azs]",
            )
        return self

    @model_validator(mode="after")
    def _trackers_differ(self) -> Self:
        if len(set(self.tracking)) < len(self.tracking):
            raise FieldError("tracking", f"{', '.join(self.tracking)} given; name each once")
        return self

    @model_validator(mode="after")
    def _within_tasks(self) -> Self:
        if not all(0 < at < 1 for at in self.evaluate_at):
            raise FieldError("evaluate_at", f"{self.evaluate_at} given; fractions of a task, above 0 and below 1")
        return self

    @model_validator(mode="after")
    def _blocks_differ(self) -> Self:
        if not self.blocks or len(set(self.blocks)) < len(self.blocks):
            raise FieldError("blocks", "give at least one block, and each pair of seed and order once")
        return self


def _is_value(axis: str, value: object) -> bool:
    return isinstance(value, str | int | float | None) or (axis == "arguments" and isinstance(value, Mapping))


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
    folder, search = path.resolve().parent, definition.search
    if search is not None:
        search = search.model_copy(update={"warm_start": [str(folder / one) for one in search.warm_start]})
    of = definition.workload
    placing = {
        "workload": placed(of, folder) if isinstance(of, Clip) else of,
        "search": search,
        "store": _placed_store(definition.store, folder),
    }
    return definition.model_copy(update=placing)


def _placed_store(store: str | None, folder: Path) -> str | None:
    """A store's folder by its whole path; users name it as seen from `folder`."""
    return store if store is None or is_address(store) else str(folder / Path(store).expanduser())


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
