"""A smooth surface through the results of configs: a Gaussian process with a Matern-5/2 kernel (Rasmussen & Williams).

Every column has a length of its own, so that one which does not matter may drop out. The variance of the noise is at
least what is known of it; where the surface is rough, more is estimated.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

from analysis.arrays import FloatArray

ROUGH = 1e-4
"""The least variance of the noise, as a share of that of the values."""
MOST = 4.0
"""The most noise, as a multiple of the known variance: the surface may be rougher than a smooth one."""
SHORTEST = 0.1
VARIANCES = (0.1, 30.0)
"""Bounds of the surface's variance, as a share of that of the values."""


@dataclass(frozen=True, kw_only=True)
class Matern:
    """The kernel: variance * (1 + z + z^2 / 3) * exp(-z) at the distance z / sqrt(5), in lengths (D,) (eq. 4.17)."""

    variance: float
    lengths: FloatArray

    def __call__(self, rows_MD: FloatArray, others_ND: FloatArray) -> FloatArray:
        """Covariances (M, N) of the surface at rows and others."""
        rows, others = rows_MD / self.lengths, others_ND / self.lengths
        square = np.sum(rows**2, axis=1)[:, np.newaxis] + np.sum(others**2, axis=1) - 2 * rows @ others.T
        z = np.sqrt(5 * np.maximum(square, 0.0))
        return np.asarray(self.variance * (1 + z + z**2 / 3) * np.exp(-z))


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
    kernel: Matern
    noise: float

    def mean(self, rows_MD: FloatArray) -> FloatArray:
        """Means (M, K) of the surface."""
        weights = linalg.cho_solve(self._factor(), self.values - self.centre)
        return np.asarray(self.centre + self.kernel(rows_MD, self.columns) @ weights)

    def sd(self, rows_MD: FloatArray) -> FloatArray:
        """Standard deviations (M,) of the surface itself, without noise."""
        cross = self.kernel(self.columns, rows_MD)
        explained = np.sum(cross * linalg.cho_solve(self._factor(), cross), axis=0)
        return np.asarray(self.scale * np.sqrt(np.maximum(self.kernel.variance - explained, 0.0)))

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
        gram = self.kernel(self.columns, self.columns) + self.noise * np.eye(len(self.columns))
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
    from scipy.optimize import minimize  # takes a tenth of a second, in which figures are drawn already

    scale = float(np.std(values_N)) or 1.0
    least = float(np.clip((noise_variance or 0.0) / scale**2, ROUGH, 0.9))
    most = 1.0 if noise_variance is None else MOST * least
    width = columns_ND.shape[1]
    bounds = np.log([VARIANCES, *[(SHORTEST, longest)] * width, (least, most)])
    # The likelihood may have several optima: one start in the middle, one at random, and the better fit is taken.
    starts = (
        np.log([1.0, *[0.5] * width, min(2 * least, most)]),
        np.random.RandomState(seed).uniform(bounds[:, 0], bounds[:, 1]),
    )
    apart = np.square(columns_ND.T[:, :, np.newaxis] - columns_ND.T[:, np.newaxis])
    unit = (values_N - np.mean(values_N)) / scale
    found = [minimize(_loss, start, args=(apart, unit), jac=True, method="L-BFGS-B", bounds=bounds) for start in starts]
    variance, *lengths, noise = np.exp(min(found, key=lambda one: float(one.fun)).x)
    return Surrogate(
        columns=columns_ND,
        values=values_N[:, np.newaxis],
        centre=np.array([np.mean(values_N)]),
        scale=scale,
        kernel=Matern(variance=float(variance), lengths=np.array(lengths)),
        noise=float(noise),
    )


def _loss(logs: FloatArray, apart_DNN: FloatArray, values_N: FloatArray) -> tuple[float, FloatArray]:
    """Minus the log marginal likelihood, and its gradient (eq. 2.30 and 5.9), by the logarithms of all that is fitted.

    Args:
        logs: of the kernel's variance, of its lengths, and of the variance of the noise.
        apart_DNN: squared distances of rows, column by column.
        values_N: with mean 0 and variance 1.
    """
    variance, lengths, noise = np.exp(logs[0]), np.exp(logs[1:-1]), np.exp(logs[-1])
    n = len(values_N)
    z = np.sqrt(5 * np.tensordot(lengths**-2, apart_DNN, axes=1))
    fading = variance * np.exp(-z)
    surface = fading * (1 + z + z**2 / 3)
    factor = linalg.cho_factor(surface + noise * np.eye(n), lower=True)
    weights = linalg.cho_solve(factor, values_N)
    loss = 0.5 * values_N @ weights + np.sum(np.log(np.diag(factor[0]))) + 0.5 * n * np.log(2 * np.pi)
    slope = 0.5 * (linalg.cho_solve(factor, np.eye(n)) - np.outer(weights, weights))  # by elements of the gram matrix
    by_lengths = 5 / 3 * np.tensordot(apart_DNN, slope * fading * (1 + z), axes=2) / lengths**2
    return float(loss), np.array([np.sum(slope * surface), *by_lengths, noise * np.trace(slope)])
