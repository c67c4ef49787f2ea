"""Round values to label an axis with."""

import math

import numpy as np


def nice_ticks(low: float, high: float, count: int) -> tuple[float, ...]:
    """About `count` round values in [low, high], steps of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / max(count, 1)
    magnitude = 10.0 ** np.floor(np.log10(raw))
    step = magnitude * next(m for m in (1, 2, 5, 10) if m * magnitude >= raw * (1 - 1e-9))
    first, last = int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9))
    return tuple(round(float(k * step), 10) for k in range(first, last + 1))


def log_ticks(low: float, high: float) -> tuple[float, ...]:
    """Values whose decimal logarithms lie in [low, high]: powers of ten, and 2, 3 or 5 times them where they are few.

    Within less than a decade, where these are too few to read an axis by, they are evenly spaced round values.
    """
    exponents = range(math.floor(low), math.ceil(high) + 1)
    for factors in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0)):
        found = [factor * 10.0**exponent for exponent in exponents for factor in factors]
        inside = tuple(value for value in found if low <= math.log10(value) <= high)
        if len(inside) >= 3:
            return inside
    least = math.floor(low)
    even = [tick * 10.0**least for tick in nice_ticks(10.0 ** (low - least), 10.0 ** (high - least), 6)]
    return tuple(tick for tick in even if low <= math.log10(tick) <= high)
