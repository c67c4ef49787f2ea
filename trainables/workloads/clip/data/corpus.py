"""The data of a workload: training samples in segments, and the test sets."""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from trainables.workloads.clip.data.pixels import Images
from trainables.workloads.clip.evaluation import TestSet

_Kind = TypeVar("_Kind", bound=np.generic)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A run of N training samples, each with one caption at least.

    Attributes:
        images: [N, H, W, 3].
        tokens: [M, L], the captions of all samples.
        first: [N + 1]; the captions of sample i are the rows first[i] to first[i + 1] of `tokens`.
        concepts: names of the concepts; the pool has none.
        concept: [N], an index into `concepts`; -1 in the pool.
    """

    images: Images
    tokens: NDArray[np.integer]
    first: NDArray[np.int64]
    concepts: tuple[str, ...]
    concept: NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """All data of a workload: training segments, of which the last is the pool, and the test sets."""

    segments: tuple[Segment, ...]
    suite: tuple[TestSet, ...]

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """First id of each segment, and the number of all samples."""
        return np.cumsum([0, *(len(segment.images) for segment in self.segments)])

    @cached_property
    def by_concept(self) -> dict[str, NDArray[np.int64]]:
        """Ids of each concept's training samples."""
        return {
            name: offset + np.flatnonzero(segment.concept == i)
            for segment, offset in zip(self.segments, self.offsets, strict=False)
            for i, name in enumerate(segment.concepts)
        }

    def images(self, ids: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Images [n, H, W, 3] of training samples by id."""
        at = self._segment_of(ids)
        parts = [self.segments[i].images[ids[at == i] - self.offsets[i]] for i in np.unique(at)]
        return _back_in_order(parts, at)

    def captions(self, ids: NDArray[np.int64], draws: NDArray[np.float64]) -> NDArray[np.integer]:
        """One caption [n, L] of each sample; `draws` in [0, 1) choose among the captions of the sample."""
        at = self._segment_of(ids)
        parts = []
        for i in np.unique(at):
            segment, local = self.segments[i], ids[at == i] - self.offsets[i]
            first, count = segment.first[local], segment.first[local + 1] - segment.first[local]
            parts.append(np.asarray(segment.tokens[first + (draws[at == i] * count).astype(np.int64)]))
        return _back_in_order(parts, at)

    def _segment_of(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self.offsets, ids, side="right") - 1


def _back_in_order(parts: list[NDArray[_Kind]], at: NDArray[np.int64]) -> NDArray[_Kind]:
    """Rows that were read segment by segment, in the order of the ids that were asked for."""
    joined = np.concatenate(parts)
    out = np.empty_like(joined)
    out[np.argsort(at, kind="stable")] = joined
    return out
