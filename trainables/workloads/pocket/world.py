"""The pocket world: sixteen small data sets of 32x32 pictures with captions, and a pool to pretrain on.

Every picture is a pure function of (data set, split, index). *Adapt* data sets hold what the pretrained model hardly
knows: the pool shows only rare examples. *Holdout* data sets hold what it knows, drawn as it never saw it: pairs of
shape and colour left out of the pool, other fonts, outlines, blur, real handwriting.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trainables.workloads.pocket.drawing import (
    COLOURS,
    HUES,
    Floats,
    Pose,
    coarsen,
    colour,
    fill,
    ground,
    is_dark,
    outline,
    paint,
    place,
)
from trainables.workloads.pocket.figures import CHARTS, chart, dial, dots
from trainables.workloads.pocket.glyphs import glyph
from trainables.workloads.pocket.scans import scan
from trainables.workloads.pocket.shapes import NEW_SHAPES, POOL_SHAPES, shape
from trainables.workloads.pocket.strokes import stroke_digit
from trainables.workloads.pocket.textures import NEW_TEXTURES, POOL_TEXTURES, texture

Split = Literal["train", "test"]
Picture = NDArray[np.uint8]

WORLD_VERSION = 1

GREEK: dict[str, str] = {
    "alpha": "\u03b1",
    "beta": "\u03b2",
    "gamma": "\u03b3",
    "delta": "\u03b4",
    "zeta": "\u03b6",
    "theta": "\u03b8",
    "lambda": "\u03bb",
    "xi": "\u03be",
    "pi": "\u03c0",
    "sigma": "\u03c3",
    "phi": "\u03c6",
    "psi": "\u03c8",
    "omega": "\u03c9",
    "eta": "\u03b7",
}
CYRILLIC: dict[str, str] = {
    "be": "\u0411",
    "de": "\u0414",
    "zhe": "\u0416",
    "ee": "\u0418",
    "el": "\u041b",
    "ef": "\u0424",
    "tse": "\u0426",
    "che": "\u0427",
    "sha": "\u0428",
    "yeru": "\u042b",
    "eh": "\u042d",
    "yu": "\u042e",
    "ya": "\u042f",
}
HEBREW: dict[str, str] = {
    "alef": "\u05d0",
    "bet": "\u05d1",
    "gimel": "\u05d2",
    "dalet": "\u05d3",
    "lamed": "\u05dc",
    "mem": "\u05de",
    "samekh": "\u05e1",
    "ayin": "\u05e2",
    "pe": "\u05e4",
    "tsadi": "\u05e6",
    "qof": "\u05e7",
    "shin": "\u05e9",
}
PICTOGRAMS: dict[str, str] = {
    "king": "\u265a",
    "queen": "\u265b",
    "rook": "\u265c",
    "bishop": "\u265d",
    "knight": "\u265e",
    "pawn": "\u265f",
    "spade": "\u2660",
    "club": "\u2663",
    "umbrella": "\u2602",
    "snowman": "\u2603",
    "telephone": "\u260e",
    "skull": "\u2620",
    "radiation": "\u2622",
    "anchor": "\u2693",
    "scissors": "\u2702",
    "airplane": "\u2708",
    "note": "\u266b",
    "cup": "\u2615",
}
OPERATORS: dict[str, str] = {
    "sum": "\u2211",
    "integral": "\u222b",
    "root": "\u221a",
    "infinity": "\u221e",
    "element": "\u2208",
    "forall": "\u2200",
    "exists": "\u2203",
    "nabla": "\u2207",
    "partial": "\u2202",
    "unequal": "\u2260",
    "approximately": "\u2248",
    "percent": "%",
}
NUMBERS: tuple[str, ...] = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)
DIGITS = NUMBERS[:10]
LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")

# The pairs that the pool never shows. Each shape is left out once or twice; hues and shapes stay common in other pairs.
HELD_OUT_PAIRS: tuple[str, ...] = tuple(
    f"{hue} {form}"
    for i, form in enumerate(POOL_SHAPES)
    for j, hue in enumerate(HUES)
    if (3 * i + j) % 8 == 0 or (i % 2 == 0 and (3 * i + j) % 8 == 4)
)


@dataclass(frozen=True, kw_only=True)
class PocketDataset:
    """A classification data set of the world.

    Args:
        name: Its name, unique in the world.
        group: Whether it measures accumulation (``adapt``) or retention (``holdout``).
        concepts: Its classes, in label order.
        templates: Captions with one ``{}`` for the concept.
        prompt: The caption that stands for a concept in zero-shot classification.
        train_per_concept: Pictures of each concept to train on.
        test_per_concept: Pictures of each concept to test on.
    """

    name: str
    group: Literal["adapt", "holdout"]
    concepts: tuple[str, ...]
    templates: tuple[str, ...]
    prompt: str
    train_per_concept: int = 56
    test_per_concept: int = 10


def _dataset(
    name: str,
    group: Literal["adapt", "holdout"],
    concepts: tuple[str, ...],
    templates: tuple[str, ...],
    *,
    test_per_concept: int,
) -> PocketDataset:
    return PocketDataset(
        name=name,
        group=group,
        concepts=concepts,
        templates=templates,
        prompt=templates[0],
        test_per_concept=test_per_concept,
    )


DATASETS: dict[str, PocketDataset] = {
    row.name: row
    for row in (
        _dataset(
            "greek",
            "adapt",
            tuple(GREEK),
            ("the greek letter {}", "{} in greek", "the greek character {}", "a greek {}"),
            test_per_concept=9,
        ),
        _dataset(
            "cyrillic",
            "adapt",
            tuple(CYRILLIC),
            ("the cyrillic letter {}", "{} in cyrillic", "the cyrillic character {}", "a cyrillic {}"),
            test_per_concept=9,
        ),
        _dataset(
            "hebrew",
            "adapt",
            tuple(HEBREW),
            ("the hebrew letter {}", "{} in hebrew", "the hebrew character {}", "a hebrew {}"),
            test_per_concept=10,
        ),
        _dataset(
            "pictograms",
            "adapt",
            tuple(PICTOGRAMS),
            ("a pictogram of a {}", "the {} sign", "a {} icon", "a pictogram showing a {}"),
            test_per_concept=7,
        ),
        _dataset(
            "operators",
            "adapt",
            tuple(OPERATORS),
            ("the mathematical symbol {}", "the {} operator", "{} in mathematics", "the symbol for {}"),
            test_per_concept=10,
        ),
        _dataset(
            "forms",
            "adapt",
            tuple(NEW_SHAPES),
            ("the form of a {}", "a solid {}", "a {} form", "a flat {}"),
            test_per_concept=10,
        ),
        _dataset(
            "weaves",
            "adapt",
            tuple(NEW_TEXTURES),
            ("a {} weave", "a surface with {}", "a wall of {}", "a {} surface"),
            test_per_concept=12,
        ),
        _dataset(
            "counts",
            "adapt",
            NUMBERS[1:9],
            ("{} dots", "a group of {} dots", "{} spots in the picture", "there are {} dots"),
            test_per_concept=15,
        ),
        _dataset(
            "dials",
            "adapt",
            NUMBERS[1:13],
            ("a dial at {}", "a clock showing {}", "the hand points to {}", "a dial that reads {}"),
            test_per_concept=10,
        ),
        _dataset(
            "charts",
            "adapt",
            tuple(CHARTS),
            ("a {} chart", "data as a {} chart", "a {} plot", "a diagram of type {}"),
            test_per_concept=13,
        ),
        _dataset(
            "pairs",
            "holdout",
            HELD_OUT_PAIRS,
            ("a {}", "a picture of a {}", "a drawing of a {}"),
            test_per_concept=9,
        ),
        _dataset(
            "numerals",
            "holdout",
            DIGITS,
            ("the digit {}", "a picture of the digit {}", "the number {}"),
            test_per_concept=16,
        ),
        _dataset(
            "capitals",
            "holdout",
            LETTERS,
            ("the letter {}", "a picture of the letter {}", "the capital letter {}"),
            test_per_concept=7,
        ),
        _dataset(
            "blurred",
            "holdout",
            tuple(POOL_TEXTURES),
            ("a texture of {}", "a picture of {}", "a pattern of {}"),
            test_per_concept=15,
        ),
        _dataset(
            "outlines",
            "holdout",
            tuple(POOL_SHAPES),
            ("a drawing of a {}", "a picture of a {}", "a {}"),
            test_per_concept=13,
        ),
        _dataset(
            "handwriting",
            "holdout",
            DIGITS,
            ("the digit {}", "a picture of the digit {}", "the number {}"),
            test_per_concept=20,
        ),
    )
}

SEEN_FONTS: tuple[str, ...] = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSerif",
    "DejaVuSansMono",
    "STIXGeneral",
)
UNSEEN_FONTS: tuple[str, ...] = ("cmr10", "cmtt10", "cmb10", "cmss10", "STIXGeneralBolIta")
_SCRIPT_FONTS: tuple[str, ...] = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSerif", "STIXGeneral")

# Fonts and characters of every data set that is written in glyphs; a test holds that the fonts have the glyphs.
GLYPHS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "greek": (GREEK, _SCRIPT_FONTS),
    "cyrillic": (CYRILLIC, _SCRIPT_FONTS),
    "hebrew": (HEBREW, ("DejaVuSans", "DejaVuSans-Bold")),
    "pictograms": (PICTOGRAMS, ("DejaVuSans", "DejaVuSans-Bold")),
    "operators": (OPERATORS, _SCRIPT_FONTS),
    "numerals": ({name: str(k) for k, name in enumerate(DIGITS)}, UNSEEN_FONTS),
    "capitals": ({name: name for name in LETTERS}, UNSEEN_FONTS),
}

# Shares of the pool. Rare examples of the adapt data sets set how much the pretrained model knows of them; within a
# data set they have a long tail, as on the web: concept k = 1, 2, ... is shown in proportion to k ** -RARE_EXPONENT.
POOL_SHARES: dict[str, float] = {"shapes": 0.25, "letters": 0.279, "digits": 0.25, "textures": 0.22, "rare": 0.001}
RARE_EXPONENT = 1.5

_UPRIGHT = Pose()
_LOOSE = Pose(scale=(0.8, 1.3), turn_degrees=15, shear=0.25, stretch=0.25, shift_px=3.5, wave_px=1.3)
_TURNED = Pose(scale=(0.8, 1.25), turn_degrees=20, shear=0.1, stretch=0.1, shift_px=4, wave_px=0.2)


@dataclass(frozen=True)
class _Draw:
    """One draw of a data set: its randomness, and its place within split and concept."""

    rng: np.random.Generator
    split: Split
    rank: int


def render(dataset: str, split: Split, index: int) -> tuple[Picture, int]:
    """The picture [32, 32, 3] and the concept of one draw; concepts take turns, so every prefix is balanced."""
    if dataset not in DATASETS:
        raise ValueError(f"unknown pocket data set {dataset!r}; choose one of {sorted(DATASETS)}")
    concepts = DATASETS[dataset].concepts
    concept, rank = index % len(concepts), index // len(concepts)
    draw = _Draw(_generator(dataset, split, index), split, rank)
    return _PAINTERS[dataset](concepts[concept], draw), concept


def pool_sample(index: int) -> tuple[Picture, tuple[str, ...]]:
    """A picture [32, 32, 3] of the pool and its caption candidates, at least two."""
    rng = _generator("pool", "train", index)
    family = _pick(tuple(POOL_SHARES), rng, tuple(POOL_SHARES.values()))
    if family == "rare":
        return _rare(rng)
    if family == "shapes":
        return _pool_shape(rng)
    ink_name = _pick(COLOURS, rng)
    ink = colour(ink_name, rng)
    back = ground(ink, rng)
    if family == "letters":
        name = _pick(LETTERS, rng)
        mask = _glyph_mask(name, _pick(SEEN_FONTS, rng), _LOOSE, rng)
        captions = (f"the letter {name}", f"the {ink_name} letter {name}", f"the capital letter {name}")
    elif family == "digits":
        name = _pick(DIGITS, rng)
        if rng.uniform() < 0.55:
            mask = stroke_digit(name, rng)
        else:
            mask = _glyph_mask(str(DIGITS.index(name)), _pick(SEEN_FONTS, rng), _LOOSE, rng)
        captions = (f"the digit {name}", f"the {ink_name} digit {name}", f"the number {name}")
    else:
        name = _pick(tuple(POOL_TEXTURES), rng)
        mask = texture(name, rng, softness=rng.uniform(0.3, 1.0))
        captions = (f"a texture of {name}", f"a pattern of {ink_name} {name}", f"a pattern of {name}")
        return paint(mask, ink, back, rng), captions
    if rng.uniform() < 0.3:
        mask = coarsen(mask, int(rng.integers(8, 14)))
    return paint(mask, ink, back, rng), (*captions, f"a picture of {captions[0]}")


def sentences() -> tuple[str, ...]:
    """Every caption that the world can say, up to the choice of words in it; the vocabulary is their words."""
    said = [template.format(c) for d in DATASETS.values() for c in d.concepts for template in (*d.templates, d.prompt)]
    said += [f"a small {hue} {form}" for hue in COLOURS for form in POOL_SHAPES]
    said += ["a large red star on a dark ground", "a red star on a light ground", "a pattern of white rings"]
    said += [f"a picture of the {hue} letter A" for hue in COLOURS]
    return tuple(said)


def _pool_shape(rng: np.random.Generator) -> tuple[Picture, tuple[str, ...]]:
    while True:
        ink_name, name = _pick(COLOURS, rng), _pick(tuple(POOL_SHAPES), rng)
        if f"{ink_name} {name}" not in HELD_OUT_PAIRS:
            break
    large = rng.uniform() < 0.5
    ink = colour(ink_name, rng)
    back = ground(ink, rng)
    pose = Pose(
        scale=(1.05, 1.35) if large else (0.55, 0.9),
        turn_degrees=20,
        shear=0.1,
        stretch=0.1,
        shift_px=3 if large else 6,
        wave_px=0.2,
    )
    mask = fill(place(shape(name), pose, rng), softness_px=rng.uniform(0.8, 2.0))
    size, light = "large" if large else "small", "dark" if is_dark(back) else "light"
    captions = (
        f"a {ink_name} {name}",
        f"a {size} {ink_name} {name}",
        f"a {ink_name} {name} on a {light} ground",
        f"a drawing of a {name}",
        f"a picture of a {ink_name} {name}",
    )
    return paint(mask, ink, back, rng), captions


def _rare(rng: np.random.Generator) -> tuple[Picture, tuple[str, ...]]:
    row = DATASETS[_pick(ADAPT, rng)]
    name = _pick(row.concepts, rng, tuple((k + 1) ** -RARE_EXPONENT for k in range(len(row.concepts))))
    return _PAINTERS[row.name](name, _Draw(rng, "train", 0)), tuple(template.format(name) for template in row.templates)


def _glyph_mask(character: str, font: str, pose: Pose, rng: np.random.Generator) -> Floats:
    distance = place(glyph(character, font), pose, rng)
    return fill(distance, weight_px=rng.uniform(-0.15, 0.55), softness_px=rng.uniform(0.8, 1.6))


def _paint(mask: Floats, rng: np.random.Generator) -> Picture:
    ink = colour(_pick(COLOURS, rng), rng)
    return paint(mask, ink, ground(ink, rng), rng)


def _glyphs(dataset: str) -> Callable[[str, _Draw], Picture]:
    characters, fonts = GLYPHS[dataset]

    def painter(concept: str, draw: _Draw) -> Picture:
        return _paint(_glyph_mask(characters[concept], _pick(fonts, draw.rng), _UPRIGHT, draw.rng), draw.rng)

    return painter


def _form(concept: str, draw: _Draw) -> Picture:
    return _paint(fill(place(shape(concept), _TURNED, draw.rng)), draw.rng)


def _weave(concept: str, draw: _Draw) -> Picture:
    return _paint(texture(concept, draw.rng), draw.rng)


def _count(concept: str, draw: _Draw) -> Picture:
    return _paint(dots(NUMBERS.index(concept), draw.rng), draw.rng)


def _dial(concept: str, draw: _Draw) -> Picture:
    return _paint(dial(NUMBERS.index(concept), draw.rng), draw.rng)


def _chart(concept: str, draw: _Draw) -> Picture:
    return _paint(chart(concept, draw.rng), draw.rng)


def _pair(concept: str, draw: _Draw) -> Picture:
    hue, form = concept.split()
    ink = colour(hue, draw.rng)
    mask = fill(place(shape(form), _TURNED, draw.rng))
    return paint(mask, ink, ground(ink, draw.rng, neutral=True), draw.rng)


def _blur(concept: str, draw: _Draw) -> Picture:
    return _paint(texture(concept, draw.rng, blur_px=draw.rng.uniform(0.9, 1.5)), draw.rng)


def _outline(concept: str, draw: _Draw) -> Picture:
    distance = place(shape(concept), _TURNED, draw.rng)
    return _paint(outline(distance, width_px=draw.rng.uniform(1.6, 3.0)), draw.rng)


def _handwriting(concept: str, draw: _Draw) -> Picture:
    return _paint(scan(DIGITS.index(concept), draw.split, draw.rank), draw.rng)


_PAINTERS: dict[str, Callable[[str, _Draw], Picture]] = {
    **{dataset: _glyphs(dataset) for dataset in GLYPHS},
    "forms": _form,
    "weaves": _weave,
    "counts": _count,
    "dials": _dial,
    "charts": _chart,
    "pairs": _pair,
    "blurred": _blur,
    "outlines": _outline,
    "handwriting": _handwriting,
}

ADAPT: tuple[str, ...] = tuple(row.name for row in DATASETS.values() if row.group == "adapt")
HOLDOUT: tuple[str, ...] = tuple(row.name for row in DATASETS.values() if row.group == "holdout")


def _generator(dataset: str, split: str, index: int) -> np.random.Generator:
    digest = hashlib.blake2b(f"{dataset}/{split}/{index}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))


def _pick(choices: tuple[str, ...], rng: np.random.Generator, shares: tuple[float, ...] | None = None) -> str:
    if shares is None:
        return choices[int(rng.integers(len(choices)))]
    return choices[int(np.searchsorted(np.cumsum(shares), rng.uniform() * sum(shares), side="right"))]
