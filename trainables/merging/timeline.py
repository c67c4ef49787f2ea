"""Timelines: which weights start the next task and which are served after it, as rows of one table.

    finetune  start from the last update             serve the last update
    ema       start from the served weights          serve  merge(served before, update)
    ft        start from the served weights          serve  merge(base, update)
    zs        start from the base                    serve  merge(served before, update)

Source: arXiv 2408.14471, section 5.2 (EMA-merge, Finetune-merge, ZeroShot-merge). All chains begin at the base.
"""

from dataclasses import dataclass
from typing import Literal

from trainables.config import Finetune, Merging
from trainables.lineage import Base, Merge, Update, Weights


@dataclass(frozen=True, kw_only=True)
class Row:
    """Where a task starts, and with what its update is merged before it is served."""

    start: Literal["base", "last", "served"]
    anchor: Literal["base", "served", "nothing"]


TIMELINES = {
    "finetune": Row(start="last", anchor="nothing"),
    "ema": Row(start="served", anchor="served"),
    "ft": Row(start="served", anchor="base"),
    "zs": Row(start="base", anchor="served"),
}


@dataclass(frozen=True, kw_only=True)
class History:
    """What a cycle has reached: the base, the last update (at first the base) and the served weights."""

    base: Base
    last: Weights
    served: Weights


def start(timeline: Finetune | Merging, history: History) -> Weights:
    """Weights that the next task starts from."""
    at: dict[str, Weights] = {"base": history.base, "last": history.last, "served": history.served}
    return at[TIMELINES[timeline.name].start]


def serve(timeline: Finetune | Merging, history: History, update: Update) -> Weights:
    """Weights that are served after `update`."""
    match timeline, TIMELINES[timeline.name].anchor:
        case Merging(rule=rule, w=w), "base":
            return Merge(rule=rule, w=w, old=history.base, new=update)
        case Merging(rule=rule, w=w), _:
            return Merge(rule=rule, w=w, old=history.served, new=update)
        case _:
            return update
