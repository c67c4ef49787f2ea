"""Glyphs and shapes: drawn from characters that the fonts really have, and no two alike."""

import itertools

import pytest

from trainables.workloads.pocket.world.choices import FONTS
from trainables.workloads.pocket.world.datasets import DATASETS
from trainables.workloads.pocket.world.drawing.glyphs import glyph, has_glyph
from trainables.workloads.pocket.world.drawing.shapes import NEW_SHAPES, POOL_SHAPES, shape
from trainables.workloads.pocket.world.names import CAPITALS, DIGITS
from trainables.workloads.pocket.world.new_names import GLYPHS

WRITTEN = {**GLYPHS, "capitals": (CAPITALS, FONTS), "digits": (DIGITS, FONTS)}


@pytest.mark.parametrize("name", WRITTEN)
def test_every_glyph_is_in_its_fonts_and_no_two_look_alike(name: str) -> None:
    characters, fonts = WRITTEN[name]
    for font in fonts:
        assert all(has_glyph(character, font) for character in characters.values())
        drawn = {character: glyph(character, font) > 0 for character in characters.values()}
        for (a, left), (b, right) in itertools.combinations(drawn.items(), 2):
            overlap = (left & right).sum() / (left | right).sum()
            assert overlap < 0.9, f"{a!a} and {b!a} look alike in {font}: intersection over union {overlap:.2f}"


@pytest.mark.parametrize("name", GLYPHS)
def test_characters_are_those_of_the_concepts(name: str) -> None:
    assert tuple(GLYPHS[name][0]) == DATASETS[name].concepts


@pytest.mark.parametrize("name", ["greek", "cyrillic", "hebrew"])
def test_no_letter_to_learn_is_drawn_like_a_known_capital(name: str) -> None:
    capitals = {letter: glyph(letter, "DejaVuSans") > 0 for letter in CAPITALS}
    for concept, character in GLYPHS[name][0].items():
        drawn = glyph(character, "DejaVuSans") > 0
        twins = [k for k, other in capitals.items() if (drawn & other).sum() / (drawn | other).sum() > 0.9]
        assert not twins, f"{concept} looks like {twins}"


def test_missing_glyph_is_an_error() -> None:
    with pytest.raises(ValueError, match="no glyph"):
        glyph("\u05d0", "cmr10")


def test_new_shapes_are_new() -> None:
    assert not set(POOL_SHAPES) & set(NEW_SHAPES)
    for (a, left), (b, right) in itertools.combinations(
        ((name, shape(name) > 0) for name in (*POOL_SHAPES, *NEW_SHAPES)), 2
    ):
        assert (left & right).sum() / (left | right).sum() < 0.95, (a, b)
