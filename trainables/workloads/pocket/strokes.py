"""Strokes: digits as a hand draws them, a thick line along a skeleton whose control points are moved at random.

Each digit has one to three skeletons, each a list of strokes through points in [-1, 1] (y downwards), smoothed as
Catmull-Rom splines. Only the pool shows them: they let real handwriting, which no model here ever trains on, be known.
"""

import numpy as np
from PIL import Image, ImageDraw

from trainables.workloads.pocket.drawing import SIDE, Floats

Stroke = tuple[tuple[float, float], ...]
Skeleton = tuple[Stroke, ...]

SKELETONS: dict[str, tuple[Skeleton, ...]] = {
    "zero": ((((0.1, -1), (-0.5, -0.6), (-0.6, 0.2), (-0.3, 0.9), (0.25, 0.95), (0.6, 0.2), (0.5, -0.6), (0.0, -1)),),),
    "one": (
        (((0, -1), (0, 0), (0, 1)),),
        (((-0.4, -0.5), (0.05, -1), (0.05, 1)),),
        (((-0.35, -0.6), (0.05, -1), (0.05, 1)), ((-0.4, 1), (0.45, 1))),
    ),
    "two": (
        (((-0.5, -0.6), (-0.1, -1), (0.45, -0.75), (0.4, -0.2), (-0.5, 0.95)), ((-0.5, 0.95), (0.6, 0.9))),
        (((-0.5, -0.7), (0.0, -1), (0.45, -0.6), (0.1, 0.2), (-0.5, 0.9), (-0.3, 0.6), (0.1, 0.8), (0.6, 0.95)),),
    ),
    "three": (
        (((-0.5, -0.8), (0.05, -1), (0.45, -0.6), (0, -0.1), (0.5, 0.4), (0.1, 0.95), (-0.5, 0.75)),),
        (((-0.5, -0.95), (0.5, -0.95)), ((0.5, -0.95), (0, -0.2), (0.5, 0.3), (0.2, 0.9), (-0.45, 0.85))),
    ),
    "four": (
        (((-0.35, -0.95), (-0.55, 0.15)), ((-0.55, 0.15), (0.6, 0.1)), ((0.3, -0.6), (0.2, 1))),
        (((0.2, -1), (-0.65, 0.3)), ((-0.65, 0.3), (0.65, 0.3)), ((0.25, -1), (0.25, 1))),
        (((0.3, -1), (-0.5, 0.2)), ((-0.5, 0.2), (0.5, 0.25)), ((0.35, -0.1), (0.15, 1))),
    ),
    "five": (
        (
            ((0.55, -0.95), (-0.4, -0.95)),
            ((-0.4, -0.95), (-0.45, -0.1)),
            ((-0.45, -0.1), (0.2, -0.25), (0.5, 0.3), (0.1, 0.9), (-0.5, 0.8)),
        ),
        (
            ((-0.35, -0.9), (-0.4, -0.15), (0.2, -0.2), (0.5, 0.3), (0.1, 0.95), (-0.45, 0.8)),
            ((-0.35, -0.9), (0.5, -1)),
        ),
    ),
    "six": (
        (((0.4, -1), (-0.3, -0.4), (-0.5, 0.4), (-0.1, 0.95), (0.45, 0.6), (0.25, 0.05), (-0.4, 0.3)),),
        (((0.1, -1), (-0.45, 0), (-0.4, 0.75), (0.1, 0.95), (0.45, 0.5), (0.0, 0.15), (-0.4, 0.5)),),
    ),
    "seven": (
        (((-0.5, -0.9), (0.55, -0.95)), ((0.55, -0.95), (0.1, 0), (-0.15, 1))),
        (((-0.5, -0.9), (0.5, -0.95)), ((0.5, -0.95), (-0.1, 1)), ((-0.3, 0), (0.5, -0.05))),
    ),
    "eight": (
        (
            (
                (0.4, -0.75),
                (-0.05, -1),
                (-0.4, -0.6),
                (0.35, 0.3),
                (0.3, 0.85),
                (-0.2, 0.95),
                (-0.4, 0.5),
                (0.35, -0.3),
                (0.4, -0.75),
            ),
        ),
        (((0, -0.05), (-0.4, -0.5), (0, -1), (0.4, -0.5), (0, -0.05), (-0.45, 0.5), (0, 1), (0.45, 0.5), (0, -0.05)),),
    ),
    "nine": (
        (((0.45, -0.6), (0.0, -1), (-0.45, -0.55), (-0.1, -0.1), (0.45, -0.5), (0.4, 0.3), (0.15, 1)),),
        (((0.4, -0.7), (-0.1, -0.95), (-0.4, -0.4), (0.1, -0.1), (0.45, -0.6), (0.4, 0.4), (0.0, 0.95), (-0.4, 0.8)),),
    ),
}


def stroke_digit(name: str, rng: np.random.Generator) -> Floats:
    """One random drawing of a digit as a mask [32, 32]."""
    skeletons = SKELETONS[name]
    skeleton = skeletons[int(rng.integers(len(skeletons)))]
    draw = rng.uniform(-1, 1, 8)
    angle, slant = np.deg2rad(14 * draw[0]), 0.3 * draw[1]
    size = 22 + 5 * draw[2]
    width_ratio = np.exp(0.3 * draw[3])
    turn = np.array(((np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))))
    raster = Image.new("L", (2 * SIDE, 2 * SIDE))
    pen = ImageDraw.Draw(raster)
    width = int(6.5 + 2.4 * draw[4])
    for stroke in skeleton:
        points = np.asarray(stroke) + rng.normal(0, 0.09, (len(stroke), 2))
        points[:, 0] = points[:, 0] * width_ratio - slant * points[:, 1]
        curve = _spline(points) @ turn * size + 31.5 + 4 * draw[5:7]
        pen.line([(float(x), float(y)) for x, y in curve], fill=255, width=width, joint="curve")
        for x, y in (curve[0], curve[-1]):
            pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)
    return np.asarray(raster.reduce(2), dtype=np.float32) / np.float32(255)


def _spline(
    points_N2: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """A Catmull-Rom curve through the points, with eight steps for each stretch."""
    if len(points_N2) == 2:
        return points_N2
    padded = np.concatenate((2 * points_N2[:1] - points_N2[1:2], points_N2, 2 * points_N2[-1:] - points_N2[-2:-1]))
    before, start, stop, after = padded[:-3, None], padded[1:-2, None], padded[2:-1, None], padded[3:, None]
    t = np.linspace(0, 1, 8, endpoint=False)[None, :, None]
    curve = 0.5 * (
        2 * start
        + (stop - before) * t
        + (2 * before - 5 * start + 4 * stop - after) * t**2
        + (3 * start - before - 3 * stop + after) * t**3
    )
    return np.concatenate((curve.reshape(-1, 2), points_N2[-1:]))
