"""Scans: the 1 797 real handwritten digits that scikit-learn ships (8x8, sixteen greys), as masks.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI (1998). Scans of even rank within
their class are for training and those of odd rank for testing; the pool never shows one.
"""

from functools import cache
from typing import Literal

import numpy as np

from trainables.workloads.pocket.drawing import Floats, enlarge


def scan(digit: int, split: Literal["train", "test"], rank: int) -> Floats:
    """The scan of this rank within its class and split, as a mask [32, 32]; ranks beyond the last start again."""
    return enlarge(_by_class()[digit][int(split == "test") :: 2][rank % 80])


@cache
def _by_class() -> tuple[Floats, ...]:
    from sklearn.datasets import load_digits  # takes 1.5 s, which a process that finds its pictures cached need not pay

    images, labels = load_digits(return_X_y=True)
    scans = (images.reshape(-1, 8, 8) / 16).astype(np.float32)
    return tuple(scans[labels == digit] for digit in range(10))
