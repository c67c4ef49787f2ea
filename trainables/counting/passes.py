"""A forward and a backward pass without weights, data or a device: their FLOPs, and the peak of their memory.

FLOPs are those of torch's formulas, on the meta device: matrix products, convolutions and attention, two per
multiply-add. Memory is that of fake tensors, of which every storage is followed from its allocation to its end.
"""

import weakref
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map_only
from torch.utils.flop_counter import flop_registry

from trainables.config import Precision
from trainables.counting.repeats import Span, repeats_left_out
from trainables.workloads.workload import Batch, Workload, to_device


def flops_of_passes(model: nn.Module, workload: Workload, batch_size: int) -> int:
    """The FLOPs of a model on the meta device, where attention is computed by plain products."""
    batch = _example(workload, batch_size)
    with _Flops() as counter, repeats_left_out(model, workload.blocks(model), lambda: counter.total) as spans:
        workload.loss(model, batch).backward()
        total: int = counter.total + sum(span.times * (span.end - span.start) for span in spans)
    return total


@contextmanager
def without_values(model: nn.Module, workload: Workload, batch_size: int) -> Generator[Batch, None, None]:
    """Give a model on the meta device fake tensors, for good, and a batch like them for what is done in the context."""
    batch = _example(workload, batch_size)
    with FakeTensorMode(allow_non_fake_inputs=True):  # such as the indices of FourierFT, which are no buffers
        _fake(model)
        yield tree_map_only(Tensor, lambda tensor: torch.empty(tensor.shape, dtype=tensor.dtype), batch)


def estimated_peak(model: nn.Module, batch: Batch, workload: Workload, precision: Precision) -> int:
    """The peak bytes on a batch `without_values`, or on one of the CPU; weights and batch are included."""
    model.zero_grad()
    live = _Live()
    with repeats_left_out(model, workload.blocks(model), live.time) as spans:
        cast = _pass(live, model, batch, workload, precision)
    taken = live.taken
    for end in cast:  # of the copies of weights that autocast keeps until its end, those of the blocks left out end too
        begin = live.began[end]
        taken[end] *= 1 + sum(span.times for span in spans if span.start <= begin < span.end)
    return _peak(taken, spans)


def _example(workload: Workload, batch_size: int) -> Batch:
    with torch.device("meta"):
        return to_device(workload.example(batch_size), "meta")


def _pass(live: "_Live", model: nn.Module, batch: Batch, workload: Workload, precision: Precision) -> range:
    """Run both passes; returns when the copies ended that autocast had made of weights."""
    with live:
        for tensor in (*model.parameters(), *model.buffers(), *tree_iter(batch)):
            live.follow(tensor)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            value = workload.loss(model, batch)
            end = live.time()
        ended = range(end, live.time())
        value.backward()
    return ended


def _peak(taken: Sequence[int], spans: Sequence[Span]) -> int:
    """The most that is taken at once where what happens in a span happens `times` more, right after itself."""
    bytes_alive = list(accumulate(taken, initial=0))
    peak = by_repeats = done = 0
    for start, end, times in sorted(spans):
        added = times * (bytes_alive[end] - bytes_alive[start])
        peak = max(peak, by_repeats + max(bytes_alive[done : start + 1]))
        peak = max(peak, by_repeats + max(bytes_alive[start : end + 1]) + max(0, added))
        by_repeats, done = by_repeats + added, end
    return max(peak, by_repeats + max(bytes_alive[done:]))


def _fake(model: nn.Module) -> None:
    """Put an empty tensor in the place of each parameter and buffer; tied ones get the same tensor."""
    made: dict[int, Tensor] = {}
    for module in model.modules():
        for table in (module._parameters, module._buffers):
            for name, tensor in table.items():
                if tensor is None:
                    continue
                if id(tensor) not in made:
                    empty = torch.empty(tensor.shape, dtype=tensor.dtype)
                    trained = isinstance(tensor, nn.Parameter)
                    made[id(tensor)] = nn.Parameter(empty, requires_grad=tensor.requires_grad) if trained else empty
                table[name] = made[id(tensor)]  # type: ignore[assignment]


class _Flops(TorchDispatchMode):
    """Counts by the formulas of torch, without the search of its own counter for ever smaller parts of operations."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket in flop_registry:
            self.total += flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=out)
        return out


class _Live(TorchDispatchMode):
    """Notes the bytes of every storage when it begins, and less as many when it ends."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.taken: list[int] = []
        self.began: dict[int, int] = {}
        """When a storage began, by when it ended."""
        self._alive: dict[int, weakref.ref[Any]] = {}

    def time(self) -> int:
        """How many storages have begun or ended."""
        return len(self.taken)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_iter(out):
            if isinstance(tensor, Tensor):
                self.follow(tensor)
        return out

    def follow(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = id(storage), storage.nbytes()
        known = self._alive.get(key)
        if known is not None and known() is storage:
            return

        begin = self.time()

        def end(_: object) -> None:
            self.began[self.time()] = begin
            self.taken.append(-size)
            self._alive.pop(key, None)

        self._alive[key] = weakref.ref(storage, end)
        self.taken.append(size)
