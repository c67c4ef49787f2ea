"""The command line: methods, budget, plan, fetch, run, status, report, export, merge, data.

Exit status: 0 when everything asked for is done, 1 when something failed, 2 for wrong input, 130 when interrupted.
"""

import json
import os
import platform
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand

from study.data_commands import data
from study.definition import StudyDefinition, load, presets, scalings
from study.folder import Folder, claim
from study.plan import Known, Plan, PlannedTrial, known, make_plan
from study.progress import Progress, clock_time
from study.report_commands import ANALYSE_EXAMPLES, REPORT_EXAMPLES, analyse, findings, recommend, report
from study.runner import Executor, RunError, end_children, gentle_end, run_trials, runtime_of, usable_cpus
from study.status import describe, status, varying_axes
from study.tables import Tables, make_tables, trial_row, write
from trainables.config import Clip, Pocket
from trainables.frozen import ConfigError
from trainables.merging.rule import ROWS, MergeRule
from trainables.runtime import Runtime, TrainingError, cache_folder
from trainables.store import MemoryStore, StoreError

_ROUNDS = 3
"""More than one only when a file of the store is damaged while the study runs."""

AVERAGE = "average"
"""A name of `lerp` for more than two files."""

MERGE_EXAMPLES = """Examples:

retune merge --rule lerp --w 0.9 OLD NEW --out OUT.safetensors

retune merge --rule ties --density 0.3 --base BASE M1 M2 --out OUT.safetensors

retune merge --rule task_arithmetic --scale 0.4 --base BASE M1 M2 M3 --out OUT.safetensors

The instruction residual (arXiv 2410.10739), MOVED + (INSTRUCT - BASE):
retune merge --rule task_arithmetic --base BASE MOVED INSTRUCT --out OUT.safetensors"""


BUDGET_EXAMPLES = """Examples:

retune budget --model ViT-B-16 --batch-size 512 --total 1.8e9 --tasks 20 50 100 200

retune budget --model ViT-L-14 --methods full lora ewc --rank 8 --accounting paper --json"""


def _meaning(setting: str) -> str:
    """Help of a rule's setting, with the rules that have it."""
    text = str(MergeRule.model_fields[setting].description)
    rules = [name for name, row in ROWS.items() if setting in row.defaults]
    return f"{text[:1].upper()}{text[1:]}" + (f" ({', '.join(rules)})." if rules else ".")


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Studies of continual updates of CLIP-like models: which way learns the most, forgets the least, and at what "
    "price. Start with: retune run demo",
)

app.add_typer(data, name="data")

StudyArgument = Annotated[
    str, typer.Argument(metavar="STUDY", help=f"A YAML file, or a preset: {', '.join(presets())}.", show_default=False)
]
FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="A study's folder.", show_default=False)]
DirOption = Annotated[
    Path | None, typer.Option("--dir", "-d", help="The study's folder.", show_default="runs/<name of the study>")
]
CacheOption = Annotated[
    float | None,
    typer.Option(
        help="Most 1e9 bytes of decoded images here.", show_default="the study's, or half of the free disk", min=0
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print a JSON object, for programs.")]


@app.command()
def plan(
    study: StudyArgument,
    folder: DirOption = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Say instead what each task of each block teaches; with --json by name.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what would run: trials, unique updates, FLOPs, time, bytes. No trial is run, and the folder stays as it is.

    A few steps are timed; what that needs, such as decoded images, is kept in the cache for the study itself.

    Updates that trials share are trained once, and what the study's folder holds already is not trained again. Trials
    that start from the base, or from the last update, share one set of updates, whatever they merge and serve.
    """
    definition, source = load(study)
    full = make_plan(definition, source)
    runtime = runtime_of(definition.resources, gpus=0)
    if stream:
        from study import stream as taught
        from trainables.workloads import open_workload

        found = taught.streams(full, open_workload(definition.workload, runtime))
        typer.echo(taught.as_json(found) if as_json else "\n".join(taught.table(found)))
        return
    path = _folder_of(definition, folder)
    have = _known_in(path)
    _require_images(definition, full, have)
    typer.echo("counting FLOPs and timing a few steps on this machine ...", err=True)
    from study.estimate import estimate

    workers = max(1, int(usable_cpus() / definition.resources.cpus))
    counts = estimate(full, have, workers=workers, runtime=runtime, tell=lambda line: typer.echo(line, err=True))
    for line in counts.warnings:
        _warn(line)
    if as_json:
        typer.echo(counts.as_json())
        return
    for line in scalings(definition, source):
        typer.echo(line)
    shared = counts.updates_total - counts.updates_unique
    typer.echo(f"study {definition.name} ({source}), folder {path}")
    typer.echo(
        f"trials    {counts.trials} = {counts.configs} configs x {counts.blocks} blocks, "
        f"{counts.tasks} tasks each; {counts.anchors} anchors"
    )
    typer.echo(
        f"updates   {counts.updates_unique} unique of {counts.updates_total} ({shared} shared), "
        f"{counts.updates_in_store} in the store; {counts.steps_unique} steps"
    )
    if len(counts.by_start) > 1:
        for start, group in counts.by_start.items():
            typer.echo(
                f"          start {start + ':':8} {group.trials} trials need {group.updates_total} updates, "
                f"{group.updates_unique} unique"
            )
    typer.echo("steps     a task; FLOPs and MAFs of one; MAFs and training time of a trial")
    width = max(len(row.method) for row in counts.by_method)
    for row in counts.by_method:
        typer.echo(
            f"          {row.method:{width}} {_range(row.steps):>5} steps; {row.flops_per_step:.3g}, "
            f"{row.mafs_per_step:.3g}; {row.mafs_per_trial:.3g}, "
            f"{_time(row.seconds_per_trial)}"
        )
    typer.echo(f"scores    {counts.evaluations_unique} evaluations, {counts.evaluations_in_store} in the store")
    typer.echo(f"FLOPs     {counts.flops:.3g}, memory-adjusted {counts.mafs:.3g}; to do {counts.flops_to_do:.3g}")
    typer.echo(f"time      {_time(counts.seconds_to_do)} on {counts.workers} workers here")
    typer.echo(f"bytes     about {counts.bytes_to_do / 1e6:.0f} MB more in the store")


@app.command()
def fetch(study: StudyArgument, cache_gb: CacheOption = None) -> None:
    """Make ready what a study needs: download weights it names, index its manifest, decode its images into the cache.

    Only this command uses the network, besides importing from a hub. Trials download nothing; images that are missing
    they decode as they go.
    """
    from study.fetch import fetch as make_ready

    definition, _ = load(study)
    runtime = runtime_of(_bounded(definition, cache_gb).resources, gpus=0)
    done = make_ready(definition.workload, runtime, workers=usable_cpus(), tell=lambda line: typer.echo(line, err=True))
    typer.echo(
        f"{done.images} images, {done.cached} decoded in the cache ({done.cache_bytes / 1e9:.2f} GB), "
        f"{clock_time(done.seconds)}"
    )
    for line in done.bad[:10]:
        _warn(line)
    if done.bad:
        raise RunError(f"{len(done.bad)} images cannot be decoded; `retune data check` lists them")


@app.command()
def run(
    study: StudyArgument,
    folder: DirOption = None,
    cache_gb: CacheOption = None,
    address: Annotated[
        str | None,
        typer.Option(help="A running Ray cluster: auto or HOST:PORT.", show_default="start Ray on this machine"),
    ] = None,
    inline: Annotated[
        bool, typer.Option("--inline", help="Run in this process, one trial at a time, without Ray.")
    ] = False,
) -> None:
    """Run a study, or go on with it: what its store holds is kept, what is missing is computed.

    Ctrl-C, SIGTERM and kill are safe at any moment; the same command goes on. A study may grow between runs.
    """
    if inline and address is not None:
        raise ConfigError("--inline runs without Ray, so --address has no meaning beside it; give one of the two")
    definition, source = load(study)
    definition = _bounded(definition, cache_gb)
    full = make_plan(definition, source)
    _require_images(definition, full, _known_in(_folder_of(definition, folder)))
    with claim(_folder_of(definition, folder), definition, source) as (home, changed):
        for line in changed:
            typer.echo(f"changed since the last run: {line}", err=True)
        for line in full.warnings:
            _warn(line)
        executor: Executor = "inline" if inline else "ray"
        try:
            with gentle_end():
                tables = _run(full, definition, home, executor=executor, address=address)
        except KeyboardInterrupt:
            _leave_at_once()
    _finish(tables, home)


@app.command("status")
def show_status(folder: FolderArgument, as_json: JsonOption = False) -> None:
    """Say where a study stands: done, running, waiting, failed, throughput, time left, the best so far."""
    now = status(Folder(path=folder))
    if as_json:
        typer.echo(now.as_json())
        return
    state = "running" if now.live else "finished" if now.done == now.trials else "not running"
    typer.echo(f"study {now.study}: {state}")
    typer.echo(
        f"trials    {now.done}/{now.trials} done, {now.running} running, {now.waiting} waiting, {now.failed} failed"
    )
    typer.echo(f"updates   {now.updates_in_store}/{now.updates_unique} in the store")
    if now.tasks_per_minute is not None and now.seconds_left is not None:
        typer.echo(f"rate      {now.tasks_per_minute:.0f} tasks/min, about {clock_time(now.seconds_left)} left")
    if now.best is not None:
        best = now.best
        typer.echo(
            f"best GM   {best.config}: AKA {100 * best.aka:.1f} %, AZS {100 * best.azs:.1f} %, "
            f"GM {100 * best.gm:.1f} % ({best.blocks} blocks; trial {best.trial})"
        )
    for trial, error in now.errors.items():
        typer.echo(f"failed    {trial}: {error}")
    if now.failed and now.failed + now.done == now.trials:
        typer.echo("change what failed in the study, or run it again to try once more")
    if not now.live and now.done < now.trials:
        typer.echo(f"go on with: retune run {folder}/study.yaml --dir {folder}")


@app.command()
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
    from study.methods import impossible, table
    from study.methods import methods as listed
    from trainables.workloads import open_workload
    from trainables.workloads.clip.zoo import without_data

    workload = open_workload(Pocket(), Runtime()) if model is None else without_data(model)
    if model is None:
        typer.echo("methods and shares of the pocket model; those of another: --model NAME", err=True)
    if without := impossible(workload):
        why = next(iter(without.values()))
        typer.echo(
            f"left out, since {model} cannot have them at their defaults: {', '.join(without)} ({why})", err=True
        )
    rows = listed(workload)
    typer.echo(json.dumps([asdict(row) for row in rows], indent=2) if as_json else "\n".join(table(rows)))


class _Listing(TyperCommand):
    """A command whose options of several values take them all after one name: --tasks 20 50 100."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        several = {name for one in self.params if getattr(one, "multiple", False) for name in one.opts}
        spread: list[str] = []
        current, given = "", 0
        for arg in args:
            if arg.startswith("-"):
                current, given = arg if arg in several else "", 0
            elif current:
                given += 1
                if given > 1:
                    spread.append(current)
            spread.append(arg)
        parsed: list[str] = super().parse_args(ctx, spread)
        return parsed


@app.command("budget", cls=_Listing, epilog=BUDGET_EXAMPLES)
def budget_of(
    model: Annotated[str, typer.Option(help="A model of open_clip.")] = "ViT-B-16",
    batch_size: Annotated[int, typer.Option(help="Samples per optimiser step.", min=2)] = 512,
    total: Annotated[float, typer.Option(help="Budget of the whole stream, in 1e9 memory-adjusted FLOPs.")] = 1.8e9,
    tasks: Annotated[
        list[int] | None, typer.Option(help="Numbers of tasks that share it.", show_default="20 50 100 200", min=1)
    ] = None,
    methods: Annotated[
        list[str] | None, typer.Option(help="Methods, or ema for EMA-merge.", show_default="those of the paper")
    ] = None,
    rank: Annotated[
        int | None, typer.Option(help="Rank, of methods that have one.", show_default="theirs", min=1)
    ] = None,
    precision: Annotated[str, typer.Option(help="Type of activations in memory: bf16, fp32.")] = "bf16",
    accounting: Annotated[
        str,
        typer.Option(help="ours: a step as it is computed here; paper: as the table of arXiv 2408.14471 counts it."),
    ] = "ours",
    device: Annotated[
        str | None,
        typer.Option(help="Measure memory on it, such as cuda.", show_default="memory is estimated, on no device"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list, for programs.")] = False,
) -> None:
    """Say how many steps a compute budget buys each method: FLOPs, memory, memory-adjusted FLOPs (MAFs), steps a task.

    Everything is counted on shapes alone: no GPU, no weights, no data. MAFs are FLOPs x peak memory / that of full
    fine-tuning; FLOPs are of a forward and a backward pass of the whole batch. EWC's Fisher matrix is paid once a task.
    Steps are rounded to the nearest, so a task may cost half a step more than its share.
    """
    from study import budget
    from trainables.workloads.clip.zoo import without_data

    workload = without_data(model)
    default = budget.possible(workload, rank)
    if methods is None and (without := [name for name in budget.DEFAULT if name not in default]):
        typer.echo(f"left out, since {model} cannot have them: {', '.join(without)}", err=True)
    found = budget.rows(
        workload,
        batch_size=batch_size,
        total=total,
        tasks=tasks or [20, 50, 100, 200],
        methods=methods or default,
        rank=rank,
        precision=precision,
        accounting=accounting,
        device=device,
    )
    if as_json:
        typer.echo(budget.as_json(found))
        return
    for line in budget.table(found, accounting):
        typer.echo(line)


@app.command("merge", epilog=MERGE_EXAMPLES)
def merge_weights(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Weights, OLDEST first.", show_default=False, exists=True)
    ],
    out: Annotated[
        Path, typer.Option(help="A .safetensors file to write; its record is OUT.json.", show_default=False)
    ],
    rule: Annotated[str, typer.Option(help=f"One of {', '.join((*ROWS, AVERAGE))}.")] = "lerp",
    base: Annotated[
        Path | None,
        typer.Option(
            help="What differences are taken from, by all rules but lerp, slerp and fisher.",
            exists=True,
            show_default="none",
        ),
    ] = None,
    w: Annotated[
        float | None, typer.Option(help="Weight of the OLD of two files, 0 to 1; required of two.", show_default=False)
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Weights of all files, such as 1,1,2, of rules that average.", show_default="all the same"),
    ] = None,
    scale: Annotated[float | None, typer.Option(help=_meaning("scale"), show_default="1")] = None,
    density: Annotated[float | None, typer.Option(help=_meaning("density"), show_default="0.3")] = None,
    prune_top: Annotated[float | None, typer.Option(help=_meaning("prune_top"), show_default="0.01")] = None,
    mask_strength: Annotated[float | None, typer.Option(help=_meaning("mask_strength"), show_default="0.4")] = None,
    agree: Annotated[int | None, typer.Option(help=_meaning("agree"), show_default="2")] = None,
    lines: Annotated[str | None, typer.Option(help=_meaning("lines"), show_default="none")] = None,
    lines_first: Annotated[float | None, typer.Option(help=_meaning("lines_first"), show_default="0.5")] = None,
    lines_more: Annotated[float | None, typer.Option(help=_meaning("lines_more"), show_default="0.5")] = None,
    fisher: Annotated[
        list[Path] | None,
        typer.Option(help="Diagonal Fisher matrices: --fisher F1 --fisher F2, one file for each input.", exists=True),
    ] = None,
    logit_scale: Annotated[str, typer.Option(help=_meaning("logit_scale"))] = "merge",
    integers: Annotated[str, typer.Option(help="Where integer tensors come from: latest, oldest, base.")] = "latest",
    seed: Annotated[int, typer.Option(help="Of rules that draw.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out if it is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Merge files of weights, without a study: safetensors, or PyTorch files that load with weights only.

    w weighs the OLD weights, in every rule that has one: w * OLD + (1 - w) * NEW. One tensor is in memory at a time. A
    record of rule, weights, digests of the inputs and the move of each tensor is written beside the output.
    """
    from study.merge import merge_named, rule_named
    from trainables.merging.files import record_of

    chosen = rule_named(
        "lerp" if rule == AVERAGE else rule,
        scale=scale,
        density=density,
        prune_top=prune_top,
        mask_strength=mask_strength,
        agree=agree,
        lines=lines,
        lines_first=lines_first,
        lines_more=lines_more,
        logit_scale=logit_scale,
    )
    record = merge_named(
        chosen,
        inputs,
        out,
        base=base,
        w=w,
        weights=weights,
        fishers=fisher or [],
        seed=seed,
        integers=integers,
        overwrite=overwrite,
        two=rule == "lerp",
    )
    if as_json:
        typer.echo(record.as_json())
        return
    moves = [move for one in record.tensors.values() if (move := one.get("relative")) is not None]
    typer.echo(f"{out}: {chosen.words} of {len(inputs)} files, {record.output['bytes'] / 1e6:.0f} MB")
    typer.echo(
        f"moved away from the {record.moved_from} by {100 * sum(moves) / max(1, len(moves)):.3g} % of a tensor's norm "
        f"on average, at most {100 * max(moves, default=0.0):.3g} %; record: {record_of(out)}"
    )


app.command(epilog=REPORT_EXAMPLES)(report)
app.command(epilog=ANALYSE_EXAMPLES)(analyse)
app.command()(findings)
app.command()(recommend)


@app.command()
def export(
    folder: FolderArgument,
    trial: Annotated[str, typer.Option(help="A trial's id, or the first letters of it.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder to write; new or empty.", show_default=False)],
    task: Annotated[int | None, typer.Option(help="After which task.", show_default="the last")] = None,
    layout: Annotated[
        str, typer.Option("--format", help="open_clip, or hf: with card and tokenizer of a hub; nothing is uploaded.")
    ] = "open_clip",
) -> None:
    """Write the served weights of a trial as a checkpoint that open_clip loads, with a card that says what they know.

    Load it with open_clip.create_model_and_transforms("local-dir:OUT") and open_clip.get_tokenizer("local-dir:OUT").
    """
    if layout not in ("open_clip", "hf"):
        raise ConfigError(f"--format: {layout!r} given; allowed: open_clip, hf")
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise ConfigError(f"--out: {out} is {'a file' if out.is_file() else 'not empty'}; give a new or empty folder")
    home = Folder(path=folder)
    definition = home.definition()
    full = make_plan(definition, str(home.definition_file))
    planned = _trial_named(full, trial)
    last = len(planned.steps) - 1
    if task is not None and not 0 <= task <= last:
        raise ConfigError(f"--task: {task} given; trial {planned.trial.id} has tasks 0 to {last}")
    import torch

    from study.export import export_weights

    store = home.store(_warn)
    absent = [key for key in planned.updates[:task] if not store.has("updates", key)]
    if absent:
        _warn(f"{len(absent)} updates of this trial are not in the store and are trained now")
    runtime = runtime_of(definition.resources, gpus=torch.cuda.device_count())
    after = last if task is None else task
    exported = export_weights(
        planned.trial.config,
        after,
        study=definition.name,
        store=store,
        runtime=runtime,
        out=out,
        layout="hf" if layout == "hf" else "open_clip",
    )
    scores = exported.summary
    typer.echo(
        f"{out}: weights of trial {planned.trial.id} ({_in_words(planned, varying_axes(full))}) after task {after}"
    )
    typer.echo(f"AKA {100 * scores.aka:.2f} %, AZS {100 * scores.azs:.2f} %")
    for note in exported.notes:
        typer.echo(f"note: {note}", err=True)


def main() -> None:
    """Entry point of the command `retune`."""
    with _exit_status():
        app()


# -- run ---------------------------------------------------------------------------------------------------------------


def _run(full: Plan, definition: StudyDefinition, home: Folder, *, executor: Executor, address: str | None) -> Tables:
    """Run what is missing; scores that turn out to be damaged are computed again in a second round."""
    store = home.store()
    store.sweep()
    home.log("run_started", study=definition.name, trials=len(full.trials), executor=executor, versions=_versions())
    tables = make_tables(full, store, {})  # reads every score, so that a damaged one is missing from here on
    failed: dict[str, str] = {}
    told = _tell_damage(home, 0)
    for _ in range(_ROUNDS):
        have = known(store)
        missing = tuple(planned for planned in full.missing(have) if planned.trial.id not in failed)
        if not missing:
            break
        write(tables, home.tables)
        progress = _progress(missing, full, have, home)
        run_trials(
            missing, have, definition=definition, folder=home, progress=progress, executor=executor, address=address
        )
        failed |= progress.failed
        tables = make_tables(full, store, failed)
        told = _tell_damage(home, told)
        if progress.interrupted:
            break
    write(tables, home.tables)
    home.log("run_ended", done=len(tables.trials) - len(tables.unfinished), failed=sorted(failed))
    return tables


def _progress(missing: tuple[PlannedTrial, ...], full: Plan, have: Known, home: Folder) -> Progress:
    done = len(full.trials) - len(missing)
    new = len({key for planned in missing for key in planned.to_train(have)})
    varying = varying_axes(full)
    typer.echo(
        f"{len(missing)} of {len(full.trials)} trials to run ({done} done), {new} updates to train; folder {home.path}",
        err=True,
    )
    return Progress(
        home,
        trials=len(missing),
        tasks=sum(len(planned.steps) - 1 for planned in missing),
        trial_names={planned.trial.id: _in_words(planned, varying) for planned in missing},
    )


def _tell_damage(home: Folder, told: int) -> int:
    """Tell the user of damaged files that this run has met, in any process; returns how many it has told by now."""
    rows = [row for row in home.last_run() if row["event"] == "damaged"]
    for row in rows[told:]:
        _warn(str(row["message"]))
    return len(rows)


def _warn(message: str) -> None:
    typer.echo(f"warning: {message}", err=True)


def _finish(tables: Tables, home: Folder) -> None:
    """Say how the run ended; raise typer.Exit unless all is done."""
    left = tables.unfinished
    failed = [row["trial"] for row in tables.trials if row["status"] == "failed"]
    if failed:
        typer.echo(f"{len(failed)} trials failed; see `retune status {home.path}` and {home.path}/log.jsonl", err=True)
        raise typer.Exit(1)
    if left:
        typer.echo(f"interrupted with {len(left)} trials to do; the same command goes on", err=True)
        raise typer.Exit(130)
    typer.echo(f"done: {len(tables.trials)} trials; write the report with: retune report {home.path}", err=True)


def _known_in(path: Path) -> Known:
    """What the store of a study's folder holds, which may not be there yet."""
    return known(Folder(path=path).store() if path.is_dir() else MemoryStore())


def _require_images(definition: StudyDefinition, full: Plan, have: Known) -> None:
    """Raises: ConfigError: something is left to compute, and images that it needs are gone or have changed."""
    if isinstance(definition.workload, Clip) and full.missing(have):
        from study.presence import require_images

        require_images(definition.workload, cache_folder())


def _time(seconds: float | None) -> str:
    return "? (too little memory)" if seconds is None else f"about {clock_time(seconds)}"


def _range(steps: Sequence[int]) -> str:
    return f"{min(steps)}" if min(steps) == max(steps) else f"{min(steps)}-{max(steps)}"


def _bounded(definition: StudyDefinition, cache_gb: float | None) -> StudyDefinition:
    """A definition with the bound of the command line in place of its own."""
    if cache_gb is None:
        return definition
    return definition.model_copy(update={"resources": definition.resources.model_copy(update={"cache_gb": cache_gb})})


def _folder_of(definition: StudyDefinition, folder: Path | None) -> Path:
    return folder if folder is not None else Path("runs") / definition.name


def _trial_named(full: Plan, name: str) -> PlannedTrial:
    matches = [planned for planned in full.trials if name and planned.trial.id.startswith(name)]
    if len(matches) != 1:
        said = "unknown" if not matches else f"short for {len(matches)} trials"
        varying, some = varying_axes(full), (matches or full.trials)[:12]
        known_ids = "\n  ".join(f"{planned.trial.id}  {_in_words(planned, varying)}" for planned in some)
        raise ConfigError(f"--trial: {name!r} is {said}; tables/trials.parquet lists all ids, such as\n  {known_ids}")
    return matches[0]


def _in_words(planned: PlannedTrial, varying: Sequence[str]) -> str:
    row = trial_row(planned, "waiting")
    return f"{describe(row, varying)} {row['block']}"


def _versions() -> dict[str, str]:
    names = ("retune", "torch", "open_clip_torch", "peft", "ray", "numpy")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}


@contextmanager
def _exit_status() -> Iterator[None]:
    """Errors that a user can act on become one message and a status; others stay what they are."""
    try:
        yield
    except ConfigError as error:
        _die(str(error), 2)
    except (StoreError, RunError, TrainingError) as error:
        _die(str(error), 1)
    except OSError as error:
        _die(f"{error.filename or 'system'}: {error.strerror or error}", 1)


def _leave_at_once() -> NoReturn:
    """After a second Ctrl-C: Ray's own clean-up could take as long as the user has just refused to wait."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_children()
    sys.stderr.write("\ninterrupted; the same command goes on\n")
    sys.stderr.flush()
    os._exit(130)


def _die(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"retune: {message}\n")
    sys.exit(code)
