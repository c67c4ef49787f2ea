"""Settings of the noop workload."""

from typing import Literal

from pydantic import Field

from trainables.workloads.settings import WorkloadSettings


class Noop(WorkloadSettings):
    """A model of one number on data that cost nothing: it tries a cluster, a store and a schedule before a real one."""

    name: Literal["noop"] = "noop"
    datasets: int = Field(default=4, ge=2, le=1000, description="data sets of the suite, of which half are learnt")
