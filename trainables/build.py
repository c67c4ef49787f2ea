"""From nodes to numbers: what is in the store is read, what is missing is computed and put there.

There is no other way to get weights or scores, so resuming, sharing and healing a damaged store are one thing.
"""

import json
import platform
from collections import OrderedDict

import torch
from safetensors.torch import load, save
from torch import Tensor

from trainables.budget import cost_per_step
from trainables.config import Recipe
from trainables.lineage import Base, Merge, Update, Weights, cost_key, scores_key
from trainables.merging.rules import RULES
from trainables.metrics import Cost, Score, decode, encode
from trainables.runtime import Runtime
from trainables.store import Store
from trainables.train import train
from trainables.workloads.workload import State, Workload

_RECENT = 4
"""Weights kept in memory: enough for a task's start, its update, the served weights and the base."""


class Builder:
    """Builds nodes of one workload over one store."""

    def __init__(self, workload: Workload, store: Store, runtime: Runtime) -> None:
        self.workload = workload
        self.store = store
        self.runtime = runtime
        self.trained = 0
        self._recent: OrderedDict[str, State] = OrderedDict()
        self._evaluator = workload.architecture().to(runtime.device)
        self._names = self._evaluator.state_dict().keys()

    def weights(self, node: Weights) -> State:
        """Weights of a node: from memory, from the store, or computed (an update is then also stored)."""
        state = self._recent.get(node.key)
        if state is None:
            match node:
                case Base():
                    state = self.workload.base()
                case Merge():
                    state = RULES[node.rule](self.weights(node.old), self.weights(node.new), w=node.w)
                case Update():
                    state = self._read(node)
                    state = self._train(node) if state is None else state
        self._recent[node.key] = state
        self._recent.move_to_end(node.key)
        while len(self._recent) > _RECENT:
            self._recent.popitem(last=False)
        return state

    def ensure(self, node: Update) -> None:
        """Train an update unless it is in the store."""
        if not self.store.has("updates", node.key):
            self.weights(node)

    def scores(self, node: Weights) -> tuple[Score, ...]:
        """Scores of a node on the workload's suite: from the store, or evaluated and stored."""
        key = scores_key(node, self.workload.identity.suite)
        known = self.store.get("scores", key)
        if known is not None:
            return decode(known)
        self._evaluator.load_state_dict(self.weights(node))
        scores = self.workload.evaluate(self._evaluator)
        self.store.put("scores", key, encode(scores))
        return scores

    def cost(self, recipe: Recipe) -> Cost:
        """FLOPs and MAFs of one optimiser step: from the store, or counted and stored."""
        key = cost_key(recipe.method, recipe.batch_size, self.workload.identity.base)
        known = self.store.get("costs", key)
        if known is not None:
            return Cost(**json.loads(known))
        cost = cost_per_step(recipe.method, self.workload, recipe.batch_size)
        self.store.put("costs", key, json.dumps(cost._asdict()).encode())
        return cost

    def _read(self, node: Update) -> State | None:
        payload = self.store.get("updates", node.key)
        if payload is None:
            return None
        # Clones are aligned as torch's own tensors are: kernels may round differently on tensors that are not.
        changed = {name: tensor.clone() for name, tensor in load(payload).items()}
        return changed if changed.keys() == self._names else {**self.weights(node.start), **changed}

    def _train(self, node: Update) -> State:
        start = self.weights(node.start)
        result = train(node, start, self.workload, self.runtime)
        self.trained += 1
        record = {
            "losses": result.losses,
            "wall_seconds": result.wall_seconds,
            "host": platform.node(),
            "device": self.runtime.device,
            "torch": torch.__version__,
        }
        # The record goes first, so that an update in the store always has one.
        self.store.put("records", node.key, json.dumps(record).encode())
        self.store.put("updates", node.key, save(_changed(start, result.state)))
        return result.state


def _changed(start: State, state: State) -> dict[str, Tensor]:
    """Tensors that training changed; the others are found through the start."""
    return {name: tensor.contiguous() for name, tensor in state.items() if not torch.equal(tensor, start[name])}
