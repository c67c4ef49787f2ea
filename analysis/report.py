"""The report of a study: one self-contained HTML page, all its numbers as JSON and CSV, and figures for papers.

`write_report` is all there is to call. The same tables give the same bytes (HTML, JSON, CSV), wherever and whenever.
"""

import json
import re
from pathlib import Path

import jinja2
from markupsafe import Markup

from analysis import charts, figures, wording
from analysis.configs import short
from analysis.findings import Finding, evaluate_findings
from analysis.frontier import Frontier, axes_in_use, build_frontier
from analysis.looks import Look, look_of, shown_methods
from analysis.record import config_rows, dataset_rows, finding_rows, gap_rows, hull_rows, method_rows, record_of, to_csv
from analysis.tables import Tables, load_tables
from analysis.trajectories import (
    DatasetChange,
    StabilityGap,
    Trajectory,
    dataset_changes,
    shown_results,
    stability_gaps,
    trajectories,
)
from analysis.views import MANY_METHODS, Gains, gains_of, paths_of, plane_of

TEMPLATE = "report.html.j2"
OPEN_ROWS = 60


def write_report(study_dir: Path) -> Path:
    """Write `report/` into a study's folder and return the path of its page.

    Raises:
        TableError: if a table is missing or cannot be trusted.
    """
    tables = load_tables(study_dir)
    frontier = build_frontier(tables)
    findings = evaluate_findings(frontier)
    paths = trajectories(tables, shown_results(frontier))
    changes = dataset_changes(tables, frontier.headline)
    gaps = stability_gaps(tables, frontier.results)
    look = look_of(frontier)

    folder = study_dir / "report"
    for part in (folder, folder / "figures", folder / "tables"):
        part.mkdir(parents=True, exist_ok=True)
    record = record_of(
        tables,
        frontier,
        answers=wording.answers(frontier),
        findings=findings,
        paths=paths,
        changes=changes,
        gaps=gaps,
    )
    _write(folder / "report.json", json.dumps(record, indent=1, allow_nan=False) + "\n")
    for name, rows in (
        ("configs", config_rows(frontier.results)),
        ("methods", method_rows(frontier.methods)),
        ("hull", hull_rows(frontier.hull)),
        ("findings", finding_rows(findings)),
        ("datasets", dataset_rows(changes)),
        *([("within_tasks", gap_rows(gaps))] if gaps else []),
    ):
        _write(folder / "tables" / f"{name}.csv", to_csv(rows))
    figures.write_figures(
        folder / "figures",
        plane=plane_of(frontier, look),
        paths=paths_of(frontier, paths, look),
        gains=gains_of(frontier, look),
    )
    page = render(
        tables,
        frontier,
        findings=findings,
        paths=paths,
        changes=changes,
        gaps=gaps,
        look=look,
        definition=_definition(study_dir),
    )
    _write(folder / "index.html", page)
    return folder / "index.html"


def render(
    tables: Tables,
    frontier: Frontier,
    *,
    findings: tuple[Finding, ...],
    paths: tuple[Trajectory, ...],
    changes: tuple[DatasetChange, ...],
    gaps: tuple[StabilityGap, ...],
    look: Look,
    definition: str | None,
) -> str:
    """The page as text. `definition` is the study's own file, shown as it is."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        percent=wording.percent,
        points=wording.points,
        cost=wording.cost,
        share=wording.share,
        seconds=wording.seconds,
        price=wording.price,
        sentence=wording.comparison_sentence,
        levels=wording.levels,
    )
    methods = shown_methods(frontier)
    gains = gains_of(frontier, look)
    plane = plane_of(frontier, look)
    paths_view = paths_of(frontier, paths, look)
    seen = [0.0, *(100 * c.change.value for c in changes), *(100 * (c.joint_change or 0.0) for c in changes)]
    span = (min(seen) - 0.5, max(seen) + 0.5)
    return environment.get_template(TEMPLATE).render(
        tables=tables,
        frontier=frontier,
        name=_name(definition) or tables.name,
        answers=wording.answers(frontier),
        axes={name: ", ".join(short(value) for value in values) for name, values in axes_in_use(frontier).items()},
        blocks_note=wording.blocks_note(len(frontier.blocks)),
        plane=plane,
        plane_svg=Markup(charts.plane_chart(plane)),
        numbered=sum(mark.label is not None for mark in plane.marks),
        outside=[mark.number for mark in plane.marks if mark.outside],
        legend=[(name, Markup(drawing)) for name, drawing in charts.legend(look)],
        named=look.named,
        many_methods=len(methods) > MANY_METHODS,
        methods=[
            (method, Markup(charts.swatch(look.colour(method.best.config), look.shape(method.best.config))))
            for method in methods
        ],
        several_timelines=len({method.timeline for method in methods}) > 1,
        relative=any(method.relative_mafs is not None for method in methods),
        findings=findings,
        gains=gains,
        gain_rows=_gain_rows(gains),
        gain_axis=None if gains is None else Markup(charts.gain_axis(gains)),
        paths=paths,
        paths_svg=Markup(charts.paths_chart(paths_view)),
        aka_svg=Markup(charts.tasks_chart(paths_view, "AKA")),
        azs_svg=Markup(charts.tasks_chart(paths_view, "AZS")),
        changes=[
            (
                change,
                Markup(charts.change_strip(100 * change.change.value, _percent(change.joint_change), span)),
            )
            for change in changes
        ],
        stability_gaps=gaps,
        warnings=[*tables.warnings, *frontier.warnings],
        definition=definition,
        open_rows=OPEN_ROWS,
        has_cost=any(result.cost_flops is not None for result in frontier.results),
    )


def _gain_rows(gains: Gains | None) -> list[tuple[object, Markup]]:
    if gains is None:
        return []
    return [(row, Markup(charts.gain_strip(row, gains))) for row in gains.rows]


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _definition(study_dir: Path) -> str | None:
    path = study_dir / "study.yaml"
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None


def _name(definition: str | None) -> str | None:
    """The top-level `name:` of a study's file, without reading it as YAML: it is only shown."""
    found = re.search(r"^name:[ \t]*[\"']?([^\"'#\n]+)", definition or "", flags=re.MULTILINE)
    return found.group(1).strip() if found else None


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
