"""A study's definition as a value: what a user writes, validated and frozen."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from search_spaces.space import Scalar, Values
from study.definition.resources import Resources
from study.definition.search import EarlyStopping, Search
from study.tracking.trackers import TRACKERS
from trainables.frozen import FieldError, Frozen, OneOf
from trainables.metrics import Accounting
from trainables.workloads.catalogue import AnyWorkload
from trainables.workloads.pocket.settings import Pocket
from trainables.workloads.settings import Evaluation, EvaluationPrecision, Subset


class Block(Frozen):
    """One repetition of every config: a seed of training and a number of the stream's order."""

    seed: int = Field(ge=0)
    order: int = Field(ge=0)


class Budget(Frozen):
    """A budget that says how many steps each method gets; exactly one of the four kinds is given.

    Attributes:
        total_mafs: memory-adjusted FLOPs of the whole stream (arXiv 2408.14471, section 4).
        total_flops: the same in plain FLOPs.
        steps_per_task: the same steps for every method.
        relative_to_full_steps: per task the MAFs of this many steps of full fine-tuning.
        accounting: how a step is counted (`trainables.metrics.Accounting`).
    """

    total_mafs: float | None = Field(default=None, gt=0)
    total_flops: float | None = Field(default=None, gt=0)
    steps_per_task: int | None = Field(default=None, ge=1)
    relative_to_full_steps: int | None = Field(default=None, ge=1)
    accounting: Accounting = "ours"

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        given = [name for name in _BUDGETS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"one of {', '.join(_BUDGETS)} is needed, not {len(given)}")
        return self

    @property
    def kind(self) -> str:
        """The name of the budget's kind, one of the four."""
        return next(name for name in _BUDGETS if getattr(self, name) is not None)


_BUDGETS = ("total_mafs", "total_flops", "steps_per_task", "relative_to_full_steps")


class LrScaling(Frozen):
    """How learning rates that were chosen at one batch size are scaled to others.

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
        evaluation_precision: type of the matrix products in scoring: fp32, tf32 or bf16. By default it is settled when
            the study's folder is made (`study.definition.precision`).
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
    workload: AnyWorkload = Pocket()
    fixed: dict[str, Scalar] = Field(default_factory=dict)
    grid: list[dict[str, Values]] | None = None
    search: Search | None = None
    blocks: list[Block] = Field(default_factory=lambda: [Block(seed=0, order=0)])
    lr_scaling: LrScaling | None = None
    evaluate_at: list[float] = Field(default_factory=list)
    subset: Subset | None = None
    evaluation_precision: EvaluationPrecision | None = None
    budget: Budget | None = None
    early_stopping: EarlyStopping | None = None
    joint: dict[str, Scalar] | None = Field(default_factory=dict)
    store: str | None = Field(default=None, min_length=1)
    keep: Keep = "needed"
    resources: Resources = Resources()
    retries: int = Field(default=1, ge=0)
    tracking: list[Annotated[str, OneOf(TRACKERS)]] = Field(default_factory=list)

    @property
    def evaluation(self) -> Evaluation:
        """How weights are scored during the stream."""
        return Evaluation(subset=self.subset, precision=self.evaluation_precision or "fp32")

    @field_validator("fixed", "joint", mode="before")
    @classmethod
    def _one_value_an_axis(cls, value: object) -> object:
        """Check that each axis has one value; pydantic itself would say it once for every allowed type."""
        for name, one in value.items() if isinstance(value, Mapping) else ():
            if not _is_value(name, one):
                raise FieldError(name, f"{one!r} given; one value is needed here, lists belong in grid")
        return value

    @field_validator("grid", mode="before")
    @classmethod
    def _lists_of_values(cls, value: object) -> object:
        """Check that a grid is a list of products, in which each axis has a value or a list of values."""
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
        """Make n pairs of seed and order from a number n of blocks."""
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
