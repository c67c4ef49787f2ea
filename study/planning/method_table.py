"""The table of methods: name, parts, hyperparameters with defaults, what trains of a model, and where it comes from."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from search_spaces.space import AXES
from trainables.methods.attach import adapt
from trainables.methods.method import COMPOSED, METHODS, Method, named
from trainables.methods.scope import refusal
from trainables.workloads.workload import Workload

ANCHOR_MEANING = "all tasks at once, the upper anchor: full, no buffer, as many steps as the stream"


@dataclass(frozen=True, kw_only=True)
class MethodRow:
    """A row of the table.

    Attributes:
        kind: "anchor" for what a study compares its methods with, else "method".
        parts: what trains, and the adapter, penalty and projection, each null where there is none.
        hyperparameters: axis names with their defaults.
        trainable_parameters: numbers that the optimiser changes; `trainable_share` is their share of the model's.
        source: arXiv id.
    """

    name: str
    kind: str
    group: str
    meaning: str
    parts: dict[str, Any]
    hyperparameters: dict[str, str | int | float | bool]
    trainable_parameters: int
    trainable_share: float
    source: str


def rows(workload: Workload) -> list[MethodRow]:
    """All methods that a model can have, with their defaults, anchors among them."""
    return list(_rows(workload))


def as_json(found: Sequence[MethodRow]) -> str:
    """The rows as a JSON list."""
    return json.dumps([asdict(row) for row in found], indent=2)


def impossible(workload: Workload) -> dict[str, str]:
    """Methods that a model cannot have at their defaults, and why."""
    why = {name: refusal(named(name), workload.identity.anatomy) for name in METHODS}
    return {name: said for name, said in why.items() if said}


def table(found: Sequence[MethodRow]) -> Iterator[str]:
    """The rows as lines of text."""
    cells = [("method", "trains", "parts", "share", "source", "hyperparameters")]
    for row in found:
        parts = [f"{place} {name}" for place, name in row.parts.items() if place != "trains" and name is not None]
        values = [f"{key}={_shown(value)}" for key, value in row.hyperparameters.items()]
        share = f"{100 * row.trainable_share:.2f} %"
        name = f"{row.name} (anchor)" if row.kind == "anchor" else row.name
        cells.append((name, str(row.parts["trains"]), ", ".join(parts) or "-", share, row.source, " ".join(values)))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
    names = list(dict.fromkeys(key for row in found for key in row.hyperparameters))
    yield ""
    for name in (*names, *COMPOSED):
        yield f"{name.ljust(max(map(len, names)))}  {AXES[name].meaning}"


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else json.dumps(value).strip('"')


def _rows(workload: Workload) -> Iterator[MethodRow]:
    with torch.device("meta"):
        size = sum(parameter.numel() for parameter in workload.architecture().parameters())
    without = impossible(workload)
    for name, row in METHODS.items():
        if name in without:
            continue
        method = named(name)
        trainable = _trainable(method, workload)
        listed = MethodRow(
            name=name,
            kind="anchor" if method.trains_nothing else "method",
            group=row.group,
            meaning=row.meaning,
            parts=_parts(method),
            hyperparameters={key: value for key, value in method.flat().items() if key not in ("name", *COMPOSED)},
            trainable_parameters=trainable,
            trainable_share=trainable / size,
            source=row.source,
        )
        yield listed
        if name == "full":
            changes: dict[str, Any] = {"name": "joint", "kind": "anchor", "meaning": ANCHOR_MEANING}
            yield MethodRow(**{**vars(listed), **changes})


def _trainable(method: Method, workload: Workload) -> int:
    if method.trains_nothing:
        return 0
    with torch.device("meta"):
        model = adapt(method, workload, workload.architecture())
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _parts(method: Method) -> dict[str, str | None]:
    own = {place: getattr(method, place) for place in ("adapter", "penalty", "projection")}
    return {
        "trains": method.trains.train,
        **{place: None if part is None else part.name for place, part in own.items()},
    }
