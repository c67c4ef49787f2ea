"""Forests: against scikit-learn's, in what they say of rows that they were grown on, have not drawn, or never saw."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor

from analysis.arrays import FloatArray
from analysis.surfaces.forest import MIN_LEAF, TREES, Forest, grow


def data(rows: int = 60) -> tuple[FloatArray, FloatArray]:
    """Values (N, 2) of a grid of four columns and a random one."""
    rng = np.random.default_rng(0)
    columns = np.column_stack([rng.integers(0, 4, (rows, 4)) / 3, rng.random(rows)])
    first = columns[:, 0] + (columns[:, 1] > 0.5) * columns[:, 2] + 0.2 * rng.standard_normal(rows)
    return columns, np.stack([first, first**2], axis=1)


def theirs(seed: int) -> ExtraTreesRegressor:
    forest = ExtraTreesRegressor(
        TREES, min_samples_leaf=MIN_LEAF, bootstrap=True, oob_score=True, random_state=seed, n_jobs=1
    )
    return forest.fit(*data())


def rms(left: FloatArray, right: FloatArray) -> float:
    return float(np.sqrt(np.mean((left - right) ** 2)))


def test_forests_differ_from_those_of_scikit_learn_as_these_do_from_each_other() -> None:
    ours = [grow(*data(), seed=seed) for seed in range(4)]
    reference = [theirs(seed) for seed in range(4)]
    rows = np.random.default_rng(1).random((500, 5))
    for left, right in (
        ([forest.predict(rows) for forest in ours], [forest.predict(rows) for forest in reference]),
        ([forest.unseen(data()[0]) for forest in ours], [forest.oob_prediction_ for forest in reference]),
    ):
        chance = np.mean([rms(right[a], right[b]) for a in range(4) for b in range(a)])
        assert rms(left[0], left[1]) > 0.5 * chance
        assert np.mean([rms(a, b) for a in left for b in right]) < 1.1 * chance
    nodes = np.mean([sum(tree.tree_.node_count for tree in forest.estimators_) for forest in reference])
    assert np.mean([len(forest.column) for forest in ours]) == pytest.approx(nodes, rel=0.02)


def test_a_step_is_found_and_the_rest_is_flat() -> None:
    rng = np.random.default_rng(2)
    columns = rng.random((200, 3))
    forest = grow(columns, (columns[:, [1]] > 0.5).astype(float), seed=0)
    rows = rng.random((200, 3))
    rows[:, 1] = np.where(rows[:, 1] < 0.5, 0.8 * rows[:, 1], 1 - 0.8 * (1 - rows[:, 1]))
    wrong = np.abs(forest.predict(rows)[:, 0] - (rows[:, 1] > 0.5))
    assert wrong.mean() < 0.05
    assert wrong.max() < 0.4


def test_every_tree_ends_in_leaves_of_enough_rows() -> None:
    columns, values = data()
    forest = grow(columns, values, seed=0)
    nodes = np.arange(len(forest.left))
    leaf = forest.left == nodes
    assert np.isinf(forest.threshold[leaf]).all()
    assert (np.sort([*range(TREES), *forest.left[~leaf], *forest.left[~leaf] + 1]) == nodes).all()
    assert MIN_LEAF * leaf.sum() <= forest.drawn.sum()


def test_rows_that_a_tree_has_drawn_do_not_count_as_unseen() -> None:
    """Values that nothing explains are only known to trees that have drawn them."""
    columns, values = np.random.default_rng(3).random((50, 2)), np.random.default_rng(4).standard_normal((50, 1))
    forest = grow(columns, values, seed=0)
    assert np.corrcoef(forest.predict(columns)[:, 0], values[:, 0])[0, 1] > 0.7
    assert np.corrcoef(forest.unseen(columns)[:, 0], values[:, 0])[0, 1] < 0.3


def test_equal_rows_have_the_mean_of_their_values() -> None:
    forest = grow(np.ones((400, 2)), np.arange(400.0)[:, np.newaxis], seed=0)
    assert forest.predict(np.ones((1, 2)))[0, 0] == pytest.approx(199.5, abs=5)
    assert len(forest.column) == TREES


def test_the_same_seed_gives_the_same_forest() -> None:
    def numbers(forest: Forest) -> bytes:
        return forest.threshold.tobytes() + forest.values.tobytes()

    assert numbers(grow(*data(), seed=1)) == numbers(grow(*data(), seed=1))
    assert numbers(grow(*data(), seed=1)) != numbers(grow(*data(), seed=2))
