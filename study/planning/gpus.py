"""Kinds of GPUs that a plan may be asked about where there is none: their memory, and what they compute.

Sizes and peaks are those of NVIDIA's data sheets, of dense products.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from study.definition.resources import Resources
from trainables.frozen import ConfigError, suggestion


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A kind of GPU; `flops` are FLOP/s by precision, none where nothing but the memory is known."""

    name: str
    memory_bytes: float
    flops: Mapping[str, float]


_HOPPER = {"bf16": 989e12, "tf32": 495e12, "fp32": 67e12}
GPUS = {
    "h200": Gpu(name="H200", memory_bytes=141e9, flops=_HOPPER),
    "h100-80": Gpu(name="H100", memory_bytes=80e9, flops=_HOPPER),
    "a100-40": Gpu(name="A100", memory_bytes=40e9, flops={"bf16": 312e12, "tf32": 156e12, "fp32": 19.5e12}),
    "l40s": Gpu(name="L40S", memory_bytes=48e9, flops={"bf16": 362e12, "tf32": 183e12, "fp32": 91.6e12}),
}


class Gpus(NamedTuple):
    """So many GPUs of a kind."""

    gpu: Gpu
    number: int

    def workers(self, resources: Resources) -> int:
        """How many trials run at once, where each takes what the study's resources say of a GPU."""
        return self.number * int(1 / min(1.0, resources.gpus or 1.0))


def asked_for(text: str) -> Gpus:
    """GPUs as users write them: h200, h100-80:8, or by their memory alone, 24:2.

    Raises:
        ConfigError: there is no such kind, or no such number of them.
    """
    kind, _, number = text.lower().partition(":")
    if not (number or "1").isdecimal() or int(number or "1") < 1:
        raise ConfigError(f"--gpu: {text!r} given; the number of GPUs is 1 or more, such as {next(iter(GPUS))}:8")
    found = int(number or "1")
    if kind in GPUS:
        return Gpus(GPUS[kind], found)
    try:
        size = float(kind)
    except ValueError:
        size = 0.0
    if not 0 < size < 1e6:
        meant = suggestion(kind, GPUS)
        raise ConfigError(
            f"--gpu: {text!r} given; {meant}allowed: {', '.join(GPUS)}, or the GB of its memory; with a number of them "
            "as in h200:8"
        )
    return Gpus(Gpu(name="GPU", memory_bytes=1e9 * size, flops={}), found)
