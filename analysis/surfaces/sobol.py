"""Sobol' indices: which shares of a function's variance its independent inputs explain.

Main effects after Saltelli et al. (2010, table 2 b), total ones after Jansen (1999), both on scrambled Sobol' points.
"""

from collections.abc import Callable, Sequence

import numpy as np

from analysis.arrays import FloatArray

Function = Callable[[FloatArray], FloatArray]

POINTS_LOG2 = 10
FLAT = 1e-9
"""Values that differ by less are equal but for rounding."""


def sobol(predict: Function, draws: Sequence[Function], *, seed: int) -> tuple[FloatArray, FloatArray]:
    """Main and total Sobol' indices (inputs, K) of a function of independent inputs; 0 where it is constant.

    Args:
        predict: from rows of columns (N, D) to values (N, K).
        draws: for each input, from numbers in [0, 1) to its columns.
        seed: of the scrambled Sobol' points.
    """
    from scipy.stats import qmc  # takes as long to import as all the rest of scipy that a report needs

    d = len(draws)
    points = qmc.Sobol(2 * d, rng=np.random.default_rng(seed)).random_base2(POINTS_LOG2)
    # Two independent samples A and B, and for each input A with that input's column of B: (d + 2) * n predictions.
    first, second = points[:, :d], points[:, d:]
    rows = np.vstack([first, second, *(np.where(np.arange(d) == i, second, first) for i in range(d))])
    values = predict(np.hstack([draw(rows[:, i]) for i, draw in enumerate(draws)]))
    values = values.reshape(d + 2, len(points), -1)
    a, b, mixed = values[0], values[1], values[2:]
    both = np.concatenate((a, b))
    variance = np.where(np.ptp(both, axis=0) > FLAT, both.var(axis=0), np.inf)
    main = np.mean((b - both.mean(axis=0)) * (mixed - a), axis=1) / variance
    return main, np.mean((a - mixed) ** 2, axis=1) / (2 * variance)
