"""A status in lines of text: about a screen, however large the study."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from study.results.gain import Best
from study.status.status import MethodStatus, NodeStatus, Spent, Status, TrialStatus
from trainables.machine.progress_line import clock_time
from trainables.nodes import NUMERICS_VERSION

_METHODS, _NODES, _ERRORS = 12, 8, 5
"""Rows of a screen; the rest is counted, and in the JSON."""


def lines(now: Status, *, folder: str, trials: bool) -> Iterator[str]:
    """The status for a reader.

    Args:
        now: what to show.
        folder: the study's folder as the user named it, for what to do next.
        trials: whether to list every trial.
    """
    yield f"study {now.study}: {now.state}" + _for(now.elapsed_seconds)
    if now.numerics != NUMERICS_VERSION:
        yield f"version   made under version {now.numerics} of the numerics; this release has {NUMERICS_VERSION}"
    yield f"trials    {now.done}/{now.trials} done, {_others(now)}"
    yield f"tasks     {now.tasks_done}/{now.tasks} done; updates {now.updates_trained}/{now.updates_unique} trained"
    if now.tasks_per_minute is not None and now.seconds_left is not None:
        yield f"rate      {_rate(now.tasks_per_minute)}, about {clock_time(now.seconds_left)} left"
    yield f"cost      {_cost(now.spent)}"
    if now.spent.wasted_attempts:
        yield f"waste     {_waste(now.spent)}"
    if len(now.device_names) > 1:
        yield f"devices   {_kinds(now.device_names)}: numbers of different kinds differ by rounding"
    yield from _best(now.best_configs)
    yield from _table(_HEAD_OF_METHODS, map(_method, now.methods), most=_METHODS)
    yield from _table(_HEAD_OF_NODES, map(_node, now.nodes), most=_NODES)
    if trials:
        yield from _table(_HEAD_OF_TRIALS, map(_trial, now.by_trial), most=len(now.by_trial))
    for trial, error in tuple(now.errors.items())[:_ERRORS]:
        yield f"failed    {trial}: {error}"
    if len(now.errors) > _ERRORS:
        yield f"          and {len(now.errors) - _ERRORS} more, in --json"
    if now.failed and now.failed + now.done + now.stopped == now.trials:
        yield "change what failed in the study, or run it again to try once more"
    if now.state == "not running" and now.numerics != NUMERICS_VERSION:
        yield f"how to go on is said by: retune run {folder}/study.yaml --dir {folder}"
    elif now.state == "not running":
        yield f"go on with: retune run {folder}/study.yaml --dir {folder}"


def _kinds(device_names: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({_attempts(count)})" for name, count in device_names.items())


def _for(seconds: float | None) -> str:
    return "" if seconds is None else f" for {clock_time(seconds)}"


def _others(now: Status | MethodStatus) -> str:
    stopped = f"{now.stopped} stopped, " if now.stopped else ""
    return f"{now.running} running, {now.waiting} waiting, {stopped}{now.failed} failed"


def _rate(per_minute: float) -> str:
    return f"{per_minute:.0f} tasks/min" if per_minute >= 10 else f"{60 * per_minute:.3g} tasks/h"


def _cost(spent: Spent) -> str:
    gpus = f", {spent.gpu_hours:.3g} GPU-hours" if spent.gpu_hours else ""
    return f"{spent.mafs:.3g} MAFs, {spent.flops:.3g} FLOPs; {spent.worker_hours:.3g} worker-hours{gpus}"


def _waste(spent: Spent) -> str:
    share = f" ({100 * spent.wasted_hours / spent.worker_hours:.2g} %)" if spent.worker_hours else ""
    attempts = _attempts(spent.wasted_attempts)
    return f"{spent.wasted_hours:.3g} of these hours{share}: {attempts} failed, killed or interrupted within a task"


def _attempts(count: int) -> str:
    return "1 attempt" if count == 1 else f"{count} attempts"


def _best(best: Sequence[Best]) -> Iterator[str]:
    for i, one in enumerate(best):
        head = ("best gain" if one.gain is not None else "best GM") if i == 0 else ""
        gain = "" if one.gain is None else f"{one.gain:+.2f} points, "
        blocks = f"{one.blocks} block{'s' if one.blocks > 1 else ''}"
        yield (
            f"{head:9} {one.config}: {gain}AKA {100 * one.aka:.1f} %, AZS {100 * one.azs:.1f} %, "
            f"GM {100 * one.gm:.1f} % ({blocks}; trial {one.trial})"
        )


_HEAD_OF_METHODS = ("method", "done", "running", "waiting", "failed", "tasks", "MAFs", "hours", "wasted", "best gain")


def _method(row: MethodStatus) -> tuple[str, ...]:
    best = "-" if row.best is None or row.best.gain is None else f"{row.best.gain:+.2f} {row.best.config}"
    return (
        row.method,
        f"{row.done}/{row.trials}",
        f"{row.running}",
        f"{row.waiting}",
        f"{row.failed}",
        f"{row.tasks_done}/{row.tasks}",
        f"{row.spent.mafs:.3g}",
        f"{row.spent.worker_hours:.3g}",
        f"{row.spent.wasted_hours:.3g}",
        best,
    )


_HEAD_OF_NODES = ("node", "running", "tasks", "rate", "failed", "hours", "wasted", "devices")


def _node(row: NodeStatus) -> tuple[str, ...]:
    return (
        row.node,
        f"{row.running}",
        f"{row.tasks_done}",
        _rate(row.tasks_per_minute),
        f"{row.failed}",
        f"{row.worker_hours:.3g}",
        f"{row.wasted_hours:.3g}",
        ", ".join(row.devices) or "-",
    )


_HEAD_OF_TRIALS = ("trial", "state", "task", "AKA", "AZS", "gain", "tries", "time", "node", "config")


def _trial(row: TrialStatus) -> tuple[str, ...]:
    return (
        row.trial,
        row.state,
        f"{row.task}/{row.tasks}",
        "-" if row.aka is None else f"{100 * row.aka:.1f}",
        "-" if row.azs is None else f"{100 * row.azs:.1f}",
        "-" if row.gain is None else f"{row.gain:+.2f}",
        f"{row.attempts}",
        "-" if row.seconds is None else clock_time(row.seconds),
        row.node or "-",
        f"{row.config} {row.block}",
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]], *, most: int) -> Iterator[str]:
    """A table in columns, after an empty line; nothing if there are no rows."""
    body = list(rows)
    if not body:
        return
    shown = [head, *body[:most]]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    yield ""
    for cells in shown:
        yield "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
    if len(body) > most:
        yield f"and {len(body) - most} more, in --json"
