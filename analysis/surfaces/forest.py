"""A forest of extremely randomised trees (Geurts et al. 2006), each on a bootstrap sample of the rows.

A node tries one random threshold in each column and keeps the one that leaves the least variance of the values. This is
scikit-learn's `ExtraTreesRegressor(bootstrap=True)`; here all trees grow together, a level at a time, as a report has
many small forests, and importing scikit-learn takes longer than all of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from analysis.arrays import FloatArray

TREES = 300
MIN_LEAF = 2
"""The least number of rows in a leaf."""
CONSTANT = 1e-7
"""A column that varies by less in a node is not split there."""

IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class Forest:
    """Nodes of all trees, the roots first.

    Rows up to `threshold` in `column` go on to the node `left`, others to the one after it. A leaf is its own `left`,
    and no row is above its threshold. `values` (nodes, K) are means; `drawn` (trees, N) says which rows a tree saw.
    """

    column: IntArray
    threshold: FloatArray
    left: IntArray
    values: FloatArray
    drawn: npt.NDArray[np.bool_]

    def predict(self, rows_MD: FloatArray) -> FloatArray:
        """Means (M, K) of the predictions of all trees."""
        total = np.zeros((len(rows_MD), self.values.shape[1]))
        for tree in range(len(self.drawn)):
            total += self.values.take(self._leaves(tree, rows_MD), axis=0)
        return total / len(self.drawn)

    def unseen(self, rows_ND: FloatArray) -> FloatArray:
        """For the rows (N, D) that the forest was grown on: predictions (N, K) by the trees that have not seen them."""
        total = np.zeros((len(rows_ND), self.values.shape[1]))
        for tree, drawn in enumerate(self.drawn):
            total[~drawn] += self.values[self._leaves(tree, rows_ND[~drawn])]
        return np.asarray(total / np.sum(~self.drawn, axis=0)[:, np.newaxis])

    def _leaves(self, tree: int, rows_MD: FloatArray) -> IntArray:
        cells, begin = rows_MD.ravel(), np.arange(len(rows_MD)) * rows_MD.shape[1]
        node, last = np.full(len(rows_MD), tree), None
        while last is None or (node != last).any():
            last = node
            above = cells.take(begin + self.column.take(node)) > self.threshold.take(node)
            node = self.left.take(node) + above
        return node


def grow(columns_ND: FloatArray, values_NK: FloatArray, *, seed: int) -> Forest:
    """Grow a forest that predicts values from columns."""
    rng = np.random.default_rng(seed)
    rows = len(columns_ND)
    draws = rng.integers(0, rows, (TREES, rows)) + rows * np.arange(TREES)[:, np.newaxis]
    times = np.bincount(draws.ravel(), minlength=TREES * rows).reshape(TREES, rows)
    levels = zip(*_levels(columns_ND, values_NK, times, rng), strict=True)
    column, threshold, left, values = (np.concatenate(parts) for parts in levels)
    return Forest(column=column, threshold=threshold, left=left, values=values, drawn=times > 0)


def _levels(
    columns_ND: FloatArray, values_NK: FloatArray, times: IntArray, rng: np.random.Generator
) -> Iterator[tuple[IntArray, FloatArray, IntArray, FloatArray]]:
    """Columns, thresholds, left nodes and values of one level of all trees after the other.

    `row`, `weight` and `node` list the rows in all nodes of a level, the nodes in order.
    """
    ones_and_values = np.column_stack([np.ones(len(values_NK)), values_NK])
    node, row = np.nonzero(times)
    weight, first = times[node, row].astype(float), 0
    while len(row):
        begin = np.flatnonzero(np.diff(node, prepend=-1))
        ends, nodes = np.append(begin, len(row)), len(begin)
        size, place = np.diff(ends), np.repeat(np.arange(nodes), np.diff(ends))

        def sums(weight: FloatArray, row: IntArray = row, ends: IntArray = ends) -> FloatArray:
            """Sums (nodes, 1 + K) of the weights and of the weighted values."""
            return np.asarray(sparse.csr_array((weight, row, ends), (len(ends) - 1, len(times[0]))) @ ones_and_values)

        total = sums(weight)
        best, column, threshold = np.full(nodes, -np.inf), np.zeros(nodes, np.intp), np.full(nodes, np.inf)
        goes_left = np.zeros(len(row), bool)
        # Columns outside, nodes inside: one vectorised step serves all nodes of all trees, which may be thousands.
        for j, cells in enumerate(np.ascontiguousarray(columns_ND.T)):
            cell = cells.take(row)
            low, high = np.minimum.reduceat(cell, begin), np.maximum.reduceat(cell, begin)
            level = low + rng.random(nodes) * (high - low)
            below = cell <= level.take(place)
            left_size = np.add.reduceat(below, begin, dtype=np.intp)
            allowed = (high > low + CONSTANT) & (np.minimum(left_size, size - left_size) >= MIN_LEAF)
            left = sums(below * weight)
            explained = np.where(allowed, _explained(left, allowed) + _explained(total - left, allowed), -np.inf)
            better = explained > best
            best[better], column[better], threshold[better] = explained[better], j, level[better]
            np.copyto(goes_left, below, where=better.take(place))
        split, first = np.isfinite(best), first + nodes
        child = first + 2 * (np.cumsum(split) - 1)
        yield column, threshold, np.where(split, child, first - nodes + np.arange(nodes)), total[:, 1:] / total[:, :1]
        stays = split.take(place)
        node = (child.take(place) + ~goes_left)[stays]
        order = np.argsort(node, kind="stable")
        node, row, weight = node[order], row[stays][order], weight[stays][order]


def _explained(sums: FloatArray, allowed: npt.NDArray[np.bool_]) -> FloatArray:
    """The sum of squares that the means of a side explain."""
    return np.asarray(np.sum(sums[:, 1:] ** 2, axis=1) / np.where(allowed, sums[:, 0], 1.0))
