"""What is trained on what: the Workload protocol and the workloads that a config can name."""

from typing import TYPE_CHECKING

from trainables.config import Learnt, Noop, Pocket
from trainables.runtime import Runtime, cache_folder
from trainables.workloads.identity import Identity
from trainables.workloads.noop.world import identify_noop
from trainables.workloads.pocket.workload import identify_pocket, open_pocket

if TYPE_CHECKING:
    from trainables.workloads.workload import Workload


def identify(config: Learnt) -> Identity:
    """The workload's digests and concepts, without loading data or weights.

    What a model and a manifest make is found once and kept in the cache.

    Raises:
        ConfigError: the model or the data cannot be used.
    """
    if isinstance(config, Pocket):
        return identify_pocket(config)
    if isinstance(config, Noop):
        return identify_noop(config)
    from trainables.workloads.clip.opening import identify_clip

    return identify_clip(config, cache_folder())


def open_workload(config: Learnt, runtime: Runtime) -> "Workload":
    """The workload itself; data that is made or decoded is cached under `runtime.cache`."""
    if isinstance(config, Pocket):
        return open_pocket(config, runtime.cache)
    if isinstance(config, Noop):
        from trainables.workloads.noop.workload import open_noop

        return open_noop(config)
    from trainables.workloads.clip.opening import open_clip_workload

    return open_clip_workload(config, runtime)
