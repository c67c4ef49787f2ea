"""Painters of known names in looks that the pool hardly shows: only a model that learns to see them can name them."""

import numpy as np

from trainables.workloads.pocket.world.drawing.colours import COLOURS, HUES, inked, shades
from trainables.workloads.pocket.world.drawing.fields import COLUMNS, ROWS, TURNED, UPRIGHT, Pose, place
from trainables.workloads.pocket.world.drawing.glyphs import glyphs
from trainables.workloads.pocket.world.drawing.masks import fill
from trainables.workloads.pocket.world.drawing.painting import Pictures, paint
from trainables.workloads.pocket.world.drawing.randomness import Draws, Floats, Ints
from trainables.workloads.pocket.world.drawing.shapes import POOL_SHAPES, shapes
from trainables.workloads.pocket.world.drawing.textures import textures
from trainables.workloads.pocket.world.names import CAPITALS, DIGITS, DUOS, PLACES
from trainables.workloads.pocket.world.new_names import glyph_masks
from trainables.workloads.pocket.world.wanted import Painter, Wanted

_TINY = Pose(scale=(0.5, 0.68), turn_degrees=6, shear=0.05, stretch=0.08, shift_px=6, wave_px=0)
_STANDING = Pose(scale=(0.32, 0.55), turn_degrees=20, shear=0.1, stretch=0.1, shift_px=1.8, wave_px=0)
_POINTING = Pose(scale=(0.6, 1.05), turn_degrees=0, shear=0.05, stretch=0.1, shift_px=4, wave_px=0)

_PATTERNS = ("horizontal stripes", "vertical stripes", "diagonal stripes", "checkerboard", "grid", "blobs")
_PIGMENTS: tuple[str, ...] = tuple(HUES)
_POINTERS = ("arrow", "drop")
_UPWARDS = np.array((0.0, -0.25), dtype=np.float32)
"""Where each pointer points when it is upright, in turns clockwise from the right."""


def patterned(ground_N3: Floats, draws: Draws, *, contrast: float) -> Floats:
    """Grounds [N, 32, 32, 3] with a pattern of a neighbouring shade."""
    mask = textures(_PATTERNS, draws.below(len(_PATTERNS)), draws.branch("pattern"), softness_N=0.8)
    other_N3 = ground_N3 + np.float32(contrast) * draws.uniforms(3, -1, 1)
    return ground_N3[:, None, None] + mask[..., None] * (other_N3 - ground_N3)[:, None, None]


def _tiny(wanted: Wanted) -> Pictures:
    draws, fonts = wanted.draws, wanted.choices.seen_fonts
    fields = glyphs(tuple(CAPITALS.values()), fonts)
    placed = place(fields, wanted.concepts * len(fonts) + draws.below(len(fonts)), _TINY, draws)
    _, ink_N3, ground_N3 = inked(draws)
    return paint(fill(placed, weight_px=0.2), ink_N3, ground_N3, draws)


def _faint(wanted: Wanted) -> Pictures:
    draws = wanted.draws
    mask = glyph_masks(DIGITS, wanted.choices.seen_fonts, wanted.concepts, UPRIGHT, draws)
    _, ink_N3, ground_N3 = inked(draws)
    strength_N = draws.uniform(0.16, 0.3)[:, None]
    return paint(mask, ground_N3 + strength_N * (ink_N3 - ground_N3), ground_N3, draws)


def _grainy(wanted: Wanted) -> Pictures:
    draws = wanted.draws
    mask = fill(place(shapes(tuple(POOL_SHAPES)), wanted.concepts, TURNED, draws))
    _, ink_N3, ground_N3 = inked(draws)
    return paint(mask, ink_N3, ground_N3, draws, grain=draws.uniform(0.15, 0.28))


def _dotted(wanted: Wanted) -> Pictures:
    draws = wanted.draws
    digit = glyph_masks(DIGITS, wanted.choices.seen_fonts, wanted.concepts, UPRIGHT, draws)
    period = draws.uniform(3.0, 4.0)[:, None, None]
    x, y = ((places + draws.uniform(0, 4)[:, None, None]) / period for places in (COLUMNS, ROWS))
    off_x, off_y = x - np.rint(x), y - np.rint(y)
    lattice = fill((np.float32(0.42) - np.sqrt(off_x * off_x + off_y * off_y)) * period)
    _, ink_N3, ground_N3 = inked(draws)
    return paint(digit * lattice, ink_N3, patterned(ground_N3, draws, contrast=0.3), draws)


def _positions(wanted: Wanted) -> Pictures:
    draws = wanted.draws
    off = np.array(tuple(PLACES.values()), dtype=np.float32)[wanted.concepts] * np.float32(9)
    shift_N2 = off
    which_N = draws.below(len(POOL_SHAPES))
    fields = shapes(tuple(POOL_SHAPES))
    placed = place(fields, which_N, _STANDING, draws, shift_N2=shift_N2)
    _, ink_N3, ground_N3 = inked(draws)
    return paint(fill(placed), ink_N3, ground_N3, draws)


def _pointing(wanted: Wanted) -> Pictures:
    draws = wanted.draws
    which_N = draws.below(len(_POINTERS))
    turn_N = (wanted.concepts / 8).astype(np.float32) - _UPWARDS[which_N] + draws.uniform(-0.03, 0.03)
    placed = place(shapes(_POINTERS), which_N, _POINTING, draws, turn_N=turn_N)
    _, ink_N3, ground_N3 = inked(draws)
    return paint(fill(placed), ink_N3, ground_N3, draws)


def _duos(wanted: Wanted) -> Pictures:
    draws = wanted.draws
    inks, backs = _pigments(0), _pigments(2)
    mask = _any_shape(draws)
    ink_N3, ground_N3 = shades(inks[wanted.concepts], draws), shades(backs[wanted.concepts], draws)
    return paint(mask, ink_N3, ground_N3, draws)


def _grounds(wanted: Wanted) -> Pictures:
    draws = wanted.draws
    mask = _any_shape(draws)
    ground_N3 = shades(wanted.concepts, draws)
    other_N = (wanted.concepts + 1 + draws.below(len(HUES) - 1)) % len(HUES)
    ink_N = np.where(draws.uniform() < 0.5, other_N, len(HUES) + draws.below(len(COLOURS) - len(HUES)))
    return paint(mask, shades(ink_N, draws), ground_N3, draws)


def _any_shape(draws: Draws) -> Floats:
    return fill(place(shapes(tuple(POOL_SHAPES)), draws.below(len(POOL_SHAPES)), TURNED, draws))


def _pigments(word: int) -> Ints:
    """Numbers of the colours in the names of duos, "INK on GROUND"."""
    return np.array([_PIGMENTS.index(duo.split()[word]) for duo in DUOS])


PAINTERS: dict[str, Painter] = {
    "tiny": _tiny,
    "faint": _faint,
    "grainy": _grainy,
    "dotted": _dotted,
    "positions": _positions,
    "pointing": _pointing,
    "duos": _duos,
    "grounds": _grounds,
}
