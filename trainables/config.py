"""The config of a trial: every value that changes its numbers, validated, frozen, in canonical form.

Device, threads and paths are `Runtime`, and never enter a key. Each part of a trial has its settings beside its code
(`methods.parts`, `schedules`, `streams`, `merging`); here they are put together. A field exists only in its own variant
(`rank` in `LowRank`), or is None where it does not apply (`w` without merging), so a config has one form.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from trainables.frozen import FieldError, Frozen, digest
from trainables.merging.timeline import Timeline, timeline
from trainables.methods.method import Method, named
from trainables.methods.parts import Ewc, Optimiser
from trainables.schedules import Schedule
from trainables.streams.mixture import Mixture
from trainables.streams.orderings import Stream
from trainables.workloads.catalogue import AnyWorkload
from trainables.workloads.pocket.settings import Pocket

Precision = Literal["fp32", "bf16"]


class Recipe(Frozen):
    """The recipe of an update: all that shapes its training but the start, the task and the seed."""

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
        """The recipe that one task sees (from 1): its own steps and peak, and a buffer only where it holds samples."""
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
        """Forward and backward passes after the steps of a task, which a penalty may need, such as EWC."""
        penalty = self.method.penalty
        return 0 if penalty is None else penalty.extra_batches(batch_size=self.batch_size, steps=self.steps)

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


class TrialConfig(Frozen):
    """One full continual update cycle. A block is (seed, order): the seed of training and the order of the stream."""

    workload: AnyWorkload = Pocket()
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
        if penalty.keeps and timeline.start == "base" and not merges_fishers:
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
        return digest({name: value for name, value in self.named_by().items() if name not in ("seed", "order")})[:12]

    @property
    def block(self) -> str:
        """Name of the block, under which configs are compared in pairs."""
        return f"seed{self.seed}-order{self.order}"
