"""Looking at a search before it runs: a few configs that show what its space holds, planned like any others."""

from study.definition.study import StudyDefinition
from study.planning.plan import Plan, PlannedTrial, plan_trials, require_rungs
from study.planning.searched import space_of, trials_of
from study.planning.trials import as_run
from study.search.warm_start import warm_started
from trainables.config import TrialConfig
from trainables.frozen import ConfigError


def check_search(definition: StudyDefinition, source: str) -> None:
    """Check a search as a whole; a grid is checked when it is planned.

    Raises:
        ConfigError: a value is not allowed, an axis applies nowhere, nothing ends the search, the model cannot have a
            method, no trial is long enough to be stopped early, or an earlier study has nothing to say here.
    """
    if definition.search is None:
        return
    space = space_of(definition, source)
    space.check()
    if space.size is None and definition.search.stop.says_nothing:
        raise ConfigError(
            f"{source}: search.stop: missing; this search would never end, for its space has no last config; give at "
            "least one of trials, mafs, hours and hypervolume_plateau"
        )
    planned = probes(definition, source)
    require_rungs(definition.early_stopping, [one.trial for one in planned], source)
    warm_started(definition, space, source)


def probes(definition: StudyDefinition, source: str) -> tuple[PlannedTrial, ...]:
    """A few planned configs of the space on the first block; at most two of those that differ in numbers alone.

    Raises:
        ConfigError: one of them cannot be planned.
    """
    space = space_of(definition, source)
    configs: dict[str, TrialConfig] = {}
    for point in space.probes():
        config = as_run(space.config(point.values), definition, source)
        configs.setdefault(config.config_id, config)
    trials = [trial for config in configs.values() for trial in trials_of(config, definition, range(1))]
    return tuple(plan_trials(trials, definition, source))


def probing(definition: StudyDefinition, source: str) -> Plan:
    """A plan of the probes alone."""
    return Plan(trials=probes(definition, source))
