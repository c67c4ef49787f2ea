"""What a user says of a search and of early stopping: the keys `search` and `early_stopping` of a study."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from study.search.sampler import SAMPLERS
from trainables.frozen import FieldError, Frozen, OneOf, suggestion

Objective = Literal["aka", "azs", "gm", "gain"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)


class Constraints(Frozen):
    """Upper bounds that a config has to keep.

    Attributes:
        retention_loss: AZS of the zero-shot model minus AZS of what is served in the end, a fraction.
        cost_mafs: memory-adjusted FLOPs of a trial, as if it shared no work. Known before it runs: a config that costs
            more is not run.
        cost_flops: the same in plain FLOPs.
    """

    retention_loss: float | None = None
    cost_mafs: float | None = Field(default=None, gt=0)
    cost_flops: float | None = Field(default=None, gt=0)


class Plateau(Frozen):
    """A plateau of a search: `trials` configs in a row that add no more than `by`.

    Attributes:
        trials: configs in a row.
        by: area under the frontier of the objectives, as fractions, that of a gain from -1 on; with one objective the
            rise of the best value.
    """

    trials: int = Field(ge=1)
    by: float = Field(default=0.0, ge=0)


class Stop(Frozen):
    """When a search ends: as soon as one of the bounds is reached. Anchors and trials of earlier studies do not count.

    Until then configs begin, each on all first blocks, so that a search takes a little more than it was asked for.

    Attributes:
        trials: trials, each a config on a block.
        mafs: memory-adjusted FLOPs of the trials together, each as if it shared no work.
        hours: hours of training of the trials together, each as if it shared no work, whatever runs side by side.
        hypervolume_plateau: nothing new for some time.
    """

    trials: int | None = Field(default=None, ge=1)
    mafs: float | None = Field(default=None, gt=0)
    hours: float | None = Field(default=None, gt=0)
    hypervolume_plateau: Plateau | None = None

    @property
    def says_nothing(self) -> bool:
        """Whether nothing but the end of the space would end the search."""
        return self == Stop()


class Search(Frozen):
    """A search through configs, in place of a grid.

    Attributes:
        spaces: as the products of a grid, where the value of an axis may also be a range {low, high, log, step}.
        sampler: of Optuna: tpe (arXiv 1907.10902; for two objectives that of Ozaki et al. 2022), nsga2, gp or random.
        objectives: one or two of aka, azs, gm and gain, all of them to be high.
        constraints: what a config has to keep to.
        first_blocks: blocks of the study that every config runs on; the others are for configs near the frontier.
        stop: when it ends.
        warm_start: folders of earlier studies whose trials are known from the beginning.
        seed: of the suggestions.
    """

    spaces: list[dict[str, Any]]
    sampler: Annotated[str, OneOf(SAMPLERS)] = "tpe"
    objectives: list[Objective] = Field(default_factory=lambda: list(OBJECTIVES[:2]))
    constraints: Constraints = Constraints()
    first_blocks: int = Field(default=1, ge=1)
    stop: Stop = Stop()
    warm_start: list[str] = Field(default_factory=list)
    seed: int = Field(default=0, ge=0)

    @field_validator("spaces", mode="before")
    @classmethod
    def _mappings(cls, value: object) -> object:
        if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
            raise ValueError("a list of mappings is needed, such as - {method: full, lr: {low: 1e-4, high: 1e-2}}")
        return value

    @field_validator("sampler", mode="before")
    @classmethod
    def _known_sampler(cls, value: object) -> object:
        return _one_of(value, tuple(SAMPLERS))

    @field_validator("objectives", mode="before")
    @classmethod
    def _known_objectives(cls, value: object) -> object:
        given = value if isinstance(value, list) else [value]
        found = [_one_of(one, OBJECTIVES) for one in given]
        if not 1 <= len(set(found)) == len(found) <= 2:
            raise ValueError("one or two different ones are needed, such as [aka, azs], or gain")
        return found


def _one_of(value: object, allowed: tuple[str, ...]) -> object:
    if value not in allowed:
        raise ValueError(f"{value!r} is unknown; {suggestion(value, allowed)}allowed: {', '.join(allowed)}")
    return value


class EarlyStopping(Frozen):
    """Trials that end before their stream does, because others on the same block are ahead of them in AKA and in AZS.

    Successive halving over tasks; `study.running.early_stopping` has the rule and its sources.

    Attributes:
        at: tasks after which trials are compared.
        keep: share of the trials that have reached such a task that goes on.
        least: trials of a block that must have reached the task before any is stopped there.
    """

    at: list[int]
    keep: float = Field(default=0.5, gt=0, lt=1)
    least: int = Field(default=4, ge=2)

    @model_validator(mode="after")
    def _at_tasks(self) -> Self:
        if not self.at or sorted(set(self.at)) != self.at or self.at[0] < 1:
            raise FieldError("at", f"{self.at} given; tasks in rising order, from 1, such as [2, 4]")
        return self
