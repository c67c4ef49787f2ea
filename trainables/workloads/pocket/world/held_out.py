"""Painters of the held-out sets: names that the pool shows, drawn as it never draws them."""

import numpy as np

from trainables.workloads.pocket.world.drawing.colours import HUES, grounds, inked, shades
from trainables.workloads.pocket.world.drawing.fields import COLUMNS, ROWS, TURNED, UPRIGHT, Pose, place
from trainables.workloads.pocket.world.drawing.masks import blurred, coarsened, fill, outline
from trainables.workloads.pocket.world.drawing.painting import Pictures, paint, painted
from trainables.workloads.pocket.world.drawing.randomness import Floats, Ints
from trainables.workloads.pocket.world.drawing.scans import scans
from trainables.workloads.pocket.world.drawing.shapes import POOL_SHAPES, shapes
from trainables.workloads.pocket.world.drawing.textures import POOL_TEXTURES, textures
from trainables.workloads.pocket.world.names import CAPITALS, DIGITS
from trainables.workloads.pocket.world.new_names import glyph_masks
from trainables.workloads.pocket.world.wanted import Painter, Wanted

_BENT = Pose(scale=(0.8, 1.15), turn_degrees=25, shear=0.3, stretch=0.3, shift_px=3, wave_px=2.8)
_CELLS = 8
_BLURS = (3, 5, 7)


def _handwriting(wanted: Wanted) -> Pictures:
    return painted(scans(wanted.concepts, wanted.ranks, odd=wanted.is_test), wanted.draws)


def _outlines(wanted: Wanted) -> Pictures:
    return painted(outline(_shape(wanted, TURNED), width_px=wanted.draws.uniform(1.6, 3.0)), wanted.draws)


def _numerals(wanted: Wanted) -> Pictures:
    mask = glyph_masks(DIGITS, wanted.choices.unseen_fonts, wanted.concepts, UPRIGHT, wanted.draws)
    return painted(coarsened(mask, _CELLS), wanted.draws)


def _covered(wanted: Wanted) -> Pictures:
    """Letters behind a slanted band of another colour."""
    draws = wanted.draws
    mask = glyph_masks(CAPITALS, wanted.choices.unseen_fonts, wanted.concepts, UPRIGHT, draws)
    _, ink_N3, ground_N3 = inked(draws)
    slope, place_px, width_px = (draws.uniform(*span)[:, None, None] for span in ((-1, 1), (-7, 7), (2.5, 4)))
    lying = (draws.uniform() < 0.5)[:, None, None]
    along, across = np.where(lying, COLUMNS, ROWS), np.where(lying, ROWS, COLUMNS)
    band = fill(width_px / 2 - np.abs(across - slope * along * np.float32(0.5) - place_px))[..., None]
    cover_N3 = (ink_N3 + ground_N3) / 2 + draws.uniforms(3, -0.3, 0.3)
    letter = ground_N3[:, None, None] + mask[..., None] * (ink_N3 - ground_N3)[:, None, None]
    return paint(np.zeros_like(mask), ink_N3, letter + band * (cover_N3[:, None, None] - letter), draws)


def _blurred(wanted: Wanted) -> Pictures:
    sharp = textures(tuple(POOL_TEXTURES), wanted.concepts, wanted.draws)
    level_N = wanted.draws.below(len(_BLURS))
    mask = np.stack([blurred(sharp, passes) for passes in _BLURS])[level_N, np.arange(len(sharp))]
    return painted(mask, wanted.draws)


def _pairs(wanted: Wanted) -> Pictures:
    draws, pairs = wanted.draws, [pair.split() for pair in wanted.choices.pairs]
    forms = tuple(POOL_SHAPES)
    hue_N, form_N = (
        _numbers([names.index(pair[word]) for pair in pairs])[wanted.concepts]
        for word, names in enumerate((tuple(HUES), forms))
    )
    ink_N3 = shades(hue_N, draws)
    mask = outline(place(shapes(forms), form_N, TURNED, draws), width_px=draws.uniform(2.4, 4.0))
    return paint(mask, ink_N3, grounds(ink_N3, draws, neutral=True), draws)


def _bent(wanted: Wanted) -> Pictures:
    return painted(fill(_shape(wanted, _BENT)), wanted.draws)


def _coarse(wanted: Wanted) -> Pictures:
    return painted(coarsened(fill(_shape(wanted, TURNED)), _CELLS), wanted.draws)


def _shape(wanted: Wanted, pose: Pose) -> Floats:
    return place(shapes(tuple(POOL_SHAPES)), wanted.concepts, pose, wanted.draws)


def _numbers(values: list[int]) -> Ints:
    return np.array(values, dtype=np.int64)


PAINTERS: dict[str, Painter] = {
    "handwriting": _handwriting,
    "outlines": _outlines,
    "numerals": _numerals,
    "covered": _covered,
    "blurred": _blurred,
    "pairs": _pairs,
    "bent": _bent,
    "coarse": _coarse,
}
