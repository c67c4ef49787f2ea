"""Shapes: silhouettes built of polygons and discs, as distance fields; the pool's twelve and twelve new ones.

Coordinates are in [-1, 1] with y downwards; each shape is a short list of layers drawn over one another, 1 adds and 0
removes. Shapes are drawn upright and turned by the pose.
"""

from functools import cache
from math import cos, pi, sin

import numpy as np
from PIL import Image, ImageDraw

from trainables.workloads.pocket.world.drawing.fields import RASTER, distance_field
from trainables.workloads.pocket.world.drawing.randomness import Floats

Points = tuple[tuple[float, float], ...]
Layer = tuple[int, Points]

_RADIUS = 46


def regular(
    corners: int, *, radius: float = 1.0, turn: float = -pi / 2, centre: tuple[float, float] = (0, 0)
) -> Points:
    """Corners of a regular polygon, the first one at the angle ``turn``."""
    angles = (turn + 2 * pi * k / corners for k in range(corners))
    return tuple((centre[0] + radius * cos(a), centre[1] + radius * sin(a)) for a in angles)


def disc(radius: float = 1.0, *, centre: tuple[float, float] = (0, 0), squash: float = 1.0) -> Points:
    """A disc as a polygon of 48 corners, ``squash`` times as high as wide."""
    return tuple((x, centre[1] + (y - centre[1]) * squash) for x, y in regular(48, radius=radius, centre=centre))


def star(points: int, *, inner: float) -> Points:
    """A star with its first point upwards and its notches at the radius ``inner``."""
    radii = (1.0 if k % 2 == 0 else inner for k in range(2 * points))
    return tuple((r * cos(pi * k / points - pi / 2), r * sin(pi * k / points - pi / 2)) for k, r in enumerate(radii))


def box(left: float, top: float, right: float, bottom: float) -> Points:
    """The corners of an upright rectangle."""
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def _heart() -> Points:
    turns = (2 * pi * k / 64 for k in range(64))
    return tuple((sin(t) ** 3, -(13 * cos(t) - 5 * cos(2 * t) - 2 * cos(3 * t) - cos(4 * t)) / 16) for t in turns)


def _gear() -> Points:
    radii = (1.0, 1.0, 0.72, 0.72)
    return tuple((radii[k % 4] * cos(2 * pi * k / 32), radii[k % 4] * sin(2 * pi * k / 32)) for k in range(32))


def _arc(start: float, stop: float, *, radius: float = 1.0, centre: tuple[float, float] = (0, 0)) -> Points:
    angles = (start + (stop - start) * k / 40 for k in range(41))
    return tuple((centre[0] + radius * cos(a), centre[1] + radius * sin(a)) for a in angles)


POOL_SHAPES: dict[str, tuple[Layer, ...]] = {
    "circle": ((1, disc()),),
    "square": ((1, box(-0.8, -0.8, 0.8, 0.8)),),
    "triangle": ((1, regular(3)),),
    "star": ((1, star(5, inner=0.42)),),
    "cross": ((1, box(-0.3, -0.95, 0.3, 0.95)), (1, box(-0.95, -0.3, 0.95, 0.3))),
    "heart": ((1, _heart()),),
    "oval": ((1, disc(squash=0.52)),),
    "rectangle": ((1, box(-1.0, -0.48, 1.0, 0.48)),),
    "arrow": ((1, ((1, 0), (0.15, -0.8), (0.15, -0.3), (-1, -0.3), (-1, 0.3), (0.15, 0.3), (0.15, 0.8))),),
    "hexagon": ((1, regular(6)),),
    "crescent": ((1, disc()), (0, disc(0.82, centre=(0.5, -0.1)))),
    "drop": ((1, disc(0.66, centre=(0, 0.34))), (1, ((0, -1), (0.62, 0.12), (-0.62, 0.12)))),
}

NEW_SHAPES: dict[str, tuple[Layer, ...]] = {
    "trapezoid": ((1, ((-0.45, -0.6), (0.45, -0.6), (1, 0.6), (-1, 0.6))),),
    "parallelogram": ((1, ((-0.35, -0.55), (1, -0.55), (0.35, 0.55), (-1, 0.55))),),
    "kite": ((1, ((0, -1), (0.62, -0.35), (0, 1), (-0.62, -0.35))),),
    "semicircle": ((1, _arc(pi, 2 * pi, centre=(0, 0.5))),),
    "gear": ((1, _gear()), (0, disc(0.3))),
    "lightning": ((1, ((0.25, -1), (-0.6, 0.15), (-0.05, 0.15), (-0.3, 1), (0.6, -0.25), (0.05, -0.25))),),
    "house": (
        (1, box(-0.65, -0.1, 0.65, 0.95)),
        (1, ((0, -0.95), (0.98, -0.05), (-0.98, -0.05))),
        (0, box(-0.18, 0.4, 0.18, 1)),
    ),
    "hourglass": ((1, ((-0.75, -0.95), (0.75, -0.95), (0.1, 0), (0.75, 0.95), (-0.75, 0.95), (-0.1, 0))),),
    "chevron": ((1, ((-0.8, -0.9), (-0.1, -0.9), (0.8, 0), (-0.1, 0.9), (-0.8, 0.9), (0.1, 0))),),
    "wedge": ((1, (*_arc(0.2 * pi, 1.8 * pi), (0, 0))),),
    "donut": ((1, disc()), (0, disc(0.5))),
    "clover": (
        (1, disc(0.45, centre=(0, -0.5))),
        (1, disc(0.45, centre=(-0.47, 0.15))),
        (1, disc(0.45, centre=(0.47, 0.15))),
        (1, ((-0.12, 0), (0.12, 0), (0.22, 1), (-0.22, 1))),
    ),
}


@cache
def shapes(names: tuple[str, ...]) -> Floats:
    """The fields [K, 64, 64] of shapes of either table."""
    return np.stack([shape(name) for name in names])


@cache
def shape(name: str) -> Floats:
    """The distance field [64, 64] of a shape of either table."""
    layers = POOL_SHAPES.get(name) or NEW_SHAPES[name]
    raster = Image.new("L", (RASTER, RASTER))
    draw = ImageDraw.Draw(raster)
    for value, points in layers:
        draw.polygon(
            [((RASTER - 1) / 2 + _RADIUS * x, (RASTER - 1) / 2 + _RADIUS * y) for x, y in points], fill=255 * value
        )
    return distance_field(np.asarray(raster) > 127)
