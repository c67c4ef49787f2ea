"""What each axis does: shares of the variance of slide, gain and GM that it explains, alone and with the others.

A surface is fitted to the means of configs, and of it the Sobol' indices are computed (main effects after Saltelli et
al. 2010, total ones after Jansen 1999) while axes are drawn independently from what was tested. The surface is a
Gaussian process or a forest of extremely randomised trees (Geurts et al. 2006), whichever predicts configs better that
it has not seen: trees are blind to an optimum in the middle of a range, a process to steps. The response is turned
before anything is asked: slide is the way along the zero-shot to joint line and gain the height above it, so an axis
that only slides is a dial and one that lifts a finding. An axis that applies to some configs only is judged among
those. A column of random numbers shows what chance explains.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from analysis.arrays import FloatArray
from analysis.configs import Config, short
from analysis.frontier import Frontier
from analysis.surfaces.encoding import Axis, axes_of, crossed, encode
from analysis.surfaces.forest import grow
from analysis.surfaces.sobol import FLAT, Function, sobol
from analysis.surfaces.surrogate import surrogate
from analysis.uncertainty import Estimate, estimate, pseudo_values

Response = Literal["slide", "gain", "GM"]
Role = Literal["dial", "finding", "neither", "undecided"]
Surface = Literal["process", "forest"]

RESPONSES: tuple[Response, ...] = get_args(Response)

MIN_CONFIGS = 12
MIN_R2, GOOD_R2 = 0.5, 0.9
MIN_CROSSED = 0.65
"""The least share of pairs of values of two axes that must have been tested together."""
MOSTLY = 0.8
"""The share of configs with one value of an axis from which on all others are left out, if these spoil a design."""
MATTERS = 0.1
"""The total effect from which on an axis counts."""
EVERYWHERE = "all configs"
LONGEST = 30.0
MAX_COLUMNS = 16
"""The most columns of a Gaussian process, which must find a length for each."""
MAX_CONFIGS = 300
"""The most configs of a Gaussian process: the time of a fit grows with their cube, 0.4 s at 200, 10 s at 800."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """An axis' shares of a response's variance: by itself, and with all that it interacts with."""

    axis: Axis
    main: Estimate
    total: Estimate


@dataclass(frozen=True, kw_only=True)
class Importance:
    """Effects on one response among the configs of a scope, largest total first.

    `r2` is how much of the response the surface explains where it was not fitted; `chance` the total effect of a column
    of random numbers.
    """

    response: Response
    scope: str
    configs: int
    surface: Surface
    r2: float
    chance: float
    effects: tuple[Effect, ...]

    def matters(self, axis: str) -> bool | None:
        """Whether an axis explains a tenth of the variance and more than chance does; None where blocks disagree."""
        total = next(effect.total for effect in self.effects if effect.axis.name == axis)
        if total.value <= max(MATTERS, 2 * self.chance):
            return False
        return True if total.low is None or total.low > self.chance else None


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why nothing is said about a response in a scope, or about any response (`response` is None)."""

    response: Response | None
    scope: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What an axis is: a `dial` moves configs along the line only, a `finding` lifts them above it or below."""

    axis: str
    scope: str
    role: Role
    text: str


@dataclass(frozen=True, kw_only=True)
class Importances:
    """What could be said, what could not, and what it means where both slide and gain could be explained."""

    found: tuple[Importance, ...]
    refused: tuple[Refusal, ...]
    readings: tuple[Reading, ...]


def importances(frontier: Frontier, *, seed: int = 0) -> Importances:
    """Importance of all axes of a study, among all configs and wherever an axis of its own applies."""
    found: list[Importance] = []
    refused: list[Refusal] = []
    configs = [result.config for result in frontier.results]
    for scope, rows in scopes(configs):
        scope, rows = _focus(scope, rows, configs)
        chosen = [configs[row] for row in rows]
        axes = axes_of(chosen)
        if (reason := _reason_against(axes, chosen)) is not None:
            refused.append(Refusal(response=None, scope=scope, reason=reason))
            continue
        for response in RESPONSES:
            values = _values(frontier, response)
            if values is None:
                reason = frontier.no_gain or "there is no zero-shot to joint line"
                refused.append(Refusal(response=response, scope=scope, reason=reason))
                continue
            one = _importance(response, scope, axes, chosen, values[rows], seed=seed)
            if isinstance(one, Importance):
                found.append(one)
            else:
                refused.append(one)
    return Importances(found=tuple(found), refused=tuple(refused), readings=_readings(found))


def scopes(configs: Sequence[Config]) -> tuple[tuple[str, list[int]], ...]:
    """Names and rows: all trained configs, then those that have a varying axis which others lack."""
    trained = [row for row, config in enumerate(configs) if config.trained]
    found: dict[tuple[int, ...], list[str]] = {tuple(trained): []}
    for name in configs[trained[0]].axes if trained else ():
        rows = tuple(row for row in trained if configs[row].axes[name] is not None)
        if rows and len(rows) < len(trained) and name in {axis.name for axis in axes_of([configs[r] for r in rows])}:
            found.setdefault(rows, []).append(name)
    return tuple(
        (f"configs with {' and '.join(names)}" if names else EVERYWHERE, list(rows)) for rows, names in found.items()
    )


def _focus(scope: str, rows: list[int], configs: Sequence[Config]) -> tuple[str, list[int]]:
    """A scope without the few configs that alone have another value of an axis, where they spoil the design."""
    while True:
        chosen = [configs[row] for row in rows]
        axes = axes_of(chosen)
        share, pair = crossed(axes, chosen)
        rare = [(name, *Counter(config.axes[name] for config in chosen).most_common(1)[0]) for name in pair or ()]
        name, value, count = max(rare, key=lambda one: one[2], default=("", None, 0))
        if share >= MIN_CROSSED or count < MOSTLY * len(rows):
            return scope, rows
        scope = f"{scope}, {name.replace('_', ' ')} {'none' if value is None else short(value)}"
        rows = [row for row in rows if configs[row].axes[name] == value]


def _reason_against(axes: Sequence[Axis], configs: Sequence[Config]) -> str | None:
    if not axes:
        return "no axis varies that applies to all of them"
    if len(configs) < MIN_CONFIGS:
        return f"{len(configs)} configs; at least {MIN_CONFIGS} are needed to tell effects from chance"
    share, pair = crossed(axes, configs)
    if pair is not None and share < MIN_CROSSED:
        return (
            f"{pair[0]} and {pair[1]} were not varied independently: {100 * share:.0f} % of the pairs of their values "
            f"were tested, at least {100 * MIN_CROSSED:.0f} % are needed to tell their effects apart"
        )
    return None


def _importance(
    response: Response, scope: str, axes: Sequence[Axis], configs: Sequence[Config], values_CK: FloatArray, *, seed: int
) -> Importance | Refusal:
    """The importance of axes for a response: on all blocks and, in further columns, without each of the blocks."""
    random = np.random.default_rng(seed).permutation(len(configs)) / (len(configs) - 1)
    columns = np.column_stack([encode(axes, configs), random])
    r2, surface, predict = max(_surfaces(columns, values_CK, seed=seed), key=lambda fitted: fitted[0])
    if r2 < MIN_R2:
        reason = (
            f"the axes explain {max(0.0, 100 * r2):.0f} % of its variance in configs that the fit has not seen; "
            f"at least {100 * MIN_R2:.0f} % are needed"
        )
        return Refusal(response=response, scope=scope, reason=reason)
    shares = np.stack(sobol(predict, [*(axis.draw for axis in axes), lambda u: u[:, np.newaxis]], seed=seed))
    value, without = shares[..., 0], shares[..., 1:]
    pseudo = pseudo_values(value, np.moveaxis(without, -1, 0)) if without.size else value[..., np.newaxis]
    effects = [
        Effect(
            axis=axis,
            main=estimate(pseudo[0, i], value=max(0.0, float(value[0, i]))),
            total=estimate(pseudo[1, i], value=float(value[1, i])),
        )
        for i, axis in enumerate(axes)
    ]
    return Importance(
        response=response,
        scope=scope,
        configs=len(configs),
        surface=surface,
        r2=r2,
        chance=float(value[1, -1]),
        effects=tuple(sorted(effects, key=lambda effect: -effect.total.value)),
    )


def _surfaces(columns: FloatArray, values_CK: FloatArray, *, seed: int) -> Iterator[tuple[float, Surface, Function]]:
    """Surfaces fitted to the first column, each with its R^2 for unseen configs; the other columns share the fit.

    The forest is not asked where the process leaves little to explain.
    """
    first = values_CK[:, 0]
    if np.ptp(first) < FLAT:
        yield 0.0, "process", lambda rows: np.zeros((len(rows), values_CK.shape[1]))
        return
    if columns.shape[1] <= MAX_COLUMNS and len(columns) <= MAX_CONFIGS:
        fitted = surrogate(columns, first, noise_variance=None, longest=LONGEST, seed=seed)
        r2 = _r2(first, fitted.left_out()[0][:, 0])
        yield r2, "process", fitted.of(values_CK).mean
        if r2 >= GOOD_R2:
            return
    forest = grow(columns, values_CK, seed=seed)
    yield _r2(first, forest.unseen(columns)[:, 0]), "forest", forest.predict


def _r2(true_C: FloatArray, predicted_C: FloatArray) -> float:
    return float(1 - np.mean((true_C - predicted_C) ** 2) / np.var(true_C))


def _values(frontier: Frontier, response: Response) -> FloatArray | None:
    """A response of configs (C, 1 + S): on all blocks, then without each of them (not with one block)."""
    points = frontier.points
    blocks = range(points.blocks) if points.blocks > 1 else ()
    if response == "GM":
        gm_CS = frontier.samples.gm
        return np.column_stack(
            [gm_CS.mean(axis=1), *(np.delete(gm_CS, block, axis=1).mean(axis=1) for block in blocks)]
        )
    if points.joint is None:
        return None
    means = [points.means(), *(points.means(without=block) for block in blocks)]
    return np.column_stack([one.slide if response == "slide" else one.gain for one in means])


def _readings(found: Sequence[Importance]) -> tuple[Reading, ...]:
    by_place = {(one.scope, one.response): one for one in found}
    readings = []
    for (scope, response), slide in by_place.items():
        gain = by_place.get((scope, "gain"))
        if response == "slide" and gain is not None:
            totals = {effect.axis.name: effect.total.value for effect in gain.effects}
            for effect in slide.effects:
                name, shares = effect.axis.name, (effect.total.value, totals[effect.axis.name])
                readings.append(_reading(name, scope, shares, slides=slide.matters(name), lifts=gain.matters(name)))
    return tuple(readings)


def _reading(axis: str, scope: str, shares: tuple[float, float], *, slides: bool | None, lifts: bool | None) -> Reading:
    role: Role
    if lifts:
        role, means = "finding", "is a finding: it changes how far configs lie above the zero-shot to joint line"
    elif lifts is None or slides is None:
        role, means = "undecided", "may matter, but blocks do not agree how much"
    elif slides:
        role, means = "dial", "is a dial: it moves configs along the zero-shot to joint line, hardly above or below it"
    else:
        role, means = "neither", "changes little"
    numbers = f"{100 * shares[0]:.0f} % of the variance of the slide, {100 * shares[1]:.0f} % of that of the gain"
    return Reading(axis=axis, scope=scope, role=role, text=f"{axis.replace('_', ' ')} {means} ({numbers}).")
