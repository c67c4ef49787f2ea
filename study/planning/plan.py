"""The plan: what a study will build, by name, before anything runs; everything else asks it what is missing."""

import itertools
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

from study.definition.search import EarlyStopping
from study.definition.study import StudyDefinition
from study.planning.decisions import Decisions
from study.planning.searched import search_digest, searched
from study.planning.trials import JOINT, Recorded, Trial, methods_of, trials
from trainables.config import Recipe
from trainables.frozen import ConfigError
from trainables.lineages import Lineages, require_no_pool_share
from trainables.nodes import NUMERICS_VERSION, cost_key, scores_key
from trainables.store.store import Store
from trainables.workloads.catalogue import identify
from trainables.workloads.settings import PLAIN, Evaluation


@dataclass(frozen=True, kw_only=True)
class PlannedMidTask:
    """An evaluation within a task: the number of steps before it, and the key of its scores."""

    step: int
    scores: str


@dataclass(frozen=True, kw_only=True)
class PlannedStep:
    """One task of a trial: the keys of its update (None at task 0) and of the scores of what is then served.

    `recipe` is that of the update, which has so many `steps` and `passes` (forward and backward); a study that is read
    as another version made it has the numbers alone. `full` are scores on all test images, of the ends of a trial that
    is otherwise scored on a subset.
    """

    task: int
    update: str | None
    scores: str
    recipe: Recipe | None = None
    steps: int = 0
    passes: int = 0
    inside: tuple["PlannedMidTask", ...] = ()
    full: str | None = None

    @property
    def all_scores(self) -> Iterator[str]:
        """Keys of the scores of what is served, and of those within the task."""
        yield self.scores
        if self.full is not None:
            yield self.full
        yield from (one.scores for one in self.inside)

    def is_scored(self, known: "Known") -> bool:
        """Whether all scores of the task are there, so that nothing of the task has to be made."""
        return all(key in known.scores for key in self.all_scores)


@dataclass(frozen=True, kw_only=True)
class PlannedTrial:
    """A trial and everything it will build, in order.

    `evaluate_at` are the fractions of a task scored within it, `evaluation` says how the others are.
    """

    trial: Trial | Recorded
    steps: tuple[PlannedStep, ...]
    cost: str
    evaluate_at: tuple[float, ...] = ()
    evaluation: Evaluation = PLAIN

    @property
    def is_stopped(self) -> bool:
        """Whether the trial ends before its stream does."""
        return self.steps[-1].task < self.trial.tasks

    @cached_property
    def updates(self) -> tuple[str, ...]:
        """Keys of the trial's updates, in order."""
        return tuple(step.update for step in self.steps if step.update is not None)

    def is_done(self, known: "Known") -> bool:
        """A trial is done when its price and all its scores are there."""
        return self.cost in known.costs and self.all_scores <= known.scores

    def scored_to(self, known: "Known") -> int:
        """The last task up to which everything that is served is scored; 0 if nothing is."""
        scored = itertools.takewhile(lambda step: step.scores in known.scores, self.steps)
        return max((step.task for step in scored), default=0)

    def to_train(self, known: "Known") -> frozenset[str]:
        """Updates of unscored tasks that the store lacks, or that have to pass again to be scored on the way."""
        return frozenset(
            step.update
            for step in self.steps
            if step.update is not None
            and (step.update not in known.updates or any(one.scores not in known.scores for one in step.inside))
            and not step.is_scored(known)
        )

    @property
    def all_scores(self) -> frozenset[str]:
        """Keys of the scores of what is served, and of those within tasks."""
        return frozenset(key for step in self.steps for key in step.all_scores)


@dataclass(frozen=True, kw_only=True)
class Known:
    """Keys that a store holds, by one listing of each kind."""

    updates: Set[str]
    scores: Set[str]
    costs: Set[str]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All trials of a study with the keys of what they build; `notes` are warnings about its model and data.

    `is_open`: more trials come, since a search has not ended. `parameters` is the size of its model; None: not known.
    """

    trials: tuple[PlannedTrial, ...]
    notes: tuple[str, ...] = ()
    is_open: bool = False
    parameters: int | None = None

    @cached_property
    def unique_updates(self) -> dict[str, Recipe]:
        """Each update once, with its recipe."""
        return {
            step.update: step.recipe
            for planned in self.trials
            for step in planned.steps
            if step.update is not None and step.recipe is not None
        }

    @cached_property
    def all_updates(self) -> frozenset[str]:
        """Keys of all updates."""
        return frozenset(key for planned in self.trials for key in planned.updates)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed and will hardly be meant, such as merges that make what was learnt grow with every task."""
        growths = (_growth(one.trial) for one in self.trials if isinstance(one.trial, Trial))
        return (*self.notes, *dict.fromkeys(one for one in growths if one))

    @cached_property
    def unique_scores(self) -> frozenset[str]:
        """Each evaluation once."""
        return frozenset().union(*(planned.all_scores for planned in self.trials))

    def missing(self, known: Known) -> tuple[PlannedTrial, ...]:
        """Trials that are not done."""
        return tuple(planned for planned in self.trials if not planned.is_done(known))


def _growth(trial: Trial) -> str:
    timeline, tasks = trial.config.timeline, trial.config.stream.tasks
    factor = timeline.growth
    if factor <= 1 or timeline.rule is None or tasks < 2:
        return ""
    instead = (
        "a merge_scale of 0.5 does not"
        if timeline.start == "ema" and timeline.rule.lines is None
        else "a rule that averages, or another start, does not"
    )
    return (
        f"start {timeline.start} with rule {timeline.rule.words}: merging alone makes what was learnt grow by a factor "
        f"of {factor:g} a task, {factor ** (tasks - 1):.3g} in {tasks} tasks; {instead}"
    )


def make_plan(
    definition: StudyDefinition,
    source: str,
    decisions: Decisions | None = None,
    numerics: int = NUMERICS_VERSION,
) -> Plan:
    """Plan a study: a search as far as it has come, and trials only up to where early stopping ended them.

    Args:
        definition: of the study.
        source: name of the definition, for messages.
        decisions: of a search and of early stopping.
        numerics: the version that names the results.

    Raises:
        ConfigError: the definition cannot be planned.
    """
    decisions = decisions or Decisions()
    found = trials(definition, source) if definition.search is None else searched(definition, source, decisions)
    require_rungs(definition.early_stopping, found, source)
    ends = {} if definition.early_stopping is None else decisions.stopped
    planned = (until(one, ends.get(one.trial.id)) for one in plan_trials(found, definition, source, numerics))
    is_open = definition.search is not None and search_digest(definition) not in decisions.ended
    return Plan(
        trials=tuple(planned),
        notes=(*_notes(definition), *_joint_notes(definition, found)),
        is_open=is_open,
        parameters=identify(definition.workload).anatomy.size,
    )


def require_rungs(settings: EarlyStopping | None, trials: Iterable[Trial | Recorded], source: str) -> None:
    """Raises: ConfigError: no trial is long enough to be stopped after one of the tasks."""
    most = max((trial.tasks for trial in trials if trial.kind == "trial"), default=None)
    if settings is not None and most is not None and settings.at[-1] >= most:
        raise ConfigError(
            f"{source}: early_stopping.at: {settings.at} given; trials have {most} tasks, and one can only be stopped "
            "before its last"
        )


def until(planned: PlannedTrial, task: int | None) -> PlannedTrial:
    """The trial cut off after a task; `task` is None if it runs to the end of its stream."""
    return planned if task is None else replace(planned, steps=planned.steps[: task + 1])


def _joint_notes(definition: StudyDefinition, found: Sequence[Trial]) -> Iterator[str]:
    """A warning if the joint anchor has its learning rate from the first config alone."""
    said = {**definition.fixed, **(definition.joint or {})}
    rates = {trial.config.recipe.optimiser.lr for trial in found if trial.kind == "trial"}
    joint = next((trial.config.recipe.optimiser.lr for trial in found if trial.method == JOINT), None)
    if (
        joint is None
        or "lr" in said
        or len(rates) < 2
        or any(JOINT in methods_of(one) for one in definition.grid or ())
    ):
        return
    yield (
        f"joint: trained with lr {joint:g}, that of the first config, since nothing says another; every gain is "
        "measured against it, so give it the one that it learns best with: joint: {lr: ...}"
    )


def _notes(definition: StudyDefinition) -> Iterator[str]:
    identity, subset = identify(definition.workload), definition.subset
    yield from identity.warnings
    if subset is not None and not identity.is_cut_by(subset):
        yield (
            f"subset: a share of {subset.share:g} leaves nothing out: of each data set {subset.least} test images and "
            "two a class are scored at least, and none has more; lower subset.least, or remove subset"
        )


def stored_keys(store: Store) -> Known:
    """The keys that a store holds."""
    return Known(updates=store.keys("updates"), scores=store.keys("scores"), costs=store.keys("costs"))


def plan_trials(
    found: Sequence[Trial], definition: StudyDefinition, source: str, numerics: int = NUMERICS_VERSION
) -> Iterator[PlannedTrial]:
    """Trials of a study with the keys of what they build.

    Raises:
        ConfigError: a stream cannot be cut so, or the model cannot have a method.
    """
    of = definition.workload
    for trial in () if of.has_pool() else found:
        with _said_of(source):
            require_no_pool_share(trial.config)
    identity = identify(of)
    suite, lineages = identity.suite_of(definition.evaluation), Lineages(identity, numerics)
    for trial in found:
        evaluate_at = tuple(definition.evaluate_at) if trial.kind == "trial" else ()
        with _said_of(source):
            built = tuple(lineages.of(trial.config, evaluate_at))
        last = trial.config.stream.tasks
        steps = (
            PlannedStep(
                task=step.task,
                update=None if step.update is None else step.update.key,
                recipe=None if step.update is None else step.update.recipe,
                steps=0 if step.update is None else step.update.recipe.steps,
                passes=0 if step.update is None else step.update.recipe.passes,
                scores=scores_key(step.served, suite),
                inside=tuple(PlannedMidTask(step=one.step, scores=scores_key(one, suite)) for one in step.inside),
                full=None
                if definition.subset is None or step.task not in (0, last)
                else scores_key(step.served, identity.suite_of(definition.evaluation.of_all)),
            )
            for step in built
        )
        yield PlannedTrial(
            trial=trial,
            steps=tuple(steps),
            cost=cost_key(trial.config.recipe, identity.base, numerics),
            evaluate_at=evaluate_at,
            evaluation=definition.evaluation,
        )


@contextmanager
def _said_of(source: str) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error
