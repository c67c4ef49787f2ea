"""The training step by itself: its time in several forms, and its memory beside what is estimated without a device."""

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from tests.benchmarks.steps import Step, noise, peak_bytes
from tests.device.rows import Row, milliseconds
from tests.device.setting import SMALL, VOCABULARY, Setting, filling, is_filled, tf32
from trainables.config import Precision
from trainables.counting.steps import recomputed_peak, step_cost
from trainables.memory.device_memory import is_out_of_memory
from trainables.methods.method import named
from trainables.workloads.clip.batch import ClipBatch
from trainables.workloads.clip.workload import ClipWorkload
from trainables.workloads.clip.zoo import without_data
from trainables.workloads.workload import to_device

TOLERANCE = 0.1
"""Of the estimated memory."""


class _Form(NamedTuple):
    """A form of the step."""

    name: str
    precision: Precision = "bf16"
    again: bool = False
    other_fill: bool = False
    tf32: bool = False


FORMS = (
    _Form("bf16"),
    _Form("bf16, the other way to fill new memory", other_fill=True),
    _Form("bf16, activations computed again", again=True),
    _Form("fp32, products in TF32", precision="fp32", tf32=True),
    _Form("fp32", precision="fp32"),
)

MEMORY: tuple[tuple[str, Precision, bool], ...] = (
    ("full", "bf16", False),
    ("full", "bf16", True),
    ("lora", "bf16", False),
    ("lora", "bf16", True),
    ("lnfit", "bf16", False),
    ("ewc", "bf16", False),
    ("locked_image", "bf16", False),
    ("si", "bf16", False),
    ("full", "fp32", False),
)
"""Method, precision, and whether activations are computed again."""


def step(setting: Setting) -> Iterator[Row]:
    """Full fine-tuning on one batch of noise with captions of full length, in several forms."""
    own = setting.open()
    batch = _batch(own, setting)
    flops = step_cost(named("full"), own, setting.batch).flops
    fills = is_filled()
    for form in FORMS:
        with ExitStack() as stack:
            stack.enter_context(filling(on=fills != form.other_fill))
            if form.tf32:
                stack.enter_context(tf32())
            one = Step(named("full"), own, batch, bf16=form.precision == "bf16", again=form.again)
            taken = milliseconds(one, setting, rounds=2 if setting.tiny else 8, warm=1 if setting.tiny else 3)
        against = {
            "images_per_s": 1000 * setting.batch / taken,
            "tflops": flops / taken / 1e9,
            "new_memory_is_filled": fills != form.other_fill,
        }
        yield Row(name=f"step, {form.name}", value=taken, unit="ms", against=against)


def memory(setting: Setting) -> Iterator[Row]:
    """The peak memory of a step beside its estimate."""
    own = setting.open()
    batch = _batch(own, setting)
    for method, precision, again in MEMORY[1::2] if setting.tiny else MEMORY:
        _release()
        build = partial(Step, named(method), own, batch, bf16=precision == "bf16", again=again, earlier=True)
        estimate = _estimate(own, setting, method, precision=precision, again=again)
        measured = _peak_or_none(build)
        yield _peak(f"peak, {_form(method, precision, again=again)}", measured, estimate, setting)


def large(setting: Setting) -> Iterator[Row]:
    """Models that fit barely, or only where activations are computed again; weights of noise."""
    if setting.tiny:
        yield from _large(SMALL, setting.open(), setting, again=True)
        return
    for model, ways in (("ViT-L-14", (True, False)), ("ViT-H-14", (True,))):
        own = without_data(model)
        for again in ways:
            yield from _large(model, own, setting, again=again)


def _large(model: str, own: ClipWorkload, setting: Setting, *, again: bool) -> Iterator[Row]:
    _release()
    name, batch, made = f"{model}, {_form('full', 'bf16', again=again)}", _batch(own, setting), list[Step]()

    def build() -> Step:
        made.append(Step(named("full"), own, batch, bf16=True, again=again, start=_filled(own)))
        return made[0]

    measured = _peak_or_none(build)
    yield _peak(f"peak of {name}", measured, _estimate(own, setting, "full", again=again), setting)
    if measured is not None:
        taken = milliseconds(made[0], setting, rounds=2)
        against = {"images_per_s": 1000 * setting.batch / taken}
        yield Row(name=f"step of {name}", value=taken, unit="ms", against=against)


def tile(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of noise in the place of matrices of zeros, quickly made; the same numbers come again and again."""
    numbers = 0.02 * torch.randn(2**20, generator=torch.Generator().manual_seed(0))

    def filled(tensor: Tensor) -> Tensor:
        times = -(-tensor.numel() // len(numbers))
        return numbers.repeat(times)[: tensor.numel()].view(tensor.shape)

    return {
        name: filled(tensor) if tensor.dim() > 1 and tensor.is_floating_point() and not tensor.any() else tensor
        for name, tensor in state.items()
    }


def _filled(own: ClipWorkload) -> dict[str, Tensor]:
    state = tile(dict(own.architecture().state_dict()))
    return {name: torch.ones_like(one) if _is_factor(name, one) else one for name, one in state.items()}


def _is_factor(name: str, tensor: Tensor) -> bool:
    """Whether a tensor holds the factors of a layer norm, or the temperature."""
    return name == "logit_scale" or (tensor.dim() == 1 and name.endswith("weight"))


def _form(method: str, precision: Precision, *, again: bool) -> str:
    return f"{method} {precision}" + (", activations computed again" if again else "")


def _estimate(own: ClipWorkload, setting: Setting, method: str, *, again: bool, precision: Precision = "bf16") -> int:
    if again:
        return recomputed_peak(named(method), own, setting.batch, precision=precision)
    return step_cost(named(method), own, setting.batch, precision=precision).peak_bytes


def _peak_or_none(build: Callable[[], Step]) -> int | None:
    """The peak bytes of a step; None where they are more than there are."""
    try:
        return peak_bytes(build)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    return None


def _peak(name: str, measured: int | None, estimate: int, setting: Setting) -> Row:
    """A peak beside its estimate. What runs out of memory holds if it was estimated to take more than there is."""
    against = {"estimated_GB": estimate / 1e9, "measured_over_estimated": measured and measured / estimate}
    if measured is None:
        total = torch.cuda.get_device_properties(0).total_memory
        return Row(name=name, value="out of memory", against=against, holds=estimate > (1 - TOLERANCE) * total)
    near = abs(measured / estimate - 1) <= TOLERANCE
    return Row(name=name, value=measured / 1e9, unit="GB", against=against, holds=near if setting.has_gpu else None)


def _batch(own: ClipWorkload, setting: Setting) -> ClipBatch:
    return to_device(noise(own.example(setting.batch), VOCABULARY), setting.device)


def _release() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
