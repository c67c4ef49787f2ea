"""The world: pure, balanced, named without doubt, and drawn from glyphs that the fonts really have."""

import hashlib
import itertools

import numpy as np
import pytest

from trainables.workloads.pocket.drawing import HUES, Pose, place
from trainables.workloads.pocket.glyphs import glyph, has_glyph
from trainables.workloads.pocket.shapes import NEW_SHAPES, POOL_SHAPES, shape
from trainables.workloads.pocket.world import (
    ADAPT,
    DATASETS,
    GLYPHS,
    HELD_OUT_PAIRS,
    HOLDOUT,
    LETTERS,
    SEEN_FONTS,
    UNSEEN_FONTS,
    pool_sample,
    render,
)


@pytest.mark.parametrize("name", DATASETS)
def test_picture_is_a_pure_function_of_its_arguments(name: str) -> None:
    first, concept = render(name, "test", 5)
    [render(name, "train", index) for index in range(3)]
    again, concept_again = render(name, "test", 5)
    assert first.shape == (32, 32, 3)
    assert first.dtype == np.uint8
    assert first.tobytes() == again.tobytes()
    assert concept == concept_again == 5 % len(DATASETS[name].concepts)


@pytest.mark.parametrize("name", DATASETS)
def test_train_and_test_share_no_picture(name: str) -> None:
    train, test = ({render(name, split, index)[0].tobytes() for index in range(40)} for split in ("train", "test"))
    assert len(train) == len(test) == 40
    assert not train & test


def test_pool_is_pure_and_captioned() -> None:
    for index in range(60):
        picture, captions = pool_sample(index)
        assert picture.tobytes() == pool_sample(index)[0].tobytes()
        assert len(set(captions)) >= 2


def test_unknown_data_set_names_the_choices() -> None:
    with pytest.raises(ValueError, match=r"unknown pocket data set 'flowers'; choose one of .*'greek'"):
        render("flowers", "train", 0)


def test_contract_of_the_data_sets() -> None:
    assert len(ADAPT) == 10
    assert len(HOLDOUT) == 6
    assert sum(len(DATASETS[name].concepts) for name in ADAPT) == 120
    assert 2_000 <= sum(len(row.concepts) * row.test_per_concept for row in DATASETS.values()) <= 2_500
    for name, row in DATASETS.items():
        assert row.name == name
        assert row.group == ("adapt" if name in ADAPT else "holdout")
        assert len(set(row.concepts)) == len(row.concepts) >= 8
        assert len(set(row.templates)) == len(row.templates) >= 3
        assert all(text.count("{}") == 1 for text in (*row.templates, row.prompt))


def test_held_out_pairs_never_occur_in_the_pool_but_their_parts_do() -> None:
    said = {caption for index in range(3_000) for caption in pool_sample(index)[1]}
    assert not any(f"a {pair}" in said for pair in HELD_OUT_PAIRS)
    for pair in HELD_OUT_PAIRS:
        hue, form = pair.split()
        assert any(f"a {hue} {other}" in said for other in POOL_SHAPES if f"{hue} {other}" not in HELD_OUT_PAIRS)
        assert any(f"a {other} {form}" in said for other in HUES)


@pytest.mark.parametrize("name", GLYPHS)
def test_every_glyph_is_in_its_fonts_and_no_two_look_alike(name: str) -> None:
    characters, fonts = GLYPHS[name]
    assert set(characters) == set(DATASETS[name].concepts)
    for font in fonts:
        assert all(has_glyph(character, font) for character in characters.values())
        drawn = {character: glyph(character, font) > 0 for character in characters.values()}
        for (a, left), (b, right) in itertools.combinations(drawn.items(), 2):
            overlap = (left & right).sum() / (left | right).sum()
            assert overlap < 0.9, f"{a!a} and {b!a} look alike in {font}: intersection over union {overlap:.2f}"


@pytest.mark.parametrize("name", ["greek", "cyrillic", "hebrew"])
def test_no_letter_to_learn_is_drawn_like_a_known_capital(name: str) -> None:
    capitals = {letter: glyph(letter, "DejaVuSans") > 0 for letter in LETTERS}
    for concept, character in GLYPHS[name][0].items():
        drawn = glyph(character, "DejaVuSans") > 0
        twins = [k for k, other in capitals.items() if (drawn & other).sum() / (drawn | other).sum() > 0.9]
        assert not twins, f"{concept} looks like {twins}"


def test_missing_glyph_is_an_error() -> None:
    with pytest.raises(ValueError, match="no glyph"):
        glyph("\u05d0", "cmr10")


def test_fonts_of_the_holdout_are_not_in_the_pool() -> None:
    assert not set(SEEN_FONTS) & set(UNSEEN_FONTS)


def test_new_shapes_are_new() -> None:
    assert not set(POOL_SHAPES) & set(NEW_SHAPES)
    for (a, left), (b, right) in itertools.combinations(
        ((name, shape(name) > 0) for name in (*POOL_SHAPES, *NEW_SHAPES)), 2
    ):
        assert (left & right).sum() / (left | right).sum() < 0.95, (a, b)


def test_placing_keeps_distances_in_image_pixels() -> None:
    pose = Pose(scale=(1, 1), turn_degrees=0, shear=0, stretch=0, shift_px=0, wave_px=0)
    placed = place(shape("circle"), pose, np.random.default_rng(0))
    assert placed.max() == pytest.approx(11.5, abs=1.0)
    slope = np.diff(placed[16, 1:12])
    np.testing.assert_allclose(slope, 1.0, atol=0.1)


def test_world_has_not_changed_unnoticed() -> None:
    """Pictures may differ between library versions in their last bit, captions and concepts may not."""
    digest = hashlib.sha256()
    for index in range(1_000):
        digest.update(repr(pool_sample(index)[1]).encode())
    assert digest.hexdigest()[:16] == "b9c69f5a42192d1d"
