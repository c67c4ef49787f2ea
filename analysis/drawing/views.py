"""What the figures show of a study: everything a plot needs (`marks`) and nothing about how it is drawn.

The report's inline SVG (`charts`) and the publication figures (`figures`) draw the same views.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.drawing.looks import COLOURS, Look
from analysis.drawing.marks import AnchorMark, Anytime, GainRow, Gains, Line, Mark, NamedLine, Path, Paths, Plane
from analysis.drawing.ticks import nice_ticks
from analysis.evaluation import DialPath, Evaluation
from analysis.frontier import Frontier, Result, shown_methods
from analysis.plane.anchors import Anchor
from analysis.plane.attainment import surfaces
from analysis.tasks.compute import Curve
from analysis.tasks.trajectories import MAX_SHOWN, Trajectory
from analysis.writing.wording import percent, points

MANY = 60
"""Above this many configs only the Pareto set is drawn at full strength."""

MANY_WAYS = 400
"""Above this many configs only those drawn at full strength can be followed task by task."""

MAX_DIALS = 4
MIN_SPAN = 1.05
"""The least ratio of costs along a curve; one trial of one task has a single point."""

MAX_GAIN_ROWS = 30
MAX_NUMBERED = 20
MANY_METHODS = MAX_SHOWN
"""Above this many methods and timelines the gain chart shows the best config of each and no other."""


def plane_of(frontier: Frontier, look: Look, dials: Sequence[DialPath] = ()) -> Plane:
    """The plane; it shows the anchors, the Pareto set and every method's best, and moves far outliers to its edge."""
    anchors = [frontier.zero_shot, *([frontier.joint] if frontier.joint else [])]
    core: list[Anchor | Result] = [*frontier.front, *(method.best for method in frontier.methods), *anchors]
    x_core = [100 * item.aka.value for item in core]
    y_core = [100 * item.azs.value for item in core]
    x_all = [100 * result.aka.value for result in frontier.results]
    y_all = [100 * result.azs.value for result in frontier.results]
    x_range, y_range = _range(x_core, x_all), _range(y_core, y_all)
    labels = _names(frontier) if look.named else {number: str(number) for number in _numbered(frontier)}
    faint = [
        not result.on_front and (result.number not in labels if look.named else len(x_all) > MANY)
        for result in frontier.results
    ]
    ways = _ways(frontier, faint)
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
            faint=faint[row],
            way=ways[row],
            key=look.key(result.config),
        )
        for row, (result, x, y) in enumerate(zip(frontier.results, x_all, y_all, strict=True))
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
        dials=_dial_lines(frontier, look, dials, x_range, y_range),
        bands=_bands(frontier, x_range, y_range),
        legend=look.legend,
        named=look.named,
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
        legend=look.legend,
        named=look.named,
    )


def gains_of(frontier: Frontier, look: Look) -> Gains | None:
    """Rows by falling gain; None if the gain is undefined."""
    methods = shown_methods(frontier)
    wanted = {method.best.number for method in methods}
    if len(methods) <= MANY_METHODS:
        gains = {r.number: 100 * r.gain.value for r in frontier.results if r.gain is not None and r.config.trained}
        low, _ = _range([0.0, *(gains[number] for number in wanted & set(gains))], list(gains.values()))
        near = [number for number, gain in gains.items() if gain >= low]  # one that broke would squeeze all others
        wanted |= set(sorted(near)[:MAX_GAIN_ROWS])
    rows = tuple(
        GainRow(
            number=result.number,
            label=result.config.label,
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


def anytime_of(curves: Sequence[Curve], unit: str, evaluation: Evaluation, look: Look) -> Anytime | None:
    """Curves of the methods that learn anything, as many as there are colours; None without any.

    A curve begins where its area is first above that of the zero-shot point alone.
    """
    best = {method.name: method.best.config for method in evaluation.methods}
    whole = 1.0 if evaluation.areas.box is None else evaluation.areas.box.area
    chosen = sorted(curves, key=lambda curve: -max(area.value for area in curve.areas))
    lines = []
    for curve in chosen[:COLOURS]:
        config = best[curve.method]
        known = [(x, area) for x, area in zip(curve.costs, curve.areas, strict=True) if x < curve.total]
        known.append((curve.total, curve.areas[-1]))
        if len(known) < 2 or known[-1][0] < MIN_SPAN * known[0][0]:
            continue
        lines.append(
            Line(
                name=curve.method,
                colour=look.colour(config),
                marker=look.shape(config),
                x=tuple(x for x, _ in known),
                y=tuple(100 * area.value / whole for _, area in known),
                half=tuple(None if area.half_width is None else 100 * area.half_width / whole for _, area in known),
            )
        )
    if not lines:
        return None
    x, y = [x for one in lines for x in one.x], [y for one in lines for y in one.y]
    return Anytime(lines=tuple(lines), x_range=(min(x), max(x)), y_range=_range(y, y), unit=unit)


def hover(result: Result) -> str:
    """What a mark says when pointed at."""
    gain = "" if result.gain is None else f", gain {points(result.gain)}"
    return (
        f"{result.number}: {result.config.label}; AKA {percent(result.aka)}, AZS {percent(result.azs)}"
        f", GM {percent(result.gm)}{gain}"
    )


def _ways(frontier: Frontier, faint: Sequence[bool]) -> list[tuple[tuple[float, float], ...] | None]:
    """Means over blocks after every task; of very many configs, only of those drawn at full strength."""
    paths = frontier.samples.paths
    if paths is None:
        return [None] * len(faint)
    way_CT2 = 100 * paths.mean(axis=1)
    hidden = [len(faint) > MANY_WAYS and flag for flag in faint]
    return [
        None if hidden[row] else tuple((float(x), float(y)) for x, y in way_T2) for row, way_T2 in enumerate(way_CT2)
    ]


def _dial_lines(
    frontier: Frontier,
    look: Look,
    dials: Sequence[DialPath],
    x_range: tuple[float, float],
    y_range: tuple[float, float],
) -> tuple[NamedLine, ...]:
    """The dials with the most configs of the Pareto set, at least one, and of these the ones with the most configs."""
    front = {result.number - 1 for result in frontier.front}
    shared = [(len(front & set(one.dial.rows)), len(one.dial.rows), one) for one in dials]
    chosen = sorted((item for item in shared if item[0]), key=lambda item: (-item[0], -item[1], item[2].dial.name))
    found = []
    for _, _, one in chosen[:MAX_DIALS]:
        inside = [
            (100 * float(x), 100 * float(y))
            for x, y in zip(one.path.x, one.path.y, strict=True)
            if x_range[0] <= 100 * x <= x_range[1] and y_range[0] <= 100 * y <= y_range[1]
        ]
        if len(inside) > 1:
            colour = look.colour(frontier.results[one.dial.rows[0]].config)
            found.append(NamedLine(name=f"path of {one.dial.name}", colour=colour, points=tuple(inside)))
    return tuple(found)


def _bands(frontier: Frontier, x_range: tuple[float, float], y_range: tuple[float, float]) -> tuple[NamedLine, ...]:
    """What any, most and all blocks attain with the configs or the zero-shot model, as steps inside the frame."""
    if len(frontier.blocks) < 2:
        return ()
    points = frontier.points
    zero_shot_2S = points.zero_shot.T[:, np.newaxis]
    x_CS, y_CS = np.concatenate([points.x, zero_shot_2S[0]]), np.concatenate([points.y, zero_shot_2S[1]])
    found = []
    for surface in surfaces(x_CS, y_CS):
        x = [x_range[0], *np.clip(100 * surface.x, *x_range).tolist()]
        y = [*np.clip(100 * surface.y, *y_range).tolist(), y_range[0]]
        corners = [
            corner
            for left, right, height in zip(x, x[1:], y, strict=False)
            for corner in ((left, height), (right, height))
        ]
        found.append(NamedLine(name=f"attained {surface.words}", colour=0, points=(*corners, (x[-1], y_range[0]))))
    return tuple(found)


def _numbered(frontier: Frontier) -> tuple[int, ...]:
    """The Pareto set, or of a long one the hull, and the first config; with every method's best if they are few."""
    on_hull = [vertex.result for vertex in frontier.hull if vertex.result is not None]
    chosen = frontier.front if len(frontier.front) <= MAX_NUMBERED else on_hull
    numbers = {frontier.headline.number, *(result.number for result in chosen)}
    bests = {method.best.number for method in frontier.methods if method.best.config.trained}
    return tuple(sorted(numbers | bests if len(numbers | bests) <= MAX_NUMBERED else numbers))


def _names(frontier: Frontier) -> Mapping[int, str]:
    """The best config of every approach that trains, by its number: the first of its summaries, which are by best."""
    names: dict[str, int] = {}
    for method in frontier.methods:
        if method.best.config.trained:
            names.setdefault(method.approach, method.best.number)
    return {number: approach for approach, number in names.items()}


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
