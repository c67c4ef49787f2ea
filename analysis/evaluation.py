"""All that is computed of a study's tables: one value that the page, its JSON and its tables are written from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.advice.decision import Decision, decide
from analysis.advice.recommend import Recommendation, recommend
from analysis.configs import AxisValue, Config
from analysis.findings.claims import evaluate_findings
from analysis.findings.findings import Finding
from analysis.frontier import Frontier, MethodSummary, Result, build_frontier, honest_values, shown_methods
from analysis.importance import Importances, importances
from analysis.plane.areas import Areas, areas_of, box_of
from analysis.plane.dials import Dial, Path, dials_of, path_of
from analysis.plane.dominance import MethodMatrix, compare_methods
from analysis.plane.knee import Knee, knee_of
from analysis.tables.tables import JOINT, Tables
from analysis.tasks.accuracies import Changes, OverBlocks, changes_of, metrics_of
from analysis.tasks.compute import AtBudget, Curve, anytime, at_budget
from analysis.tasks.costs import Paths, Unit, paths_of
from analysis.tasks.laws import Forecast, Kind, forecasts_of
from analysis.tasks.trajectories import StabilityGap, Trajectory, shown_results, stability_gaps, trajectories

MIN_DIAL = 3
"""The least number of values of a dial, its pin included, for which a path is drawn."""


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


@dataclass(frozen=True)
class Evaluation:
    """An evaluated study; each part is computed when it is first asked for, and figures of some are drawn meanwhile.

    `areas`, `knees` and the rows of `matrix` are of `methods`, those that train anything. `changes` has the configs
    that are followed and then the joint model, if any. `max_loss` is the AZS that the study may give, if it says so.
    """

    tables: Tables
    max_loss: float | None = None

    @cached_property
    def frontier(self) -> Frontier:
        """The plane with all configs."""
        return build_frontier(self.tables)

    @cached_property
    def methods(self) -> tuple[MethodSummary, ...]:
        """The methods that train anything (all, if none does), the best first."""
        return shown_methods(self.frontier)

    @cached_property
    def decision(self) -> Decision:
        """Which config to choose, and how sure that is."""
        return decide(self.frontier, max_loss=self.max_loss)

    @cached_property
    def areas(self) -> Areas:
        """The areas below the hulls of the methods."""
        return areas_of(self.frontier.points, {method.name: method.rows for method in self.methods})

    @cached_property
    def knees(self) -> tuple[Knee | None, ...]:
        """The knee of every method; None without a gain."""
        return tuple(knee_of(self.frontier.points.rows(method.rows)) for method in self.methods)

    @cached_property
    def matrix(self) -> MethodMatrix:
        """Every two methods, compared on the same blocks."""
        return _matrix(self.frontier, self.methods)

    @cached_property
    def paths(self) -> Paths:
        """The paths of all configs, in the order of the frontier."""
        return paths_of(self.tables, [result.config.config_id for result in self.frontier.results])

    @cached_property
    def compute(self) -> Compute:
        """Methods at equal cost."""
        return _compute(self.frontier, self.methods, self.paths)

    @cached_property
    def importances(self) -> Importances:
        """The shares of variance that axes explain."""
        return importances(self.frontier)

    @cached_property
    def dials(self) -> tuple[DialPath, ...]:
        """The dials with their paths through the plane."""
        return _dials(self.frontier)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """Published claims, and what this study says of them."""
        return evaluate_findings(self.frontier, self.tables)

    @cached_property
    def trajectories(self) -> tuple[Trajectory, ...]:
        """The paths of the followed configs."""
        return trajectories(self.tables, shown_results(self.frontier))

    @cached_property
    def followed(self) -> tuple[Followed, ...]:
        """The followed configs, task by task."""
        return _followed(self.tables, self.frontier, self.trajectories, self.paths)

    @cached_property
    def changes(self) -> Changes | None:
        """The changes of every dataset by the followed configs and the joint model; None without scores."""
        ids = [path.result.config.config_id for path in self.trajectories]
        return changes_of(self.tables, [*ids, *_joint_ids(self.tables)])

    @cached_property
    def gaps(self) -> tuple[StabilityGap, ...]:
        """The drops of AZS within tasks."""
        return stability_gaps(self.tables, self.frontier.results)

    @cached_property
    def recommendation(self) -> Recommendation:
        """The next trials."""
        return recommend(self.frontier)


def _followed(tables: Tables, frontier: Frontier, shown: Sequence[Trajectory], paths: Paths) -> tuple[Followed, ...]:
    unit = next(iter(_known(paths)), None)
    metrics = metrics_of(tables, [path.result.config.config_id for path in shown])
    return tuple(
        Followed(
            result=path.result,
            path=path,
            metrics=own,
            forecasts=(
                forecasts_of(paths, unit, path.result.number - 1) if unit and path.result is frontier.headline else {}
            ),
        )
        for path, own in zip(shown, metrics, strict=True)
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
    """The value of a dial at which the weights are the zero-shot ones whatever was trained; None if there is none."""
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
    """Methods at equal cost, with areas over MAFs, or else over the first known cost."""
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
