"""Anatomies: towers and depth, told from the declarations."""

import pytest

from trainables.workloads.anatomy import Anatomy, Parameter


def parameter(name: str, tower: str | None, layer: int | None) -> Parameter:
    return Parameter(name=name, shape=(2,), tower=tower, layer=layer, part="mlp", bias=False)


ANATOMY = Anatomy(
    parameters=(
        parameter("scale", None, None),
        parameter("text.0.a", "text", 0),
        parameter("text.0.b", "text", 0),
        parameter("image.in", "image", None),
        parameter("image.0", "image", 0),
        parameter("image.1", "image", 1),
    ),
    projections=(),
)


def test_towers_are_sorted_and_leave_out_what_belongs_to_none() -> None:
    assert ANATOMY.towers == ("image", "text")


def test_the_size_counts_what_may_train() -> None:
    fixed = Parameter(name="mean", shape=(7,), tower="image", layer=0, part="norm", bias=False, fixed=True)
    matrix = Parameter(name="head", shape=(3, 5), tower="image", layer=None, part="head", bias=False)
    scale = Parameter(name="scale", shape=(), tower=None, layer=None, part="scale", bias=False)
    assert Anatomy(parameters=(fixed, matrix, scale), projections=()).size == 16


def test_depth_counts_blocks() -> None:
    assert (ANATOMY.depth("image"), ANATOMY.depth("text")) == (2, 1)


def test_depth_of_an_unknown_tower_lists_the_towers() -> None:
    with pytest.raises(ValueError, match=r"no tower 'sound'; choose one of \['image', 'text'\]"):
        ANATOMY.depth("sound")
