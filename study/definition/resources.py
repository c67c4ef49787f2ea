"""What a trial holds while it runs: CPUs, GPUs, memory and resources of any other name, also by method.

Only scheduling may differ between methods. Device and threads are the study's: methods share updates, and numbers
depend on both (`trainables.runtime`).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from trainables.frozen import FieldError, Frozen, suggestion
from trainables.methods.method import METHODS
from trainables.runtime import Recompute, Runtime

Bundle = dict[str, float]
"""Resources by the names that Ray gives them; memory in bytes."""

_OWN = {"CPU": "cpus", "GPU": "gpus", "memory": "memory_gb"}
"""Ray's names of what has a key of its own."""


def _one_or_a_share(gpus: float) -> float:
    if gpus > 1:
        raise ValueError(
            "allowed: 1, or a share of one GPU; a trial computes on one, and others that it held would idle. "
            "More GPUs run more trials at once"
        )
    return gpus


Gpus = Annotated[float, Field(ge=0), AfterValidator(_one_or_a_share)]


def _as_word(given: object) -> object:
    """YAML's on and off, without quotes, are true and false."""
    return {True: "on", False: "off"}[given] if isinstance(given, bool) else given


class MethodResources(Frozen):
    """What the trials of one method hold; keys that are left out are as for all trials of the study."""

    cpus: float | None = Field(default=None, gt=0)
    gpus: Gpus | None = None
    memory_gb: float | None = Field(default=None, gt=0)
    custom: dict[str, Annotated[float, Field(ge=0)]] | None = None


class Resources(Frozen):
    """What one trial holds while it runs.

    Attributes:
        cpus: cores; their whole number is also the threads of every trial, whatever `by_method` says of cores.
        gpus: 1, or a share of one, also of its memory; by default 1 where there is a GPU, else 0.
        memory_gb: 1e9 bytes; by default Ray does not count memory.
        custom: amounts of resources that the nodes of a cluster were started with, by name.
        by_method: what differs for the trials of a method, by its name.
        device: "auto" computes on GPUs where trials hold some; "cpu" and "cuda" are as they say.
        recompute: whether the backward pass computes activations again, which saves memory for time and gives the same
            numbers; "auto" does so where a step would not fit on its GPU without.
        cache_gb: most 1e9 bytes of decoded images on a machine; by default half of its free disk.
        store_gb: most 1e9 bytes of updates in the store; what is not kept is freed to stay below. By default half of
            what the disk has free when a run begins; of object storage there is no bound.
    """

    cpus: float = Field(default=1, gt=0)
    gpus: Gpus | None = Field(default=None, description="default: 1 where there is a GPU, else 0")
    memory_gb: float | None = Field(default=None, gt=0)
    custom: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    by_method: dict[str, MethodResources] = Field(default_factory=dict)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    recompute: Annotated[Recompute, BeforeValidator(_as_word)] = "auto"
    cache_gb: float | None = Field(
        default=None, ge=0, description="most 1e9 bytes of decoded images on a machine; default: half of its free disk"
    )
    store_gb: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for method in self.by_method:
            if method not in METHODS:
                meant = suggestion(method, METHODS)
                raise FieldError("by_method", f"{method!r} is no method; {meant}allowed: {', '.join(METHODS)}")
        for custom in (self.custom, *(special.custom or {} for special in self.by_method.values())):
            for name in custom:
                if name in _OWN:
                    raise FieldError("custom", f"{name} has a key of its own; write {_OWN[name]} instead")
        return self

    @model_validator(mode="after")
    def _is_of_one_device(self) -> Self:
        said = {
            "gpus": self.gpus,
            **{f"by_method.{name}.gpus": special.gpus for name, special in self.by_method.items()},
        }
        none = [key for key, gpus in said.items() if gpus == 0]
        some = [key for key, gpus in said.items() if gpus]
        if self.device != "cpu" and none and (some or self.device == "cuda"):
            raise FieldError(
                none[0],
                f"0 given beside {some[0] if some else 'device: cuda'}; methods share updates, so all "
                "trials of a study compute on one device: give each some of a GPU, or none, or set device: cpu",
            )
        return self

    def is_on_gpu(self, *, gpus: float) -> bool:
        """Whether trials compute on a GPU, where there are `gpus` of them."""
        if self.device != "auto":
            return self.device == "cuda"
        said = [self.gpus, *(special.gpus for special in self.by_method.values())]
        return any(said) or (self.gpus is None and gpus > 0)

    def bundle(self, method: str, *, gpus: float) -> Bundle:
        """What a trial of a method asks of its node, where there are `gpus` GPUs.

        Returns:
            No resource of which it asks nothing.
        """
        special = self.by_method.get(method, MethodResources())
        own = 1.0 if self.gpus is None and self.is_on_gpu(gpus=gpus) else self.gpus or 0.0
        memory = self.memory_gb if special.memory_gb is None else special.memory_gb
        asked = {
            "CPU": self.cpus if special.cpus is None else special.cpus,
            "GPU": own if special.gpus is None else special.gpus,
            "memory": 1e9 * (memory or 0.0),
            **(self.custom if special.custom is None else special.custom),
        }
        return {name: float(amount) for name, amount in asked.items() if amount}

    def runtime(self, *, gpus: float) -> Runtime:
        """Device and threads of every trial, for every executor, so that a study is computed alike throughout."""
        return Runtime(
            device="cuda" if self.is_on_gpu(gpus=gpus) else "cpu",
            threads=max(1, int(self.cpus)),
            cache_gb=self.cache_gb,
            recompute=self.recompute,
        )

    def here(self) -> Runtime:
        """The runtime for this process's own work on a study, such as planning; without a GPU here it is on the CPU."""
        import torch

        gpus = torch.cuda.device_count()
        runtime = self.runtime(gpus=gpus)
        return runtime.on_share(self.gpus or 1.0) if gpus else replace(runtime, device="cpu")


def in_words(bundle: Bundle) -> str:
    """A bundle for people: 2 CPUs, 1 GPU, 16 GB of memory."""
    return ", ".join(
        _WORDS[name](amount) if name in _WORDS else f"{amount:g} {name}" for name, amount in bundle.items()
    )


_WORDS: dict[str, Callable[[float], str]] = {
    "CPU": lambda cpus: f"{cpus:g} CPU{'' if cpus == 1 else 's'}",
    "GPU": lambda gpus: f"{gpus:g} GPU{'' if gpus == 1 else 's'}",
    "memory": lambda size: f"{size / 1e9:.3g} GB of memory",
}
