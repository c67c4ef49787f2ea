"""The data sets of the world: names, concepts, captions and sizes, without a picture.

*Adapt* sets are taught and measured: eight of new names, and eight of known names in new looks. *Holdout* sets measure
what the pretrained model keeps: it knows their names, drawn as it never saw them. *Extra* sets are measured beside
both and enter no mean: nobody learns to count or to read dials in so few steps.
"""

from dataclasses import dataclass, replace
from typing import Literal

from trainables.metrics import Group
from trainables.workloads.pocket.world.choices import choices
from trainables.workloads.pocket.world.drawing.charts import CHARTS
from trainables.workloads.pocket.world.drawing.colours import HUES
from trainables.workloads.pocket.world.drawing.shapes import NEW_SHAPES, POOL_SHAPES
from trainables.workloads.pocket.world.drawing.textures import NEW_TEXTURES, POOL_TEXTURES
from trainables.workloads.pocket.world.names import (
    CAPITALS,
    CYRILLIC,
    DIGITS,
    DUOS,
    GREEK,
    HEBREW,
    NUMBERS,
    OPERATORS,
    PICTOGRAMS,
    PLACES,
    WINDS,
)

Split = Literal["train", "test"]


@dataclass(frozen=True, kw_only=True)
class PocketDataset:
    """A classification data set of the world.

    Attributes:
        name: unique in the world.
        group: says whether it measures accumulation ("adapt"), retention ("holdout") or neither ("extra").
        concepts: classes, in label order.
        templates: captions with one {} for the concept.
        test_per_concept: pictures of each concept to test on.
        year: when it appeared. The world is invented, and so are its years.
        train_per_concept: pictures of each concept to train on; a batch takes all with equal chances, so sets that are
            hard to see have more of them.
    """

    name: str
    group: Group
    concepts: tuple[str, ...]
    templates: tuple[str, ...]
    test_per_concept: int
    year: int = 2016
    train_per_concept: int = 0

    @property
    def prompt(self) -> str:
        """The caption that stands for a concept in zero-shot classification."""
        return self.templates[0]


_DIGIT = ("the digit {}", "a picture of the digit {}", "the number {}")
_SHAPE = ("a drawing of a {}", "a picture of a {}", "a {}")


def _new(
    name: str, concepts: tuple[str, ...], templates: tuple[str, ...], *, year: int, tests: int, train: int = 32
) -> PocketDataset:
    return PocketDataset(
        name=name,
        group="adapt",
        concepts=concepts,
        templates=templates,
        test_per_concept=tests,
        train_per_concept=train,
        year=year,
    )


def _held_out(name: str, concepts: tuple[str, ...], templates: tuple[str, ...], *, tests: int) -> PocketDataset:
    return PocketDataset(name=name, group="holdout", concepts=concepts, templates=templates, test_per_concept=tests)


def _extra(name: str, concepts: tuple[str, ...], templates: tuple[str, ...], *, tests: int) -> PocketDataset:
    return PocketDataset(name=name, group="extra", concepts=concepts, templates=templates, test_per_concept=tests)


def _script(name: str) -> tuple[str, ...]:
    return (f"the {name} letter {{}}", f"{{}} in {name}", f"the {name} character {{}}", f"a {name} {{}}")


_ROWS = (
    _new("greek", tuple(GREEK), _script("greek"), year=2017, tests=8),
    _new("cyrillic", tuple(CYRILLIC), _script("cyrillic"), year=2017, tests=8),
    _new("hebrew", tuple(HEBREW), _script("hebrew"), year=2018, tests=8),
    _new(
        "pictograms",
        tuple(PICTOGRAMS),
        ("a pictogram of a {}", "the {} sign", "a {} icon", "a pictogram showing a {}"),
        year=2018,
        tests=6,
    ),
    _new(
        "operators",
        tuple(OPERATORS),
        ("the mathematical symbol {}", "the {} operator", "{} in mathematics", "the symbol for {}"),
        year=2018,
        tests=8,
    ),
    _new(
        "forms",
        tuple(NEW_SHAPES),
        ("the form of a {}", "a solid {}", "a {} form", "a flat {}"),
        year=2019,
        tests=8,
    ),
    _new(
        "weaves",
        tuple(NEW_TEXTURES),
        ("a {} weave", "a surface with {}", "a wall of {}", "a {} surface"),
        year=2019,
        tests=10,
    ),
    _new(
        "charts",
        tuple(CHARTS),
        ("a {} chart", "data as a {} chart", "a {} plot", "a diagram of type {}"),
        year=2020,
        tests=11,
    ),
    _new(
        "tiny",
        tuple(CAPITALS),
        ("a tiny letter {}", "a tiny {}", "a very small letter {}", "the tiny capital letter {}"),
        year=2020,
        tests=4,
        train=48,
    ),
    _new(
        "faint",
        tuple(DIGITS),
        ("a faint digit {}", "the faint number {}", "a faint {}", "a hardly visible {}"),
        year=2020,
        tests=10,
        train=112,
    ),
    _new(
        "grainy",
        tuple(POOL_SHAPES),
        ("a grainy {}", "a {} in noise", "a grainy picture of a {}", "a grainy drawing of a {}"),
        year=2021,
        tests=8,
        train=96,
    ),
    _new(
        "dotted",
        tuple(DIGITS),
        ("a dotted digit {}", "the dotted number {}", "a dotted {}", "the digit {} made of dots"),
        year=2021,
        tests=10,
        train=112,
    ),
    _new(
        "positions",
        tuple(PLACES),
        ("a form at the {}", "it stands at the {}", "something at the {}", "the place is {}"),
        year=2021,
        tests=11,
        train=128,
    ),
    _new(
        "pointing",
        WINDS,
        ("an arrow to the {}", "it points {}", "pointing to the {}", "the way to the {}"),
        year=2022,
        tests=12,
        train=144,
    ),
    _new(
        "duos",
        DUOS,
        ("a form in {}", "painted {}", "the colours {}", "something in {}"),
        year=2022,
        tests=6,
        train=72,
    ),
    _new(
        "grounds",
        tuple(HUES),
        ("a form on a {} ground", "the ground is {}", "a {} ground", "something on a {} ground"),
        year=2022,
        tests=12,
        train=144,
    ),
    _held_out("handwriting", tuple(DIGITS), _DIGIT, tests=20),
    _held_out("outlines", tuple(POOL_SHAPES), _SHAPE, tests=17),
    _held_out("numerals", tuple(DIGITS), _DIGIT, tests=20),
    _held_out(
        "covered",
        tuple(CAPITALS),
        ("the letter {}", "a picture of the letter {}", "the capital letter {}"),
        tests=8,
    ),
    _held_out(
        "blurred",
        tuple(POOL_TEXTURES),
        ("a texture of {}", "a picture of {}", "a pattern of {}"),
        tests=20,
    ),
    _held_out(
        "pairs",
        choices(0).pairs,
        ("a {}", "a picture of a {}", "a drawing of a {}"),
        tests=11,
    ),
    _held_out("bent", tuple(POOL_SHAPES), _SHAPE, tests=17),
    _held_out("coarse", tuple(POOL_SHAPES), _SHAPE, tests=17),
    _extra("counts", NUMBERS[1:9], ("{} dots", "a group of {} dots", "there are {} dots"), tests=8),
    _extra("dials", NUMBERS[1:13], ("a dial at {}", "a clock showing {}", "a dial that reads {}"), tests=6),
)

DATASETS: dict[str, PocketDataset] = {row.name: row for row in _ROWS}
"""The data sets of the shipped world."""

ADAPT: tuple[str, ...] = tuple(row.name for row in _ROWS if row.group == "adapt")
HOLDOUT: tuple[str, ...] = tuple(row.name for row in _ROWS if row.group == "holdout")


def data_sets(seed: int) -> dict[str, PocketDataset]:
    """The data sets of the world of a seed: those of the shipped one, with the pairs that its pool leaves out."""
    return DATASETS | {"pairs": replace(DATASETS["pairs"], concepts=choices(seed).pairs)}
