"""The command `retune run`: runs what the store of a study lacks."""

import os
import platform
import signal
import sys
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from importlib import metadata
from typing import Annotated, NoReturn

import typer

from study.commands.console import (
    CacheOption,
    DirOption,
    GpuOption,
    StudyArgument,
    bounded,
    folder_of,
    known_in,
    require_data,
    warn,
)
from study.commands.versions import plan_in, require_same_version, warn_of_warm_starts
from study.definition.files import load
from study.definition.precision import on_gpus
from study.definition.study import StudyDefinition
from study.folder.folder import Folder, claim
from study.folder.retention import register
from study.folder.store_limit import kept_within
from study.planning.gpus import asked_for
from study.planning.memory import require_memory
from study.planning.plan import Known, Plan, PlannedTrial, stored_keys
from study.planning.trials import Trial
from study.results.labels import in_words, varying_axes
from study.results.tables import Tables, make_tables, write
from study.running.progress import Progress
from study.running.run import Executor, run_trials
from study.search.check import check_search
from study.search.start import source_of
from study.tracking.companion import tracked
from study.tracking.trackers import require_libraries
from trainables.frozen import ConfigError
from trainables.machine.memory import gpu_bytes
from trainables.machine.processes import end_children, gentle_end
from trainables.nodes import NUMERICS_VERSION
from trainables.runtime import Runtime
from trainables.store import leases
from trainables.store.opening import open_store

_ROUNDS = 3
"""More than one only when a file of the store is damaged while the study runs."""


def run(
    study: StudyArgument,
    folder: DirOption = None,
    cache_gb: CacheOption = None,
    address: Annotated[
        str | None,
        typer.Option(help="A running Ray cluster: auto or HOST:PORT.", show_default="start Ray on this machine"),
    ] = None,
    gpu: GpuOption = None,
    inline: Annotated[
        bool, typer.Option("--inline", help="Run in this process, one trial at a time, without Ray.")
    ] = False,
    anew: Annotated[
        bool,
        typer.Option(
            "--anew",
            help="Train anew what another version of the numerics made in this folder; that is kept beside it.",
        ),
    ] = False,
) -> None:
    """Run a study, or go on with it: what its store holds is kept, what is missing is computed.

    Ctrl-C, SIGTERM and kill are safe at any moment; the same command goes on. A study may grow between runs.
    """
    if inline and address is not None:
        raise ConfigError("--inline runs without Ray, so --address has no meaning beside it; give one of the two")
    if address is not None:
        from study.running.cluster.connection import require_address

        require_address(address)
    definition, source = load(study)
    definition = bounded(definition, cache_gb)
    require_libraries(definition.tracking, source)
    check_search(definition, source)
    path = folder_of(definition, folder)
    gpus = None if gpu is None else asked_for(gpu)
    definition = Folder(path=path).settled(definition if gpus is None else on_gpus(definition))
    full = plan_in(Folder(path=path), definition, source)
    if definition.store is not None:
        open_store(definition.store, warn).check(writable=True)
    warn_of_warm_starts(definition)
    have = known_in(definition, path)
    if not anew:
        require_same_version(Folder(path=path), full, have)
    require_data(definition, full, have)
    of_machine = gpu_bytes() if address is None else None  # workers of a cluster compare for themselves
    memory = of_machine if gpus is None else int(gpus.gpu.memory_bytes)
    configs = [one.trial.config for one in full.missing(have) if isinstance(one.trial, Trial)]
    require_memory(configs, definition.resources, gpu_bytes=memory, runtime=Runtime(), source=source)
    with claim(path, definition, source) as (home, changed, aside):
        if aside is not None:
            register(home.store(), aside, aside.definition())
            typer.echo(_kept(aside), err=True)
        for line in changed:
            typer.echo(f"changed since the last run: {line}", err=True)
        for line in full.warnings:
            warn(line)
        executor: Executor = "inline" if inline else "ray"
        try:
            with gentle_end(), tracked(definition, home, warn), kept_within(home, definition, warn):
                tables, is_done = _run(full, definition, home, executor=executor, address=address)
        except KeyboardInterrupt:
            _leave_at_once()
    _finish(tables, home, is_done=is_done)


def _run(
    full: Plan, definition: StudyDefinition, home: Folder, *, executor: Executor, address: str | None
) -> tuple[Tables, bool]:
    """Run the trials that are missing, and say whether the study is done then; damaged scores take a second round."""
    store = home.store()
    store.sweep()
    home.log(
        "run_started",
        study=definition.name,
        trials=len(full.trials),
        executor=executor,
        numerics=NUMERICS_VERSION,
        versions=_versions(),
    )
    tables = make_tables(full, store, {})  # reads every score, so that a damaged one is missing from here on
    failed: dict[str, str] = {}
    home.record(full.trials)
    told = _tell_damage(home, 0)
    for _ in range(_ROUNDS):
        have = stored_keys(store)
        names: dict[str, str] = {}
        progress = _progress(full, have, home, failed, names)
        source = source_of(
            definition,
            str(home.definition_file),
            full,
            known=have,
            store=store,
            file=home.decisions,
            failed=failed,
            on_stop=progress.stopped_early,
            on_trial=partial(_name, names, varying_axes(full), None if definition.search is None else home),
        )
        if source.is_done:
            break
        _announce(full, have, failed, home, definition)
        write(tables, home.tables)
        run_trials(source, definition=definition, folder=home, progress=progress, executor=executor, address=address)
        failed |= progress.failed
        full = home.plan()
        home.record(full.trials)
        tables = make_tables(full, store, failed)
        told = _tell_damage(home, told)
        if not source.is_done:
            break
    write(tables, home.tables)
    leases.clear(store)
    home.log("run_ended", done=len(tables.trials) - len(tables.unfinished), failed=sorted(failed))
    return tables, source.is_done


def _name(names: dict[str, str], varying: Sequence[str], searched: Folder | None, planned: PlannedTrial) -> None:
    """Name a trial that is to run in words, and tell the ledger of it if a search has asked for it."""
    names[planned.trial.id] = in_words(planned, varying)
    if searched is not None:
        searched.ledger.add(planned)


def _kept(aside: Folder) -> str:
    version = aside.numerics
    return (
        f"version {version} of this study is kept in {aside.path}, with its tables and reports: retune status "
        f"{aside.path}; its updates stay in the store until retune gc {aside.path.parent} --version {version} --yes. "
        f"What {aside.path.parent} says from now on is of version {NUMERICS_VERSION}"
    )


def _announce(full: Plan, have: Known, failed: Collection[str], home: Folder, definition: StudyDefinition) -> None:
    """Say what is to run."""
    missing = [planned for planned in full.missing(have) if planned.trial.id not in failed]
    new = len({key for planned in missing for key in planned.to_train(have)})
    done = len(full.trials) - len(missing)
    if definition.search is None:
        text = f"{len(missing)} of {len(full.trials)} trials to run ({done} done), {new} updates to train"
    else:
        text = f"search by {definition.search.sampler}: {len(full.trials)} trials so far, {done} of them done"
    typer.echo(f"{text}; folder {home.path}", err=True)


def _progress(full: Plan, have: Known, home: Folder, failed: Collection[str], names: Mapping[str, str]) -> Progress:
    missing = [planned for planned in full.missing(have) if planned.trial.id not in failed]
    tasks = sum(len(planned.steps) - 1 for planned in missing)
    totals = (None, None) if full.is_open else (len(missing), tasks)
    return Progress(home, trials=totals[0], tasks=totals[1], trial_names=names)


def _tell_damage(home: Folder, told: int) -> int:
    """Warn of damaged files that any process of this run has met; returns how many have been told of by now."""
    rows = [row for row in home.last_run() if row["event"] == "damaged"]
    for row in rows[told:]:
        warn(str(row["message"]))
    return len(rows)


def _finish(tables: Tables, home: Folder, *, is_done: bool) -> None:
    """Say how the run ended; raise typer.Exit unless all is done."""
    failed, left = ([row for row in tables.trials if row["status"] == status] for status in ("failed", "waiting"))
    if failed:
        typer.echo(f"{len(failed)} trials failed; see `retune status {home.path}` and {home.path}/log.jsonl", err=True)
    if left:
        typer.echo(f"interrupted with {len(left)} trials to do; the same command goes on", err=True)
    elif not is_done:
        typer.echo("interrupted before the search ended; the same command goes on", err=True)
    for reason in home.ended():
        typer.echo(f"the search ended: {reason}", err=True)
    if left or not is_done:
        raise typer.Exit(130)
    if failed:
        raise typer.Exit(1)
    stopped = sum(row["status"] == "stopped" for row in tables.trials)
    early = f", {stopped} of them stopped early" if stopped else ""
    typer.echo(f"done: {len(tables.trials)} trials{early}; write the report with: retune report {home.path}", err=True)


def _versions() -> dict[str, str]:
    names = ("retune", "torch", "open_clip_torch", "peft", "ray", "numpy")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}


def _leave_at_once() -> NoReturn:
    """After a second Ctrl-C: Ray's own clean-up could take as long as the user has just refused to wait."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_children()
    sys.stderr.write("\ninterrupted; the same command goes on\n")
    sys.stderr.flush()
    os._exit(130)
