"""From nodes to numbers: what is in the store is read, what is missing is computed and put there.

There is no other way to get weights or scores, so resuming, sharing and healing a damaged store are one thing.
"""

import json
import platform
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from trainables import tensors
from trainables.config import Recipe, Subset
from trainables.costs import cost_per_step
from trainables.dependencies import is_whole
from trainables.merging.merge import Sources, lerp_, merge, wide
from trainables.methods import scope
from trainables.metrics import Cost, Score, decode, encode
from trainables.nodes import Base, Inside, Merge, Update, Weights, cost_key, first_of, last_update, scores_key
from trainables.runtime import Runtime
from trainables.store import leases
from trainables.store.store import Store
from trainables.train import Carry, Start, folded, train
from trainables.workloads.workload import State, Workload

_RECENT = 4
"""Weights kept in memory: enough for a task's start, its update, the served weights and the base."""

FISHER = "fisher/"
"""Before the names of Fisher matrices in a carry (`penalties`)."""

CARRY = "carry:"
"""Before the names of tensors in a stored update that are no weights."""


class Built(NamedTuple):
    """Weights of a node, and what its update left for later ones."""

    state: State
    carry: Carry


class Builder:
    """Builds nodes of one workload over one store.

    Args:
        workload: what is trained on what.
        store: what is read from it is not made again.
        runtime: of this process.
        tell: takes the key of each update that is trained here, once it is in the store.
    """

    def __init__(
        self, workload: Workload, store: Store, runtime: Runtime, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self.workload = workload
        self.store = store
        self.runtime = runtime
        self.trained: list[str] = []
        self._tell = tell
        self._recent: OrderedDict[str, Built] = OrderedDict()
        self._evaluator = workload.architecture().to(runtime.device)
        self._names = self._evaluator.state_dict().keys()

    def weights(self, node: Weights) -> State:
        """Weights of a node: from memory, from the store, or computed (an update is then also stored)."""
        return self._built(node).state

    def _built(self, node: Weights) -> Built:
        built = self._recent.get(node.key)
        if built is None:
            match node:
                case Base():
                    built = Built(self.workload.base(), {})
                case Merge():
                    built = Built(self._merge(node), {})
                case Update():
                    built = self._read(node) or self._made(node)
        self._recent[node.key] = built
        self._recent.move_to_end(node.key)
        while len(self._recent) > _RECENT:
            self._recent.popitem(last=False)
        return built

    def ensure(self, node: Update, inside: Sequence[Inside] = (), subset: Subset | None = None) -> None:
        """Train an update unless it is in the store; weights inside of it without scores are scored as they pass."""
        unscored = [one for one in inside if not self.has_scores(one, subset)]
        if unscored:
            self._recent[node.key] = self._made(node, unscored, subset)
        elif not self.store.has("updates", node.key):
            self.weights(node)

    def has_scores(self, node: Weights | Inside, subset: Subset | None = None) -> bool:
        """Whether the scores of a node are in the store."""
        return self.store.has("scores", self._scores_key(node, subset))

    def scores(self, node: Weights, subset: Subset | None = None) -> tuple[Score, ...]:
        """Scores of a node on the workload's suite, or a subset of it: from the store, or evaluated and stored."""
        known = self.store.get("scores", self._scores_key(node, subset))
        return decode(known) if known is not None else self._score(node, subset, self.weights(node))

    def _scores_key(self, node: Weights | Inside, subset: Subset | None) -> str:
        return scores_key(node, self.workload.identity.suite_of(subset))

    def _score(self, node: Weights | Inside, subset: Subset | None, state: State) -> tuple[Score, ...]:
        self._evaluator.load_state_dict(state)
        scores = self.workload.evaluate(self._evaluator, subset)
        self.store.put("scores", self._scores_key(node, subset), encode(scores))
        return scores

    def cost(self, recipe: Recipe) -> Cost:
        """FLOPs and MAFs of one optimiser step: from the store, or counted and stored."""
        key = cost_key(recipe, self.workload.identity.base)
        known = self.store.get("costs", key)
        if known is not None:
            return Cost(**json.loads(known))
        cost = cost_per_step(
            recipe.method,
            self.workload,
            recipe.batch_size,
            precision=recipe.precision,
            averages=recipe.averages,
        )
        self.store.put("costs", key, json.dumps(cost._asdict()).encode())
        return cost

    def _merge(self, node: Merge) -> State:
        """Merged weights. A chain of interpolations is walked in place from the last link in memory: a lerp a link."""
        if not _is_lerp(node):
            return self._merge_all(node)
        links: list[Merge] = []
        first: Weights = node
        while isinstance(first, Merge) and _is_lerp(first) and first.key not in self._recent:
            links.append(first)
            first = first.inputs[0]
        total = {name: wide(tensor).clone() for name, tensor in self.weights(first).items()}
        for link in reversed(links):
            assert link.weights is not None
            lerp_(total, self.weights(link.inputs[1]), w=link.weights[0])
        return total

    def _merge_all(self, node: Merge) -> State:
        """All inputs in memory at once: rules that are no plain average of two."""
        sources = Sources(
            states=tuple(self.weights(one) for one in node.inputs),
            weights=node.weights,
            base=None if node.base is None else self.weights(node.base),
            fishers=tuple(self._fisher(one) for one in node.inputs) if node.rule.name == "fisher" else None,
            seed=node.key,
        )
        return merge(node.rule, sources)

    def _fisher(self, node: Weights) -> State:
        """Diagonal Fisher matrices: what EWC keeps of an update, and of a merge the weighted sum of its inputs' ones.

        The sum is the precision of the merged posterior (arXiv 2111.09832, section 3).
        """
        if isinstance(node, Merge):
            assert node.weights is not None
            parts = [self._fisher(one) for one in node.inputs]
            shares = [weight / sum(node.weights) for weight in node.weights]
            return {name: sum(s * part[name] for s, part in zip(shares, parts, strict=True)) for name in parts[0]}  # type: ignore[misc]
        carry = self._built(node).carry
        return {name.removeprefix(FISHER): tensor for name, tensor in carry.items() if name.startswith(FISHER)}

    def _read(self, node: Update) -> Built | None:
        payload = self.store.get("updates", node.key)
        if payload is None:
            return None
        found = tensors.read(payload)
        carry = {name.removeprefix(CARRY): tensor for name, tensor in found.items() if name.startswith(CARRY)}
        weights = {name: tensor for name, tensor in found.items() if not name.startswith(CARRY)}
        if node.recipe.method.adapter is not None:
            first = self.weights(first_of(node).start)
            return Built({**folded(node, {**first, **weights}, carry, self.workload), **weights}, carry)
        return Built(weights if weights.keys() == self._names else {**self.weights(node.start), **weights}, carry)

    def _start(self, node: Update) -> Start:
        """Weights and carry that an update starts from."""
        method, state = node.recipe.method, self.weights(node.start)
        before = last_update(node.start)
        remembers = node.continues or method.penalty is not None
        carry = self._built(before).carry if remembers and before is not None else {}
        if node.continues:  # the adapter is in the carry, and all else that trained is in the weights
            trained = scope.trained(method, self.workload.identity.anatomy)
            state = {**self.weights(first_of(node).start), **{name: state[name] for name in trained}}
        return Start(state=state, carry=carry)

    def _made(self, node: Update, inside: Sequence[Inside] = (), subset: Subset | None = None) -> Built:
        """Train an update, or wait for whoever trains it now and read what that left."""
        start = self._start(node)  # before the lease, since it may have to be trained, too

        def is_done() -> bool:
            return self.store.has("updates", node.key) and all(self.has_scores(one, subset) for one in inside)

        while True:
            with leases.held(self.store, node.key, is_done) as lease:
                if lease is not None:
                    return self._train(node, start, lease, inside, subset)
            if (built := self._read(node)) is not None:
                return built

    def _train(
        self, node: Update, start: Start, lease: leases.Lease, inside: Sequence[Inside], subset: Subset | None
    ) -> Built:
        """Train an update and store it; what is in the store already is written anew, to the same bits.

        Raises:
            LeaseLostError: another process has taken the update over.
        """
        watch = {one.step: partial(self._score, one, subset) for one in inside}
        result = train(node, start, self.workload, self.runtime, watch=watch)
        record = {
            "losses": result.losses,
            "wall_seconds": result.wall_seconds,
            "host": platform.node(),
            "device": self.runtime.device,
            "torch": torch.__version__,
        }
        if not self.store.has("updates", node.key):  # nobody needs a lease on one that is there
            lease.check()
        # The record goes first, so that an update in the store always has one.
        self.store.put("records", node.key, json.dumps(record).encode())
        kept = {**self._weights_to_keep(node, result.state), **_named(result.carry)}
        self.store.put("updates", node.key, tensors.parts(kept))
        self.trained.append(node.key)
        self._tell(node.key)
        return Built(result.state, result.carry)

    def _weights_to_keep(self, node: Update, state: State) -> State:
        """Tensors that training changed, or those that trained beside an adapter; the others follow from the start.

        All of them where hardly any is left out: nothing else is then needed to read them.
        """
        method, anatomy = node.recipe.method, self.workload.identity.anatomy
        if method.adapter is not None:
            return {name: state[name] for name in scope.trained(method, anatomy)}
        if is_whole(method, anatomy):
            return state
        start = self.weights(node.start)
        return {name: tensor for name, tensor in state.items() if not torch.equal(tensor, start[name])}


def _is_lerp(node: Merge) -> bool:
    return node.rule.is_plain and len(node.inputs) == 2 and node.weights is not None and sum(node.weights) == 1


def _named(carry: Carry) -> dict[str, Tensor]:
    return {CARRY + name: tensor for name, tensor in carry.items()}
