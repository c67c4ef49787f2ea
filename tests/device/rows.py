"""What a part gives: rows, one for each measurement or check; and what a part is."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from tests.device.setting import Setting


@dataclass(frozen=True, kw_only=True)
class Row:
    """A measurement, or a check.

    Attributes:
        name: what is measured.
        value: the finding.
        unit: of the value.
        against: what the value is compared with, and what belongs to it.
        holds: whether a check holds; None of a measurement.
    """

    name: str
    value: object
    unit: str = ""
    against: object = None
    holds: bool | None = None


Part = Callable[[Setting], Iterator[Row]]
"""Gives its rows one by one, so that what was found stays where a part fails or takes too long."""


class NeedsGpuError(RuntimeError):
    """What follows in a part can only be found on a GPU."""

    def __init__(self) -> None:
        super().__init__("needs a GPU")


def milliseconds(call: Callable[[], object], setting: Setting, *, rounds: int, warm: int = 1) -> float:
    """The median time of a call: of the GPU, between two events, or else of the clock."""
    for _ in range(warm):
        call()
    return statistics.median(_timed(call, setting) for _ in range(rounds))


def _timed(call: Callable[[], object], setting: Setting) -> float:
    if not setting.has_gpu:
        began = time.perf_counter()
        call()
        return 1000 * (time.perf_counter() - began)
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()
    call()
    last.record()
    last.synchronize()
    return float(first.elapsed_time(last))
