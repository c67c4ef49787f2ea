"""Sparse task vectors: the largest entries by magnitude, or a random share, found without sorting.

A sample brackets the threshold, one pass counts the entries above the bracket, and only the few entries inside it are
ordered (Floyd and Rivest 1975). An entry stays wherever one of the same magnitude does, as in the references of
2306.01708 and 2408.14471: of many equal entries, which storage types of few bits make, none has a better claim than
another, and a choice among them would follow the names of tensors. So the share that stays may be larger than what was
asked for. Entries are compared and counted by numpy, which is 4 to 8 times as fast at it as torch.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import hardshrink

PIECE = 1 << 16
"""The number of entries that are worked on at once, so that they stay in the processor's cache."""

_SAMPLE = 1 << 16
_SPREAD = 6
"""Half the width of the bracket, in standard deviations of a sampled rank; a miss costs time, never exactness."""

Magnitudes = Callable[[int], Iterator[Tensor]]
"""Gives every n-th entry of all tensors, in pieces. Each call starts anew, so that only one piece is in memory."""


def share_of(size: int, share: float) -> int:
    """The number of entries that a share of `size` entries is."""
    return round(size * share)


def pieces(size: int) -> Iterator[slice]:
    """Slices that cover `size` entries."""
    return (slice(begin, min(begin + PIECE, size)) for begin in range(0, size, PIECE))


def kth_largest(magnitudes: Magnitudes, size: int, k: int) -> float:
    """The k-th largest of `size` magnitudes; below 0 where fewer than k are numbers.

    Args:
        magnitudes: of the tensors, flat.
        size: entries of all tensors.
        k: from 1, the largest, to size.
    """
    low, high = _bracket(magnitudes, size, k)
    while True:
        above, at_high, at_low, inside = 0, 0, 0, []
        for tensor in magnitudes(1):
            flat = tensor.numpy()
            above += int(np.count_nonzero(flat > high))
            at_high += int(np.count_nonzero(flat == high))
            at_low += int(np.count_nonzero(flat == low)) if low < high else 0
            inside.append(flat[(flat > low) & (flat < high)])
        between = np.concatenate(inside)
        rank = k - above  # among what is not above the bracket; the entries equal to its ends are only counted
        if 1 <= rank <= at_high:
            return high
        rank -= at_high
        if 1 <= rank <= between.size:
            return float(np.partition(between, between.size - rank)[between.size - rank])
        rank -= between.size
        if 1 <= rank <= at_low:
            return low
        if k <= above:
            high = float("inf")
        elif low < 0:
            return -1.0  # fewer than k are numbers
        else:
            low = -1.0


def _bracket(magnitudes: Magnitudes, size: int, k: int) -> tuple[float, float]:
    """Two values between which the threshold nearly always lies, from a regular sample."""
    sample = np.concatenate([tensor.numpy() for tensor in magnitudes(max(1, size // _SAMPLE))])
    sample = np.nan_to_num(sample, copy=False, nan=-1.0, posinf=np.inf)
    count, share = len(sample), k / size
    place, slack = share * count, _SPREAD * (share * (1 - share) * count) ** 0.5 + 1
    first, last = int(place - slack), int(place + slack)  # ranks from the largest on
    ends = np.partition(sample, [count - 1 - max(first, 0), max(count - 1 - last, 0)])
    high = float(ends[count - 1 - first]) if first >= 0 else float("inf")
    return (float(ends[count - 1 - last]) if last < count else -1.0), high


def trim(vector: Tensor, threshold: float) -> Tensor:
    """A flat vector with the entries set to 0 that are smaller than a threshold; what is not a number stays."""
    if threshold <= 0:
        return vector
    # Shrinking sets to 0 what is not above its bound, so the bound is the next number below.
    number = vector.numpy().dtype.type
    return hardshrink(vector, float(np.nextafter(number(threshold), number(0))))


def _kth_of(magnitude: Tensor, k: int) -> float:
    def magnitudes(step: int) -> Iterator[Tensor]:
        yield magnitude[::step]

    return kth_largest(magnitudes, magnitude.numel(), k)


def dropped(vector: Tensor, density: float, generator: torch.Generator) -> Tensor:
    """DARE: density * n random entries stay, scaled up by 1 / density (arXiv 2311.03099, eq. 3).

    The paper drops each entry on its own; an exact share, as in the reference of 2408.14471, has less noise. A fraction
    of an entry stays with that probability, so that the mean over draws is the vector, whatever its size.
    """
    if density >= 1:
        return vector
    draws, chance = torch.rand(vector.numel(), generator=generator), torch.rand((), generator=generator)
    keep = math.floor(vector.numel() * density + 1e-9)
    keep += float(chance) < vector.numel() * density - keep - 1e-9
    if not keep:
        return torch.zeros_like(vector)
    drawn, least = draws.numpy(), _kth_of(draws, keep)
    stays = drawn >= least
    if excess := int(np.count_nonzero(stays)) - keep:  # equal draws, about one in 2^24
        stays[np.flatnonzero(drawn == least)[-excess:]] = False
    return (vector * torch.from_numpy(stays)).div_(density)


def crumbs(vector: Tensor, density: float, prune_top: float) -> Tensor:
    """Breadcrumbs: the share `density` of the entries just below the largest `prune_top` of a tensor (2312.06795).

    At least one entry stays, so that a scalar is merged, too. Entries that equal the largest one that stays do as well.
    """
    size, magnitude = vector.numel(), vector.abs()
    if not size:
        return vector
    top = min(share_of(size, prune_top), size - 1)
    last = min(size, top + max(1, share_of(size, density)))
    trimmed = vector if last == size else trim(vector, _kth_of(magnitude, last))
    return trimmed - hardshrink(trimmed, _kth_of(magnitude, top + 1)) if top else trimmed


def thresholds(
    vectors: Callable[[int, str, slice], Tensor], inputs: int, *, sizes: Mapping[str, int], density: float
) -> list[float]:
    """TIES: for every input the least magnitude of its whole task vector that stays (arXiv 2306.01708, section 3.1).

    Args:
        vectors: some entries, flat, of an input's task vector of a name.
        inputs: how many there are.
        sizes: entries by name.
        density: share of the entries that stay, and those equal to the least of them; at least one does.
    """
    total = sum(sizes.values())
    keep = max(1, share_of(total, density))
    if keep >= total:
        return [0.0] * inputs

    def magnitudes(i: int, step: int) -> Iterator[Tensor]:
        for name, size in sizes.items():
            for piece in pieces(size) if step == 1 else [slice(0, size, step)]:
                yield vectors(i, name, piece).abs_()

    return [kth_largest(partial(magnitudes, i), total, keep) for i in range(inputs)]
