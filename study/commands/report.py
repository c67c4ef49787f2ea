"""The commands that end in the analysis: report, analyse, findings, recommend. They read tables and train nothing."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from analysis.drawing.figure_process import FigureProcess
from search_spaces.space import axis_values
from study.definition.study import dump
from study.folder.folder import Folder
from study.planning.plan import Plan
from study.planning.trials import JOINT
from study.results.tables import done_in, make_tables, write
from study.status.observer import failures
from trainables.frozen import ConfigError

if TYPE_CHECKING:
    from analysis.tables.tables import Tables

Unit = Literal["flops", "mafs", "seconds"]

REPORT_EXAMPLES = """Examples:

retune report runs/demo

retune report runs/demo --at 3

retune report runs/demo --budget 2e13 --unit mafs

retune report runs/demo --compare runs/merging

Everything that the page shows is in report.json; the tables are also CSV and LaTeX, the figures PDF, SVG and PNG."""

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

FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="A study's folder.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
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
    with _as_wrong_input(), FigureProcess() as figures:
        from analysis.report import write_report  # only now, so that the process of the figures starts meanwhile

        _derive(folder)
        tables, name = _chosen(folder, at=at, budget=budget, unit=unit, compare=compare)
        page = write_report(
            tables, out or folder / name, max_loss=_allowed(folder), definition=_definition(folder), figures=figures
        )
    typer.echo(page)


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
    with _as_wrong_input(), FigureProcess() as figures:
        from analysis.report import write_report

        chosen, _ = _chosen(tables, at=at, budget=budget, unit=unit, compare=compare, axes=axes)
        page = write_report(chosen, out, definition=_definition(tables), figures=figures)
    typer.echo(page)


def findings(folder: FolderArgument, as_json: JsonOption = False) -> None:
    """Say which published findings hold in this study, which do not, and what would decide the rest."""
    from analysis.findings.claims import evaluate_findings
    from analysis.frontier import build_frontier
    from analysis.tables.loading import load_tables
    from analysis.writing.report_json import findings_record
    from analysis.writing.sentences import finding_lines

    _derive(folder)
    with _as_wrong_input():
        tables = load_tables(folder)
        found = evaluate_findings(build_frontier(tables), tables)
    if as_json:
        typer.echo(json.dumps(findings_record(found), indent=1, allow_nan=False))
        return
    for line in finding_lines(found):
        typer.echo(line)


def recommend(
    folder: FolderArgument,
    out: Annotated[Path | None, typer.Option(help="File to write instead of printing.", show_default=False)] = None,
    only: Annotated[
        bool, typer.Option("--only", help="These trials alone, with one more block for what is to be repeated.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the trials to run next, as a study that `retune run` accepts; why each of them, in its comments.

    It is the study with the new configs added: run it in the same folder (retune run FILE --dir DIR), where nothing
    that is stored is trained again. With --only, of a search, or where just repeats are advised, it is these alone.
    """
    import yaml

    from analysis.advice.next_study import extended_study, recommended_study
    from analysis.advice.recommend import recommend as advise
    from analysis.frontier import build_frontier
    from analysis.tables.loading import load_tables
    from analysis.writing.report_json import recommendation_record
    from analysis.writing.sentences import advice_lines

    _derive(folder)
    with _as_wrong_input():
        tables = load_tables(folder)
        frontier = build_frontier(tables)
    found = advise(frontier)
    if as_json:
        text = json.dumps(recommendation_record(found), indent=1, allow_nan=False) + "\n"
    else:
        text = "".join(f"# {line}\n" for line in advice_lines(found))
        if any(item.axes is not None for item in found.items):
            definition = yaml.safe_load(dump(Folder(path=folder).definition()))
            if definition["search"] is not None:
                definition, only = as_grid(definition, Folder(path=folder).plan()), True
            tested = [result.config for result in frontier.results]
            if only or not any(item.kind == "new" for item in found.items):
                study = recommended_study(definition, found.items, tested=tested, roles=tables.roles)
            else:
                study = extended_study(definition, found.items, roles=tables.roles)
            text += yaml.safe_dump(study, sort_keys=False, allow_unicode=True)
    if out is None:
        typer.echo(text, nl=False)
        return
    out.write_text(text, encoding="utf-8")
    typer.echo(f"{out}: {sum(item.trials for item in found.items)} trials in {len(found.items)} items", err=True)


def _chosen(
    folder: Path, *, at: int | None, budget: float | None, unit: Unit, compare: Path | None, axes: Path | None = None
) -> tuple["Tables", str]:
    """The tables that the options ask for, and the name of the folder that their report goes to by default."""
    from analysis.tables.cuts import at_task, within_budget
    from analysis.tables.loading import load_axes, load_tables
    from analysis.tables.two_studies import merge_studies

    if at is not None and budget is not None:
        raise ConfigError("--at and --budget: both cut trials short; give one of them")
    if compare is not None:
        _derive(compare)
    said = None if axes is None else load_axes(axes, *(one for one in (folder, compare) if one is not None))
    tables, name = load_tables(folder, said), "report"
    if compare is not None:
        tables, name = merge_studies(tables, load_tables(compare, said)), f"{name}-with-{compare.resolve().name}"
    if at is not None:
        tables, name = at_task(tables, at), f"{name}-at-{at}"
    if budget is not None:
        tables, name = within_budget(tables, budget, unit), f"{name}-within-{budget:g}-{unit}"
    return tables, name


def _derive(folder: Path) -> None:
    """Make a study's tables anew from its store, unless they hold more than this version can derive."""
    home = Folder(path=folder)
    tables = make_tables(home.plan(), home.store(_warn), failures(home))
    done = len(tables.trials) - len(tables.unfinished)
    if done < (kept := done_in(home.tables)):
        _warn(
            f"{folder}: the tables hold {kept} finished trials, of which the store has {done} for this version of "
            "retune, its data and its libraries. They are read as they are; `retune run` computes what is missing"
        )
        return
    write(tables, home.tables)
    if tables.unfinished:
        _warn(f"{folder}: {len(tables.unfinished)} of {len(tables.trials)} trials are not done")


def as_grid(definition: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """A search as a grid over its spaces, for trials to be put in; the joint anchor says what it took from them."""
    spaces, joint = definition["search"]["spaces"], definition["joint"]
    anchor = next((one.trial.config for one in plan.trials if one.trial.method == JOINT), None)
    if joint is not None and anchor is not None:
        own = axis_values(anchor)
        searched = {name for space in spaces for name in space} & {"lr", "weight_decay", "clip_norm", "batch_size"}
        joint = {**{name: own[name] for name in sorted(searched)}, **joint}
    return {**definition, "grid": spaces, "search": None, "joint": joint}


def _allowed(folder: Path) -> float | None:
    """The AZS that a study's search may give, as a fraction."""
    search = Folder(path=folder).definition().search
    most = None if search is None else search.constraints.retention_loss
    return None if most is None else max(most, 0.0)


def _definition(folder: Path) -> str | None:
    path = folder / "study.yaml"
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None


@contextmanager
def _as_wrong_input() -> Iterator[None]:
    from analysis.tables.contract import TableError

    try:
        yield
    except TableError as error:
        raise ConfigError(str(error)) from error


def _warn(message: str) -> None:
    typer.echo(f"warning: {message}", err=True)
