"""The report's drawings: views as inline SVG, with hover texts and CSS classes for colours."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from analysis.drawing import svg
from analysis.drawing.labels import FAR, NEAR, Box, place, spread
from analysis.drawing.looks import GROUP_LOOKS
from analysis.drawing.marks import AnchorMark, Anytime, Entry, GainRow, Gains, Line, Mark, Path, Paths, Plane
from analysis.drawing.svg import Frame
from analysis.drawing.ticks import nice_ticks

NAME_PIXELS = 6.4
"""Mean width of a letter of a name in a drawing."""


def plane_chart(plane: Plane) -> str:
    """The accumulation-retention plane. Each mark is a group at its place, so that a script can move or hide it."""
    frame = _plane_frame(plane)
    parts = [frame.axes("AKA: accumulated knowledge, %", "AZS: retained zero-shot knowledge, %")]
    if plane.slope is not None:
        parts += _parallels(plane, frame)
    hull = [(frame.x(x), frame.y(y)) for x, y in plane.hull]
    if len(hull) > 1:
        parts.append(svg.path(hull, "hull", "routing hull: what routing requests between these configs can reach"))
    for band in plane.bands:
        steps = [(frame.x(x), frame.y(y)) for x, y in band.points]
        parts.append(svg.path(steps, "band", band.name))
    for dial in plane.dials:
        pixels = [(frame.x(x), frame.y(y)) for x, y in dial.points]
        parts.append(svg.path(pixels, f"dial s{dial.colour}", dial.name))
    parts += _anchors(frame, plane.zero_shot, plane.joint)
    parts += [_mark(frame, mark) for mark in _drawn_in_order(plane)]
    parts += _letters(frame, plane.zero_shot, plane.joint)
    labels = _labels(
        frame,
        [(mark.label, mark.x, mark.y) for mark in plane.marks if mark.label is not None],
        [(mark.x, mark.y) for mark in plane.marks if not mark.faint],
        (plane.zero_shot, plane.joint),
        named=plane.named,
    )
    parts.append(svg.element("g", {"class": "labels"}, "".join(labels)))
    classes = "wide named plane" if plane.named else "wide plane"
    return svg.document(760, 540, "Accumulation against retention of every config", "".join(parts), classes)


def plane_script_data(plane: Plane) -> dict[str, object]:
    """What the page's script needs beside the drawing: how pixels map to percent, and the ways of marks in pixels."""
    frame = _plane_frame(plane)
    (x0, x1), (y0, y1) = plane.x_range, plane.y_range
    return {
        "x": [frame.x(x0), x0, frame.x(x1), x1],
        "y": [frame.y(y0), y0, frame.y(y1), y1],
        "ways": {
            str(mark.number): [[round(frame.x(x), 1), round(frame.y(y), 1)] for x, y in mark.way]
            for mark in plane.marks
            if mark.way is not None
        },
    }


def paths_chart(paths: Paths) -> str:
    """Ways through the plane."""
    frame = Frame(width=760, height=500, x_range=paths.x_range, y_range=paths.y_range)
    parts = [frame.axes("AKA, %", "AZS, %")]
    if paths.joint is not None:
        start, end = paths.zero_shot, paths.joint
        parts.append(svg.line((frame.x(start.x), frame.y(start.y)), (frame.x(end.x), frame.y(end.y)), "line"))
    parts += [_way(frame, path, path.x, path.y) for path in reversed(paths.paths)]
    parts += [*_anchors(frame, paths.zero_shot, paths.joint), *_letters(frame, paths.zero_shot, paths.joint)]
    ends = [(path.label, path.x[-1], path.y[-1]) for path in paths.paths]
    dots = [(x, y) for path in paths.paths for x, y in zip(path.x, path.y, strict=True)]
    parts += _labels(frame, ends, dots, (paths.zero_shot, paths.joint), named=paths.named)
    classes = "wide named" if paths.named else "wide"
    return svg.document(760, 500, "Paths of configs through the plane, task by task", "".join(parts), classes)


def tasks_chart(paths: Paths, quantity: str) -> str:
    """AKA or AZS over tasks; the joint model's level is a dashed line."""
    y_range = paths.x_range if quantity == "AKA" else paths.y_range
    pad = 0.03 * paths.last_task
    x_range = (-pad, paths.last_task + pad)
    longest = max(len(path.label) for path in paths.paths) if paths.named else 0
    right = 30.0 if not longest else 26 + NAME_PIXELS * longest
    frame = Frame(width=480, height=340, x_range=x_range, y_range=y_range, right=right, left=58)
    parts = [frame.axes("task", f"{quantity}, %", whole_x=True)]
    if paths.joint is not None:
        level = paths.joint.x if quantity == "AKA" else paths.joint.y
        parts.append(svg.line((frame.x(0), frame.y(level)), (frame.x(paths.last_task), frame.y(level)), "line"))
        if not longest:
            parts.append(svg.text(frame.x(paths.last_task) + 6, frame.y(level) + 4, "J", "letter"))
    parts += [_way(frame, path, path.tasks, path.x if quantity == "AKA" else path.y) for path in reversed(paths.paths)]
    if longest:
        ends = [(path.label, path.x[-1] if quantity == "AKA" else path.y[-1]) for path in paths.paths]
        parts += _names_beside(frame, [*ends, *([("J", level)] if paths.joint is not None else [])], paths.last_task)
    return svg.document(480, 340, f"{quantity} over tasks", "".join(parts), "half")


def anytime_chart(anytime: Anytime) -> str:
    """Area reached against cost; the logarithm of the cost is drawn."""
    low, high = (math.log10(value) for value in anytime.x_range)
    longest = max(len(line.name) for line in anytime.lines)
    frame = Frame(
        width=760,
        height=380,
        x_range=(low - 0.02 * (high - low), high),
        y_range=anytime.y_range,
        right=30 + NAME_PIXELS * longest,
    )
    parts = [frame.axes(f"cost of all configs of a method, {anytime.unit}", "hull area, % of the box", log_x=True)]
    for line in reversed(anytime.lines):
        pixels = [(frame.x(math.log10(x)), frame.y(y)) for x, y in zip(line.x, line.y, strict=True)]
        steps = [point for (x0, y0), (x1, y1) in pairwise(pixels) for point in ((x0, y0), (x1, y0), (x1, y1))]
        parts.append(svg.path(steps, f"path s{line.colour}", line.name))
        parts.append(svg.marker(*pixels[-1], line.marker, f"front f{line.colour}", _anytime_words(line, anytime)))
    heights = [frame.y(line.y[-1]) for line in anytime.lines]
    for line, height in zip(
        anytime.lines, spread(heights, gap=14, low=frame.top, high=frame.height - frame.bottom), strict=True
    ):
        parts.append(svg.text(frame.width - frame.right + 12, height + 4, line.name, "name"))
    return svg.document(760, 380, "Hull area against the cost of tuning and training", "".join(parts), "wide")


def _anytime_words(line: Line, anytime: Anytime) -> str:
    half = "" if line.half[-1] is None else f" \u00b1 {line.half[-1]:.1f}"
    return f"{line.name}: {line.y[-1]:.1f}{half} % of the box after {line.x[-1]:.3g} {anytime.unit}"


def gain_strip(row: GainRow, gains: Gains) -> str:
    """The bar cell of one row of the gain chart; horizontal positions are percentages, so it fits any width."""
    parts = [_zero(gains)]
    if row.half is not None:
        ends = (_share(row.value - row.half, gains.x_range), _share(row.value + row.half, gains.x_range))
        parts.append(_level_line(ends, f"interval s{row.colour}"))
    parts.append(_strip_marker(_share(row.value, gains.x_range), row.marker, f"mark f{row.colour}"))
    return svg.element("svg", {"class": "strip", "aria-hidden": "true"}, "".join(parts))


def gain_axis(gains: Gains) -> str:
    """The scale below the gain chart."""
    parts = []
    for tick in nice_ticks(*gains.x_range, 5):
        at = f"{_share(tick, gains.x_range):.2f}%"
        label = f"{tick:+g}".replace("-", "\u2212") if tick else "0"
        parts.append(svg.element("line", {"x1": at, "x2": at, "y1": "0", "y2": "5", "class": "zero"}))
        parts.append(svg.element("text", {"x": at, "y": "19", "class": "tick mid"}, label))
    return svg.element("svg", {"class": "strip", "aria-hidden": "true"}, "".join(parts))


def effect_strip(main: float, total: float, chance: float) -> str:
    """An axis' shares of the variance: a bar for its main effect, a paler one to its total, a tick at chance."""
    parts = []
    for value, classes in ((total, "total"), (main, "alone")):
        width = f"{100 * min(max(value, 0.0), 1.0):.2f}%"
        parts.append(svg.element("rect", {"x": "0", "y": "5", "height": "10", "width": width, "class": classes}))
    at = f"{100 * min(max(chance, 0.0), 1.0):.2f}%"
    parts.append(svg.element("line", {"x1": at, "x2": at, "y1": "2", "y2": "18", "class": "joint"}))
    return svg.element("svg", {"class": "strip", "aria-hidden": "true"}, "".join(parts))


def swatch(colour: int | None, shape: str) -> str:
    """A legend entry's mark; without a colour it is grey."""
    classes = "mark grey" if colour is None else f"mark f{colour}"
    return svg.element(
        "svg", {"viewBox": "-8 -8 16 16", "class": "swatch", "aria-hidden": "true"}, svg.marker(0, 0, shape, classes)
    )


def legend(entries: Sequence[Entry]) -> tuple[tuple[str, str, str], ...]:
    """(name, drawing, key) of every entry."""
    return tuple((entry.name, swatch(entry.colour, entry.shape), entry.key) for entry in entries)


def _drawn_in_order(plane: Plane) -> list[Mark]:
    """Faint marks first, the Pareto set last, smaller numbers over larger ones; full fine-tuning over its likes."""
    full = GROUP_LOOKS["full"][0] if plane.named else None
    return sorted(
        plane.marks,
        key=lambda mark: (mark.colour == full and not mark.faint, mark.on_front, not mark.faint, -mark.number),
    )


def _plane_frame(plane: Plane) -> Frame:
    return Frame(width=760, height=540, x_range=plane.x_range, y_range=plane.y_range)


def _mark(frame: Frame, mark: Mark) -> str:
    """A config's mark and its error cross, around the origin of a group."""
    x, y = frame.x(mark.x), frame.y(mark.y)
    cross = "" if mark.faint or mark.outside else _own_cross(frame, mark)
    kind = "out" if mark.outside else "front" if mark.on_front else "mark faint" if mark.faint else "mark"
    classes = f"{kind} s{mark.colour}" if mark.outside else f"{kind} f{mark.colour}"
    drawing = svg.element("path", {"d": svg.SHAPES[mark.marker], "class": classes})
    attributes: dict[str, str | float] = {
        "class": "pt",
        "data-n": str(mark.number),
        "data-key": " ".join(mark.key),
        "transform": f"translate({x:.1f} {y:.1f})",
    }
    return svg.element("g", attributes, svg.title(mark.text) + cross + drawing)


def _own_cross(frame: Frame, mark: Mark) -> str:
    if mark.x_se is None or mark.y_se is None:
        return ""
    (x0, x1), (y0, y1) = frame.x_range, frame.y_range
    x, y = frame.x(mark.x), frame.y(mark.y)
    left, right = frame.x(max(mark.x - mark.x_se, x0)) - x, frame.x(min(mark.x + mark.x_se, x1)) - x
    low, high = frame.y(max(mark.y - mark.y_se, y0)) - y, frame.y(min(mark.y + mark.y_se, y1)) - y
    d = f"M{left:.1f} 0H{right:.1f}M0 {low:.1f}V{high:.1f}"
    return svg.element("path", {"d": d, "class": f"error s{mark.colour}"})


def _parallels(plane: Plane, frame: Frame) -> list[str]:
    assert plane.slope is not None
    parts = []
    for gain in (*plane.gains, 0.0):
        ends = frame.clip((plane.zero_shot.x, plane.zero_shot.y + gain), plane.slope)
        if ends is None:
            continue
        (xa, ya), (xb, yb) = ends
        classes = "line" if gain == 0 else "parallel"
        parts.append(svg.line((frame.x(xa), frame.y(ya)), (frame.x(xb), frame.y(yb)), classes))
        label = "line" if gain == 0 else f"{gain:+g}".replace("-", "\u2212")
        if xb == frame.x_range[1]:
            parts.append(svg.text(frame.x(xb) + 5, frame.y(yb) + 4, label, "tick faded"))
        elif plane.slope < 0:
            parts.append(svg.text(frame.x(xb) - 6, frame.y(yb) - 6, label, "tick faded end"))
    return parts


def _cross(frame: Frame, x: float, y: float, x_se: float | None, y_se: float | None, classes: str) -> list[str]:
    if x_se is None or y_se is None:
        return []
    (x0, x1), (y0, y1) = frame.x_range, frame.y_range
    left, right, low, high = max(x - x_se, x0), min(x + x_se, x1), max(y - y_se, y0), min(y + y_se, y1)
    return [
        svg.line((frame.x(left), frame.y(y)), (frame.x(right), frame.y(y)), classes),
        svg.line((frame.x(x), frame.y(low)), (frame.x(x), frame.y(high)), classes),
    ]


def _anchors(frame: Frame, zero_shot: AnchorMark, joint: AnchorMark | None) -> list[str]:
    parts = []
    for anchor in (zero_shot, *((joint,) if joint else ())):
        parts += _cross(frame, anchor.x, anchor.y, anchor.x_se, anchor.y_se, "error ink")
        x, y = frame.x(anchor.x), frame.y(anchor.y)
        disc: dict[str, str | float] = {"cx": x, "cy": y, "r": 9.0, "class": "anchor"}
        parts.append(svg.element("circle", disc, svg.title(anchor.text)))
    return parts


def _letters(frame: Frame, zero_shot: AnchorMark, joint: AnchorMark | None) -> list[str]:
    """Names of the anchors once more, beside them and over whatever lies on them."""
    return [
        svg.text(frame.x(anchor.x) - 12, frame.y(anchor.y) - 9, anchor.name, "number mid")
        for anchor in (zero_shot, joint)
        if anchor is not None
    ]


def _labels(
    frame: Frame,
    labels: Sequence[tuple[str, float, float]],
    dots: Iterable[tuple[float, float]],
    anchors: tuple[AnchorMark, AnchorMark | None],
    *,
    named: bool,
) -> list[str]:
    """Numbers or names next to marks, each with a thin leader where it had to move away."""
    discs = [(anchor.x, anchor.y) for anchor in anchors if anchor is not None]
    corners = [(dx, dy) for dx in (-5, 5) for dy in (-5, 5)]
    blocked = [(frame.x(x), frame.y(y)) for x, y in dots]
    blocked += [(frame.x(x) + dx, frame.y(y) + dy) for x, y in discs for dx, dy in corners]
    bounds = Box(frame.left, frame.top, frame.width - frame.left - frame.right, frame.height - frame.top - frame.bottom)
    starts = [(frame.x(x), frame.y(y)) for _, x, y in labels]
    widest = 8.0 * max((len(text) for text, _, _ in labels), default=1) + 3
    centres = place(
        starts,
        sizes=[(NAME_PIXELS * len(text) + 4 if named else widest, 15) for text, _, _ in labels],
        obstacles=blocked,
        bounds=bounds,
        reach=13,
        rings=FAR if named else NEAR,
    )
    leaders, parts = [], []
    for (text, _, _), (x, y), (cx, cy) in zip(labels, starts, centres, strict=True):
        half = NAME_PIXELS * len(text) / 2 if named else 0.0
        edge = max(cx - half, min(x, cx + half))
        if abs(edge - x) + abs(cy - y) > 27:
            leaders.append(svg.line((x, y), (edge, cy), "leader"))
        parts.append(svg.text(cx, cy + 4.5, text, "name mid" if named else "number mid"))
    return [*leaders, *parts]


def _names_beside(frame: Frame, ends: Sequence[tuple[str, float]], task: float) -> list[str]:
    """Names to the right of the frame at the height of their ends, or as near to it as the others allow."""
    heights = [frame.y(value) for _, value in ends]
    spread_out = spread(heights, gap=14, low=frame.top, high=frame.height - frame.bottom)
    x = frame.width - frame.right
    parts = []
    for (text, _), own, height in zip(ends, heights, spread_out, strict=True):
        parts.append(svg.line((frame.x(task) + 6, own), (x + 16, height), "leader"))
        parts.append(svg.text(x + 19, height + 4, text, "letter" if text == "J" else "name"))
    return parts


def _way(frame: Frame, path: Path, x: Iterable[float], y: Iterable[float]) -> str:
    """A thin line with a dot per task and the config's marker at its end."""
    pixels = [(frame.x(a), frame.y(b)) for a, b in zip(x, y, strict=True)]
    dots = "".join(
        svg.element("circle", {"cx": px, "cy": py, "r": 1.8, "class": f"f{path.colour}"}) for px, py in pixels[1:-1]
    )
    end = svg.marker(*pixels[-1], path.marker, f"front f{path.colour}")
    title = svg.title(path.text)
    return svg.element("g", {"class": "way"}, title + svg.path(pixels, f"path s{path.colour}") + dots + end)


def _share(value: float, span: tuple[float, float]) -> float:
    """Position in a strip, in percent of its width."""
    return 100 * (value - span[0]) / (span[1] - span[0])


def _zero(gains: Gains) -> str:
    at = f"{_share(0.0, gains.x_range):.2f}%"
    return svg.element("line", {"x1": at, "x2": at, "y1": "0", "y2": "100%", "class": "zero"})


def _level_line(ends: tuple[float, float], classes: str) -> str:
    return svg.element(
        "line", {"x1": f"{ends[0]:.2f}%", "x2": f"{ends[1]:.2f}%", "y1": "50%", "y2": "50%", "class": classes}
    )


def _strip_marker(share: float, shape: str, classes: str) -> str:
    place_at = {"x": f"{share:.2f}%", "y": "50%", "class": "over"}
    return svg.element("svg", place_at, svg.element("path", {"d": svg.SHAPES[shape], "class": classes}))
