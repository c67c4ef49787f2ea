"""A search as a source of trials: it asks a sampler for configs, runs them on the first blocks, and adds blocks.

    ask for configs, all on the first blocks of the study (and repeat three early, to know the noise),
    until what is left, of the budget's second half, is needed by the configs whose place is open, or nothing new comes;
    then run those on one more block, look again, and go on with whatever the rest of the budget is good for.

The place of a config is open while it lacks blocks and no other one dominates it with some confidence
(`study.search.frontier`). That is the intensification of SMAC (arXiv 2109.09831) with blocks as instances: a config
that is beaten on those that it has gets no more of them. Samplers only ever see the first blocks, so what they compare
is paired.

Suggestions and blocks are noted in `decisions.jsonl` before a trial starts. All else follows from the store: with one
trial at a time the same seed gives the same trials, however often the run is killed.
"""

import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from search_spaces.search import Point
from study.definition.study import StudyDefinition
from study.planning.decisions import DecisionFile, Suggestion
from study.planning.plan import Known, PlannedTrial, make_plan, plan_trials
from study.planning.searched import (
    Suggested,
    blocks_of,
    config_at,
    joint_on,
    search_digest,
    space_of,
    suggested,
    trials_of,
)
from study.results.gain import Line
from study.running.trial_source import Idle, Queue, Stopping, TrialSource
from study.search.frontier import LOWEST, SURE, dominated, hypervolume
from study.search.memory import INVALID, Entry, Memory
from study.search.outcomes import Outcomes
from study.search.sampler import STARTUP, ask
from study.search.spending import Spending, excesses
from study.search.warm_start import Warm, warm_started
from trainables.config import TrialConfig
from trainables.frozen import ConfigError, digest
from trainables.metrics import Summary
from trainables.store.store import Store

REPEATS = 100
"""Suggestions in a row that bring no new config, after which a search gives up."""

FAILURES = STARTUP
"""Configs in a row that fail, after which a search ends until it is run again. No more than it asks for at random
anyway, so that an outage does not use up its budget."""

REPEATED = 3
"""Configs that run on a second block early: what lies within the noise of the frontier is not known without them."""

_PATIENCE = 10
"""Of these, how many until one of those that are left of a finite space is drawn at random."""

_FAILS = f"{FAILURES} configs in a row failed; mend what failed or leave it out of search.spaces, and run it again"


class SearchSource:
    """The trials of a search.

    Args:
        definition: of the study.
        source: name of the definition, for messages.
        known: what the store holds.
        store: where scores are.
        file: where decisions go.
        stopping: which trials end early.
        failed: trials that this run has given up.
        tell: hears of a trial that is to run.

    Raises:
        ConfigError: the search or what it starts from is not valid.
    """

    def __init__(
        self,
        definition: StudyDefinition,
        source: str,
        *,
        known: Known,
        store: Store,
        file: DecisionFile,
        stopping: Stopping,
        failed: Collection[str] = (),
        tell: Callable[[PlannedTrial], None] = lambda _: None,
    ) -> None:
        assert definition.search is not None
        self._definition, self._search, self._source = definition, definition.search, source
        self._known, self._file, self._stopping, self._tell = known, file, stopping, tell
        self._space = space_of(definition, source)
        decisions = file.read()
        found = suggested(definition, self._space, decisions, source)
        warm = warm_started(definition, self._space, source)
        self._blocks = {one.id: blocks_of(definition, one.id, decisions) for one in found if one.runs}
        self._outcomes = Outcomes(definition, store, known, failed)
        self._memory = Memory(self._search, self._space, self._outcomes, found, warm)
        self._spending = Spending(self._search.stop, self._outcomes, {name for one in warm for name in one.trials})
        self._queue = Queue(known)
        for planned in make_plan(definition, source, decisions).trials:
            self._add(planned, failed)
        for one in warm:
            self._adopt(one)
        self._asked = search_digest(definition)
        self._over, self.reason = decisions.closed.get(self._asked), decisions.ended.get(self._asked)
        if self.reason is not None and self._queue.waiting:
            self._reopen()

    # -- as a source ---------------------------------------------------------------------------------------------------

    def next(self) -> PlannedTrial | Idle:
        """The next trial that is ready; a config is asked for when no trial waits."""
        while True:
            while (planned := self._queue.pop()) is not None:
                if not self._stopping.leaves_out(planned, self._known):
                    return planned
                self.ended(planned.trial.id, failed=False)
            if self._queue.waiting:
                return Idle.WAIT
            if self.reason is not None:
                return Idle.END
            if not self._extend():
                return Idle.WAIT if self.reason is None else Idle.END

    def reached(self, trial: str, task: int, summary: Summary) -> bool:
        """Whether a trial ends here; anchors never do."""
        planned = self._queue.reached(trial, task)
        self._outcomes.reached(planned, task)
        return self._stopping.reached(planned, task, summary)

    def ended(self, trial: str, *, failed: bool) -> None:
        """Note that a trial has ended; its result counts from now on."""
        planned = self._queue.ended(trial)
        task = self._stopping.ended(planned.trial, failed=failed)
        if task is not None:
            planned = replace(planned, steps=planned.steps[: task + 1])
        self._outcomes.ended(planned, failed=failed)

    @property
    def is_done(self) -> bool:
        """Whether nothing runs and nothing is left to run."""
        return not self._queue.waiting and not self._queue.running and self.reason is not None

    @property
    def methods(self) -> Set[str]:
        """Methods of the space, and of the joint anchor."""
        probes = (self._space.config(point.values) for point in self._space.probes())
        return {"full", *(config.recipe.method.name for config in probes)}

    # -- what comes next -----------------------------------------------------------------------------------------------

    def _extend(self) -> bool:
        """Add trials; returns False if there are none to add, for now or, with a reason noted, for good."""
        if spent := self._spending.is_spent():
            return self._end(spent)
        if self._memory.has_failed(FAILURES):
            return False if self._queue.running else self._end(_FAILS)
        line = self._outcomes.line()
        if "gain" in self._search.objectives and line is None and not self._outcomes.anchors_are_open:
            return self._end(
                "there is no gain, since joint training failed or learned nothing; say `joint: {lr: ..., steps: ...}`"
            )
        entries = self._memory.entries(line)
        places = self._open(entries)
        if self._lacks_noise(entries):
            self._deepen(dict(sorted(self._unrepeated(entries).items(), key=lambda item: item[1])[:REPEATED]))
            return True
        if self._over is None:
            self._close(self._exhausted() or self._plateau(entries))
        if self._over is None and not (places and self._must_deepen(places)):
            self._close(self._widen(line))
            if self._over is None:
                return True
        if self._queue.running:
            return False
        if not places:
            return self._end(self._over or "")
        self._deepen(places)
        return True

    def _end(self, reason: str) -> bool:
        self.reason = reason
        self._file.end(self._asked, reason)
        return False

    def _close(self, reason: str | None) -> None:
        """Close the search to new configs if there is a reason; blocks may still be added."""
        if reason is not None:
            self._over = reason
            self._file.close(self._asked, reason)

    def _reopen(self) -> None:
        """Reopen a search that had ended if trials that failed or were lost run again: they may change its end."""
        self._over = self.reason = None
        self._file.reopen(self._asked)

    def _lacks_noise(self, entries: Sequence[Entry]) -> bool:
        """Whether configs can be compared, but not how surely, since all blocks but one are unused."""
        some = len(entries) >= STARTUP and len(self._definition.blocks) > 1
        return some and max(self._blocks.values(), default=0) == 1 and bool(self._unrepeated(entries))

    def _open(self, entries: Sequence[Entry]) -> dict[str, float]:
        """Configs that may or may not be dominated, with the probability that another one dominates them."""
        return {name: one for name, one in self._unrepeated(entries).items() if one < SURE}

    def _unrepeated(self, entries: Sequence[Entry]) -> dict[str, float]:
        """Configs that lack blocks and have no open trial, with the probability that another one dominates them."""
        probabilities = dominated([entry.values for entry in entries])
        most = len(self._definition.blocks)
        return {
            entry.config: probability
            for entry, probability in zip(entries, probabilities.tolist(), strict=True)
            if self._blocks.get(entry.config, most) == len(entry.values) < most
        }

    def _must_deepen(self, places: Collection[str]) -> bool:
        """Whether the rest of the budget is needed to run undecided configs on all blocks."""
        most = len(self._definition.blocks)
        return self._spending.needs_the_rest({config: most - self._blocks[config] for config in places})

    def _exhausted(self) -> str | None:
        count = len(self._memory.points)
        return f"all {count} configs of the space are known" if count and not self._memory.left() else None

    def _plateau(self, entries: Sequence[Entry]) -> str | None:
        plateau, first = self._search.stop.hypervolume_plateau, self._search.first_blocks
        if plateau is None:
            return None
        latest = self._memory.concluded()[-plateau.trials :]
        means = {entry.config: entry.values[:first].mean(axis=0) for entry in entries}
        before = [mean for config, mean in means.items() if config not in latest]
        if len(latest) < plateau.trials or not before:
            return None
        lowest = [LOWEST[name] for name in self._search.objectives]
        rise = hypervolume(np.array(list(means.values())) - lowest) - hypervolume(np.array(before) - lowest)
        return None if rise > plateau.by else f"{plateau.trials} configs in a row added no more than {plateau.by:g}"

    # -- more trials ---------------------------------------------------------------------------------------------------

    def _widen(self, line: Line | None) -> str | None:
        """Ask for a new config; returns the reason if there is none."""
        for i in range(REPEATS):
            left = self._memory.left() if i >= _PATIENCE else []
            if left:
                draw = random.Random(digest([self._search.seed, self._memory.number]))
                point, generation = draw.choice(left), None
            else:
                point, generation = ask(
                    self._space,
                    self._memory.history(line),
                    sampler=self._search.sampler,
                    objectives=len(self._search.objectives),
                    seed=self._search.seed,
                    number=self._memory.number,
                )
            if self._take(point, generation):
                return None
        return f"{REPEATS} suggestions in a row brought no new config that may run{self._within()}"

    def _within(self) -> str:
        """The constraints that keep configs from running, in words."""
        most = self._search.constraints.model_dump(include={"cost_mafs", "cost_flops"}, exclude_none=True)
        said = " and ".join(f"{name} at most {value:g}" for name, value in most.items())
        return f" with {said}" if said else ""

    def _take(self, point: Point, generation: int | None) -> bool:
        """Note a suggestion; its trials are added unless they are known, or cannot keep the constraints."""
        config = config_at(point.values, self._definition, self._space, self._source)
        name = "" if config is None else config.config_id
        earlier = self._memory.earlier(name)
        planned, refused = self._plan(config) if earlier is None else ([], earlier.suggestion.refused)
        known = name in self._memory.warm if earlier is None else earlier.suggestion.known
        one = Suggested(
            suggestion=Suggestion(
                values=point.values, config=name, refused=refused, known=known, generation=generation
            ),
            config=config,
        )
        self._suggest(one, planned)
        return earlier is None and one.runs

    def _plan(self, config: TrialConfig | None) -> tuple[list[PlannedTrial], Mapping[str, float]]:
        """A config's planned trials on the first blocks, and the constraints that the config is known to break."""
        if config is None:
            return [], {INVALID: 1.0}
        trials = tuple(trials_of(config, self._definition, range(self._search.first_blocks)))
        try:
            planned = list(plan_trials(trials, self._definition, self._source))
        except ConfigError:
            return [], {INVALID: 1.0}
        found = excesses(planned[0], self._search.constraints)
        self._memory.costs_more(config.config_id, found)
        return planned, {name: excess for name, excess in found.items() if excess > 0}

    def _suggest(self, one: Suggested, planned: Iterable[PlannedTrial]) -> None:
        self._file.suggest(one.suggestion)
        self._memory.suggested.append(one)
        if one.runs:
            self._blocks.setdefault(one.id, self._search.first_blocks)
            for trial in planned:
                self._add(trial)

    def _adopt(self, warm: Warm) -> None:
        """Adopt trials that an earlier study trained into the same store."""
        config = config_at(warm.point.values, self._definition, self._space, self._source)
        planned, refused = self._plan(config)
        if warm.config not in self._blocks and not refused and all(one.is_done(self._known) for one in planned):
            suggestion = Suggestion(values=warm.point.values, config=warm.config)
            self._suggest(Suggested(suggestion=suggestion, config=config), planned)

    def _deepen(self, places: Mapping[str, float]) -> None:
        """Add one more block to as many configs as the budget lets run on all blocks in the end.

        Those that have begun come first, then the least dominated.
        """
        configs = {one.id: one.config for one in self._memory.suggested}
        order = sorted(places, key=lambda name: (-self._blocks[name], places[name]))
        most = len(self._definition.blocks)
        names = self._spending.affordable({name: most - self._blocks[name] for name in order})
        self._file.run_on({name: self._blocks[name] + 1 for name in names})
        for name in names:
            config, at = configs[name], self._blocks[name]
            assert config is not None
            self._blocks[name] = at + 1
            block = range(at, at + 1)
            joint = joint_on(block, self._definition, self._space, self._source)
            trials = (*joint, *trials_of(config, self._definition, block))
            for planned in plan_trials(trials, self._definition, self._source):
                self._add(planned)

    def _add(self, planned: PlannedTrial, failed: Collection[str] = ()) -> None:
        """Add a trial to the study; it waits to run unless its result is known."""
        if self._outcomes.has(planned.trial.id):
            return
        if planned.trial.kind == "trial":
            self._memory.costs_more(planned.trial.config.config_id, excesses(planned, self._search.constraints))
        is_open = not planned.is_done(self._known) and planned.trial.id not in failed
        self._outcomes.add(planned, is_open=is_open)
        if is_open:
            self._queue.add(planned)
            self._tell(planned)


if TYPE_CHECKING:

    def _is_source(search: SearchSource) -> TrialSource:
        return search
