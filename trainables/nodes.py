"""The graph of results: where weights come from, as immutable nodes named by a hash of what makes their numbers.

    Weights = Base | Update | Merge          Scores = (Weights, suite)

A key covers the inputs by their keys, everything in the recipe, the data and the version of the numerics. It covers no
device, path, trial or clock, so a node that is in the store never has to be computed again, whoever asks for it.

The version comes with the base, so every node has that of the weights that it goes back to, and `version_of` reads it
off a key. Results of several versions lie in one store side by side.
"""

from dataclasses import dataclass
from functools import cached_property

from trainables.config import Recipe
from trainables.frozen import digest
from trainables.merging.rule import MergeRule
from trainables.streams.tasks import Task

NUMERICS_VERSION = 5
"""Raised by every change that moves numbers; with it, all keys change."""

UNMARKED_VERSION = 4
"""The version whose keys do not say it, nor do its studies' folders: until then nothing had to be told apart."""


def version_of(key: str) -> int:
    """The version that a key was made under; of all versions before keys said so, the last."""
    _, _, version = key.partition(_MARK)
    return int(version) if version.isdigit() else UNMARKED_VERSION


_MARK = "."
"""Between a key's digest and its version."""


def _named(parts: dict[str, object], numerics: int) -> str:
    mark = "" if numerics == UNMARKED_VERSION else f"{_MARK}{numerics}"
    return f"{digest({**parts, 'numerics': numerics})}{mark}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Base:
    """The pretrained weights, by the digest of their file; `numerics` is the version that names what follows them."""

    model: str
    numerics: int = NUMERICS_VERSION

    @cached_property
    def key(self) -> str:
        """The name of these weights in the store."""
        return _named({"base": self.model}, self.numerics)


@dataclass(frozen=True, kw_only=True, eq=False)
class Update:
    """Weights after training `start` on one task. Randomness comes from (seed, task) alone.

    The memory of a penalty is stored with the update that made it, so the key of the start covers it.

    Attributes:
        start: the weights that training starts from.
        task: the concepts that are learnt.
        recipe: the part of the trial's recipe that this task sees.
        data: digest of the training data.
        seed: of the trial.
        continues: whether the adapter of the start goes on, over the weights that it was first put on.
        earlier_steps: the steps of the tasks before, where the schedule looks back.
    """

    start: "Weights"
    task: Task
    recipe: Recipe
    data: str
    seed: int
    continues: bool = False
    earlier_steps: tuple[int, ...] = ()

    @property
    def numerics(self) -> int:
        """The version that names the update."""
        return self.start.numerics

    @cached_property
    def key(self) -> str:
        """The name of these weights in the store."""
        parts = {
            "update": self.start.key,
            "task": self.task.digest,
            "recipe": self.recipe,
            "data": self.data,
            "seed": self.seed,
            "continues": self.continues,
            "earlier_steps": self.earlier_steps,
        }
        return _named(parts, self.numerics)


@dataclass(frozen=True, kw_only=True, eq=False)
class Merge:
    """Weights merged by a rule, oldest first, computed from their inputs when needed.

    They are never stored: to interpolate takes no longer than to read one more file.

    Attributes:
        rule: the merge rule.
        inputs: the merged weights, oldest first.
        weights: one for each input, where the rule weighs; of two, (w, 1 - w).
        base: the weights from which differences are taken, where the rule needs them.
    """

    rule: MergeRule
    inputs: tuple["Weights", ...]
    weights: tuple[float, ...] | None = None
    base: Base | None = None

    @property
    def numerics(self) -> int:
        """The version that names the merge."""
        return self.inputs[0].numerics

    @cached_property
    def key(self) -> str:
        """The name of these weights, under which their scores are stored; it also seeds rules that draw at random."""
        parts = {
            "merge": self.rule,
            "inputs": [weights.key for weights in self.inputs],
            "weights": self.weights,
            "base": None if self.base is None else self.base.key,
        }
        return _named(parts, self.numerics)


@dataclass(frozen=True, kw_only=True, eq=False)
class MidTask:
    """The weights in the middle of a task, after some of its steps: they are scored as they pass, and never stored."""

    update: Update
    step: int

    @property
    def numerics(self) -> int:
        """The version that names the update."""
        return self.update.numerics

    @cached_property
    def key(self) -> str:
        """The name under which the scores of these weights are stored."""
        return digest({"inside": self.update.key, "step": self.step})


Weights = Base | Update | Merge


def first_of(update: Update) -> Update:
    """The update that made the adapter that `update` trains."""
    while update.continues:
        assert isinstance(update.start, Update)
        update = update.start
    return update


def last_update(weights: Weights) -> Update | None:
    """The update whose memory reaches a task that starts from `weights`; in a merge it is the latest input's."""
    while isinstance(weights, Merge):
        weights = weights.inputs[-1]
    return weights if isinstance(weights, Update) else None


def scores_key(weights: Weights | MidTask, suite: str) -> str:
    """The name of the scores of some weights on an evaluation suite."""
    return _named({"scores": weights.key, "suite": suite}, weights.numerics)


def cost_key(recipe: Recipe, model: str, numerics: int = NUMERICS_VERSION) -> str:
    """The name of the cost of one optimiser step of a recipe on a model, given the digest of its base."""
    parts = {
        "cost": recipe.method,
        "batch_size": recipe.batch_size,
        "averages": recipe.averages,
        "precision": recipe.precision,
        "model": model,
    }
    return _named(parts, numerics)
