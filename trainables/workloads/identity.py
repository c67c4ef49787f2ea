"""What of a workload enters keys; it costs no import of torch, so that plans are quick."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What of a workload enters keys, known before anything is loaded.

    Attributes:
        base: digest of the pretrained weights.
        data: digest of all training data.
        suite: digest of all test data and of how it is scored.
        concepts: the adaptation concepts as "dataset/concept", in canonical order.
    """

    base: str
    data: str
    suite: str
    concepts: tuple[str, ...]
