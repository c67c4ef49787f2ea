"""The command `retune findings`: says which published findings hold in a study."""

import json
from pathlib import Path
from typing import Annotated

import typer

from study.commands.console import note
from study.commands.reading import PlainJsonOption, as_wrong_input, derive

FOLDERS = (
    "A study's folder, or several: those with the same blocks, zero-shot and joint points are asked as one study, and "
    "those of models of other sizes together about sizes alone."
)

FoldersArgument = Annotated[list[Path], typer.Argument(metavar="DIR...", help=FOLDERS, show_default=False)]


def findings(folders: FoldersArgument, as_json: PlainJsonOption = False) -> None:
    """Say which published findings hold in these studies, which do not, and what would decide the rest."""
    from analysis.findings.several import findings_of, planes_of
    from analysis.tables.loading import load_tables
    from analysis.writing.report_json import findings_record
    from analysis.writing.sentences import finding_lines

    for folder in folders:
        derive(folder)
    with as_wrong_input():
        planes = planes_of([load_tables(folder) for folder in folders])
        found = findings_of(planes)
    if len(planes) > 1:
        note(
            "These do not lie in one plane: a finding is of the plane that lacks least for it, then of the most trials "
            "(one about sizes of models compares the planes of them):"
        )
    if len(folders) > 1:
        for plane in planes:
            note(f"{plane.name}: {plane.counts['configs']} configs on {len(plane.blocks)} blocks")
    if as_json:
        typer.echo(json.dumps(findings_record(found), indent=1, allow_nan=False))
        return
    for line in finding_lines(found):
        typer.echo(line)
