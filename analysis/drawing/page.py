"""The report's page: what its template is given. All numbers come from one `Evaluation`."""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from analysis.configs import short
from analysis.drawing import charts
from analysis.drawing.looks import Look
from analysis.drawing.marks import Gains, Plane
from analysis.drawing.views import MANY_METHODS, anytime_of, gains_of, paths_of, plane_of
from analysis.evaluation import Evaluation
from analysis.findings.claims import TERMS
from analysis.findings.findings import multiplicity_note
from analysis.frontier import MethodSummary, Result, axes_in_use
from analysis.importance import Importance
from analysis.plane.areas import MethodAreas
from analysis.plane.dominance import MethodPair
from analysis.plane.knee import Knee
from analysis.tasks.accuracies import Changes
from analysis.uncertainty import Estimate
from analysis.writing import sentences, wording
from analysis.writing.answers import Answer

HERE = Path(__file__).parent
TEMPLATE = "report.html.j2"
OPEN_ROWS = 60
MANY_ROWS = 1000
"""Rows of the last table; the rest is in the CSV files."""
MATRIX = 10
"""Methods in the matrix of pairs, the best ones."""
MANY_ON_FRONT, CROWDED = 8, 0.7
HEAT = 8
"""Configs in the heat map of datasets, beside the joint model."""
SHADES = (0.3, 1.0, 2.5, 5.0, 10.0)
"""Changes in points at which a cell of the heat map gets the next darker shade."""
METRIC_NAMES = {
    "average_aka": ("average AKA", "%"),
    "average_azs": ("average AZS", "%"),
    "learning": ("learned", "points"),
    "retention_loss": ("lost", "points"),
    "forgetting": ("forgetting", "points"),
    "backward_transfer": ("backward transfer", "points"),
    "forward_transfer": ("forward transfer", "points"),
    "first_task_drop": ("first-task drop", "points"),
    "stability_gap": ("stability gap", "points"),
    "recovery_time": ("recovered at task", "number"),
    "worsened": ("held-out datasets worse by over 1 point", "number"),
}
UNIT_NAMES = {"cost_mafs": "MAFs", "cost_flops": "FLOPs", "wall_s": "seconds"}


@dataclass(frozen=True, kw_only=True)
class MethodRow:
    """A row of the table of methods; `tied` says that its gain is not told apart from the best method's."""

    method: MethodSummary
    drawing: Markup
    areas: MethodAreas | None
    knee: Knee | None
    at_knee: Result | None
    tied: bool


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of the heat map: points with their half width, and a shade from -5 to 5."""

    value: Estimate
    shade: int


@dataclass(frozen=True, kw_only=True)
class HeatRow:
    """A dataset: what every shown config, and last the joint model, changed."""

    name: str
    group: str
    metric: str
    n: int
    zero_shot: float
    cells: tuple[Cell, ...]


def render(evaluation: Evaluation, look: Look, answers: Sequence[Answer], definition: str | None) -> str:
    """The page as text. `definition` is the study's own file, shown as it is."""
    tables, frontier = evaluation.tables, evaluation.frontier
    script = (HERE / "report.js").read_text(encoding="ascii")
    plane = plane_of(frontier, look, evaluation.dials)
    gains = gains_of(frontier, look)
    paths = [one.path for one in evaluation.followed]
    paths_view = paths_of(frontier, paths, look)
    compute = evaluation.compute
    unit = compute.curves_unit
    anytime = None if unit is None else anytime_of(compute.curves, UNIT_NAMES[unit], evaluation, look)
    return _template().render(
        css=Markup((HERE / "report.css").read_text(encoding="ascii")),
        script=Markup(script),
        script_hash=_content_hash(script),
        tables=tables,
        frontier=frontier,
        evaluation=evaluation,
        name=_name(definition) or tables.name,
        answers=answers,
        axes={name: ", ".join(short(value) for value in values) for name, values in axes_in_use(frontier).items()},
        blocks_note=wording.blocks_note(len(frontier.blocks)),
        plane=plane,
        plane_svg=Markup(charts.plane_chart(plane)),
        plane_data=Markup(json.dumps(charts.plane_script_data(plane), separators=(",", ":"))),
        last_task=_last_task(plane),
        numbered=sum(mark.label is not None for mark in plane.marks),
        outside=[mark.number for mark in plane.marks if mark.outside],
        legend=[(name, Markup(drawing), key) for name, drawing, key in charts.legend(look.legend)],
        named=look.named,
        many_methods=len(evaluation.methods) > MANY_METHODS,
        methods=_method_rows(evaluation, look),
        several_timelines=len({method.timeline for method in evaluation.methods}) > 1,
        relative=any(method.relative_mafs is not None for method in evaluation.methods),
        crowded=_crowded(frontier.results),
        matrix=_matrix(evaluation),
        units=UNIT_NAMES,
        anytime_svg=None if anytime is None else Markup(charts.anytime_chart(anytime)),
        importances=[(one, _effect_rows(one)) for one in evaluation.importances.found],
        gains=gains,
        gain_rows=_gain_rows(gains),
        gain_axis=None if gains is None else Markup(charts.gain_axis(gains)),
        paths=paths,
        paths_svg=Markup(charts.paths_chart(paths_view)),
        aka_svg=Markup(charts.tasks_chart(paths_view, "AKA")),
        azs_svg=Markup(charts.tasks_chart(paths_view, "AZS")),
        metrics=_metric_columns(evaluation),
        heat=_heat_rows(evaluation.changes),
        heat_configs=_heat_configs(evaluation),
        worst=_worst(evaluation),
        multiplicity=multiplicity_note(evaluation.findings),
        rule_terms=TERMS,
        warnings=[*tables.warnings, *frontier.warnings],
        definition=definition,
        open_rows=OPEN_ROWS,
        many_rows=MANY_ROWS,
        has_cost=any(result.cost_flops is not None for result in frontier.results),
    )


def _template() -> jinja2.Template:
    """The page's template, whose filters write numbers and comparisons."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        percent=wording.percent,
        points=wording.points,
        plain=wording.plain,
        chance=wording.chance,
        cost=wording.cost,
        share=wording.share,
        seconds=wording.seconds,
        prices=wording.prices,
        sentence=sentences.comparison_sentence,
        levels=sentences.levels,
        not_asked=sentences.not_asked,
        upper_first=wording.upper,
    )
    return environment.get_template(TEMPLATE)


def _method_rows(evaluation: Evaluation, look: Look) -> list[MethodRow]:
    areas = {area.name: area for area in evaluation.areas.methods}
    found = []
    for i, (method, knee) in enumerate(zip(evaluation.methods, evaluation.knees, strict=True)):
        at_knee = None if knee is None or knee.row is None else evaluation.frontier.results[method.rows[knee.row]]
        lead = evaluation.matrix.between(0, i).difference if i else None
        found.append(
            MethodRow(
                method=method,
                drawing=Markup(charts.swatch(look.colour(method.best.config), look.shape(method.best.config))),
                areas=areas.get(method.name),
                knee=knee,
                at_knee=at_knee,
                tied=lead is not None and lead.low is not None and lead.high is not None and lead.low <= 0 <= lead.high,
            )
        )
    return found


def _crowded(results: Sequence[Result]) -> bool:
    """Whether the hull rests on nearly all of many configs, whose maximum the jackknife then cannot correct."""
    trained = [result for result in results if result.config.trained]
    return len(trained) >= MANY_ON_FRONT and sum(result.on_front for result in trained) > CROWDED * len(trained)


def _matrix(evaluation: Evaluation) -> list[tuple[str, list[MethodPair | None]]]:
    """Rows of the matrix: a method's name, and it minus every other of the best ones."""
    matrix = evaluation.matrix
    shown = range(min(len(matrix.names), MATRIX))
    return [(matrix.names[a], [None if a == b else matrix.between(a, b) for b in shown]) for a in shown]


def _effect_rows(importance: Importance) -> list[tuple[str, Estimate, Estimate, Markup]]:
    return [
        (
            effect.axis.name,
            effect.main,
            effect.total,
            Markup(charts.effect_strip(effect.main.value, effect.total.value, importance.chance)),
        )
        for effect in importance.effects
    ]


def _metric_columns(evaluation: Evaluation) -> list[tuple[str, str, str, str | None]]:
    """Key, name and unit of the metrics that some followed config has, or the reason why none has it."""
    found = []
    for key, (name, unit) in METRIC_NAMES.items():
        values = [one.metrics[key] for one in evaluation.followed if key in one.metrics]
        known = any(value.estimate is not None for value in values)
        reason = None if known else next((value.reason for value in values if value.reason), None)
        if known or reason:
            found.append((key, name, unit, reason))
    return found


def _heat_configs(evaluation: Evaluation) -> list[str]:
    if evaluation.changes is None:
        return []
    numbers = {result.config.config_id: f"no. {result.number}" for result in evaluation.frontier.results}
    return [numbers.get(config_id, "joint") for config_id in _heat_ids(evaluation.changes)]


def _heat_ids(changes: Changes) -> list[str]:
    ids = list(changes.config_ids)
    return ids if len(ids) <= HEAT else [*ids[: HEAT - 1], ids[-1]]


def _heat_rows(changes: Changes | None) -> list[HeatRow]:
    if changes is None:
        return []
    places = [changes.config_ids.index(config_id) for config_id in _heat_ids(changes)]
    return [
        HeatRow(
            name=dataset.name,
            group=dataset.group,
            metric=dataset.metric,
            n=dataset.n,
            zero_shot=float(changes.zero_shot[d]),
            cells=tuple(Cell(value=changes.rows[c][d], shade=_shade(100 * changes.rows[c][d].value)) for c in places),
        )
        for d, dataset in enumerate(changes.datasets)
    ]


def _shade(points: float) -> int:
    level = sum(abs(points) >= start for start in SHADES)
    return level if points >= 0 else -level


def _worst(evaluation: Evaluation) -> list[tuple[str, Estimate]]:
    """The datasets that the headline's config made worst."""
    changes, config_id = evaluation.changes, evaluation.frontier.headline.config.config_id
    if changes is None or config_id not in changes.config_ids:
        return []
    row = changes.config_ids.index(config_id)
    return [(changes.datasets[d].name, changes.rows[row][d]) for d in changes.worst(row)]


def _last_task(plane: Plane) -> int:
    """The last task of the ways that can be followed, which all have one length; 0 if none can."""
    return max((len(mark.way) - 1 for mark in plane.marks if mark.way is not None), default=0)


def _content_hash(text: str) -> str:
    """The hash by which the content security policy allows the one script of the page."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _gain_rows(gains: Gains | None) -> list[tuple[object, Markup]]:
    if gains is None:
        return []
    return [(row, Markup(charts.gain_strip(row, gains))) for row in gains.rows]


def _name(definition: str | None) -> str | None:
    """The top-level `name:` of a study's file, without reading it as YAML: it is only shown."""
    found = re.search(r"^name:[ \t]*[\"']?([^\"'#\n]+)", definition or "", flags=re.MULTILINE)
    return found.group(1).strip() if found else None
