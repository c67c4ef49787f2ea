"""The commands `retune data check | show | verify`, beside those of `retune data import`: a look at a manifest."""

from pathlib import Path
from typing import Annotated

import typer

from study.commands.console import JsonListOption, JsonOption, note, say
from study.commands.imports import importing

CHECK_EXAMPLES = """Examples:

retune data check m.parquet

retune data check m.parquet --no-decode --json"""

SHOW_EXAMPLES = """Example:

retune data show m.parquet --out page.html --samples 24 --seed 1"""

VERIFY_EXAMPLES = """Examples:

retune data verify m.parquet --model ViT-B-32 --pretrained laion2b_s34b_b79k

retune data verify m.parquet --model tiny.json --pretrained random --datasets birds --epochs 20 --lr 1e-3"""

data = typer.Typer(no_args_is_help=True, help="Images and captions of your own: import them, check them, look at them.")
data.add_typer(importing, name="import")

ManifestArgument = Annotated[
    Path, typer.Argument(metavar="M", help="A manifest, .parquet or .csv.", show_default=False)
]


@data.command("check", epilog=CHECK_EXAMPLES)
def check_manifest(
    path: ManifestArgument,
    decode: Annotated[
        bool, typer.Option("--decode/--no-decode", help="Decode every image; without, they are only read and hashed.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Count what a manifest has, and name all that is wrong with it and with its images. Nothing is changed.

    Exit status 0 when a study can use it, else 2.
    """
    from study.data.check import check, lines

    found = check(path, decode=decode)
    if as_json:
        typer.echo(found.as_json())
    else:
        say("\n".join(lines(found)))
    if not found.usable:
        raise typer.Exit(2)


@data.command("show", epilog=SHOW_EXAMPLES)
def show_manifest(
    path: ManifestArgument,
    out: Annotated[Path, typer.Option(help="The page to write, .html.", show_default=False)],
    samples: Annotated[int, typer.Option(help="Images of each data set.")] = 12,
    seed: Annotated[int, typer.Option(help="Of the draw of images.")] = 0,
) -> None:
    """Write one page with the counts of each data set and a grid of its images, with captions, classes and splits."""
    from study.data.page import write_page

    written = write_page(path, out, samples=samples, seed=seed)
    typer.echo(f"{out}: {written / 1000:.0f} kB")


@data.command("verify", epilog=VERIFY_EXAMPLES)
def verify_manifest(
    path: ManifestArgument,
    model: Annotated[str, typer.Option(help="As in a study: an architecture, a JSON config, hf-hub:, local-dir:.")],
    pretrained: Annotated[
        str | None,
        typer.Option(help="A tag, a checkpoint file, or random.", show_default="what a hub or folder brings"),
    ] = None,
    datasets: Annotated[
        list[str] | None, typer.Option(help="One to verify; may be given more than once.", show_default="all of adapt")
    ] = None,
    epochs: Annotated[float, typer.Option(help="Passes over a data set's training images.", min=0)] = 10,
    batch_size: Annotated[int, typer.Option(help="Samples per optimiser step.", min=2)] = 512,
    lr: Annotated[float, typer.Option(help="Peak learning rate of full fine-tuning.", min=0)] = 1e-5,
    seed: Annotated[int, typer.Option(help="Of the order of the samples.", min=0)] = 0,
    folder: Annotated[Path, typer.Option("--dir", "-d", help="Folder that keeps what was trained and scored.")] = Path(
        "runs/verify"
    ),
    as_json: JsonListOption = False,
) -> None:
    """Fine-tune on each data set of group adapt alone and say whether its own score rises (arXiv 2408.14471, 3.4).

    A data set that does not rise teaches nothing: by its captions, its labels or how it is scored. Exit status 1 when
    one does not. What was trained is kept, so the same command again only trains what is missing.
    """
    from study.data.verify import as_json as written
    from study.data.verify import verify
    from study.definition.resources import Resources
    from trainables.frozen import parse
    from trainables.store.local import LocalStore
    from trainables.workloads.catalogue import open_workload, require_data
    from trainables.workloads.clip.settings import Clip
    from trainables.workloads.clip.workload import ClipWorkload

    named = {"name": model} if pretrained is None else {"name": model, "pretrained": pretrained}
    workload = parse(Clip, {"model": named, "data": str(path)}, source="verify").with_whole_paths(Path.cwd())
    runtime = Resources().here()
    runtime.apply()
    require_data(workload, runtime.cache)
    opened = open_workload(workload, runtime)
    assert isinstance(opened, ClipWorkload)
    verdicts = []
    for one in verify(
        opened,
        LocalStore(folder / "store"),
        runtime,
        datasets=tuple(datasets or ()),
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        seed=seed,
    ):
        verdicts.append(one)
        if not as_json:
            say(one.in_words())
    if as_json:
        typer.echo(written(verdicts))
    if not all(one.rises for one in verdicts):
        note(
            f"full fine-tuning at lr {lr:g} for {epochs:g} epochs in batches of {batch_size}: before you distrust the "
            "data, try a larger --lr, more --epochs, or a smaller --batch-size"
        )
        raise typer.Exit(1)
