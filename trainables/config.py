"""What a trial is: every value that changes its numbers, validated, frozen, in canonical form.

A `TrialConfig` holds nothing else: device, threads and paths are `Runtime`, and never enter a key. A field exists only
in the variant that it belongs to (`rank` in `LowRank`), or is None where it does not apply (`w` without merging), so a
config has one form.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from trainables.frozen import FieldError, Frozen, OneOf, digest
from trainables.merging.timeline import Timeline, timeline
from trainables.methods.method import Ewc, Method, named
from trainables.streams.buffers import Policy
from trainables.streams.orderings import BOTH_WAYS, forward


class Optimiser(Frozen):
    """AdamW (arXiv 1711.05101), fresh at each task; defaults of arXiv 2408.14471 but for the learning rate."""

    lr: float = Field(default=1e-5, gt=0, description="peak learning rate")
    weight_decay: float = Field(default=0.2, ge=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    eps: float = Field(default=1e-8, gt=0)
    clip_norm: float = Field(default=1.0, gt=0, description="largest norm of the whole gradient")


@dataclass(frozen=True, kw_only=True)
class ScheduleRow:
    """A named schedule.

    Attributes:
        within: the schedule of a task that has nothing to look back at.
        peak: for a meta-schedule, what a task's peak follows: one cosine or one rsqrt over all tasks so far, or the
            rsqrt of the first task; None where the peak is that of the task alone.
        goes_on: whether a task goes on with what its peak follows, rather than start `within` from there.
    """

    within: Literal["cosine", "rsqrt", "constant"]
    peak: Literal["one cosine", "one rsqrt", "first rsqrt"] | None = None
    goes_on: bool = False

    @property
    def settings(self) -> tuple[str, ...]:
        """The settings that not all schedules have; a meta-schedule sets its peaks itself."""
        return (*(("peaks",) if self.peak is None else ()), *(("cooldown",) if self.within == "rsqrt" else ()))


SCHEDULES: dict[str, ScheduleRow] = {
    "cosine": ScheduleRow(within="cosine"),
    "rsqrt": ScheduleRow(within="rsqrt"),
    "constant": ScheduleRow(within="constant"),
    "autoregressive_cosine": ScheduleRow(within="cosine", peak="one cosine"),
    "autoregressive_cosine_continued": ScheduleRow(within="cosine", peak="one cosine", goes_on=True),
    "autoregressive_rsqrt": ScheduleRow(within="rsqrt", peak="one rsqrt"),
    "matched_rsqrt": ScheduleRow(within="rsqrt", peak="first rsqrt"),
    "continued_rsqrt": ScheduleRow(within="rsqrt", peak="first rsqrt", goes_on=True),
}


class Schedule(Frozen):
    """Learning rate over the steps of one task, as factors of the peak; a setting that it has not is None.

    The first three names know one task alone. The others are meta-schedules: they lower the peak of later tasks, as one
    schedule over all tasks would, or go on with one.
    """

    name: Annotated[str, OneOf(SCHEDULES)] = "cosine"
    warmup: float = Field(default=0.1, ge=0, lt=1, description="share of the steps that warm up linearly")
    cooldown: float | None = Field(
        default=None, ge=0, lt=1, description="share of the steps that cool down linearly, of rsqrt (0.1)"
    )
    final: float = Field(default=1e-3, ge=0, le=1, description="factor that the rate never falls below but to warm up")
    peaks: str | None = Field(
        default=None, description='factor of lr in each task, such as "1, 0.5, 0.25", of cosine, rsqrt and constant'
    )

    @model_validator(mode="before")
    @classmethod
    def _with_cooldown(cls, value: Any) -> Any:
        row = SCHEDULES.get(str(value.get("name"))) if isinstance(value, dict) else None
        if row is not None and "cooldown" in row.settings:
            return {"cooldown": 0.1, **{key: one for key, one in value.items() if one is not None}}
        return value

    @field_validator("peaks")
    @classmethod
    def _canonical_peaks(cls, value: str | None) -> str | None:
        return _canonical(value)

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        for setting in ("cooldown", "peaks"):
            if getattr(self, setting) is not None and setting not in self.row.settings:
                having = ", ".join(name for name, row in SCHEDULES.items() if setting in row.settings)
                raise FieldError(setting, f"the schedule {self.name} takes none; those that do: {having}")
        if min(self.peak_factors, default=1.0) < self.final:
            raise FieldError("peaks", f"{self.peaks} given; each is a factor of lr, {self.final:g} at least (final)")
        return self

    @property
    def row(self) -> ScheduleRow:
        """What the schedule does."""
        return SCHEDULES[self.name]

    @property
    def peak_factors(self) -> tuple[float, ...]:
        """The given peaks, by task; none where none are given."""
        return () if self.peaks is None else _positive(self.peaks)

    @property
    def looks_back(self) -> bool:
        """Whether the steps of earlier tasks count."""
        return self.row.peak is not None

    def of_task(self, index: int) -> "Schedule":
        """What one task sees of it (from 1): of the peaks its own."""
        if self.looks_back and index == 1:  # it has nothing to look back at, so it is the schedule that it is made of
            return self.model_copy(update={"name": self.row.within})
        if self.peaks is None:
            return self
        peak = self.peak_factors[index - 1]
        return self.model_copy(update={"peaks": None if peak == 1 else f"{peak:.12g}"})


def _positive(text: str) -> tuple[float, ...]:
    """Factors, one for each task, as users write them: 1, 0.5, 0.25."""
    try:
        numbers = tuple(float(one) for one in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or not all(0 < one <= _LARGEST_FACTOR for one in numbers):
        raise ValueError(f'allowed: above 0 to {_LARGEST_FACTOR}, one for each task, such as "1, 0.5, 0.25"')
    return numbers


def _canonical(text: str | None) -> str | None:
    """One spelling of factors, and none for those that change nothing."""
    numbers = () if text is None else _positive(text)
    return ", ".join(f"{one:.12g}" for one in numbers) if set(numbers) - {1.0} else None


_LARGEST_FACTOR = 1000


class Mixture(Frozen):
    """Shares of a batch: pretraining pool, new task, buffer of all earlier tasks."""

    pool: float = Field(default=0.33, ge=0, le=1)
    new: float = Field(default=0.34, gt=0, le=1)
    buffer: float = Field(default=0.33, ge=0, le=1)
    buffer_size: int | None = Field(
        default=None, description="samples that the buffer of earlier tasks holds; default: all"
    )
    buffer_policy: Policy | None = Field(
        default=None, description="what a buffer of limited size keeps: reservoir, balanced (alike of every concept)"
    )

    @field_validator("buffer_size", mode="before")
    @classmethod
    def _holds_something(cls, value: object) -> object:
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
            return value
        raise ValueError(
            "allowed: a whole number of samples from 1, or none, for a buffer without a limit, which holds all; "
            "no buffer at all is buffer_share: 0"
        )

    @model_validator(mode="before")
    @classmethod
    def _with_policy(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("buffer_size") is not None and value.get("buffer_policy") is None:
            return {**value, "buffer_policy": "reservoir"}
        return value

    @model_validator(mode="after")
    def _limits_act(self) -> Self:
        if self.buffer_policy is not None and self.buffer_size is None:
            raise FieldError("buffer_policy", "it acts on a buffer of limited size; give a buffer_size, or remove it")
        if self.buffer_size is not None and self.buffer == 0:
            raise FieldError("buffer_size", "the share of the buffer is 0, so its size has no effect; remove it")
        return self

    @model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        total = self.pool + self.new + self.buffer
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the shares pool + new + buffer must sum to 1, not {total:g}")
        return self


Precision = Literal["fp32", "bf16"]


class Recipe(Frozen):
    """How one update trains: everything but where it starts, its task and its seed."""

    method: Method = named("full")
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    mixture: Mixture = Mixture()
    batch_size: int = Field(default=512, ge=2, le=10**8, description="samples per optimiser step")
    steps: int = Field(ge=1, description="optimiser steps per task")
    precision: Precision = Field(default="fp32", description="type of the matrix products in training")
    temperature: float | None = Field(
        default=None,
        ge=0.01,
        le=1,
        description="temperature of the loss that every task starts from, such as 0.07; default: that of its weights",
    )
    online_ema: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="weight of the OLD average in an average over steps that becomes the update, such as 0.999",
    )

    def of_task(self, index: int, steps: int) -> "Recipe":
        """What one task sees of it (from 1): its own steps and peak, and a buffer only where it holds something."""
        mixture = self.mixture
        if index == 1:
            mixture = mixture.model_copy(update={"buffer_size": None, "buffer_policy": None})
        return self.model_copy(update={"steps": steps, "schedule": self.schedule.of_task(index), "mixture": mixture})

    @property
    def averages(self) -> bool:
        """Whether the update is an average over steps."""
        return self.online_ema is not None

    @property
    def extra_passes(self) -> int:
        """Forward and backward passes after the steps of a task: those of EWC's Fisher matrix."""
        penalty = self.method.penalty
        return penalty.fisher_batches(batch_size=self.batch_size, steps=self.steps) if isinstance(penalty, Ewc) else 0

    @property
    def passes(self) -> int:
        """Forward and backward passes of a task."""
        return self.steps + self.extra_passes

    @model_validator(mode="after")
    def _averages_weights(self) -> Self:
        if self.online_ema is not None and self.method.adapter is not None:
            raise FieldError(
                "online_ema",
                f"it averages weights, and {self.method.name} trains factors, whose averages make other "
                "weights; use a method without an adapter, or a timeline that merges",
            )
        return self

    @model_validator(mode="after")
    def _keeps_its_temperature(self) -> Self:
        if self.temperature is not None and self.method.adapter is not None and not self.method.logit_scale:
            raise FieldError(
                "temperature",
                f"{self.method.name} stores its adapter alone; add logit_scale: true, which trains it, too",
            )
        return self

    @model_validator(mode="after")
    def _new_samples_in_each_batch(self) -> Self:
        if self.mixture.new * self.batch_size < 1:
            raise ValueError(
                f"a batch of {self.batch_size} with a share of {self.mixture.new:g} has no sample of the new task; "
                "raise batch_size or the share of new"
            )
        return self


# -- what is learnt ----------------------------------------------------------------------------------------------------


class Pocket(Frozen):
    """The embedded benchmark: procedural images with captions and a small pretrained CLIP."""

    name: Literal["pocket"] = "pocket"
    pool: int = Field(default=16_000, ge=256, le=1_000_000, description="pretraining samples available for replay")


class Model(Frozen):
    """A model of open_clip and its pretrained weights."""

    name: str = Field(description="an architecture, a JSON config, hf-hub:ORG/REPO or local-dir:FOLDER")
    pretrained: str | None = Field(
        default=None, description='a tag of open_clip, a checkpoint file, or "random"; hubs and folders bring their own'
    )
    seed: int = Field(default=0, ge=0, description="of random weights")

    @model_validator(mode="after")
    def _says_its_weights(self) -> Self:
        brings_its_own = self.name.startswith(("hf-hub:", "local-dir:"))
        if self.pretrained is None and not brings_its_own:
            raise FieldError(
                "pretrained", "missing; a tag of open_clip, a checkpoint file, or random for weights that know nothing"
            )
        if self.pretrained is not None and brings_its_own:
            raise FieldError("pretrained", f"{self.pretrained} given; {self.name} brings its own weights; remove it")
        if self.seed and self.pretrained != "random":
            raise FieldError("seed", "only random weights have one; remove it")
        return self


class Clip(Frozen):
    """A model of open_clip on the images of a manifest."""

    name: Literal["clip"] = "clip"
    model: Model
    data: str = Field(description="the manifest, .parquet or .csv")
    crop: float = Field(
        default=0.9, gt=0, le=1, description="smallest share of an image that a training crop keeps; 1: no crops"
    )


class Noop(Frozen):
    """A model of one number on data that cost nothing: it tries a cluster, a store and a schedule before a real one."""

    name: Literal["noop"] = "noop"
    datasets: int = Field(default=4, ge=2, le=1000, description="data sets of the suite, of which half are learnt")


class Subset(Frozen):
    """A part of the test images, drawn once for a whole study, that is scored in place of all of them."""

    share: float = Field(gt=0, lt=1, description="of a data set's test images, 300 and two a class at least")
    seed: int = Field(default=0, ge=0, description="of the draw")

    def size(self, samples: int, classes: int) -> int:
        """Of a data set's test images how many are scored, as in the code of arXiv 2408.14471; of a few all."""
        return min(samples, max(2 * classes, 300, int(self.share * samples)))


def _kind(value: Any) -> str:
    """Which workload a user means, who need not name one that brings a model or data."""
    if isinstance(value, dict):
        return str(value.get("name", "clip" if {"model", "data"} & value.keys() else "pocket"))
    return str(getattr(value, "name", value))


Learnt = Annotated[
    Annotated[Pocket, Tag("pocket")] | Annotated[Clip, Tag("clip")] | Annotated[Noop, Tag("noop")],
    Discriminator(_kind),
]
"""A workload: a model, and the data that it learns from."""


class Stream(Frozen):
    """How the concepts become tasks: an ordering of all adaptation concepts, cut into contiguous chunks."""

    tasks: int = Field(default=6, ge=1, description="updates in the stream")
    ordering: Annotated[str, OneOf(BOTH_WAYS)] = "random"
    embedding: Literal["text", "image"] | None = Field(
        default=None, description="what concepts are alike by, for ordering similarity: text, image"
    )
    start_concept: str | None = Field(
        default=None, description='where the path of ordering similarity starts, as "dataset/concept"; default: drawn'
    )
    steps_factors: str | None = Field(
        default=None, description='factor of the steps in each task, such as "2, 1, 1"; default: all the same'
    )

    @model_validator(mode="before")
    @classmethod
    def _with_embedding(cls, value: Any) -> Any:
        if isinstance(value, dict) and forward(str(value.get("ordering"))) == "similarity":
            return {"embedding": "text", **{key: one for key, one in value.items() if one is not None}}
        return value

    @field_validator("steps_factors")
    @classmethod
    def _canonical_factors(cls, value: str | None) -> str | None:
        return _canonical(value)

    @model_validator(mode="after")
    def _path_of_similarity(self) -> Self:
        for setting in ("embedding", "start_concept"):
            if getattr(self, setting) is not None and not self.is_by_similarity:
                raise FieldError(setting, f"the ordering {self.ordering} has none; it belongs to similarity")
        return self

    @property
    def is_by_similarity(self) -> bool:
        """Whether the ordering is a path through embeddings."""
        return forward(self.ordering) == "similarity"

    @property
    def factors(self) -> tuple[float, ...]:
        """Factor of the steps in each task."""
        return (1.0,) * self.tasks if self.steps_factors is None else _positive(self.steps_factors)

    def steps(self, per_task: int) -> tuple[int, ...]:
        """Steps of each task, one at least."""
        return tuple(max(1, round(per_task * one)) for one in self.factors)

    @model_validator(mode="after")
    def _steps_for_each_task(self) -> Self:
        if len(self.factors) != self.tasks:
            raise FieldError(
                "steps_factors", f"{self.steps_factors} given; one for each of {self.tasks} tasks is needed"
            )
        return self


class TrialConfig(Frozen):
    """One full continual update cycle. A block is (seed, order): the seed of training and the order of the stream."""

    workload: Learnt = Pocket()
    stream: Stream = Stream()
    recipe: Recipe
    timeline: Timeline = timeline("finetune")
    seed: int = Field(default=0, ge=0)
    order: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _a_peak_for_each_task(self) -> Self:
        peaks, tasks = self.recipe.schedule.peak_factors, self.stream.tasks
        if peaks and len(peaks) != tasks:
            raise FieldError("recipe.schedule.peaks", f"{len(peaks)} given; one for each of {tasks} tasks is needed")
        return self

    @model_validator(mode="after")
    def _penalties_can_act(self) -> Self:
        penalty, timeline = self.recipe.method.penalty, self.timeline
        merges_fishers = timeline.rule is not None and timeline.rule.name == "fisher"
        if merges_fishers and not isinstance(penalty, Ewc):
            raise FieldError(
                "timeline.rule",
                "fisher needs Fisher matrices, which updates with the penalty ewc keep; compose it "
                "(penalty: ewc; with strength: 0 it keeps them and pulls nowhere)",
            )
        if penalty is None:
            return self
        if self.recipe.method.adapter is not None and not self.continues_adapters:
            raise FieldError(
                "recipe.method.penalty",
                f"{penalty.name} remembers parameters, and an adapter that is folded after each "
                "task leaves none; use the timeline finetune with lifetime continue, or another method",
            )
        if merges_fishers and self.recipe.method.adapter is not None:
            raise FieldError(
                "timeline.rule",
                "fisher needs Fisher matrices of weights, and an adapter has those of its factors; use "
                "a method without an adapter",
            )
        if penalty.name != "l2init" and timeline.start == "base" and not merges_fishers:
            raise FieldError(
                "recipe.method.penalty",
                f"{penalty.name} would do nothing: with the timeline {timeline.name} every task "
                "starts from the base; use finetune, ema or ft",
            )
        return self

    @property
    def continues_adapters(self) -> bool:
        """An adapter goes on through all tasks instead of being folded after each."""
        return self.timeline.lifetime == "continue"

    @property
    def trial_id(self) -> str:
        """Name of the trial: a hash of the whole config."""
        return digest(self)[:12]

    @property
    def config_id(self) -> str:
        """Name of the config without its block: equal for all repetitions."""
        return digest({name: value for name, value in self if name not in ("seed", "order")})[:12]

    @property
    def block(self) -> str:
        """Name of the block, under which configs are compared in pairs."""
        return f"seed{self.seed}-order{self.order}"
