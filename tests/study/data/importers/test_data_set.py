"""What the command line says of a data set, and the division of its images into train and test."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.data.importers.data_set import DataSet, Division, classes_of
from trainables.frozen import ConfigError


@given(
    concepts=st.lists(st.sampled_from(["a", "b", None]), max_size=30),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 3),
)
def test_every_class_is_divided_by_the_share(concepts: list[str | None], share: float, seed: int) -> None:
    names = [f"{i}.jpg" for i in range(len(concepts))]
    splits = Division(test_share=share, seed=seed).splits(names, concepts, "adapt")
    for concept, count in Counter(concepts).items():
        tested = sum(split == "test" for split, one in zip(splits, concepts, strict=True) if one == concept)
        assert tested == (0 if count == 1 else min(max(1, round(share * count)), count - 1))


def test_a_draw_depends_on_names_and_seed_and_not_on_order_or_on_other_classes() -> None:
    names = [f"{i}.jpg" for i in range(40)]
    division = Division()
    drawn = dict(zip(names, division.splits(names, ["a"] * 40, "adapt"), strict=True))
    back = division.splits([*reversed(names), "new"], [*["a"] * 40, "b"], "adapt")
    assert back == [*(drawn[name] for name in reversed(names)), "train"]
    assert sum(split == "test" for split in drawn.values()) == 8
    assert Division(seed=1).splits(names, ["a"] * 40, "adapt") != list(drawn.values())


def test_a_golden_draw() -> None:
    """A manifest that is imported again is the same one."""
    splits = Division().splits([f"{i:02}.jpg" for i in range(10)], ["a"] * 10, "adapt")
    assert [i for i, split in enumerate(splits) if split == "test"] == [3, 8]


def test_pool_and_held_out_sets_are_not_divided() -> None:
    assert Division().splits(["a", "b"], ["x", "x"], "pool") == ["train", "train"]
    assert Division().splits(["a", "b"], ["x", "x"], "holdout") == ["test", "test"]
    with pytest.raises(ConfigError, match="--test-share: all of group pool is trained on"):
        Division(test_share=0.5).splits(["a"], ["x"], "pool")


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5])
def test_a_share_is_between_0_and_1(share: float) -> None:
    with pytest.raises(ConfigError, match=f"--test-share: {share:g} given; allowed: above 0 and below 1"):
        Division(test_share=share)


@pytest.mark.parametrize(
    ("given_values", "said"),
    [
        ({"group": "train"}, "--group: 'train' given; allowed: adapt, holdout, pool"),
        ({"kind": "ranking"}, "--kind: 'ranking' given; allowed: classification, retrieval"),
        ({"metric": "f1"}, "--metric: 'f1' given; allowed: accuracy"),
        ({"year": "soon"}, "--year: 'soon' given"),
        ({"captions": ("a photo",)}, "--caption: 'a photo' given; it needs one {}"),
        ({"templates": ("{} {}",)}, "--template: '{} {}' given"),
        ({"name": "a/b"}, "--dataset: 'a/b' given"),
        ({"name": " "}, "--dataset: ' ' given"),
    ],
)
def test_wrong_values_are_named(given_values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        DataSet(**given_values)
    assert said in str(raised.value)


def test_captions_are_templates_that_are_filled() -> None:
    data = DataSet(captions=("a {}.", "{} here"))
    assert data.captions_of("red {} fox") == ("a red {} fox.", "red {} fox here")
    assert data.captions_of(None) is None
    assert DataSet().captions_of("fox") is None


def test_class_names_are_lines(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(b"\xef\xbb\xbfred fox\r\n na\xc3\xafve\x0b bird \n\n")
    assert classes_of(path) == ("red fox", "na\u00efve\x0b bird")
    assert classes_of(None) is None
    for content, said in (
        (b"", "it is empty"),
        (b"a\n\nb", "line 2 is empty"),
        (b"a\na\n", "line 2"),
        (b"\xff", "UTF-8"),
    ):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=said):
            classes_of(path)


@pytest.mark.parametrize("name", ["train", "Test", "val", "validation"])
def test_names_of_parts_are_no_names_of_data_sets(name: str) -> None:
    with pytest.raises(ConfigError, match=f"the data set would be called '{name}', as a part of one is; say --dataset"):
        DataSet().named(name)
    assert DataSet(name="birds").named(name) == "birds"
    assert DataSet(name=name).named("birds") == name
    assert DataSet().named("trains") == "trains"
