"""Images per second: of training beside open_clip's own loop, of evaluation, and of two processes on one GPU."""

import multiprocessing
import statistics
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import get_args

from tests.benchmarks.training import compare
from tests.device.rows import NeedsGpuError, Row
from tests.device.setting import Setting, task, trained
from trainables.runtime import Runtime
from trainables.workloads.catalogue import open_workload
from trainables.workloads.clip import architectures
from trainables.workloads.clip.workload import ClipWorkload
from trainables.workloads.pocket.settings import Pocket
from trainables.workloads.settings import Evaluation, EvaluationPrecision


def training(setting: Setting) -> Iterator[Row]:
    """The product's own training against open_clip's own loop, on the same batches, in turn; both in bf16."""
    own = setting.open()
    steps, rounds = (2, 1) if setting.tiny else (12, 3)
    update = task(own, "full", steps=steps, batch_size=setting.batch)
    make = architectures.Maker(architectures.find(setting.clip(setting.model).model.name))
    found = compare(update, own, make, rounds=rounds, runtime=setting.runtime)
    images = steps * setting.batch
    ours, theirs = (images / statistics.median(some) for some in (found.own_seconds, found.open_clip_seconds))
    yield Row(name="training, the product", value=ours, unit="images/s", against={"open_clip": theirs})
    yield Row(name="time of open_clip's loop over ours", value=found.ratio, against="at least 1")
    far = max(abs(a - b) / abs(b) for a, b in zip(found.own_losses, found.open_clip_losses, strict=True))
    yield Row(name="losses of both, largest relative difference", value=far, against=0.02, holds=far <= 0.02)


def evaluation(setting: Setting) -> Iterator[Row]:
    """Evaluation in fp32, TF32 and bf16: its time on images of noise, and the scores of the pocket model."""
    suites: list[tuple[str, ClipWorkload]] = [(setting.model, setting.open())]
    if not setting.tiny:
        pocket = open_workload(Pocket(pool=512), setting.runtime)
        assert isinstance(pocket, ClipWorkload)
        suites.append(("pocket", pocket))
    for name, own in suites:
        model = own.architecture()
        model.load_state_dict(own.base())
        model.to(setting.device)
        exact: dict[str, float] = {}
        own.evaluate(model, Evaluation(precision="bf16"))  # reads all images for the first time
        for precision in get_args(EvaluationPrecision):
            began = time.perf_counter()
            scores = own.evaluate(model, Evaluation(precision=precision))  # numbers: the device has to be done
            seconds = time.perf_counter() - began
            values = {score.dataset: score.value for score in scores}
            exact = exact or values
            moved = {
                dataset: values[dataset] - exact[dataset] for dataset in values if values[dataset] != exact[dataset]
            }
            images = sum(score.n for score in scores)
            against = {"images": images, "points_moved": {one: 100 * by for one, by in moved.items()}}
            yield Row(
                name=f"evaluation of {name}, {precision}", value=images / seconds, unit="images/s", against=against
            )


def shared(setting: Setting) -> Iterator[Row]:
    """Two processes at once, each with half of the GPU, against one."""
    context = multiprocessing.get_context("fork")  # before this process computes on the GPU
    both = context.Barrier(2)
    found = []
    children = []
    for _ in range(2):
        ours, theirs = context.Pipe(duplex=False)
        children.append((context.Process(target=_rate_to, args=(setting, both, theirs)), ours))
        children[-1][0].start()
        theirs.close()
    setting.runtime.apply()
    for child, connection in children:
        found.append(connection.recv())
        child.join()
    alone = _rate(setting, 1.0)
    together = sum(found)
    yield Row(name="two processes on one device", value=together, unit="images/s", against={"one": alone})
    yield Row(name="two processes over one", value=together / alone)
    if not setting.has_gpu:
        raise NeedsGpuError


def _rate_to(setting: Setting, both: "multiprocessing.synchronize.Barrier", connection: Connection) -> None:
    setting.runtime.apply()
    _rate(setting, 0.5, steps=1)  # both have a model and kernels when they are timed
    both.wait()
    connection.send(_rate(setting, 0.5))


def _rate(setting: Setting, share: float, *, steps: int | None = None) -> float:
    own = setting.open()
    steps = steps or (2 if setting.tiny else 20)
    update = task(own, "full", steps=steps, batch_size=setting.batch)
    runtime: Runtime = setting.runtime.on_share(share)
    return steps * setting.batch / trained(update, own, runtime).wall_seconds
