"""Scans: the 1 797 real handwritten digits that scikit-learn ships (8x8, sixteen greys), as masks.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI (1998). Scans of even rank within
their class are for training and those of odd rank for testing; the pool never shows one.
"""

from functools import cache

import numpy as np

from trainables.workloads.pocket.world.drawing.masks import enlarged
from trainables.workloads.pocket.world.drawing.randomness import Floats, Ints

RANKS = 80
"""Scans of a class in either half, at least."""


def scans(digits_N: Ints, ranks_N: Ints, *, odd: bool) -> Floats:
    """The scans of these ranks within their class and half, as masks [N, 32, 32]; ranks beyond the last start again."""
    by_class = _by_class()
    chosen = [by_class[digit][int(odd) :: 2][rank % RANKS] for digit, rank in zip(digits_N, ranks_N, strict=True)]
    return np.minimum(np.maximum(enlarged(np.stack(chosen)), 0), 1)


@cache
def _by_class() -> tuple[Floats, ...]:
    from sklearn.datasets import load_digits  # takes 1.5 s, which a process that finds its pictures cached need not pay

    images, labels = load_digits(return_X_y=True)
    small = (images.reshape(-1, 8, 8) / 16).astype(np.float32)
    return tuple(small[labels == digit] for digit in range(10))
