"""Figures: pictures with parts that mean something: dots to count, dials to read, charts to tell apart.

Each function draws one random example with Pillow at twice the size, as a mask [32, 32] in [0, 1]; grey is a
second ink.
"""

from collections.abc import Callable
from math import cos, pi, sin

import numpy as np
from PIL import Image, ImageDraw

from trainables.workloads.pocket.drawing import SIDE, Floats

_DOUBLE = 2 * SIDE
Pen = ImageDraw.ImageDraw


def dots(count: int, rng: np.random.Generator) -> Floats:
    """``count`` dots, from 1 to 8, that do not touch, in some of the nine cells of a loose grid."""
    pen, raster = _canvas()
    cells = rng.permutation(9)[:count]
    radius = rng.uniform(4.5, 7.5)
    slack = 9.5 - radius
    for cell, dx, dy in zip(cells, rng.uniform(-slack, slack, count), rng.uniform(-slack, slack, count), strict=True):
        _disc(pen, 12 + 20 * (cell % 3) + dx, 12 + 20 * (cell // 3) + dy, radius, 255)
    return _mask(raster)


def dial(hour: int, rng: np.random.Generator) -> Floats:
    """A dial whose hand points to ``hour``, from 1 to 12, give or take six degrees."""
    pen, raster = _canvas()
    x, y = 31.5 + rng.uniform(-4, 4, 2)
    radius = rng.uniform(20, 27)
    angle = 2 * pi * hour / 12 - pi / 2 + np.deg2rad(rng.uniform(-6, 6))
    rim = rng.integers(2, 5)
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=170, width=int(rim))
    if rng.uniform() < 0.5:
        for k in range(12):
            tick_x, tick_y = cos(pi * k / 6), sin(pi * k / 6)
            inner = radius - 5
            pen.line(
                (x + inner * tick_x, y + inner * tick_y, x + radius * tick_x, y + radius * tick_y), fill=170, width=2
            )
    length = radius * rng.uniform(0.72, 0.92)
    width = int(rng.integers(4, 7))
    pen.line((x, y, x + length * cos(angle), y + length * sin(angle)), fill=255, width=width)
    _disc(pen, x, y, width * 0.8, 255)
    return _mask(raster)


def chart(name: str, rng: np.random.Generator) -> Floats:
    """A chart of random numbers; ``name`` is a key of ``CHARTS``."""
    pen, raster = _canvas()
    CHARTS[name](pen, rng)
    return _mask(raster)


def _bar(pen: Pen, rng: np.random.Generator) -> None:
    _axes(pen, rng)
    count = int(rng.integers(3, 7))
    step = 50 / count
    for k, height in enumerate(rng.uniform(8, 48, count)):
        pen.rectangle((9 + step * k, 57 - height, 9 + step * (k + 0.7), 57), fill=255)


def _pie(pen: Pen, rng: np.random.Generator) -> None:
    count = int(rng.integers(3, 6))
    edges = np.cumsum(rng.uniform(0.5, 1.5, count))
    edges = 360 * edges / edges[-1] + rng.uniform(0, 360)
    radius = rng.uniform(21, 28)
    frame = (32 - radius, 32 - radius, 32 + radius, 32 + radius)
    tones = (255, 110, 190, 60, 150)
    for k in range(count):
        start = edges[k - 1] - (360 if k == 0 else 0)
        pen.pieslice(frame, start, edges[k], fill=tones[k], outline=0, width=1)


def _line(pen: Pen, rng: np.random.Generator) -> None:
    _axes(pen, rng)
    heights = _walk(rng, 6)
    pen.line([(9 + 10 * k, 57 - h) for k, h in enumerate(heights)], fill=255, width=4, joint="curve")


def _area(pen: Pen, rng: np.random.Generator) -> None:
    _axes(pen, rng)
    heights = _walk(rng, 6)
    pen.polygon([(8, 57), *((8 + 10.4 * k, 57 - h) for k, h in enumerate(heights)), (60, 57)], fill=220)


def _scatter(pen: Pen, rng: np.random.Generator) -> None:
    _axes(pen, rng)
    for x, y in zip(rng.uniform(11, 60, 16), rng.uniform(5, 54, 16), strict=True):
        _disc(pen, x, y, 2.6, 255)


def _bubble(pen: Pen, rng: np.random.Generator) -> None:
    _axes(pen, rng)
    columns = 16 + 16 * np.arange(3) + rng.uniform(-3, 3, 3)
    for x, y, radius in zip(columns, rng.uniform(14, 46, 3), rng.permutation((5, 8, 11)), strict=True):
        _disc(pen, x, y, radius, 200)


def _radar(pen: Pen, rng: np.random.Generator) -> None:
    corners = int(rng.integers(5, 7))
    angles = [2 * pi * k / corners - pi / 2 for k in range(corners)]
    rim = [(32 + 27 * cos(a), 32 + 27 * sin(a)) for a in angles]
    reach = rng.uniform(8, 24, corners)
    pen.polygon([(32 + r * cos(a), 32 + r * sin(a)) for a, r in zip(angles, reach, strict=True)], fill=240)
    pen.line([*rim, rim[0]], fill=150, width=2)
    for x, y in rim:
        pen.line((32, 32, x, y), fill=150, width=1)


def _heatmap(pen: Pen, rng: np.random.Generator) -> None:
    cells = int(rng.integers(4, 6))
    step = 54 / cells
    for k, tone in enumerate(rng.integers(20, 256, cells * cells)):
        x, y = 5 + step * (k % cells), 5 + step * (k // cells)
        pen.rectangle((x, y, x + step - 1, y + step - 1), fill=int(tone))


def _box(pen: Pen, rng: np.random.Generator) -> None:
    _axes(pen, rng)
    for k in range(3):
        x = 18 + 16 * k
        low, high = rng.uniform(8, 14), rng.uniform(42, 50)
        first, third = rng.uniform(18, 24), rng.uniform(30, 38)
        pen.line((x, 57 - low, x, 57 - high), fill=255, width=2)
        pen.rectangle((x - 5, 57 - third, x + 5, 57 - first), fill=120, outline=255, width=2)


CHARTS: dict[str, Callable[[Pen, np.random.Generator], None]] = {
    "bar": _bar,
    "pie": _pie,
    "line": _line,
    "area": _area,
    "scatter": _scatter,
    "bubble": _bubble,
    "radar": _radar,
    "heatmap": _heatmap,
    "boxplot": _box,
}


def _canvas() -> tuple[Pen, Image.Image]:
    raster = Image.new("L", (_DOUBLE, _DOUBLE))
    return ImageDraw.Draw(raster), raster


def _mask(raster: Image.Image) -> Floats:
    return np.asarray(raster.reduce(2), dtype=np.float32) / np.float32(255)


def _disc(pen: Pen, x: float, y: float, radius: float, tone: int) -> None:
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tone)


def _axes(pen: Pen, rng: np.random.Generator) -> None:
    if rng.uniform() < 0.7:
        pen.line([(5, 3), (5, 60), (62, 60)], fill=150, width=2)


def _walk(rng: np.random.Generator, count: int) -> list[float]:
    return [float(h) for h in np.clip(rng.uniform(14, 40) + np.cumsum(rng.uniform(-13, 13, count)), 6, 52)]
