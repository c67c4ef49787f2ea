"""The continual update cycle (arXiv 2408.14471, section 4), first as names, then as numbers.

`lineage` says what a trial will build, without building it: the plan, the scheduler and the tables read it.
`run` builds it, task by task.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.config import TrialConfig
from trainables.lineage import Base, Update, Weights
from trainables.merging.history import History
from trainables.methods import scope
from trainables.metrics import Score
from trainables.streams.orderings import ordered
from trainables.streams.tasks import cut
from trainables.workloads.identity import Identity

if TYPE_CHECKING:
    from trainables.build import Builder


@dataclass(frozen=True, kw_only=True)
class Step:
    """One task of a cycle: its update (None where nothing trains: task 0) and the weights served after it."""

    task: int
    update: Update | None
    served: Weights


Report = Callable[[Step, tuple[Score, ...]], None]


def lineage(config: TrialConfig, identity: Identity) -> Iterator[Step]:
    """The steps of a trial, from task 0 (nothing trained: the zero-shot point).

    Raises:
        ConfigError: the stream cannot be cut so, or the model cannot have the method.
    """
    method = config.recipe.method
    scope.check(method, identity.anatomy)
    base = Base(model=identity.base)
    history = History(timeline=config.timeline, base=base)
    yield Step(task=0, update=None, served=base)
    stream = ordered(config.stream, config.order, concepts=identity.concepts, facts=identity.facts)
    steps = config.stream.steps(config.recipe.steps)
    for task in cut(stream, config.stream.tasks):
        if method.is_frozen:
            yield Step(task=task.index, update=None, served=base)
            continue
        start = history.start()
        update = Update(
            start=start,
            task=task,
            recipe=config.recipe.of_task(task.index, steps[task.index - 1]),
            data=identity.data,
            seed=config.seed,
            continues=method.adapter is not None and config.continues_adapters and isinstance(start, Update),
            earlier_steps=steps[: task.index - 1] if config.recipe.schedule.looks_back else (),
        )
        history = history.after(update)
        yield Step(task=task.index, update=update, served=history.serve())


def run(config: TrialConfig, builder: "Builder", report: Report) -> None:
    """Run a trial: train each update that the store lacks, evaluate what is served, report after every task."""
    builder.cost(config.recipe)
    for step in tuple(lineage(config, builder.workload.identity)):  # all of it first: a wrong stream fails at once
        if step.update is not None:
            builder.ensure(step.update)
        report(step, builder.scores(step.served))
