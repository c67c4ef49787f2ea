"""Glyphs: characters of the fonts that Matplotlib ships (DejaVu, STIX, Computer Modern) as distance fields.

Every glyph is scaled to the same size, so a font sets only its drawing. Fields are kept in memory: a glyph is
rasterised once per process. A character that its font lacks is an error, never a box.
"""

from functools import cache
from pathlib import Path

import numpy as np
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont

from trainables.workloads.pocket.world.drawing.fields import RASTER, distance_field
from trainables.workloads.pocket.world.drawing.randomness import Floats

_EXTENT = 88


@cache
def glyphs(characters: tuple[str, ...], fonts: tuple[str, ...]) -> Floats:
    """The fields [C * F, 64, 64] of characters in fonts: that of character c in font f is number c * F + f."""
    return np.stack([glyph(character, font) for character in characters for font in fonts])


@cache
def glyph(character: str, font: str) -> Floats:
    """The distance field [64, 64] of one character of a font file such as ``DejaVuSans``."""
    if not has_glyph(character, font):
        raise ValueError(f"font {font!r} has no glyph for {character!a}")
    face = _face(font, 100)
    left, top, right, bottom = face.getbbox(character)
    face = _face(font, round(100 * _EXTENT / max(right - left, bottom - top)))
    left, top, right, bottom = face.getbbox(character)
    raster = Image.new("L", (RASTER, RASTER))
    corner = ((RASTER - right - left) / 2, (RASTER - bottom - top) / 2)
    ImageDraw.Draw(raster).text(corner, character, fill=255, font=face)
    return distance_field(np.asarray(raster) > 127)


@cache
def has_glyph(character: str, font: str) -> bool:
    """Whether the font draws this character itself."""
    return ord(character) in _characters(font)


@cache
def _characters(font: str) -> frozenset[int]:
    with TTFont(_path(font), lazy=True) as file:
        return frozenset(file.getBestCmap())


@cache
def _face(font: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_path(font), size, layout_engine=ImageFont.Layout.BASIC)


@cache
def _path(font: str) -> str:
    import matplotlib as mpl  # takes 0.3 s, which a process that finds its pictures cached need not pay

    return str(Path(mpl.get_data_path()) / "fonts" / "ttf" / f"{font}.ttf")
