"""What the machine can do: matrix products and copies; and what is done around a task."""

import platform
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext

import torch

from tests.device.rows import NeedsGpuError, Row, milliseconds
from tests.device.setting import Setting, prepare, tf32
from trainables import tensors
from trainables.machine.processes import usable_cpus
from trainables.methods.attach import snapshot
from trainables.store.local import LocalStore

SUITE = (
    "python -m pytest -k '_device or gpu' tests/study/planning/test_budget_table.py "
    "tests/trainables/machine/test_device.py"
)
"""The tests that are skipped without a GPU; none of them needs Ray."""


def data(setting: Setting) -> Iterator[Row]:
    """Models and data on the disk, which all other parts use."""
    for model in dict.fromkeys((setting.model, "small")):
        yield Row(name=f"images for {model}", value=prepare(setting, model))


def machine(setting: Setting) -> Iterator[Row]:
    """Versions, matrix products and copies."""
    yield Row(name="torch", value=torch.__version__, against=platform.platform())
    yield Row(name="cores", value=usable_cpus())
    yield Row(name="tests of the suite that need a GPU, and no Ray", value=SUITE)
    size = 128 if setting.tiny else 8192
    for name, dtype, context in (
        ("bf16", torch.bfloat16, nullcontext()),
        ("tf32", torch.float32, tf32()),
        ("fp32", torch.float32, nullcontext()),
    ):
        left, right = (torch.randn(size, size, device=setting.device, dtype=dtype) for _ in range(2))
        with context:
            taken = milliseconds(lambda left=left, right=right: left @ right, setting, rounds=10, warm=3)  # type: ignore[misc]
        yield Row(name=f"matrix product {name}", value=2 * size**3 / taken / 1e9, unit="TFLOP/s", against=f"{size}^3")
    if not setting.has_gpu:
        raise NeedsGpuError
    properties = torch.cuda.get_device_properties(0)
    yield Row(name="GPU", value=properties.name, against=f"{properties.total_memory / 1e9:.1f} GB")
    host = torch.zeros(setting.batch, 3, 224, 224, dtype=torch.uint8)
    for name, source in (("pageable", host), ("pinned", host.pin_memory())):
        taken = milliseconds(lambda source=source: source.to("cuda", non_blocking=True), setting, rounds=10)  # type: ignore[misc]
        yield Row(name=f"copy from {name} memory", value=host.nbytes / taken / 1e6, unit="GB/s", against=host.nbytes)


def around(setting: Setting) -> Iterator[Row]:
    """What is done around a task: a model is made, its weights are copied, stored and read; and GaLore's projectors."""
    own, store = setting.open(), LocalStore(setting.folder / "store")
    began = time.perf_counter()
    model = own.architecture()
    model.load_state_dict(own.base())
    model.to(setting.device)
    yield _seconds("architecture, weights, to the device", began)
    began = time.perf_counter()
    state = snapshot(model)
    yield _seconds("snapshot", began)
    began = time.perf_counter()
    store.put("updates", "a" * 64, tensors.parts(state))
    yield _seconds("put", began)
    began = time.perf_counter()
    payload = store.get("updates", "a" * 64)
    assert payload is not None
    read = tensors.read(payload)
    yield _seconds("get and read", began)
    same = read.keys() == state.keys() and all(torch.equal(read[name], state[name]) for name in state)
    yield Row(name="weights from the store are those that were put", value=same, holds=same)
    shape = (24, 96) if setting.tiny else (768, 3072)
    gradient = torch.randn(shape, device=setting.device)
    ways: dict[str, Callable[[], object]] = {
        "svd": lambda: torch.linalg.svd(gradient, full_matrices=False),
        "eigh of the Gram matrix": lambda: torch.linalg.eigh(gradient @ gradient.T),
    }
    for name, way in ways.items():
        yield Row(name=name, value=milliseconds(way, setting, rounds=3), unit="ms", against=shape)


def _seconds(name: str, began: float) -> Row:
    return Row(name=name, value=time.perf_counter() - began, unit="s")
