"""What the figures show, as numbers: everything a plot needs and nothing about how it is drawn.

Values are in percent and points here, because that is what axes show. The report's inline SVG (`charts`) and the
publication figures (`figures`) draw the same views.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.anchors import Anchor
from analysis.frontier import Frontier, Result
from analysis.looks import Look, shown_methods
from analysis.trajectories import MAX_SHOWN, Trajectory
from analysis.wording import percent, points

MANY = 60
"""Above this many configs only the Pareto set is drawn at full strength."""

MAX_GAIN_ROWS = 30
MAX_NUMBERED = 20
MANY_METHODS = MAX_SHOWN
"""Above this many methods and timelines the gain chart shows the best config of each and no other."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One config in the plane, in percent, with one standard error each way (None with one block).

    `label` is written next to it, if it has one.
    """

    number: int
    label: str | None
    text: str
    colour: int
    marker: str
    x: float
    y: float
    x_se: float | None
    y_se: float | None
    on_front: bool
    outside: bool
    faint: bool


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
class Plane:
    """The accumulation-retention plane. `gains` are the offsets of the parallels to the Z-J line, in points."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    marks: tuple[Mark, ...]
    zero_shot: AnchorMark
    joint: AnchorMark | None
    slope: float | None
    gains: tuple[float, ...]
    hull: tuple[tuple[float, float], ...]
    look: Look


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
    """The ways of some configs, with the anchors."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    last_task: int
    paths: tuple[Path, ...]
    zero_shot: AnchorMark
    joint: AnchorMark | None
    look: Look


@dataclass(frozen=True, kw_only=True)
class GainRow:
    """One row of the gain chart, in points."""

    result: Result
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


def plane_of(frontier: Frontier, look: Look) -> Plane:
    """The plane; it shows the anchors, the Pareto set and every method's best, and moves far outliers to its edge."""
    anchors = [frontier.zero_shot, *([frontier.joint] if frontier.joint else [])]
    core: list[Anchor | Result] = [*frontier.front, *(method.best for method in frontier.methods), *anchors]
    x_core = [100 * item.aka.value for item in core]
    y_core = [100 * item.azs.value for item in core]
    x_all = [100 * result.aka.value for result in frontier.results]
    y_all = [100 * result.azs.value for result in frontier.results]
    x_range, y_range = _range(x_core, x_all), _range(y_core, y_all)
    labels = _names(frontier) if look.named else {number: str(number) for number in _numbered(frontier)}
    marks = tuple(
        Mark(
            number=result.number,
            label=labels.get(result.number),
            text=hover(result),
            colour=look.colour(result.config),
            marker=look.shape(result.config),
            x=min(max(x, x_range[0]), x_range[1]),
            y=min(max(y, y_range[0]), y_range[1]),
            x_se=_se(result.aka.se),
            y_se=_se(result.azs.se),
            on_front=result.on_front,
            outside=not (x_range[0] <= x <= x_range[1] and y_range[0] <= y <= y_range[1]),
            faint=not result.on_front and (result.number not in labels if look.named else len(x_all) > MANY),
        )
        for result, x, y in zip(frontier.results, x_all, y_all, strict=True)
    )
    zero_shot = _anchor_mark("Z", frontier.zero_shot)
    joint = _anchor_mark("J", frontier.joint) if frontier.joint else None
    slope = None if joint is None or frontier.no_gain else (joint.y - zero_shot.y) / (joint.x - zero_shot.x)
    return Plane(
        x_range=x_range,
        y_range=y_range,
        marks=marks,
        zero_shot=zero_shot,
        joint=joint,
        slope=slope,
        gains=() if slope is None else _parallels(zero_shot, slope, x_range, y_range),
        hull=tuple((100 * vertex.point[0], 100 * vertex.point[1]) for vertex in frontier.hull),
        look=look,
    )


def paths_of(frontier: Frontier, found: Sequence[Trajectory], look: Look) -> Paths:
    """The ways of the given configs."""
    paths = tuple(
        Path(
            number=path.result.number,
            text=hover(path.result),
            label=look.name(path.result),
            colour=look.colour(path.result.config),
            marker=look.shape(path.result.config),
            tasks=path.tasks,
            x=tuple(100 * value.value for value in path.aka),
            y=tuple(100 * value.value for value in path.azs),
        )
        for path in found
    )
    zero_shot = _anchor_mark("Z", frontier.zero_shot)
    joint = _anchor_mark("J", frontier.joint) if frontier.joint else None
    ends = [zero_shot, *([joint] if joint else [])]
    x = [*(x for path in paths for x in path.x), *(end.x for end in ends)]
    y = [*(y for path in paths for y in path.y), *(end.y for end in ends)]
    return Paths(
        x_range=_range(x, x),
        y_range=_range(y, y),
        last_task=max(path.tasks[-1] for path in paths),
        paths=paths,
        zero_shot=zero_shot,
        joint=joint,
        look=look,
    )


def gains_of(frontier: Frontier, look: Look) -> Gains | None:
    """Rows by falling gain; None if the gain is undefined."""
    methods = shown_methods(frontier)
    wanted = {method.best.number for method in methods}
    if len(methods) <= MANY_METHODS:
        wanted |= {result.number for result in frontier.results[:MAX_GAIN_ROWS] if result.config.trained}
    rows = tuple(
        GainRow(
            result=result,
            colour=look.colour(result.config),
            marker=look.shape(result.config),
            value=100 * result.gain.value,
            half=_se(result.gain.half_width if result.gain.half_width is not None else result.gain.se),
            text=points(result.gain),
        )
        for result in frontier.results
        if result.gain is not None and result.number in wanted
    )
    if not rows:
        return None
    trained = sum(result.config.trained for result in frontier.results)
    blocks = len(frontier.blocks)
    low = min(0.0, *(row.value - (row.half or 0.0) for row in rows))
    high = max(0.0, *(row.value + (row.half or 0.0) for row in rows))
    pad = 0.04 * (high - low) or 1.0
    return Gains(
        rows=rows,
        x_range=(low - pad, high + pad),
        half_is="95 % interval" if blocks > 2 else "one standard error" if blocks == 2 else "",
        hidden=max(0, trained - len(rows)),
    )


def hover(result: Result) -> str:
    """What a mark says when pointed at."""
    gain = "" if result.gain is None else f", gain {points(result.gain)}"
    return (
        f"{result.number}: {result.config.label}; AKA {percent(result.aka)}, AZS {percent(result.azs)}"
        f", GM {percent(result.gm)}{gain}"
    )


def nice_ticks(low: float, high: float, count: int) -> tuple[float, ...]:
    """About `count` round values in [low, high], steps of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / max(count, 1)
    magnitude = 10.0 ** np.floor(np.log10(raw))
    step = magnitude * next(m for m in (1, 2, 5, 10) if m * magnitude >= raw * (1 - 1e-9))
    first, last = int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9))
    return tuple(round(float(k * step), 10) for k in range(first, last + 1))


def _numbered(frontier: Frontier) -> tuple[int, ...]:
    """The Pareto set, or of a long one the hull; and always the first config."""
    on_hull = [vertex.result for vertex in frontier.hull if vertex.result is not None]
    chosen = frontier.front if len(frontier.front) <= MAX_NUMBERED else on_hull
    return tuple(sorted({frontier.headline.number, *(result.number for result in chosen)}))


def _names(frontier: Frontier) -> Mapping[int, str]:
    """The best config of every family that trains, by its number: the first of its summaries, which are by best."""
    names: dict[str, int] = {}
    for method in frontier.methods:
        if method.best.config.trained:
            names.setdefault(method.family, method.best.number)
    return {number: family for family, number in names.items()}


def _anchor_mark(name: str, anchor: Anchor) -> AnchorMark:
    return AnchorMark(
        name=name,
        text=f"{name}: {anchor.label}; AKA {percent(anchor.aka)}, AZS {percent(anchor.azs)}, GM {percent(anchor.gm)}",
        x=100 * anchor.aka.value,
        y=100 * anchor.azs.value,
        x_se=_se(anchor.aka.se),
        y_se=_se(anchor.azs.se),
    )


def _se(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _range(core: Sequence[float], everything: Sequence[float]) -> tuple[float, float]:
    """Room for the core, and for what lies at most 3/4 of the core's width away from it."""
    low, high = min(core), max(core)
    reach = 0.75 * max(high - low, 1.0)
    near = [value for value in everything if low - reach <= value <= high + reach]
    low, high = min([low, *near]), max([high, *near])
    pad = max(0.06 * (high - low), 0.3)
    return low - pad, high + pad


def _parallels(
    zero_shot: AnchorMark, slope: float, x_range: tuple[float, float], y_range: tuple[float, float]
) -> tuple[float, ...]:
    """Offsets of round size whose parallels cross the plane, at most about ten and never zero."""
    corners = [y - zero_shot.y - slope * (x - zero_shot.x) for x in x_range for y in y_range]
    step = max(1.0, np.diff(nice_ticks(min(corners), max(corners), 10)).max(initial=1.0))
    low, high = int(np.ceil(min(corners) / step)), int(np.floor(max(corners) / step))
    return tuple(float(k * step) for k in range(low, high + 1) if k != 0)
