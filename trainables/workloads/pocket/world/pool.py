"""The pool: shapes, letters, digits and textures with captions, and rare examples of everything that is to be learnt.

Rare examples make every word and look of the adaptation sets vaguely known. Within a set they have a long tail, as on
the web: its concept k = 1, 2, ..., in an order of the world's own, is shown in proportion to k ** -RARE_EXPONENT.
"""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from trainables.workloads.pocket.world.choices import Choices, choices, order
from trainables.workloads.pocket.world.datasets import ADAPT, DATASETS
from trainables.workloads.pocket.world.drawing.colours import COLOURS, grounds, inked, is_dark, shades
from trainables.workloads.pocket.world.drawing.fields import LOOSE, SIDE, Pose, place
from trainables.workloads.pocket.world.drawing.masks import fill
from trainables.workloads.pocket.world.drawing.painting import Pictures, paint
from trainables.workloads.pocket.world.drawing.randomness import Draws, Floats, Ints, draws
from trainables.workloads.pocket.world.drawing.shapes import POOL_SHAPES, shapes
from trainables.workloads.pocket.world.drawing.strokes import stroke_digits
from trainables.workloads.pocket.world.drawing.textures import POOL_TEXTURES, textures
from trainables.workloads.pocket.world.names import CAPITALS, DIGITS
from trainables.workloads.pocket.world.new_looks import PAINTERS as OF_NEW_LOOKS
from trainables.workloads.pocket.world.new_names import PAINTERS as OF_NEW_NAMES
from trainables.workloads.pocket.world.new_names import glyph_masks
from trainables.workloads.pocket.world.wanted import Wanted

Captions = tuple[str, ...]
"""The caption candidates of a picture, at least two."""

RARE = 0.04
"""The share of rare examples in the pool."""
RARE_EXPONENT = 0.7
RARE_WEIGHTS: dict[str, float] = {
    **{"greek": 0.4, "cyrillic": 0.3, "hebrew": 0.1, "pictograms": 0.4},
    **{"operators": 0.1, "forms": 0.2, "weaves": 0.2, "charts": 0.3},
    **{"tiny": 1.2, "faint": 1.2, "grainy": 1.5, "dotted": 0.6},
    **{"positions": 3.0, "pointing": 2.5, "duos": 0.2, "grounds": 2.0},
}
"""How often a set is chosen for a rare example: what takes more examples to be seen has more of them."""

_FAMILIES: dict[str, float] = {"shapes": 0.27, "letters": 0.27, "digits": 0.25, "textures": 0.21}
RARE_FAMILY = len(_FAMILIES)
"""The number of the family of rare examples, which comes after all others."""
_SMALL = Pose(scale=(0.55, 0.9), turn_degrees=20, shear=0.1, stretch=0.1, shift_px=6, wave_px=0.2)
_LARGE = Pose(scale=(1.05, 1.35), turn_degrees=20, shear=0.1, stretch=0.1, shift_px=3, wave_px=0.2)


def pool_pictures(seed: int, indices: Ints, *, rare: float = RARE) -> tuple[Pictures, Sequence[Captions]]:
    """Samples of the pool of a world, by their places in it; a larger share of rare ones takes those of others."""
    pictures = np.empty((len(indices), SIDE, SIDE, 3), dtype=np.uint8)
    captions: list[Captions] = [()] * len(indices)
    drawn, chosen = draws(seed, "pool", indices), choices(seed)
    family_N = families(drawn, rare)
    for k, family in enumerate((*_PAINTED.values(), _rare)):
        rows = np.flatnonzero(family_N == k)
        if len(rows):
            pictures[rows], said = family(drawn.branch("sample", rows), chosen)
            for row, candidates in zip(rows, said, strict=True):
                captions[row] = candidates
    return pictures, captions


def families(drawn: Draws, rare: float) -> Ints:
    """Numbers of the families; rare is the last."""
    rare_N = drawn.uniform() < rare
    return np.where(rare_N, RARE_FAMILY, _weighted(tuple(_FAMILIES.values()), drawn))


def _shapes(drawn: Draws, chosen: Choices) -> tuple[Pictures, Sequence[Captions]]:
    forms = tuple(POOL_SHAPES)
    colour_N, form_N = _shown_pairs(chosen, drawn)
    ink_N3 = shades(colour_N, drawn)
    ground_N3 = grounds(ink_N3, drawn)
    is_large_N = drawn.uniform() < 0.5
    distance = np.empty((len(drawn), SIDE, SIDE), dtype=np.float32)
    for pose, of_size_N in ((_SMALL, ~is_large_N), (_LARGE, is_large_N)):
        rows = np.flatnonzero(of_size_N)
        distance[rows] = place(shapes(forms), form_N[rows], pose, drawn.branch("pose", rows))
    mask = fill(distance, softness_px=drawn.uniform(0.8, 2.0))
    said = []
    for colour, form, is_large, dark in zip(colour_N, form_N, is_large_N, is_dark(ground_N3), strict=True):
        ink, name = COLOURS[colour], forms[form]
        said.append(
            (
                f"a {ink} {name}",
                f"a {'large' if is_large else 'small'} {ink} {name}",
                f"a {ink} {name} on a {'dark' if dark else 'light'} ground",
                f"a drawing of a {name}",
                f"a picture of a {ink} {name}",
            )
        )
    return paint(mask, ink_N3, ground_N3, drawn), said


def _letters(drawn: Draws, chosen: Choices) -> tuple[Pictures, Sequence[Captions]]:
    colour_N, ink_N3, ground_N3 = inked(drawn)
    which_N = drawn.below(len(CAPITALS))
    mask = glyph_masks(CAPITALS, chosen.seen_fonts, which_N, LOOSE, drawn)
    said = [
        (
            f"the letter {name}",
            f"the {ink} letter {name}",
            f"the capital letter {name}",
            f"a picture of the letter {name}",
        )
        for ink, name in _named(colour_N, which_N, tuple(CAPITALS))
    ]
    return paint(mask, ink_N3, ground_N3, drawn), said


def _digits(drawn: Draws, chosen: Choices) -> tuple[Pictures, Sequence[Captions]]:
    colour_N, ink_N3, ground_N3 = inked(drawn)
    which_N = drawn.below(len(DIGITS))
    by_hand_N = drawn.uniform() < 0.55
    mask = np.empty((len(drawn), SIDE, SIDE), dtype=np.float32)
    rows = np.flatnonzero(by_hand_N)
    mask[rows] = stroke_digits(which_N[rows], drawn.branch("hand", rows))
    rows = np.flatnonzero(~by_hand_N)
    mask[rows] = glyph_masks(DIGITS, chosen.seen_fonts, which_N[rows], LOOSE, drawn.branch("print", rows))
    said = [
        (
            f"the digit {name}",
            f"the {ink} digit {name}",
            f"the number {name}",
            f"a picture of the digit {name}",
        )
        for ink, name in _named(colour_N, which_N, tuple(DIGITS))
    ]
    return paint(mask, ink_N3, ground_N3, drawn), said


def _textures(drawn: Draws, chosen: Choices) -> tuple[Pictures, Sequence[Captions]]:  # noqa: ARG001
    colour_N, ink_N3, ground_N3 = inked(drawn)
    which_N = drawn.below(len(POOL_TEXTURES))
    mask = textures(tuple(POOL_TEXTURES), which_N, drawn, softness_N=drawn.uniform(0.3, 1.0))
    said = [
        (f"a texture of {name}", f"a pattern of {ink} {name}", f"a pattern of {name}")
        for ink, name in _named(colour_N, which_N, tuple(POOL_TEXTURES))
    ]
    return paint(mask, ink_N3, ground_N3, drawn), said


def _rare(drawn: Draws, chosen: Choices) -> tuple[Pictures, Sequence[Captions]]:
    dataset_N, concept_N = which_rare(drawn, chosen)
    pictures = np.empty((len(drawn), SIDE, SIDE, 3), dtype=np.uint8)
    painters = OF_NEW_NAMES | OF_NEW_LOOKS
    for k in np.unique(dataset_N):
        rows = np.flatnonzero(dataset_N == k)
        pictures[rows] = painters[ADAPT[k]](
            Wanted(
                concepts=concept_N[rows],
                ranks=np.zeros(len(rows), dtype=np.int64),
                is_test=False,
                draws=drawn.branch("rare", rows),
                choices=chosen,
            )
        )
    said = []
    for k, concept in zip(dataset_N, concept_N, strict=True):
        row = DATASETS[ADAPT[k]]
        said.append(tuple(template.format(row.concepts[concept]) for template in row.templates))
    return pictures, said


def which_rare(drawn: Draws, chosen: Choices) -> tuple[Ints, Ints]:
    """Data set (its place in `ADAPT`) and concept of rare examples."""
    dataset_N = _weighted(tuple(RARE_WEIGHTS[name] for name in ADAPT), drawn)
    place_N, concept_N = drawn.uniform(), np.empty(len(drawn), dtype=np.int64)
    for k, name in enumerate(ADAPT):
        rows = np.flatnonzero(dataset_N == k)
        size = len(DATASETS[name].concepts)
        tail = tuple(round((place + 1) ** -RARE_EXPONENT, 6) for place in range(size))
        concept_N[rows] = order(chosen.seed, name, size)[_chosen(tail, place_N[rows])]
    return dataset_N, concept_N


def _shown_pairs(chosen: Choices, drawn: Draws) -> tuple[Ints, Ints]:
    """Colours and shapes, by their numbers, of pairs that are not held out."""
    shown = _pairs_of(chosen)
    pair_N = shown[drawn.below(len(shown))]
    return pair_N // len(POOL_SHAPES), pair_N % len(POOL_SHAPES)


@cache
def _pairs_of(chosen: Choices) -> Ints:
    pairs = [f"{colour} {form}" for colour in COLOURS for form in POOL_SHAPES]
    return np.array([k for k, pair in enumerate(pairs) if pair not in chosen.pairs])


def _named(colour_N: Ints, which_N: Ints, names: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(COLOURS[colour], names[which]) for colour, which in zip(colour_N, which_N, strict=True)]


def _weighted(weights: tuple[float, ...], drawn: Draws) -> Ints:
    return _chosen(weights, drawn.uniform())


def _chosen(weights: tuple[float, ...], place_N: Floats) -> Ints:
    """Numbers of the weights, each chosen in proportion to it, by places in [0, 1)."""
    ends: NDArray[np.float64] = np.array([sum(weights[: k + 1]) for k in range(len(weights))])
    chosen_N: Ints = np.minimum(np.searchsorted(ends, place_N * ends[-1], side="right"), len(weights) - 1)
    return chosen_N


_PAINTED: dict[str, Callable[[Draws, Choices], tuple[Pictures, Sequence[Captions]]]] = {
    "shapes": _shapes,
    "letters": _letters,
    "digits": _digits,
    "textures": _textures,
}
