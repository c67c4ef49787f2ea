"""Merging files of weights: memory-mapped in and out, one tensor in memory at a time, a record beside the output.

safetensors is read and written in place: 8 bytes with the length of a JSON header, the header, then the tensors' bytes.
Pages that are done with are given back at once, so that memory stays that of one tensor whatever the size of the files.
PyTorch files are loaded through `weights_only` alone: nothing of them is executed.
"""

import hashlib
import json
import mmap
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import isfinite, prod
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from torch import Tensor

from trainables.files import whole
from trainables.merging.merge import (
    Combine,
    MergeError,
    MergeInputs,
    Source,
    State,
    at_least_fp32,
    average,
    combination,
    tied,
    weights_of,
)
from trainables.merging.rule import MergeRule
from trainables.merging.sparsify import pieces

_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_NAMES = {dtype: name for name, dtype in _TYPES.items()}
Move = dict[str, float | None]

TORCH = (".pt", ".pth", ".bin")


@dataclass(frozen=True, kw_only=True)
class Record:
    """What made a merged file, as it stands in the JSON file beside it.

    Attributes:
        rule: its name and settings.
        weights: of the inputs, oldest first; null where the rule does not weigh.
        stayed: of each input, oldest first, the share of the entries of its task vector that are not 0 after the rule
            has made it sparse; null where the rule makes none sparse.
        inputs: path, SHA-256 and bytes of each, oldest first, and of the base.
        tensors: by name, the norm of the move away from `moved_from`, and that norm over the norm of the tensor there;
            null where that is 0, or where something is not finite.
        moved_from: "base", or "oldest" where there is none.
    """

    rule: dict[str, Any]
    weights: list[float] | None
    stayed: list[float] | None
    inputs: list[dict[str, Any]]
    base: dict[str, Any] | None
    fishers: list[dict[str, Any]]
    seed: str
    integers: str
    output: dict[str, Any]
    moved_from: str
    tensors: dict[str, Move]
    wall_seconds: float

    def as_json(self) -> str:
        """The record as a JSON object."""
        return json.dumps(self.__dict__, indent=2, allow_nan=False)


def merge_files(
    rule: MergeRule,
    inputs: Sequence[Path],
    out: Path,
    *,
    weights: tuple[float, ...] | None = None,
    base: Path | None = None,
    fishers: Sequence[Path] = (),
    seed: int = 0,
    integers: Source = "latest",
) -> Record:
    """Merge weights of files, oldest first, into a safetensors file with the storage types of the latest.

    The output appears under its name when it is complete; its record is `out` with ".json" after it.

    Raises:
        MergeError: a file cannot be read as weights, or the weights cannot be merged; names what and where.
    """
    began = time.perf_counter()
    paths = [*inputs, *([] if base is None else [base]), *fishers]
    if out.resolve() in {path.resolve() for path in paths}:
        raise MergeError(f"{out}: the output is one of the inputs; name another file")
    with ExitStack() as stack:
        hashes = stack.enter_context(_Digests(paths))  # beside the merge, on another core
        states = [stack.enter_context(opened(path)) for path in paths]
        count = len(inputs)
        given = MergeInputs(
            states=tuple(states[:count]),
            weights=weights,
            base=states[count] if base is not None else None,
            fishers=tuple(states[len(paths) - len(fishers) :]) if fishers else None,
            seed=str(seed),
            integers=integers,
        )
        stayed: Counter[int] = Counter()
        tensors = _write(rule, given, out, stayed)
        entries = _entries(given)
        digests = hashes.all()
    files = [
        {"path": str(path), "sha256": digest, "bytes": path.stat().st_size}
        for path, digest in zip(paths, digests, strict=True)
    ]
    record = Record(
        rule={name: value for name, value in rule.canonical().items() if value is not None},
        weights=None if weights is None else list(weights),
        stayed=None if rule.row.sparsify == "none" else [stayed[i] / max(1, entries) for i in range(count)],
        inputs=files[:count],
        base=None if base is None else files[count],
        fishers=files[len(paths) - len(fishers) :] if fishers else [],
        seed=given.seed,
        integers=integers,
        output={"path": str(out), "bytes": out.stat().st_size},
        moved_from="oldest" if base is None else "base",
        tensors=tensors,
        wall_seconds=time.perf_counter() - began,
    )
    try:
        with whole(record_of(out)) as file:
            file.write_text(record.as_json())
    except OSError as error:
        raise MergeError(f"{record_of(out)}: cannot be written: {error.strerror}") from error
    return record


def record_of(out: Path) -> Path:
    """Where the record of a merged file stands."""
    return out.with_name(f"{out.name}.json")


# -- reading -----------------------------------------------------------------------------------------------------------


@contextmanager
def opened(path: Path) -> Iterator[State]:
    """The weights in a file, by name.

    Raises:
        MergeError: it cannot be read as weights.
    """
    if path.suffix in TORCH:
        yield _load_torch(path)
        return
    mapped = _mapped(path)
    try:
        yield mapped
    finally:
        mapped.close()


class Mapped(Mapping[str, Tensor]):
    """Tensors of a safetensors file, read when asked for. To ask for one gives back the pages of the one before."""

    def __init__(self, pages: mmap.mmap, header: dict[str, Any], start: int) -> None:
        self._pages, self._start = pages, start
        self._entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        self._last: tuple[str, Tensor] | None = None

    def __getitem__(self, name: str) -> Tensor:
        entry = self._entries[name]
        if self._last is not None:
            last, tensor = self._last
            if last == name:
                return tensor
            begin, end = self._entries[last]["data_offsets"]
            _give_back(self._pages, self._start + begin, self._start + end)
        self._last = name, self._read(entry)
        return self._last[1]

    def _read(self, entry: dict[str, Any]) -> Tensor:
        begin, end = entry["data_offsets"]
        dtype = _TYPES[entry["dtype"]]
        if end == begin:
            return torch.empty(entry["shape"], dtype=dtype)
        raw = torch.frombuffer(self._pages, dtype=torch.uint8, count=end - begin, offset=self._start + begin)
        if raw.data_ptr() % dtype.itemsize:  # a header of odd length: views of wider types need aligned memory
            raw = raw.clone()
        return raw.view(dtype).view(entry["shape"])

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def close(self) -> None:
        """Give everything back; the mapping itself ends with the last tensor that points at it."""
        self._last = None
        self._pages.madvise(mmap.MADV_DONTNEED)


def _mapped(path: Path) -> Mapped:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            size = os.fstat(file.fileno()).st_size
            if not 2 <= length <= size - 8:
                raise ValueError("its first 8 bytes are no length of a header")
            header = json.loads(file.read(length))
            # A private mapping may be written to in memory, as torch wants of a buffer; the file never changes.
            pages = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    except OSError as error:
        raise MergeError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        kinds = ", ".join((".safetensors", *TORCH))
        raise MergeError(f"{path}: no safetensors file: {error}; give one of {kinds}") from error
    _check_header(path, header, size - 8 - length)
    return Mapped(pages, header, 8 + length)


def _check_header(path: Path, header: Any, size: int) -> None:
    """Nothing of a header is believed: types, shapes and offsets have to fit each other and the file."""
    if not isinstance(header, dict):
        raise MergeError(f"{path}: no safetensors file: its header is no JSON object")
    if not header.keys() - {"__metadata__"}:
        raise MergeError(f"{path}: it holds no tensors")
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        try:
            dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        except (KeyError, TypeError, ValueError) as error:
            raise MergeError(f"{path}: {name}: its entry in the header is damaged") from error
        if not isinstance(shape, list) or not all(type(one) is int and one >= 0 for one in (*shape, begin, end)):
            raise MergeError(f"{path}: {name}: its entry in the header is damaged")
        if dtype not in _TYPES:
            raise MergeError(f"{path}: {name}: {dtype!r} is no type that can be merged; allowed: {', '.join(_TYPES)}")
        if not (begin <= end <= size and prod(shape) * _TYPES[dtype].itemsize == end - begin):
            raise MergeError(f"{path}: {name}: its bytes do not fit its shape or the file, which may be cut off")


def _load_torch(path: Path) -> State:
    """A PyTorch file; of a checkpoint with more in it the entry `state_dict`, as open_clip writes it.

    Files of before PyTorch 1.6, which are no zip archives, cannot be mapped and are read whole.
    """
    try:
        value = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))
    except OSError as error:
        raise MergeError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # unpickling fails in many ways, and all of them mean the same to the user
        raise MergeError(
            f"{path}: no weights that can be loaded safely: it holds other Python objects, is damaged, or no PyTorch "
            "file; save the model's state_dict() alone, or as .safetensors"
        ) from error
    state = value.get("state_dict", value) if isinstance(value, Mapping) else value
    if not isinstance(state, Mapping) or not state or not all(isinstance(one, Tensor) for one in state.values()):
        raise MergeError(f"{path}: it holds no state dict; save the model's state_dict()")
    return {str(name): tensor.detach() for name, tensor in state.items()}  # parameters, in some files


# -- writing -----------------------------------------------------------------------------------------------------------


def _write(rule: MergeRule, inputs: MergeInputs, out: Path, stayed: Counter[int]) -> dict[str, Move]:
    """Write the merged tensors in the order of the latest input; returns how far each has moved.

    `stayed` is as of `combination`.
    """
    combine = combination(rule, inputs, stayed)
    latest = inputs.states[-1]
    origin = inputs.states[0] if inputs.base is None else inputs.base
    header, size = _header(latest, rule)
    moved: dict[str, Move] = {}
    try:
        with whole(out) as made, made.open("w+b") as file:
            file.write(header)
            file.flush()
            os.posix_fallocate(file.fileno(), 0, len(header) + size)  # a full disk is told here, not by a signal
            pages = mmap.mmap(file.fileno(), len(header) + size)
            at, starts = len(header), {}
            for name, first in tied(inputs).items():
                like = latest[name]
                end = at + like.numel() * like.element_size()
                starts[name] = at
                if first != name:
                    pages[at:end] = pages[starts[first] : starts[first] + end - at]
                    moved[name] = moved[first]
                elif end > at:
                    target = torch.frombuffer(pages, dtype=torch.uint8, count=end - at, offset=at)
                    target = target.view(like.dtype).view(like.shape)
                    moved[name] = _merge_into(target, name, combine, rule, inputs, origin)
                    _require_finite(target, moved[name], name, inputs)
                    del target
                _give_back(pages, at, end)
                at = end
    except OSError as error:
        raise MergeError(f"{out}: cannot be written: {error.strerror}") from error
    return moved


def _entries(inputs: MergeInputs) -> int:
    """The number of entries of a task vector, those of tied tensors once."""
    latest = inputs.states[-1]
    once = [latest[name] for name, first in tied(inputs).items() if name == first]
    return sum(tensor.numel() for tensor in once if tensor.is_floating_point())


def _header(latest: State, rule: MergeRule) -> tuple[bytes, int]:
    """Length and JSON header of the output, padded so that tensors are aligned, and the bytes of all tensors."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt", "merged_by": rule.words}}
    at = 0
    for name, tensor in latest.items():
        end = at + tensor.numel() * tensor.element_size()
        if tensor.dtype not in _NAMES:
            raise MergeError(f"{name}: {tensor.dtype} is no type that can be merged; allowed: {', '.join(_TYPES)}")
        entries[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % 64)
    return len(text).to_bytes(8, "little") + text, at


def _merge_into(
    target: Tensor, name: str, combine: Combine, rule: MergeRule, inputs: MergeInputs, origin: State
) -> Move:
    """Write one merged tensor; a plain average in pieces that stay in the processor's cache."""
    if not target.is_floating_point():
        target.copy_(combine(name))
        return {}
    if not rule.is_plain:
        merged = combine(name)
        target.copy_(merged)
        was = at_least_fp32(origin[name])
        return _moved(float(torch.linalg.vector_norm(merged - was)) ** 2, float(torch.linalg.vector_norm(was)) ** 2)
    flat = [state[name].reshape(-1) for state in inputs.states]
    out, start = target.view(-1), origin[name].reshape(-1)
    moves, norms = 0.0, 0.0
    for piece in pieces(len(out)):
        merged, was = average([tensor[piece] for tensor in flat], weights_of(inputs)), at_least_fp32(start[piece])
        out[piece] = merged
        norms += float(torch.dot(was, was))
        merged -= was
        moves += float(torch.dot(merged, merged))
    return _moved(moves, norms)


def _moved(squares: float, of: float) -> Move:
    """Of a tensor that was 0 there is no relative move, and no number says how far one that is none has moved."""
    relative = 0.0 if squares == 0 else (squares / of) ** 0.5 if of else None
    finite = isfinite(squares) and isfinite(of)
    return {"norm": squares**0.5 if finite else None, "relative": relative if finite else None}


def _require_finite(stored: Tensor, moved: Move, name: str, inputs: MergeInputs) -> None:
    """Raise MergeError for values that are not finite: of an input, or beyond float16, which ends at 65504."""
    if moved.get("norm", 0.0) is None:
        states = {f"input {i + 1}": state for i, state in enumerate(inputs.states)}
        for what, state in (states | {"the base": inputs.base}).items():
            bad = 0 if state is None else int((~state[name].isfinite()).sum())
            if bad:
                raise MergeError(f"{name}: {bad} of {stored.numel()} values of {what} are not finite; mend that file")
        raise MergeError(f"{name}: merged values are not finite; lower the scale")
    if stored.dtype == torch.float16 and bool(stored.isinf().any()):
        raise MergeError(f"{name}: merged values are beyond the range of float16; lower the scale, or store as float32")


def _give_back(pages: mmap.mmap, begin: int, end: int) -> None:
    """Let the system take whole pages between two bytes; what was written to a file stays in the file."""
    first = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE
    length = end // mmap.PAGESIZE * mmap.PAGESIZE - first
    if length > 0:
        pages.madvise(mmap.MADV_DONTNEED, first, length)


class _Digests:
    """SHA-256 of files, computed beside other work."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1)
        self._futures = [self._executor.submit(_digest, path) for path in paths]

    def __enter__(self) -> "_Digests":
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(cancel_futures=True)

    def all(self) -> list[str]:
        """The digests, when they are done."""
        return [future.result() for future in self._futures]


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MergeError(f"{path}: cannot be read: {error.strerror}") from error
