"""The pocket benchmark made ready: its images drawn and kept in the cache."""

from collections.abc import Callable

from trainables.runtime import Runtime
from trainables.workloads.pocket.identity import identify_pocket
from trainables.workloads.pocket.settings import Pocket
from trainables.workloads.pocket.workload import open_pocket
from trainables.workloads.prepared import Prepared


def prepare_pocket(settings: Pocket, runtime: Runtime, tell: Callable[[str], None]) -> Prepared:
    """Draw the images of the benchmark; `tell` takes a line of progress."""
    tell("drawing the images of the embedded benchmark")
    identity = identify_pocket(settings, runtime.cache)
    pool = open_pocket(settings, identity, runtime).pool()
    return Prepared(summary=f"{len(pool)} images for replay, and those of {len(identity.tests)} data sets, are drawn")
