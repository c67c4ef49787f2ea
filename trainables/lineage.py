"""The graph of results: where weights come from, as immutable nodes named by a hash of what makes their numbers.

    Weights = Base | Update | Merge          Scores = (Weights, suite)

A key covers the inputs by their keys, everything in the recipe, the data and the version of the numerics. It covers no
device, path, trial or clock, so a node that is in the store never has to be computed again, whoever asks for it.
"""

from dataclasses import dataclass
from functools import cached_property

from trainables.config import Method, Recipe, digest
from trainables.streams.tasks import Task

NUMERICS_VERSION = 1
"""Raised by every change that moves numbers; with it, all keys change."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Base:
    """The pretrained weights, by the digest of their file."""

    model: str

    @cached_property
    def key(self) -> str:
        """Name of these weights in the store."""
        return digest({"base": self.model, "numerics": NUMERICS_VERSION})


@dataclass(frozen=True, kw_only=True, eq=False)
class Update:
    """Weights after training `start` on one task. Randomness comes from (seed, task) alone."""

    start: "Weights"
    task: Task
    recipe: Recipe
    data: str
    seed: int

    @cached_property
    def key(self) -> str:
        """Name of these weights in the store."""
        parts = {
            "update": self.start.key,
            "task": self.task.digest,
            "recipe": self.recipe.canonical(),
            "data": self.data,
            "seed": self.seed,
            "numerics": NUMERICS_VERSION,
        }
        return digest(parts)


@dataclass(frozen=True, kw_only=True, eq=False)
class Merge:
    """theta = w * old + (1 - w) * new. It is computed from its inputs when needed, and never stored."""

    rule: str
    w: float
    old: "Weights"
    new: "Weights"

    @cached_property
    def key(self) -> str:
        """Name of these weights, under which their scores are stored."""
        parts = {"merge": self.rule, "w": self.w, "old": self.old.key, "new": self.new.key}
        return digest({**parts, "numerics": NUMERICS_VERSION})


Weights = Base | Update | Merge


def scores_key(weights: Weights, suite: str) -> str:
    """Name of the scores of some weights on an evaluation suite."""
    return digest({"scores": weights.key, "suite": suite, "numerics": NUMERICS_VERSION})


def cost_key(method: Method, batch_size: int, model: str) -> str:
    """Name of the cost of one optimiser step of a method on a model (its base's digest)."""
    parts = {"cost": method.canonical(), "batch_size": batch_size, "model": model, "numerics": NUMERICS_VERSION}
    return digest(parts)
