"""The next suggestion of one of Optuna's samplers, as a pure function of the seed, its number and the history.

The study of Optuna's is made anew for every suggestion, in memory, from the history in the order of suggestion. So
there is no state that a crash could lose, and a search that goes on asks for what it would have asked for anyway. What
is still running is told as such, and TPE takes it for bad (its constant liar), so that it is not asked for again.

Constraints go through Optuna 5's own ones. A trial that was stopped or refused is a pruned one that breaks a
constraint: TPE ranks it below all that it may compare, and the others, which need an end, pass it over.

TPE knows of axes that do not apply. NSGA-II and the Gaussian process draw at random what some trials lack, unless all
of them have all axes: they are given the middle of those that do not apply, as in SMAC (arXiv 2109.09831).

NSGA-II takes parents from generations only, so configs of earlier studies are of its first one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from search_spaces.domain import Choices, Domain
from search_spaces.search import Point, SearchSpace
from search_spaces.space import Scalar
from trainables.frozen import digest

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial

State = Literal["done", "running", "pruned", "failed"]

STARTUP = 10
"""Random suggestions before TPE and the Gaussian process learn from what they see."""

POPULATION = 10
"""Configs of a generation of NSGA-II: studies of expensive trials have few generations at Optuna's 50."""


_GENERATION = "NSGAIISampler:generation"
"""Where Optuna notes the generation of a trial."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is known of a suggestion.

    Attributes:
        point: where it is.
        state: how far it is.
        values: of the objectives, to be high; of a "done" one.
        constraints: how far each is broken; 0 or less keeps it.
        generation: that NSGA-II counts it to.
    """

    point: Point
    state: State
    values: tuple[float, ...] = ()
    constraints: Mapping[str, float] = field(default_factory=dict)
    generation: int | None = None


class Asked(NamedTuple):
    """A suggestion, and the generation of NSGA-II that it belongs to."""

    point: Point
    generation: int | None


def ask(space: SearchSpace, history: Sequence[Told], *, sampler: str, objectives: int, seed: int, number: int) -> Asked:
    """Ask the sampler for suggestion `number` of a search with so many objectives."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    chosen = SAMPLERS[sampler](int(digest([seed, number])[:8], 16))
    study = optuna.create_study(directions=["maximize"] * objectives, sampler=chosen)
    distributions = {name: _distribution(one) for name, one in space.choices.items()}
    whole = sampler in ("nsga2", "gp")
    study.add_trials([_frozen(told, space, distributions, whole=whole) for told in history])
    trial = study.ask(distributions if whole else None)
    point = space.draw(lambda name, one: _value(trial, name, one))
    return Asked(point, study.get_trials(deepcopy=False)[-1].system_attrs.get(_GENERATION))


def _tpe(seed: int) -> "BaseSampler":
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed, n_startup_trials=STARTUP)


def _nsga2(seed: int) -> "BaseSampler":
    from optuna.samplers import NSGAIISampler

    return NSGAIISampler(seed=seed, population_size=POPULATION)


def _gp(seed: int) -> "BaseSampler":
    from optuna.samplers import GPSampler

    # Axes that do not apply everywhere are drawn at random; Optuna would say so with every suggestion.
    return GPSampler(seed=seed, n_startup_trials=STARTUP, warn_independent_sampling=False)


def _random(seed: int) -> "BaseSampler":
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


SAMPLERS: Mapping[str, Callable[[int], "BaseSampler"]] = {
    "tpe": _tpe,
    "nsga2": _nsga2,
    "gp": _gp,
    "random": _random,
}


def _distribution(one: Domain) -> "BaseDistribution":
    """The distribution of an axis; values of a list are chosen by place, in order as numbers or else as categories."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(one, Choices):
        last = len(one.values) - 1
        return IntDistribution(0, last) if one.ordered else CategoricalDistribution(tuple(range(last + 1)))
    if one.whole:
        return IntDistribution(int(one.low), int(one.high), log=one.log, step=int(one.step or 1))
    return FloatDistribution(one.low, one.high, log=one.log, step=one.step)


def _value(trial: "Trial", name: str, one: Domain) -> Scalar:
    if isinstance(one, Choices):
        last = len(one.values) - 1
        place = trial.suggest_int(name, 0, last) if one.ordered else trial.suggest_categorical(name, range(last + 1))
        return one.values[place]
    if one.whole:
        return one.rounded(trial.suggest_int(name, int(one.low), int(one.high), log=one.log, step=int(one.step or 1)))
    return one.rounded(trial.suggest_float(name, one.low, one.high, log=one.log, step=one.step))


def _frozen(
    told: Told, space: SearchSpace, distributions: Mapping[str, "BaseDistribution"], *, whole: bool
) -> "FrozenTrial":
    from optuna.trial import TrialState, create_trial

    states = {
        "done": TrialState.COMPLETE,
        "running": TrialState.RUNNING,
        "pruned": TrialState.PRUNED,
        "failed": TrialState.FAIL,
    }
    drawn = told.point.drawn
    if whole:
        drawn = {name: drawn.get(name, one.middle) for name, one in space.choices.items()}
    params = {name: _place(space.choices[name], value) for name, value in drawn.items()}
    return create_trial(
        state=states[told.state],
        values=list(told.values) if told.state == "done" else None,
        params=params,
        distributions={name: distributions[name] for name in params},
        system_attrs=None if told.generation is None else {_GENERATION: told.generation},
        constraints=dict(told.constraints) if told.constraints else None,
    )


def _place(one: Domain, value: Scalar) -> Scalar:
    return one.index(value) if isinstance(one, Choices) else value
