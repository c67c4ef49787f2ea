"""What a method reaches for what it costs: at one budget, over all budgets, and per unit of cost.

A trial that costs more than the budget is read at the last task that it completed within it; nothing is interpolated
inside a task, since no model exists there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis import pareto
from analysis.arrays import FloatArray, IntArray
from analysis.frontier import MIN_SLIDE
from analysis.plane.points import Jackknife, Means, estimate_of, jackknife
from analysis.tasks.costs import LARGE, Paths, Reading, Unit, read_at
from analysis.uncertainty import Estimate, estimate, honest_choice

SLACK = 0.02
"""Share by which a trial may exceed a budget.

Steps are whole: of methods that are given equal budgets of 50 steps a task, some cost a fiftieth more than others, and
would lose their last task to the rounding.
"""

STEPS = 40
"""The number of budgets along an anytime curve."""


@dataclass(frozen=True, kw_only=True)
class MethodAtBudget:
    """The best config of a method at a budget.

    It has the largest gain (without gains: GM) among those that learned by then, or of all if none did (`learned`).

    Attributes:
        row: place of the config in the order of the paths.
        configs: number of configs that it was chosen from.
        tasks: tasks completed within the budget, of `tasks_in_stream`; mean over blocks.
        cost: cost of these tasks, mean over blocks.
        honest_gain: gain of configs chosen on the other blocks; None with one block.
        gain_per_cost: gain per large unit of `cost` (see `LARGE`).
    """

    method: str
    row: int
    configs: int
    learned: bool
    tasks: float
    tasks_in_stream: int
    cost: float
    aka: Estimate
    azs: Estimate
    gain: Estimate | None
    honest_gain: Estimate | None
    gain_per_cost: Estimate | None


@dataclass(frozen=True, kw_only=True)
class AtBudget:
    """Methods at one budget, the largest gain first; `set_by` is the cheapest method, None for a given budget."""

    unit: Unit
    budget: float
    set_by: str | None
    methods: tuple[MethodAtBudget, ...]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Area below the hull of a method's configs and the zero-shot point after costs of tuning and training.

    `total` is what all configs cost on one block; after it, the curve stays where it is.
    """

    method: str
    configs: int
    total: float
    costs: tuple[float, ...]
    areas: tuple[Estimate, ...]


def common_budget(paths: Paths, unit: Unit, methods: Sequence[str]) -> tuple[float, str]:
    """The most that every method can spend on a trial, and the method that sets it; free methods are left out."""
    dearest: dict[str, float] = {}
    for method, most in zip(methods, paths.ends(unit).max(axis=1).tolist(), strict=True):
        dearest[method] = max(dearest.get(method, 0.0), most)
    budget, cheapest = min((most, method) for method, most in dearest.items() if most > 0)
    return budget, cheapest


def at_budget(paths: Paths, unit: Unit, methods: Sequence[str], *, budget: float | None = None) -> AtBudget:
    """The best of every method for what the cheapest of them costs, or for a budget per trial.

    Args:
        paths: of all configs; those of one method differ in its dials.
        unit: of the costs.
        methods: name of every config's method.
        budget: in that unit.
    """
    set_by = None
    if budget is None:
        budget, set_by = common_budget(paths, unit, methods)
    reading = read_at(paths, unit, budget * (1 + SLACK))
    points = reading.points
    gains = None if points.joint is None else jackknife(points, lambda means: means.gain)
    found = [
        _at_budget(method, np.asarray(rows), paths, reading, gains, unit) for method, rows in _rows_by(methods).items()
    ]
    found.sort(key=lambda one: (-_headline(one), one.method))
    return AtBudget(unit=unit, budget=budget, set_by=set_by, methods=tuple(found))


def anytime(
    paths: Paths, unit: Unit, methods: Sequence[str], *, reference: tuple[float, float], until: float = np.inf
) -> tuple[Curve, ...]:
    """Curves of all methods at the same costs, which rise by a constant factor.

    All configs of a method are trained side by side: each may spend the same, and what those with cheaper streams leave
    goes to the others. Each counts with the model that it has at that time, so an area may fall again.

    Args:
        paths: of all configs.
        unit: of the costs.
        methods: name of every config's method.
        reference: corner of the area, (AKA, AZS); see `pareto.hull_area`.
        until: AKA at which it ends.
    """
    ends_CS = paths.ends(unit)
    groups = {method: rows for method, rows in _rows_by(methods).items() if ends_CS[rows].max() > 0}
    if not groups:
        return ()
    totals = {method: _spent(ends_CS[rows], np.inf) for method, rows in groups.items()}
    costs = np.unique(np.geomspace(_first_point(paths, unit, groups), max(totals.values()), STEPS))

    def area(means: Means) -> float:
        x, y = np.append(means.x, means.zero_shot[0]), np.append(means.y, means.zero_shot[1])
        return pareto.hull_area(x, y, reference=reference, until=until)

    found = []
    for method, rows in groups.items():
        own, areas, tasks = paths.rows(rows.tolist()), [], None
        for each in _shares(ends_CS[rows], costs).tolist():
            reading = read_at(own, unit, each)
            if tasks is None or (reading.tasks != tasks).any():
                areas.append(estimate_of(reading.points, area, bias_corrected=True))
            else:
                areas.append(areas[-1])
            tasks = reading.tasks
        found.append(
            Curve(
                method=method,
                configs=len(rows),
                total=totals[method],
                costs=tuple(costs.tolist()),
                areas=tuple(areas),
            )
        )
    return tuple(found)


def _at_budget(
    method: str, rows: IntArray, paths: Paths, reading: Reading, gains: Jackknife | None, unit: Unit
) -> MethodAtBudget:
    points = reading.points.rows(rows.tolist())
    honest = None
    if gains is None:
        learned_C = np.ones(len(rows), dtype=bool)
        criterion_C = np.sqrt(points.x * points.y).mean(axis=1)
    else:
        learned_C = points.means().slide >= MIN_SLIDE
        criterion_C = gains.value[rows]
        if points.blocks > 1:
            others = [points.means(without=block).slide >= MIN_SLIDE for block in range(points.blocks)]
            chosen_S = honest_choice(gains.pseudo[rows], eligible_CS=np.stack(others, axis=1))
            honest = estimate(gains.pseudo[rows][chosen_S, np.arange(points.blocks)])
    learned = bool(learned_C.any())
    row = int(rows[np.argmax(np.where(learned_C | (not learned), criterion_C, -np.inf))])
    return MethodAtBudget(
        method=method,
        row=row,
        configs=len(rows),
        learned=learned,
        tasks=float(reading.tasks[row].mean()),
        tasks_in_stream=int(paths.tasks[row, -1]),
        cost=float(reading.cost[row].mean()),
        aka=estimate(reading.points.x[row]),
        azs=estimate(reading.points.y[row]),
        gain=None if gains is None else estimate(gains.pseudo[row], value=float(gains.value[row])),
        honest_gain=honest,
        gain_per_cost=None if gains is None else _per_cost(gains, reading, row, unit),
    )


def _headline(one: MethodAtBudget) -> float:
    return float(np.sqrt(one.aka.value * one.azs.value)) if one.gain is None else one.gain.value


def _per_cost(gains: Jackknife, reading: Reading, row: int, unit: Unit) -> Estimate | None:
    cost = float(reading.cost[row].mean()) / LARGE[unit][0]
    return None if cost == 0 else estimate(gains.pseudo[row] / cost, value=float(gains.value[row]) / cost)


def _first_point(paths: Paths, unit: Unit, groups: Mapping[str, IntArray]) -> float:
    """The lowest cost at which some method's configs, trained side by side, have one model."""
    first_CS, ends_CS = paths.cost(unit)[..., 1], paths.ends(unit)
    found = []
    for rows in groups.values():
        first = first_CS[rows]
        found.append(_spent(ends_CS[rows], float(first[first > 0].min())))
    return min(found)


def _spent(ends_CS: FloatArray, each: float) -> float:
    """What configs cost together, mean over blocks, if each may spend so much."""
    return float(np.minimum(ends_CS, each).sum(axis=0).mean())


def _shares(ends_CS: FloatArray, costs: FloatArray) -> FloatArray:
    """What each config may spend for all to cost so much together, mean over blocks: the inverse of `_spent`.

    `_spent` is piecewise linear with knots where a trial ends. Rounding must not cost a task.
    """
    knots = np.unique(np.append(ends_CS.ravel(), 0.0))
    shares = np.interp(costs, [_spent(ends_CS, knot) for knot in knots.tolist()], knots)
    return np.asarray(shares * (1 + 1e-9))


def _rows_by(methods: Sequence[str]) -> dict[str, IntArray]:
    names = np.asarray(methods)
    return {method: np.flatnonzero(names == method) for method in dict.fromkeys(methods)}
