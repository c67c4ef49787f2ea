"""The command `retune merge`: merges a user's files; what was asked for is checked before anything is read."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from study.commands.console import JsonOption
from trainables.frozen import ConfigError, parse
from trainables.merging.rule import ROWS, MergeRule

if TYPE_CHECKING:
    from trainables.merging.merge_files import Record

_WHERE = "merge"
AVERAGE = "average"
"""A name of `lerp` for more than two files."""

MERGE_EXAMPLES = """Examples:

retune merge --rule lerp --w 0.9 OLD NEW --out OUT.safetensors

retune merge --rule ties --density 0.3 --base BASE M1 M2 --out OUT.safetensors

retune merge --rule task_arithmetic --scale 0.4 --base BASE M1 M2 M3 --out OUT.safetensors

The instruction residual (arXiv 2410.10739), MOVED + (INSTRUCT - BASE):
retune merge --rule task_arithmetic --base BASE MOVED INSTRUCT --out OUT.safetensors"""


def _meaning(setting: str) -> str:
    """Help for a setting of merge rules: its meaning, and the names of the rules that have the setting."""
    text = str(MergeRule.model_fields[setting].description)
    rules = [name for name, row in ROWS.items() if setting in row.defaults]
    return f"{text[:1].upper()}{text[1:]}" + (f" ({', '.join(rules)})." if rules else ".")


def merge(
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
    fisher_floor: Annotated[float | None, typer.Option(help=_meaning("fisher_floor"), show_default="none")] = None,
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
    chosen = rule_named(
        "lerp" if rule == AVERAGE else rule,
        scale=scale,
        density=density,
        prune_top=prune_top,
        mask_strength=mask_strength,
        agree=agree,
        fisher_floor=fisher_floor,
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
    typer.echo(record.as_json() if as_json else "\n".join(lines_of(record, chosen, inputs, out)))


def rule_named(name: str, **settings: object) -> MergeRule:
    """The rule that the options of the command line describe; an option that is None was not given.

    Raises:
        ConfigError: an unknown rule, or a setting that it has not or that is not allowed.
    """
    given = {key: value for key, value in settings.items() if value is not None}
    return parse(MergeRule, {"name": name, **given}, source=_WHERE, named=_option)


def _option(keys: tuple[str, ...]) -> str:
    """The option that sets a key of a rule."""
    return f": --{'rule' if key == 'name' else key.replace('_', '-')}" if (key := ".".join(keys)) else ""


def merge_named(
    rule: MergeRule,
    inputs: Sequence[Path],
    out: Path,
    *,
    base: Path | None,
    w: float | None,
    weights: str | None,
    fishers: Sequence[Path],
    seed: int,
    integers: str,
    overwrite: bool,
    two: bool,
) -> "Record":
    """Merge files as the command line names them; `two`: the rule was asked for by a name that merges two.

    Raises:
        ConfigError: an option is wrong or missing, or the files cannot be merged.
    """
    import torch

    from trainables.merging.merge import MergeError, Source
    from trainables.merging.merge_files import merge_files, record_of

    if out.suffix != ".safetensors":
        raise ConfigError(f"{_WHERE}: --out: {out} given; weights are written as .safetensors")
    for there in (out, record_of(out)):
        if there.exists() and not overwrite:
            raise ConfigError(f"{_WHERE}: --out: {there} is there; name another file, or say --overwrite")
    if rule.agree is not None and rule.agree > len(inputs):
        raise ConfigError(f"{_WHERE}: --agree: {rule.agree} given; there are {len(inputs)} files that could agree")
    if not out.parent.is_dir():
        raise ConfigError(f"{_WHERE}: --out: there is no folder {out.parent}; make it first")
    if integers not in get_args(Source):
        raise ConfigError(f"{_WHERE}: --integers: {integers!r} given; allowed: {', '.join(get_args(Source))}")
    if fishers and rule.row.kind != "fisher":
        raise ConfigError(f"{_WHERE}: --fisher: the rule {rule.name} uses no Fisher matrices; leave them out")
    shares = _weights(rule, len(inputs), w=w, weights=weights, two=two)
    torch.set_num_threads(1)  # bits do not depend on the machine's cores, and memory is what limits
    try:
        return merge_files(
            rule,
            inputs,
            out,
            weights=shares,
            base=base,
            fishers=fishers,
            seed=seed,
            integers=cast("Source", integers),
        )
    except MergeError as error:
        raise ConfigError(f"{_WHERE}: {error}") from error


def _weights(
    rule: MergeRule, count: int, *, w: float | None, weights: str | None, two: bool
) -> tuple[float, ...] | None:
    """Weights of the inputs, oldest first."""
    if (w is not None or weights is not None) and not rule.row.weighs:
        raise ConfigError(f"{_WHERE}: --{'w' if weights is None else 'weights'}: the rule {rule.name} has no weights")
    if w is not None and weights is not None:
        raise ConfigError(f"{_WHERE}: --w and --weights say the same; give one of them")
    if weights is not None:
        try:
            return tuple(float(one) for one in weights.split(","))
        except ValueError as error:
            raise ConfigError(f"{_WHERE}: --weights: {weights!r} given; numbers such as 1,1,2 are needed") from error
    if w is not None:
        if count != 2 or not 0 <= w <= 1:
            what = f"{w:g} given; allowed: 0 to 1" if count == 2 else f"weighs the old of two files; there are {count}"
            raise ConfigError(f"{_WHERE}: --w: {what}")
        return w, 1 - w
    if (two or rule.row.most == 2) and count == 2:
        raise ConfigError(f"{_WHERE}: --w: missing; the weight of the OLD file, 0 to 1 (or --rule average)")
    return None


def lines_of(record: "Record", rule: MergeRule, inputs: Sequence[Path], out: Path) -> Iterator[str]:
    """What was merged and how far that moved the weights, in lines of text."""
    from trainables.merging.merge_files import record_of

    moves = [move for one in record.tensors.values() if (move := one.get("relative")) is not None]
    yield f"{out}: {rule.words} of {len(inputs)} files, {record.output['bytes'] / 1e6:.0f} MB"
    yield (
        f"moved away from the {record.moved_from} by {100 * sum(moves) / max(1, len(moves)):.3g} % of a tensor's norm "
        f"on average, at most {100 * max(moves, default=0.0):.3g} %; record: {record_of(out)}"
    )
    if record.stayed is not None:
        shares = ", ".join(f"{100 * share:.3g} %" for share in record.stayed)
        yield f"entries that stay of each file's difference from the base: {shares}"
