"""What a plan will take: FLOPs by torch's counter, time by a short calibration on this machine, bytes by size.

Time is an estimate: each update takes what a few steps of its method took here, on as many workers as cores.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Protocol

from study.definition.resources import Resources
from study.definition.study import Keep
from study.planning.calibration import Calibration, Pace
from study.planning.gpu_paces import UTILISATION, Fit, GpuPaces
from study.planning.gpus import Gpus
from study.planning.plan import Known, Plan, PlannedTrial
from study.planning.prices import price
from study.planning.store_peak import peak_bytes
from trainables.config import Recipe
from trainables.counting.steps import update_bytes
from trainables.machine.progress_line import clock_time
from trainables.methods.method import Method
from trainables.metrics import Cost
from trainables.runtime import Runtime
from trainables.workloads.catalogue import open_workload
from trainables.workloads.workload import Workload

_STARTUP_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class Group:
    """Trials of one start, and their updates with and without sharing."""

    trials: int
    updates_total: int
    updates_unique: int


@dataclass(frozen=True, kw_only=True)
class MethodPrice:
    """What the trials of one method and the same numbers of steps cost.

    Attributes:
        method: with its rank and what it is composed with.
        steps: optimiser steps of each task.
        flops_per_step: of a forward and a backward pass; `mafs_per_step`: the same, adjusted for memory.
        mafs_per_trial: of all tasks, with passes after the steps.
        seconds_per_trial: estimated training time on one worker; None where a step takes more memory than it has, or
            nothing was timed.
        fit: how a step fits on GPUs that were asked about.
    """

    method: str
    trials: int
    steps: tuple[int, ...]
    flops_per_step: float
    mafs_per_step: float
    mafs_per_trial: float
    seconds_per_trial: float | None
    fit: Fit | None = None


@dataclass(frozen=True, kw_only=True)
class OnGpus:
    """What a plan would take on GPUs that are elsewhere.

    Attributes:
        name: of their kind; `count`: how many there are.
        memory_gb: of each.
        gpu_hours: what is to do; None where that is not known.
        utilisation: assumed share of the peak by precision.
    """

    name: str
    count: int
    memory_gb: float
    gpu_hours: float | None
    utilisation: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How a plan is timed: by real steps here, by FLOPs on GPUs that are elsewhere, or not at all.

    Attributes:
        resources: of the study.
        gpus: elsewhere.
        is_measured: whether real steps are timed, where no GPUs are named.
    """

    resources: Resources = field(default_factory=Resources)
    gpus: Gpus | None = None
    is_measured: bool = True


TIMED_HERE = Timing()


class Paces(Protocol):
    """What says how long updates and scores take; None where it is not known."""

    too_large: dict[str, None]

    def pace(self, recipe: Recipe) -> Pace | None:
        """The pace of a recipe's updates."""

    def seconds_per_sample(self) -> float | None:
        """Time of a forward pass on one sample."""


class _Unknown:
    """Nothing is timed."""

    def __init__(self) -> None:
        self.too_large: dict[str, None] = {}

    def pace(self, recipe: Recipe) -> Pace | None:  # noqa: ARG002
        return None

    def seconds_per_sample(self) -> float | None:
        return None


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Counts of a plan, and what is still to be done.

    Attributes:
        trials: trials of the grid; anchors are extra.
        updates_total: updates of all trials and anchors, as if none were shared.
        updates_unique: updates that have to exist in the end.
        updates_in_store: of these, those that the store holds.
        flops: FLOPs of all unique updates; `flops_to_do`: of those that are missing.
        seconds_to_do: estimated time on all workers; None where a step takes more memory than it has, or nothing was
            timed.
        is_timed: whether times are estimated; `gpus`: those that they are of, None for this machine.
        bytes_to_read: most bytes of updates that trials read which others trained.
        bytes_to_do: estimated growth of the store, if nothing is freed.
        bytes_peak: most bytes of updates at once, by what is kept of them while others are freed (`peak`).
        training_precision: of the trials, each once; `evaluation_precision`: of their scores.
        by_start: for each place that tasks start from, who shares what among the trials of the grid.
        by_method: prices of the methods.
        warnings: what is allowed and will hardly be meant.
    """

    trials: int
    anchors: int
    configs: int
    blocks: int
    tasks: int
    updates_total: int
    updates_unique: int
    updates_in_store: int
    evaluations_unique: int
    evaluations_in_store: int
    steps_total: int
    steps_unique: int
    flops: float
    mafs: float
    flops_to_do: float
    seconds_to_do: float | None
    is_timed: bool
    gpus: OnGpus | None
    bytes_to_do: int
    bytes_to_read: int
    bytes_peak: dict[Keep, int]
    workers: int
    training_precision: tuple[str, ...]
    evaluation_precision: str
    by_start: dict[str, Group]
    by_method: tuple[MethodPrice, ...]
    warnings: tuple[str, ...]

    def as_json(self) -> str:
        """All counts as a JSON object."""
        return json.dumps(asdict(self), indent=2)


def estimate(
    plan: Plan,
    known: Known,
    *,
    workers: int,
    runtime: Runtime,
    tell: Callable[[str], None] = lambda _: None,
    timing: Timing = TIMED_HERE,
) -> Estimate:
    """Count a plan and estimate what is missing of it; `tell` takes a line about what takes long."""
    own = [planned for planned in plan.trials if planned.trial.kind == "trial"]
    recipes = plan.unique_updates
    missing = {key for planned in plan.missing(known) for key in planned.to_train(known)}
    workload = open_workload(plan.trials[0].trial.config.workload, runtime)
    of = plan.trials[0].trial.config.workload
    prices = {planned.cost: planned.trial.config.recipe for planned in plan.trials}
    costs = _costs(plan, {key: price(recipe, of, runtime) for key, recipe in prices.items()})
    flops = {key: steps * cost.flops for key, (steps, cost) in costs.items()}
    evaluations = plan.unique_scores
    evaluations_missing = len(evaluations - known.scores)
    flops_to_do = sum(flops[key] for key in missing)
    runtime.apply()
    paces: Paces = _Unknown()
    if timing.gpus is not None:
        paces = GpuPaces(timing.gpus, own[0], timing.resources, runtime)
    elif timing.is_measured:
        paces = Calibration(workload, runtime, tell)
    training, per_sample = _seconds(paces, (recipes[key] for key in missing)), paces.seconds_per_sample()
    work = seconds = None
    if training is not None and per_sample is not None:
        work = training + evaluations_missing * workload.identity.test_samples * per_sample
        seconds = work / workers + _STARTUP_SECONDS
    by_method = _by_method(own, runtime, paces)
    sizes = {key: update_bytes(recipe.method, workload) for key, recipe in recipes.items()}
    return Estimate(
        trials=len(own),
        anchors=len(plan.trials) - len(own),
        configs=len({planned.trial.config.config_id for planned in own}),
        blocks=len({planned.trial.config.block for planned in own}),
        tasks=max(planned.trial.config.stream.tasks for planned in own),
        updates_total=sum(len(planned.updates) for planned in plan.trials),
        updates_unique=len(recipes),
        updates_in_store=len(recipes.keys() & known.updates),
        evaluations_unique=len(evaluations),
        evaluations_in_store=len(evaluations & known.scores),
        steps_total=sum(step.recipe.steps for one in plan.trials for step in one.steps if step.recipe is not None),
        steps_unique=sum(recipe.steps for recipe in recipes.values()),
        flops=sum(flops.values()),
        mafs=sum(steps * cost.mafs for steps, cost in costs.values()),
        flops_to_do=flops_to_do,
        seconds_to_do=seconds if missing or evaluations_missing else 0.0,
        is_timed=per_sample is not None,
        gpus=None if timing.gpus is None else _on(timing.gpus, timing.resources, work),
        bytes_to_do=sum(sizes[key] for key in missing) + evaluations_missing * 4096,
        bytes_to_read=sum(sizes[key] for planned in plan.trials for key in planned.updates) - sum(sizes.values()),
        bytes_peak=peak_bytes(plan, sizes.__getitem__, identity=workload.identity, workers=workers),
        workers=workers,
        training_precision=tuple(sorted({planned.trial.config.recipe.precision for planned in own})),
        evaluation_precision=own[0].evaluation.precision,
        by_start=_by_start(own),
        by_method=by_method,
        warnings=(*plan.warnings, *_large_batches(own, workload), *paces.too_large),
    )


def lines(found: Estimate, *, keep: Keep) -> Iterator[str]:
    """The estimate in lines of text; `keep` is what the study keeps of its updates."""
    yield (
        f"trials    {found.trials} = {found.configs} configs x {found.blocks} blocks, {found.tasks} tasks each; "
        f"{found.anchors} anchors"
    )
    shared = found.updates_total - found.updates_unique
    yield (
        f"updates   {found.updates_unique} unique of {found.updates_total} ({shared} shared), "
        f"{found.updates_in_store} in the store; {found.steps_unique} steps"
    )
    for start, group in found.by_start.items() if len(found.by_start) > 1 else ():
        yield (
            f"          start {start + ':':8} {group.trials} trials need {group.updates_total} updates, "
            f"{group.updates_unique} unique"
        )
    yield precision_in_words(found.training_precision, found.evaluation_precision)
    yield "steps     a task; FLOPs and MAFs of one; MAFs and training time of a trial"
    width = max(len(row.method) for row in found.by_method)
    for row in found.by_method:
        yield (
            f"          {row.method:{width}} {_range(row.steps):>5} steps; {row.flops_per_step:.3g}, "
            f"{row.mafs_per_step:.3g}; {row.mafs_per_trial:.3g}, "
            f"{time_in_words(row.seconds_per_trial) if found.is_timed else 'not timed'}"
        )
    yield f"scores    {found.evaluations_unique} evaluations, {found.evaluations_in_store} in the store"
    yield f"FLOPs     {found.flops:.3g}, memory-adjusted {found.mafs:.3g}; to do {found.flops_to_do:.3g}"
    yield f"time      {_times(found)}"
    yield from _fits(found)
    yield (
        f"bytes     about {size_in_words(found.bytes_to_do)} more in the store, and trials read "
        f"{size_in_words(found.bytes_to_read)} of each other's updates at the most; of updates at once at the most "
        f"{size_in_words(found.bytes_peak[keep])} (keep: {keep}), {size_in_words(found.bytes_peak['all'])} if nothing "
        "is freed"
    )


def _times(found: Estimate) -> str:
    if not found.is_timed:
        return "not timed"
    if found.gpus is None:
        return f"{time_in_words(found.seconds_to_do)} on {found.workers} workers here"
    shares = ", ".join(f"{100 * share:.0f} % in {precision}" for precision, share in found.gpus.utilisation.items())
    hours = "" if found.gpus.gpu_hours is None else f"about {found.gpus.gpu_hours:,.3g} GPU-hours, "
    return (
        f"{hours}{time_in_words(found.seconds_to_do)} on {found.gpus.count} {found.gpus.name}; from FLOPs at a share "
        f"of the peak ({shares}), not measured"
    )


def _fits(found: Estimate) -> Iterator[str]:
    if found.gpus is None:
        return
    kind = f"{found.gpus.name}, {found.gpus.memory_gb:g} GB"
    yield f"memory    {kind}; what a step takes (with activations computed again):"
    width = max(len(row.method) for row in found.by_method)
    for row in found.by_method:
        if row.fit is not None:
            fits = {"as it is": "fits", "recomputed": "fits with activations computed again", "no": "does not fit"}
            yield (
                f"          {row.method:{width}} {row.fit.peak_gb:.3g} GB ({row.fit.recomputed_gb:.3g} GB): "
                f"{fits[row.fit.fits]}"
            )


def _on(gpus: Gpus, resources: Resources, seconds: float | None) -> OnGpus:
    """What a number of seconds of work, one trial after the other, is on GPUs that trials may share."""
    beside = gpus.workers(resources) / gpus.number
    return OnGpus(
        name=gpus.gpu.name,
        count=gpus.number,
        memory_gb=gpus.gpu.memory_bytes / 1e9,
        gpu_hours=None if seconds is None else seconds / 3600 / beside,
        utilisation=UTILISATION,
    )


def precision_in_words(training: Sequence[str], evaluation: str) -> str:
    """The line that says in which precisions trials train and are scored."""
    return f"precision training {' and '.join(training)}, evaluation {evaluation}"


def size_in_words(size: float) -> str:
    """A number of bytes in a unit of which there are few."""
    unit = next(unit for unit in _UNITS if size < 1000 * _UNITS[unit] or unit == "TB")
    return f"{size / _UNITS[unit]:.3g} {unit}"


_UNITS = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


def time_in_words(seconds: float | None) -> str:
    """An estimated time; None where a step takes more memory than there is."""
    return "? (too little memory)" if seconds is None else f"about {clock_time(seconds)}"


def _range(steps: Sequence[int]) -> str:
    return f"{min(steps)}" if min(steps) == max(steps) else f"{min(steps)}-{max(steps)}"


def _costs(plan: Plan, prices: Mapping[str, Cost]) -> dict[str, tuple[int, Cost]]:
    """Number of passes and price of one pass, by update; all updates of a trial have the trial's price."""
    return {
        step.update: (step.passes, prices[planned.cost])
        for planned in plan.trials
        for step in planned.steps
        if step.update is not None
    }


def _seconds(paces: Paces, recipes: Iterable[Recipe]) -> float | None:
    """Time of updates one after the other; None if that of one is not known, or it does not fit in memory."""
    total = 0.0
    for recipe in recipes:
        pace = paces.pace(recipe)
        if pace is None:
            return None
        total += pace.seconds(recipe.passes)
    return total


def _large_batches(trials: Sequence[PlannedTrial], workload: Workload) -> Iterator[str]:
    """Warnings of batches that are larger than the training images of the whole stream."""
    images = len(workload.samples(workload.identity.concepts))
    for size in sorted({planned.trial.config.recipe.batch_size for planned in trials}):
        if size > images:
            yield f"batch_size: {size} samples a step, of {images} training images that the whole stream has"


def _by_start(trials: list[PlannedTrial]) -> dict[str, Group]:
    groups: dict[str, list[PlannedTrial]] = {}
    for planned in trials:
        if planned.updates:
            groups.setdefault(planned.trial.config.timeline.start, []).append(planned)
    return {
        start: Group(
            trials=len(members),
            updates_total=sum(len(planned.updates) for planned in members),
            updates_unique=len({key for planned in members for key in planned.updates}),
        )
        for start, members in groups.items()
    }


def _by_method(trials: list[PlannedTrial], runtime: Runtime, paces: Paces) -> tuple[MethodPrice, ...]:
    groups: dict[tuple[object, ...], list[PlannedTrial]] = {}
    for planned in trials:
        recipe = planned.trial.config.recipe
        key = (recipe.method, recipe.batch_size, recipe.precision, recipe.averages, _steps(planned))
        groups.setdefault(key, []).append(planned)
    found = []
    for members in groups.values():
        config = members[0].trial.config
        cost = price(config.recipe, config.workload, runtime)
        passes = sum(step.passes for step in members[0].steps)
        found.append(
            MethodPrice(
                method=_in_words(config.recipe.method),
                trials=len(members),
                steps=_steps(members[0]),
                flops_per_step=cost.flops,
                mafs_per_step=cost.mafs,
                mafs_per_trial=passes * cost.mafs,
                fit=paces.fit(config.recipe) if isinstance(paces, GpuPaces) else None,
                seconds_per_trial=_seconds(
                    paces, (step.recipe for step in members[0].steps if step.recipe is not None)
                ),
            )
        )
    return tuple(found)


def _steps(planned: PlannedTrial) -> tuple[int, ...]:
    return tuple(step.recipe.steps for step in planned.steps if step.recipe is not None)


def _in_words(method: Method) -> str:
    parts = [part for part in (method.projection, method.penalty) if part is not None and part.name != method.name]
    rank = getattr(method.adapter or method.projection, "rank", None)
    return " + ".join([method.name if rank is None else f"{method.name} r{rank}", *(part.name for part in parts)])
