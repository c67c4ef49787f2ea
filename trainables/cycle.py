"""The continual update cycle (arXiv 2408.14471, section 4): for each task an update, the served weights, their scores.

`lineages` names what a cycle builds, and `build` makes it; a timeline says where an update starts and what is served.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from trainables.config import TrialConfig
from trainables.lineages import Lineages, Step
from trainables.metrics import Score
from trainables.workloads.settings import Subset

if TYPE_CHECKING:
    from trainables.build import Builder

Report = Callable[[Step, tuple[Score, ...]], None]
"""Takes each task with the scores of the weights that are served after it."""


def run(
    config: TrialConfig,
    builder: "Builder",
    report: Report,
    evaluate_at: Sequence[float] = (),
    subset: Subset | None = None,
) -> None:
    """Run a trial: train and evaluate where the store has no scores yet, and report after every task.

    Args:
        config: the trial.
        builder: trains, merges and scores over a store.
        report: called after every task, from task 0 (the zero-shot point).
        evaluate_at: fractions of every task after which the weights in training are scored, too.
        subset: the part of the test images that is scored after each task; the zero-shot point and the last task are
            also scored on all of them. None scores all of them after each task.
    """
    builder.cost(config.recipe)
    # All names come first, so that a wrong stream fails before anything is trained.
    steps = tuple(Lineages(builder.workload.identity).of(config, evaluate_at))
    last = steps[-1]
    if last.update is not None and not builder.has_scores(last.served, subset):
        builder.require_memory(last.update)  # also before the zero-shot point, which takes long on a large suite
    for step in steps:
        scored = all(builder.has_scores(weights, subset) for weights in (step.served, *step.inside))
        if step.update is not None and not scored:
            builder.make_sure(step.update, step.inside, subset)
        if step.task in (0, config.stream.tasks):
            builder.scores(step.served)
        report(step, builder.scores(step.served, subset))
