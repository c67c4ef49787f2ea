"""Timelines: which weights start the next task and which are served after it, as two places of one table.

    base      the pretrained weights
    last      the last update
    ema       a chain: the rule over (chain before, update); w weighs the chain
    patched   the rule over (base, last update); w weighs the base
    all       the rule over all updates so far, oldest first, with weights by recency

Every pair of (start, serve) is a timeline: those of `NAMED` have names of their own, the others are called by their
places, such as "last-all". Sources: arXiv 2408.14471, section 5.2 (EMA-merge, Finetune-merge, ZeroShot-merge), and the
initialisations and deployments of 2412.06712 (TIME). `history` applies a timeline to the updates of a cycle.
"""

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from trainables.frozen import FieldError, Frozen, OneOf, suggestion
from trainables.merging.rule import ROWS, MergeRow, MergeRule

Place = Literal["base", "last", "ema", "patched", "all"]
Served = Literal["last", "ema", "patched", "all"]
PLACES: tuple[str, ...] = get_args(Place)
SERVED: tuple[str, ...] = get_args(Served)

NAMED: dict[str, tuple[Place, Served]] = {
    "finetune": ("last", "last"),
    "ema": ("ema", "ema"),
    "ft": ("patched", "patched"),
    "zs": ("base", "ema"),
    "offline": ("base", "all"),
}
TIMELINES: dict[str, tuple[str, str]] = NAMED | {
    f"{start}-{serve}": (start, serve) for start in PLACES for serve in SERVED if (start, serve) not in NAMED.values()
}
"""All timelines by name."""

_WEIGHTS: dict[str, Callable[[int, int], float]] = {
    "uniform": lambda _, __: 1.0,
    "linear": lambda i, _: float(i),
    "sqrt": lambda i, _: math.sqrt(i),
    "quadratic": lambda i, _: float(i * i),
    "exponential": lambda i, count: 2.0 ** (i - count),  # 2^i of hundreds of tasks is beyond floats
    "log": lambda i, _: math.log(i + 1),
}
_REVERSED = "reversed_"
RECENCIES = (*_WEIGHTS, *(f"{_REVERSED}{name}" for name in _WEIGHTS if name != "uniform"))
"""Weightings of the updates that `all` merges, from the oldest; reversed ones weigh old updates as others weigh new."""


class Timeline(Frozen):
    """The place where tasks start and the place that is served; a setting that these two do not need is None.

    A rule that needs an angle or a Fisher matrix of the base cannot have it there, so its chain begins at the first
    update. An adapter goes on through tasks that start from the last update (`continue`, as in the reference
    of arXiv 2408.14471), or is folded into the weights after each (`fold`, what all other starts do).
    """

    name: str
    start: Place
    serve: Served
    rule: MergeRule | None = None
    w: float | None = Field(default=None, ge=0, le=1, description="merge weight of the OLD weights")
    chain: Literal["base", "first"] | None = Field(
        default=None, description="where the chain of ema begins: base, first (the first update)"
    )
    recency: Annotated[str, OneOf(RECENCIES)] | None = Field(default=None, description="weights of `all`")
    wise_ft: float | None = Field(
        default=None, ge=0, le=1, description="weight of the base in what is served; the next task does not see it"
    )
    lifetime: Literal["continue", "fold"] | None = Field(
        default=None, description="an adapter after a task: continue, fold"
    )

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, value: Any) -> Any:
        """Fill in the name, the places, and the defaults of the settings that these places need."""
        if not isinstance(value, dict):
            return value
        start, serve = _places(value)
        given = {key: one for key, one in value.items() if one is not None and key not in ("name", "start", "serve")}
        if isinstance(given.get("rule"), str):
            given["rule"] = {"name": given["rule"]}
        row = ROWS.get(_rule_name(given))
        if row is None:  # told when the rule is read
            return {**given, "name": _name(start, serve), "start": start, "serve": serve}
        needed = needs(start, serve, row)
        for key in ("rule", "w", "chain", "recency", "lifetime"):
            if key in given and key not in needed:
                with_rule = f" with rule {_rule_name(given)}" if "rule" in needed else ""
                raise FieldError(key, f"has no effect in the timeline {_name(start, serve)}{with_rule}; remove it")
        if "w" in needed and "w" not in given:
            raise FieldError("w", "missing; it has no default: the merge weight of the OLD weights, 0 to 1")
        defaults: dict[str, Any] = {
            "rule": {},
            "chain": "first" if _refuses_base(row) else "base",
            "recency": "uniform",
            "lifetime": "continue",
        }
        filled = {key: default for key, default in defaults.items() if key in needed}
        return {**filled, **given, "name": _name(start, serve), "start": start, "serve": serve}

    @model_validator(mode="after")
    def _rule_can_merge_these(self) -> Self:
        if self.rule is None:
            return self
        row, name = self.rule.row, self.rule.name
        if row.most is not None and "all" in self.places:
            raise FieldError(
                "rule", f"{name} merges {row.most}, and `all` is any number of updates; lerp takes them all"
            )
        if self.rule.row.consensus == "mask" and (self.rule.agree or 1) > 1 and self.places & {"ema", "patched"}:
            raise FieldError(
                "rule",
                f"{name} with agree {self.rule.agree} cannot merge two: an entry of the old that is masked to 0 "
                "never agrees again, and all of the base's are; start and serve with all, or use agree 1",
            )
        why = _refuses_base(row)
        if why and (self.chain == "base" or "patched" in self.places):
            raise FieldError(
                "rule", f"{name} cannot merge with the base: {why}; use `chain: first` with ema, or lerp with patched"
            )
        return self

    @property
    def places(self) -> frozenset[str]:
        """The place where tasks start, and the place that is served."""
        return frozenset((self.start, self.serve))

    @property
    def growth(self) -> float:
        """The factor by which merging alone multiplies the difference from the base, per task; 1 where it does not.

        Task vectors are added to the chain that they started from, scaled: of ema by 2 * scale, of all by 1 + scale
        (arXiv 2412.06712's `all` at its largest). A start that is not merged does not feed back.
        """
        if self.rule is None or not self.rule.row.grows or self.start not in ("ema", "all"):
            return 1.0
        lines = max(self.rule.lines_first or 0.0, (self.rule.lines_first or 0.0) + (self.rule.lines_more or 0.0))
        scale = lines if self.rule.scale is None else self.rule.scale
        return abs(2 * scale if self.start == "ema" else 1 + scale)


def timeline(name: str, **settings: Any) -> Timeline:
    """The timeline of a name with these settings.

    Raises:
        ValueError: an unknown name, or a setting that is not allowed.
    """
    return Timeline.model_validate({"name": name, **settings})


def needs(start: str, serve: str, row: MergeRow) -> frozenset[str]:
    """The names of the settings that two places and a rule need."""
    places = {start, serve}
    found = {"lifetime"} if start == "last" else set()
    if places & {"ema", "patched", "all"}:
        found.add("rule")
        found |= {"w"} if row.weighs and places & {"ema", "patched"} else set()
        found |= {"chain"} if "ema" in places else set()
        found |= {"recency"} if row.weighs and "all" in places else set()
    return frozenset(found)


def recency_weights(recency: str, count: int) -> tuple[float, ...]:
    """Weights of `count` updates, oldest first, with sum 1: i, sqrt(i), i^2, 2^i or ln(i + 1) of update i from 1.

    Source: the weightings of arXiv 2412.06712 for offline merging.
    """
    kind = recency.removeprefix(_REVERSED)
    raw = [_WEIGHTS[kind](i, count) for i in range(1, count + 1)]
    if recency != kind:
        raw.reverse()
    return tuple(one / math.fsum(raw) for one in raw)


def _places(value: dict[str, Any]) -> tuple[str, str]:
    name, start, serve = (value.get(key) for key in ("name", "start", "serve"))
    if name is not None and name not in TIMELINES:
        allowed = f"allowed: {', '.join(NAMED)}, or a start and a serve such as last-all"
        raise FieldError("name", f"{name!r} is unknown; {suggestion(name, NAMED)}{allowed}")
    if name is None and (start is None or serve is None):
        raise FieldError("name", "missing; give a name, or both start and serve")
    named = (None, None) if name is None else TIMELINES[name]
    start, serve = start or named[0], serve or named[1]
    if name is not None and (start, serve) != named:
        raise FieldError(
            "name", f"{name} starts from {named[0]} and serves {named[1]}; give it, or start and serve, not both"
        )
    if serve == "base":
        raise FieldError(
            "serve",
            "'base' would serve the pretrained weights for ever, which is the anchor zeroshot; to serve each "
            "update merged with the base say patched, or wise_ft",
        )
    return str(start), str(serve)


def _name(start: str, serve: str) -> str:
    return next((name for name, places in TIMELINES.items() if places == (start, serve)), f"{start}-{serve}")


def _rule_name(value: dict[str, Any]) -> str:
    """The name of a rule that has not been validated yet."""
    rule = value.get("rule")
    return str(
        rule.name if isinstance(rule, MergeRule) else rule.get("name", "lerp") if isinstance(rule, dict) else "lerp"
    )


def _refuses_base(row: MergeRow) -> str:
    """The reason why the base cannot be an input of a rule; empty where it can."""
    if row.kind == "fisher":
        return "the base has no Fisher matrix"
    if row.kind == "model_stock":
        return "the base has no angle with itself"
    return ""
