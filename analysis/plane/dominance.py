"""Which of two is better in the plane, and which method of many in one number, judged by paired block differences.

Two configs differ by a point (AKA, AZS) per block. With the prior |Sigma|^(-3/2) the posterior of the mean difference
is a bivariate t: df S - 2, centre the mean, scale cov (S - 1) / (S (S - 2)) (Gelman et al., Bayesian Data Analysis,
3.6). Its four quadrants are the answer: one of them dominates, or A learns more, or A retains more. Methods are
compared in a scalar by paired t tests, adjusted by Holm (1979): mean ranks would depend on which others are in the pool
(Benavoli et al. 2016).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import special

from analysis.arrays import FloatArray
from analysis.uncertainty import MIN_BLOCKS, Estimate, estimate, holm

ALPHA = 0.05
ROUNDING = 1e-12
"""Differences of fractions below this are rounding."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Probabilities, with sum 1, of the four ways in which A can differ from B.

    `a_learns_more` means that it also retains less, `a_retains_more` that it also learns less.
    """

    a_dominates: float
    b_dominates: float
    a_learns_more: float
    a_retains_more: float

    @property
    def swapped(self) -> "Split":
        """The same with A and B exchanged."""
        return Split(
            a_dominates=self.b_dominates,
            b_dominates=self.a_dominates,
            a_learns_more=self.a_retains_more,
            a_retains_more=self.a_learns_more,
        )


@dataclass(frozen=True, kw_only=True)
class Dominance:
    """The split of a pair; None with the reason why there is none."""

    split: Split | None
    reason: str | None

    @property
    def swapped(self) -> "Dominance":
        """The same with A and B exchanged."""
        return Dominance(split=None if self.split is None else self.split.swapped, reason=self.reason)


@dataclass(frozen=True, kw_only=True)
class MethodPair:
    """Method `a` minus method `b` in one number.

    `p` is that of the two-sided paired t test, `holm` the same adjusted for all pairs, `a_better` the posterior
    probability that A is larger; all None with a reason where undefined. `dominance` compares their best configs.
    """

    a: int
    b: int
    difference: Estimate
    p: float | None
    holm: float | None
    a_better: float | None
    reason: str | None
    dominance: Dominance | None

    @property
    def swapped(self) -> "MethodPair":
        """The same pair, seen from the other side."""
        value, se, half = -self.difference.value, self.difference.se, self.difference.half_width
        return MethodPair(
            a=self.b,
            b=self.a,
            difference=Estimate(value=value, se=se, half_width=half, blocks=self.difference.blocks),
            p=self.p,
            holm=self.holm,
            a_better=None if self.a_better is None else 1 - self.a_better,
            reason=self.reason,
            dominance=None if self.dominance is None else self.dominance.swapped,
        )


@dataclass(frozen=True, kw_only=True)
class MethodMatrix:
    """All pairs (a < b) of the named methods; `note` says what so few blocks cannot show."""

    names: tuple[str, ...]
    pairs: tuple[MethodPair, ...]
    blocks: int
    note: str | None

    def between(self, a: int, b: int) -> MethodPair:
        """Method `a` minus method `b`, in either order."""
        found = next(pair for pair in self.pairs if {pair.a, pair.b} == {a, b})
        return found if found.a == a else found.swapped


def dominance(difference_S2: npt.ArrayLike) -> Dominance:
    """How A differs from B, from A minus B in (AKA, AZS) per block; exact and deterministic.

    A coordinate in which they never differ leaves the other one to decide who dominates.
    """
    difference = np.asarray(difference_S2, dtype=float)
    if difference.ndim != 2 or difference.shape[1] != 2 or not np.isfinite(difference).all():
        raise ValueError(f"differences must be finite and of shape (blocks, 2), got shape {difference.shape}")
    n = len(difference)
    if n < MIN_BLOCKS:
        return Dominance(split=None, reason=_too_few(n, "probability of dominance"))
    if np.abs(difference).max() < ROUNDING:
        return Dominance(split=None, reason="they have the same AKA and AZS on every block")
    df = n - 2  # two means are estimated together, which costs one degree of freedom more than one mean does
    centre_2 = difference.mean(axis=0)
    cov_22 = np.cov(difference.T) * (n - 1) / (n * df)
    scale_2 = np.sqrt(np.diag(cov_22))
    (more_x, less_x), (more_y, less_y) = (
        _sides(float(c), float(s), df) for c, s in zip(centre_2, scale_2, strict=True)
    )
    if more_x + less_x == 0 or more_y + less_y == 0:  # never differ in one of them
        split = Split(a_dominates=more_x + more_y, b_dominates=less_x + less_y, a_learns_more=0.0, a_retains_more=0.0)
    elif scale_2.min() < ROUNDING:  # one of them is known, so the two are independent
        split = Split(
            a_dominates=more_x * more_y,
            b_dominates=less_x * less_y,
            a_learns_more=more_x * less_y,
            a_retains_more=less_x * more_y,
        )
    else:
        h, k = centre_2 / scale_2
        r = float(np.clip(cov_22[0, 1] / scale_2.prod(), -1.0, 1.0))
        both = _bivariate_t(float(h), float(k), r, df)
        neither = _bivariate_t(float(-h), float(-k), r, df)
        split = Split(
            a_dominates=both,
            b_dominates=neither,
            a_learns_more=max(more_x - both, 0.0),
            a_retains_more=max(more_y - both, 0.0),
        )
    return Dominance(split=split, reason=None)


def compare_methods(
    names: Sequence[str], pseudo_MS: npt.ArrayLike, *, best_MS2: npt.ArrayLike | None = None
) -> MethodMatrix:
    """Every method against every other on the same blocks.

    Args:
        names: the methods.
        pseudo_MS: one scalar per method and block: jackknife pseudo-values (an area) or block values (an honest gain).
        best_MS2: AKA and AZS of each method's best config, if these are to be compared as well.
    """
    pseudo = np.asarray(pseudo_MS, dtype=float)
    if pseudo.ndim != 2 or len(pseudo) != len(names) or not np.isfinite(pseudo).all():
        raise ValueError(f"values must be finite and of shape ({len(names)}, blocks), got shape {pseudo.shape}")
    best = None if best_MS2 is None else np.asarray(best_MS2, dtype=float)
    blocks = pseudo.shape[1]
    index = list(combinations(range(len(names)), 2))
    tests = [_paired_test(pseudo[a] - pseudo[b]) for a, b in index]
    adjusted = holm([p for p, _, _ in tests])
    pairs = tuple(
        MethodPair(
            a=a,
            b=b,
            difference=estimate(pseudo[a] - pseudo[b]),
            p=p,
            holm=adjusted_p,
            a_better=a_better,
            reason=reason,
            dominance=None if best is None else dominance(best[a] - best[b]),
        )
        for (a, b), (p, a_better, reason), adjusted_p in zip(index, tests, adjusted, strict=True)
    )
    return MethodMatrix(names=tuple(names), pairs=pairs, blocks=blocks, note=_note(blocks))


def smallest_sign_flip_p(blocks: int) -> float:
    """The least two-sided p that a sign-flip test of paired differences can give."""
    return float(2.0 ** (1 - blocks))


def _paired_test(difference_S: FloatArray) -> tuple[float | None, float | None, str | None]:
    """Two-sided p of the t test, posterior probability of a positive mean, or the reason why there are none."""
    n = len(difference_S)
    if n < MIN_BLOCKS:
        return None, None, _too_few(n, "p value")
    if np.abs(difference_S).max() < ROUNDING:
        return None, None, "they are equal on every block"
    se = float(np.std(difference_S, ddof=1) / np.sqrt(n))
    more, less = _sides(float(np.mean(difference_S)), se, n - 1)
    return min(2 * min(more, less), 1.0), more, None


def _note(blocks: int) -> str | None:
    if blocks < MIN_BLOCKS:
        return _too_few(blocks, "p value")
    least = smallest_sign_flip_p(blocks)
    if least < ALPHA:
        return None
    return (
        f"with {blocks} blocks a sign-flip test cannot reach p < {ALPHA:g} (its least is {least:g}), "
        "so these p values rest on differences being roughly normal"
    )


def _too_few(blocks: int, what: str) -> str:
    return f"{blocks} block{' gives' if blocks == 1 else 's give'} no {what}; at least {MIN_BLOCKS} are needed"


def _sides(centre: float, scale: float, df: int) -> tuple[float, float]:
    """Probability above and below zero of a t distribution; both 0 for what is exactly zero."""
    if scale < ROUNDING:
        return (0.0, 0.0) if abs(centre) < ROUNDING else (float(centre > 0), float(centre < 0))
    t = centre / scale
    return float(special.stdtr(df, t)), float(special.stdtr(df, -t))


def _bivariate_t(h: float, k: float, r: float, df: int) -> float:
    """P(X <= h, Y <= k) of the standard bivariate t with correlation `r`: Dunnett & Sobel 1954, as in Genz 2004."""
    rest = 1 - r * r
    if rest < ROUNDING:  # both are one variable, up to its sign
        if r > 0:
            return float(special.stdtr(df, min(h, k)))
        return max(float(special.stdtr(df, h) - special.stdtr(df, -k)), 0.0)
    if df % 2 == 0:
        corner = math.atan2(math.sqrt(rest), -r)
    else:
        root = math.sqrt(h * h + k * k - 2 * r * h * k + df * rest)
        low, high, total = h * k - df, h * k + r * df, h + k
        corner = math.atan2(-math.sqrt(df) * (low * root + total * high), low * high - df * total * root)
        corner += 2 * math.pi if corner < -ROUNDING else 0.0
    probability = corner / (2 * math.pi) + _edge(h, k, r, df) + _edge(k, h, r, df)
    return min(max(probability, 0.0), 1.0)


def _edge(h: float, k: float, r: float, df: int) -> float:
    """What the edge X = h, Y <= k adds to the probability of the corner: a finite sum over the degrees of freedom."""
    across = k - r * h
    share = across * across / (across * across + (1 - r * r) * (df + h * h))
    sign, decay, total = math.copysign(1.0, across), 1 + h * h / df, 0.0
    if df % 2 == 0:
        weight = h / (4 * math.sqrt(df + h * h))
        inner = 2 * math.atan2(math.sqrt(share), math.sqrt(1 - share)) / math.pi
        term = 2 * math.sqrt(share * (1 - share)) / math.pi
        for j in range(1, df // 2 + 1):
            total += weight * (1 + sign * inner)
            inner += term
            term *= 2 * j / (2 * j + 1) * (1 - share)
            weight *= (2 * j - 1) / (2 * j) / decay
        return total
    weight = h / (2 * math.pi * math.sqrt(df) * decay)
    inner = term = math.sqrt(share)
    for j in range(1, (df - 1) // 2 + 1):
        total += weight * (1 + sign * inner)
        term *= (2 * j - 1) / (2 * j) * (1 - share)
        inner += term
        weight *= 2 * j / (2 * j + 1) / decay
    return total
