"""Lineages: what a trial will build, as nodes, without building it.

The plan, the scheduler, retention and the tables read it. Trials on one workload have much in common: tasks, recipes of
tasks and the answers to what the model allows are found once. Parts are shared that are written alike (`Frozen.text`),
not those that are equal: 0.0 and -0.0 are equal, and have different names in keys.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trainables.config import Recipe, TrialConfig
from trainables.frozen import ConfigError
from trainables.history import History
from trainables.methods import scope
from trainables.nodes import NUMERICS_VERSION, Base, MidTask, Update, Weights
from trainables.streams.orderings import ordered
from trainables.streams.tasks import Task, cut
from trainables.workloads.identity import Identity


@dataclass(frozen=True, kw_only=True)
class Step:
    """One task of a cycle.

    Attributes:
        task: its number; 0 is the pretrained model before the first task.
        update: what is trained, or None where nothing trains.
        served: the weights that are served after the task.
        inside: weights in the middle of the task that are scored, too.
    """

    task: int
    update: Update | None
    served: Weights
    inside: tuple[MidTask, ...] = ()


class Lineages:
    """The lineages of trials on one workload; a part that a second trial asks for again is the same object.

    Args:
        identity: of the workload.
        numerics: the version that names what the trials build.
    """

    def __init__(self, identity: Identity, numerics: int = NUMERICS_VERSION) -> None:
        self.base = Base(model=identity.base, numerics=numerics)
        self._identity = identity
        self._tasks: dict[tuple[str, int], tuple[Task, ...]] = {}
        self._recipes: dict[tuple[str, str], tuple[Recipe, ...]] = {}
        self._allowed: set[tuple[str, str]] = set()

    def of(self, config: TrialConfig, evaluate_at: Sequence[float] = ()) -> Iterator[Step]:
        """The steps of a trial, from task 0 (nothing trained: the zero-shot point).

        Args:
            config: the trial.
            evaluate_at: fractions of every task after which the weights that are being trained are scored, 0 to 1.

        Raises:
            ConfigError: the stream cannot be ordered or cut so, or the model cannot have the method.
        """
        self._require_allowed(config)
        history = History(timeline=config.timeline, base=self.base)
        yield Step(task=0, update=None, served=self.base)
        for task, recipe in zip(self._tasks_of(config), self._recipes_of(config), strict=True):
            if config.recipe.method.trains_nothing:
                yield Step(task=task.index, update=None, served=self.base)
                continue
            update = self._update(config, task, recipe, start=history.start())
            history = history.after(update)
            yield Step(task=task.index, update=update, served=history.serve(), inside=_inside(update, evaluate_at))

    def _update(self, config: TrialConfig, task: Task, recipe: Recipe, *, start: Weights) -> Update:
        adapted, looks_back = config.recipe.method.adapter is not None, config.recipe.schedule.looks_back
        return Update(
            start=start,
            task=task,
            recipe=recipe,
            data=self._identity.data,
            seed=config.seed,
            continues=adapted and config.continues_adapters and isinstance(start, Update),
            earlier_steps=config.stream.steps(config.recipe.steps)[: task.index - 1] if looks_back else (),
        )

    def _require_allowed(self, config: TrialConfig) -> None:
        """Raise ConfigError for what model and data cannot have."""
        asked = (config.recipe.text, config.timeline.text)
        if asked not in self._allowed:
            _check(config, self._identity)
            self._allowed.add(asked)

    def _tasks_of(self, config: TrialConfig) -> tuple[Task, ...]:
        """The tasks of a trial's stream."""
        stream = (config.stream.text, config.order)
        if stream not in self._tasks:
            identity = self._identity
            concepts = ordered(config.stream, config.order, concepts=identity.concepts, facts=identity.facts)
            self._tasks[stream] = cut(concepts, config.stream.tasks)
        return self._tasks[stream]

    def _recipes_of(self, config: TrialConfig) -> tuple[Recipe, ...]:
        """The part of a trial's recipe that each task sees."""
        asked = (config.recipe.text, config.stream.text)
        if asked not in self._recipes:
            steps = config.stream.steps(config.recipe.steps)
            self._recipes[asked] = tuple(config.recipe.of_task(i + 1, count) for i, count in enumerate(steps))
        return self._recipes[asked]


def _inside(update: Update, evaluate_at: Sequence[float]) -> tuple[MidTask, ...]:
    """The weights at fractions of a task, at its first step at the earliest; fractions that meet are one."""
    last = update.recipe.steps
    steps = sorted({min(max(1, round(at * last)), last) for at in evaluate_at})
    return tuple(MidTask(update=update, step=step) for step in steps)


def require_no_pool_share(config: TrialConfig) -> None:
    """Refuse a trial that replays pretraining data where there are none.

    Raises:
        ConfigError: it says which shares to set instead.
    """
    if config.recipe.mixture.pool > 0 and not config.recipe.method.trains_nothing:
        raise ConfigError(
            f"pool_share: {config.recipe.mixture.pool:g} given; the data have no pool of pretraining samples: "
            "set it to 0 (and new_share and buffer_share to sum to 1), or import a pool"
        )


def _check(config: TrialConfig, identity: Identity) -> None:
    recipe, rule, parameters = config.recipe, config.timeline.rule, identity.anatomy.parameters
    scope.check(recipe.method, identity.anatomy)
    if not identity.pool_samples:
        require_no_pool_share(config)
    if rule is not None and rule.lines is not None and all(one.layer is None for one in parameters):
        raise ConfigError("lines: it scales what is merged by the depth of its block, and the model has no blocks")
    if not any(one.part == "scale" for one in parameters):
        if recipe.temperature is not None:
            raise ConfigError(f"temperature: {recipe.temperature:g} given; the loss of this model has none; remove it")
        if rule is not None and rule.logit_scale != "merge":
            raise ConfigError(f"merge_logit_scale: {rule.logit_scale} given; the model has no temperature; remove it")
