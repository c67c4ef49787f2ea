"""A method is a value of four parts: what trains x adapter x penalty x projection; named methods are rows of `METHODS`.

A config is read by name, `{name: lora, rank: 8}`, and is then its parts: `ewc` and `full` with the penalty `ewc` are
one value. No part knows what the model is: parts speak of towers, layers and targets that a workload declares.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import Field, field_validator, model_validator
from pydantic.fields import FieldInfo

from trainables.frozen import FieldError, Frozen, suggestion

_Part = TypeVar("_Part", bound=Frozen)

Target = Literal["q", "k", "v", "out", "mlp_in", "mlp_out"]
TARGETS: tuple[Target, ...] = get_args(Target)
_TARGET_GROUPS = {"all": TARGETS, "attention": TARGETS[:4], "mlp": TARGETS[4:]}


def _by_name(*parts: type[_Part]) -> dict[str, type[_Part]]:
    """Types of parts by the names that their configs have."""
    return {name: part for part in parts for name in get_args(part.model_fields["name"].annotation)}


# -- what trains ------------------------------------------------------------------------------------------------------


class Selection(Frozen):
    """Which of the model's own parameters train, by what a workload declares of them; `n` counts transformer blocks.

    Blocks are counted per tower. To freeze blocks freezes nothing else: embeddings and final layers train.
    """

    train: Literal[
        "everything",
        "nothing",
        "norms",
        "biases",
        "all_but_image_tower",
        "all_but_text_tower",
        "all_but_attention",
        "all_but_mlp",
    ] = "everything"


class LayerSelection(Frozen):
    """All parameters but those of the first or the last `n` transformer blocks of every tower."""

    train: Literal["all_but_first_layers", "all_but_last_layers"]
    n: int = Field(default=1, ge=1, description="frozen transformer blocks of every tower")


Trains = Annotated[Selection | LayerSelection, Field(discriminator="train")]

# -- adapters ---------------------------------------------------------------------------------------------------------


class Scope(Frozen):
    """Which layers have an adapter, in a canonical form: parts joined by "+"."""

    targets: str = Field(
        default="all", description=f"adapted layers: all, attention, mlp, or some of {'+'.join(TARGETS)}"
    )
    towers: str = Field(default="all", description="adapted towers: all, or some of the model's, such as image+text")
    layers: str = Field(default="all", description="adapted blocks of every tower: all, or such as 0-2+5")

    @field_validator("targets")
    @classmethod
    def _canonical_targets(cls, value: str) -> str:
        named = [name for part in value.split("+") for name in _TARGET_GROUPS.get(part, (part,))]
        for name in named:
            if name not in TARGETS:
                allowed = ", ".join([*_TARGET_GROUPS, *TARGETS])
                raise ValueError(f"there is no target {name!r}; allowed: {allowed}, joined by +")
        chosen = [target for target in TARGETS if target in named]
        return "all" if len(chosen) == len(TARGETS) else "+".join(chosen)

    @field_validator("towers")
    @classmethod
    def _canonical_towers(cls, value: str) -> str:
        return "+".join(sorted({part.strip() for part in value.split("+")}))

    @field_validator("layers", mode="before")
    @classmethod
    def _canonical_layers(cls, value: object) -> object:
        """One block may be written as a number."""
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


class LowRank(Scope):
    """W + alpha / rank * B A and its kin, by peft.

    lora (arXiv 2106.09685); dora (2402.09353); rslora, whose scale is alpha / sqrt(rank) (2312.03732); pissa, which
    starts from the leading singular vectors (2404.02948); loha and lokr, Hadamard and Kronecker products (2108.06098,
    2212.10650). All six targets are adapted and A starts as in peft; the reference of arXiv 2408.14471 reaches q, k, v
    and mlp_out. `alpha` defaults to the rank: a scale of 1, as in arXiv 2408.14471, whose tables have rank 4.
    """

    name: Literal["lora", "dora", "rslora", "pissa", "loha", "lokr"]
    rank: Rank = 4
    alpha: float | None = Field(default=None, gt=0, description="scale of an adapter times its rank; default: the rank")

    @model_validator(mode="before")
    @classmethod
    def _alpha_is_the_rank(cls, value: Any) -> Any:
        """A default that is written out, so that a config has one form."""
        if not isinstance(value, Mapping) or value.get("alpha") is not None:
            return value
        rank = value.get("rank", 4)
        return {**value, "alpha": float(rank)} if isinstance(rank, int) and rank > 0 else value


class Vera(Scope):
    """W + diag(b) B diag(d) A: b and d train, A and B are random, fixed and shared by all layers (arXiv 2310.11454).

    d starts at 0.1 and b at 0, as in the paper. The reference of arXiv 2408.14471 has them the other way round.
    """

    name: Literal["vera"]
    rank: Rank = 4


class Ia3(Scope):
    """Learnt factors, first 1, of keys, values and the MLP's inner activation (arXiv 2205.05638, section 3.3).

    The optimiser's weight decay pulls factors to 0, as it does all that trains, and so is felt: set it for them.
    """

    name: Literal["ia3"]
    targets: str = Field(default="k+v+mlp_out", description=Scope.model_fields["targets"].description)


class Oft(Scope):
    """W times a block-diagonal rotation, by five terms of Cayley's series as in peft (arXiv 2306.07280)."""

    name: Literal["oft"]
    block_size: int = Field(
        default=16, ge=2, description="width of a block of OFT's rotation; divides a layer's inputs"
    )


class FourierFt(Scope):
    """W + scaling * inverse Fourier transform of a sparse spectrum (arXiv 2405.03003); the spectrum starts at 0.

    Its paper starts from a random spectrum and uses 1000 frequencies at width 768; at 0 the model is unchanged.
    """

    name: Literal["fourierft"]
    frequencies: int = Field(default=200, ge=1, description="learnt Fourier coefficients of a layer")
    scaling: float = Field(default=150.0, gt=0, description="factor of FourierFT's update")


class Peft(Scope):
    """Any adapter of peft by its type, with its own arguments, for what has no row here (MiSS is arXiv 2409.15371)."""

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

# -- penalties: coefficient * sum of importance * (theta - anchor)^2 ---------------------------------------------------

Strength = Annotated[float, Field(ge=0, description="factor of the penalty")]


class Ewc(Frozen):
    """Online EWC (arXiv 1612.00796, eq. 3; 1805.06370): strength / 2 * sum of F * (theta - theta_start)^2.

    Where weights merge, F is that of the update before its merge, and theta_start is the merged start of the task.
    F is the diagonal of the empirical Fisher matrix of batches, as in the reference of arXiv 2408.14471: the squared
    gradient of the loss of a batch, averaged over batches, after each task; F_t = gamma * F_(t-1) + F. It is taken
    from the task's own mixture and at the learnt temperature, on `fisher_samples` samples, and never on more than the
    task trained on. gamma = 1 and the samples are the reference's; its strength of 1 leaves the penalty without effect
    (F is about 1e-5 here), so the default strength is ours.
    """

    name: Literal["ewc"]
    strength: Strength = 1e4
    gamma: float = Field(default=1.0, ge=0, le=1, description="how much of the earlier Fisher matrix EWC keeps")
    fisher_samples: int = Field(default=50_000, ge=1, description="samples of the Fisher matrix, after each task")

    def fisher_batches(self, *, batch_size: int, steps: int) -> int:
        """Batches of the Fisher matrix of a task."""
        return min(-(-self.fisher_samples // batch_size), steps)


class Si(Frozen):
    """Synaptic intelligence (arXiv 1703.04200, eqs. 3-5): strength * sum of Omega * (theta - theta_start)^2.

    omega = - sum over steps of gradient * move, with the gradient of the loss alone and the move that the optimiser
    really made; Omega grows by max(omega, 0) / (move over the task ^ 2 + xi). The paper takes strengths of 0.1 and 1.
    Its xi of 0.1 and 1e-3 is far above the squared moves of fine-tuning (1e-8 to 1e-4) and switches the penalty off, so
    the default xi is ours.
    """

    name: Literal["si"]
    strength: Strength = 0.1
    xi: float = Field(default=1e-7, gt=0, description="damping of SI, in squared moves of a weight")


class L2Init(Frozen):
    """A pull to the pretrained weights (arXiv 2308.11958, eq. 1): strength * sum of (theta - theta_0)^2.

    The default is ours; the paper, which trains for longer, takes strengths between 1e-5 and 1e-2.
    """

    name: Literal["l2init"]
    strength: Strength = 0.1


Penalty = Annotated[Ewc | Si | L2Init, Field(discriminator="name")]
PENALTIES = _by_name(Ewc, Si, L2Init)

# -- projection of the gradient ----------------------------------------------------------------------------------------


class Galore(Frozen):
    """AdamW on gradients projected to `rank` dimensions, for every 2-D weight (arXiv 2403.03507, algorithm 2).

    Defaults are those of the reference of arXiv 2408.14471. A weight whose smaller side is at most the rank has
    nothing to project and trains by plain AdamW, as all others do. The projector is made anew at each task.
    """

    name: Literal["galore"]
    rank: Rank = 8
    gap: int = Field(default=200, ge=1, description="steps between two projectors of GaLore")
    scale: float = Field(default=2.0, gt=0, description="factor of GaLore's update")
    side: Literal["std", "reverse_std", "left", "right", "full"] = Field(
        default="std",
        description="side that GaLore projects: std (shorter), reverse_std, left (rows), right, full (both)",
    )


PROJECTIONS = _by_name(Galore)

# -- methods -----------------------------------------------------------------------------------------------------------


class Method(Frozen):
    """One way of training."""

    trains: Trains = Selection()
    adapter: Adapter | None = None
    penalty: Penalty | None = None
    projection: Galore | None = None
    logit_scale: bool = Field(
        default=True, description="whether the temperature trains, whatever else does: true, false"
    )

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return _parts(value) if isinstance(value, Mapping) and "name" in value else value

    @model_validator(mode="after")
    def _composes(self) -> Self:
        if self.row is None:
            raise ValueError("no method trains parameters of the model beside an adapter; write it by its name")
        if self.adapter is not None and self.projection is not None:
            raise FieldError(
                "projection", "galore projects gradients of the model's weights, and an adapter freezes these"
            )
        if self.is_frozen and (self.penalty or self.projection or self.logit_scale):
            raise ValueError("zeroshot trains nothing: no penalty, projection or logit scale has a meaning beside it")
        return self

    @property
    def row(self) -> str | None:
        """The row of `METHODS` with this selection and adapter, whatever penalty and projection say."""
        adapter = None if self.adapter is None else self.adapter.name
        found = (name for name, row in METHODS.items() if (row.train, row.adapter) == (self.trains.train, adapter))
        return next(found, None)

    @property
    def name(self) -> str:
        """The row that says most: `full` with a projection or a penalty is called by that."""
        assert self.row is not None  # validated
        other = self.projection or self.penalty
        return self.row if self.row != "full" or other is None else other.name

    @property
    def is_frozen(self) -> bool:
        """Nothing trains: the zero-shot model."""
        return self.adapter is None and self.trains.train == "nothing"

    def flat(self) -> dict[str, str | int | float | bool]:
        """Name and hyperparameters as `_parts` reads them; penalty and projection only where they are composed."""
        values: dict[str, str | int | float | bool] = {"name": self.name}
        for place in ("trains", "adapter", "penalty", "projection"):
            part = getattr(self, place)
            if part is None:
                continue
            if place in COMPOSED and part.name != self.name:
                values[place] = part.name
            values |= {key: value for key, value in part if key not in _TAGS}
        return values if self.is_frozen else {**values, "logit_scale": self.logit_scale}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A named method: its name and group as reports show them, its parts, and the arXiv id of where it comes from."""

    name: str
    group: Literal["full", "nothing trained", "selective", "adapter", "projected", "penalised"]
    meaning: str
    source: str
    train: str = "everything"
    adapter: str | None = None
    penalty: str | None = None
    projection: str | None = None
    logit_scale: bool = True


def _selective(name: str, meaning: str, source: str, train: str, *, logit_scale: bool = True) -> Row:
    return Row(name=name, group="selective", meaning=meaning, source=source, train=train, logit_scale=logit_scale)


def _adapters(found: Mapping[str, tuple[str, str, str]]) -> dict[str, Row]:
    return {
        adapter: Row(
            name=name,
            group="adapter",
            meaning=meaning,
            source=source,
            train="nothing",
            adapter=adapter,
            logit_scale=False,
        )
        for adapter, (name, meaning, source) in found.items()
    }


def _penalised(penalty: str, name: str, meaning: str, source: str) -> Row:
    return Row(name=name, group="penalised", meaning=meaning, source=source, penalty=penalty)


METHODS: dict[str, Row] = {
    "full": Row(name="full fine-tuning", group="full", meaning="every parameter, by AdamW", source="2408.14471"),
    "zeroshot": Row(
        name="zero-shot",
        group="nothing trained",
        meaning="no training: the base model",
        source="2408.14471",
        train="nothing",
        logit_scale=False,
    ),
    "lnfit": _selective("LNFit", "layer norms", "2408.14471", "norms", logit_scale=False),
    "bitfit": _selective("BitFit", "biases", "2106.10199", "biases", logit_scale=False),
    "locked_image": _selective("locked image", "all but the image tower", "2111.07991", "all_but_image_tower"),
    "locked_text": _selective(
        "locked text", "all but the text tower", "2408.14471", "all_but_text_tower", logit_scale=False
    ),
    "freeze_first_layers": _selective(
        "freeze first layers", "all but the first n blocks", "2401.03129", "all_but_first_layers"
    ),
    "freeze_last_layers": _selective(
        "freeze last layers", "all but the last n blocks", "2401.03129", "all_but_last_layers"
    ),
    "freeze_attention": _selective("freeze attention", "all but attention", "2401.03129", "all_but_attention"),
    "freeze_mlp": _selective("freeze MLP", "all but the MLPs", "2401.03129", "all_but_mlp"),
    **_adapters(
        {
            "lora": ("LoRA", "low-rank adaptation", "2106.09685"),
            "dora": ("DoRA", "LoRA of directions, and magnitudes", "2402.09353"),
            "vera": ("VeRA", "scales of random low-rank matrices", "2310.11454"),
            "ia3": ("(IA)3", "factors of keys, values, activations", "2205.05638"),
            "rslora": ("rsLoRA", "LoRA scaled by 1 / sqrt(rank)", "2312.03732"),
            "pissa": ("PiSSA", "LoRA from leading singular vectors", "2404.02948"),
            "oft": ("OFT", "block-diagonal rotations", "2306.07280"),
            "loha": ("LoHa", "low-rank Hadamard products", "2108.06098"),
            "lokr": ("LoKr", "Kronecker products", "2212.10650"),
            "fourierft": ("FourierFT", "sparse Fourier spectra", "2405.03003"),
            "peft": ("PEFT", "any adapter of peft by its type", "2409.15371"),
        }
    ),
    "galore": Row(
        name="GaLore",
        group="projected",
        meaning="every parameter, low-rank gradients",
        source="2403.03507",
        projection="galore",
    ),
    "ewc": _penalised("ewc", "EWC", "pull to the start by Fisher", "1612.00796"),
    "si": _penalised("si", "SI", "pull to the start by path integral", "1703.04200"),
    "l2init": _penalised("l2init", "L2 init", "pull to the pretrained weights", "2308.11958"),
}
"""The named methods. A penalty or a projection can also be composed with any of them."""

_ADAPTERS = _by_name(LowRank, Vera, Ia3, Oft, FourierFt, Peft)
COMPOSED = {"penalty": tuple(PENALTIES), "projection": tuple(PROJECTIONS)}
"""Parts that can be added to a named method, with their names."""


def named(name: str, **values: object) -> Method:
    """The method of a row of `METHODS` with these hyperparameters.

    Raises:
        ValueError: an unknown name or hyperparameter, or a value that is not allowed.
    """
    return Method.model_validate({"name": name, **values})


def part_types(name: str, *, penalty: str | None = None, projection: str | None = None) -> dict[str, type[Frozen]]:
    """The parts of a method with something to set, by their place in `Method`."""
    row = METHODS[name]
    layers = row.train in ("all_but_first_layers", "all_but_last_layers")
    penalty, projection = penalty or row.penalty, projection or row.projection
    parts: dict[str, type[Frozen]] = {"trains": LayerSelection if layers else Selection}
    parts |= {"adapter": _ADAPTERS[row.adapter]} if row.adapter else {}
    parts |= {"penalty": PENALTIES[penalty]} if penalty else {}
    return parts | ({"projection": PROJECTIONS[projection]} if projection else {})


def hyperparameters(name: str, *, penalty: str | None = None, projection: str | None = None) -> dict[str, FieldInfo]:
    """What can be set of a method, by name."""
    parts = part_types(name, penalty=penalty, projection=projection)
    fields = {key: info for part in parts.values() for key, info in part.model_fields.items()}
    own = {key: info for key, info in fields.items() if key not in _TAGS}
    return own if name == "zeroshot" else {**own, "logit_scale": Method.model_fields["logit_scale"]}


_TAGS = ("name", "train")


def _parts(value: Mapping[str, Any]) -> dict[str, Any]:
    """From a name and flat hyperparameters to the parts of a method."""
    values = {key: given for key, given in value.items() if not (key in COMPOSED and given in (None, "none"))}
    name = values.pop("name")
    if name not in METHODS:
        raise FieldError("name", f"{name!r} is unknown; {suggestion(name, METHODS)}allowed: {', '.join(METHODS)}")
    row = METHODS[name]
    composed = {key: values.pop(key) for key in COMPOSED if key in values}
    for key, given in composed.items():
        if given not in COMPOSED[key]:
            meant = suggestion(given, COMPOSED[key])
            raise FieldError(key, f"{given!r} is unknown; {meant}allowed: none, {', '.join(COMPOSED[key])}")
        if getattr(row, key) not in (None, given):
            raise FieldError(key, f"{given!r} given, but {name} is a {key} itself; compose it with another method")
    types = part_types(name, **composed)
    allowed = hyperparameters(name, **composed)
    for key in values:
        if key not in allowed:
            meant = suggestion(key, allowed)
            raise FieldError(key, f"unknown for {name}; {meant}allowed: {', '.join([*allowed, *COMPOSED])}")
    names = {"adapter": row.adapter, "penalty": row.penalty, "projection": row.projection, **composed}
    parts: dict[str, Any] = {"logit_scale": values.pop("logit_scale", row.logit_scale)}
    for place, kind in types.items():
        tag = {"train": row.train} if place == "trains" else {"name": names[place]}
        parts[place] = {**{key: given for key, given in values.items() if key in kind.model_fields}, **tag}
    return parts


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
