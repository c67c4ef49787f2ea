"""What is trained on what: the Workload protocol and the workloads that a config can name."""

from typing import TYPE_CHECKING

from trainables.config import Pocket
from trainables.runtime import Runtime
from trainables.workloads.identity import Identity
from trainables.workloads.pocket.workload import identify_pocket, open_pocket

if TYPE_CHECKING:
    from trainables.workloads.workload import Workload


def identify(config: Pocket) -> Identity:
    """The workload's digests and concepts, without loading data or weights."""
    return identify_pocket(config)


def open_workload(config: Pocket, runtime: Runtime) -> "Workload":
    """The workload itself; data that is made or decoded is cached under `runtime.cache`."""
    return open_pocket(config, runtime.cache)
