"""The command line: methods, budget, plan, fetch, run, status, report, export, gc, merge, data.

Exit status: 0 when everything asked for is done, 1 when something failed, 2 for wrong input, 130 when interrupted.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from gc import freeze
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand

from study.commands.data import data
from study.commands.export import EXPORT_EXAMPLES, export
from study.commands.gc import gc
from study.commands.report import ANALYSE_EXAMPLES, REPORT_EXAMPLES, analyse, findings, recommend, report
from study.commands.run import DirOption, StudyArgument, fetch, folder_of, known_in, require_images, run, warn
from study.commands.status import STATUS_EXAMPLES, show_status
from study.definition.study import StudyDefinition, load
from study.folder.folder import Folder
from study.planning.plan import PlannedTrial, make_plan
from study.planning.trials import scalings
from study.running.cluster.nodes import slots, this_machine, unfit
from study.running.progress import clock_time
from study.running.run import RunError
from study.search.check import check_search, probes, probing
from trainables.config import Pocket
from trainables.frozen import ConfigError
from trainables.merging.rule import ROWS, MergeRule
from trainables.runtime import Runtime, TrainingError
from trainables.store.store import StoreError

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
    check_search(definition, source)
    path = folder_of(definition, folder)
    full = make_plan(definition, source, Folder(path=path).decisions.read())
    runtime = definition.resources.here()
    if stream:
        full = full if definition.search is None else probing(definition, source)
        from study.planning import stream_table as taught
        from trainables.workloads import open_workload

        found = taught.streams(full, open_workload(definition.workload, runtime))
        typer.echo(taught.as_json(found) if as_json else "\n".join(taught.table(found)))
        return
    have = known_in(definition, path)
    require_images(definition, full, have)
    typer.echo("counting FLOPs and timing a few steps on this machine ...", err=True)
    from study.planning.estimate import estimate

    workers = _room_here(definition, full.trials or probes(definition, source))
    tell = partial(typer.echo, err=True)
    if definition.search is not None:
        from study.search.search_bounds import lines, outlook

        bounds = outlook(definition, source, full, have, workers=workers, runtime=runtime, tell=tell)
        for line in bounds.warnings:
            warn(line)
        head = f"study {definition.name} ({source}), folder {path}"
        typer.echo(bounds.as_json() if as_json else "\n".join([head, *lines(bounds)]))
        return
    counts = estimate(full, have, workers=workers, runtime=runtime, tell=tell)
    for line in counts.warnings:
        warn(line)
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
    typer.echo(
        f"bytes     about {counts.bytes_to_do / 1e6:.0f} MB more in the store; of updates at once at the most "
        f"{counts.bytes_peak[definition.keep] / 1e6:.0f} MB (keep: {definition.keep}), "
        f"{counts.bytes_peak['all'] / 1e6:.0f} MB if nothing is freed"
    )


app.command()(fetch)
app.command()(run)
app.command()(gc)


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
    from study.planning.method_table import impossible, table
    from study.planning.method_table import methods as listed
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
    from study.planning import budget_table
    from trainables.workloads.clip.zoo import without_data

    workload = without_data(model)
    default = budget_table.possible(workload, rank)
    if methods is None and (without := [name for name in budget_table.DEFAULT if name not in default]):
        typer.echo(f"left out, since {model} cannot have them: {', '.join(without)}", err=True)
    found = budget_table.rows(
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
        typer.echo(budget_table.as_json(found))
        return
    for line in budget_table.table(found, accounting):
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
    from study.commands.merge import merge_named, rule_named
    from trainables.merging.merge_files import record_of

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
app.command("status", epilog=STATUS_EXAMPLES)(show_status)
app.command(epilog=EXPORT_EXAMPLES)(export)


def main() -> None:
    """Entry point of the command `retune`."""
    try:
        with _exit_status():
            app()
    finally:
        freeze()  # at its end Python looks through all objects once more: a second of work after open_clip


def _room_here(definition: StudyDefinition, trials: Sequence[PlannedTrial]) -> int:
    """How many of some trials run at once here; it warns where one cannot."""
    here = this_machine()
    methods = {planned.trial.config.recipe.method.name for planned in trials}
    bundles = {name: definition.resources.bundle(name, gpus=here.total["GPU"]) for name in sorted(methods)}
    if (why := unfit(bundles, [here])) is not None:
        warn(f"resources: {why}; this study needs a cluster (retune run --address), or less in `resources`")
    return max(1, slots(bundles.values(), [here]))


def _time(seconds: float | None) -> str:
    return "? (too little memory)" if seconds is None else f"about {clock_time(seconds)}"


def _range(steps: Sequence[int]) -> str:
    return f"{min(steps)}" if min(steps) == max(steps) else f"{min(steps)}-{max(steps)}"


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


def _die(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"retune: {message}\n")
    sys.exit(code)
