"""The command `retune recommend`: prints the trials to run next, as a study."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from study.commands.console import FolderArgument, warn
from study.commands.reading import PlainJsonOption, as_wrong_input, derive
from study.definition.files import dump
from study.folder.folder import Folder
from study.planning.plan import Plan
from study.planning.trials import JOINT


def recommend(
    folder: FolderArgument,
    out: Annotated[Path | None, typer.Option(help="File to write instead of printing.", show_default=False)] = None,
    only: Annotated[
        bool, typer.Option("--only", help="These trials alone, with one more block for what is to be repeated.")
    ] = False,
    as_json: PlainJsonOption = False,
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

    derive(folder)
    with as_wrong_input():
        tables = load_tables(folder)
        frontier = build_frontier(tables)
    home = Folder(path=folder)
    if home.is_of_another_version:
        warn(
            f"{folder}: made under version {home.numerics} of the numerics; run what is advised in a new folder, or "
            "everything in this one is trained anew, and only with --anew"
        )
    found = advise(frontier)
    if as_json:
        text = json.dumps(recommendation_record(found), indent=1, allow_nan=False) + "\n"
    else:
        text = "".join(f"# {line}\n" for line in advice_lines(found))
        if any(item.axes is not None for item in found.items):
            definition = yaml.safe_load(dump(home.definition()))
            if definition["search"] is not None:
                definition, only = as_grid(definition, home.plan()), True
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


def as_grid(definition: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """The definition of a search turned into that of a grid, so that trials can be put in.

    What the joint anchor took from the spaces is written into its own values.
    """
    spaces, joint = definition["search"]["spaces"], definition["joint"]
    own = next((one.trial.row for one in plan.trials if one.trial.method == JOINT), None)
    if joint is not None and own is not None:
        searched = {name for space in spaces for name in space} & {"lr", "weight_decay", "clip_norm", "batch_size"}
        joint = {**{name: own[name] for name in sorted(searched)}, **joint}
    return {**definition, "grid": spaces, "search": None, "joint": joint}
