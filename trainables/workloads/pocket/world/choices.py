"""The choices of a world: which pairs of hue and shape its captions never name, and which fonts.

The seed 0 is that of the shipped world. Another seed makes other choices and other pictures of the same data sets: a
world of its own, on which weights must be pretrained anew.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from trainables.workloads.pocket.world.drawing.colours import HUES
from trainables.workloads.pocket.world.drawing.randomness import Ints, draws
from trainables.workloads.pocket.world.drawing.shapes import POOL_SHAPES

FONTS: tuple[str, ...] = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSerif",
    "DejaVuSansMono",
    "STIXGeneral",
    "STIXGeneralBolIta",
    "cmr10",
    "cmb10",
    "cmss10",
    "cmtt10",
)
"""Fonts of capitals and digits."""

_SEEN = 6


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The choices of a world.

    Attributes:
        seed: of the world.
        pairs: pairs of hue and shape that no caption of the pool names; each shape is left out once or twice.
        seen_fonts: fonts of the pool's letters and digits.
        unseen_fonts: fonts of the held-out ones.
    """

    seed: int
    pairs: tuple[str, ...]
    seen_fonts: tuple[str, ...]
    unseen_fonts: tuple[str, ...]


@cache
def choices(seed: int) -> Choices:
    """The choices of the world of this seed."""
    hues = [tuple(HUES)[k] for k in order(seed, "hues", len(HUES))]
    fonts = [FONTS[k] for k in order(seed, "fonts", len(FONTS))]
    pairs = tuple(
        f"{hue} {form}"
        for i, form in enumerate(POOL_SHAPES)
        for j, hue in enumerate(hues)
        if (3 * i + j) % 8 == 0 or (i % 2 == 0 and (3 * i + j) % 8 == 4)
    )
    return Choices(seed=seed, pairs=pairs, seen_fonts=tuple(fonts[:_SEEN]), unseen_fonts=tuple(fonts[_SEEN:]))


def order(seed: int, name: str, count: int) -> Ints:
    """A random order of 0 .. count - 1 that belongs to a name."""
    found: Ints = draws(seed, f"order of {name}", np.zeros(1, dtype=np.int64)).ranked(count)[0]
    return found
