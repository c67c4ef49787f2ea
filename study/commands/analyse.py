"""The command `retune analyse`: writes a report of tables that need not come from retune."""

from pathlib import Path
from typing import Annotated

import typer

from study.commands.reading import (
    AtOption,
    AxesOption,
    BudgetOption,
    CompareOption,
    UnitOption,
    as_wrong_input,
    chosen_tables,
    definition_text,
)

ANALYSE_EXAMPLES = """TABLES is a folder with trials, tasks and (optionally) scores as .parquet or .csv, of retune or of
any other tool. One row of `trials` is one trial: trial, config_id, block, method, and a column for every axis (w, lr,
rank, ...). One row of `tasks` is one trial after one task, from task 0 (zero-shot) on: trial, task, aka, azs as
fractions. The joint model is a trial of method `joint` and kind `anchor`.

Two methods are compared at the best value of each setting that is theirs, and where they were trained alike. So it has
to be known what an axis is for: its role, one of

method: how a method is set (rank, strength); merging: how weights are merged (w, density);

training: how all methods are trained (batch_size); stream: what they are trained on (ordering).

Standard names have their role, and an axis that some methods lack is a setting of the others. Where that is not enough,
--axes FILE says it, as YAML or JSON; any of its three parts may be left out:

columns: {zeta: method, tau: merging, replay: "training, switch"}

methods: {mine: {name: My method, group: adapter}}

rename: {learning_rate: lr}

A column may have marks after its role: switch (no value means off), of-rule (its default follows the merge rule), whole
(a whole number). `rename` gives a column the name that findings ask for. In Parquet files, a column may say its role in
the metadata of its field, as retune.role; FILE wins.

Examples:

retune analyse results/ --out report/

retune analyse results/ --out report/ --axes axes.yaml"""


def analyse(
    tables: Annotated[Path, typer.Argument(metavar="TABLES", help="A folder of tables.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder of the report.", show_default=False)],
    at: AtOption = None,
    budget: BudgetOption = None,
    unit: UnitOption = "flops",
    compare: CompareOption = None,
    axes: AxesOption = None,
) -> None:
    """Write the same report of tables that need not come from retune."""
    from analysis.drawing.figure_process import FigureProcess

    with as_wrong_input(), FigureProcess() as figures:
        from analysis.report import write_report

        chosen, _ = chosen_tables(tables, at=at, budget=budget, unit=unit, compare=compare, axes=axes)
        page = write_report(chosen, out, definition=definition_text(tables), figures=figures)
    typer.echo(page)
