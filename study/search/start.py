"""The source of a study's trials at the start of a run: from the plan, the store and what was decided before."""

from collections.abc import Callable, Collection

from study.definition.study import StudyDefinition
from study.planning.decisions import DecisionFile
from study.planning.plan import Known, Plan, PlannedTrial
from study.results.reader import Results
from study.running.early_stopping import Rungs
from study.running.trial_source import GridSource, Stopping, reached
from study.search.search import SearchSource
from trainables.store.store import Store


def source_of(
    definition: StudyDefinition,
    source: str,
    plan: Plan,
    *,
    known: Known,
    store: Store,
    file: DecisionFile,
    failed: Collection[str],
    on_stop: Callable[[str, int, str], None],
    on_trial: Callable[[PlannedTrial], None],
) -> GridSource | SearchSource:
    """Where the trials of a run come from.

    Args:
        definition: of the study.
        source: name of the definition, for messages.
        plan: of the study as it is now.
        known: what the store holds.
        store: where scores are.
        file: where decisions are and go.
        failed: trials that this run has given up.
        on_stop: hears of a trial that ends early, with the task and the reason.
        on_trial: hears of a trial that is to run.

    Raises:
        ConfigError: the search is not valid.
    """
    stopping = Stopping(_rungs(definition, plan, known, store), file, on_stop)
    if definition.search is not None:
        return SearchSource(
            definition, source, known=known, store=store, file=file, stopping=stopping, failed=failed, tell=on_trial
        )
    missing = [planned for planned in plan.missing(known) if planned.trial.id not in failed]
    for planned in missing:
        on_trial(planned)
    return GridSource(missing, known, stopping)


def _rungs(definition: StudyDefinition, plan: Plan, known: Known, store: Store) -> Rungs:
    """The rungs with the trials that have ended, with which later trials are compared."""
    settings = definition.early_stopping
    own = [planned for planned in plan.trials if planned.trial.kind == "trial"]
    if settings is None:
        return Rungs(None, {})
    stopped = {one.trial.config.config_id: one.trial.config.block for one in own if one.is_stopped}
    finished = {one.trial.config.config_id for one in own if not one.is_stopped and one.is_done(known)}
    rungs = Rungs(settings, stopped, finished)
    steps = [
        (one.trial, step)
        for one in own
        if one.is_done(known)
        for step in one.steps
        if step.task in settings.at and step.task < one.trial.config.stream.tasks
    ]
    results = Results(store)
    results.fetch(step.scores for _, step in steps)
    for trial, step in steps:
        summary = results.summary(step.scores)
        if summary is not None:
            rungs.add(reached(trial, step.task, aka=summary.aka, azs=summary.azs))
    return rungs
