"""The pool: captions that say what is there, every name to learn among its rare examples, and nothing held out."""

from collections import Counter

import numpy as np
import pytest

from trainables.workloads.pocket.world.choices import FONTS, choices
from trainables.workloads.pocket.world.datasets import ADAPT, DATASETS, HOLDOUT
from trainables.workloads.pocket.world.drawing.colours import HUES
from trainables.workloads.pocket.world.drawing.randomness import Ints, draws
from trainables.workloads.pocket.world.drawing.shapes import POOL_SHAPES
from trainables.workloads.pocket.world.pool import RARE, RARE_FAMILY, families, pool_pictures, which_rare
from trainables.workloads.pocket.world.rendering import pool_samples

SAID = [captions for captions in pool_samples(np.arange(2_000))[1]]


def rare_concepts(indices: Ints) -> list[tuple[str, str]]:
    """The rare examples among samples of the pool: data set and concept of each."""
    drawn = draws(0, "pool", indices)
    rows = np.flatnonzero(families(drawn, RARE) == RARE_FAMILY)
    dataset_N, concept_N = which_rare(drawn.branch("sample", rows), choices(0))
    return [(ADAPT[d], DATASETS[ADAPT[d]].concepts[c]) for d, c in zip(dataset_N, concept_N, strict=True)]


def test_every_name_to_learn_is_among_the_rare_examples_at_least_twice() -> None:
    among = 400_000  # fewer than pretraining sees
    rare = Counter(rare_concepts(np.arange(among)))
    assert rare.total() == pytest.approx(RARE * among, rel=0.05)
    assert set(rare) == {(name, concept) for name in ADAPT for concept in DATASETS[name].concepts}
    assert min(rare.values()) >= 2


def test_rare_examples_say_what_they_are() -> None:
    indices = np.arange(500)
    rare = [
        tuple(template.format(concept) for template in DATASETS[name].templates)
        for name, concept in rare_concepts(indices)
    ]
    said = pool_samples(indices)[1]
    assert rare == [captions for captions in said if captions in set(rare)]
    assert len(rare) > 5


def test_a_larger_share_of_rare_ones_leaves_the_others_as_they_are() -> None:
    indices = np.arange(200)
    few, many = (pool_pictures(0, indices, rare=share)[1] for share in (0.0, 0.5))
    same = [a == b for a, b in zip(few, many, strict=True)]
    assert 70 < sum(same) < 130


def test_two_captions_at_least() -> None:
    assert min(len(set(captions)) for captions in SAID) >= 2


@pytest.mark.parametrize("seed", [0, 1])
def test_held_out_pairs_never_occur_but_their_parts_do(seed: int) -> None:
    said = {caption for captions in pool_samples(np.arange(2_000), seed=seed)[1] for caption in captions}
    pairs = choices(seed).pairs
    assert len(set(pairs)) == 18
    for pair in pairs:
        hue, form = pair.split()
        assert f"a {pair}" not in said
        assert any(f"a {hue} {other}" in said for other in POOL_SHAPES)
        assert any(f"a {other} {form}" in said for other in HUES)


def test_another_seed_makes_other_choices() -> None:
    first, other = choices(0), choices(1)
    assert set(first.pairs) != set(other.pairs)
    assert set(first.unseen_fonts) != set(other.unseen_fonts)
    for one in (first, other):
        assert {*one.seen_fonts, *one.unseen_fonts} == set(FONTS)
        assert len(one.seen_fonts) + len(one.unseen_fonts) == len(FONTS)


def test_no_look_that_is_held_out_is_in_the_pool() -> None:
    assert not {name for name, _ in rare_concepts(np.arange(5_000))} & set(HOLDOUT)
