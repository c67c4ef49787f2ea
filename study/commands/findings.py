"""The command `retune findings`: says which published findings hold in a study."""

import json

import typer

from study.commands.console import FolderArgument
from study.commands.reading import PlainJsonOption, as_wrong_input, derive


def findings(folder: FolderArgument, as_json: PlainJsonOption = False) -> None:
    """Say which published findings hold in this study, which do not, and what would decide the rest."""
    from analysis.findings.claims import evaluate_findings
    from analysis.frontier import build_frontier
    from analysis.tables.loading import load_tables
    from analysis.writing.report_json import findings_record
    from analysis.writing.sentences import finding_lines

    derive(folder)
    with as_wrong_input():
        tables = load_tables(folder)
        found = evaluate_findings(build_frontier(tables), tables)
    if as_json:
        typer.echo(json.dumps(findings_record(found), indent=1, allow_nan=False))
        return
    for line in finding_lines(found):
        typer.echo(line)
