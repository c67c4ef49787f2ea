"""Dominance and comparisons of methods: the exact bivariate t, symmetries, degenerate differences, Holm's closure."""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import integrate, stats

from analysis.plane.dominance import Split, compare_methods, dominance, smallest_sign_flip_p
from analysis.uncertainty import holm

FloatArray = npt.NDArray[np.float64]


def split_of(difference: npt.ArrayLike) -> Split:
    found = dominance(difference)
    assert found.reason is None
    assert found.split is not None
    return found.split


def as_tuple(split: Split) -> tuple[float, float, float, float]:
    return split.a_dominates, split.b_dominates, split.a_learns_more, split.a_retains_more


def differences(centre: Sequence[float], sd: Sequence[float], r: float, blocks: int, seed: int = 0) -> FloatArray:
    """Differences with exactly this mean, sample standard deviation and correlation."""
    raw = np.random.default_rng(seed).normal(size=(blocks, 2))
    raw -= raw.mean(axis=0)
    white = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw.T))).T
    cov = np.array([[sd[0] ** 2, r * sd[0] * sd[1]], [r * sd[0] * sd[1], sd[1] ** 2]])
    return np.asarray(white @ np.linalg.cholesky(cov).T + centre, dtype=float)


def by_quadrature(difference: FloatArray) -> float:
    """P(both means > 0): over x, the conditional of a bivariate t is a t with one more degree of freedom."""
    n = len(difference)
    df = n - 2
    scale = np.cov(difference.T) * (n - 1) / (n * df)
    (sx, sy), r = np.sqrt(np.diag(scale)), scale[0, 1] / math.sqrt(scale[0, 0] * scale[1, 1])
    h, k = difference.mean(axis=0) / (sx, sy)

    def density(x: float) -> float:
        conditional = (k - r * x) / math.sqrt((1 - r * r) * (df + x * x) / (df + 1))
        return float(stats.t.pdf(x, df) * stats.t.cdf(conditional, df + 1))

    return float(integrate.quad(density, -np.inf, h, epsabs=1e-11, epsrel=1e-11, limit=200)[0])


@pytest.mark.parametrize(
    "blocks", [3, 4, 5, 12, *(pytest.param(blocks, marks=pytest.mark.thorough) for blocks in (6, 9))]
)
@pytest.mark.parametrize("centre", [(0.002, 0.001), (0.004, -0.003), (-0.001, -0.002), (0.0, 0.002), (0.03, 0.03)])
@pytest.mark.parametrize("r", [-0.95, -0.4, 0.0, 0.7])
def test_the_posterior_is_the_bivariate_t(blocks: int, centre: tuple[float, float], r: float) -> None:
    d = differences(centre, (0.004, 0.003), r, blocks)
    split = split_of(d)
    assert split.a_dominates == pytest.approx(by_quadrature(d), abs=1e-9)
    assert split.b_dominates == pytest.approx(by_quadrature(-d), abs=1e-9)
    assert split.a_learns_more == pytest.approx(by_quadrature(d * (1, -1)), abs=1e-9)
    assert split.a_retains_more == pytest.approx(by_quadrature(d * (-1, 1)), abs=1e-9)
    assert sum(as_tuple(split)) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("blocks", [3, 4, 7])
def test_scipy_agrees(blocks: int) -> None:
    d = differences((0.003, 0.002), (0.004, 0.003), 0.5, blocks)
    shape = np.cov(d.T) * (blocks - 1) / (blocks * (blocks - 2))
    t = stats.multivariate_t(shape=shape, df=blocks - 2, seed=0)
    assert split_of(d).a_dominates == pytest.approx(t.cdf(d.mean(axis=0)), abs=1e-4)


@pytest.mark.parametrize("r", [-0.8, 0.0, 0.3, 0.99])
@pytest.mark.parametrize("blocks", [3, 6])
def test_around_zero_only_the_correlation_counts(blocks: int, r: float) -> None:
    """Sheppard's 1/4 + asin(r) / (2 pi) holds for every elliptical distribution."""
    both = 0.25 + math.asin(r) / (2 * math.pi)
    found = as_tuple(split_of(differences((0, 0), (0.004, 0.003), r, blocks)))
    assert found == pytest.approx((both, both, 0.5 - both, 0.5 - both), abs=1e-12)


def test_many_blocks_approach_the_normal() -> None:
    d = differences((0.0003, 0.0002), (0.004, 0.003), 0.4, 402)
    normal = stats.multivariate_normal(cov=np.cov(d.T) / 402)
    assert split_of(d).a_dominates == pytest.approx(normal.cdf(d.mean(axis=0)), abs=2e-3)


def test_exchange_of_sides_and_of_axes() -> None:
    d = differences((0.003, -0.001), (0.004, 0.003), 0.3, 5)
    here, there, turned = split_of(d), split_of(-d), split_of(d[:, ::-1])
    assert as_tuple(there) == pytest.approx(as_tuple(here.swapped), abs=1e-12)
    assert turned.a_dominates == pytest.approx(here.a_dominates, abs=1e-12)
    assert turned.a_learns_more == pytest.approx(here.a_retains_more, abs=1e-12)


def test_units_do_not_matter() -> None:
    d = differences((0.003, -0.001), (0.004, 0.003), 0.3, 5)
    assert as_tuple(split_of(d * (100, 7))) == pytest.approx(as_tuple(split_of(d)), abs=1e-12)


def test_it_is_deterministic_and_leaves_its_input_alone() -> None:
    d = differences((0.003, -0.001), (0.004, 0.003), 0.3, 4)
    before = d.copy()
    assert dominance(d) == dominance(d)
    assert (d == before).all()


@pytest.mark.parametrize("blocks", [1, 2])
def test_too_few_blocks_say_so(blocks: int) -> None:
    found = dominance(np.full((blocks, 2), 0.01))
    assert found.split is None
    assert found.reason is not None
    assert found.reason.startswith(f"{blocks} block")


def test_equal_configs_have_no_split() -> None:
    found = dominance(np.zeros((5, 2)))
    assert found.split is None
    assert found.reason == "they have the same AKA and AZS on every block"


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        ((0.01, 0.02), (1, 0, 0, 0)),
        ((-0.01, -0.02), (0, 1, 0, 0)),
        ((0.01, -0.02), (0, 0, 1, 0)),
        ((-0.01, 0.02), (0, 0, 0, 1)),
        ((0.01, 0.0), (1, 0, 0, 0)),
        ((0.0, -0.01), (0, 1, 0, 0)),
    ],
)
def test_without_noise_the_answer_is_certain(difference: tuple[float, float], expected: tuple[float, ...]) -> None:
    noiseless = np.tile(difference, (4, 1)) + 1e-17 * np.arange(4)[:, None]
    assert as_tuple(split_of(noiseless)) == expected


def test_one_axis_without_difference_leaves_the_other() -> None:
    y = np.array([0.001, 0.004, -0.001, 0.002])
    above = float(stats.t.cdf(y.mean() / math.sqrt(y.var(ddof=1) * 3 / (4 * 2)), 2))
    assert as_tuple(split_of(np.stack((0 * y, y), axis=1))) == pytest.approx((above, 1 - above, 0, 0))
    assert as_tuple(split_of(np.stack((0 * y + 0.01, y), axis=1))) == pytest.approx((above, 0, 1 - above, 0))


@pytest.mark.parametrize("slope", [2.0, -2.0])
def test_differences_on_a_line(slope: float) -> None:
    """With a correlation of 1 or -1 the posterior lies on a line: quadrants are intervals of a t distribution."""
    x = np.array([0.001, 0.004, -0.001, 0.002, 0.001])
    y = slope * x + 0.001
    t = stats.t(3, loc=x.mean(), scale=math.sqrt(x.var(ddof=1) * 4 / (5 * 3)))
    root = -0.001 / slope  # y is zero here
    both = 1 - t.cdf(max(0, root)) if slope > 0 else t.cdf(root) - t.cdf(0)
    assert split_of(np.stack((x, y), axis=1)).a_dominates == pytest.approx(float(both), abs=1e-9)


@pytest.mark.parametrize("bad", [np.zeros(4), np.zeros((4, 3)), np.full((4, 2), np.nan)])
def test_wrong_differences_are_refused(bad: FloatArray) -> None:
    with pytest.raises(ValueError, match="finite and of shape"):
        dominance(bad)


# -- methods -----------------------------------------------------------------------------------------------------------

NAMES = ("full", "lora", "ema", "zs")


def values(blocks: int, seed: int = 0) -> FloatArray:
    rng = np.random.default_rng(seed)
    centre = np.array([0.02, 0.03, 0.05, 0.03])[:, None]
    return np.asarray(centre + rng.normal(0, 0.01, blocks) + rng.normal(0, 0.005, (4, blocks)), dtype=float)


def test_methods_are_compared_by_paired_t_tests() -> None:
    v = values(5)
    found = compare_methods(NAMES, v)
    assert len(found.pairs) == 6
    for pair in found.pairs:
        expected = stats.ttest_rel(v[pair.a], v[pair.b])
        low, high = expected.confidence_interval(0.95)
        assert pair.p == pytest.approx(expected.pvalue)
        assert pair.difference.low == pytest.approx(low)
        assert pair.difference.high == pytest.approx(high)
        assert pair.a_better == pytest.approx(stats.ttest_rel(v[pair.a], v[pair.b], alternative="less").pvalue)
        assert pair.dominance is None
    p = [pair.p for pair in found.pairs]
    assert [pair.holm for pair in found.pairs] == pytest.approx(holm([x for x in p if x is not None]))


def test_a_pair_can_be_seen_from_both_sides() -> None:
    v, best = values(5), np.random.default_rng(1).random((4, 5, 2))
    found = compare_methods(NAMES, v, best_MS2=best)
    there, back = found.between(1, 3), found.between(3, 1)
    assert (back.a, back.b) == (3, 1)
    assert back.difference.value == pytest.approx(v[3].mean() - v[1].mean())
    assert back.difference.low == pytest.approx(-(there.difference.high or 0))
    assert (back.p, back.holm) == (there.p, there.holm)
    assert (back.a_better or 0) + (there.a_better or 0) == pytest.approx(1)
    assert there.dominance == dominance(best[1] - best[3])
    assert back.dominance is not None
    assert back.dominance.split is not None
    assert as_tuple(back.dominance.split) == pytest.approx(as_tuple(split_of(best[3] - best[1])))


def test_noise_shared_by_a_block_cancels() -> None:
    v = values(5)
    shifted = v + np.array([0.3, -0.2, 0.1, 0.0, 0.4])
    assert compare_methods(NAMES, shifted).pairs[0].p == pytest.approx(compare_methods(NAMES, v).pairs[0].p)


@pytest.mark.parametrize(("blocks", "least"), [(3, "0.25"), (4, "0.125"), (5, "0.0625")])
def test_few_blocks_cannot_reach_a_sign_flip_p(blocks: int, least: str) -> None:
    note = compare_methods(NAMES, values(blocks)).note
    assert note is not None
    assert f"its least is {least}" in note
    everywhere = np.full(blocks, 0.01)
    flips = stats.permutation_test((everywhere,), np.mean, permutation_type="samples", vectorized=False)
    assert smallest_sign_flip_p(blocks) == pytest.approx(flips.pvalue)


def test_six_blocks_need_no_note() -> None:
    assert compare_methods(NAMES, values(6)).note is None


@pytest.mark.parametrize("blocks", [1, 2])
def test_too_few_blocks_give_no_p(blocks: int) -> None:
    found = compare_methods(NAMES, values(blocks), best_MS2=np.zeros((4, blocks, 2)))
    pair = found.pairs[0]
    assert (pair.p, pair.holm, pair.a_better, pair.difference.half_width) == (None, None, None, None)
    assert pair.reason == found.note
    assert pair.dominance is not None
    assert pair.dominance.split is None


def test_equal_methods_are_not_tested_nor_counted() -> None:
    v = values(5)
    v[1] = v[0]
    found = compare_methods(NAMES, v)
    same = found.between(0, 1)
    assert (same.p, same.holm, same.reason) == (None, None, "they are equal on every block")
    rest = [pair.p for pair in found.pairs if pair.p is not None]
    assert len(rest) == 5
    assert [pair.holm for pair in found.pairs if pair.holm is not None] == pytest.approx(holm(rest))


def test_a_difference_without_noise_is_certain() -> None:
    pair = compare_methods(("a", "b"), [[0.2] * 4, [0.1] * 4]).pairs[0]
    assert (pair.p, pair.a_better) == (0.0, 1.0)


def test_one_method_has_no_pairs() -> None:
    assert compare_methods(("a",), [[0.2, 0.1, 0.3]]).pairs == ()


@pytest.mark.parametrize("bad", [np.zeros((3, 5)), np.zeros(4), np.full((4, 5), np.inf)])
def test_wrong_values_are_refused(bad: FloatArray) -> None:
    with pytest.raises(ValueError, match="finite and of shape"):
        compare_methods(NAMES, bad)


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_the_closure_of_bonferroni(seed: int) -> None:
    """A hypothesis falls at the level at which every intersection that holds it falls by Bonferroni."""
    p = np.random.default_rng(seed).random(6) ** 3
    p[4] = p[2]
    subsets = [list(s) for size in range(1, 7) for s in combinations(range(6), size)]
    expected = [max(min(1.0, len(s) * p[s].min()) for s in subsets if i in s) for i in range(6)]
    assert holm(p.tolist()) == pytest.approx(expected)
    assert holm([]) == []
