"""Laws of a path over its cost c, and whether they say more about what comes than the last value does.

    retention     y = y_0 - a * (c / c_1)^b                  a power law, as forgetting is in arXiv 2401.05605
    accumulation  x = x_0 + K * (1 - exp(-(c / tau)^b))      learning that saturates

A law is fitted to the tasks up to some task and scored on all later ones, from several such tasks on (rolling
origin). It is given only where its error there is clearly below that of "as after the last task": a law that merely
fits is no forecast.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from analysis.arrays import FloatArray
from analysis.tasks.costs import Paths, Unit

Kind = Literal["retention", "accumulation"]

FITTED = 5
"""The least number of tasks in a fit; the laws have 2 and 3 free parameters."""

HELD_OUT = 3
"""The least number of tasks that a forecast is scored on."""

ORIGINS = 6
"""The most forecasts of a path, each from another task of the second half of the stream."""

NOISE = 0.003
"""The deviation from which on a task counts less: test sets and seeds move a mean by 0.3 points."""

BETTER = 0.75
"""The share of the last value's error below which the error of a law must stay.

Of random walks 5-23 % get a law by that, and a third would if any lower error counted.
"""

EXPONENTS = (0.2, 1.5)
SCALES = (1e-3, 20.0)
"""Bounds of tau, in units of the fitted cost: beyond these, K and tau describe one thing together."""

LEAST, MOST = ((-1.0, EXPONENTS[0], math.log(SCALES[0])), (1.0, EXPONENTS[1], math.log(SCALES[1])))
"""Bounds of the amount, the exponent and the logarithm of the scale."""


@dataclass(frozen=True, kw_only=True)
class Law:
    """A fitted law; `amount` is a (at the cost `scale`, which is c_1) or K (`scale` is tau), `exponent` is b."""

    kind: Kind
    start: float
    amount: float
    scale: float
    exponent: float

    def at(self, cost: npt.ArrayLike) -> FloatArray:
        """Values at costs since the zero-shot point."""
        u = (np.asarray(cost, dtype=float) / self.scale) ** self.exponent
        return np.asarray(self.start + self.amount * _shape(self.kind, u), dtype=float)


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """A law, fitted to the whole path, and its mean absolute error on held-out tasks next to that of the last value.

    `law` is None, and `reason` says why, where it is not clearly better; errors are None where nothing could be scored.
    """

    law: Law | None
    reason: str | None
    error: float | None
    last_value_error: float | None
    scored: int


def forecast(kind: Kind, values: npt.ArrayLike, cost: npt.ArrayLike) -> Forecast:
    """The law of one path, best of means over blocks.

    Args:
        kind: which law.
        values: AZS or AKA from zero-shot on (tasks + 1).
        cost: cumulative cost, or the number of the task (tasks + 1).
    """
    value_T, cost_T = np.asarray(values, dtype=float), np.asarray(cost, dtype=float)
    reason = _why_not(value_T, cost_T)
    if reason is not None:
        return Forecast(law=None, reason=reason, error=None, last_value_error=None, scored=0)
    spent_T, last = cost_T - cost_T[0], len(value_T) - 1
    errors, last_value_errors = [], []
    for origin in np.unique(np.linspace(max(FITTED, last // 2), last - HELD_OUT, ORIGINS).astype(int)).tolist():
        law = fit(kind, value_T[: origin + 1], spent_T[: origin + 1])
        later_T = value_T[origin + 1 :]
        errors.append(np.abs(law.at(spent_T[origin + 1 :]) - later_T))
        last_value_errors.append(np.abs(value_T[origin] - later_T))
    error, naive = float(np.concatenate(errors).mean()), float(np.concatenate(last_value_errors).mean())
    better = error < BETTER * naive
    return Forecast(
        law=fit(kind, value_T, spent_T) if better else None,
        reason=None if better else "on held-out tasks it is not clearly better than the last value",
        error=error,
        last_value_error=naive,
        scored=sum(len(part) for part in errors),
    )


def forecasts_of(paths: Paths, unit: Unit, row: int) -> Mapping[Kind, Forecast]:
    """Both laws of the mean path of a config over what it costs."""
    length = int(np.isfinite(paths.cost(unit)[row]).all(axis=0).sum())
    cost_T = paths.cost(unit)[row, :, :length].mean(axis=0)
    values: Mapping[Kind, FloatArray] = {"retention": paths.y, "accumulation": paths.x}
    return {kind: forecast(kind, value[row, :, :length].mean(axis=0), cost_T) for kind, value in values.items()}


def fit(kind: Kind, values: npt.ArrayLike, cost: npt.ArrayLike) -> Law:
    """The law through the zero-shot value (at cost 0) that is closest to the others, outliers counting less."""
    from scipy.optimize import least_squares  # takes a tenth of a second, in which figures are drawn already

    value_T, cost_T = np.asarray(values, dtype=float), np.asarray(cost, dtype=float)
    # Costs are shares of the last one, so that bounds and the grid of starts fit any unit.
    share_T, rise_T = cost_T[1:] / cost_T[-1], value_T[1:] - value_T[0]

    def law_of(parameters: FloatArray) -> FloatArray:
        amount, exponent, log_scale = parameters if kind == "accumulation" else (*parameters, 0.0)
        return np.asarray(amount * _shape(kind, (share_T / np.exp(log_scale)) ** exponent))

    # The loss has flat valleys and several minima, so the fit starts at the best of a grid; soft_l1 keeps a single bad
    # task from bending the law.
    first = _start(kind, share_T, rise_T)
    free = 3 if kind == "accumulation" else 2
    found = least_squares(
        lambda parameters: law_of(parameters) - rise_T,
        first[:free],
        bounds=(LEAST[:free], MOST[:free]),
        loss="soft_l1",
        f_scale=NOISE,
    )
    amount, exponent, log_scale = (*found.x.tolist(), 0.0)[:3]
    return Law(
        kind=kind,
        start=float(value_T[0]),
        amount=amount,
        scale=float(np.exp(log_scale) * cost_T[-1]),
        exponent=exponent,
    )


def _start(kind: Kind, share_T: FloatArray, rise_T: FloatArray) -> tuple[float, float, float]:
    """The best of a grid of exponents and scales (G), each with the amount that is best for it."""
    exponents = np.linspace(*EXPONENTS, 8)
    scales = np.geomspace(0.05, 10.0, 8) if kind == "accumulation" else np.ones(1)
    exponent_G, scale_G = (part.ravel() for part in np.meshgrid(exponents, scales, indexing="ij"))
    basis_GT = _shape(kind, (share_T / scale_G[:, np.newaxis]) ** exponent_G[:, np.newaxis])
    amount_G = np.clip(basis_GT @ rise_T / (basis_GT**2).sum(axis=1), -0.99, 0.99)
    best = int(np.argmin(np.abs(amount_G[:, np.newaxis] * basis_GT - rise_T).sum(axis=1)))
    return float(amount_G[best]), float(np.clip(exponent_G[best], 0.21, 1.49)), math.log(scale_G[best])


def _shape(kind: Kind, u: FloatArray) -> FloatArray:
    """What a law's amount is multiplied by: u is the cost in units of the scale, to the power of the exponent."""
    return -u if kind == "retention" else -np.expm1(-u)


def _why_not(value_T: FloatArray, cost_T: FloatArray) -> str | None:
    if value_T.ndim != 1 or value_T.shape != cost_T.shape:
        raise ValueError(f"values and cost must be vectors of one length, got {value_T.shape} and {cost_T.shape}")
    tasks, least = len(value_T) - 1, FITTED + HELD_OUT
    if tasks < least:
        return f"{tasks} tasks; at least {least} are needed: {FITTED} to fit a law and {HELD_OUT} to score it on"
    if not (np.isfinite(cost_T).all() and np.isfinite(value_T).all()):
        raise ValueError("values and cost must be finite")
    if not (np.diff(cost_T) > 0).all():
        return "costs do not rise with every task"
    return None
