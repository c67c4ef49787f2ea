"""What a painter is given: the pictures that are wanted of a data set, and the randomness to draw them with."""

from collections.abc import Callable
from dataclasses import dataclass

from trainables.workloads.pocket.world.choices import Choices
from trainables.workloads.pocket.world.drawing.painting import Pictures
from trainables.workloads.pocket.world.drawing.randomness import Draws, Ints


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Pictures of one data set that are wanted.

    Attributes:
        concepts: numbers of the concepts [N], in label order.
        ranks: places [N] among the pictures of the same concept and split.
        is_test: whether the split is that of the tests.
        draws: the pictures' randomness.
        choices: those of the world.
    """

    concepts: Ints
    ranks: Ints
    is_test: bool
    draws: Draws
    choices: Choices


Painter = Callable[[Wanted], Pictures]
