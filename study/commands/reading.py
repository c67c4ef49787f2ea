"""What the commands that end in the analysis share: their options, and a study's tables, made anew and cut.

They read tables and train nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from study.commands.console import warn
from study.commands.versions import warn_of_comparison
from study.folder.folder import Folder
from study.results.tables import done_in, make_tables, write
from study.status.observer import failures
from trainables.frozen import ConfigError

if TYPE_CHECKING:
    from analysis.tables.tables import Tables

Unit = Literal["flops", "mafs", "seconds"]

PlainJsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AtOption = Annotated[
    int | None, typer.Option("--at", metavar="TASK", help="As if the stream ended after this task.", show_default=False)
]
BudgetOption = Annotated[
    float | None,
    typer.Option(help="Read every trial at its last task within this cumulative cost.", show_default=False),
]
UnitOption = Annotated[Unit, typer.Option(help="What --budget counts; MAFs are memory-adjusted FLOPs.")]
CompareOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="A second study in the same plane, on common blocks.", show_default=False),
]
AxesOption = Annotated[
    Path | None,
    typer.Option("--axes", metavar="FILE", help="What the columns of the tables are; see below.", show_default=False),
]


def chosen_tables(
    folder: Path, *, at: int | None, budget: float | None, unit: Unit, compare: Path | None, axes: Path | None = None
) -> tuple["Tables", str]:
    """The tables that the options ask for, and the name of the folder that their report goes to by default."""
    from analysis.tables.cuts import at_task, within_budget
    from analysis.tables.loading import load_axes, load_tables
    from analysis.tables.two_studies import merge_studies

    if at is not None and budget is not None:
        raise ConfigError("--at and --budget: both cut trials short; give one of them")
    if compare is not None:
        derive(compare)
        warn_of_comparison(folder, compare)
    said = None if axes is None else load_axes(axes, *(one for one in (folder, compare) if one is not None))
    tables, name = load_tables(folder, said), "report"
    if compare is not None:
        tables, name = merge_studies(tables, load_tables(compare, said)), f"{name}-with-{compare.resolve().name}"
    if at is not None:
        tables, name = at_task(tables, at), f"{name}-at-{at}"
    if budget is not None:
        tables, name = within_budget(tables, budget, unit), f"{name}-within-{budget:g}-{unit}"
    return tables, name


def derive(folder: Path) -> None:
    """Make a study's tables anew from its store, unless they hold more than this version can derive."""
    home = Folder(path=folder)
    tables = make_tables(home.plan(), home.store(warn), failures(home))
    done = len(tables.trials) - len(tables.unfinished)
    if done < (kept := done_in(home.tables)):
        warn(
            f"{folder}: the tables hold {kept} finished trials, of which the store has {done} for this version of "
            "retune, its data and its libraries. They are read as they are; `retune run` computes what is missing"
        )
        return
    write(tables, home.tables)
    if tables.unfinished:
        warn(f"{folder}: {len(tables.unfinished)} of {len(tables.trials)} trials are not done")


def definition_text(folder: Path) -> str | None:
    """The definition beside some tables as it is written, for the report to show; None where there is none."""
    path = folder / "study.yaml"
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None


@contextmanager
def as_wrong_input() -> Iterator[None]:
    """Tables that cannot be read are wrong input, which ends a command with status 2."""
    from analysis.tables.contract import TableError

    try:
        yield
    except TableError as error:
        raise ConfigError(str(error)) from error
