"""What is known of a workload before anything is loaded; it costs no import of torch, so that plans are quick."""

from dataclasses import dataclass

from trainables.workloads.anatomy import Anatomy


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Digests that enter keys, and what a plan needs to know.

    Attributes:
        base: digest of the pretrained weights.
        data: digest of all training data.
        suite: digest of all test data and of how it is scored.
        concepts: the adaptation concepts as "dataset/concept", in canonical order.
        test_samples: samples that one evaluation scores.
        anatomy: the model's parameters, and the layers that adapters may change.
    """

    base: str
    data: str
    suite: str
    concepts: tuple[str, ...]
    test_samples: int
    anatomy: Anatomy
