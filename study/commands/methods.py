"""The command `retune methods`: lists the methods that a model can have."""

from typing import Annotated

import typer

from study.commands.console import JsonOption, note
from trainables.runtime import Runtime
from trainables.workloads.pocket.settings import Pocket


def methods(
    model: Annotated[
        str | None,
        typer.Option(
            help="A model of open_clip: a name, a JSON config, hf-hub:, local-dir:.", show_default="the pocket model"
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List every method that a model can have: parts, hyperparameters with defaults, the share that trains, arXiv id.

    Each name is a value of the axis `method`, and each hyperparameter an axis, whose meaning stands below the table.
    """
    from study.planning import method_table
    from trainables.workloads.catalogue import open_workload
    from trainables.workloads.clip.zoo import without_data

    workload = open_workload(Pocket(), Runtime()) if model is None else without_data(model)
    if model is None:
        note("methods and shares of the pocket model; those of another: --model NAME")
    if without := method_table.impossible(workload):
        why = next(iter(without.values()))
        note(f"left out, since {model} cannot have them at their defaults: {', '.join(without)} ({why})")
    found = method_table.rows(workload)
    typer.echo(method_table.as_json(found) if as_json else "\n".join(method_table.table(found)))
