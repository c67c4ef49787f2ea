"""The command `retune report`: writes the report of a study."""

from pathlib import Path
from typing import Annotated

import typer

from study.commands.console import FolderArgument
from study.commands.reading import (
    AtOption,
    BudgetOption,
    CompareOption,
    UnitOption,
    as_wrong_input,
    chosen_tables,
    definition_text,
    derive,
)
from study.folder.folder import Folder

REPORT_EXAMPLES = """Examples:

retune report runs/demo

retune report runs/demo --at 3

retune report runs/demo --budget 2e13 --unit mafs

retune report runs/demo --compare runs/merging

Everything that the page shows is in report.json; the tables are also CSV and LaTeX, the figures PDF, SVG and PNG."""

OutOption = Annotated[
    Path | None, typer.Option(help="Folder of the report.", show_default="DIR/report, or one beside it")
]


def report(
    folder: FolderArgument,
    at: AtOption = None,
    budget: BudgetOption = None,
    unit: UnitOption = "flops",
    compare: CompareOption = None,
    out: OutOption = None,
) -> None:
    """Write the report of a study, from its tables: which config to choose, and how sure that is."""
    from analysis.drawing.figure_process import FigureProcess

    with as_wrong_input(), FigureProcess() as figures:
        from analysis.report import write_report  # only now, so that the process of the figures starts meanwhile

        derive(folder)
        tables, name = chosen_tables(folder, at=at, budget=budget, unit=unit, compare=compare)
        page = write_report(
            tables, out or folder / name, max_loss=_allowed(folder), definition=definition_text(folder), figures=figures
        )
    typer.echo(page)


def _allowed(folder: Path) -> float | None:
    """The loss of AZS that a study's search allows, as a fraction."""
    search = Folder(path=folder).definition().search
    most = None if search is None else search.constraints.retention_loss
    return None if most is None else max(most, 0.0)
