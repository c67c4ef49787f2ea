"""Blocks of a tower that are all alike: three of a run are computed, and the middle one stands for those left out.

A tower of forty equal blocks costs a first one, a last one, and thirty-eight times what lies between, in operations as
in memory, since nothing that a block keeps or frees reaches beyond its neighbours.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from typing import NamedTuple

from torch import Tensor, nn
from torch.utils._pytree import tree_iter

KEPT = 3
"""Blocks of a run that are computed: its first, whose input comes from elsewhere, a middle one, and its last."""


class Span(NamedTuple):
    """From where to where a block's forward or backward pass went, on some clock, and how many more are like it."""

    start: int
    end: int
    times: int


@contextmanager
def repeats_left_out(
    model: nn.Module, blocks: Sequence[nn.Module], clock: Callable[[], int]
) -> Generator[list[Span], None, None]:
    """Let a model compute only some of the `blocks` that are alike, and note the spans of those that stand for others.

    Its output is no longer what it was until the context ends. `clock` is read where a span begins and ends. Blocks
    that return more than a tensor, such as T5's, are all computed.
    """
    spans: list[Span] = []
    with ExitStack() as undo:
        for _, middle, *others, last in (run for run in _runs(model, blocks) if len(run) > KEPT):
            undo.enter_context(_left_out(middle, others, last, clock, spans))
        yield spans


@contextmanager
def _left_out(
    middle: nn.Module, others: Sequence[nn.Module], last: nn.Module, clock: Callable[[], int], spans: list[Span]
) -> Generator[None, None, None]:
    """Note the spans of `middle`: forward from its input to that of the `last` block, and backward the other way."""
    began: list[int] = []

    def begin() -> None:
        began.append(clock())

    def end() -> None:
        if began:
            spans.append(Span(began.pop(), clock(), len(others)))

    def at_input(_: nn.Module, given: object) -> None:
        _when_known(given, end)
        begin()

    def at_output(_: nn.Module, __: object, out: object) -> None:
        if not isinstance(out, Tensor):
            began.clear()
            return
        hooks.append(last.register_forward_pre_hook(at_end))
        for block in others:
            block.forward = _same

    def at_end(_: nn.Module, given: object) -> None:
        end()
        _when_known(given, begin)

    hooks = [middle.register_forward_pre_hook(at_input), middle.register_forward_hook(at_output)]
    own = [(block, vars(block).get("forward")) for block in others]
    yield
    for hook in hooks:
        hook.remove()
    for block, forward in own:
        vars(block).pop("forward", None)
        if forward is not None:
            block.forward = forward


def _same(x: Tensor, *_: object, **__: object) -> Tensor:
    return x


def _when_known(values: object, act: Callable[[], None]) -> None:
    """Act when the gradient of the first tensor is known; there is none where nothing before it is trained."""
    tensor = next(value for value in tree_iter(values) if isinstance(value, Tensor))
    if tensor.requires_grad:
        tensor.register_hook(lambda _: act())


def _runs(model: nn.Module, blocks: Sequence[nn.Module]) -> Iterator[list[nn.Module]]:
    """Runs of blocks that follow each other in one list and are alike."""
    lists = {id(child): id(parent) for parent in model.modules() for child in parent.children()}
    for _, run in groupby(blocks, key=lambda block: (lists[id(block)], _signature(block))):
        yield list(run)


def _signature(block: nn.Module) -> list[object]:
    """What a block computes and keeps: its modules with their plain settings, shapes, and what is trained."""
    plain = (bool, int, float, str, tuple, type(None))
    modules = [
        (type(one), sorted((name, repr(value)) for name, value in vars(one).items() if isinstance(value, plain)))
        for one in block.modules()
    ]
    tensors = [(name, p.shape, p.dtype, p.requires_grad) for name, p in block.named_parameters()]
    return [modules, tensors, [(name, b.shape, b.dtype) for name, b in block.named_buffers()]]
