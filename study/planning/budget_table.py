"""The table of budgets: what a step of each method costs on a model, and the steps that a total buys."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import cast, get_args

import torch

from study.planning.prices import MOST_STEPS, affordable_steps
from trainables.config import Precision
from trainables.counting.steps import StepCost, measured_peak, paper_step_cost, step_cost
from trainables.frozen import ConfigError, suggestion
from trainables.methods.method import METHODS, Method, hyperparameters, named
from trainables.methods.scope import refusal
from trainables.metrics import Accounting
from trainables.workloads.workload import Workload

MERGED = "ema"
"""A row that is full fine-tuning: merging costs no matrix product."""

DEFAULT = (
    *("full", "locked_image", "locked_text", "lnfit", "bitfit", "lora", "dora", "vera", "galore", "ewc", "si"),
    MERGED,
)
GIGA = 1e9
_ACCOUNTINGS = {
    "ours": "Used: ours, a step as it is computed here. In brackets: the paper's (arXiv 2408.14471), which counts\n"
    "lora, dora and vera as full updates of q, k, v and mlp_out, and EWC's Fisher matrix in every step\n"
    "(--accounting paper).",
    "paper": "Used: the paper's (arXiv 2408.14471), which counts lora, dora and vera as full updates of q, k, v and\n"
    "mlp_out, and EWC's Fisher matrix in every step. In brackets: ours, what is computed here; --accounting ours.",
}


@dataclass(frozen=True, kw_only=True)
class BudgetRow:
    """A method's budget.

    Attributes:
        method: name of the method, or "ema" for EMA-merge.
        rank: of methods that have one.
        gflops_per_step: 1e9 FLOPs of a forward and a backward pass, for the whole batch.
        memory_ratio: peak memory over that of full fine-tuning.
        peak_gb: peak memory of a step, in 1e9 bytes, by the accounting in use.
        mafs: memory-adjusted FLOPs of a step, in the same unit as `gflops_per_step`.
        steps_per_task: by number of tasks, the steps that the total buys for each.
        gflops_by: 1e9 FLOPs of a step by each accounting; the one in use is `gflops_per_step`.
    """

    method: str
    rank: int | None
    gflops_per_step: float
    memory_ratio: float
    peak_gb: float
    mafs: float
    steps_per_task: dict[str, int]
    gflops_by: dict[str, float]


def rows(
    workload: Workload,
    *,
    batch_size: int,
    total: float,
    tasks: Sequence[int],
    methods: Sequence[str],
    rank: int | None,
    precision: str,
    accounting: str,
    device: str | None = None,
) -> list[BudgetRow]:
    """Budgets of methods; `total` is in 1e9 memory-adjusted FLOPs for the whole stream.

    Memory is estimated on shapes, or with a CUDA `device` measured there.

    Raises:
        ConfigError: an unknown method, one that the model cannot have, or a total below one step a task; no such
            device, or one that is too small.
    """
    for option, value, allowed in (("precision", precision, Precision), ("accounting", accounting, Accounting)):
        if value not in get_args(allowed):
            raise ConfigError(f"budget: --{option}: {value!r} given; allowed: {', '.join(get_args(allowed))}")
    if device is not None:
        _require(device, accounting)
    if not 0 < total < math.inf:
        raise ConfigError(f"budget: --total: {total:g} given; allowed: above 0, in 1e9 memory-adjusted FLOPs")
    chosen = [(name, _method(name, rank)) for name in dict.fromkeys(methods)]
    refused = {name: why for name, method in chosen if (why := refusal(method, workload.identity.anatomy))}
    if refused:
        why = next(iter(refused.values()))
        others = " ".join(one for one, _ in chosen if one not in refused)
        raise ConfigError(f"budget: --methods: {why}" + (f"; allowed of these: {others}" if others else ""))

    def peak_of(method: Method, cost: StepCost) -> int:
        if device is None:
            return cost.peak_bytes
        try:
            return measured_peak(method, workload, batch_size, device, precision=cast("Precision", precision))
        except torch.OutOfMemoryError as error:
            raise ConfigError(
                f"budget: --device: a step of {method.name} on {batch_size} samples does not fit on {device}; take a "
                "smaller --batch-size, or leave --device out"
            ) from error

    full = named("full")
    full_peak = peak_of(full, step_cost(full, workload, batch_size, precision=cast("Precision", precision)))
    counts = {"ours": step_cost, "paper": paper_step_cost}
    found = []
    for name, method in chosen:
        costs = {
            by: count(method, workload, batch_size, precision=cast("Precision", precision))
            for by, count in counts.items()
        }
        cost = costs[accounting]
        peak = peak_of(method, cost)
        memory_ratio = peak / full_peak
        mafs = cost.flops / GIGA * memory_ratio
        extra = partial(_extra_passes, method, batch_size, paper=accounting == "paper")
        steps = {str(one): affordable_steps(total / one / mafs, extra) for one in tasks}
        for one, some in steps.items():
            if not 0 < some < MOST_STEPS:
                bought = "more steps than can be run" if some else "less than one step"
                raise ConfigError(
                    f"budget: --total: {total:g} buys {name} {bought} in each of {one} tasks; one step in each takes "
                    f"{int(one) * mafs * (1 + extra(1)):.4g}"
                )
        found.append(
            BudgetRow(
                method=name,
                rank=getattr(method.adapter or method.projection, "rank", None),
                gflops_per_step=cost.flops / GIGA,
                memory_ratio=memory_ratio,
                peak_gb=peak / GIGA,
                mafs=mafs,
                steps_per_task=steps,
                gflops_by={by: one.flops / GIGA for by, one in costs.items()},
            )
        )
    return found


def possible(workload: Workload, rank: int | None) -> tuple[str, ...]:
    """The default rows without those that a model cannot have, such as adapters on a tower of convolutions."""
    return tuple(name for name in DEFAULT if not refusal(_method(name, rank), workload.identity.anatomy))


def as_json(found: Sequence[BudgetRow]) -> str:
    """The rows as a JSON list."""
    listed = [{key: value for key, value in asdict(row).items() if key != "gflops_by"} for row in found]
    return json.dumps(listed, indent=2)


def table(found: Sequence[BudgetRow], accounting: str) -> Iterator[str]:
    """The rows as lines of text."""
    tasks = list(found[0].steps_per_task)
    other = "paper" if accounting == "ours" else "ours"
    cells = [
        (
            "method",
            "rank",
            "GFLOPs/step",
            f"({other}'s)".replace("s's", "s"),
            "GB",
            "memory",
            "MAFs/step",
            *(f"T={count}" for count in tasks),
        )
    ]
    for row in found:
        cells.append(
            (
                row.method,
                "-" if row.rank is None else str(row.rank),
                f"{row.gflops_per_step:,.1f}",
                f"({row.gflops_by[other]:,.1f})",
                f"{row.peak_gb:.1f}",
                f"{row.memory_ratio:.4f}",
                f"{row.mafs:,.1f}",
                *(f"{row.steps_per_task[count]:,}" for count in tasks),
            )
        )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        name, *numbers = (
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        yield "  ".join([name, *numbers])
    yield ""
    yield _ACCOUNTINGS[accounting]


def _method(name: str, rank: int | None) -> Method:
    if name == MERGED:
        return named("full")
    if name not in METHODS or named(name).trains_nothing:
        trained = [one for one in METHODS if not named(one).trains_nothing]
        meant = suggestion(name, trained)
        raise ConfigError(f"budget: --methods: {name!r} is unknown; {meant}allowed: {', '.join((*trained, MERGED))}")
    return named(name, rank=rank) if rank is not None and "rank" in hyperparameters(name) else named(name)


def _require(device: str, accounting: str) -> None:
    """Raises: ConfigError: memory cannot be measured there."""
    if accounting != "ours":
        raise ConfigError("budget: --device: it measures our own steps; leave it out, or --accounting")
    count = torch.cuda.device_count()
    names = ["cuda", *(f"cuda:{i}" for i in range(count))] if count else []
    if device not in names:
        allowed = f"allowed: {', '.join(names)}" if names else "this machine has no CUDA device; leave it out"
        raise ConfigError(f"budget: --device: {device!r} given; {allowed}")


def _extra_passes(method: Method, batch_size: int, steps: int, *, paper: bool) -> int:
    """Passes after the steps of a task; none in the paper's accounting, which counts them in every step."""
    if paper or method.penalty is None:
        return 0
    return method.penalty.extra_batches(batch_size=batch_size, steps=steps)
