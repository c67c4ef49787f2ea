"""Merge rules: exact at the ends, accumulated in fp32, and pure."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainables.merging.rules import RULES, MergeError, lerp


def state(seed: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    shapes = {"a.weight": (5, 7), "b": (3,), "scale": ()}
    return {name: torch.randn(shape, generator=rng).to(dtype) for name, shape in shapes.items()}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("w", "expected"), [(0.0, 2), (1.0, 1)])
def test_ends_are_exact(name: str, dtype: torch.dtype, w: float, expected: int) -> None:
    merged = RULES[name](state(1, dtype), state(2, dtype), w=w)
    assert all(torch.equal(merged[key], value) for key, value in state(expected, dtype).items())
    assert all(value.dtype == dtype for value in merged.values())


@settings(max_examples=30, deadline=None)
@given(w=st.floats(0, 1), seed=st.integers(0, 100))
def test_lerp_is_the_weighted_mean(w: float, seed: int) -> None:
    old, new = state(seed), state(seed + 1)
    for key, got in lerp(old, new, w=w).items():
        expected = w * old[key].double() + (1 - w) * new[key].double()
        torch.testing.assert_close(got.double(), expected, atol=1e-6, rtol=0)


def test_w_weighs_the_old() -> None:
    merged = lerp({"x": torch.tensor([10.0])}, {"x": torch.tensor([20.0])}, w=0.9)
    assert merged["x"].item() == pytest.approx(11.0)


def test_bf16_is_rounded_once() -> None:
    old, new = state(1, torch.bfloat16), state(2, torch.bfloat16)
    for key, got in lerp(old, new, w=0.3).items():
        exact = (0.3 * old[key].double() + 0.7 * new[key].double()).to(torch.bfloat16)
        # A step of bf16 is 2^-8 of the value; the accumulation may sit on the other side of a tie, no more.
        assert (got == exact).float().mean() > 0.95
        torch.testing.assert_close(got, exact, atol=0, rtol=2**-7)


def test_type_is_that_of_the_new() -> None:
    old, new = state(1), state(2, torch.bfloat16)
    for key, got in lerp(old, new, w=0.5).items():
        assert torch.equal(got, (0.5 * old[key] + 0.5 * new[key].float()).to(torch.bfloat16))


def test_equal_weights_stay_to_the_bit() -> None:
    merged = lerp(state(1), state(1), w=0.3)
    assert all(torch.equal(merged[key], value) for key, value in state(1).items())


def test_inputs_are_not_changed_nor_shared() -> None:
    old, new = state(1), state(2)
    for w in (0.0, 0.5, 1.0):
        for value in lerp(old, new, w=w).values():
            value.zero_()
    integers = {"n": torch.tensor([1, 2])}
    lerp(integers, integers, w=0.5)["n"].zero_()
    assert integers["n"].tolist() == [1, 2]
    assert all(torch.equal(old[key], value) for key, value in state(1).items())
    assert all(torch.equal(new[key], value) for key, value in state(2).items())


def test_integers_are_those_of_the_new() -> None:
    merged = lerp(
        {"n": torch.tensor([1]), "on": torch.tensor([False])},
        {"n": torch.tensor([9]), "on": torch.tensor([True])},
        w=0.9,
    )
    assert merged["n"].item() == 9
    assert merged["n"].dtype == torch.int64
    assert merged["on"].item() is True


def test_names_of_the_new_keep_their_order() -> None:
    assert list(lerp(dict(reversed(state(1).items())), state(2), w=0.5)) == list(state(2))


@pytest.mark.parametrize("name", RULES)
def test_weights_that_differ_are_listed(name: str) -> None:
    old, new = state(1), state(2)
    new["b"] = torch.zeros(4)
    new["new.only"] = torch.zeros(1)
    old["old.only"] = torch.zeros(1)
    with pytest.raises(MergeError) as caught:
        RULES[name](old, new, w=0.5)
    message = str(caught.value)
    assert "['new.only', 'old.only']" in message
    assert "b (3,) / (4,)" in message
    assert "a.weight" not in message
