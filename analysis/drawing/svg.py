"""A small SVG writer: elements, a frame with axes, marker shapes. Colours are CSS classes, for light and dark pages.

No namespace and no ids: the drawings stand inline in HTML, where neither is needed, and several share a page.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from analysis.drawing.ticks import log_ticks, nice_ticks

SHAPES: Mapping[str, str] = {
    "circle": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0Z",
    "diamond": "M0 -6.6L6.6 0L0 6.6L-6.6 0Z",
    "square": "M-4.7 -4.7H4.7V4.7H-4.7Z",
    "triangle": "M0 -6.2L6 4.6H-6Z",
    "down": "M0 6.2L6 -4.6H-6Z",
    "cross": "M-2 -6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z",
    "star": "M0 -7L1.8 -2.2L6.7 -2.2L2.8 .9L4.2 5.7L0 2.9L-4.2 5.7L-2.8 .9L-6.7 -2.2L-1.8 -2.2Z",
}


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A plot area inside a view box; maps data to pixels and draws its own axes."""

    width: float
    height: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    left: float = 64.0
    right: float = 44.0
    top: float = 16.0
    bottom: float = 58.0

    def x(self, value: float) -> float:
        """Pixel column of a data value."""
        low, high = self.x_range
        return self.left + (value - low) / (high - low) * (self.width - self.left - self.right)

    def y(self, value: float) -> float:
        """Pixel row of a data value."""
        low, high = self.y_range
        return self.height - self.bottom - (value - low) / (high - low) * (self.height - self.top - self.bottom)

    def axes(self, x_label: str, y_label: str, *, whole_x: bool = False, log_x: bool = False) -> str:
        """Grid, tick labels and axis titles; with `log_x` the x values are decimal logarithms of what is labelled."""
        x0, x1, y0, y1 = self.left, self.width - self.right, self.height - self.bottom, self.top
        parts = []
        x_ticks = nice_ticks(*self.x_range, 6)
        if whole_x:
            x_ticks = tuple(tick for tick in x_ticks if tick == int(tick))
        labels = {tick: f"{tick:g}" for tick in x_ticks}
        if log_x:
            labels = {math.log10(value): f"{value:.3g}".replace("e+", "e") for value in log_ticks(*self.x_range)}
        for tick, label in labels.items():
            parts.append(line((self.x(tick), y0), (self.x(tick), y1), "grid"))
            parts.append(text(self.x(tick), y0 + 20, label, "tick mid"))
        for tick in nice_ticks(*self.y_range, 6):
            parts.append(line((x0, self.y(tick)), (x1, self.y(tick)), "grid"))
            parts.append(text(x0 - 8, self.y(tick) + 4, f"{tick:g}", "tick end"))
        parts.append(path([(x0, y1), (x0, y0), (x1, y0)], "axis"))
        parts.append(text((x0 + x1) / 2, self.height - 10, x_label, "title mid"))
        middle = (y0 + y1) / 2
        turned: dict[str, str | float] = {
            "x": 0,
            "y": 0,
            "class": "title mid",
            "transform": f"translate(16 {middle:.1f}) rotate(-90)",
        }
        parts.append(element("text", turned, escape(y_label)))
        return "".join(parts)

    def clip(self, start: tuple[float, float], slope: float) -> tuple[tuple[float, float], tuple[float, float]] | None:
        """The part of the line through `start` (data units) that lies inside the frame; None if none does."""
        (x0, x1), (y0, y1) = self.x_range, self.y_range
        ends = [x0, x1]
        if slope:
            ends = sorted([start[0] + (y - start[1]) / slope for y in (y0, y1)])
            ends = [max(x0, ends[0]), min(x1, ends[1])]
        elif not y0 <= start[1] <= y1:
            return None
        if ends[0] >= ends[1]:
            return None
        low, high = ((x, start[1] + slope * (x - start[0])) for x in ends)
        return low, high


def element(name: str, attributes: Mapping[str, str | float], content: str | None = None) -> str:
    """One element; numbers are rounded to a tenth of a pixel, `content` is markup."""
    shown = "".join(f' {key}="{_value(value)}"' for key, value in attributes.items() if value != "")
    return f"<{name}{shown}/>" if content is None else f"<{name}{shown}>{content}</{name}>"


def line(start: tuple[float, float], end: tuple[float, float], classes: str) -> str:
    """A straight line in pixels."""
    return element("line", {"x1": start[0], "y1": start[1], "x2": end[0], "y2": end[1], "class": classes})


def path(points: Sequence[tuple[float, float]], classes: str, hover: str = "") -> str:
    """A polyline in pixels."""
    d = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return element("path", {"d": d, "class": classes}, title(hover) if hover else None)


def text(x: float, y: float, content: str, classes: str) -> str:
    """A line of text."""
    return element("text", {"x": x, "y": y, "class": classes}, escape(content))


def marker(x: float, y: float, shape: str, classes: str, hover: str = "") -> str:
    """A marker in pixels; it stands in a group of its own so that a style sheet can enlarge it in place."""
    drawing = element("path", {"d": SHAPES[shape], "class": classes}, title(hover) if hover else None)
    return element("g", {"transform": f"translate({x:.1f} {y:.1f})"}, drawing)


def title(content: str) -> str:
    """The hover text of the element that contains it."""
    return element("title", {}, escape(content))


def document(width: float, height: float, label: str, content: str, classes: str = "") -> str:
    """An inline SVG that scales with its container; `label` is read out by screen readers."""
    attributes: dict[str, str | float] = {
        "viewBox": f"0 0 {width:g} {height:g}",
        "role": "img",
        "aria-label": escape(label, quote=True),
        "class": classes,
    }
    return element("svg", attributes, content)


def _value(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.1f}"
