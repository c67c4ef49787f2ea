"""What a search will take at the most, before it runs: nobody knows yet which configs it asks for."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from study.definition.study import StudyDefinition
from study.planning.estimate import (
    TIMED_HERE,
    MethodPrice,
    Timing,
    estimate,
    precision_in_words,
    size_in_words,
    time_in_words,
)
from study.planning.plan import Known, Plan
from study.planning.searched import space_of
from study.search.check import probing
from trainables.counting.steps import update_bytes
from trainables.runtime import Runtime
from trainables.workloads.catalogue import open_workload


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """Bounds of a search; None stands for no bound.

    Attributes:
        sampler: Optuna's.
        objectives: what is to be high.
        choices: what the sampler chooses, with how many values each has.
        configs: points of the space.
        ends: what ends the search.
        first_blocks: blocks that every config runs on; `blocks`: those that some of them may run on.
        anchors: trials of the joint anchor.
        trials: the most trials of configs; `suggested`: configs so far; `done`: trials so far.
        tasks: the most tasks of a trial.
        mafs_per_trial: of the dearest config that was looked at, and so on.
        flops: of the most trials, if all were the dearest, and so on.
        seconds: of training on all workers here.
        training_precision: of the trials, each once; `evaluation_precision`: of their scores.
        by_method: prices of the methods, at the ends of their ranges.
        warnings: what is allowed and will hardly be meant.
    """

    sampler: str
    objectives: tuple[str, ...]
    choices: dict[str, int | None]
    configs: int | None
    ends: tuple[str, ...]
    first_blocks: int
    blocks: int
    anchors: int
    trials: int | None
    suggested: int
    done: int
    tasks: int
    flops_per_trial: float
    mafs_per_trial: float
    seconds_per_trial: float | None
    bytes_per_trial: int
    flops: float | None
    mafs: float | None
    seconds: float | None
    bytes: int | None
    workers: int
    training_precision: tuple[str, ...]
    evaluation_precision: str
    by_method: tuple[MethodPrice, ...]
    warnings: tuple[str, ...]

    def as_json(self) -> str:
        """All of it as a JSON object."""
        return json.dumps(asdict(self), indent=2)


def outlook(
    definition: StudyDefinition,
    source: str,
    plan: Plan,
    known: Known,
    *,
    workers: int,
    runtime: Runtime,
    tell: Callable[[str], None],
    timing: Timing = TIMED_HERE,
) -> Outlook:
    """Bounds of a search; `plan` is the study as far as it has come, `tell` takes a line about what takes long."""
    search = definition.search
    assert search is not None
    space, shown = space_of(definition, source), probing(definition, source)
    counts = estimate(shown, known, workers=workers, runtime=runtime, tell=tell, timing=timing)
    workload = open_workload(definition.workload, runtime)
    size = max(
        sum(update_bytes(step.recipe.method, workload) for step in one.steps if step.recipe is not None)
        for one in shown.trials
    )
    own = [one for one in plan.trials if one.trial.kind == "trial"]
    most = most_trials(definition, space.size)
    dearest = max(counts.by_method, key=lambda row: row.mafs_per_trial)
    flops = max(sum(row.steps) * row.flops_per_step for row in counts.by_method)
    times = [row.seconds_per_trial for row in counts.by_method]
    seconds = None if None in times else max(time for time in times if time is not None)
    anchors = len(plan.trials) - len(own)
    return Outlook(
        sampler=search.sampler,
        objectives=tuple(search.objectives),
        choices={name: one.size for name, one in space.choices.items()},
        configs=space.size,
        ends=tuple(_ends(definition, is_finite=space.size is not None)),
        first_blocks=search.first_blocks,
        blocks=len(definition.blocks),
        anchors=anchors,
        trials=most,
        suggested=len({one.trial.config.config_id for one in own}),
        done=sum(one.is_done(known) for one in own),
        tasks=counts.tasks,
        flops_per_trial=flops,
        mafs_per_trial=dearest.mafs_per_trial,
        seconds_per_trial=seconds,
        bytes_per_trial=size,
        flops=None if most is None else most * flops,
        mafs=_least(
            search.stop.mafs and search.stop.mafs + search.first_blocks * dearest.mafs_per_trial,
            None if most is None else most * dearest.mafs_per_trial,
        ),
        seconds=None if most is None or seconds is None else most * seconds / workers,
        bytes=None if most is None else most * size,
        workers=workers,
        training_precision=counts.training_precision,
        evaluation_precision=counts.evaluation_precision,
        by_method=counts.by_method,
        warnings=counts.warnings,
    )


def most_trials(definition: StudyDefinition, configs: int | None) -> int | None:
    """The most trials of a search through so many configs: the last config runs on all first blocks, too."""
    search = definition.search
    assert search is not None
    asked = search.stop.trials and search.stop.trials + search.first_blocks - 1
    bounds = asked, configs and configs * len(definition.blocks)
    return min((bound for bound in bounds if bound is not None), default=None)


def lines(found: Outlook) -> Iterator[str]:
    """The bounds in lines of text."""
    configs = "without end" if found.configs is None else f"of {found.configs} configs"
    chosen = ", ".join(name if size is None else f"{name} ({size})" for name, size in found.choices.items())
    yield f"search    by {found.sampler} for {' and '.join(found.objectives)}, in a space {configs}: {chosen}"
    most = "as many trials as it takes" if found.trials is None else f"at most {found.trials} trials"
    yield (
        f"trials    {most} of {found.tasks} tasks each, on {found.first_blocks} of {found.blocks} blocks first; "
        f"{found.suggested} configs and {found.done} trials so far; {found.anchors} anchors at least"
    )
    yield precision_in_words(found.training_precision, found.evaluation_precision)
    yield f"ends      with {', or '.join(found.ends)}"
    yield (
        f"a trial   at most {found.flops_per_trial:.3g} FLOPs, {found.mafs_per_trial:.3g} MAFs, "
        f"{time_in_words(found.seconds_per_trial)} of training, {size_in_words(found.bytes_per_trial)} of updates"
    )
    if found.trials is None:
        bound = "" if found.mafs is None else f", but {found.mafs:.3g} MAFs"
        yield f"in all    no bound{bound}"
        return
    size = "" if found.bytes is None else f", {size_in_words(found.bytes)} if nothing is freed"
    yield (
        f"in all    at most {found.flops:.3g} FLOPs, {found.mafs:.3g} MAFs, "
        f"{time_in_words(found.seconds)} of training on {found.workers} workers here{size}; anchors come on top"
    )


def _ends(definition: StudyDefinition, *, is_finite: bool) -> Iterator[str]:
    assert definition.search is not None
    stop = definition.search.stop
    for unit, most in (("trials", stop.trials), ("MAFs", stop.mafs), ("hours of training", stop.hours)):
        if most is not None:
            yield f"{most:g} {unit}"
    if stop.hypervolume_plateau is not None:
        yield f"{stop.hypervolume_plateau.trials} configs that add no more than {stop.hypervolume_plateau.by:g}"
    if is_finite:
        yield "the last config of the space"


def _least(*bounds: float | None) -> float | None:
    return min((bound for bound in bounds if bound is not None), default=None)
