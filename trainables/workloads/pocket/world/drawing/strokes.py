"""Strokes: digits as a hand draws them, a thick line along a skeleton whose control points are moved at random.

Each digit has one to three skeletons, each a list of strokes through points in [-1, 1] (y downwards), smoothed as
Catmull-Rom splines. Only the pool shows them: they let real handwriting, which no model here ever trains on, be known.
"""

import numpy as np

from trainables.workloads.pocket.world.drawing.circle import cosine, sine
from trainables.workloads.pocket.world.drawing.fields import SIDE, bar
from trainables.workloads.pocket.world.drawing.masks import fill
from trainables.workloads.pocket.world.drawing.randomness import Draws, Floats, Ints

Stroke = tuple[tuple[float, float], ...]
Skeleton = tuple[Stroke, ...]

_STEPS = 4
"""Straight pieces for each stretch of a curve."""

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


def stroke_digits(digits_N: Ints, draws: Draws) -> Floats:
    """One random drawing of each digit, as masks [N, 32, 32]."""
    skeleton_N = _FIRST[digits_N] + np.floor(draws.uniform() * _COUNT[digits_N]).astype(np.int64)
    masks = np.empty((len(draws), SIDE, SIDE), dtype=np.float32)
    for k in np.unique(skeleton_N):
        rows = np.flatnonzero(skeleton_N == k)
        masks[rows] = _drawn(_SKELETONS[k], draws.branch("stroke", rows))
    return masks


def _drawn(skeleton: Skeleton, draws: Draws) -> Floats:
    """Drawings of one skeleton: turned, slanted, sized and moved at random."""
    draw = np.moveaxis(draws.uniforms(7, -1, 1), 1, 0)[:, :, None]
    turn, slant, size = np.float32(14 / 360) * draw[0], np.float32(0.3) * draw[1], 11 + np.float32(2.5) * draw[2]
    wide = 1 + np.float32(0.3) * draw[3]
    width_N = (np.float32(3.1) + np.float32(1.2) * draw[4])[:, 0]
    distance = np.full((len(draws), SIDE, SIDE), -SIDE, dtype=np.float32)
    for stroke in skeleton:
        points_NP2 = np.asarray(stroke, dtype=np.float32) + np.float32(0.09) * draws.grains(2 * len(stroke)).reshape(
            -1, len(stroke), 2
        )
        x = points_NP2[..., 0] * wide - slant * points_NP2[..., 1]
        y = points_NP2[..., 1]
        x, y = cosine(turn) * x - sine(turn) * y, sine(turn) * x + cosine(turn) * y
        x, y = _smooth(x) * size + 2 * draw[5], _smooth(y) * size + 2 * draw[6]
        for k in range(x.shape[1] - 1):
            distance = np.maximum(distance, bar(x[:, k], y[:, k], x[:, k + 1], y[:, k + 1], width_N))
    return fill(distance)


def _smooth(points_NP: Floats) -> Floats:
    """A Catmull-Rom curve through the points, with `_STEPS` straight pieces for each stretch."""
    if points_NP.shape[1] == 2:
        return points_NP
    first = 2 * points_NP[:, :1] - points_NP[:, 1:2]
    last = 2 * points_NP[:, -1:] - points_NP[:, -2:-1]
    padded = np.concatenate((first, points_NP, last), axis=1)[..., None]
    before, start, stop, after = padded[:, :-3], padded[:, 1:-2], padded[:, 2:-1], padded[:, 3:]
    t = np.arange(_STEPS, dtype=np.float32) / _STEPS
    curve = (
        2 * start
        + (stop - before) * t
        + (2 * before - 5 * start + 4 * stop - after) * (t * t)
        + (3 * start - before - 3 * stop + after) * (t * t * t)
    ) / 2
    return np.concatenate((curve.reshape(len(curve), -1), points_NP[:, -1:]), axis=1)


_SKELETONS: tuple[Skeleton, ...] = tuple(skeleton for digit in SKELETONS.values() for skeleton in digit)
_COUNT: Ints = np.array([len(digit) for digit in SKELETONS.values()])
_FIRST: Ints = np.cumsum(_COUNT) - _COUNT
