"""The command `retune plan`: says what a study would run, and what it would take."""

from collections.abc import Sequence
from typing import Annotated

import typer

from study.commands.console import (
    DirOption,
    GpuOption,
    JsonOption,
    StudyArgument,
    folder_of,
    known_in,
    note,
    require_data,
    warn,
)
from study.commands.versions import plan_in, warn_of_warm_starts
from study.definition.files import load
from study.definition.precision import on_gpus
from study.definition.study import StudyDefinition
from study.folder.folder import Folder
from study.planning.gpus import asked_for
from study.planning.plan import PlannedTrial
from study.planning.trials import scalings
from study.running.cluster.nodes import slots, this_machine, unfit
from study.search.check import check_search, probes, probing
from trainables.nodes import NUMERICS_VERSION


def plan(
    study: StudyArgument,
    folder: DirOption = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Say instead what each task of each block teaches; with --json by name.")
    ] = False,
    gpu: GpuOption = None,
    timing: Annotated[bool, typer.Option("--timing/--no-timing", help="Time a few real steps on this machine.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Say what would run: trials, unique updates, FLOPs, time, bytes. No trial is run, and the folder stays as it is.

    With --gpu it says what fits on such GPUs and, by FLOPs, how long it would take there, which needs none here. Else a
    few steps are timed; what that needs, such as decoded images, is kept in the cache for the study itself.

    Updates that trials share are trained once, and what the study's folder holds already is not trained again. Trials
    that start from the base, or from the last update, share one set of updates, whatever they merge and serve.
    """
    definition, source = load(study)
    check_search(definition, source)
    path = folder_of(definition, folder)
    home = Folder(path=path)
    gpus = None if gpu is None else asked_for(gpu)
    definition = home.settled(definition if gpus is None else on_gpus(definition))
    full = plan_in(home, definition, source)
    if home.is_of_another_version:
        warn(
            f"{path}: made under version {home.numerics} of the numerics, and read as that by retune status {path}; "
            f"this is what it takes to train it anew under version {NUMERICS_VERSION}, with retune run --anew"
        )
    warn_of_warm_starts(definition)
    runtime = definition.resources.here()
    if stream:
        full = full if definition.search is None else probing(definition, source)
        from study.planning import stream_table
        from trainables.workloads.catalogue import open_workload

        found = stream_table.streams(full, open_workload(definition.workload, runtime))
        typer.echo(stream_table.as_json(found) if as_json else "\n".join(stream_table.table(found)))
        return
    have = known_in(definition, path)
    require_data(definition, full, have)
    is_timed = timing and gpus is None
    note("counting FLOPs and timing a few steps on this machine ..." if is_timed else "counting FLOPs ...")
    from study.planning.estimate import Timing, estimate, lines

    how = Timing(resources=definition.resources, gpus=gpus, is_measured=is_timed)
    if gpus is None:
        workers = _room_here(definition, full.trials or probes(definition, source))
    else:
        workers = gpus.workers(definition.resources)
    head = f"study {definition.name} ({source}), folder {path}"
    if definition.search is not None:
        from study.search import search_bounds

        bounds = search_bounds.outlook(
            definition, source, full, have, workers=workers, runtime=runtime, tell=note, timing=how
        )
        for line in bounds.warnings:
            warn(line)
        typer.echo(bounds.as_json() if as_json else "\n".join([head, *search_bounds.lines(bounds)]))
        return
    counts = estimate(full, have, workers=workers, runtime=runtime, tell=note, timing=how)
    for line in counts.warnings:
        warn(line)
    if as_json:
        typer.echo(counts.as_json())
    else:
        typer.echo("\n".join([*scalings(definition, source), head, *lines(counts, keep=definition.keep)]))


def _room_here(definition: StudyDefinition, trials: Sequence[PlannedTrial]) -> int:
    """How many of the trials run at once on this machine; a trial that does not fit is warned of."""
    here = this_machine()
    methods = {planned.trial.config.recipe.method.name for planned in trials}
    bundles = {name: definition.resources.bundle(name, gpus=here.total["GPU"]) for name in sorted(methods)}
    if (why := unfit(bundles, [here])) is not None:
        warn(f"resources: {why}; this study needs a cluster (retune run --address), or less in `resources`")
    return max(1, slots(bundles.values(), [here]))
