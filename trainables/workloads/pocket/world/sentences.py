"""The sentences of the world: what its captions may say, up to the choice of words; the vocabulary is their words."""

from trainables.workloads.pocket.world.datasets import DATASETS
from trainables.workloads.pocket.world.drawing.colours import COLOURS
from trainables.workloads.pocket.world.drawing.shapes import POOL_SHAPES


def sentences() -> tuple[str, ...]:
    """Sentences that have every word of the world, whatever its seed."""
    said = [template.format(c) for row in DATASETS.values() for c in row.concepts for template in row.templates]
    said += [f"a small {colour} {form}" for colour in COLOURS for form in POOL_SHAPES]
    said += ["a large red star on a dark ground", "a red star on a light ground", "a pattern of white rings"]
    said += [f"a picture of the {colour} letter A" for colour in COLOURS]
    return tuple(said)
