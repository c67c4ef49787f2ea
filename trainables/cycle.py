"""The continual update cycle (arXiv 2408.14471, section 4), first as names, then as numbers.

`lineage` says what a trial will build, without building it: the plan, the scheduler and the tables read it.
`run` builds it, task by task.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.config import Subset, TrialConfig
from trainables.history import History
from trainables.lineages import Shared
from trainables.metrics import Score
from trainables.nodes import Inside, Update, Weights
from trainables.workloads.identity import Identity

if TYPE_CHECKING:
    from trainables.build import Builder


@dataclass(frozen=True, kw_only=True)
class Step:
    """One task of a cycle: its update (None where nothing trains: task 0) and the weights served after it.

    `inside` are the weights on the way that are scored, too.
    """

    task: int
    update: Update | None
    served: Weights
    inside: tuple[Inside, ...] = ()


Report = Callable[[Step, tuple[Score, ...]], None]


def lineage(
    config: TrialConfig, identity: Identity, evaluate_at: Sequence[float] = (), shared: Shared | None = None
) -> Iterator[Step]:
    """The steps of a trial, from task 0 (nothing trained: the zero-shot point).

    Args:
        config: the trial.
        identity: of its workload.
        evaluate_at: fractions of every task after which the weights that are being trained are scored, 0 to 1.
        shared: what it has in common with trials before it; a plan of many takes one for all.

    Raises:
        ConfigError: the stream cannot be cut so, or the model cannot have the method.
    """
    shared = shared or Shared(identity)
    method = config.recipe.method
    shared.check(config)
    base = shared.base
    history = History(timeline=config.timeline, base=base)
    yield Step(task=0, update=None, served=base)
    steps = config.stream.steps(config.recipe.steps)
    for task, recipe in zip(shared.tasks(config), shared.recipes(config), strict=True):
        if method.is_frozen:
            yield Step(task=task.index, update=None, served=base)
            continue
        start = history.start()
        update = Update(
            start=start,
            task=task,
            recipe=recipe,
            data=identity.data,
            seed=config.seed,
            continues=method.adapter is not None and config.continues_adapters and isinstance(start, Update),
            earlier_steps=steps[: task.index - 1] if config.recipe.schedule.looks_back else (),
        )
        history = history.after(update)
        inside = sorted({min(max(1, round(at * update.recipe.steps)), update.recipe.steps) for at in evaluate_at})
        yield Step(
            task=task.index,
            update=update,
            served=history.serve(),
            inside=tuple(Inside(update=update, step=step) for step in inside),
        )


def run(
    config: TrialConfig,
    builder: "Builder",
    report: Report,
    evaluate_at: Sequence[float] = (),
    subset: Subset | None = None,
) -> None:
    """Run a trial: train and evaluate what the store has no scores of, and report after every task.

    An update that the store lacks is trained when something is to be scored that needs it.

    With a `subset` that is what is evaluated, and all test images only at the ends: the zero-shot point and the last.
    """
    builder.cost(config.recipe)
    # All of it first: a wrong stream fails at once.
    for step in tuple(lineage(config, builder.workload.identity, evaluate_at)):
        wanted = (step.served, *step.inside)
        if step.update is not None and not all(builder.has_scores(one, subset) for one in wanted):
            builder.ensure(step.update, step.inside, subset)
        if step.task in (0, config.stream.tasks):
            builder.scores(step.served)
        report(step, builder.scores(step.served, subset))
