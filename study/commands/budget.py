"""The command `retune budget`: says how many steps a compute budget buys each method."""

import gc
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from study.commands.console import JsonListOption, note

BUDGET_EXAMPLES = """Examples:

retune budget --model ViT-B-16 --batch-size 512 --total 1.8e9 --tasks 20 50 100 200

retune budget --model ViT-L-14 --methods full lora ewc --rank 8 --accounting paper --json"""


class Listing(TyperCommand):
    """A command whose options of several values take them all after one name: --tasks 20 50 100."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the name before every value but the first, as the base class takes them."""
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


def budget(
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
    as_json: JsonListOption = False,
) -> None:
    """Say how many steps a compute budget buys each method: FLOPs, memory, memory-adjusted FLOPs (MAFs), steps a task.

    Everything is counted on shapes alone: no GPU, no weights, no data. MAFs are FLOPs x peak memory / that of full
    fine-tuning; FLOPs are of a forward and a backward pass of the whole batch. EWC's Fisher matrix is paid once a task.
    Steps are rounded to the nearest, so a task may cost half a step more than its share.
    """
    gc.disable()  # a sixth of the time: each collection walks over all that the libraries have made
    try:
        from study.planning import budget_table
        from trainables.workloads.clip.zoo import without_data

        workload = without_data(model)
        default = budget_table.possible(workload, rank)
        if methods is None and (without := [name for name in budget_table.DEFAULT if name not in default]):
            note(f"left out, since {model} cannot have them: {', '.join(without)}")
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
    finally:
        gc.freeze()  # the libraries, which stay, are not walked over at the end either
        gc.enable()
    typer.echo(budget_table.as_json(found) if as_json else "\n".join(budget_table.table(found, accounting)))
