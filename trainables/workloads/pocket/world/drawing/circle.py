"""Sine and angle out of sums, products and quotients alone, with an error below 1e-5.

Such arithmetic has the same bits on every machine; the sine of numpy or of a C library has not. Angles are in turns.
"""

import numpy as np

from trainables.workloads.pocket.world.drawing.randomness import Floats

_SINE = (6.2831853, -41.341702, 81.605209, -76.703666, 41.999961, -14.336856)
_ARCTANGENT = (0.15915425, -0.053024064, 0.031507732, -0.021001931, 0.012573214, -0.0052688643, 0.0010596997)


def sine(turns: Floats) -> Floats:
    """The sine of angles in turns."""
    x = turns - np.rint(turns)
    x = np.where(np.abs(x) > 0.25, np.copysign(np.float32(0.5), x) - x, x)
    return _odd(_SINE, x)


def cosine(turns: Floats) -> Floats:
    """The cosine of angles in turns."""
    return sine(turns + np.float32(0.25))


def angle(x: Floats, y: Floats) -> Floats:
    """The angle of the vector (x, y) in turns, from -1/2 to 1/2; 0 is to the right, 1/4 is down."""
    wide, high = np.abs(x), np.abs(y)
    ratio = np.minimum(wide, high) / np.maximum(np.maximum(wide, high), np.float32(1e-6))
    turns = _odd(_ARCTANGENT, ratio)
    turns = np.where(high > wide, np.float32(0.25) - turns, turns)
    turns = np.where(x < 0, np.float32(0.5) - turns, turns)
    return np.copysign(turns, y)


def length(x: Floats, y: Floats) -> Floats:
    """The length of the vector (x, y)."""
    return np.sqrt(x * x + y * y)


def _odd(coefficients: tuple[float, ...], x: Floats) -> Floats:
    """c0 x + c1 x^3 + c2 x^5 + ..."""
    square = x * x
    value: Floats = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * square + np.float32(coefficient)
    return value * x
