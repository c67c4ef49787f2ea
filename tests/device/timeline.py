"""What a GPU does in two real steps of the training loop: idle time, fills, copies, kernels, and what waits for it."""

import copy
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile

from tests.device.rows import NeedsGpuError, Row
from tests.device.setting import Setting, task, trained

WARM, STEPS = 3, 2


class Span(NamedTuple):
    """A kernel or a copy on the device, in nanoseconds."""

    name: str
    start: int
    duration: int


KINDS = {
    "fills": ("FillFunctor", "Memset"),
    "copies from the host": ("Memcpy HtoD",),
    "copies to the host": ("Memcpy DtoH",),
    "copies on the device": ("copy_kernel", "copy_device_to_device", "Memcpy DtoD", "CatArray"),
    "attention": ("flash", "fmha", "attention", "mem_eff"),
    "matrix products": ("gemm", "cutlass", "nvjet", "xmma"),
}
"""Kinds of kernels by what stands in their names; the first that fits counts."""


def timeline(setting: Setting) -> Iterator[Row]:
    """The profile of two steps in the middle of a training, and the lines of code that wait for the device."""
    if not setting.has_gpu:
        raise NeedsGpuError
    own = setting.open()
    watched, profiler, done = copy.copy(own), profile(activities=[ProfilerActivity.CUDA]), 0

    def after_step(model: Any) -> None:
        nonlocal done
        own.after_step(model)
        done += 1
        if done == WARM:
            torch.cuda.synchronize()
            profiler.start()
            torch.cuda.set_sync_debug_mode("warn")
        elif done == WARM + STEPS:
            torch.cuda.set_sync_debug_mode("default")
            torch.cuda.synchronize()
            profiler.stop()

    setattr(watched, "after_step", after_step)  # noqa: B010  (an instance's own, for this measurement alone)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trained(task(own, "full", steps=WARM + STEPS + 1, batch_size=setting.batch), watched, setting.runtime)
    events = profiler.profiler.kineto_results.events()  # type: ignore[union-attr]
    spans = [
        Span(event.name(), event.start_ns(), event.duration_ns())
        for event in events
        if str(event.device_type()).endswith("CUDA")
    ]
    yield from of_spans(spans, steps=STEPS)
    waits = Counter(
        f"{one.filename.rpartition('/')[2]}:{one.lineno}" for one in caught if "synchroniz" in str(one.message)
    )
    yield Row(name="lines that wait for the device", value=len(waits), unit="in two steps", against=dict(waits))


def of_spans(spans: Sequence[Span], *, steps: int) -> Iterator[Row]:
    """Shares and sums of what a device did, from its first kernel to the end of its last."""
    if not spans:
        yield Row(name="kernels", value=0)
        return
    first, last = min(one.start for one in spans), max(one.start + one.duration for one in spans)
    busy, reached = 0, first
    for one in sorted(spans, key=lambda span: span.start):  # on several streams they may overlap
        end = one.start + one.duration
        busy += max(0, end - max(one.start, reached))
        reached = max(reached, end)
    total = (last - first) / steps / 1e6
    yield Row(name="a step in the profile", value=total, unit="ms")
    yield Row(name="share of the time in which the device idles", value=1 - busy / (last - first))
    yield Row(name="kernels and copies of a step", value=len(spans) / steps)
    sums: Counter[str] = Counter()
    for one in spans:
        sums[_kind(one.name)] += one.duration
    for kind, duration in sums.most_common():
        yield Row(name=f"of a step: {kind}", value=duration / steps / 1e6, unit="ms", against=f"of {total:.1f}")
    by_name: Counter[str] = Counter()
    for one in spans:
        by_name[one.name] += one.duration
    longest = {name[:90]: round(duration / steps / 1e6, 2) for name, duration in by_name.most_common(12)}
    yield Row(name="the kernels that take longest", value=len(by_name), unit="kinds", against=longest)


def _kind(name: str) -> str:
    return next((kind for kind, marks in KINDS.items() if any(mark in name for mark in marks)), "all else")
