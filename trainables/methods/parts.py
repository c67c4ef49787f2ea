"""The parts of a method, each with its settings: what trains, an adapter, a penalty, a projection, and the optimiser.

No part knows what the model is: parts speak of towers, layers and targets that a workload declares. An adapter, a
penalty or a projection says itself how it is called and what it does; the tables of parts, and the methods that bear
the name of a part, are read from that.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, field_validator, model_validator

from trainables.frozen import Frozen
from trainables.workloads.anatomy import Target


@dataclass(frozen=True, kw_only=True)
class Described:
    """The description of a method that bears the name of a part.

    Attributes:
        title: as reports show it.
        meaning: what it does, in a few words.
        source: arXiv id of the paper that it comes from.
    """

    title: str
    meaning: str
    source: str


def _by_name(union: object) -> dict[str, Any]:
    """The variants of a union, or the one class, under each of the names that they say they have."""
    variants = get_args(get_args(union)[0]) if get_args(union) else (union,)
    return {name: kind for kind in variants for name in get_args(kind.model_fields["name"].annotation)}


TARGETS: tuple[Target, ...] = get_args(Target)
_TARGET_GROUPS = {"all": TARGETS, "attention": TARGETS[:4], "mlp": TARGETS[4:]}

# -- what trains ------------------------------------------------------------------------------------------------------


class Selection(Frozen):
    """The selection of the model's own parameters that train, by the anatomy that a workload declares."""

    train: Literal[
        "everything",
        "nothing",
        "attention",
        "biases",
        "embeddings",
        "heads",
        "mlp",
        "norms",
        "all_but_attention",
        "all_but_biases",
        "all_but_embeddings",
        "all_but_heads",
        "all_but_mlp",
        "all_but_norms",
        "all_but_image_tower",
        "all_but_text_tower",
    ] = "everything"


class LayerSelection(Frozen):
    """All parameters but those of the first or the last `n` transformer blocks of every tower.

    Nothing else is frozen: embeddings and final layers train.
    """

    train: Literal["all_but_first_layers", "all_but_last_layers"]
    n: int = Field(default=1, ge=1, description="frozen transformer blocks of every tower")


Trains = Annotated[Selection | LayerSelection, Field(discriminator="train")]

# -- adapters ---------------------------------------------------------------------------------------------------------


class Scope(Frozen):
    """The layers that have an adapter, in a canonical form: parts joined by "+"."""

    targets: str = Field(
        default="all", description=f"adapted layers: all, attention, mlp, or some of {'+'.join(TARGETS)}"
    )
    towers: str = Field(default="all", description="adapted towers: all, or some of the model's, such as image+text")
    layers: str = Field(default="all", description="adapted blocks of every tower: all, or such as 0-2+5")

    @field_validator("targets")
    @classmethod
    def _canonical_targets(cls, value: str) -> str:
        names = [name for part in value.split("+") for name in _TARGET_GROUPS.get(part, (part,))]
        for name in names:
            if name not in TARGETS:
                allowed = ", ".join([*_TARGET_GROUPS, *TARGETS])
                raise ValueError(f"there is no target {name!r}; allowed: {allowed}, joined by +")
        chosen = [target for target in TARGETS if target in names]
        return "all" if len(chosen) == len(TARGETS) else "+".join(chosen)

    @field_validator("towers")
    @classmethod
    def _canonical_towers(cls, value: str) -> str:
        return "+".join(sorted({part.strip() for part in value.split("+")}))

    @field_validator("layers", mode="before")
    @classmethod
    def _canonical_layers(cls, value: object) -> object:
        """Accept one block as a number, too."""
        text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else repr(value)
        return text if text == "all" else _runs(_numbers(text))

    @property
    def target_names(self) -> tuple[str, ...]:
        """The targets one by one."""
        return TARGETS if self.targets == "all" else tuple(self.targets.split("+"))

    @property
    def layer_numbers(self) -> tuple[int, ...] | None:
        """The blocks one by one; None for all."""
        return None if self.layers == "all" else tuple(sorted(_numbers(self.layers)))


Rank = Annotated[int, Field(ge=1, description="rank of an adapter, or of GaLore's projected gradients")]


@dataclass(frozen=True, kw_only=True)
class LowRankRow(Described):
    """A low-rank adapter of peft.

    Attributes:
        peft_type: type of the adapter.
        arguments: of peft's own config, beside the layers, the rank and alpha.
    """

    peft_type: Literal["LORA", "LOHA", "LOKR"] = "LORA"
    arguments: Mapping[str, str | bool] = field(default_factory=dict)


LOW_RANK: dict[str, LowRankRow] = {
    "lora": LowRankRow(title="LoRA", meaning="low-rank adaptation", source="2106.09685"),
    "dora": LowRankRow(
        title="DoRA",
        meaning="LoRA of directions, and magnitudes",
        source="2402.09353",
        arguments={"use_dora": True},
    ),
    "rslora": LowRankRow(
        title="rsLoRA", meaning="LoRA scaled by 1 / sqrt(rank)", source="2312.03732", arguments={"use_rslora": True}
    ),
    "pissa": LowRankRow(
        title="PiSSA",
        meaning="LoRA from leading singular vectors",
        source="2404.02948",
        arguments={"init_lora_weights": "pissa"},
    ),
    "loha": LowRankRow(title="LoHa", meaning="low-rank Hadamard products", source="2108.06098", peft_type="LOHA"),
    "lokr": LowRankRow(title="LoKr", meaning="Kronecker products", source="2212.10650", peft_type="LOKR"),
}

if TYPE_CHECKING:
    LowRankName = str  # mypy knows no literals that are made of a table, and pydantic tells adapters apart by literals
else:
    LowRankName = Literal[tuple(LOW_RANK)]


class LowRank(Scope):
    """W + alpha / rank * B A and its kin, by peft; the name is a row of `LOW_RANK`.

    All six targets are adapted and A starts as in peft; the reference of arXiv 2408.14471 reaches q, k, v and mlp_out.
    `alpha` defaults to the rank: a scale of 1, as in arXiv 2408.14471, whose tables have rank 4.
    """

    name: LowRankName
    rank: Rank = 4
    alpha: float | None = Field(default=None, gt=0, description="scale of an adapter times its rank; default: the rank")

    @model_validator(mode="before")
    @classmethod
    def _alpha_is_the_rank(cls, value: Any) -> Any:
        """Write the default out, so that a config has one form."""
        if not isinstance(value, Mapping) or value.get("alpha") is not None:
            return value
        rank = value.get("rank", 4)
        return {**value, "alpha": float(rank)} if isinstance(rank, int) and rank > 0 else value


class Vera(Scope):
    """W + diag(b) B diag(d) A: b and d train, A and B are random, fixed and shared by all layers (arXiv 2310.11454).

    d starts at 0.1 and b at 0, as in the paper. The reference of arXiv 2408.14471 has them the other way round.
    """

    described: ClassVar[Described] = Described(
        title="VeRA", meaning="scales of random low-rank matrices", source="2310.11454"
    )

    name: Literal["vera"]
    rank: Rank = 4


class Ia3(Scope):
    """Learnt factors, first 1, of keys, values and the MLP's inner activation (arXiv 2205.05638, section 3.3).

    The optimiser's weight decay pulls factors to 0, as it does all that trains, and so is felt: set it for them.
    """

    described: ClassVar[Described] = Described(
        title="(IA)3", meaning="factors of keys, values, activations", source="2205.05638"
    )

    name: Literal["ia3"]
    targets: str = Field(default="k+v+mlp_out", description=Scope.model_fields["targets"].description)


class Oft(Scope):
    """W times a block-diagonal rotation, by five terms of Cayley's series as in peft (arXiv 2306.07280)."""

    described: ClassVar[Described] = Described(title="OFT", meaning="block-diagonal rotations", source="2306.07280")

    name: Literal["oft"]
    block_size: int = Field(
        default=16, ge=2, description="width of a block of OFT's rotation; divides a layer's inputs"
    )


class FourierFt(Scope):
    """W + scaling * inverse Fourier transform of a sparse spectrum (arXiv 2405.03003); the spectrum starts at 0.

    Its paper starts from a random spectrum and uses 1000 frequencies at width 768; at 0 the model is unchanged.
    """

    described: ClassVar[Described] = Described(title="FourierFT", meaning="sparse Fourier spectra", source="2405.03003")

    name: Literal["fourierft"]
    frequencies: int = Field(default=200, ge=1, description="learnt Fourier coefficients of a layer")
    scaling: float = Field(default=150.0, gt=0, description="factor of FourierFT's update")


class Peft(Scope):
    """Any adapter of peft by its type, with its own arguments, for what has no row here (MiSS is arXiv 2409.15371)."""

    described: ClassVar[Described] = Described(
        title="PEFT", meaning="any adapter of peft by its type", source="2409.15371"
    )

    name: Literal["peft"]
    peft_type: str = Field(default="MISS", description="type of a peft adapter, such as MISS, HRA or RANDLORA")
    arguments: str = Field(default="{}", description="arguments of peft's own config, as a mapping")

    @field_validator("peft_type")
    @classmethod
    def _upper_case(cls, value: str) -> str:
        return value.upper()

    @field_validator("arguments", mode="before")
    @classmethod
    def _canonical_arguments(cls, value: object) -> object:
        """JSON with sorted keys; tables and hashes need one form."""
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError as error:
                raise ValueError(f"not JSON ({error}); a mapping of arguments is needed") from error
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            raise ValueError("a mapping of arguments by name is needed, such as {r: 4}")
        try:
            return json.dumps(dict(value), sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"arguments are numbers, texts, true or false, and lists of them ({error})") from error


Adapter = Annotated[LowRank | Vera | Ia3 | Oft | FourierFt | Peft, Field(discriminator="name")]
ADAPTERS: dict[str, type[Scope]] = _by_name(Adapter)


def described(name: str, kind: type[Any]) -> Described:
    """The description of a method that bears the name of this kind of part."""
    row: Described = LOW_RANK[name] if kind is LowRank else kind.described
    return row


# -- penalties: coefficient * sum of importance * (theta - anchor)^2 ---------------------------------------------------

Strength = Annotated[float, Field(ge=0, description="factor of the penalty")]


class AnyPenalty(Frozen):
    """The settings of a penalty, and what all penalties say of themselves to plans, costs and the training loop.

    Attributes:
        copies: how many numbers the penalty holds for each parameter that trains, for the memory of a step.
        keeps: whether a stored update also carries what the penalty remembers of it, without which it pulls nowhere.
        needs_base: whether it pulls to the pretrained weights.
        described: the penalty as a method of its own.
    """

    copies: ClassVar[int]
    keeps: ClassVar[bool]
    needs_base: ClassVar[bool] = False
    described: ClassVar[Described]

    def extra_batches(self, *, batch_size: int, steps: int) -> int:  # noqa: ARG002 (of a penalty that needs some)
        """The number of batches on which gradients are taken for the penalty alone, after the steps of a task."""
        return 0


class Ewc(AnyPenalty):
    """Online EWC (arXiv 1612.00796, eq. 3; 1805.06370): strength / 2 * sum of F * (theta - theta_start)^2.

    Where weights merge, F is that of the update before its merge, and theta_start is the merged start of the task.
    F is the diagonal of the empirical Fisher matrix of batches, as in the reference of arXiv 2408.14471: the squared
    gradient of the loss of a batch, averaged over batches, after each task; F_t = gamma * F_(t-1) + F. It is taken
    from the task's own mixture and at the learnt temperature, on `fisher_samples` samples, and never on more than the
    task trained on. gamma = 1 and the samples are the reference's; its strength of 1 leaves the penalty without effect
    (F is about 1e-5 here), so the default strength is ours.
    """

    copies: ClassVar[int] = 3  # its anchor, Fisher matrix and squares
    keeps: ClassVar[bool] = True
    described: ClassVar[Described] = Described(title="EWC", meaning="pull to the start by Fisher", source="1612.00796")

    name: Literal["ewc"]
    strength: Strength = 1e4
    gamma: float = Field(default=1.0, ge=0, le=1, description="how much of the earlier Fisher matrix EWC keeps")
    fisher_samples: int = Field(default=50_000, ge=1, description="samples of the Fisher matrix, after each task")

    def extra_batches(self, *, batch_size: int, steps: int) -> int:
        """The number of batches that the Fisher matrix of a task is taken from."""
        return min(-(-self.fisher_samples // batch_size), steps)


class Si(AnyPenalty):
    """Synaptic intelligence (arXiv 1703.04200, eqs. 3-5): strength * sum of Omega * (theta - theta_start)^2.

    omega = - sum over steps of gradient * move, with the gradient of the loss alone and the move that the optimiser
    really made; Omega grows by max(omega, 0) / (move over the task ^ 2 + xi). The paper takes strengths of 0.1 and 1.
    Its xi of 0.1 and 1e-3 is far above the squared moves of fine-tuning (1e-8 to 1e-4) and switches the penalty off, so
    the default xi is ours.
    """

    copies: ClassVar[int] = 5  # its anchor, importance and path integral, and gradient and weights before a step
    keeps: ClassVar[bool] = True
    described: ClassVar[Described] = Described(
        title="SI", meaning="pull to the start by path integral", source="1703.04200"
    )

    name: Literal["si"]
    strength: Strength = 0.1
    xi: float = Field(default=1e-7, gt=0, description="damping of SI, in squared moves of a weight")


class L2Init(AnyPenalty):
    """A pull to the pretrained weights (arXiv 2308.11958, eq. 1): strength * sum of (theta - theta_0)^2.

    The default is ours; the paper, which trains for longer, takes strengths between 1e-5 and 1e-2.
    """

    copies: ClassVar[int] = 1  # the pretrained weights
    keeps: ClassVar[bool] = False
    needs_base: ClassVar[bool] = True
    described: ClassVar[Described] = Described(
        title="L2 init", meaning="pull to the pretrained weights", source="2308.11958"
    )

    name: Literal["l2init"]
    strength: Strength = 0.1


Penalty = Annotated[Ewc | Si | L2Init, Field(discriminator="name")]
PENALTIES: dict[str, type[AnyPenalty]] = _by_name(Penalty)

# -- projection of the gradient ----------------------------------------------------------------------------------------


class Galore(Frozen):
    """AdamW on gradients projected to `rank` dimensions, for every 2-D weight (arXiv 2403.03507, algorithm 2).

    Defaults are those of the reference of arXiv 2408.14471. A weight whose smaller side is at most the rank has
    nothing to project and trains by plain AdamW, as all others do. The projector is made anew at each task.
    """

    described: ClassVar[Described] = Described(
        title="GaLore", meaning="every parameter, low-rank gradients", source="2403.03507"
    )

    name: Literal["galore"]
    rank: Rank = 8
    gap: int = Field(default=200, ge=1, description="steps between two projectors of GaLore")
    scale: float = Field(default=2.0, gt=0, description="factor of GaLore's update")
    side: Literal["std", "reverse_std", "left", "right", "full"] = Field(
        default="std",
        description="side that GaLore projects: std (shorter), reverse_std, left (rows), right, full (both)",
    )


PROJECTIONS: dict[str, type[Galore]] = _by_name(Galore)

# -- optimiser ---------------------------------------------------------------------------------------------------------


class Optimiser(Frozen):
    """AdamW (arXiv 1711.05101), fresh at each task; defaults of arXiv 2408.14471 but for the learning rate."""

    lr: float = Field(default=1e-5, gt=0, description="peak learning rate")
    weight_decay: float = Field(default=0.2, ge=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    eps: float = Field(default=1e-8, gt=0)
    clip_norm: float = Field(default=1.0, gt=0, description="largest norm of the whole gradient")


# -- blocks as text: 0-2+5 ---------------------------------------------------------------------------------------------


def _numbers(text: str) -> set[int]:
    found: set[int] = set()
    for part in text.split("+"):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if match is None or int(match[1]) > int(match[2] or match[1]):
            raise ValueError(f"{text!r} names no blocks; allowed: all, or numbers from 0 and ranges, such as 0-2+5")
        found |= set(range(int(match[1]), int(match[2] or match[1]) + 1))
    return found


def _runs(numbers: set[int]) -> str:
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return "+".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
