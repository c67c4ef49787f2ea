"""Determinism: the same bits again, in this process and in another, and what has no deterministic kernel."""

import hashlib
import multiprocessing
import re
import time
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import open_clip
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.benchmarks.steps import Step, noise
from tests.device.rows import Row
from tests.device.setting import SMALL, Setting, filling, is_filled, task, trained
from trainables import tensors
from trainables.config import Precision
from trainables.frozen import ConfigError
from trainables.methods.method import METHODS, Method, named
from trainables.methods.peft_types import LAYER_ADAPTERS
from trainables.train import Batches, Trained
from trainables.workloads.catalogue import open_workload
from trainables.workloads.clip import architectures, attention
from trainables.workloads.clip.batch import ClipBatch
from trainables.workloads.clip.zoo import without_data
from trainables.workloads.pocket.settings import Pocket
from trainables.workloads.workload import to_device


class _Run(NamedTuple):
    """A training whose bits are compared."""

    method: str
    precision: Precision = "bf16"
    small: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.precision}" + (", small model" if self.small else "")


RUNS = (
    _Run("full"),
    _Run("lora"),
    _Run("dora"),
    _Run("vera"),
    _Run("si"),
    _Run("locked_image"),
    _Run("galore", small=True),  # singular vectors of a hundred large matrices would take minutes
    _Run("full", "fp32"),
)


def determinism(setting: Setting) -> Iterator[Row]:
    """The same training again, in this process, in another, with activations computed again, without filled memory."""
    context = multiprocessing.get_context("fork")  # before this process computes on the GPU
    ours, theirs = context.Pipe(duplex=False)
    other = context.Process(target=_digests_to, args=(setting, theirs))
    other.start()
    theirs.close()
    setting.runtime.apply()
    yield from _pixels(setting)
    first = {}
    for run in RUNS:
        first[run] = _digest(run, setting)
        yield _same(f"{run}, again in this process", first[run], _digest(run, setting))
    for run in (_Run("full"), _Run("lora"), _Run("full", "fp32")):
        again = _digest(run, setting, again=True)
        yield _same(f"{run}, activations computed again", first[run], again)
    with filling(on=not is_filled()):
        yield _same("full, the other way to fill new memory", first[_Run("full")], _digest(_Run("full"), setting))
    for run, digest in ours.recv().items():
        yield _same(f"{run}, in another process", first[run], digest)
    other.join()


def _digests_to(setting: Setting, connection: Connection) -> None:
    setting.runtime.apply()
    connection.send({run: _digest(run, setting) for run in RUNS})


def _digest(run: _Run, setting: Setting, *, again: bool = False) -> str:
    """SHA-256 of all that a training gives."""
    own = setting.open(SMALL if run.small else None)
    steps, batch_size = (2, 12) if setting.tiny else (6, 128)
    update = task(own, run.method, steps=steps, batch_size=batch_size, precision=run.precision)
    return _hash(trained(update, own, setting.runtime, again=again))


def _hash(result: Trained) -> str:
    found = hashlib.sha256(repr(result.losses).encode())
    for some in (result.state, result.carry):
        for part in tensors.parts(some):
            found.update(part)
    return found.hexdigest()


def _same(name: str, one: str, other: str) -> Row:
    return Row(name=f"same bits: {name}", value=one == other, holds=one == other)


class _Grids(TorchDispatchMode):
    """Notes the types of the grids by which images are sampled."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.dtypes: set[torch.dtype] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "grid_sampler" in str(func):
            self.dtypes.add(args[1].dtype)
        return func(*args, **(kwargs or {}))


def _pixels(setting: Setting) -> Iterator[Row]:
    """Crops of a batch within autocast, as training makes them, and outside of it."""
    own = setting.open()
    batch = Batches(task(own, "full", steps=1, batch_size=setting.batch), own).batch(0)
    assert isinstance(batch, ClipBatch)
    assert len(batch.crops_B4)
    batch = to_device(batch, setting.device)
    outside, grids = own.pixels(batch), _Grids()
    with torch.autocast(setting.device, dtype=torch.bfloat16), grids:
        within = own.pixels(batch)
    yield Row(name="type of the grids of crops", value=f"{grids.dtypes}", holds=grids.dtypes == {torch.float32})
    same = torch.equal(outside, within)
    yield Row(name="same bits: crops within autocast and outside", value=same, holds=same)


# -- what has no deterministic kernel ----------------------------------------------------------------------------------

_ARGUMENTS = {"C3A": {"block_size": 32}, "ROAD": {"group_size": 32}}
"""Arguments of peft that fit the pocket model, where its own do not."""

_SAID = "does not have a deterministic implementation"


def architectures_raise(setting: Setting, *, seconds: float = 40) -> Iterator[Row]:
    """A forward and a backward pass of each architecture of open_clip, the smaller ones first, in the time there is."""
    names = ["ViT-S-32", "coca_ViT-B-32"] if setting.tiny else sorted(open_clip.list_models(), key=_size)
    ends = time.monotonic() + seconds
    tried, later, refused = [], [], {}
    for name in names:
        if time.monotonic() > ends:
            later.append(name)
            continue
        try:
            passes = _passes(name, setting)
        except ConfigError as error:  # it does not train here at all
            refused[name] = f"{error}"[:120]
            continue
        tried.append(name)
        yield from _without_kernel(name, passes)
    yield Row(name="architectures tried", value=len(tried), against={"too late for": later, "refused": refused})


def _size(name: str) -> tuple[int, int, str]:
    config = open_clip.get_model_config(name)
    return config["embed_dim"], config["vision_cfg"].get("image_size", 224), name


def _passes(name: str, setting: Setting) -> Callable[[], None]:
    """A forward and a backward pass of an architecture, built on the device itself."""
    own = without_data(name)
    with torch.device("meta"):
        example = own.example(2 if setting.tiny else 8)
    with torch.device(setting.device):
        model = attention.own(architectures.build(architectures.find(name)))
    model.to(setting.device).train()
    words = int(getattr(model, "vocab_size", 0)) or 1000
    batch = to_device(noise(example, words), setting.device)

    def run() -> None:
        with torch.autocast(setting.device, dtype=torch.bfloat16):
            loss = own.loss(model, batch)
        loss.backward()

    return run


def methods_raise(setting: Setting) -> Iterator[Row]:
    """A step of each method and of each adapter of peft on the pocket model."""
    own = open_workload(Pocket(pool=512), setting.runtime)
    methods: dict[str, Method] = {name: named(name) for name in METHODS if name != "zeroshot"}
    methods |= {
        f"peft {kind}": named("peft", peft_type=kind, arguments=_ARGUMENTS.get(kind, {})) for kind in LAYER_ADAPTERS
    }
    if setting.tiny:
        methods = {name: methods[name] for name in ("full", "lora", "ia3", "peft MISS")}
    example = own.example(8)
    assert isinstance(example, ClipBatch)
    words = int(own.base()["token_embedding.weight"].shape[0])
    batch = to_device(noise(example, words), setting.device)
    for name, method in methods.items():
        yield from _without_kernel(name, lambda method=method: Step(method, own, batch, bf16=True)())  # type: ignore[misc]
    yield Row(name="methods tried", value=len(methods))


def _without_kernel(name: str, run: Callable[[], None]) -> Iterator[Row]:
    """A row with the operations that have no deterministic kernel, or with the error; none where all is well."""
    try:
        run()
        return
    except Exception as error:  # the next one is tried, whatever ails this one
        said = f"{type(error).__name__}: {error}".partition("\n")[0]
    if _SAID not in said:
        yield Row(name=f"{name} fails", value=said[:300])
        return
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run()
    finally:
        torch.use_deterministic_algorithms(mode=True)
    found = (re.search(rf"(\S+) {_SAID}", str(one.message)) for one in caught)
    yield Row(name=f"{name} raises", value=sorted({one[1] for one in found if one}), against=said[:120])
