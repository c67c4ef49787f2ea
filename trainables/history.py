"""What a cycle has reached, by place: the weights that the next task may start from, and those that may be served.

Averages over all updates are running ones: a cycle of T tasks costs T interpolations. Rules that are no plain average,
and weights that grow with age, see all updates anew after every task.
"""

from dataclasses import dataclass, replace
from typing import Self

from trainables.merging.rule import MergeRule
from trainables.merging.timeline import Timeline, recency_weights
from trainables.nodes import Base, Merge, Update, Weights


@dataclass(frozen=True, kw_only=True)
class History:
    """A cycle so far: the base, all updates, oldest first, and the weights at each place that the timeline has."""

    timeline: Timeline
    base: Base
    updates: tuple[Update, ...] = ()
    ema: Weights | None = None
    mean: Weights | None = None
    patched: Weights | None = None

    def start(self) -> Weights:
        """The weights that the next task starts from; before the first task, the base."""
        return self._at(self.timeline.start) if self.updates else self.base

    def serve(self) -> Weights:
        """The weights that are served now."""
        if not self.updates:
            return self.base
        served, share = self._at(self.timeline.serve), self.timeline.wise_ft
        return served if share is None else _pair(MergeRule(), share, self.base, served, base=self.base)

    def after(self, update: Update) -> Self:
        """The history with one more update."""
        places = self.timeline.places
        return replace(
            self,
            updates=(*self.updates, update),
            ema=self._chained(update) if "ema" in places else None,
            mean=self._averaged(update) if "all" in places else None,
            patched=self._merge_pair(self.base, update) if "patched" in places else None,
        )

    def _at(self, place: str) -> Weights:
        last = self.updates[-1]
        match place:
            case "base":
                return self.base
            case "last":
                return last
            case "patched":
                assert self.patched is not None
                return self.patched
            case "ema":
                assert self.ema is not None
                return self.ema
            case _:
                assert self.mean is not None
                return self.mean

    def _chained(self, update: Update) -> Weights:
        if self.ema is None and self.timeline.chain == "first":
            return update
        return self._merge_pair(self.ema or self.base, update)

    def _averaged(self, update: Update) -> Weights:
        updates, recency, rule = (*self.updates, update), self.timeline.recency, self.timeline.rule
        assert rule is not None
        if len(updates) == 1:
            return update
        if recency is None:
            return Merge(rule=rule, inputs=updates, base=self.base if rule.needs_base else None)
        weights = recency_weights(recency, len(updates))
        if rule.is_plain and not recency.startswith("reversed"):
            assert self.mean is not None
            return _pair(rule, 1 - weights[-1], self.mean, update, base=self.base)
        return Merge(rule=rule, inputs=updates, weights=weights, base=self.base if rule.needs_base else None)

    def _merge_pair(self, old: Weights, new: Weights) -> Weights:
        assert self.timeline.rule is not None
        return _pair(self.timeline.rule, self.timeline.w, old, new, base=self.base)


def _pair(rule: MergeRule, w: float | None, old: Weights, new: Weights, *, base: Base) -> Weights:
    """Two weights merged; where all weight is on one side, that side itself, so that trials share its nodes."""
    if rule.is_plain and w in (0, 1):
        return old if w else new
    return Merge(
        rule=rule,
        inputs=(old, new),
        weights=None if w is None else (w, 1 - w),
        base=base if rule.needs_base else None,
    )
