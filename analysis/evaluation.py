"""All that is computed of a study's tables: one value that the page, its JSON and its tables are written from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.accuracies import Changes, OverBlocks, changes_of, metrics_of
from analysis.areas import Areas, areas_of, box_of
from analysis.compute import AtBudget, Curve, anytime, at_budget
from analysis.configs import AxisValue, Config
from analysis.costs import Paths, Unit, paths_of
from analysis.decision import Decision, decide
from analysis.dials import Dial, Path, dials_of, path_of
from analysis.dominance import MethodMatrix, compare_methods
from analysis.findings import Finding, evaluate_findings
from analysis.frontier import Frontier, MethodSummary, Result, build_frontier, honest_values
from analysis.importance import Importances, importances
from analysis.knee import Knee, knee_of
from analysis.laws import Forecast, Kind, forecasts_of
from analysis.looks import shown_methods
from analysis.recommend import Recommendation, recommend
from analysis.tables import JOINT, Tables
from analysis.trajectories import StabilityGap, Trajectory, shown_results, stability_gaps, trajectories

MIN_DIAL = 3
"""Values of a dial, its pin among them, from which on its path is drawn."""


@dataclass(frozen=True, kw_only=True)
class Compute:
    """Methods at the cost of the cheapest, in every unit, and areas over cost; `missing` says which units have none."""

    equal: tuple[AtBudget, ...]
    curves: tuple[Curve, ...]
    curves_unit: Unit | None
    missing: Mapping[Unit, str]


@dataclass(frozen=True, kw_only=True)
class Followed:
    """A config that the report follows task by task, with its continual-learning metrics.

    The headline's has forecasts, by kind: fitting one to all would take longer than everything else.
    """

    result: Result
    path: Trajectory
    metrics: Mapping[str, OverBlocks]
    forecasts: Mapping[Kind, Forecast]


@dataclass(frozen=True, kw_only=True)
class DialPath:
    """Configs that differ in one dial alone, and the smooth path through them; `pin` is where theory fixes it."""

    dial: Dial
    path: Path
    pin: float | None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A study, evaluated.

    `areas`, `knees` and the rows of `matrix` are of `methods`, those that train anything. `changes` has the configs
    that are followed and then the joint model, if any.
    """

    tables: Tables
    frontier: Frontier
    methods: tuple[MethodSummary, ...]
    decision: Decision
    areas: Areas
    knees: tuple[Knee | None, ...]
    matrix: MethodMatrix
    compute: Compute
    importances: Importances
    dials: tuple[DialPath, ...]
    findings: tuple[Finding, ...]
    followed: tuple[Followed, ...]
    changes: Changes | None
    gaps: tuple[StabilityGap, ...]
    recommendation: Recommendation


def evaluate(tables: Tables) -> Evaluation:
    """Evaluate a study's tables."""
    frontier = build_frontier(tables)
    methods = shown_methods(frontier)
    paths = paths_of(tables, [result.config.config_id for result in frontier.results])
    followed = _followed(tables, frontier, paths)
    ids = [one.result.config.config_id for one in followed]
    return Evaluation(
        tables=tables,
        frontier=frontier,
        methods=methods,
        decision=decide(frontier),
        areas=areas_of(frontier.points, {method.name: method.rows for method in methods}),
        knees=tuple(knee_of(frontier.points.rows(method.rows)) for method in methods),
        matrix=_matrix(frontier, methods),
        compute=_compute(frontier, methods, paths),
        importances=importances(frontier),
        dials=_dials(frontier),
        findings=evaluate_findings(frontier, tables),
        followed=followed,
        changes=changes_of(tables, [*ids, *_joint_ids(tables)]),
        gaps=stability_gaps(tables, frontier.results),
        recommendation=recommend(frontier),
    )


def _followed(tables: Tables, frontier: Frontier, paths: Paths) -> tuple[Followed, ...]:
    results = shown_results(frontier)
    unit = next(iter(_known(paths)), None)
    metrics = metrics_of(tables, [result.config.config_id for result in results])
    return tuple(
        Followed(
            result=result,
            path=path,
            metrics=own,
            forecasts=forecasts_of(paths, unit, result.number - 1) if unit and result is frontier.headline else {},
        )
        for result, path, own in zip(results, trajectories(tables, results), metrics, strict=True)
    )


def _joint_ids(tables: Tables) -> list[str]:
    anchors = tables.trials[(tables.trials["kind"] == "anchor") & (tables.trials["method"] == JOINT)]
    return sorted(map(str, anchors["config_id"].unique()))[:1]


def _dials(frontier: Frontier) -> tuple[DialPath, ...]:
    configs = [result.config for result in frontier.results]
    found = []
    for dial in dials_of(configs):
        pin = _pin(dial, configs[dial.rows[0]])
        if len({*dial.values, *([] if pin is None else [pin])}) >= MIN_DIAL:
            found.append(DialPath(dial=dial, path=path_of(frontier.points, dial, pin=pin), pin=pin))
    return tuple(found)


def _pin(dial: Dial, config: Config) -> float | None:
    """Where the weights are the zero-shot ones whatever was trained: all weight on the old ones, from the start on."""
    axes: Mapping[str, AxisValue] = config.axes
    if dial.axis == "wise_ft":
        return 1.0
    alone = axes.get("lines") is None and axes.get("wise_ft") is None
    averaged = axes.get("rule") == "lerp" and axes.get("chain") != "first"
    return 1.0 if dial.axis == "w" and averaged and alone else None


def _matrix(frontier: Frontier, methods: Sequence[MethodSummary]) -> MethodMatrix:
    """Methods by the gain of configs chosen on the blocks that do not score them, and by the place of their best."""
    samples = frontier.samples
    best = [method.best.number - 1 for method in methods]  # results are in the order of their numbers
    return compare_methods(
        [method.name for method in methods],
        np.array([honest_values(samples, method.rows) for method in methods]),
        best_MS2=np.stack([samples.aka[best], samples.azs[best]], axis=-1),
    )


def _compute(frontier: Frontier, methods: Sequence[MethodSummary], paths: Paths) -> Compute:
    """At equal cost; the areas are over MAFs, or over the first other cost that is known."""
    rows = sorted(row for method in methods for row in method.rows)
    names = {row: method.name for method in methods for row in method.rows}
    known, own, of_rows = _known(paths), paths.rows(rows), [names[row] for row in rows]
    curves: tuple[Curve, ...] = ()
    if known and frontier.points.joint is not None:
        box = box_of(frontier.points.means())
        curves = anytime(own, known[0], of_rows, reference=box.reference)
    return Compute(
        equal=tuple(at_budget(own, unit, of_rows) for unit in known),
        curves=curves,
        curves_unit=known[0] if curves else None,
        missing=dict(paths.missing),
    )


def _known(paths: Paths) -> list[Unit]:
    units: tuple[Unit, ...] = ("cost_mafs", "cost_flops", "wall_s")
    return [unit for unit in units if unit in paths.costs]
