"""Where a study stands, as values: counts, throughput, what was paid and wasted, and who is ahead.

All of it comes from the plan, one listing of the store, its scores and the log; nothing is asked of a running process.
"""

import json
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from study.results.gain import Best
from trainables.metrics import Summary

State = Literal["done", "running", "stopped", "failed", "waiting"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What has been paid.

    FLOPs and memory-adjusted FLOPs are of the updates that were trained, each once. Hours are of all attempts in the
    log, whatever came of them, `gpu_hours` times the GPUs that they held; `study.status.attempts` says what is wasted.
    """

    flops: float
    mafs: float
    worker_hours: float
    gpu_hours: float
    wasted_hours: float
    wasted_attempts: int


@dataclass(frozen=True, kw_only=True)
class MethodStatus:
    """The trials of one method; an update that methods share is paid by the one that comes first in the plan."""

    method: str
    trials: int
    done: int
    running: int
    stopped: int
    failed: int
    waiting: int
    tasks_done: int
    tasks: int
    spent: Spent
    best: Best | None


@dataclass(frozen=True, kw_only=True)
class NodeStatus:
    """One machine, in the last run. `last_seen` is seconds since 1970."""

    node: str
    devices: tuple[str, ...]
    running: int
    attempts: int
    failed: int
    tasks_done: int
    tasks_per_minute: float
    worker_hours: float
    gpu_hours: float
    wasted_hours: float
    last_seen: float


@dataclass(frozen=True, kw_only=True)
class TrialStatus:
    """One trial: how far it is, what it scored after its last finished task, and what was paid for it.

    `gain` is in points, over the line of its own block. Costs are of its updates up to that task, also of those that it
    shares. `node`, `device`, `seconds` and `error` are of its last attempt, `wasted_seconds` of all of them.
    """

    trial: str
    kind: str
    method: str
    config: str
    config_id: str
    block: str
    state: State
    task: int
    tasks: int
    aka: float | None
    azs: float | None
    gm: float | None
    gain: float | None
    cost_flops: float | None
    cost_mafs: float | None
    attempts: int
    seconds: float | None
    wasted_seconds: float
    node: str | None
    device: str | None
    error: str | None

    @property
    def end(self) -> Summary | None:
        """What it scored after its last finished task."""
        if self.aka is None or self.azs is None or self.gm is None:
            return None
        return Summary(self.aka, self.azs, self.gm)


@dataclass(frozen=True, kw_only=True)
class Status:
    """Counts of trials by state, throughput and time left of a live run, what was paid, and the best configs so far.

    `numerics` is the version that made the results. `best` is the first of `best_configs`. `errors` are those of the
    trials that failed. `device_names` are the kinds of devices that attempts ran on, with the number of attempts.
    """

    study: str
    numerics: int
    state: Literal["running", "finished", "not running"]
    live: bool
    trials: int
    done: int
    running: int
    stopped: int
    failed: int
    waiting: int
    tasks_done: int
    tasks: int
    updates_unique: int
    updates_trained: int
    updates_in_store: int
    tasks_per_minute: float | None
    elapsed_seconds: float | None
    seconds_left: float | None
    spent: Spent
    best: Best | None
    best_configs: tuple[Best, ...]
    methods: tuple[MethodStatus, ...]
    nodes: tuple[NodeStatus, ...]
    by_trial: tuple[TrialStatus, ...]
    errors: dict[str, str]
    device_names: dict[str, int]

    def as_json(self) -> str:
        """The status as a JSON object."""
        return json.dumps(asdict(self), indent=2)
