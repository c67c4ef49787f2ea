"""The continual update cycle (arXiv 2408.14471, section 4), first as names, then as numbers.

`lineage` says what a trial will build, without building it: the plan, the scheduler and the tables read it.
`run` builds it, task by task.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.config import Subset, TrialConfig
from trainables.frozen import ConfigError
from trainables.lineage import Base, Inside, Update, Weights
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
    """One task of a cycle: its update (None where nothing trains: task 0) and the weights served after it.

    `inside` are the weights on the way that are scored, too.
    """

    task: int
    update: Update | None
    served: Weights
    inside: tuple[Inside, ...] = ()


Report = Callable[[Step, tuple[Score, ...]], None]


def require_no_pool_share(config: TrialConfig) -> None:
    """Raises: ConfigError: a trial replays pretraining data, of which there are none."""
    if config.recipe.mixture.pool > 0 and not config.recipe.method.is_frozen:
        raise ConfigError(
            f"pool_share: {config.recipe.mixture.pool:g} given; the data have no pool of pretraining samples: "
            "set it to 0 (and new_share and buffer_share to sum to 1), or import a pool"
        )


def lineage(config: TrialConfig, identity: Identity, evaluate_at: Sequence[float] = ()) -> Iterator[Step]:
    """The steps of a trial, from task 0 (nothing trained: the zero-shot point).

    Args:
        config: the trial.
        identity: of its workload.
        evaluate_at: fractions of every task after which the weights that are being trained are scored, 0 to 1.

    Raises:
        ConfigError: the stream cannot be cut so, or the model cannot have the method.
    """
    method = config.recipe.method
    scope.check(method, identity.anatomy)
    if not identity.pool_samples:
        require_no_pool_share(config)
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
    """Run a trial: train each update that the store lacks, evaluate what is served, report after every task.

    With a `subset` that is what is evaluated, and all test images only at the ends: the zero-shot point and the last.
    """
    builder.cost(config.recipe)
    # All of it first: a wrong stream fails at once.
    for step in tuple(lineage(config, builder.workload.identity, evaluate_at)):
        if step.update is not None:
            builder.ensure(step.update, step.inside, subset)
        if step.task in (0, config.stream.tasks):
            builder.scores(step.served)
        report(step, builder.scores(step.served, subset))
