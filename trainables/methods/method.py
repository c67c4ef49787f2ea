"""Methods as values of four parts: selection x adapter x penalty x projection; named methods are rows of `METHODS`.

A row is a selection of the model's own parameters, or a part that bears its name and says itself what it does.

A config is read by name, `{name: lora, rank: 8}`, and is then its parts: `ewc` and `full` with the penalty `ewc` are
one value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from pydantic import Field, model_validator
from pydantic.fields import FieldInfo

from trainables.frozen import FieldError, Frozen, suggestion
from trainables.methods.parts import (
    ADAPTERS,
    PENALTIES,
    PROJECTIONS,
    Adapter,
    Galore,
    LayerSelection,
    Penalty,
    Selection,
    Trains,
    described,
)


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
        return _apart(value) if isinstance(value, Mapping) and "name" in value else value

    @model_validator(mode="after")
    def _composes(self) -> Self:
        if self.row is None:
            raise ValueError("no method trains parameters of the model beside an adapter; write it by its name")
        if self.adapter is not None and self.projection is not None:
            raise FieldError(
                "projection", "galore projects gradients of the model's weights, and an adapter freezes these"
            )
        if self.trains_nothing and (self.penalty or self.projection or self.logit_scale):
            raise ValueError("zeroshot trains nothing: no penalty, projection or logit scale has a meaning beside it")
        return self

    @property
    def row(self) -> str | None:
        """The row of `METHODS` with this selection and adapter; penalty and projection do not count."""
        adapter = None if self.adapter is None else self.adapter.name
        found = (
            name
            for name, row in METHODS.items()
            if row.train == self.trains.train and adapter == (name if row.part == "adapter" else None)
        )
        return next(found, None)

    @property
    def name(self) -> str:
        """The name of the method: its row, but of `full` with a projection or a penalty the name of that part."""
        assert self.row is not None  # validated
        other = self.projection or self.penalty
        return self.row if self.row != "full" or other is None else other.name

    @property
    def trains_nothing(self) -> bool:
        """Whether nothing trains at all, as in the zero-shot model."""
        return self.adapter is None and self.trains.train == "nothing"

    def flat(self) -> dict[str, str | int | float | bool]:
        """Name and hyperparameters as `named` takes them; penalty and projection only where they are composed."""
        values: dict[str, str | int | float | bool] = {"name": self.name}
        for place in ("trains", "adapter", "penalty", "projection"):
            part = getattr(self, place)
            if part is None:
                continue
            if place in COMPOSED and part.name != self.name:
                values[place] = part.name
            values |= {key: value for key, value in part if key not in _TAGS}
        return values if self.trains_nothing else {**values, "logit_scale": self.logit_scale}


@dataclass(frozen=True, kw_only=True)
class MethodRow:
    """A named method.

    Attributes:
        name: as reports show it.
        group: the kind of method, as reports show it.
        meaning: what it does, in a few words.
        source: arXiv id of the paper that it comes from.
        train: the parameters of the model that train, by `Selection` or `LayerSelection`.
        part: the place in `Method` of the part that bears the method's own name, where it has one.
        logit_scale: whether the temperature trains where nobody says otherwise.
    """

    name: str
    group: Literal["full", "nothing trained", "selective", "adapter", "projected", "penalised"]
    meaning: str
    source: str
    train: str = "everything"
    part: Literal["adapter", "penalty", "projection"] | None = None
    logit_scale: bool = True


def _selective(name: str, meaning: str, source: str, train: str, *, logit_scale: bool = True) -> MethodRow:
    return MethodRow(name=name, group="selective", meaning=meaning, source=source, train=train, logit_scale=logit_scale)


def _bearing(
    place: Literal["adapter", "penalty", "projection"],
    group: Literal["adapter", "penalised", "projected"],
    table: Mapping[str, type[Frozen]],
) -> dict[str, MethodRow]:
    """The methods that bear the names of parts; the model's own weights rest beside an adapter."""
    rest: dict[str, Any] = {"train": "nothing", "logit_scale": False} if place == "adapter" else {}
    said = {name: described(name, kind) for name, kind in table.items()}
    return {
        name: MethodRow(name=one.title, group=group, meaning=one.meaning, source=one.source, part=place, **rest)
        for name, one in said.items()
    }


METHODS: dict[str, MethodRow] = {
    "full": MethodRow(name="full fine-tuning", group="full", meaning="every parameter, by AdamW", source="2408.14471"),
    "zeroshot": MethodRow(
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
    **_bearing("adapter", "adapter", ADAPTERS),
    **_bearing("projection", "projected", PROJECTIONS),
    **_bearing("penalty", "penalised", PENALTIES),
}
"""The named methods. A penalty or a projection can also be composed with any of them."""

_PARTS: dict[str, Mapping[str, type[Frozen]]] = {
    "adapter": ADAPTERS,
    "penalty": PENALTIES,
    "projection": PROJECTIONS,
}
COMPOSED = {place: tuple(_PARTS[place]) for place in ("penalty", "projection")}
"""Parts that can be added to a named method, with their names."""


def named(name: str, **values: object) -> Method:
    """The method of a row of `METHODS` with these hyperparameters.

    Raises:
        ValueError: an unknown name or hyperparameter, or a value that is not allowed.
    """
    return Method.model_validate({"name": name, **values})


def part_types(name: str, **composed: str) -> dict[str, type[Frozen]]:
    """The parts of a method with something to set, by their place in `Method`.

    Args:
        name: a row of `METHODS`.
        composed: the names of a penalty and a projection that are composed with it.
    """
    by_layer = METHODS[name].train in get_args(LayerSelection.model_fields["train"].annotation)
    parts = {place: _PARTS[place][part] for place, part in _part_names(name, composed).items()}
    return {"trains": LayerSelection if by_layer else Selection, **parts}


def _part_names(name: str, composed: Mapping[str, str]) -> dict[str, str]:
    """The name of the part at each place of a method that has one there."""
    row = METHODS[name]
    return {place: name if place == row.part else composed[place] for place in _PARTS if place in (row.part, *composed)}


def hyperparameters(name: str, **composed: str) -> dict[str, FieldInfo]:
    """The settings of a method by name, with those of a penalty and a projection that are composed with it."""
    parts = part_types(name, **composed)
    fields = {key: info for part in parts.values() for key, info in part.model_fields.items()}
    own = {key: info for key, info in fields.items() if key not in _TAGS}
    return own if name == "zeroshot" else {**own, "logit_scale": Method.model_fields["logit_scale"]}


_TAGS = ("name", "train")


def _apart(value: Mapping[str, Any]) -> dict[str, Any]:
    """A name and flat hyperparameters, taken apart into the parts of a method."""
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
        if row.part == key and given != name:
            raise FieldError(key, f"{given!r} given, but {name} is a {key} itself; compose it with another method")
    types = part_types(name, **composed)
    allowed = hyperparameters(name, **composed)
    for key in values:
        if key not in allowed:
            meant = suggestion(key, allowed)
            raise FieldError(key, f"unknown for {name}; {meant}allowed: {', '.join([*allowed, *COMPOSED])}")
    names = _part_names(name, composed)
    parts: dict[str, Any] = {"logit_scale": values.pop("logit_scale", row.logit_scale)}
    for place, kind in types.items():
        tag = {"train": row.train} if place == "trains" else {"name": names[place]}
        parts[place] = {**{key: given for key, given in values.items() if key in kind.model_fields}, **tag}
    return parts
