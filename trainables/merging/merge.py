"""Merge rules: pure functions on state dicts, oldest weights first. The inputs are never changed.

Weights are combined in fp32 whatever their storage type, and the result stays fp32: an average that is kept in bf16
between merges loses small updates altogether. States may be lazy mappings, such as files: one tensor at a time is read
of each. The formulas stand at their functions, the settings are in `rule`.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from trainables.merging.depth import Place, places
from trainables.merging.rule import LINES, MergeRule
from trainables.merging.sparsify import crumbs, dropped, pieces, thresholds, trim
from trainables.randomness import entropy

State = Mapping[str, Tensor]
Source = Literal["latest", "oldest", "base"]


class MergeError(ValueError):
    """Weights that cannot be merged; the message lists the tensors that differ."""


@dataclass(frozen=True, kw_only=True)
class MergeInputs:
    """The inputs of a merge.

    Attributes:
        states: weights by name, oldest first.
        weights: one for each state, for rules that weigh; they need not sum to 1. None weighs all alike.
        base: the weights from which differences are taken.
        fishers: for each state, diagonal Fisher matrices of its parameters; a parameter may lack one.
        seed: names the random draws.
        integers: the state from which tensors that are not floating point are copied.
    """

    states: tuple[State, ...]
    weights: tuple[float, ...] | None = None
    base: State | None = None
    fishers: tuple[State, ...] | None = None
    seed: str = ""
    integers: Source = "latest"

    def named(self, source: Source) -> State:
        """The latest or oldest state, or the base."""
        if source == "base":
            if self.base is None:
                raise MergeError("a base is needed to copy tensors from; name one")
            return self.base
        return self.states[-1 if source == "latest" else 0]


def lerp(old: State, new: State, *, w: float) -> dict[str, Tensor]:
    """Return w * old + (1 - w) * new, tensor by tensor (EMA-merge of arXiv 2408.14471, section 5.2)."""
    return merge(MergeRule(name="lerp"), MergeInputs(states=(old, new), weights=(w, 1 - w)))


def lerp_(total: dict[str, Tensor], new: State, *, w: float) -> None:
    """Do `lerp` with `total` as the old weights, in place and to the same bits, without any more memory."""
    for name, old in total.items():
        if old.is_floating_point():
            torch.lerp(at_least_fp32(new[name]), old, w, out=old)
        else:
            old.copy_(new[name])


def merge(rule: MergeRule, inputs: MergeInputs) -> dict[str, Tensor]:
    """Merged weights, in the order of the latest input's names; floating tensors in fp32, or a wider type of theirs.

    Raises:
        MergeError: names, shapes or types differ, or the rule lacks something that it needs.
    """
    return dict(merged(rule, inputs))


def merged(rule: MergeRule, inputs: MergeInputs) -> Iterator[tuple[str, Tensor]]:
    """The pairs of `merge`, one by one; tensors that share their memory in every input are merged once."""
    combine = combination(rule, inputs)
    names = tied(inputs)
    repeated = {first for name, first in names.items() if first != name}
    shared: dict[str, Tensor] = {}  # holds no other tensor: results of any size pass through
    for name, first in names.items():
        tensor = combine(name) if first == name else shared[first]
        if name in repeated:
            shared[name] = tensor
        yield name, tensor


def combination(rule: MergeRule, inputs: MergeInputs, stayed: Counter[int] | None = None) -> "Combine":
    """A function that merges the tensor of a name.

    Args:
        rule: how to merge.
        inputs: what to merge.
        stayed: counts, as tensors are merged, the entries of each input's task vector that a sparse rule leaves.

    Raises:
        MergeError: see `merge`.
    """
    _require_inputs(rule, inputs)
    require_alike([*inputs.states, *([] if inputs.base is None else [inputs.base])])
    if rule.row.kind == "fisher":
        _require_fishers(inputs.fishers or (), inputs.states[-1])
    sparse = rule.row.sparsify != "none"
    combine = _task_vectors(rule, inputs, stayed) if sparse else _KINDS[rule.row.kind](rule, inputs)
    factors = _factors(rule, list(inputs.states[-1]))

    def of(name: str) -> Tensor:
        latest = inputs.states[-1][name]
        if not latest.is_floating_point():
            return inputs.named(inputs.integers)[name].clone()
        if rule.logit_scale != "merge" and name.split(".")[-1] == "logit_scale":
            return at_least_fp32(inputs.named(rule.logit_scale)[name]).clone()
        result = combine(name)
        if rule.lines is None or rule.row.kind == "task_vectors":  # those scale their vector by the same factors
            return result
        base = at_least_fp32(inputs.named("base")[name])
        return base + factors[name] * (result - base)

    return of


# -- rules that combine weights ----------------------------------------------------------------------------------------

Combine = Callable[[str], Tensor]
"""The merged tensor of a name."""


def average(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The sum of weight_i * theta_i / sum of weights, as a running mean: equal inputs stay equal, to the bit."""
    total, result, own = weights[0], at_least_fp32(tensors[0]), False
    for tensor, weight in zip(tensors[1:], weights[1:], strict=True):
        before, total = total, total + weight
        # Exact at both ends: weight 0 gives the new, weight 1 the old, to the bit.
        share = before / total if total else 0.5
        result = torch.lerp(at_least_fp32(tensor), result, share, out=result if own else None)
        own = True
    return result if own else result.clone()


def _average(_: MergeRule, inputs: MergeInputs) -> Combine:
    return lambda name: average([state[name] for state in inputs.states], weights_of(inputs))


_ALL = slice(None)


def _by_pieces(like: Tensor, piece_of: Callable[[slice], Tensor]) -> Tensor:
    """A tensor whose entries do not depend on each other, made in pieces that stay in the processor's cache."""
    out = torch.empty_like(at_least_fp32(like), memory_format=torch.contiguous_format)
    flat = out.view(-1)
    for piece in pieces(flat.numel()):
        flat[piece] = piece_of(piece)
    return out


_PARALLEL = 0.9995
"""From this cosine on an arc is a line (the reference of arXiv 2408.14471)."""


def _slerp(_: MergeRule, inputs: MergeInputs) -> Combine:
    """Return old * sin(w * a) / sin(a) + new * sin((1 - w) * a) / sin(a), with a the angle between the tensors.

    w weighs the old, as everywhere; in the reference of arXiv 2408.14471 its coefficient is turned round for this rule.
    """
    weights, linear = weights_of(inputs), _average(MergeRule(), inputs)
    w = weights[0] / sum(weights)

    def slerp(name: str) -> Tensor:
        old, new = (at_least_fp32(state[name]) for state in inputs.states)
        cosine = _cosine(old, new)
        # Along a line sin(a) is 0 or mere rounding, and a tensor of zeros has no angle. At w of 0 or 1 the average
        # returns one of the two to the bit.
        if cosine is None or abs(cosine) > _PARALLEL or w in (0, 1):
            return linear(name)
        a = torch.tensor(cosine, dtype=torch.float64).acos()
        shares = [float((share * a).sin() / a.sin()) for share in (w, 1 - w)]
        return (shares[0] * old).add_(new, alpha=shares[1])

    return slerp


def _fisher(rule: MergeRule, inputs: MergeInputs) -> Combine:
    """The sum of weight_i * F_i * theta_i / sum of weight_i * F_i (arXiv 2111.09832, eq. 4).

    F is at least the rule's floor. Without a floor, an entry that one input alone has an F above 0 of is that input's,
    however small that F is. Where all F are 0, or an input has none, it is the average.
    """
    assert inputs.fishers is not None
    weights, plain = weights_of(inputs), _average(MergeRule(), inputs)

    def fisher(name: str) -> Tensor:
        if any(name not in matrices for matrices in inputs.fishers or ()):
            return plain(name)
        states = [state[name].reshape(-1) for state in inputs.states]
        precisions = [matrices[name].reshape(-1) for matrices in inputs.fishers or ()]

        def merge_piece(piece: slice) -> Tensor:
            mean = average([state[piece] for state in states], weights)
            weighted, total = torch.zeros_like(mean), torch.zeros_like(mean)
            for state, matrix, weight in zip(states, precisions, weights, strict=True):
                known = at_least_fp32(matrix[piece])
                if not bool((known >= 0).all()):
                    raise MergeError(f"fisher: {name}: a Fisher matrix has entries below 0, or that are no numbers")
                precision = known.clamp(min=rule.fisher_floor or 0.0) * weight
                total += precision
                # Differences from the mean are small, so that they round little and are exactly 0 where inputs agree.
                weighted.addcmul_(precision, at_least_fp32(state[piece]) - mean)
            return torch.where(total > 0, mean + weighted / total, mean)

        return _by_pieces(inputs.states[-1][name], merge_piece)

    return fisher


def _model_stock(_: MergeRule, inputs: MergeInputs) -> Combine:
    """Return base + r * (average - base), r = k cos / (1 + (k - 1) cos), tensor by tensor.

    Source: arXiv 2403.19522, eqs. 2 and 5. cos is the mean cosine between the k task vectors, taken as 0 where it is
    negative or a vector is 0.
    """
    assert inputs.base is not None
    mean = _average(MergeRule(), MergeInputs(states=inputs.states))
    count = len(inputs.states)

    def model_stock(name: str) -> Tensor:
        if count == 1:
            return at_least_fp32(inputs.states[0][name]).clone()
        base = at_least_fp32(inputs.named("base")[name])
        vectors = [at_least_fp32(state[name]) - base for state in inputs.states]
        cosines = [_cosine(one, other) or 0.0 for one, other in combinations(vectors, 2)]
        cosine = max(0.0, sum(cosines) / len(cosines))
        return torch.lerp(base, mean(name), count * cosine / (1 + (count - 1) * cosine))

    return model_stock


# -- rules that combine task vectors -----------------------------------------------------------------------------------


def _task_vectors(rule: MergeRule, inputs: MergeInputs, stayed: Counter[int] | None = None) -> Combine:
    """Return base + scale * consensus(sparsify(theta_i - base)); `stayed` as of `combination`."""
    assert inputs.base is not None
    base, states, row = inputs.base, inputs.states, rule.row
    once = [name for name, first in tied(inputs).items() if name == first]
    sizes = {name: states[-1][name].numel() for name in once if states[-1][name].is_floating_point()}
    factors = _factors(rule, list(sizes))

    def vector(i: int, name: str, piece: slice) -> Tensor:
        return at_least_fp32(states[i][name].reshape(-1)[piece]) - at_least_fp32(base[name].reshape(-1)[piece])

    least: list[float] = []
    if row.sparsify == "magnitude":
        least = thresholds(vector, len(states), sizes=sizes, density=rule.density or 1.0)

    def sparse(i: int, name: str) -> Callable[[slice], Tensor]:
        """A function that gives pieces of the sparsified task vector of an input."""
        match row.sparsify:
            case "magnitude":
                return lambda piece: trim(vector(i, name, piece), least[i])
            case "drop":
                return dropped(vector(i, name, _ALL), rule.density or 1.0, _generator(inputs.seed, name, i)).__getitem__
            case "breadcrumbs":
                return crumbs(vector(i, name, _ALL), rule.density or 1.0, rule.prune_top or 0.0).__getitem__
            case _:
                return partial(vector, i, name)

    def task_vectors(name: str) -> Tensor:
        vectors = [sparse(i, name) for i in range(len(states))]
        consensus = _CONSENSUS[row.consensus](rule, _generator(inputs.seed, name, 0))
        origin = base[name].reshape(-1)

        def merge_piece(piece: slice) -> Tensor:
            taken = [one(piece) for one in vectors]
            if stayed is not None:
                stayed.update({i: int(np.count_nonzero(one.numpy())) for i, one in enumerate(taken)})
            merged_vector = consensus(taken)
            return torch.add(at_least_fp32(origin[piece]), merged_vector, alpha=factors[name])

        return _by_pieces(base[name], merge_piece)

    return task_vectors


Consensus = Callable[[Sequence[Tensor]], Tensor]
"""One task vector of many, or one piece of them."""


def _sum(*_: object) -> Consensus:
    return _total


def _total(vectors: Sequence[Tensor]) -> Tensor:
    total = vectors[0].clone()
    for one in vectors[1:]:
        total += one
    return total


def _elect(*_: object) -> Consensus:
    """The mean of the entries that have the sign of their sum (arXiv 2306.01708, Algorithm 1).

    Where the sum is 0 the result is 0. The paper's code, and the reference of arXiv 2412.06712, give such an entry the
    sign that most other entries have.
    """

    def elect(vectors: Sequence[Tensor]) -> Tensor:
        signs = _total(vectors).sign_()
        total, count = torch.zeros_like(signs), torch.zeros_like(signs)
        for one in vectors:
            # Times the elected sign an agreeing entry is positive and any other at most 0, so a clamp selects it.
            agreeing = (one * signs).clamp_(min=0)
            total += agreeing
            count += agreeing.sign_()
        return total.mul_(signs).div_(count.clamp_(min=1))

    return elect


def _largest(*_: object) -> Consensus:
    """The entry of largest magnitude (arXiv 2407.06322, eq. 2); of two equal ones that of the newer, as in its code."""

    def largest(vectors: Sequence[Tensor]) -> Tensor:
        chosen = vectors[0]
        for one in vectors[1:]:
            chosen = torch.where(one.abs() >= chosen.abs(), one, chosen)
        return chosen

    return largest


def _mask(rule: MergeRule, _: object) -> Consensus:
    """The sum of tau where at least `agree` have |tau_i| >= strength * |sum - tau_i| (arXiv 2405.07813, eqs. 4 to 6).

    Where there are fewer than `agree` task vectors, all of them have to.
    """

    def mask(vectors: Sequence[Tensor]) -> Tensor:
        total = _total(vectors)
        active = torch.zeros_like(total)
        for one in vectors:
            active += one.abs() >= (rule.mask_strength or 0.0) * (total - one).abs()
        return total * (active >= min(rule.agree or 1, len(vectors)))

    return mask


def _random(_: object, generator: torch.Generator) -> Consensus:
    """A vector whose every entry is that of a random task vector."""

    def random(vectors: Sequence[Tensor]) -> Tensor:
        choice = torch.randint(len(vectors), vectors[0].shape, generator=generator, dtype=torch.int16)
        chosen = vectors[0].clone()
        for i, one in enumerate(vectors[1:], start=1):
            torch.where(choice == i, one, chosen, out=chosen)
        return chosen

    return random


_KINDS: dict[str, Callable[[MergeRule, MergeInputs], Combine]] = {
    "average": _average,
    "slerp": _slerp,
    "fisher": _fisher,
    "model_stock": _model_stock,
    "task_vectors": _task_vectors,
}
_CONSENSUS: dict[str, Callable[[MergeRule, torch.Generator], Consensus]] = {
    "sum": _sum,
    "elect": _elect,
    "largest": _largest,
    "mask": _mask,
    "random": _random,
}


# -- LiNeS -------------------------------------------------------------------------------------------------------------


def _factors(rule: MergeRule, names: Sequence[str]) -> dict[str, float]:
    """The share of the merged move that each tensor makes, by name: the scale, or with LiNeS a share by depth."""
    if rule.lines is None:
        return dict.fromkeys(names, 1.0 if rule.scale is None else rule.scale)
    found = places(names)
    if not found:
        raise MergeError(
            "lines: no tensor lies in a numbered block (such as resblocks.0.), so there is no depth to scale by"
        )
    first, more, power = rule.lines_first or 0.0, rule.lines_more or 0.0, LINES[rule.lines]
    outside = Place(0, 1)
    return {name: first + more * found.get(name, outside).share ** power for name in names}


# -- common to all -----------------------------------------------------------------------------------------------------


def require_alike(states: Sequence[State]) -> None:
    """Raise MergeError that lists the tensors whose names, shapes or types differ."""
    first, problems = states[0], []
    everywhere = set(first).intersection(*states[1:])
    only = sorted(set(first).union(*states[1:]) - everywhere)
    if only:
        problems.append(f"tensors that not all of them have: {_listed(only)}")
    for what, of in (("shapes", lambda t: tuple(t.shape)), ("types", lambda t: str(t.dtype).removeprefix("torch."))):
        differ = []
        for name in sorted(everywhere):
            values = dict.fromkeys(of(state[name]) for state in states)
            if len(values) > 1:
                differ.append(f"{name} {' / '.join(map(str, values))}")
        if differ:
            advice = "; convert them to one type first" if what == "types" else ""
            problems.append(f"{what}: {_listed(differ, 6)}{advice}")
    if problems:
        raise MergeError(f"weights differ; {'; '.join(problems)}")


def _listed(items: list[str], most: int = 20) -> str:
    more = f", and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def _require_inputs(rule: MergeRule, inputs: MergeInputs) -> None:
    count, row = len(inputs.states), rule.row
    if not count:
        raise MergeError("nothing to merge; give at least one state")
    if row.most is not None and count != row.most:
        raise MergeError(f"{rule.name} merges {row.most}, not {count}; lerp merges any number")
    if rule.needs_base and inputs.base is None:
        raise MergeError(f"{rule.words}: needs a base, from which differences are taken")
    if row.kind == "fisher" and (inputs.fishers is None or len(inputs.fishers) != count):
        raise MergeError("fisher: needs the Fisher matrices of every input")
    if inputs.weights is not None and not row.weighs:
        raise MergeError(f"{rule.name}: its inputs have no weights; rules that weigh: lerp, slerp, fisher")
    if inputs.weights is not None and (
        len(inputs.weights) != count
        or not all(0 <= weight < math.inf for weight in inputs.weights)
        or sum(inputs.weights) <= 0
    ):
        raise MergeError(f"weights: {inputs.weights} given for {count} inputs; one each, none below 0, not all 0")


def _require_fishers(fishers: Sequence[State], like: State) -> None:
    """Raise MergeError where a Fisher matrix is that of another model."""
    for i, matrices in enumerate(fishers):
        common = [name for name in like if name in matrices and like[name].is_floating_point()]
        if not common:
            raise MergeError(f"fisher: matrices {i + 1} name no tensor of the weights; they need the weights' names")
        differ = [
            f"{name} {tuple(matrices[name].shape)} / {tuple(like[name].shape)}"
            for name in common
            if matrices[name].shape != like[name].shape
        ]
        if differ:
            raise MergeError(f"fisher: matrices {i + 1} have other shapes than the weights: {_listed(differ)}")


def weights_of(inputs: MergeInputs) -> tuple[float, ...]:
    """The weights of the inputs, oldest first; ones where none are given."""
    return inputs.weights if inputs.weights is not None else (1.0,) * len(inputs.states)


def at_least_fp32(tensor: Tensor) -> Tensor:
    """A tensor as fp32, or in its own type where that is wider: weights are combined in no less."""
    if not tensor.is_floating_point():
        return tensor
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _cosine(one: Tensor, other: Tensor) -> float | None:
    """The cosine of the angle between two tensors as vectors; None where one of them is 0."""
    norms = float(torch.linalg.vector_norm(one)) * float(torch.linalg.vector_norm(other))
    return float(torch.dot(one.reshape(-1), other.reshape(-1))) / norms if norms else None


def _generator(seed: str, name: str, i: int) -> torch.Generator:
    return torch.Generator().manual_seed(entropy("merge", seed, name, i) % 2**63)


def tied(inputs: MergeInputs) -> dict[str, str]:
    """For every name the first name whose tensor shares its memory in all inputs: the name itself, where it is alone.

    Tensors of lazy states share no memory.
    """
    names = list(inputs.states[-1])
    if not all(isinstance(state, dict) for state in inputs.states):
        return {name: name for name in names}
    firsts: dict[object, str] = {}
    return {name: firsts.setdefault(_memory(inputs, name) or name, name) for name in names}


def _memory(inputs: MergeInputs, name: str) -> object | None:
    tensors = [state[name] for state in inputs.states]
    return tuple((t.data_ptr(), t.shape, t.stride(), t.dtype) for t in tensors) if tensors[0].numel() else None
