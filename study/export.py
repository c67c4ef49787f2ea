"""Export: the served weights of a trial as a checkpoint of the model's own library."""

from pathlib import Path

from trainables.build import Builder
from trainables.config import TrialConfig
from trainables.cycle import lineage
from trainables.metrics import Summary, summarise
from trainables.runtime import Runtime
from trainables.store import Store
from trainables.workloads import open_workload


def export_weights(config: TrialConfig, task: int, *, store: Store, runtime: Runtime, out: Path) -> Summary:
    """Write the weights that `config` serves after `task` into `out`; what the store lacks of them is trained.

    Returns:
        The scores of these weights.
    """
    runtime.apply()
    builder = Builder(open_workload(config.workload, runtime), store, runtime)
    served = next(step.served for step in lineage(config, builder.workload.identity) if step.task == task)
    builder.workload.export(builder.weights(served), out)
    return summarise(builder.scores(served))
