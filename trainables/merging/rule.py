"""A merge rule as a value: a row of `ROWS` with its settings. TIES, DARE and the like are sparsify x consensus x scale.

    theta = base + scale * consensus(sparsify(theta_1 - base), ..., sparsify(theta_k - base))

Rules that need no base (weighted average, SLERP, Fisher) combine the weights themselves. `merge` computes them.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from trainables.frozen import FieldError, Frozen, OneOf

Sparsify = Literal["none", "magnitude", "drop", "breadcrumbs"]
Consensus = Literal["sum", "elect", "largest", "mask", "random"]
Kind = Literal["average", "slerp", "fisher", "model_stock", "task_vectors"]


@dataclass(frozen=True, kw_only=True)
class MergeRow:
    """A named rule.

    Attributes:
        kind: how it combines; `sparsify` and `consensus` belong to "task_vectors".
        sparsify: which entries of a task vector stay: all, the largest by magnitude (of the whole model), a random
            share, scaled up by 1 / density, or those that are neither among the smallest nor the largest of a tensor.
            By magnitude, an entry stays wherever an equal one does.
        consensus: how task vectors become one: their sum; the mean of the entries that agree with the elected sign; the
            entry of largest magnitude; their sum where enough of them matter; that of a random one.
        defaults: its settings with their defaults; None of a setting that is off.
        source: arXiv id.
        meaning: what it does, in a few words.
    """

    kind: Kind
    sparsify: Sparsify = "none"
    consensus: Consensus = "sum"
    defaults: dict[str, float | None] = field(default_factory=dict)
    source: str
    meaning: str

    @property
    def weighs(self) -> bool:
        """Whether the rule weighs its inputs: by w where there are two, by recency where there are many."""
        return self.kind in ("average", "slerp", "fisher")

    @property
    def needs_base(self) -> bool:
        """Whether the rule works on differences from the base."""
        return self.kind in ("model_stock", "task_vectors")

    @property
    def most(self) -> int | None:
        """The largest number of inputs, or None where any number can be merged."""
        return 2 if self.kind == "slerp" else None

    @property
    def grows(self) -> bool:
        """Whether the rule adds task vectors up, so that a chain of merges can grow without bound."""
        return self.kind == "task_vectors" and self.consensus in ("sum", "mask")


def _vectors(
    sparsify: Sparsify, consensus: Consensus, source: str, meaning: str, *, scale: float = 1.0, **own: float
) -> MergeRow:
    return MergeRow(
        kind="task_vectors",
        sparsify=sparsify,
        consensus=consensus,
        defaults={**own, "scale": scale},
        source=source,
        meaning=meaning,
    )


ROWS: dict[str, MergeRow] = {
    "lerp": MergeRow(kind="average", source="2203.05482", meaning="weighted average; of two w * old + (1 - w) * new"),
    "slerp": MergeRow(kind="slerp", source="2412.06712", meaning="along the arc between two, tensor by tensor"),
    "fisher": MergeRow(
        kind="fisher",
        defaults={"fisher_floor": None},
        source="2111.09832",
        meaning="average weighted by diagonal Fisher matrices",
    ),
    "model_stock": MergeRow(
        kind="model_stock", source="2403.19522", meaning="average, pulled to the base by their angle"
    ),
    "task_arithmetic": _vectors("none", "sum", "2212.04089", "sum of task vectors"),
    "ties": _vectors("magnitude", "elect", "2306.01708", "trim, elect signs, mean of those that agree", density=0.3),
    "dare": _vectors("drop", "sum", "2311.03099", "drop entries, scale up the others, sum", density=0.3),
    "dare_ties": _vectors("drop", "elect", "2311.03099", "drop and scale up, then signs and mean of TIES", density=0.3),
    "breadcrumbs": _vectors(
        "breadcrumbs", "sum", "2312.06795", "without smallest and largest entries, sum", density=0.3, prune_top=0.01
    ),
    "breadcrumbs_ties": _vectors(
        "breadcrumbs", "elect", "2312.06795", "breadcrumbs, then signs and mean of TIES", density=0.3, prune_top=0.01
    ),
    "magmax": _vectors("none", "largest", "2407.06322", "the entry of largest magnitude"),
    "tall_masks": _vectors(
        "none", "mask", "2405.07813", "sum where enough task vectors matter", mask_strength=0.4, agree=2
    ),
    "random": _vectors("none", "random", "2412.06712", "the entry of a random model: a control"),
}
"""The named rules. TIES keeps 30 % (the reference of arXiv 2408.14471 prunes .7); 2306.01708 recommends 20 %."""

LINES = {"linear": 1.0, "quadratic": 2.0, "sqrt": 0.5}
"""Exponents of LiNeS by name, see `MergeRule`."""

SETTINGS = (
    "density",
    "prune_top",
    "mask_strength",
    "agree",
    "fisher_floor",
    "scale",
    "lines",
    "lines_first",
    "lines_more",
)


class MergeRule(Frozen):
    """A rule with its settings; a setting that its row lacks is None.

    With `lines`, LiNeS (arXiv 2410.17146, eq. 3): block l of the L of a tower, counted from 0 in the order of a forward
    pass, through all stages, makes the share `lines_first + lines_more * (l / (L - 1))^e` of the merged move away from
    the base, e = 1, 2 or 1/2; what is in no block makes the share `lines_first` (as in the reference of 2412.06712). It
    takes the place of `scale`.
    """

    later: ClassVar[frozenset[str]] = frozenset({"fisher_floor"})

    name: Annotated[str, OneOf(ROWS)] = "lerp"
    density: float | None = Field(default=None, gt=0, le=1, description="share of a task vector's entries that stay")
    prune_top: float | None = Field(
        default=None, ge=0, lt=1, description="share of the largest entries that breadcrumbs drops"
    )
    mask_strength: float | None = Field(default=None, ge=0, description="lambda of TALL masks")
    agree: int | None = Field(default=None, ge=1, description="how many TALL masks an entry needs to stay")
    fisher_floor: float | None = Field(
        default=None, gt=0, description="least value of a Fisher matrix's entries; 1e-6 in the code of the paper"
    )
    scale: float | None = Field(default=None, description="factor of the merged task vector")
    lines: Annotated[str, OneOf(LINES)] | None = Field(
        default=None, description=f"LiNeS, in place of the scale: {', '.join(LINES)}"
    )
    lines_first: float | None = Field(default=None, description="LiNeS: factor of the first block, and outside blocks")
    lines_more: float | None = Field(default=None, description="LiNeS: what the last block has on top")
    logit_scale: Literal["merge", "base", "latest"] = Field(
        default="merge", description="the temperature of the loss: merge, base, latest"
    )

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, value: Any) -> Any:
        """Fill in the defaults of the row, and refuse settings that it lacks."""
        if not isinstance(value, dict) or value.get("name", "lerp") not in ROWS:
            return value
        name = value.get("name", "lerp")
        defaults: dict[str, Any] = dict(ROWS[name].defaults)
        if value.get("lines") not in (None, "none"):
            defaults.pop("scale", None)
            defaults |= {"lines": value["lines"], "lines_first": 0.5, "lines_more": 0.5}
        given = {key: one for key, one in value.items() if key in SETTINGS and one not in (None, "none")}
        for key in given:
            if key not in defaults and key != "lines":
                allowed = ", ".join([*defaults, "lines", "logit_scale"])
                instead = "lines takes its place" if key == "scale" and "lines" in defaults else f"allowed: {allowed}"
                raise FieldError(key, f"the rule {name} has none; {instead}")
        own = {key: one for key, one in value.items() if key not in SETTINGS}
        return {**own, **defaults, **given}

    @model_validator(mode="after")
    def _breadcrumbs_stay(self) -> Self:
        if self.density is not None and self.prune_top is not None and self.density + self.prune_top > 1:
            raise FieldError(
                "density",
                f"{self.density:g} stay and prune_top drops {self.prune_top:g}: together more than all; "
                "lower one of them",
            )
        return self

    @property
    def row(self) -> MergeRow:
        """The row of `ROWS` that the rule names."""
        return ROWS[self.name]

    @property
    def needs_base(self) -> bool:
        """Whether the rule needs the base: for task vectors, for LiNeS, or to keep the temperature."""
        return self.row.needs_base or self.lines is not None or self.logit_scale == "base"

    @property
    def is_plain(self) -> bool:
        """Whether the rule is a weighted average and nothing else, so that chains can run in place."""
        return self == _PLAIN

    @property
    def words(self) -> str:
        """The rule as people write it: ties, density .3, scale 1."""
        values = {key: getattr(self, key) for key in (*SETTINGS, "logit_scale")}
        own = [
            f"{key} {one}" for key, one in values.items() if one is not None and (key, one) != ("logit_scale", "merge")
        ]
        return ", ".join([self.name, *own])


_PLAIN = MergeRule()
