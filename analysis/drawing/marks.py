"""What a figure consists of, as numbers: marks, lines and ways through the plane, with their legend.

Values are in percent and points here, because that is what axes show. `views` makes these of a study. Nothing is
imported for them, so that the process that draws for papers (`figures`) starts quickly.
"""

from dataclasses import dataclass
from typing import NamedTuple


class Entry(NamedTuple):
    """One entry of the legend; without a colour it explains a shape."""

    name: str
    colour: int | None
    shape: str

    @property
    def key(self) -> str:
        """The part of a mark's key that refers to this entry."""
        return self.shape if self.colour is None else f"c{self.colour}"


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One config in the plane, in percent, with one standard error each way (None with one block).

    `label` is written next to it, if it has one; `key` says which entries of the legend it belongs to. `way` is AKA and
    AZS after every task, from zero-shot on: None where configs have other numbers of tasks, or for a faint mark of a
    study with very many.
    """

    number: int
    label: str | None
    text: str
    colour: int
    marker: str
    key: tuple[str, str]
    x: float
    y: float
    x_se: float | None
    y_se: float | None
    on_front: bool
    outside: bool
    faint: bool
    way: tuple[tuple[float, float], ...] | None


@dataclass(frozen=True, kw_only=True)
class AnchorMark:
    """Z or J in the plane."""

    name: str
    text: str
    x: float
    y: float
    x_se: float | None
    y_se: float | None


@dataclass(frozen=True, kw_only=True)
class NamedLine:
    """A named line through the plane in the colour of a method: the path of a dial, or what some blocks attain."""

    name: str
    colour: int
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class Plane:
    """The accumulation-retention plane.

    `gains` are the offsets of the parallels to the Z-J line, in points. With `named`, labels are names, not numbers.
    """

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    marks: tuple[Mark, ...]
    zero_shot: AnchorMark
    joint: AnchorMark | None
    slope: float | None
    gains: tuple[float, ...]
    hull: tuple[tuple[float, float], ...]
    dials: tuple[NamedLine, ...]
    bands: tuple[NamedLine, ...]
    legend: tuple[Entry, ...]
    named: bool


@dataclass(frozen=True, kw_only=True)
class Path:
    """One config's way, in percent; `label` is written at its end."""

    number: int
    label: str
    text: str
    colour: int
    marker: str
    tasks: tuple[int, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Paths:
    """The ways of some configs, with the anchors. With `named`, labels are names, not numbers."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    last_task: int
    paths: tuple[Path, ...]
    zero_shot: AnchorMark
    joint: AnchorMark | None
    legend: tuple[Entry, ...]
    named: bool


@dataclass(frozen=True, kw_only=True)
class Line:
    """One method's area against cost, with the half width of its interval where it has one."""

    name: str
    colour: int
    marker: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    half: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class Anytime:
    """Area below the hull, in percent of the box, against the cost of tuning and training, on a logarithmic axis."""

    lines: tuple[Line, ...]
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    unit: str


@dataclass(frozen=True, kw_only=True)
class GainRow:
    """One row of the gain chart, in points."""

    number: int
    label: str
    colour: int
    marker: str
    value: float
    half: float | None
    text: str


@dataclass(frozen=True, kw_only=True)
class Gains:
    """Gains of the best configs and of every method's best; `hidden` counts the rest."""

    rows: tuple[GainRow, ...]
    x_range: tuple[float, float]
    half_is: str
    hidden: int


View = Plane | Paths | Gains
"""What is drawn for papers."""
