"""Dependencies: the stored updates that are read to get some weights; all other updates may be freed.

The rules are those by which `build` reads and trains, so that a plan can apply them without loading torch.
"""

import math
from collections.abc import Container, Iterable
from dataclasses import dataclass

from trainables.methods import scope
from trainables.methods.method import Method
from trainables.nodes import Merge, Update, Weights, first_of, last_update
from trainables.workloads.anatomy import Anatomy

_WHOLE = 0.9
"""The share of a model's numbers above which an update is stored whole, with the few that training left alone."""


def is_whole(method: Method, anatomy: Anatomy) -> bool:
    """Whether updates of a method are stored with all of a model's weights, so that their start is not needed."""
    if method.adapter is not None:
        return False
    trained = scope.trained(method, anatomy)
    sizes = {parameter.name: math.prod(parameter.shape) for parameter in anatomy.parameters}
    return sum(sizes[name] for name in trained) >= _WHOLE * sum(sizes.values())


@dataclass(frozen=True, kw_only=True)
class Needs:
    """Keys of the updates that some weights need: those read from the store, and those that have to be trained."""

    read: frozenset[str]
    train: frozenset[str]


def needs_of(wanted: Iterable[Weights], stored: Container[str], anatomy: Anatomy) -> Needs:
    """The needs of some weights.

    Args:
        wanted: the weights.
        stored: keys of the updates that the store has.
        anatomy: of the model.
    """
    whole: dict[str, bool] = {}
    read: set[str] = set()
    train: set[str] = set()
    seen: set[str] = set()
    todo = list(wanted)
    while todo:
        node = todo.pop()
        if node.key in seen:
            continue
        seen.add(node.key)
        if isinstance(node, Merge):
            todo.extend(node.inputs)
        elif isinstance(node, Update):
            method = node.recipe.method
            if node.key not in stored:
                train.add(node.key)
                todo.extend(_to_train(node))
                continue
            read.add(node.key)
            if method.adapter is not None:
                todo.append(first_of(node).start)
                continue
            if method.text not in whole:
                whole[method.text] = is_whole(method, anatomy)
            if not whole[method.text]:
                todo.append(node.start)
    return Needs(read=frozenset(read), train=frozenset(train))


def _to_train(node: Update) -> Iterable[Weights]:
    """The weights that training an update reads: its start, those under an adapter, those with a penalty's memory."""
    before = last_update(node.start) if node.recipe.method.penalty is not None else None
    return (node.start, first_of(node).start, *(() if before is None else (before,)))
