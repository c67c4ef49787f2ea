"""Sparse task vectors: exactly a share of the entries stays, found without sorting.

A sample brackets the threshold, one pass counts the entries above the bracket, and only the few entries inside it are
ordered (Floyd and Rivest 1975). Equal entries stay in the order of their position, so the share is exact also where
storage types of few bits make many entries equal. Entries are compared and
counted by numpy, which is 4 to 8 times as fast at it as torch.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

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


class Threshold(NamedTuple):
    """Entries above `value` count as large; of those equal to it the first `ties` in the order of the tensors do."""

    value: float
    ties: int


def share_of(size: int, share: float) -> int:
    """The number of entries that a share of `size` entries is."""
    return round(size * share)


def pieces(size: int) -> Iterator[slice]:
    """Slices that cover `size` entries."""
    return (slice(begin, min(begin + PIECE, size)) for begin in range(0, size, PIECE))


def largest(magnitudes: Magnitudes, size: int, keep: int) -> Threshold:
    """The threshold that makes exactly `keep` of `size` magnitudes large; NaN counts as smaller than any number.

    Args:
        magnitudes: of the tensors, flat.
        size: entries of all tensors.
        keep: how many are to be large, 0 to size.
    """
    if keep >= size:
        return Threshold(-1.0, 0)
    if keep <= 0:
        return Threshold(float("inf"), 0)
    low, high = _bracket(magnitudes, size, keep)
    while True:
        above, at_high, at_low, inside = 0, 0, 0, []
        for tensor in magnitudes(1):
            flat = tensor.numpy()
            above += int(np.count_nonzero(flat > high))
            at_high += int(np.count_nonzero(flat == high))
            at_low += int(np.count_nonzero(flat == low)) if low < high else 0
            inside.append(flat[(flat > low) & (flat < high)])
        between = np.concatenate(inside)
        rank = keep - above  # among what is not above the bracket; the entries equal to its ends are only counted
        if 1 <= rank <= at_high:
            return _threshold(high, rank, at_high, between.dtype)
        rank -= at_high
        if 1 <= rank <= between.size:
            value = float(np.partition(between, between.size - rank)[between.size - rank])
            equal = int(np.count_nonzero(between == value))
            return _threshold(value, rank - int(np.count_nonzero(between > value)), equal, between.dtype)
        rank -= between.size
        if 1 <= rank <= at_low:
            return _threshold(low, rank, at_low, between.dtype)
        if keep <= above:
            high = float("inf")
        elif low < 0:
            return Threshold(-1.0, 0)  # fewer than `keep` are numbers
        else:
            low = -1.0


def _threshold(value: float, ties: int, equal: int, dtype: np.dtype[np.generic]) -> Threshold:
    """The threshold at a value; where all entries equal to it are large, the next value below, without ties."""
    if ties < equal or dtype != np.float32:
        return Threshold(value, ties)
    return Threshold(float(np.nextafter(np.float32(value), np.float32(-1))), 0)


def _bracket(magnitudes: Magnitudes, size: int, keep: int) -> tuple[float, float]:
    """Two values between which the threshold nearly always lies, from a regular sample."""
    sample = np.concatenate([tensor.numpy() for tensor in magnitudes(max(1, size // _SAMPLE))])
    sample = np.nan_to_num(sample, copy=False, nan=-1.0, posinf=np.inf)
    count, share = len(sample), keep / size
    place, slack = share * count, _SPREAD * (share * (1 - share) * count) ** 0.5 + 1
    first, last = int(place - slack), int(place + slack)  # ranks from the largest on
    ends = np.partition(sample, [count - 1 - max(first, 0), max(count - 1 - last, 0)])
    high = float(ends[count - 1 - first]) if first >= 0 else float("inf")
    return (float(ends[count - 1 - last]) if last < count else -1.0), high


class Large:
    """A mask of large entries, to be asked for piece by piece in the order in which the threshold was found.

    It counts the ties that it has let stay, so the order decides which of them do.
    """

    def __init__(self, threshold: Threshold) -> None:
        self._value, self._left = threshold

    def of(self, magnitude: Tensor) -> Tensor:
        """1 for the large entries of a flat tensor of magnitudes, else 0."""
        mask = hardshrink(magnitude, self._value).sign_()
        if self._left:
            self._keep_ties(magnitude, mask, torch.ones_like(mask))
        return mask

    def trim(self, vector: Tensor) -> Tensor:
        """A flat vector with its small entries set to 0."""
        trimmed = hardshrink(vector, self._value)
        if self._left:
            self._keep_ties(vector.abs(), trimmed, vector)
        return trimmed

    def _keep_ties(self, magnitude: Tensor, out: Tensor, large: Tensor) -> None:
        equal = torch.from_numpy(np.flatnonzero(magnitude.numpy() == self._value)[: self._left])
        out[equal] = large[equal]
        self._left -= len(equal)


def _mask(magnitude: Tensor, keep: int) -> Tensor:
    """1 for the `keep` largest entries of a flat tensor, else 0."""

    def magnitudes(step: int) -> Iterator[Tensor]:
        yield magnitude[::step]

    if keep >= magnitude.numel():
        return torch.ones_like(magnitude)
    return Large(largest(magnitudes, magnitude.numel(), keep)).of(magnitude)


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
    return _mask(draws, keep).mul_(vector).div_(density)


def crumbs(vector: Tensor, density: float, prune_top: float) -> Tensor:
    """Breadcrumbs: the share `density` of the entries just below the largest `prune_top` of a tensor (2312.06795).

    At least one entry stays, so that a scalar is merged, too. The two masks are nested, so that their difference is the
    mask of the entries between them.
    """
    size, magnitude = vector.numel(), vector.abs()
    top = share_of(size, prune_top)
    stay = _mask(magnitude, min(size, top + max(1, share_of(size, density))))
    return stay.sub_(_mask(magnitude, top)).mul_(vector)


def thresholds(
    vectors: Callable[[int, str, slice], Tensor], inputs: int, *, sizes: Mapping[str, int], density: float
) -> list[Large]:
    """TIES: for every input the mask of large entries of its whole task vector (arXiv 2306.01708, section 3, step 1).

    Args:
        vectors: some entries, flat, of an input's task vector of a name.
        inputs: how many there are.
        sizes: entries by name, in the order in which they will be asked for.
        density: share of the entries that are large.
    """
    total = sum(sizes.values())

    def magnitudes(i: int, step: int) -> Iterator[Tensor]:
        for name, size in sizes.items():
            for piece in pieces(size) if step == 1 else [slice(0, size, step)]:
                yield vectors(i, name, piece).abs_()

    return [Large(largest(partial(magnitudes, i), total, share_of(total, density))) for i in range(inputs)]
