"""What fits on GPUs that are elsewhere, and how long it would take there, from FLOPs.

FLOPs are done at a stated share of the peak, since no training loop hides all of its memory traffic and its loader.
That is no measurement, and the plan says so.
"""

from dataclasses import dataclass
from typing import Literal

from study.definition.resources import Resources
from study.planning.calibration import Pace
from study.planning.gpus import Gpus
from study.planning.plan import PlannedTrial
from study.planning.prices import peaks, price
from trainables.config import Recipe
from trainables.frozen import ConfigError
from trainables.memory.device_memory import is_recomputed
from trainables.methods.method import named
from trainables.runtime import Runtime

UTILISATION = {"bf16": 0.33, "tf32": 0.33, "fp32": 0.7}
"""The share of the peak that is assumed, by precision."""

_FORWARD = 1 / 3
"""The share of a step's FLOPs in its forward pass, which scoring and recomputed activations take once more."""


Fits = Literal["as it is", "recomputed", "no"]
"""Whether a step fits: with its activations kept, with them computed again, or not at all."""


@dataclass(frozen=True)
class Fit:
    """How a step fits on a GPU: its peak in GB with activations kept and computed again."""

    peak_gb: float
    recomputed_gb: float
    fits: Fits


class GpuPaces:
    """How long updates and scores of a plan would take on GPUs, in place of a `Calibration` of this machine.

    Args:
        gpus: the GPUs.
        planned: a trial of the plan.
        resources: of the study.
        runtime: says where estimates are kept.
    """

    def __init__(self, gpus: Gpus, planned: PlannedTrial, resources: Resources, runtime: Runtime) -> None:
        self._gpu, self._resources, self._runtime = gpus.gpu, resources, runtime
        self._config, self._scored_in = planned.trial.config, planned.evaluation.precision
        self.too_large: dict[str, None] = {}

    def fit(self, recipe: Recipe) -> Fit:
        """How a step of a recipe fits; that it does not is a warning, too."""
        needed = peaks(recipe, self._config.workload, self._runtime)
        share = self._resources.bundle(recipe.method.name, gpus=1).get("GPU", 1.0)
        memory = int(share * self._gpu.memory_bytes)
        try:
            again = is_recomputed(recipe, needed, recompute=self._resources.recompute, device_bytes=memory)
        except ConfigError as error:
            self.too_large[str(error)] = None
            fits: Fits = "no"
        else:
            fits = "recomputed" if again else "as it is"
        return Fit(needed.plain / 1e9, needed.recomputed / 1e9, fits)

    def pace(self, recipe: Recipe) -> Pace | None:
        """The pace of a recipe's updates; None where a step does not fit, or nothing but the memory is known."""
        fits = self.fit(recipe).fits
        if fits == "no" or not self._gpu.flops:
            return None
        flops = price(recipe, self._config.workload, self._runtime).flops * (1 + _FORWARD * (fits == "recomputed"))
        return Pace(fixed_seconds=0.0, seconds_per_pass=flops / self._speed(recipe.precision))

    def seconds_per_sample(self) -> float | None:
        """Time of a forward pass on one sample, of which a step of full fine-tuning has as many as its batch."""
        if not self._gpu.flops:
            return None
        full = self._config.recipe.model_copy(update={"method": named("full"), "online_ema": None})
        flops = _FORWARD * price(full, self._config.workload, self._runtime).flops / full.batch_size
        return flops / self._speed(self._scored_in)

    def _speed(self, precision: str) -> float:
        return UTILISATION[precision] * self._gpu.flops[precision]
