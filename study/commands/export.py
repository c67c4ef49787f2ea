"""The command `retune export`: served weights as a checkpoint, or the whole study for Optuna's tools."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from study.commands.console import FolderArgument, note, warn
from study.folder.folder import Folder
from study.planning.plan import Plan, PlannedTrial
from study.results.labels import in_words, varying_axes
from trainables.dependencies import needs_of
from trainables.frozen import ConfigError
from trainables.lineages import Lineages
from trainables.nodes import scores_key
from trainables.workloads.catalogue import identify

EXPORT_EXAMPLES = """Examples:

retune export runs/demo --trial 1a2b3c --out model

retune export runs/demo --optuna demo.log && optuna-dashboard demo.log"""


def export(
    folder: FolderArgument,
    trial: Annotated[
        str | None, typer.Option(help="A trial's id, or the first letters of it.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; new or empty.", show_default=False)] = None,
    task: Annotated[int | None, typer.Option(help="After which task.", show_default="the last")] = None,
    layout: Annotated[
        str, typer.Option("--format", help="open_clip, or hf: with card and tokenizer of a hub; nothing is uploaded.")
    ] = "open_clip",
    optuna: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Instead of weights: the study as an Optuna journal, which optuna-dashboard opens; replaced if there.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write the served weights of a trial as a checkpoint that open_clip loads, with a card that says what they know.

    Load it with open_clip.create_model_and_transforms("local-dir:OUT") and open_clip.get_tokenizer("local-dir:OUT").

    With --optuna write what the study found instead: an Optuna study of two objectives, AKA and AZS, with one trial for
    each config and its means over blocks. It is made anew every time, and nothing reads it back.
    """
    if optuna is not None:
        if trial is not None or out is not None or task is not None:
            raise ConfigError("--optuna: writes a whole study, so --trial, --out and --task have no meaning beside it")
        _export_study(folder, optuna)
        return
    if trial is None or out is None:
        raise ConfigError("--trial and --out are needed to write weights, or --optuna FILE to write the study")
    if layout not in ("open_clip", "hf"):
        raise ConfigError(f"--format: {layout!r} given; allowed: open_clip, hf")
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise ConfigError(f"--out: {out} is {'a file' if out.is_file() else 'not empty'}; give a new or empty folder")
    home = Folder(path=folder)
    definition = home.definition()
    full = home.plan()
    planned = _trial_named(full, trial)
    last = len(planned.steps) - 1
    if task is not None and not 0 <= task <= last:
        raise ConfigError(f"--task: {task} given; trial {planned.trial.id} has tasks 0 to {last}")

    from study.export.checkpoint import export_weights

    store = home.store(warn)
    after = last if task is None else task
    identity = identify(definition.workload)
    numerics = home.numerics
    served = list(Lineages(identity, numerics).of(planned.trial.config))[after].served
    train = needs_of([served], store.keys("updates"), identity.anatomy).train
    if home.is_of_another_version:
        known = scores_key(served, identity.suite_of(definition.evaluation)) == planned.steps[after].scores
        is_scored = scores_key(served, identity.suite_of(definition.evaluation.of_all)) in store.keys("scores")
        _require_there(home, planned, known=known, is_scored=is_scored, train=train)
    elif train:
        warn(f"{len(train)} updates of this trial are not in the store and are trained now")
    runtime = definition.resources.here()
    exported = export_weights(
        planned.trial.config,
        after,
        study=definition.name,
        store=store,
        runtime=runtime,
        out=out,
        layout="hf" if layout == "hf" else "open_clip",
        numerics=numerics,
    )
    scores = exported.summary
    typer.echo(
        f"{out}: weights of trial {planned.trial.id} ({in_words(planned, varying_axes(full))}) after task {after}"
    )
    typer.echo(f"AKA {100 * scores.aka:.2f} %, AZS {100 * scores.azs:.2f} %")
    for one in exported.notes:
        note(f"note: {one}")


def _require_there(
    home: Folder, planned: PlannedTrial, *, known: bool, is_scored: bool, train: Collection[str]
) -> None:
    """Raises: ConfigError: this release cannot put together what another version served."""
    if not known:
        why = "this release makes its weights otherwise"
    elif train:
        why = f"{len(train)} updates of it are not in the store"
    elif not is_scored:
        why = "these weights were not scored on all test images"
    else:
        return
    raise ConfigError(
        f"{home.path}: trial {planned.trial.id} was made under version {home.numerics} of the numerics, and {why}; "
        f"export it with {home.release_in_words}, or train it anew: retune run STUDY --anew"
    )


def _export_study(folder: Path, out: Path) -> None:
    from study.export.optuna_journal import export_study

    if out.is_dir():
        raise ConfigError(f"--optuna: {out} is a folder; give a file to write")
    written = export_study(Folder(path=folder), out)
    said = ", ".join(f"{count} {state}" for state, count in written.items() if count)
    typer.echo(f"{out}: {sum(written.values())} configs ({said}); look at it with: optuna-dashboard {out}")


def _trial_named(full: Plan, name: str) -> PlannedTrial:
    matches = [planned for planned in full.trials if name and planned.trial.id.startswith(name)]
    if len(matches) != 1:
        said = "unknown" if not matches else f"short for {len(matches)} trials"
        varying, some = varying_axes(full), (matches or full.trials)[:12]
        known_ids = "\n  ".join(f"{planned.trial.id}  {in_words(planned, varying)}" for planned in some)
        raise ConfigError(f"--trial: {name!r} is {said}; tables/trials.parquet lists all ids, such as\n  {known_ids}")
    return matches[0]
