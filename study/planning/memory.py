"""The memory of GPUs against what the trials of a study take, before any of them starts.

A cluster's GPUs are known where `--gpu` names them; else each worker compares when its trial starts, before anything is
trained.
"""

from collections.abc import Iterable

from study.definition.resources import Resources
from study.planning.prices import peaks
from trainables.config import TrialConfig
from trainables.frozen import ConfigError
from trainables.runtime import Runtime


def require_memory(
    configs: Iterable[TrialConfig], resources: Resources, *, gpu_bytes: int | None, runtime: Runtime, source: str
) -> None:
    """Make sure that a step of each trial fits in its share of a GPU.

    Args:
        configs: of the trials that are to run.
        resources: of the study.
        gpu_bytes: memory of each GPU; None: there is none or none is known, and nothing is compared.
        runtime: says where estimates are kept.
        source: name of the definition, for messages.

    Raises:
        ConfigError: one does not fit, even where its activations are computed again.
    """
    if gpu_bytes is None or not resources.is_on_gpu(gpus=1):
        return
    from trainables.memory.device_memory import is_recomputed  # loads torch

    for config in {_shape(config): config for config in configs}.values():
        recipe = config.recipe
        share = resources.bundle(recipe.method.name, gpus=1).get("GPU", 1.0)
        needed = peaks(recipe, config.workload, runtime)
        try:
            is_recomputed(recipe, needed, recompute=resources.recompute, device_bytes=int(share * gpu_bytes))
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}") from error


def _shape(config: TrialConfig) -> tuple[object, ...]:
    """All that decides what memory a step takes."""
    recipe = config.recipe
    return recipe.method, recipe.batch_size, recipe.precision, recipe.averages
