"""Painters of what is new by name: scripts, signs, forms, weaves, charts; and the extra sets, counts and dials."""

from trainables.workloads.pocket.world.drawing.charts import CHARTS, charts
from trainables.workloads.pocket.world.drawing.fields import TURNED, UPRIGHT, Pose, place
from trainables.workloads.pocket.world.drawing.figures import dials, dots
from trainables.workloads.pocket.world.drawing.glyphs import glyphs
from trainables.workloads.pocket.world.drawing.masks import fill
from trainables.workloads.pocket.world.drawing.painting import Pictures, painted
from trainables.workloads.pocket.world.drawing.randomness import Draws, Floats, Ints
from trainables.workloads.pocket.world.drawing.shapes import NEW_SHAPES, shapes
from trainables.workloads.pocket.world.drawing.textures import NEW_TEXTURES, textures
from trainables.workloads.pocket.world.names import CYRILLIC, GREEK, HEBREW, OPERATORS, PICTOGRAMS
from trainables.workloads.pocket.world.wanted import Painter, Wanted

_SCRIPT_FONTS: tuple[str, ...] = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSerif", "STIXGeneral")
_SIGN_FONTS: tuple[str, ...] = ("DejaVuSans", "DejaVuSans-Bold")

GLYPHS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "greek": (GREEK, _SCRIPT_FONTS),
    "cyrillic": (CYRILLIC, _SCRIPT_FONTS),
    "hebrew": (HEBREW, _SIGN_FONTS),
    "pictograms": (PICTOGRAMS, _SIGN_FONTS),
    "operators": (OPERATORS, _SCRIPT_FONTS),
}
"""Characters and fonts of the data sets that are written in glyphs; a test holds that the fonts have the glyphs."""


def glyph_masks(characters: dict[str, str], fonts: tuple[str, ...], which_N: Ints, pose: Pose, draws: Draws) -> Floats:
    """Masks of characters, by their places in the table, each in one of the fonts."""
    fields = glyphs(tuple(characters.values()), fonts)
    placed = place(fields, which_N * len(fonts) + draws.below(len(fonts)), pose, draws)
    return fill(placed, weight_px=draws.uniform(-0.15, 0.55), softness_px=draws.uniform(0.8, 1.6))


def _written(name: str) -> Painter:
    characters, fonts = GLYPHS[name]

    def paint_glyphs(wanted: Wanted) -> Pictures:
        return painted(glyph_masks(characters, fonts, wanted.concepts, UPRIGHT, wanted.draws), wanted.draws)

    return paint_glyphs


def _forms(wanted: Wanted) -> Pictures:
    return painted(fill(place(shapes(tuple(NEW_SHAPES)), wanted.concepts, TURNED, wanted.draws)), wanted.draws)


def _weaves(wanted: Wanted) -> Pictures:
    return painted(textures(tuple(NEW_TEXTURES), wanted.concepts, wanted.draws), wanted.draws)


def _charts(wanted: Wanted) -> Pictures:
    return painted(charts(tuple(CHARTS), wanted.concepts, wanted.draws), wanted.draws)


def _counts(wanted: Wanted) -> Pictures:
    return painted(dots(wanted.concepts + 1, wanted.draws), wanted.draws)


def _dials(wanted: Wanted) -> Pictures:
    return painted(dials(wanted.concepts + 1, wanted.draws), wanted.draws)


PAINTERS: dict[str, Painter] = {
    **{name: _written(name) for name in GLYPHS},
    "forms": _forms,
    "weaves": _weaves,
    "charts": _charts,
    "counts": _counts,
    "dials": _dials,
}
