"""How fast this machine trains and evaluates: a few steps of the training loop, measured once and kept in the cache."""

import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from trainables.config import Recipe
from trainables.counting.steps import step_cost
from trainables.files import whole
from trainables.frozen import digest
from trainables.machine.memory import memory_bytes
from trainables.nodes import Base, Update, cost_key
from trainables.runtime import Runtime, TrainingError
from trainables.schedules import Schedule
from trainables.streams.tasks import cut
from trainables.train import Start, recomputes, train
from trainables.workloads.workload import State, Workload, to_device

_SHORT, _LONG = 2, 6
"""Steps of the two updates that are timed."""

_ENOUGH = 15.0
"""Seconds after which the time of two steps is taken as it is: a large model is not made to train for minutes."""

_LONG_SECONDS = 5.0
"""After which each measurement is told."""

_NO_RATE = 1e-12
"""A learning rate at which nothing diverges; it changes no time."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Measured time of updates: a fixed part of each update, such as a first decomposition, and a part of each pass."""

    fixed_seconds: float
    seconds_per_pass: float

    def seconds(self, passes: int) -> float:
        """Time of an update of some forward and backward passes."""
        return self.fixed_seconds + passes * self.seconds_per_pass


class Calibration:
    """Measures how fast recipes train and models evaluate, on this machine with this device and thread count.

    `tell` takes a line before each measurement once they have taken a while; what is kept takes no time again. Steps
    that need more memory than there is are not tried, and have no pace; `too_large` says which, in sentences.
    """

    def __init__(self, workload: Workload, runtime: Runtime, tell: Callable[[str], None] = lambda _: None) -> None:
        self._workload, self._runtime, self._tell = workload, runtime, tell
        self._began = time.monotonic()
        self._base: State = {}
        self._paces: dict[str, Pace | None] = {}
        self.too_large: dict[str, None] = {}
        self._machine: list[object] = [
            platform.node(),
            platform.processor(),
            torch.__version__,
            runtime.device,
            runtime.threads,
        ]
        if runtime.device_bytes is not None or runtime.recompute == "on":
            self._machine += [runtime.recompute, runtime.device_bytes]

    def pace(self, recipe: Recipe) -> Pace | None:
        """The pace of a recipe's updates, shared by recipes of the same cost; None if a step does not fit in memory."""
        key = cost_key(recipe, self._workload.identity.base)
        if key not in self._paces:
            self._paces[key] = self._known_or_measured(key, recipe)
        return self._paces[key]

    def _known_or_measured(self, key: str, recipe: Recipe) -> Pace | None:
        path = self._path([key, self._workload.identity.data])
        try:
            return Pace(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            if not self._fits(recipe):
                return None
            self._tell_if_long(f"{recipe.method.name} on {recipe.batch_size} samples")
            found = self._measure(recipe)
        _write(path, json.dumps(asdict(found)))
        return found

    def _fits(self, recipe: Recipe) -> bool:
        if self._runtime.device_bytes is not None:
            try:
                recomputes(recipe, self._workload, self._runtime)
            except TrainingError as error:
                self.too_large[f"{error}. It is not timed, and cannot run here"] = None
                return False
            return True
        cost = step_cost(recipe.method, self._workload, recipe.batch_size, precision=recipe.precision)
        there = memory_bytes()
        if cost.peak_bytes <= there:
            return True
        self.too_large[
            f"batch_size: a step of {recipe.method.name} on {recipe.batch_size} samples takes about "
            f"{cost.peak_bytes / 1e9:.0f} GB of memory, and this machine has {there / 1e9:.0f} GB: it is not "
            "timed, and cannot run here"
        ] = None
        return False

    def seconds_per_sample(self) -> float:
        """Time of a forward pass on one sample."""
        path = self._path(["evaluation", self._workload.identity.base])
        try:
            return float(json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            self._tell_if_long("evaluation")
            found = self._measure_forward()
        _write(path, json.dumps(found))
        return found

    def _tell_if_long(self, what: str) -> None:
        elapsed = time.monotonic() - self._began
        if elapsed > _LONG_SECONDS:
            self._tell(f"{elapsed:.0f} s of timing real steps, kept for the next time; now {what} ...")

    def _measure(self, recipe: Recipe) -> Pace:
        if not self._base:
            self._base = self._workload.base()
            passes, seconds = self._seconds(recipe, _SHORT)  # the first steps of a process warm up
            if seconds > _ENOUGH:
                return Pace(fixed_seconds=0.0, seconds_per_pass=seconds / passes)
        short_passes, short = self._seconds(recipe, _SHORT)
        if short > _ENOUGH:
            return Pace(fixed_seconds=0.0, seconds_per_pass=short / short_passes)
        long_passes, long = self._seconds(recipe, _LONG)
        per_pass = (long - short) / (long_passes - short_passes)
        if per_pass <= 0:  # other work on the machine
            per_pass = long / long_passes
        return Pace(fixed_seconds=max(0.0, short - short_passes * per_pass), seconds_per_pass=per_pass)

    def _seconds(self, recipe: Recipe, steps: int) -> tuple[int, float]:
        """Passes and seconds of an update of some steps on the second half of the concepts."""
        identity = self._workload.identity
        optimiser = recipe.optimiser.model_copy(update={"lr": _NO_RATE})
        brief = recipe.model_copy(update={"steps": steps, "schedule": Schedule(), "optimiser": optimiser})
        update = Update(
            start=Base(model=identity.base),
            task=cut(identity.concepts, 2)[1],
            recipe=brief,
            data=identity.data,
            seed=0,
        )
        done = train(update, Start(state=self._base, carry={}), self._workload, self._runtime)
        return brief.passes, done.wall_seconds

    def _measure_forward(self) -> float:
        runtime, workload, batch_size = self._runtime, self._workload, 64
        model = workload.architecture().to(runtime.device).eval()
        batch = to_device(workload.example(batch_size), runtime.device)
        with torch.inference_mode():
            float(workload.loss(model, batch))  # warms up
            began = time.perf_counter()
            float(workload.loss(model, batch))  # a number: the device has to be done
            return (time.perf_counter() - began) / batch_size

    def _path(self, what: list[str]) -> Path:
        return self._runtime.cache / "calibration" / f"{digest([what, self._machine])[:24]}.json"


def _write(path: Path, text: str) -> None:
    with whole(path) as file:
        file.write_text(text)
