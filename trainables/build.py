"""The builder: from nodes to numbers, which are read from the store, or computed and put there.

There is no other way to get weights or scores, so resuming, sharing and healing a damaged store are one thing. What
another version of the numerics names is read alone: what is computed here would be other numbers under its names.
"""

import json
import platform
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from trainables import costs, tensors
from trainables.config import Recipe
from trainables.counting.steps import cost_per_step
from trainables.dependencies import is_whole
from trainables.frozen import ConfigError
from trainables.machine.device import device_name
from trainables.machine.memory import fair_bytes
from trainables.memory.device_memory import memory_errors
from trainables.memory.recent import Built, Recent
from trainables.merging.merge import MergeInputs, at_least_fp32, lerp_, merge
from trainables.methods import scope
from trainables.metrics import Cost, Score, decode, encode
from trainables.nodes import (
    NUMERICS_VERSION,
    Base,
    Merge,
    MidTask,
    Update,
    Weights,
    cost_key,
    first_of,
    last_update,
    scores_key,
)
from trainables.runtime import Runtime
from trainables.store import leases
from trainables.store.store import Store
from trainables.train import Carry, Start, folded, recomputes, train
from trainables.workloads.settings import PLAIN, Evaluation
from trainables.workloads.workload import State, Workload

_KEPT = 1 / 16
"""The share of a process's memory in which it keeps weights; the rest is for training, merging and evaluation."""

FISHER = "fisher/"
"""Before the names of Fisher matrices in a carry (`penalties`)."""

CARRY = "carry:"
"""Before the names of tensors in a stored update that are no weights."""


class Builder:
    """Builds nodes of one workload over one store.

    Args:
        workload: the model and its data.
        store: keeps what is built; what it holds is not built again.
        runtime: device and threads of this process.
        tell: takes the key of each update that is trained here, once the store has it.
        keep_bytes: most bytes of weights to keep in memory, beside the few that a cycle needs (`recent`); by default a
            part of the memory that this process may take.
    """

    def __init__(
        self,
        workload: Workload,
        store: Store,
        runtime: Runtime,
        tell: Callable[[str], None] = lambda _: None,
        keep_bytes: int | None = None,
    ) -> None:
        self.workload = workload
        self.store = store
        self.runtime = runtime
        self.trained: list[str] = []
        self._tell = tell
        self._recent = Recent(int(_KEPT * fair_bytes(threads=runtime.threads)) if keep_bytes is None else keep_bytes)
        # A GPU has no room for a second model beside the one that trains, so there each evaluation makes its own.
        self._evaluator = workload.architecture() if runtime.kind == "cpu" else None
        self._names = {parameter.name for parameter in workload.identity.anatomy.parameters}

    def weights(self, node: Weights) -> State:
        """The weights of a node: from memory, from the store, or computed (an update is then also stored)."""
        return self._in_memory(node).state

    def _in_memory(self, node: Weights) -> Built:
        """The weights and carry of a node, which then stay in memory until newer ones push them out."""
        built = self._recent.get(node.key)
        if built is None:
            match node:
                case Base():
                    built = Built(self.workload.base(), {})
                case Merge():
                    built = Built(self._merge(node), {})
                case Update():
                    built = self._read(node) or self._train_or_wait(node)
            self._recent.put(node.key, built)
        return built

    def make_sure(self, node: Update, inside: Sequence[MidTask] = (), evaluation: Evaluation = PLAIN) -> None:
        """Train an update unless the store has it; unscored weights in the middle of a task are scored as they pass."""
        unscored = [one for one in inside if not self.has_scores(one, evaluation)]
        if unscored:
            self._recent.put(node.key, self._train_or_wait(node, unscored, evaluation))
        elif not self.store.has("updates", node.key):
            self.weights(node)

    def require_memory(self, node: Update) -> None:
        """Make sure that an update can be trained here, unless the store has it; nothing is computed.

        Raises:
            TrainingError: a step of it does not fit in the memory of the device.
        """
        if self.runtime.device_bytes is not None and not self.store.has("updates", node.key):
            recomputes(node.recipe, self.workload, self.runtime)

    def has_scores(self, node: Weights | MidTask, evaluation: Evaluation = PLAIN) -> bool:
        """Whether the store has the scores of a node."""
        return self.store.has("scores", self._scores_key(node, evaluation))

    def scores(self, node: Weights, evaluation: Evaluation = PLAIN) -> tuple[Score, ...]:
        """The scores of a node on the workload's suite: from the store, or evaluated and stored."""
        payload = self.store.get("scores", self._scores_key(node, evaluation))
        return decode(payload) if payload is not None else self._score(node, evaluation, self.weights(node))

    def _scores_key(self, node: Weights | MidTask, evaluation: Evaluation) -> str:
        return scores_key(node, self.workload.identity.suite_of(evaluation))

    def _score(self, node: Weights | MidTask, evaluation: Evaluation, state: State) -> tuple[Score, ...]:
        _require_own(node.numerics, "scores")
        model = self.workload.architecture() if self._evaluator is None else self._evaluator
        model.load_state_dict(state)
        with memory_errors(f"evaluation on {self.runtime.device}"):
            scores = self.workload.evaluate(model.to(self.runtime.device), evaluation)
        self.store.put("scores", self._scores_key(node, evaluation), encode(scores))
        return scores

    def cost(self, recipe: Recipe, numerics: int = NUMERICS_VERSION) -> Cost:
        """FLOPs and MAFs of one optimiser step: from the store, or counted and stored.

        Args:
            recipe: of the update.
            numerics: the version that names the update.
        """

        def count() -> Cost:
            _require_own(numerics, "costs")
            return cost_per_step(recipe, self.workload)

        return costs.stored(self.store, cost_key(recipe, self.workload.identity.base, numerics), count)

    def _merge(self, node: Merge) -> State:
        """Merged weights. A chain of interpolations starts from its last link in memory, with a lerp a link."""
        if not _is_lerp(node):
            return self._merge_all(node)
        links: list[Merge] = []
        first: Weights = node
        while isinstance(first, Merge) and _is_lerp(first) and first.key not in self._recent:
            links.append(first)
            first = first.inputs[0]
        total = {name: at_least_fp32(tensor).clone() for name, tensor in self.weights(first).items()}
        for link in reversed(links):
            assert link.weights is not None
            lerp_(total, self.weights(link.inputs[1]), w=link.weights[0])
        return total

    def _merge_all(self, node: Merge) -> State:
        """Merged weights by any other rule, with all inputs in memory at once."""
        inputs = MergeInputs(
            states=tuple(self.weights(one) for one in node.inputs),
            weights=node.weights,
            base=None if node.base is None else self.weights(node.base),
            fishers=tuple(self._fisher(one) for one in node.inputs) if node.rule.name == "fisher" else None,
            seed=node.key,
        )
        return merge(node.rule, inputs)

    def _fisher(self, node: Weights) -> State:
        """The diagonal Fisher matrices of an update, which EWC kept; of a merge, the weighted sum of its inputs'.

        The sum is the precision of the merged posterior (arXiv 2111.09832, section 3).
        """
        if isinstance(node, Merge):
            assert node.weights is not None
            parts = [self._fisher(one) for one in node.inputs]
            shares = [weight / sum(node.weights) for weight in node.weights]
            return {name: sum(s * part[name] for s, part in zip(shares, parts, strict=True)) for name in parts[0]}  # type: ignore[misc]
        carry = self._in_memory(node).carry
        return {name.removeprefix(FISHER): tensor for name, tensor in carry.items() if name.startswith(FISHER)}

    def _read(self, node: Update) -> Built | None:
        """An update from the store, with the weights that it did not change from its start; None where it is absent."""
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
        """The weights and the carry that an update starts from."""
        method, state = node.recipe.method, self.weights(node.start)
        before = last_update(node.start)
        remembers = node.continues or method.penalty is not None
        carry = self._in_memory(before).carry if remembers and before is not None else {}
        if node.continues:  # the adapter is in the carry, and all else that trained is in the weights
            trained = scope.trained(method, self.workload.identity.anatomy)
            state = {**self.weights(first_of(node).start), **{name: state[name] for name in trained}}
        return Start(state=state, carry=carry)

    def _train_or_wait(self, node: Update, inside: Sequence[MidTask] = (), evaluation: Evaluation = PLAIN) -> Built:
        """Train an update, or wait for the process that trains it now and read what that process left."""
        _require_own(node.numerics, "updates")
        start = self._start(node)  # before the lease, since it may have to be trained, too

        def is_done() -> bool:
            return self.store.has("updates", node.key) and all(self.has_scores(one, evaluation) for one in inside)

        while True:
            with leases.lease(self.store, node.key, is_done) as lease:
                if lease is not None:
                    return self._train(node, start, lease, inside, evaluation)
            if (built := self._read(node)) is not None:
                return built

    def _train(
        self, node: Update, start: Start, lease: leases.Lease, inside: Sequence[MidTask], evaluation: Evaluation
    ) -> Built:
        """Train an update and store it; an update that was there already keeps its bytes, which are the same.

        Raises:
            LeaseLostError: another process has taken the update over.
        """
        watch = {one.step: partial(self._score, one, evaluation) for one in inside}
        result = train(node, start, self.workload, self.runtime, watch=watch)
        record = {
            "losses": result.losses,
            "wall_seconds": result.wall_seconds,
            "host": platform.node(),
            "device": self.runtime.device,
            "device_name": device_name(self.runtime.device),
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
        """The tensors of an update that are stored: those that training changed; the others follow from its start.

        Beside an adapter they are those that trained. Where hardly any would be left out all are stored, so that the
        update can be read without its start.
        """
        method, anatomy = node.recipe.method, self.workload.identity.anatomy
        if method.adapter is not None:
            return {name: state[name] for name in scope.trained(method, anatomy)}
        if is_whole(method, anatomy):
            return state
        start = self.weights(node.start)
        return {name: tensor for name, tensor in state.items() if not torch.equal(tensor, start[name])}


def _require_own(numerics: int, what: str) -> None:
    """Raises: ConfigError: something has to be computed under another version."""
    if numerics != NUMERICS_VERSION:
        raise ConfigError(
            f"{what} of version {numerics} of the numerics are not in the store, and this release, of version "
            f"{NUMERICS_VERSION}, would come to other ones; use the release of retune that made the others"
        )


def _is_lerp(node: Merge) -> bool:
    return node.rule.is_plain and len(node.inputs) == 2 and node.weights is not None and sum(node.weights) == 1


def _named(carry: Carry) -> dict[str, Tensor]:
    return {CARRY + name: tensor for name, tensor in carry.items()}
