"""Places of blocks by names: one list, lists in stages, and what is no block."""

import pytest

from trainables.merging.depth import Place, places

TOWERS = {
    "transformer": (["resblocks.0.ln.weight", "resblocks.1.mlp.0.weight", "resblocks.2.attn.in_proj_bias"], [0, 1, 2]),
    "stages": (
        ["stages.0.blocks.0.w", "stages.0.blocks.1.w", "stages.1.blocks.0.w", "stages.2.blocks.0.w"],
        [0, 1, 2, 3],
    ),
    "downsampling before a stage": (
        ["stages.0.blocks.0.w", "stages.0.blocks.1.w", "stages.1.downsample.1.w", "stages.1.blocks.0.w"],
        [0, 1, 2, 2],
    ),
    "numbered stages": (["layer1.0.w", "layer1.1.downsample.0.w", "layer2.0.w", "layer10.0.w"], [0, 1, 2, 3]),
    "stages of bare blocks": (["blocks.0.0.conv.weight", "blocks.1.0.w", "blocks.1.1.w"], [0, 1, 2]),
    "stages called layers": (["layers.0.blocks.0.w", "layers.1.downsample.norm.w", "layers.1.blocks.0.w"], [0, 1, 1]),
    "stages of layers": (["encoder.stages.0.layers.0.layer.1.w", "encoder.stages.1.layers.0.layer.0.w"], [0, 1]),
    "parts of a block are numbered": (["block.0.layer.0.w", "block.0.layer.1.w", "block.1.layer.0.w"], [0, 0, 1]),
    "numbers of two digits": ([f"h.{i}.w" for i in range(12)], list(range(12))),
}


@pytest.mark.parametrize("prefix", ["", "visual.trunk.", "text.transformer."])
@pytest.mark.parametrize("kind", TOWERS)
def test_places_are_in_forward_order(kind: str, prefix: str) -> None:
    names, indices = TOWERS[kind]
    found = places([prefix + name for name in reversed(names)])
    assert [found[prefix + name] for name in names] == [Place(index, max(indices) + 1) for index in indices]


def test_each_tower_counts_its_own_blocks() -> None:
    names = [f"{tower}.layers.{i}.w" for tower, depth in (("encoder", 3), ("decoder", 2)) for i in range(depth)]
    assert [tuple(place) for place in places(names).values()] == [(0, 3), (1, 3), (2, 3), (0, 2), (1, 2)]


@pytest.mark.parametrize(
    "name",
    [
        "head.proj.weight",
        "logit_scale",
        "stem.0.weight",
        "blocks",
        "my_blocks.0.w",
        "trunk.patch_embed.backbone.stages.0.blocks.0.w",
    ],
)
def test_what_is_in_no_block_has_no_place(name: str) -> None:
    assert places([name, "trunk.blocks.0.w"]) == {"trunk.blocks.0.w": Place(0, 1)}


def test_share_goes_from_0_to_1() -> None:
    assert [Place(i, 5).share for i in range(5)] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert Place(0, 1).share == 0.0
