"""Buffers of limited size: the earlier samples in one are a pure function of (seed, samples); nothing is carried on.

Every sample has a random priority that depends on its concept alone. A reservoir keeps the samples of lowest priority:
a uniform draw, of which later ones only ever lose samples or gain new ones, as a reservoir that sees a stream does
(Vitter 1985). A balanced buffer gives each concept an equal share and fills it by priority.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trainables.randomness import generator

Indices = NDArray[np.int64]
Policy = Literal["reservoir", "balanced"]


def buffer_samples(
    concepts: Sequence[str], samples: Sequence[Indices], *, size: int, policy: Policy, seed: int
) -> Indices:
    """The sorted ids of the samples that a buffer holds; all samples where they fit.

    Args:
        concepts: names of the earlier concepts.
        samples: ids of the samples of each.
        size: samples that the buffer holds at most.
        policy: what it keeps.
        seed: seed of the trial.
    """
    priorities = [generator("buffer", seed, name).random(len(ids)) for name, ids in zip(concepts, samples, strict=True)]
    ids, priority = np.concatenate(samples), np.concatenate(priorities)
    if len(ids) <= size:
        return np.sort(ids)
    if policy == "reservoir":
        return np.sort(ids[np.argsort(priority, kind="stable")[:size]])
    quotas = _quotas([len(own) for own in samples], [float(own.min()) for own in priorities], size)
    return np.sort(
        np.concatenate(
            [
                own[np.argsort(rank, kind="stable")[:quota]]
                for own, rank, quota in zip(samples, priorities, quotas, strict=True)
            ]
        )
    )


def _quotas(counts: Sequence[int], priorities: Sequence[float], size: int) -> list[int]:
    """Equal shares of `size`: places that a concept cannot fill go to the others, and single places go by priority."""
    quotas = [0] * len(counts)
    left = size
    while left:
        open_places = [i for i, count in enumerate(counts) if quotas[i] < count]
        share, rest = divmod(left, len(open_places))
        if not share:
            for i in sorted(open_places, key=lambda i: priorities[i])[:rest]:
                quotas[i] += 1
            break
        for i in open_places:
            given = min(share, counts[i] - quotas[i])
            quotas[i] += given
            left -= given
    return quotas
