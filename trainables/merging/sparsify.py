"""Which entries of a task vector stay: exactly a share of them, found without sorting.

Sorting is not needed for a share: a sample brackets the threshold, one pass counts what lies outside of the bracket,
and only the few entries inside are ordered (Floyd and Rivest 1975). Equal entries are kept in the order of their
position, so a share is exact also where storage types of few bits make many entries equal.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

_SAMPLE = 1 << 16
_SPREAD = 6
"""Half the bracket's width in standard deviations of a sampled rank; a miss costs time, never exactness."""


class Threshold(NamedTuple):
    """Entries above `value` count as large; of those equal to it the first `ties` in the order of the tensors do."""

    value: float
    ties: int


def kept(size: int, share: float) -> int:
    """How many of `size` entries a share is."""
    return round(size * share)


def largest(magnitudes: Callable[[], Iterator[Tensor]], size: int, keep: int) -> Threshold:
    """The threshold that makes exactly `keep` of `size` magnitudes large.

    Args:
        magnitudes: gives the tensors anew at every call, so that one of them at a time has to be in memory.
        size: entries of all tensors.
        keep: how many are to be large, 0 to size.
    """
    if keep >= size:
        return Threshold(-1.0, 0)
    if keep <= 0:
        return Threshold(float("inf"), 0)
    low, high = _bracket(magnitudes, size, keep)
    while True:
        above, at_high, inside, at_low = 0, 0, [], 0
        for tensor in magnitudes():
            flat = tensor.reshape(-1)
            over = int(torch.count_nonzero(flat > high))
            middle = flat[(flat > low) & (flat < high)]
            from_low = int(torch.count_nonzero(flat >= low))
            equal = int(torch.count_nonzero(flat == high)) if high > low else from_low - over
            above, at_high = above + over, at_high + equal
            at_low += from_low - over - equal - middle.numel()
            inside.append(middle)
        between = torch.cat(inside)
        rank = keep - above  # among what is not above the bracket; the entries equal to its ends are only counted
        if 1 <= rank <= at_high:
            return Threshold(high, rank)
        rank -= at_high
        if 1 <= rank <= between.numel():
            value = float(between.kthvalue(between.numel() - rank + 1).values)
            return Threshold(value, rank - int(torch.count_nonzero(between > value)))
        rank -= between.numel()
        if 1 <= rank <= at_low:
            return Threshold(low, rank)
        low, high = (low, float("inf")) if keep <= above else (-1.0, high)


def _bracket(magnitudes: Callable[[], Iterator[Tensor]], size: int, keep: int) -> tuple[float, float]:
    """Values between which the threshold nearly always lies, from a regular sample."""
    stride = max(1, size // _SAMPLE)
    sample = torch.cat([tensor.reshape(-1)[::stride] for tensor in magnitudes()]).sort(descending=True).values
    share = keep / size
    place, slack = share * len(sample), _SPREAD * (share * (1 - share) * len(sample)) ** 0.5 + 1
    first, last = int(place - slack), int(place + slack)
    high = float(sample[first]) if first >= 0 else float("inf")
    return (float(sample[last]) if last < len(sample) else -1.0), high


class Large:
    """Asked tensor by tensor, in the order in which the threshold was found, it says which entries are large."""

    def __init__(self, threshold: Threshold) -> None:
        self._value, self._left = threshold

    def of(self, magnitude: Tensor) -> Tensor:
        """A mask of the large entries."""
        mask = magnitude > self._value
        if self._left:
            equal = (magnitude == self._value).reshape(-1).nonzero().squeeze(1)[: self._left]
            mask.view(-1)[equal] = True
            self._left -= equal.numel()
        return mask


def dropped(vector: Tensor, density: float, generator: torch.Generator) -> Tensor:
    """DARE: exactly round(density * n) random entries stay, scaled up by 1 / density (arXiv 2311.03099, eq. 3).

    The paper drops each entry on its own; an exact share, as in the reference of 2408.14471, has less noise.
    """
    keep = kept(vector.numel(), density)
    if keep >= vector.numel():
        return vector
    draws = torch.rand(vector.numel(), generator=generator)
    mask = Large(largest(lambda: iter([draws]), vector.numel(), keep)).of(draws).view(vector.shape)
    return vector * mask / density


def crumbs(vector: Tensor, density: float, prune_top: float) -> Tensor:
    """Breadcrumbs: the share `density` of the entries just below the largest `prune_top` of a tensor (2312.06795)."""
    size, magnitude = vector.numel(), vector.abs()
    top = kept(size, prune_top)
    bottom = min(size, top + kept(size, density))
    masks = [Large(largest(lambda: iter([magnitude]), size, count)).of(magnitude) for count in (top, bottom)]
    return vector * (masks[1] & ~masks[0])


def thresholds(
    names: list[str], vectors: Callable[[int, str], Tensor], inputs: int, *, sizes: Mapping[str, int], density: float
) -> list[Large]:
    """TIES: for every input, what is large in its whole task vector (arXiv 2306.01708, section 3, step 1)."""
    total = sum(sizes[name] for name in names)
    return [
        Large(largest(lambda i=i: (vectors(i, name).abs() for name in names), total, kept(total, density)))  # type: ignore[misc]
        for i in range(inputs)
    ]
