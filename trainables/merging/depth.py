"""The depth of tensors by their names alone: the place of each block in the forward order of its tower.

Names follow modules. A list of blocks is numbered (`resblocks.0.`, `encoder.layer.0.`); a tower in stages numbers the
stages, and the blocks of each anew (`stages.0.blocks.0.`, `layer1.0.`), so that only both numbers together are a place.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

_NUMBERS = re.compile(
    r"(?P<tower>(?:.*?\.)??)"
    r"(?:(?:resblocks|stages|blocks|block|layers|layer|h)\.(?P<first>\d+)|layer(?P<stage>\d+))"
    r"(?:\.(?:(?:blocks|layers)\.)?(?P<second>\d+))?\."
)
_PATCHES = "patch_embed"
"""What turns an image into patches; its blocks, such as ViTamin's convolutions, come before those of the tower."""


class Place(NamedTuple):
    """The number of a block, counted from 0, among the blocks of its tower."""

    block: int
    blocks: int

    @property
    def share(self) -> float:
        """The depth: 0 of the first block, or of the only one, and 1 of the last."""
        return self.block / (self.blocks - 1) if self.blocks > 1 else 0.0


def places(names: Iterable[str]) -> dict[str, Place]:
    """The places of the tensors that lie in blocks.

    What lies in a stage and in none of its blocks (a downsampling) has the place of the stage's first block, which it
    comes before. A tower is told by what stands before the number of its first block or stage.
    """
    numbers: dict[str, tuple[str, tuple[int, ...]]] = {}
    towers: defaultdict[str, set[tuple[int, ...]]] = defaultdict(set)
    for name in names:
        match = _NUMBERS.match(name)
        if match is not None and _PATCHES not in match["tower"].split("."):
            within = tuple(int(one) for one in match.group("first", "stage", "second") if one is not None)
            numbers[name] = match["tower"], within
            towers[match["tower"]].add(within)
    indices = {tower: _indices(found) for tower, found in towers.items()}
    return {
        name: Place(indices[tower][within], max(indices[tower].values()) + 1)
        for name, (tower, within) in numbers.items()
    }


def _indices(found: set[tuple[int, ...]]) -> dict[tuple[int, ...], int]:
    """The index of the block with each numbers; those of a stage alone are no block where the stage has blocks."""
    stages = {within[:1] for within in found if len(within) > 1}
    indices, count = {}, 0
    for within in sorted(found):
        indices[within] = count
        count += within not in stages
    return indices
