"""The identity of a workload: all that a plan needs to know, without loading data, weights or torch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainables.frozen import ConfigError, digest
from trainables.workloads.anatomy import Anatomy
from trainables.workloads.settings import Evaluation, Subset


class Scored(NamedTuple):
    """Numbers of test samples and of classes of a data set; a retrieval set has 0 classes."""

    samples: int
    classes: int


def _unknown(kind: str) -> NDArray[np.generic]:
    raise ConfigError(
        f"ordering: it needs the {kind} of all concepts, which this workload lacks; use random or dataset"
    )


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Digests that enter keys, and sizes and names for plans.

    Attributes:
        base: digest of the pretrained weights.
        data: digest of all training data.
        suite: digest of all test data and of how it is scored.
        concepts: the adaptation concepts as "dataset/concept", in canonical order.
        tests: sizes of the data sets that an evaluation scores.
        pool_samples: samples of pretraining data that may be replayed.
        anatomy: the model's parameters, and the layers that adapters may change.
        facts: facts about all concepts, in canonical order, by kind: "loss" of the base model [N], "count" in the
            pretraining captions [N], embeddings "image" and "text" [N, D], "year" [N]. Facts follow from base and
            data and are computed when they are first asked for. ConfigError says what the data lack.
        warnings: settings of model and data that are allowed and probably not meant.
    """

    base: str
    data: str
    suite: str
    concepts: tuple[str, ...]
    tests: tuple[Scored, ...]
    pool_samples: int
    anatomy: Anatomy
    facts: Callable[[str], NDArray[np.generic]] = field(default=_unknown, compare=False)
    warnings: tuple[str, ...] = ()

    @property
    def test_samples(self) -> int:
        """Samples that one evaluation scores."""
        return sum(test.samples for test in self.tests)

    def is_cut_by(self, subset: Subset) -> bool:
        """Whether a subset leaves out test samples of some data set."""
        return any(test.classes and subset.size(*test) < test.samples for test in self.tests)

    def suite_of(self, evaluation: Evaluation) -> str:
        """Digest of the test data and how they are scored: each subset and precision makes a suite of its own."""
        own: dict[str, object] = {} if evaluation.subset is None else {"subset": evaluation.subset}
        if evaluation.precision != "fp32":
            own["precision"] = evaluation.precision
        return digest({"suite": self.suite, **own}) if own else self.suite
