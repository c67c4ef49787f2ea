"""What a trial is: every value that changes its numbers, validated, frozen, in canonical form.

A `TrialConfig` holds nothing else: device, threads and paths are `Runtime`, and never enter a key. A field exists only
in the variant that it belongs to (`rank` in `LowRank`), or is None where it does not apply (`w` without merging), so a
config has one form.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from trainables.frozen import Frozen, digest
from trainables.merging.timeline import Timeline, timeline
from trainables.methods.method import Ewc, Method, named


class Optimiser(Frozen):
    """AdamW (arXiv 1711.05101), fresh at each task; defaults of arXiv 2408.14471 but for the learning rate."""

    lr: float = Field(default=1e-5, gt=0, description="peak learning rate")
    weight_decay: float = Field(default=0.2, ge=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    eps: float = Field(default=1e-8, gt=0)
    clip_norm: float = Field(default=1.0, gt=0, description="largest norm of the whole gradient")


class Schedule(Frozen):
    """Learning rate over the steps of one task, as factors of the peak."""

    name: Literal["cosine", "constant"] = "cosine"
    warmup: float = Field(default=0.1, ge=0, lt=1, description="share of the steps that warm up linearly")
    final: float = Field(default=1e-3, ge=0, le=1, description="last factor of the cosine")


class Mixture(Frozen):
    """Shares of a batch: pretraining pool, new task, buffer of all earlier tasks."""

    pool: float = Field(default=0.33, ge=0, le=1)
    new: float = Field(default=0.34, gt=0, le=1)
    buffer: float = Field(default=0.33, ge=0, le=1)

    @model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        total = self.pool + self.new + self.buffer
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the shares pool + new + buffer must sum to 1, not {total:g}")
        return self


class Recipe(Frozen):
    """How one update trains: everything but where it starts, its task and its seed."""

    method: Method = named("full")
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    mixture: Mixture = Mixture()
    batch_size: int = Field(default=512, ge=2, description="samples per optimiser step")
    steps: int = Field(ge=1, description="optimiser steps per task")
    precision: Literal["fp32", "bf16"] = Field(default="fp32", description="type of the matrix products in training")
    online_ema: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="weight of the OLD average in an average over steps that becomes the update, such as 0.999",
    )

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
            raise ValueError(
                f"online_ema: it averages weights, and {self.method.name} trains factors, whose averages make other "
                "weights; use a method without an adapter, or a timeline that merges"
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


class Stream(Frozen):
    """How the concepts become tasks: an ordering of all adaptation concepts, cut into contiguous chunks."""

    tasks: int = Field(default=6, ge=1, description="updates in the stream")
    ordering: Literal["random"] = "random"


class TrialConfig(Frozen):
    """One full continual update cycle. A block is (seed, order): the seed of training and the order of the stream."""

    workload: Pocket = Pocket()
    stream: Stream = Stream()
    recipe: Recipe
    timeline: Timeline = timeline("finetune")
    seed: int = Field(default=0, ge=0)
    order: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _penalties_can_act(self) -> Self:
        penalty, timeline = self.recipe.method.penalty, self.timeline
        merges_fishers = timeline.rule is not None and timeline.rule.name == "fisher"
        if merges_fishers and not isinstance(penalty, Ewc):
            raise ValueError(
                "timeline.rule: fisher needs Fisher matrices, which updates with the penalty ewc keep; compose it "
                "(penalty: ewc; with strength: 0 it keeps them and pulls nowhere)"
            )
        if penalty is None:
            return self
        if self.recipe.method.adapter is not None and not self.continues_adapters:
            raise ValueError(
                f"recipe.method.penalty: {penalty.name} remembers parameters, and an adapter that is folded after each "
                "task leaves none; use the timeline finetune with lifetime continue, or another method"
            )
        if merges_fishers and self.recipe.method.adapter is not None:
            raise ValueError(
                "timeline.rule: fisher needs Fisher matrices of weights, and an adapter has those of its factors; use "
                "a method without an adapter"
            )
        if penalty.name != "l2init" and timeline.start == "base" and not merges_fishers:
            raise ValueError(
                f"recipe.method.penalty: {penalty.name} would do nothing: with the timeline {timeline.name} every task "
                "starts from the base; use finetune, ema or ft"
            )
        return self

    @property
    def continues_adapters(self) -> bool:
        """An adapter goes on through all tasks instead of being folded after each."""
        return self.timeline.lifetime == "continue"

    @property
    def trial_id(self) -> str:
        """Name of the trial: a hash of the whole config."""
        return digest(self.canonical())[:12]

    @property
    def config_id(self) -> str:
        """Name of the config without its block: equal for all repetitions."""
        return digest({k: v for k, v in self.canonical().items() if k not in ("seed", "order")})[:12]

    @property
    def block(self) -> str:
        """Name of the block, under which configs are compared in pairs."""
        return f"seed{self.seed}-order{self.order}"
