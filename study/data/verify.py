"""Data sets one by one: does a model that is fine-tuned on one alone get better at it? arXiv 2408.14471, section 3.4.

A data set whose score does not rise teaches nothing, by its captions, its labels or how it is scored. Each run is an
update of the base like those of studies, scored on its own data set alone and kept in a store, so what was verified
once is not trained again.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from trainables.build import Builder
from trainables.config import Recipe
from trainables.frozen import ConfigError, suggestion
from trainables.methods.parts import Optimiser
from trainables.metrics import Score
from trainables.nodes import Base, Update
from trainables.runtime import Runtime
from trainables.store.store import Store
from trainables.streams.mixture import Mixture
from trainables.streams.tasks import Task
from trainables.workloads.clip.workload import ClipWorkload
from trainables.workloads.workload import Workload


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Scores of a data set before and after fine-tuning on it alone, as fractions."""

    dataset: str
    metric: str
    before: float
    after: float
    steps: int

    @property
    def rises(self) -> bool:
        """Whether the data set teaches what it is scored on."""
        return self.after > self.before

    def in_words(self) -> str:
        """The verdict as a line of text."""
        change = f"{self.metric} {100 * self.before:.1f} % -> {100 * self.after:.1f} % after {self.steps} steps"
        return f"{self.dataset}: {change}; {'rises' if self.rises else 'DOES NOT RISE'}"


def verify(
    workload: ClipWorkload,
    store: Store,
    runtime: Runtime,
    *,
    datasets: Sequence[str],
    epochs: float,
    batch_size: int,
    lr: float,
    seed: int = 0,
) -> Iterator[Verdict]:
    """Fine-tune on each data set of group adapt, and yield the verdicts one by one.

    Args:
        workload: model and data.
        store: keeps the updates and scores.
        runtime: for training and evaluation.
        datasets: names; none: all of group adapt.
        epochs: passes over the training images of a data set.
        batch_size: samples per step; of a data set with fewer, as many as it has.
        lr: peak learning rate of full fine-tuning.
        seed: of the order of the samples.

    Raises:
        ConfigError: an unknown data set.
    """
    known = list(dict.fromkeys(concept.partition("/")[0] for concept in workload.identity.concepts))
    for name in datasets:
        if name not in known:
            meant = suggestion(name, known)
            raise ConfigError(f"--datasets: {name!r} is no data set of group adapt; {meant}allowed: {', '.join(known)}")
    for name in datasets or known:
        builder = Builder(workload.scored_on(name), store, runtime)
        update = _update(workload, name, epochs=epochs, batch_size=batch_size, lr=lr, seed=seed)
        (before,), (after,) = builder.scores(update.start), builder.scores(update)
        yield _verdict(before, after, update.recipe.steps)


def as_json(verdicts: Sequence[Verdict]) -> str:
    """The verdicts as a JSON list."""
    return json.dumps([{**asdict(one), "rises": one.rises} for one in verdicts], indent=2)


def _verdict(before: Score, after: Score, steps: int) -> Verdict:
    return Verdict(dataset=before.dataset, metric=before.metric, before=before.value, after=after.value, steps=steps)


def _update(workload: Workload, dataset: str, *, epochs: float, batch_size: int, lr: float, seed: int) -> Update:
    """Full fine-tuning on a data set: nothing of the pool, and no buffer."""
    identity = workload.identity
    concepts = tuple(concept for concept in identity.concepts if concept.startswith(f"{dataset}/"))
    samples = len(workload.samples(concepts))
    size = max(2, min(batch_size, samples))
    return Update(
        start=Base(model=identity.base),
        task=Task(index=1, new=concepts, earlier=()),
        recipe=Recipe(
            optimiser=Optimiser(lr=lr),
            mixture=Mixture(pool=0, new=1, buffer=0),
            batch_size=size,
            steps=max(1, round(epochs * samples / size)),
        ),
        data=identity.data,
        seed=seed,
    )
