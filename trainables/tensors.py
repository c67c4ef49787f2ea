"""Tensors as bytes: safetensors, written straight from memory and read straight into it, with one copy at most.

The library's own `save` and `load` hold two and three copies of all weights on the way. The format is its own
(github.com/huggingface/safetensors): the size of a JSON header in 8 bytes, the header, then all tensors end to end.
"""

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_NAMES = {dtype: name for name, dtype in _TYPES.items()}
_ALIGNED = 8


def parts(tensors: Mapping[str, Tensor]) -> list[bytes | memoryview]:
    """A file of tensors on the CPU: its header and the memory of each, which must not change before it is written."""
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    ordered = sorted(contiguous, key=lambda name: (-contiguous[name].itemsize, name))  # so that each is aligned
    header, begin = {}, 0
    for name in ordered:
        tensor = contiguous[name]
        end = begin + tensor.nbytes
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNED)
    return [len(text).to_bytes(8, "little") + text, *(_bytes(contiguous[name]) for name in ordered)]


def read(payload: bytes) -> dict[str, Tensor]:
    """The tensors of a file, each in its own memory aligned as torch aligns it: else kernels may round differently."""
    size = int.from_bytes(payload[:8], "little")
    header = json.loads(payload[8 : 8 + size])
    header.pop("__metadata__", None)
    data, found = memoryview(payload)[8 + size :], {}
    for name, said in header.items():
        tensor = torch.empty(said["shape"], dtype=_TYPES[said["dtype"]])
        begin, end = said["data_offsets"]
        _bytes(tensor)[:] = data[begin:end]
        found[name] = tensor
    return found


def _bytes(tensor: Tensor) -> memoryview:
    """The memory of a contiguous tensor."""
    flat: Any = tensor.reshape(-1).view(torch.uint8).numpy()
    return memoryview(flat)
