"""A smooth surface through the results of configs: a Gaussian process with a Matern-5/2 kernel (Rasmussen & Williams).

Every column has a length of its own, so that one which does not matter may drop out. The variance of the noise is at
least what is known of it; where the surface is rough, more is estimated.
"""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import linalg

from analysis.pareto import FloatArray

ROUGH = 1e-4
"""The least variance of the noise, as a share of that of the values."""
MOST = 4.0
"""The most of it where it is known, as a multiple: the surface may be rougher than a smooth one."""
SHORTEST = 0.1


@dataclass(frozen=True, kw_only=True)
class Surrogate:
    """A fitted process of one value, or of several with the same kernel.

    Columns are (N, D), values (N, K) and their means (K,); `kernel` and `noise` (a variance) are those of values in
    units of `scale` around their means.
    """

    columns: FloatArray
    values: FloatArray
    centre: FloatArray
    scale: float
    kernel: Any
    noise: float

    def mean(self, rows_MD: FloatArray) -> FloatArray:
        """Means (M, K) of the surface."""
        weights = linalg.cho_solve(self._factor(), self.values - self.centre)
        return np.asarray(self.centre + self.kernel(rows_MD, self.columns) @ weights)

    def sd(self, rows_MD: FloatArray) -> FloatArray:
        """Standard deviations (M,) of the surface itself, without noise."""
        cross = self.kernel(self.columns, rows_MD)
        explained = np.sum(cross * linalg.cho_solve(self._factor(), cross), axis=0)
        return np.asarray(self.scale * np.sqrt(np.maximum(self.kernel.diag(rows_MD) - explained, 0.0)))

    def left_out(self) -> tuple[FloatArray, FloatArray]:
        """Means (N, K) of each row as predicted by the others, and standard deviations (N,), with noise (eq. 5.12)."""
        inverse = linalg.cho_solve(self._factor(), np.eye(len(self.columns)))
        weight = np.diag(inverse)
        mean = self.values - inverse @ (self.values - self.centre) / weight[:, np.newaxis]
        return np.asarray(mean), np.asarray(self.scale / np.sqrt(weight))

    def also(self, row_D: FloatArray, values_K: FloatArray) -> "Surrogate":
        """The same kernel, with one more row."""
        return replace(
            self, columns=np.vstack([self.columns, row_D]), values=np.vstack([self.values, np.atleast_1d(values_K)])
        )

    def of(self, values_NK: FloatArray) -> "Surrogate":
        """The same kernel and rows with other values."""
        return replace(self, values=values_NK, centre=values_NK.mean(axis=0))

    def _factor(self) -> tuple[FloatArray, bool]:
        gram = self.kernel(self.columns) + self.noise * np.eye(len(self.columns))
        factor: tuple[FloatArray, bool] = linalg.cho_factor(gram, lower=True)
        return factor


def surrogate(
    columns_ND: FloatArray, values_N: FloatArray, *, noise_variance: float | None, longest: float, seed: int
) -> Surrogate:
    """Fit by marginal likelihood, from two starts.

    Args:
        columns_ND: inputs, between 0 and 1.
        values_N: what was measured.
        noise_variance: of the values; None where it is not known.
        longest: bound of the lengths. Above 1, which is the tested range, columns can drop out; with few configs that
            makes predictions too sure where nothing was tested.
        seed: of the second start.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    scale = float(np.std(values_N)) or 1.0
    least = float(np.clip((noise_variance or 0.0) / scale**2, ROUGH, 0.9))
    most = 1.0 if noise_variance is None else MOST * least
    surface = ConstantKernel(1.0, (0.1, 30.0)) * Matern(np.full(columns_ND.shape[1], 0.5), (SHORTEST, longest), nu=2.5)
    process = GaussianProcessRegressor(
        surface + WhiteKernel(min(2 * least, most), (least, most)), alpha=0.0, n_restarts_optimizer=1, random_state=seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a length at its bound is one that does not matter
        process.fit(columns_ND, (values_N - np.mean(values_N)) / scale)
    return Surrogate(
        columns=columns_ND,
        values=values_N[:, np.newaxis],
        centre=np.array([np.mean(values_N)]),
        scale=scale,
        kernel=process.kernel_.k1,
        noise=float(process.kernel_.k2.noise_level),
    )
