"""What a trial is: every value that changes its numbers, validated, frozen, in canonical form.

A `TrialConfig` holds nothing else: device, threads and paths are `Runtime`, and never enter a key. A field exists only
in the variant that it belongs to (`rank` in `Lora`, `w` in the timelines that merge), so a config has one form.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator


class ConfigError(ValueError):
    """A config that cannot be used; the message names the key, what was given and what is allowed."""


class Frozen(BaseModel):
    """Base of all configs: immutable, no unknown keys, no coercion of strings to numbers, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def canonical(self) -> dict[str, Any]:
        """The config as JSON values, with every default spelled out."""
        return self.model_dump(mode="json")


# -- what trains ------------------------------------------------------------------------------------------------------


class Full(Frozen):
    """Full fine-tuning: every parameter, both towers and the logit scale."""

    name: Literal["full"] = "full"


class Lora(Frozen):
    """Low-rank adaptation (arXiv 2106.09685) of all attention and MLP layers of both towers.

    W + alpha / rank * B A. The adapter is folded into the weights after each task, and the next task begins a fresh
    one. `alpha` defaults to the rank: a scale of 1, as in arXiv 2408.14471.
    """

    name: Literal["lora"] = "lora"
    rank: int = Field(ge=1, description="inner width of the update B A")
    alpha: float | None = Field(default=None, gt=0, description="scale is alpha / rank; default: the rank")

    @model_validator(mode="before")
    @classmethod
    def _alpha_is_the_rank(cls, value: Any) -> Any:
        """A default that is written out, so that a config has one form."""
        rank = value.get("rank") if isinstance(value, Mapping) and value.get("alpha") is None else None
        return {**value, "alpha": float(rank)} if isinstance(rank, int) and rank > 0 else value


Method = Annotated[Full | Lora, Field(discriminator="name")]
METHODS: dict[str, type[Full | Lora]] = {"full": Full, "lora": Lora}


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

    method: Method = Full()
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    mixture: Mixture = Mixture()
    batch_size: int = Field(default=512, ge=2, description="samples per optimiser step")
    steps: int = Field(ge=1, description="optimiser steps per task")
    precision: Literal["fp32", "bf16"] = Field(default="fp32", description="type of the matrix products in training")

    @model_validator(mode="after")
    def _new_samples_in_each_batch(self) -> Self:
        if self.mixture.new * self.batch_size < 1:
            raise ValueError(
                f"a batch of {self.batch_size} with a share of {self.mixture.new:g} has no sample of the new task; "
                "raise batch_size or the share of new"
            )
        return self


# -- what starts and what is served ------------------------------------------------------------------------------------


class Finetune(Frozen):
    """Each task starts from the last weights, which are also served."""

    name: Literal["finetune"] = "finetune"


class Merging(Frozen):
    """A timeline that merges: w weighs the OLD weights, theta = w * old + (1 - w) * new."""

    name: Literal["ema", "ft", "zs"]
    rule: Literal["lerp"] = "lerp"
    w: float = Field(ge=0, le=1, description="weight of the old weights")


Timeline = Annotated[Finetune | Merging, Field(discriminator="name")]
TIMELINES: dict[str, type[Finetune | Merging]] = {"finetune": Finetune, "ema": Merging, "ft": Merging, "zs": Merging}


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
    timeline: Timeline = Finetune()
    seed: int = Field(default=0, ge=0)
    order: int = Field(default=0, ge=0)

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


# -- reading -----------------------------------------------------------------------------------------------------------


_Model = TypeVar("_Model", bound=BaseModel)


def digest(value: object) -> str:
    """SHA-256 in hex of a JSON value in canonical form (sorted keys, no spaces, shortest floats)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def parse(model: type[_Model], value: object, *, source: str) -> _Model:
    """Validate `value` as `model`; raise ConfigError that names each wrong key of `source`."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(model, error, source))) from error


def _explain(model: type[BaseModel], error: ValidationError, source: str) -> Iterator[str]:
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"] if not _is_variant(part)) or "the whole document"
        given = problem["input"]
        if problem["type"] == "extra_forbidden":
            allowed = ", ".join(_fields_at(model, problem["loc"][:-1]))
            yield f"{source}: {where}: unknown key; allowed here: {allowed}"
        elif problem["type"] == "missing":
            yield f"{source}: {where}: missing; it has no default"
        elif problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
            context = problem.get("ctx", {})
            name = given.get("name") if isinstance(given, Mapping) else given
            tags = context.get("expected_tags", "an object with a key 'name'")
            yield f"{source}: {where}.name: {name!r} is unknown; allowed: {tags}"
        else:
            message = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
            shown = "" if isinstance(given, Mapping) else f"{given!r} given; "
            yield f"{source}: {where}: {shown}{_allowed(problem['type'], message)}"


def _allowed(kind: str, message: str) -> str:
    return message if kind == "value_error" else f"allowed: {message}"


def _is_variant(part: object) -> bool:
    """Pydantic puts the chosen variant of a union into the location; it is no key that the user wrote."""
    return part in {*METHODS, *TIMELINES}


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Keys allowed at a location of `model`, for the message about one that is not."""
    schema = model.model_json_schema()
    node: dict[str, Any] = schema
    for part in location:
        node = _resolve(schema, node)
        if isinstance(part, int):
            node = node.get("items", {})
        elif part in node.get("discriminator", {}).get("mapping", {}):
            node = {"$ref": node["discriminator"]["mapping"][part]}
        else:
            node = node.get("properties", {}).get(part) or node.get("additionalProperties") or {}
    return sorted(_resolve(schema, node).get("properties", {}))


def _resolve(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    target: dict[str, Any] = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return target
