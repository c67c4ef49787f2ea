"""Colours: random shades that people would call by a name, and grounds that an ink stands out from.

Shapes: names are numbers into `COLOURS` [N]; shades are RGB in [0, 1], [N, 3].
"""

import numpy as np
from numpy.typing import NDArray

from trainables.workloads.pocket.world.drawing.randomness import Draws, Floats, Ints

HUES: dict[str, float] = {
    "red": 0.0,
    "orange": 0.08,
    "yellow": 0.15,
    "green": 0.33,
    "cyan": 0.5,
    "blue": 0.63,
    "purple": 0.76,
    "magenta": 0.88,
}
COLOURS: tuple[str, ...] = (*HUES, "white", "black")

_WHITE, _BLACK = len(HUES), len(HUES) + 1
_HUE: Floats = np.array([*HUES.values(), 0, 0], dtype=np.float32)
_TRIES = 6


def shades(names_N: Ints, draws: Draws) -> Floats:
    """A random shade of each colour."""
    hue, saturation, value = np.moveaxis(draws.uniforms(3), 1, 0)
    white, black = names_N == _WHITE, names_N == _BLACK
    neutral = white | black
    return _rgb(
        np.where(neutral, hue, _HUE[names_N] + np.float32(0.04) * (hue - np.float32(0.5))),
        np.where(white, 0.06 * saturation, np.where(black, 0.5 * saturation, 0.75 + 0.25 * saturation)),
        np.where(white, 0.92 + 0.08 * value, np.where(black, 0.12 * value, 0.75 + 0.25 * value)),
    )


def grounds(ink_N3: Floats, draws: Draws, *, neutral: bool = False) -> Floats:
    """Random grounds that the inks stand out from; a neutral one is pale or dark."""
    draw = draws.uniforms(4 * _TRIES).reshape(-1, 4, _TRIES)
    hue, saturation, value, kind = draw[:, 0], draw[:, 1], draw[:, 2], draw[:, 3]
    dark, pale = kind < 0.4, (kind < 0.7) | neutral
    tried = _rgb(
        hue,
        np.where(dark, 0.5 * saturation, np.where(pale, 0.2 * saturation, 0.3 + 0.5 * saturation)),
        np.where(dark, 0.3 * value, np.where(pale, 0.7 + 0.3 * value, 0.3 + 0.6 * value)),
    )
    apart = tried - ink_N3[:, None]
    far = apart[..., 0] * apart[..., 0] + apart[..., 1] * apart[..., 1] + apart[..., 2] * apart[..., 2] > 0.36
    is_far_N: NDArray[np.bool_] = np.logical_or.reduce(far, axis=1)
    chosen = tried[np.arange(len(tried)), far.argmax(axis=1)]
    plain = np.where(_luminance(ink_N3) > 0.5, np.float32(0.05), np.float32(0.95))
    return np.where(is_far_N[:, None], chosen, plain[:, None])


def inked(draws: Draws) -> tuple[Ints, Floats, Floats]:
    """A random colour by its number, a shade of it, and a ground for it."""
    names_N = draws.below(len(COLOURS))
    ink_N3 = shades(names_N, draws)
    return names_N, ink_N3, grounds(ink_N3, draws)


def is_dark(shade_N3: Floats) -> NDArray[np.bool_]:
    """Whether people would call the shade dark."""
    return _luminance(shade_N3) < 0.4


def _luminance(shade_N3: Floats) -> Floats:
    red, green, blue = shade_N3[:, 0], shade_N3[:, 1], shade_N3[:, 2]
    luminance: Floats = np.float32(0.3) * red + np.float32(0.59) * green + np.float32(0.11) * blue
    return luminance


def _rgb(hue: Floats, saturation: Floats, value: Floats) -> Floats:
    """RGB of hue (in turns), saturation and value; the colours are in the last dimension."""
    channels = []
    for offset in (5, 3, 1):
        place = hue * 6 + np.float32(offset)
        place = place - 6 * np.floor(place / 6)
        part = np.minimum(np.maximum(np.minimum(place, 4 - place), 0), 1)
        channels.append(value - value * saturation * part)
    return np.stack(channels, axis=-1).astype(np.float32)
