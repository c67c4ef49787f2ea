"""The configs of a study that are ahead so far, by gain; by GM as long as there is no line to take a gain from."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from study.results.gain import Anchors, mean
from trainables.metrics import Summary


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A finished trial: its id, its config in words and by id, its block and its end."""

    trial: str
    config: str
    config_id: str
    block: str
    end: Summary


@dataclass(frozen=True, kw_only=True)
class Best:
    """A config with its means over the blocks that have finished; fractions, the gain in points.

    `trial` is the first of its trials. The gain is None while an anchor lacks one of the blocks.
    """

    config: str
    config_id: str
    trial: str
    aka: float
    azs: float
    gm: float
    gain: float | None
    blocks: int


def ranked(finished: Iterable[Finished], anchors: Anchors) -> list[Best]:
    """The configs on the most blocks, best first: configs are compared on equally many."""
    groups: dict[str, list[Finished]] = defaultdict(list)
    for one in finished:
        groups[one.config_id].append(one)
    complete = max(map(len, groups.values()), default=0)
    rows = [_best(group, anchors) for group in groups.values() if len(group) == complete]
    by_gain = all(row.gain is not None for row in rows)
    return sorted(rows, key=lambda row: row.gain if by_gain and row.gain is not None else row.gm, reverse=True)


def _best(group: list[Finished], anchors: Anchors) -> Best:
    end = mean(one.end for one in group)
    line = anchors.line([one.block for one in group])
    return Best(
        config=group[0].config,
        config_id=group[0].config_id,
        trial=group[0].trial,
        gain=None if line is None else 100 * line.gain(end.aka, end.azs),
        blocks=len(group),
        **end._asdict(),
    )
