"""Which trials to run next: new configs, repeats of undecided ones, or none.

Per group of configs two Gaussian processes predict AKA and AZS of configs between the tested ones. A new config is
worth its expected hypervolume improvement over the routing hull of the predicted means and zero-shot; a repeat what
another block is expected to show (`repeats`). Both are shares of the box that areas are measured in, and compared by
cost. When the largest is below the standard error of the hull's own area, it is time to stop.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from analysis import pareto
from analysis.advice.repeats import undecided
from analysis.arrays import FloatArray
from analysis.configs import Config
from analysis.frontier import Frontier, Result
from analysis.plane.areas import box_of, hull_area
from analysis.plane.points import estimate_of
from analysis.surfaces.acquisition import expected_improvement, routed
from analysis.surfaces.candidates import Axes, candidates, describe, groups
from analysis.surfaces.encoding import Axis, axes_of, encode
from analysis.surfaces.one_thread import on_one_thread
from analysis.surfaces.surrogate import Surrogate, surrogate
from analysis.uncertainty import Estimate

Kind = Literal["new", "repeat", "stop"]
CostUnit = Literal["MAFs", "seconds", "trials"]

MIN_CONFIGS = 6
"""The least number of configs in a group: a surface through fewer says nothing."""
NEW, REPEATS = 5, 5
"""The most items of each kind."""
COVERAGE, Z = 0.9, 1.96
"""The least share of left-out configs within Z standard deviations of their predictions."""
MIN_R2 = 0.1
"""The least R^2 for left-out configs; nine configs of pure noise stayed below it in eight of eight studies."""
LONGEST = 1.0
"""The longest length of a surface, in tested ranges; with 30 the loop of trials and advice stops exploring too soon."""
COLLAPSED = 2.0
"""How far below the box means count, in boxes: a broken config farther off would bend all surfaces."""
NOTHING = 1e-5
PM = "\u00b1"


@dataclass(frozen=True, kw_only=True)
class Advice:
    """One thing to do. The expected gain is an area, as a share of the box of `areas`.

    A new config has its axes and the predicted (AKA, AZS) with standard deviations, a repeat its result and the
    probability that says what is undecided. `trials` are what it takes, at `cost` in the unit of the list.
    """

    kind: Kind
    label: str
    expected_gain: float
    reason: str
    trials: int = 0
    cost: float = 0.0
    axes: Axes | None = None
    point: tuple[float, float] | None = None
    sd: tuple[float, float] | None = None
    result: Result | None = None
    probability: float | None = None


@dataclass(frozen=True, kw_only=True)
class Model:
    """How well a group's surfaces predict a config that they have not seen, for AKA and AZS.

    `coverage` is the share of such configs within 1.96 standard deviations, before those were made `inflation` times as
    wide; `r2` the share of their variance that is explained.
    """

    scope: str
    configs: int
    coverage: tuple[float, float]
    inflation: tuple[float, float]
    r2: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class NoAdvice:
    """Why there are no new configs of a group, or no advice at all."""

    scope: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """What to do next, the most expected gain for its cost first; a `stop` stands before everything else.

    `area` is that of the routing hull of all configs, which the gains add to, as a share of the same box.
    """

    items: tuple[Advice, ...]
    refused: tuple[NoAdvice, ...]
    models: tuple[Model, ...]
    area: Estimate | None
    cost_unit: CostUnit


@dataclass(frozen=True, kw_only=True)
class _Group:
    """The surfaces of a group of configs, and the group's candidates with their columns and the costs of one trial."""

    axes: tuple[Axis, ...]
    surfaces: tuple[Surrogate, Surrogate]
    inflation: tuple[float, float]
    candidates: tuple[Axes, ...]
    columns: FloatArray
    cost: FloatArray

    def predict(self) -> tuple[FloatArray, FloatArray]:
        """Means and standard deviations (N, 2) of the candidates."""
        mean = [surface.mean(self.columns)[:, 0] for surface in self.surfaces]
        sd = [surface.sd(self.columns) * by for surface, by in zip(self.surfaces, self.inflation, strict=True)]
        return np.stack(mean, axis=1), np.stack(sd, axis=1)

    def tested(self) -> FloatArray:
        """Means (N, 2) of the surfaces at the tested configs."""
        return np.hstack([surface.mean(surface.columns) for surface in self.surfaces])

    def without(self, i: int, surfaces: tuple[Surrogate, Surrogate]) -> "_Group":
        """The group without candidate `i`, with new surfaces."""
        return replace(
            self,
            surfaces=surfaces,
            candidates=self.candidates[:i] + self.candidates[i + 1 :],
            columns=np.delete(self.columns, i, axis=0),
            cost=np.delete(self.cost, i),
        )


@on_one_thread
def recommend(frontier: Frontier, *, seed: int = 0) -> Recommendation:
    """Recommend the next trials of a study."""
    reason = _reason_against(frontier)
    if reason is not None:
        nothing = (NoAdvice(scope="all configs", reason=reason),)
        return Recommendation(items=(), refused=nothing, models=(), area=None, cost_unit="trials")
    cost_C, unit = _costs(frontier.results)
    noise = _noise(frontier)
    box = box_of(frontier.points.means())
    floor = np.array(box.reference) - COLLAPSED * np.array([box.right - box.left, box.top - box.bottom])
    means_C2 = np.maximum([result.point for result in frontier.results], floor)
    found, models, refused = [], [], []
    configs = [result.config for result in frontier.results]
    for scope, rows in groups(configs).items():
        members, places = [configs[row] for row in rows], list(rows)
        if (why := _too_little(members)) is not None:
            refused.append(NoAdvice(scope=scope, reason=why))
            continue
        group, model = _fit(scope, members, means_C2[places], noise, cost_C[places], seed=seed)
        models.append(model)
        if min(model.r2) < MIN_R2:
            reason = "its surfaces predict left-out configs hardly better than a mean does"
            refused.append(NoAdvice(scope=scope, reason=reason))
            continue
        means_C2[places] = group.tested()
        if group.candidates:
            found.append(group)
        else:
            refused.append(NoAdvice(scope=scope, reason="all configs between the tested ones are tested"))
    new = list(_new(frontier, found, means_C2))
    repeats = [item for item in _repeats(frontier, means_C2, noise, cost_C) if item.expected_gain >= NOTHING]
    items = sorted(
        [*new, *sorted(repeats, key=_worth)[:REPEATS]], key=lambda item: (_worth(item), item.kind, item.label)
    )
    trained = [row for row, config in enumerate(configs) if config.trained]
    area = estimate_of(frontier.points.rows(trained), lambda means: hull_area(means, box=box), bias_corrected=True)
    return Recommendation(
        items=(*(_stop(items, area) if found else ()), *items),
        refused=tuple(refused),
        models=tuple(models),
        area=area,
        cost_unit=unit,
    )


def _reason_against(frontier: Frontier) -> str | None:
    if frontier.on_different_data:
        return "configs were trained on different data sets alone, so none is better than another"
    if frontier.points.joint is None:
        return frontier.no_gain or "there is no zero-shot to joint line"
    if frontier.points.blocks < 2:
        return "one block says nothing about noise; at least 2 are needed"
    if len(frontier.results) < 2:
        return "one config; at least 2 are needed"
    return None


def _too_little(configs: Sequence[Config]) -> str | None:
    if len(configs) < MIN_CONFIGS:
        return f"{len(configs)} configs; at least {MIN_CONFIGS} are needed to predict others"
    if all(axis.scale == "choice" for axis in axes_of(configs)):
        return "no number varies among its configs, so there is nothing between them"
    return None


def _worth(item: Advice) -> float:
    return -item.expected_gain / item.cost if item.cost > 0 else -np.inf


def _costs(results: Sequence[Result]) -> tuple[FloatArray, CostUnit]:
    """Cost of one trial of each config, in the first unit that all of them have."""
    units: tuple[tuple[CostUnit, list[float | None]], ...] = (
        ("MAFs", [result.cost_mafs for result in results]),
        ("seconds", [result.wall_s for result in results]),
    )
    for unit, values in units:
        if all(value is not None for value in values):
            return np.array(values, dtype=float), unit
    return np.ones(len(results)), "trials"


def _noise(frontier: Frontier) -> FloatArray:
    """Variances (2,) of a config's mean AKA and AZS, after taking away the noise shared by all configs of a block."""
    values = np.stack([frontier.points.x, frontier.points.y])
    left = values - values.mean(axis=1, keepdims=True)
    left = left - left.mean(axis=2, keepdims=True)
    configs, blocks = values.shape[1:]
    return np.asarray(np.sum(left**2, axis=(1, 2)) / ((configs - 1) * (blocks - 1) * blocks))


def _fit(
    scope: str, configs: Sequence[Config], points_N2: FloatArray, noise: FloatArray, cost_N: FloatArray, *, seed: int
) -> tuple[_Group, Model]:
    axes = axes_of(configs)
    columns = encode(axes, configs)
    x, y = (
        surrogate(columns, points_N2[:, i], noise_variance=float(noise[i]), longest=LONGEST, seed=seed) for i in (0, 1)
    )
    checks = [_check(surface) for surface in (x, y)]
    coverage, inflation, r2 = ((a, b) for a, b in zip(*checks, strict=True))
    model = Model(scope=scope, configs=len(configs), coverage=coverage, inflation=inflation, r2=r2)
    untested = candidates(axes, configs, seed=seed)
    places = np.hstack(
        [np.empty((len(untested), 0)), *(axis.code([one[axis.name] for one in untested]) for axis in axes)]
    )
    distance = np.sum((places[:, np.newaxis] - columns) ** 2, axis=2)
    nearest = distance <= distance.min(axis=1, keepdims=True, initial=np.inf) + 1e-9
    group = _Group(
        axes=axes,
        surfaces=(x, y),
        inflation=inflation,
        candidates=untested,
        columns=places,
        cost=np.asarray(nearest @ cost_N / nearest.sum(axis=1)),
    )
    return group, model


def _check(surface: Surrogate) -> tuple[float, float, float]:
    """Coverage of left-out configs, the factor on standard deviations that lifts it to `COVERAGE`, and R^2."""
    mean, sd = surface.left_out()
    error = surface.values[:, 0] - mean[:, 0]
    z = np.abs(error) / sd
    coverage = float(np.mean(z <= Z))
    inflation = 1.0 if coverage >= COVERAGE else float(np.quantile(z, COVERAGE, method="higher")) / Z
    variance = float(np.var(surface.values))
    return coverage, inflation, 1.0 - float(np.mean(error**2)) / variance if variance > 0 else 0.0


def _new(frontier: Frontier, found: Sequence[_Group], means_C2: FloatArray) -> Iterator[Advice]:
    """The best candidates one by one, each chosen as if those before had come out as predicted."""
    box, now = box_of(frontier.points.means()), list(found)
    known = [*means_C2[[result.config.trained for result in frontier.results]], frontier.zero_shot.point]
    for _ in range(NEW):
        now = [group for group in now if group.candidates]
        if not now:
            return
        front = routed(known)
        predicted = [group.predict() for group in now]
        gains = [
            expected_improvement(mean, sd, front_M2=front, reference=box.reference) / box.area for mean, sd in predicted
        ]
        worth = [gain / np.where(group.cost > 0, group.cost, 1.0) for gain, group in zip(gains, now, strict=True)]
        g = max(range(len(now)), key=lambda g: float(worth[g].max()))
        i = int(np.argmax(worth[g]))
        if gains[g][i] < NOTHING:
            return
        mean, sd = (values[i] for values in predicted[g])
        yield _new_config(frontier, now[g], i, float(gains[g][i]), mean, sd)
        x, y = now[g].surfaces
        row = now[g].columns[i]
        now[g] = now[g].without(i, (x.also(row, mean[:1]), y.also(row, mean[1:])))
        known.append(mean)


def _new_config(frontier: Frontier, group: _Group, i: int, gain: float, mean: FloatArray, sd: FloatArray) -> Advice:
    axes, means = group.candidates[i], frontier.points.means()
    assert means.joint is not None
    above = float(pareto.gain(mean[0], mean[1], zero_shot=means.zero_shot, joint=means.joint))
    between = [axis.name for axis in group.axes if axis.scale != "choice" and axes[axis.name] not in axis.levels]
    where = f"between tested values of {' and '.join(between)}" if between else "in a new combination of tested values"
    x, y = (f"{100 * value:.1f} {PM} {100 * spread:.1f}" for value, spread in zip(mean, sd, strict=True))
    return Advice(
        kind="new",
        label=describe(axes, group.axes, frontier.headline.config.roles),
        expected_gain=gain,
        trials=frontier.points.blocks,
        cost=float(group.cost[i]) * frontier.points.blocks,
        axes=axes,
        point=(float(mean[0]), float(mean[1])),
        sd=(float(sd[0]), float(sd[1])),
        reason=(
            f"It lies {where}, where AKA {x} and AZS {y} are predicted (one standard deviation), "
            f"{100 * abs(above):.1f} points {'above' if above > 0 else 'below'} the zero-shot to joint line."
        ),
    )


def _repeats(frontier: Frontier, means_C2: FloatArray, noise: FloatArray, cost_C: FloatArray) -> Iterator[Advice]:
    for one in undecided(frontier, means_C2, noise):
        result = frontier.results[one.row]
        yield Advice(
            kind="repeat",
            label=result.config.label,
            expected_gain=one.expected_gain,
            trials=1,
            cost=float(cost_C[one.row]),
            axes=result.config.axes,
            result=result,
            probability=one.probability,
            reason=one.reason,
        )


def _stop(items: Sequence[Advice], area: Estimate) -> Iterator[Advice]:
    """The advice to stop, if no item is expected to gain more than what noise makes of the area."""
    largest = max((item.expected_gain for item in items), default=0.0)
    if area.se is not None and largest < area.se:
        yield Advice(
            kind="stop",
            label="stop here",
            expected_gain=largest,
            reason=(
                f"No new config and no repeat of one is expected to raise the area below the frontier by more than "
                f"{100 * largest:.2f} % of the plane from zero-shot to joint model. That area has a standard error of "
                f"{100 * area.se:.2f} %, so it could not be told from noise."
            ),
        )
