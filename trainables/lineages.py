"""What trials on one workload have in common: tasks, recipes of tasks and what the model allows, each found once.

Things are shared that are written alike (`Frozen.text`), not those that are equal: 0.0 and -0.0 are equal, and named
differently in keys.
"""

from trainables.config import Recipe, TrialConfig
from trainables.frozen import ConfigError
from trainables.methods import scope
from trainables.nodes import Base
from trainables.streams.orderings import ordered
from trainables.streams.tasks import Task, cut
from trainables.workloads.identity import Identity


class Shared:
    """Parts of the lineages of many trials on one workload; a part that is asked for again is the same object."""

    def __init__(self, identity: Identity) -> None:
        self.base = Base(model=identity.base)
        self._identity = identity
        self._tasks: dict[tuple[str, int], tuple[Task, ...]] = {}
        self._recipes: dict[tuple[str, str], tuple[Recipe, ...]] = {}
        self._allowed: set[tuple[str, str]] = set()

    def check(self, config: TrialConfig) -> None:
        """Refuse what model and data cannot have.

        Raises:
            ConfigError: it says what.
        """
        asked = (config.recipe.text, config.timeline.text)
        if asked not in self._allowed:
            _check(config, self._identity)
            self._allowed.add(asked)

    def tasks(self, config: TrialConfig) -> tuple[Task, ...]:
        """The tasks of a trial's stream.

        Raises:
            ConfigError: the stream cannot be ordered or cut so.
        """
        stream = (config.stream.text, config.order)
        if stream not in self._tasks:
            identity = self._identity
            concepts = ordered(config.stream, config.order, concepts=identity.concepts, facts=identity.facts)
            self._tasks[stream] = cut(concepts, config.stream.tasks)
        return self._tasks[stream]

    def recipes(self, config: TrialConfig) -> tuple[Recipe, ...]:
        """What each task sees of a trial's recipe."""
        asked = (config.recipe.text, config.stream.text)
        if asked not in self._recipes:
            steps = config.stream.steps(config.recipe.steps)
            self._recipes[asked] = tuple(config.recipe.of_task(i + 1, count) for i, count in enumerate(steps))
        return self._recipes[asked]


def require_no_pool_share(config: TrialConfig) -> None:
    """Raises: ConfigError: a trial replays pretraining data, of which there are none."""
    if config.recipe.mixture.pool > 0 and not config.recipe.method.is_frozen:
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
