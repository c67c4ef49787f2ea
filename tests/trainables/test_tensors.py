"""Tensors as bytes, against the library whose format it is."""

import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from trainables import tensors

TYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.int64, torch.int16, torch.uint8, torch.bool]


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype
        assert tensor.shape == other[name].shape
        assert torch.equal(tensor, other[name])


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=8),
        st.tuples(st.sampled_from(TYPES), st.lists(st.integers(0, 3), max_size=3)),
        max_size=5,
    )
)
def test_the_library_reads_what_is_written_and_the_other_way_round(
    made: dict[str, tuple[torch.dtype, list[int]]],
) -> None:
    made = {name: one for name, one in made.items() if name != "__metadata__"}
    given_ = {name: (torch.rand(shape) * 100).to(dtype) for name, (dtype, shape) in made.items()}
    payload = b"".join(tensors.parts(given_))
    assert_equal(safetensors.torch.load(payload), given_)
    assert_equal(tensors.read(payload), given_)
    assert_equal(tensors.read(safetensors.torch.save(given_, {"note": "of others"})), given_)


def test_parts_are_the_memory_of_the_tensors_and_what_is_read_is_not() -> None:
    one = torch.arange(6.0)
    _, memory = tensors.parts({"a": one})
    one[0] = 7.0
    assert memory[:4] == torch.tensor([7.0]).numpy().tobytes()
    payload = b"".join(tensors.parts({"odd": torch.ones(3, dtype=torch.uint8), "a": one.view(2, 3).t()}))
    found = tensors.read(payload)
    assert torch.equal(found["a"], one.view(2, 3).t())
    assert found["odd"].data_ptr() % 16 == 0
    found["a"][0] = 0  # it may be written to
