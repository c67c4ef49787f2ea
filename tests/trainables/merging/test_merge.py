"""Merge rules: each against an independent implementation in numpy, and against what its definition promises."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from trainables.merging.merge import MergeError, MergeInputs, lerp, lerp_, merge
from trainables.merging.rule import ROWS, MergeRule

Floats = NDArray[np.float64]
SHAPES = {
    "blocks.0.weight": (5, 7),
    "blocks.1.weight": (6, 9),
    "blocks.2.bias": (11,),
    "head": (4, 3),
    "logit_scale": (),
}
PAIRS = [name for name in ROWS if name != "fisher"]


def state(seed: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=rng).to(dtype) for name, shape in SHAPES.items()}


def near(base: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    return {name: tensor + 0.1 * state(seed)[name] for name, tensor in base.items()}


BASE = state(0)
THREE = tuple(near(BASE, seed) for seed in (1, 2, 3))


def sources(*states: Mapping[str, Tensor], **given: object) -> MergeInputs:
    return MergeInputs(states=states or THREE, base=BASE, seed="s", **given)  # type: ignore[arg-type]


def arrays(states: Sequence[Mapping[str, Tensor]], name: str) -> list[Floats]:
    return [one[name].double().numpy() for one in states]


# -- independent implementations: whole models as vectors, in numpy and float64 ----------------------------------------


def flat(one: Mapping[str, Tensor]) -> Floats:
    return np.concatenate([tensor.double().numpy().ravel() for tensor in one.values()])


def unflat(vector: Floats) -> dict[str, Floats]:
    ends = np.cumsum([math.prod(shape) for shape in SHAPES.values()])
    parts = np.split(vector, ends[:-1])
    return {name: part.reshape(shape) for (name, shape), part in zip(SHAPES.items(), parts, strict=True)}


def per_tensor(combine: Callable[[list[Floats], Floats], Floats]) -> dict[str, Floats]:
    return {name: combine(arrays(THREE, name), BASE[name].double().numpy()) for name in SHAPES}


def task_arithmetic(scale: float) -> dict[str, Floats]:
    return unflat(flat(BASE) + scale * sum(flat(one) - flat(BASE) for one in THREE))


def elected(vectors: Floats) -> Floats:
    """Disjoint mean of 2306.01708, element by element."""
    out = np.zeros(vectors.shape[1])
    for j in range(vectors.shape[1]):
        sign = np.sign(vectors[:, j].sum())
        agree = [value for value in vectors[:, j] if value * sign > 0]
        out[j] = np.mean(agree) if agree else 0.0
    return out


def ties(density: float, scale: float) -> dict[str, Floats]:
    vectors = np.array([flat(one) - flat(BASE) for one in THREE])
    keep = round(density * vectors.shape[1])
    for row in vectors:
        row[np.abs(row) < np.sort(np.abs(row))[-keep]] = 0
    return unflat(flat(BASE) + scale * elected(vectors))


def breadcrumbs(density: float, top: float, *, elect: bool) -> dict[str, Floats]:
    rows = []
    for one in THREE:
        parts = []
        for name in SHAPES:
            tau = (one[name] - BASE[name]).double().numpy().ravel()
            order = np.argsort(-np.abs(tau), kind="stable")
            first = round(top * tau.size)
            stay = order[first : first + max(1, round(density * tau.size))]
            parts.append(np.where(np.isin(np.arange(tau.size), stay), tau, 0.0))
        rows.append(np.concatenate(parts))
    vectors = np.array(rows)
    return unflat(flat(BASE) + (elected(vectors) if elect else vectors.sum(axis=0)))


def magmax() -> dict[str, Floats]:
    vectors = np.array([flat(one) - flat(BASE) for one in THREE])
    return unflat(flat(BASE) + vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])


def tall_masks(strength: float, agree: int) -> dict[str, Floats]:
    vectors = np.array([flat(one) - flat(BASE) for one in THREE])
    total = vectors.sum(axis=0)
    active = sum((np.abs(one) >= strength * np.abs(total - one)).astype(int) for one in vectors)
    return unflat(flat(BASE) + total * (active >= agree))


def model_stock(thetas: list[Floats], base: Floats) -> Floats:
    """Equation 5 of 2403.19522 for three models."""
    vectors = [theta.ravel() - base.ravel() for theta in thetas]
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in combinations(vectors, 2)]
    cosine = max(0.0, float(np.mean(cosines)))
    ratio = 3 * cosine / (1 + 2 * cosine)
    return np.asarray(ratio * np.mean(thetas, axis=0) + (1 - ratio) * base)


REFERENCES: dict[str, tuple[MergeRule, dict[str, Floats]]] = {
    "average": (MergeRule(), per_tensor(lambda thetas, _: np.mean(thetas, axis=0))),
    "task_arithmetic": (MergeRule(name="task_arithmetic", scale=0.4), task_arithmetic(0.4)),
    "ties": (MergeRule(name="ties", density=0.2, scale=0.7), ties(0.2, 0.7)),
    "ties, all kept": (MergeRule(name="ties", density=1.0), ties(1.0, 1.0)),
    "breadcrumbs": (MergeRule(name="breadcrumbs", density=0.4, prune_top=0.1), breadcrumbs(0.4, 0.1, elect=False)),
    "breadcrumbs_ties": (
        MergeRule(name="breadcrumbs_ties", density=0.4, prune_top=0.1),
        breadcrumbs(0.4, 0.1, elect=True),
    ),
    "magmax": (MergeRule(name="magmax"), magmax()),
    "tall_masks": (MergeRule(name="tall_masks"), tall_masks(0.4, 2)),
    "model_stock": (MergeRule(name="model_stock"), per_tensor(model_stock)),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_rule_is_its_definition(name: str) -> None:
    rule, expected = REFERENCES[name]
    got = merge(rule, sources())
    assert list(got) == list(SHAPES)
    for key, value in expected.items():
        np.testing.assert_allclose(got[key].double().numpy(), value, atol=2e-6)


def test_weighted_average() -> None:
    got = merge(MergeRule(), sources(weights=(1.0, 2.0, 5.0)))
    for name in SHAPES:
        expected = np.average(arrays(THREE, name), axis=0, weights=[1, 2, 5])
        np.testing.assert_allclose(got[name].double().numpy(), expected, atol=1e-6)


def test_fisher_average() -> None:
    fishers = tuple({name: tensor.square() for name, tensor in state(seed).items()} for seed in (11, 12, 13))
    fishers[0]["head"].zero_()
    for matrices in fishers:
        del matrices["logit_scale"]
        matrices["blocks.2.bias"].zero_()
    got = merge(MergeRule(name="fisher"), sources(weights=(1.0, 2.0, 1.0), fishers=fishers))
    for name in SHAPES:
        weights = [1, 2, 1]
        if name not in ("logit_scale", "blocks.2.bias"):  # no Fisher, or none that is not 0: the plain average
            weights = [f * w for f, w in zip(arrays(fishers, name), weights, strict=True)]  # type: ignore[misc]
        total = sum(w * theta for w, theta in zip(weights, arrays(THREE, name), strict=True))
        np.testing.assert_allclose(got[name].double().numpy(), total / sum(weights), atol=1e-5)


def test_fisher_floor_is_that_of_the_reference() -> None:
    """As `_merge` of wise-ft and of 2111.09832's code: every F is at least the floor, then weighted."""
    fishers = tuple({name: 1e-6 * state(seed)[name].square() for name in SHAPES} for seed in (11, 12, 13))
    fishers[0]["head"].zero_()
    rule = MergeRule(name="fisher", fisher_floor=1e-6)
    got = merge(rule, sources(weights=(1.0, 2.0, 1.0), fishers=fishers))
    for name in SHAPES:
        floored = [np.maximum(f, 1e-6) * w for f, w in zip(arrays(fishers, name), (1, 2, 1), strict=True)]
        expected = np.average(arrays(THREE, name), axis=0, weights=np.array(floored))
        np.testing.assert_allclose(got[name].double().numpy(), expected, atol=1e-5)
    plain = merge(MergeRule(name="fisher"), sources(weights=(1.0, 2.0, 1.0), fishers=fishers))
    assert not torch.allclose(plain["head"], got["head"], atol=1e-3)


def test_without_a_floor_the_least_certainty_takes_all() -> None:
    """One input alone has moved a parameter, with a gradient of 1e-5: a floor of 1e-6 makes that an average."""
    states = ({"x": torch.tensor([1.0])}, {"x": torch.tensor([3.0])})
    fishers = ({"x": torch.tensor([1e-10])}, {"x": torch.tensor([0.0])})
    for floor, expected in ((None, 1.0), (1e-6, 2.0), (1e-10, 2.0)):
        rule = MergeRule(name="fisher", fisher_floor=floor)
        assert float(merge(rule, MergeInputs(states=states, fishers=fishers))["x"]) == pytest.approx(expected)


@pytest.mark.parametrize("w", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_slerp_is_the_arc(w: float) -> None:
    got = merge(MergeRule(name="slerp"), sources(*THREE[:2], weights=(w, 1 - w)))
    for name in SHAPES:
        old, new = arrays(THREE[:2], name)
        a = np.arccos(np.clip((old * new).sum() / np.linalg.norm(old) / np.linalg.norm(new), -1, 1))
        arc = (np.sin(w * a) * old + np.sin((1 - w) * a) * new) / np.sin(a) if a > 0.04 else w * old + (1 - w) * new
        np.testing.assert_allclose(got[name].double().numpy(), arc, atol=1e-6)


def test_slerp_keeps_to_the_sphere_and_turns_towards_the_old() -> None:
    old, new = {"x": torch.tensor([1.0, 0.0])}, {"x": torch.tensor([0.0, 1.0])}
    for w in (0.1, 0.5, 0.9):
        got = merge(MergeRule(name="slerp"), MergeInputs(states=(old, new), weights=(w, 1 - w)))["x"]
        assert got.norm().item() == pytest.approx(1)
        assert math.atan2(got[1], got[0]) == pytest.approx((1 - w) * math.pi / 2)


# -- w weighs the old --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lerp", "slerp", "fisher"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("w", "expected"), [(0.0, 2), (1.0, 1)])
def test_ends_are_exact(name: str, dtype: torch.dtype, w: float, expected: int) -> None:
    states = state(1, dtype), state(2, dtype)
    fishers = tuple({key: tensor.square() for key, tensor in state(seed).items()} for seed in (3, 4))
    rule = MergeRule.model_validate({"name": name})
    merged = merge(rule, MergeInputs(states=states, weights=(w, 1 - w), fishers=fishers))
    for key, value in state(expected, dtype).items():
        if name == "fisher":  # the average, corrected
            torch.testing.assert_close(merged[key], value.float(), atol=1e-6, rtol=0)
        else:
            assert torch.equal(merged[key], value.float())


@settings(max_examples=30, deadline=None)
@given(w=st.floats(0, 1), seed=st.integers(0, 100))
def test_lerp_is_the_weighted_mean(w: float, seed: int) -> None:
    old, new = state(seed), state(seed + 1)
    for key, got in lerp(old, new, w=w).items():
        expected = w * old[key].double() + (1 - w) * new[key].double()
        torch.testing.assert_close(got.double(), expected, atol=1e-6, rtol=0)


@settings(max_examples=30, deadline=None)
@given(w=st.floats(0, 1), seed=st.integers(0, 100))
def test_lerp_in_place_has_the_same_bits(w: float, seed: int) -> None:
    total, new = state(seed), state(seed + 1)
    lerp_(total, new, w=w)
    assert all(torch.equal(total[key], tensor) for key, tensor in lerp(state(seed), new, w=w).items())
    assert all(torch.equal(new[key], tensor) for key, tensor in state(seed + 1).items())


def test_w_weighs_the_old() -> None:
    merged = lerp({"x": torch.tensor([10.0])}, {"x": torch.tensor([20.0])}, w=0.9)
    assert merged["x"].item() == pytest.approx(11.0)


# -- what every rule keeps to ------------------------------------------------------------------------------------------


def fishers_of(count: int) -> tuple[dict[str, Tensor], ...]:
    return tuple({key: tensor.square() + 0.1 for key, tensor in state(seed).items()} for seed in range(count))


@pytest.mark.parametrize("name", ROWS)
def test_inputs_are_not_changed_nor_shared(name: str) -> None:
    states = near(BASE, 1), near(BASE, 2)
    rule = MergeRule.model_validate({"name": name})
    for value in merge(rule, sources(*states, fishers=fishers_of(2))).values():
        value.fill_(7.0)
    for seed, one in zip((1, 2), states, strict=True):
        assert all(torch.equal(one[key], value) for key, value in near(state(0), seed).items())
    assert all(torch.equal(BASE[key], value) for key, value in state(0).items())


IDEMPOTENT = ["lerp", "slerp", "fisher", "model_stock", "magmax", "random"]


@pytest.mark.parametrize("name", IDEMPOTENT)
@pytest.mark.parametrize("count", [2, 3])
def test_equal_inputs_stay(name: str, count: int) -> None:
    count = 2 if name == "slerp" else count
    one = near(BASE, 1)
    merged = merge(MergeRule.model_validate({"name": name}), sources(*[one] * count, fishers=fishers_of(count)))
    for key, value in one.items():
        torch.testing.assert_close(merged[key], value, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["ties", "breadcrumbs_ties"])
def test_equal_inputs_with_all_kept_stay(name: str) -> None:
    settings_of = {"density": 1.0} | ({"prune_top": 0.0} if name != "ties" else {})
    merged = merge(MergeRule.model_validate({"name": name, **settings_of}), sources(*[near(BASE, 1)] * 3))
    for key, value in near(BASE, 1).items():
        torch.testing.assert_close(merged[key], value, atol=1e-6, rtol=0)


def test_average_of_equal_inputs_is_equal_to_the_bit() -> None:
    merged = merge(MergeRule(), sources(*[state(1)] * 5, weights=(0.1, 0.3, 0.2, 0.7, 0.9)))
    assert all(torch.equal(merged[key], value) for key, value in state(1).items())


SYMMETRIC = [name for name in PAIRS if name not in ("dare", "dare_ties", "random")]


@pytest.mark.parametrize("name", SYMMETRIC)
def test_order_of_inputs_does_not_matter_without_weights(name: str) -> None:
    rule = MergeRule.model_validate({"name": name})
    one, other = merge(rule, sources(*THREE[:2])), merge(rule, sources(*THREE[1::-1]))
    for key, value in one.items():
        torch.testing.assert_close(other[key], value, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ROWS)
def test_integers_come_from_a_named_source(name: str) -> None:
    def counted(seed: int, n: int) -> dict[str, Tensor]:
        return {**near(BASE, seed), "n": torch.tensor([n]), "on": torch.tensor([n > 1])}

    given = {"states": (counted(1, 1), counted(2, 2)), "base": counted(3, 9), "fishers": fishers_of(2)}
    rule = MergeRule.model_validate({"name": name})
    for source, expected in (("latest", 2), ("oldest", 1), ("base", 9)):
        merged = merge(rule, MergeInputs(**given, integers=source))  # type: ignore[arg-type]
        assert merged["n"].item() == expected
        assert merged["n"].dtype == torch.int64
        assert merged["on"].item() is (expected > 1)
        merged["n"].zero_()
    assert given["states"][1]["n"].item() == 2  # type: ignore[index]


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize(("policy", "kept"), [("base", BASE), ("latest", THREE[1])])
def test_temperature_can_be_kept(name: str, policy: str, kept: Mapping[str, Tensor]) -> None:
    rule = MergeRule.model_validate({"name": name, "logit_scale": policy})
    merged = merge(rule, sources(*THREE[:2], fishers=fishers_of(2)))
    assert torch.equal(merged["logit_scale"], kept["logit_scale"])
    plain = merge(MergeRule.model_validate({"name": name}), sources(*THREE[:2], fishers=fishers_of(2)))
    assert all(torch.equal(merged[key], value) for key, value in plain.items() if key != "logit_scale")


def test_tied_tensors_are_merged_once() -> None:
    def tied(seed: int) -> dict[str, Tensor]:
        one = near(BASE, seed)
        return {**one, "tied": one["head"], "not tied": one["head"].clone()}

    states, base = (tied(1), tied(2)), {**BASE, "tied": BASE["head"], "not tied": BASE["head"].clone()}
    merged = merge(MergeRule(name="dare"), MergeInputs(states=states, base=base, seed="s"))
    assert merged["tied"] is merged["head"]
    assert merged["not tied"] is not merged["head"]


@pytest.mark.parametrize("name", ROWS)
def test_weights_that_differ_are_listed(name: str) -> None:
    old, new = state(1), state(2)
    new["head"] = torch.zeros(4)
    new["logit_scale"] = new["logit_scale"].half()
    new["new.only"] = torch.zeros(1)
    old["old.only"] = torch.zeros(1)
    with pytest.raises(MergeError) as caught:
        merge(MergeRule.model_validate({"name": name}), sources(old, new, fishers=fishers_of(2)))
    message = str(caught.value)
    assert "head, new.only" not in message
    assert "new.only, old.only" in message
    assert "head (4, 3) / (4,)" in message
    assert "logit_scale float32 / float16" in message
    assert "blocks.0.weight" not in message


@pytest.mark.parametrize(
    ("rule", "given", "said"),
    [
        ({"name": "ties"}, {}, "needs a base"),
        ({"name": "lerp", "lines": "linear"}, {}, "needs a base"),
        ({"name": "ties"}, {"base": BASE, "weights": (0.5, 0.5)}, "no weights"),
        ({"name": "lerp"}, {"weights": (0.5, -0.5)}, "none below 0"),
        ({"name": "lerp"}, {"weights": (1.0,)}, "one each"),
        ({"name": "fisher"}, {}, "Fisher matrices of every input"),
        ({"name": "slerp"}, {"states": THREE}, "merges 2, not 3"),
        ({"name": "lerp"}, {"states": ()}, "nothing to merge"),
    ],
)
def test_what_a_rule_lacks_is_said(rule: dict[str, object], given: dict[str, object], said: str) -> None:
    with pytest.raises(MergeError, match=said):
        merge(MergeRule.model_validate(rule), MergeInputs(**{"states": THREE[:2], **given}))  # type: ignore[arg-type]


# -- accumulation ------------------------------------------------------------------------------------------------------


def test_result_is_fp32_and_is_rounded_once() -> None:
    old, new = state(1, torch.bfloat16), state(2, torch.bfloat16)
    wide = lerp(old, new, w=0.3)
    assert all(tensor.dtype == torch.float32 for tensor in wide.values())
    for key, tensor in wide.items():
        got = tensor.to(torch.bfloat16)
        exact = (0.3 * old[key].double() + 0.7 * new[key].double()).to(torch.bfloat16)
        assert got.dtype == torch.bfloat16
        assert (got == exact).float().mean() > 0.95  # a tie may fall to the other side, no more
        torch.testing.assert_close(got, exact, atol=0, rtol=2**-7)


def test_twenty_merges_towards_a_small_update_arrive_in_fp32_alone() -> None:
    """An update of 1e-3 with w = .9: fp32 arrives, bf16 kept between merges never moves (2^-8 of 1 is 4e-3)."""
    start, update = {"x": torch.ones(100)}, {"x": torch.full((100,), 1.001)}
    expected = 1 + 1e-3 * (1 - 0.9**20)
    total = {"x": torch.ones(100)}
    narrow = {"x": torch.ones(100, dtype=torch.bfloat16)}
    for _ in range(20):
        lerp_(total, update, w=0.9)
        narrow = {"x": lerp(narrow, {"x": update["x"].bfloat16()}, w=0.9)["x"].bfloat16()}
    assert total["x"].mean().item() == pytest.approx(expected, abs=1e-6)
    assert torch.equal(narrow["x"].float(), start["x"])


# -- sparsification ----------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(density=st.floats(0.01, 1), seed=st.integers(0, 50), coarse=st.booleans())
def test_ties_keeps_its_share_of_the_model_and_all_that_equal_the_least(
    density: float,
    seed: int,
    coarse: bool,  # noqa: FBT001
) -> None:
    """One model, so that the consensus drops nothing; coarse values have many equal magnitudes."""
    tau = state(seed)
    if coarse:
        tau = {name: tensor.mul(2).round().clamp(min=1) for name, tensor in tau.items()}
    zero = {name: torch.zeros_like(tensor) for name, tensor in tau.items()}
    merged = merge(MergeRule(name="ties", density=density), MergeInputs(states=(tau,), base=zero))
    magnitudes = np.abs(flat(tau))
    least = np.sort(magnitudes)[-round(density * magnitudes.size)]  # as `kthvalue` in the reference of 2306.01708
    np.testing.assert_array_equal(flat(merged), np.where(magnitudes >= least, flat(tau), 0))


def ties_of_bf16(names: Sequence[str]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The task vector of weights that moved a little in bf16, with few different magnitudes, and what TIES leaves."""
    rng = torch.Generator().manual_seed(0)
    old = {name: torch.randn(3000, generator=rng).bfloat16() for name in sorted(names)}
    new = {name: (old[name] + 0.003 * torch.randn(3000, generator=rng)).bfloat16() for name in sorted(names)}
    states = {name: new[name] for name in names}, {name: old[name] for name in names}
    left = merge(MergeRule(name="ties"), MergeInputs(states=states[:1], base=states[1]))
    return {name: new[name].float() - old[name].float() for name in names}, {
        name: left[name] - old[name].float() for name in names
    }


def test_equal_entries_stay_alike_whatever_the_names() -> None:
    tau, left = ties_of_bf16("abcd")
    kept = torch.cat([one.abs()[left[name] != 0] for name, one in tau.items()])
    cut = torch.cat([one.abs()[left[name] == 0] for name, one in tau.items()])
    assert kept.min() > cut.max()
    assert int((kept == kept.min()).sum()) > 500  # a tenth of what stays would have been for names to choose from
    _, reversed_ = ties_of_bf16("dcba")
    assert all(torch.equal(left[name], reversed_[name]) for name in "abcd")


def test_breadcrumbs_cuts_no_two_equal_entries_apart() -> None:
    """Of 10 entries 2 are outliers and 4 stay, which ends within the 2s; the two 7s are equal, so both stay."""
    tau = {"x": torch.tensor([9.0, -2.0, 7.0, 3.0, 2.0, 1.0, -7.0, 2.0, 0.5, 0.1])}
    rule = MergeRule(name="breadcrumbs", density=0.4, prune_top=0.2)
    merged = merge(rule, MergeInputs(states=(tau,), base={"x": torch.zeros(10)}))
    assert merged["x"].tolist() == [0.0, -2.0, 7.0, 3.0, 2.0, 0.0, -7.0, 2.0, 0.0, 0.0]


def test_breadcrumbs_keeps_equal_entries() -> None:
    tau = {"x": torch.full((10,), -3.0)}
    rule = MergeRule(name="breadcrumbs", density=0.1, prune_top=0.9)
    assert torch.equal(merge(rule, MergeInputs(states=(tau,), base={"x": torch.zeros(10)}))["x"], tau["x"])


@pytest.mark.parametrize("density", [0.1, 0.3, 0.77, 1.0])
def test_dare_keeps_exactly_its_share_and_its_expectation(density: float) -> None:
    tau = {"x": torch.randn((200, 50), generator=torch.Generator().manual_seed(0))}
    zero = {"x": torch.zeros(200, 50)}
    total = torch.zeros(200, 50)
    for seed in range(300):
        merged = merge(MergeRule(name="dare", density=density), MergeInputs(states=(tau,), base=zero, seed=str(seed)))[
            "x"
        ]
        assert int(torch.count_nonzero(merged)) == round(density * merged.numel())
        total += merged
    # The mean over draws is tau; its error in units of |tau| is sqrt((1 / density - 1) / 300) a draw.
    error = float(((total / 300 - tau["x"]) ** 2).mean().sqrt() / tau["x"].square().mean().sqrt())
    assert error < 1.2 * math.sqrt((1 / density - 1) / 300) + 1e-5  # of fp32 sums
    assert float(merged.sum()) == pytest.approx(float(tau["x"].sum()), abs=6 * 100 * math.sqrt(1 / density - 1) + 1e-3)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_dare_keeps_the_mean_of_small_tensors(size: int) -> None:
    """A scalar stays with the probability that is the density: 2000 draws of ones have a mean within 5 sd of 1."""
    tau, zero, rule = {"x": torch.ones(size)}, {"x": torch.zeros(size)}, MergeRule(name="dare", density=0.3)
    merged = [merge(rule, MergeInputs(states=(tau,), base=zero, seed=str(s)))["x"].mean() for s in range(2000)]
    assert float(torch.stack(merged).mean()) == pytest.approx(1, abs=5 * math.sqrt((1 / 0.3 - 1) / 2000))


def test_breadcrumbs_merge_scalars() -> None:
    states = ({"logit_scale": torch.tensor(2.0)}, {"logit_scale": torch.tensor(3.0)})
    merged = merge(MergeRule(name="breadcrumbs"), MergeInputs(states=states, base={"logit_scale": torch.tensor(1.0)}))
    assert float(merged["logit_scale"]) == 4.0


@pytest.mark.parametrize("weights", [(math.nan, 1.0), (math.inf, 1.0), (-1.0, 2.0), (0.0, 0.0), (1.0,)])
def test_weights_of_inputs_are_checked(weights: tuple[float, ...]) -> None:
    with pytest.raises(MergeError, match="one each, none below 0"):
        merge(MergeRule(), MergeInputs(states=(state(1), state(2)), weights=weights))


def test_fisher_matrices_of_another_model_are_refused() -> None:
    states, own = (state(1), state(2)), fishers_of(2)
    foreign = {name: torch.ones(9) for name in SHAPES}
    with pytest.raises(MergeError, match=r"matrices 2 have other shapes than the weights: .*head \(9,\)"):
        merge(MergeRule(name="fisher"), MergeInputs(states=states, fishers=(own[0], foreign)))
    wrong = {**own[1], "head": -own[1]["head"]}
    with pytest.raises(MergeError, match="head: a Fisher matrix has entries below 0"):
        merge(MergeRule(name="fisher"), MergeInputs(states=states, fishers=(own[0], wrong)))
    with pytest.raises(MergeError, match="matrices 1 name no tensor"):
        merge(MergeRule(name="fisher"), MergeInputs(states=states, fishers=({"module.head": torch.ones(4)}, own[1])))


def test_random_takes_from_any_number_of_models() -> None:
    states = tuple({"x": torch.full((4000,), float(i))} for i in range(300))
    merged = merge(MergeRule(name="random"), MergeInputs(states=states, base={"x": torch.zeros(4000)}))["x"]
    assert len(merged.unique()) > 280


def test_tied_tensors_count_once_in_a_share() -> None:
    one = torch.tensor([4.0, 3.0])
    tau = {"a": one, "tied": one, "b": torch.tensor([2.0, 1.0])}
    zero = {name: torch.zeros(2) for name in tau}
    merged = merge(MergeRule(name="ties", density=0.75), MergeInputs(states=(tau,), base=zero))
    assert merged["tied"].tolist() == [4.0, 3.0]
    assert merged["b"].tolist() == [2.0, 0.0]


@pytest.mark.parametrize("name", ["dare", "dare_ties", "random"])
def test_random_rules_draw_by_their_seed_alone(name: str) -> None:
    rule = MergeRule.model_validate({"name": name})
    torch.manual_seed(1)
    first = merge(rule, sources())
    torch.manual_seed(2)
    again = merge(rule, sources())
    other = merge(rule, MergeInputs(states=THREE, base=BASE, seed="t"))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_random_takes_each_entry_from_one_of_them() -> None:
    got = merge(MergeRule(name="random"), sources())
    for name in SHAPES:
        from_any = torch.stack([got[name].isclose(one[name], atol=1e-6) for one in THREE])
        assert bool(from_any.any(dim=0).all())
    shares = torch.stack([(got["blocks.1.weight"] - one["blocks.1.weight"]).abs() < 1e-6 for one in THREE])
    assert all(6 <= int(share.sum()) <= 30 for share in shares)


def test_thresholds_of_large_tensors_are_exact() -> None:
    """Large enough that the threshold comes from a sample and one pass."""
    rng = torch.Generator().manual_seed(0)
    tau = {"a": torch.randn(300_000, generator=rng), "b": torch.randn(200_000, generator=rng) * 3}
    zero = {name: torch.zeros_like(tensor) for name, tensor in tau.items()}
    merged = merge(MergeRule(name="ties", density=0.3), MergeInputs(states=(tau,), base=zero))
    order = torch.cat(list(tau.values())).abs().argsort(descending=True)[:150_000]
    kept = torch.cat(list(merged.values())).nonzero().squeeze(1)
    assert torch.equal(kept, order.sort().values)


@pytest.mark.parametrize("name", ["task_arithmetic", "magmax", "tall_masks", "fisher"])
def test_large_tensors_merge_as_their_parts_do(name: str) -> None:
    """Entries that are merged each alone do not know where a piece of a large tensor ends."""
    rng = torch.Generator().manual_seed(0)
    states = tuple({"x": torch.randn(150_001, generator=rng)} for _ in range(3))
    base, fishers = {"x": torch.randn(150_001, generator=rng)}, tuple({"x": one["x"].square()} for one in states)

    def part(of: Mapping[str, Tensor], begin: int, end: int) -> dict[str, Tensor]:
        return {"x": of["x"][begin:end]}

    def merge_part(begin: int, end: int) -> Tensor:
        return merge(
            MergeRule.model_validate({"name": name}),
            MergeInputs(
                states=tuple(part(one, begin, end) for one in states),
                base=part(base, begin, end),
                fishers=tuple(part(one, begin, end) for one in fishers),
            ),
        )["x"]

    parts = [merge_part(0, 40_000), merge_part(40_000, 40_007), merge_part(40_007, 150_001)]
    assert torch.equal(merge_part(0, 150_001), torch.cat(parts))


def test_signs_that_cancel_leave_nothing() -> None:
    """Algorithm 1 of 2306.01708: the sign of 0 is 0, and no entry agrees with it."""
    states = ({"x": torch.tensor([1.0, 2.0])}, {"x": torch.tensor([-1.0, 3.0])})
    rule = MergeRule(name="ties", density=1.0)
    assert merge(rule, MergeInputs(states=states, base={"x": torch.zeros(2)}))["x"].tolist() == [0.0, 2.5]


@pytest.mark.parametrize("name", [name for name in ROWS if name != "fisher"])
def test_what_is_not_a_number_shows_in_the_merge(name: str) -> None:
    """Sparsifying must not hide it: where no entry is a number, none of the merged ones is."""
    rule = MergeRule.model_validate({"name": name})
    states = ({"x": torch.full((100,), math.nan)}, {"x": torch.full((100,), math.nan)})
    base = {"x": torch.zeros(100)}
    merged = merge(rule, MergeInputs(states=states, base=base if rule.needs_base else None))["x"]
    assert bool(merged.isnan().any())


def test_magmax_takes_the_newer_of_two_equal_magnitudes() -> None:
    """As `merge_max_abs` of its code, which replaces an entry by a later one that is as large."""
    states = [{"x": torch.tensor(values)} for values in ([2.0, 1.0, -3.0], [-2.0, 3.0, 1.0], [2.0, -3.0, 3.0])]
    base = {"x": torch.zeros(3)}
    for order, expected in (
        ([0, 1, 2], [2.0, -3.0, 3.0]),
        ([2, 1, 0], [2.0, 3.0, -3.0]),
        ([2, 0, 1], [-2.0, 3.0, -3.0]),
    ):
        inputs = MergeInputs(states=tuple(states[i] for i in order), base=base)
        assert merge(MergeRule(name="magmax"), inputs)["x"].tolist() == expected


# -- Model Stock, TALL masks, LiNeS ------------------------------------------------------------------------------------


def stock(*vectors: list[float]) -> list[float]:
    base = {"x": torch.ones(2)}
    states = tuple({"x": 1 + torch.tensor(vector)} for vector in vectors)
    return [float(x) for x in merge(MergeRule(name="model_stock"), MergeInputs(states=states, base=base))["x"] - 1]


def test_model_stock_of_parallel_vectors_is_their_average() -> None:
    assert stock([1.0, 0.0], [3.0, 0.0]) == pytest.approx([2.0, 0.0])


def test_model_stock_of_orthogonal_or_opposite_vectors_is_the_base() -> None:
    assert stock([1.0, 0.0], [0.0, 1.0]) == pytest.approx([0.0, 0.0])
    assert stock([1.0, 0.0], [-1.0, 0.0]) == pytest.approx([0.0, 0.0])


def test_model_stock_at_sixty_degrees() -> None:
    """Cos = 1/2, so r = 2/3 of the average (1.5, .866) / 2."""
    assert stock([1.0, 0.0], [0.5, math.sqrt(0.75)]) == pytest.approx([0.5, math.sqrt(0.75) / 3])


def test_tall_masks_without_a_condition_are_task_arithmetic() -> None:
    """What the default of the reference of 2408.14471 amounts to."""
    masks = merge(MergeRule(name="tall_masks", mask_strength=0.0, agree=1), sources())
    plain = merge(MergeRule(name="task_arithmetic"), sources())
    assert all(torch.equal(masks[key], value) for key, value in plain.items())


@pytest.mark.parametrize(("shape", "power"), [("linear", 1), ("quadratic", 2), ("sqrt", 0.5)])
@pytest.mark.parametrize("name", ["lerp", "ties", "task_arithmetic", "model_stock"])
def test_lines_scales_the_move_by_depth(name: str, shape: str, power: float) -> None:
    plain = merge(MergeRule.model_validate({"name": name}), sources())
    rule = MergeRule.model_validate({"name": name, "lines": shape, "lines_first": 0.2, "lines_more": 0.6})
    got = merge(rule, sources())
    for key, value in plain.items():
        depth = {"blocks.0.weight": 0.0, "blocks.1.weight": 0.5, "blocks.2.bias": 1.0}.get(key)
        factor = 0.2 if depth is None else 0.2 + 0.6 * depth**power
        torch.testing.assert_close(got[key], BASE[key] + factor * (value - BASE[key]), atol=1e-6, rtol=0)


def test_lines_counts_blocks_of_each_tower() -> None:
    names = [f"{tower}resblocks.{i}.w" for tower, depth in (("visual.", 3), ("", 2)) for i in range(depth)]
    one, zero = {name: torch.ones(1) for name in names}, {name: torch.zeros(1) for name in names}
    rule = MergeRule(name="lerp", lines="linear", lines_first=0.0, lines_more=1.0)
    got = merge(rule, MergeInputs(states=(one,), base=zero))
    assert [float(got[name]) for name in names] == [0.0, 0.5, 1.0, 0.0, 1.0]


def test_lines_without_blocks_is_refused() -> None:
    with pytest.raises(MergeError, match="numbered block"):
        merge(
            MergeRule(name="lerp", lines="linear"),
            MergeInputs(states=({"x": torch.ones(1)},), base={"x": torch.ones(1)}),
        )


# -- the instruction residual ------------------------------------------------------------------------------------------


def test_instruction_residual_is_task_arithmetic_on_named_checkpoints() -> None:
    """ArXiv 2410.10739: what instruction tuning added to a base is added to the base that was trained on."""
    base, instruct, moved = state(0), near(state(0), 1), near(state(0), 2)
    got = merge(MergeRule(name="task_arithmetic"), MergeInputs(states=(moved, instruct), base=base))
    for name in SHAPES:
        expected = moved[name].double() + (instruct[name].double() - base[name].double())
        torch.testing.assert_close(got[name].double(), expected, atol=1e-6, rtol=0)
