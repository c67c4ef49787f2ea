"""The report of a study: one self-contained HTML page, all its numbers as JSON, CSV and LaTeX, and figures for papers.

`write_report` is all there is to call. The same tables give the same bytes (HTML, JSON, CSV), wherever and whenever.
"""

import json
from pathlib import Path

from analysis.drawing.figure_process import FigureProcess
from analysis.drawing.looks import look_of
from analysis.drawing.page import render
from analysis.drawing.views import gains_of, paths_of, plane_of
from analysis.evaluation import Evaluation
from analysis.surfaces.one_thread import on_one_thread
from analysis.tables.tables import Tables
from analysis.writing import latex, sentences, wording
from analysis.writing.answers import decision_sentences
from analysis.writing.report_json import record_of, table_rows, to_csv


@on_one_thread
def write_report(
    tables: Tables,
    folder: Path,
    *,
    max_loss: float | None = None,
    definition: str | None = None,
    figures: FigureProcess | None = None,
) -> Path:
    """Write the report of some tables into a folder and return the path of its page.

    Args:
        tables: what `load_tables` makes of a study's folder.
        folder: made if it is not there; files of an earlier report are replaced.
        max_loss: AZS that the study may give, as a fraction, if it says so.
        definition: text of the study's own file, which is shown as it is.
        figures: what draws the figures, where it is started already; it is done in the end.
    """
    with figures or FigureProcess() as figures:
        evaluation = Evaluation(tables, max_loss)
        frontier, look = evaluation.frontier, look_of(evaluation.frontier)
        for part in (folder, folder / "figures", folder / "tables"):
            part.mkdir(parents=True, exist_ok=True)
        if (gains := gains_of(frontier, look)) is not None:
            figures.draw(folder / "figures" / "gains", gains)
        figures.draw(folder / "figures" / "plane", plane_of(frontier, look, evaluation.dials))
        figures.draw(folder / "figures" / "paths", paths_of(frontier, evaluation.trajectories, look))
        said = decision_sentences(
            frontier,
            evaluation.decision,
            deciding=sentences.deciding(evaluation.recommendation),
            following=sentences.following(evaluation.recommendation),
        )
        _write(folder / "report.json", json.dumps(record_of(evaluation, said), indent=1, allow_nan=False) + "\n")
        for name, rows in table_rows(evaluation).items():
            _write(folder / "tables" / f"{name}.csv", to_csv(rows))
        _write(folder / "tables" / "methods.tex", methods_tex(evaluation))
        _write(folder / "index.html", render(evaluation, look, said, definition))
    return folder / "index.html"


def methods_tex(evaluation: Evaluation) -> str:
    """The table of methods for a paper."""
    areas = {area.name: area for area in evaluation.areas.methods}
    header = ("method", "best at", "AKA (%)", "AZS (%)", "gain", "honest gain", "hull area", "configs")
    rows = [
        (
            method.name,
            method.best.config.setting or wording.NONE,
            wording.percent(method.best.aka),
            wording.percent(method.best.azs),
            wording.points(method.best.gain),
            wording.points(method.honest_gain),
            wording.plain(areas[method.name].hull) if method.name in areas else wording.NONE,
            str(len(method.rows)),
        )
        for method in evaluation.methods
    ]
    return latex.tabular(header, rows, left=2)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
