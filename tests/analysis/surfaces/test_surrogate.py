"""Gaussian processes: against those of scikit-learn, and what left-out rows are."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor, kernels

from analysis.arrays import FloatArray
from analysis.surfaces.surrogate import ROUGH, SHORTEST, VARIANCES, Surrogate, surrogate


def data(rows: int = 20) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(0)
    columns = rng.random((rows, 2))
    return columns, 5 + np.sin(4 * columns[:, 0]) + 0.05 * rng.standard_normal(rows)


@pytest.fixture(scope="module")
def fitted() -> Surrogate:
    columns, values = data()
    return surrogate(columns, values, noise_variance=0.05**2, longest=1.0, seed=0)


def same(fitted: Surrogate, columns: FloatArray, values: FloatArray) -> GaussianProcessRegressor:
    """Scikit-learn's process with the same kernel, in units of its own."""
    kernel = kernels.ConstantKernel(fitted.kernel.variance) * kernels.Matern(fitted.kernel.lengths, nu=2.5)
    process = GaussianProcessRegressor(kernel, alpha=fitted.noise, optimizer=None)
    return process.fit(columns, (values - fitted.centre[0]) / fitted.scale)


@pytest.mark.parametrize("longest", [1.0, 30.0])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # of a length at its bound
def test_lengths_are_those_of_scikit_learn(longest: float) -> None:
    """The third column does not matter, so that its length goes to the bound."""
    columns = np.random.default_rng(4).random((40, 3))
    values = np.sin(4 * columns[:, 0]) + columns[:, 1] + 0.05 * np.random.default_rng(5).standard_normal(40)
    ours = surrogate(columns, values, noise_variance=None, longest=longest, seed=7)
    kernel = kernels.ConstantKernel(1.0, VARIANCES) * kernels.Matern([0.5] * 3, (SHORTEST, longest), nu=2.5)
    noise = kernels.WhiteKernel(2 * ROUGH, (ROUGH, 1.0))
    theirs = GaussianProcessRegressor(kernel + noise, alpha=0.0, n_restarts_optimizer=1, random_state=7)
    theirs.fit(columns, (values - values.mean()) / values.std())
    found = np.log([ours.kernel.variance, *ours.kernel.lengths, ours.noise])
    assert found == pytest.approx(theirs.kernel_.theta, abs=1e-3)
    assert ours.kernel.lengths[2] == pytest.approx(longest)


def test_predictions_are_those_of_scikit_learn(fitted: Surrogate) -> None:
    rows = np.random.default_rng(1).random((50, 2))
    mean, sd = same(fitted, *data()).predict(rows, return_std=True)
    assert fitted.mean(rows)[:, 0] == pytest.approx(fitted.centre[0] + fitted.scale * mean)
    assert fitted.sd(rows) == pytest.approx(fitted.scale * sd, abs=1e-6)


def test_left_out_rows_are_predicted_by_the_others(fitted: Surrogate) -> None:
    columns, values = data()
    mean, sd = fitted.left_out()
    for row in range(len(values)):
        kept = np.arange(len(values)) != row
        alone, spread = same(fitted, columns[kept], values[kept]).predict(columns[[row]], return_std=True)
        assert mean[row, 0] == pytest.approx(fitted.centre[0] + fitted.scale * alone[0])
        assert sd[row] == pytest.approx(fitted.scale * np.sqrt(spread[0] ** 2 + fitted.noise))


def test_one_more_row(fitted: Surrogate) -> None:
    row = np.array([0.5, 0.5])
    more = fitted.also(row, fitted.mean(row[np.newaxis])[0])
    elsewhere = np.random.default_rng(2).random((20, 2))
    assert more.mean(elsewhere) == pytest.approx(fitted.mean(elsewhere))
    assert (more.sd(elsewhere) <= fitted.sd(elsewhere) + 1e-9).all()
    assert more.sd(row[np.newaxis])[0] < 0.8 * fitted.sd(row[np.newaxis])[0]


def test_several_values_share_a_kernel(fitted: Surrogate) -> None:
    _, values = data()
    both = fitted.of(np.stack([values, 2 * values], axis=1))
    rows = np.random.default_rng(3).random((5, 2))
    assert both.mean(rows)[:, 0] == pytest.approx(fitted.mean(rows)[:, 0])
    assert both.mean(rows)[:, 1] == pytest.approx(2 * fitted.mean(rows)[:, 0])


def test_noise_stays_near_what_is_known_of_it(fitted: Surrogate) -> None:
    assert 0.05**2 <= fitted.noise * fitted.scale**2 * (1 + 1e-9) <= 4.01 * 0.05**2
    columns, values = data()
    unknown = surrogate(columns, values, noise_variance=None, longest=30.0, seed=0)
    assert 0.02 < np.sqrt(unknown.noise) * unknown.scale < 0.1


def test_constant_values() -> None:
    flat = surrogate(data()[0], np.full(20, 0.5), noise_variance=None, longest=1.0, seed=0)
    assert flat.mean(data()[0]) == pytest.approx(0.5)
