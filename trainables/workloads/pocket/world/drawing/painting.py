"""Painting: a picture is `ground + mask * (ink - ground)`, lightly shaded and slightly noisy, in bytes."""

import numpy as np
from numpy.typing import NDArray

from trainables.workloads.pocket.world.drawing.colours import inked
from trainables.workloads.pocket.world.drawing.fields import COLUMNS, ROWS, SIDE
from trainables.workloads.pocket.world.drawing.randomness import Draws, Floats

Pictures = NDArray[np.uint8]
"""[N, 32, 32, 3]."""


def paint(mask_NHW: Floats, ink_N3: Floats, ground: Floats, draws: Draws, *, grain: Floats | float = 0.0) -> Pictures:
    """The masks in ink on a ground.

    Args:
        mask_NHW: shares of ink in [0, 1].
        ink_N3: the ink of each picture.
        ground: the ground of each picture [N, 3], or of each pixel [N, 32, 32, 3].
        draws: for shading and noise.
        grain: strength of coarse noise, equal in all colours.
    """
    draw = draws.uniforms(3, -1, 1).reshape(-1, 3, 1, 1)
    low = ground if ground.ndim == 4 else ground[:, None, None]
    picture = low + mask_NHW[..., None] * (ink_N3[:, None, None] - low)
    shade = np.float32(0.1 / SIDE) * (draw[:, 0] * ROWS + draw[:, 1] * COLUMNS)
    if np.any(np.asarray(grain) > 0):
        strength = np.asarray(grain, dtype=np.float32).reshape(-1, 1, 1)
        shade = shade + strength * draws.grains(SIDE * SIDE).reshape(-1, SIDE, SIDE)
    noise = draws.grains(3 * SIDE * SIDE).reshape(-1, SIDE, SIDE, 3)
    noise *= (np.float32(0.02) + np.float32(0.02) * draw[:, 2])[..., None]
    picture += noise
    picture += shade[..., None]
    picture *= np.float32(255)
    picture += np.float32(0.5)
    return np.minimum(np.maximum(picture, 0), 255).astype(np.uint8)


def painted(mask_NHW: Floats, draws: Draws) -> Pictures:
    """The masks in a random ink on a random ground."""
    _, ink_N3, ground_N3 = inked(draws)
    return paint(mask_NHW, ink_N3, ground_N3, draws)
