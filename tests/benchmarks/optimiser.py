"""Time of a GaLore step and of each penalty, as shares of a forward and backward pass of the pocket model on the CPU.

Eight runs on one core of a busy machine at a batch of 128, in percent of forward and backward: AdamW 0.6-1.3, GaLore
of rank 8 1.2-2.4 (1.4-3.9 times AdamW, median 1.5), and 13 where it makes new projectors, once in 200 steps; EWC
0.4-0.9, SI 1.3-2.2, L2 init 0.3-0.6.

A singular value decomposition in fp32 takes 3 times as long as a projector for a gradient of 768 x 3072, 1.7 times for
3072 x 768, as long for 768 x 768. A Gram matrix in fp32 would take half the time of the one in fp64.

    python -m tests.benchmarks.optimiser [--batch-size 128] [--rounds 30] [--rank 8]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from tests.benchmarks.steps import remembered
from trainables.methods import penalties
from trainables.methods.galore import GaloreAdamW, Projector
from trainables.methods.parts import Ewc, Galore, L2Init, Optimiser, Si
from trainables.runtime import Runtime
from trainables.workloads.catalogue import open_workload
from trainables.workloads.pocket.settings import Pocket


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--rank", type=int, default=8)
    options = parser.parse_args()

    runtime = Runtime(threads=1)
    runtime.apply()
    workload = open_workload(Pocket(pool=512), runtime)
    model = workload.architecture()
    model.load_state_dict(workload.base())
    parameters = dict(model.train().named_parameters())
    batch = workload.example(options.batch_size)

    def backward() -> None:
        model.zero_grad()
        workload.loss(model, batch).backward()

    backward()
    optimiser = Optimiser(lr=1e-9)  # stands still, so that all rounds are alike
    projected = Galore(name="galore", rank=options.rank, gap=10**9)
    parts: dict[str, Callable[[], object]] = {
        "adamw": GaloreAdamW(parameters.values(), None, optimiser).step,
        "galore": GaloreAdamW(parameters.values(), projected, optimiser).step,
        "galore_new_projectors": GaloreAdamW(
            parameters.values(), projected.model_copy(update={"gap": 1}), optimiser
        ).step,
        **{penalty.name: _penalty(penalty, parameters) for penalty in PENALTIES},
    }
    seconds: dict[str, list[float]] = {name: [] for name in ("forward_and_backward", *parts)}
    for round_number in range(options.rounds + 1):
        for name in seconds:
            began = time.perf_counter()
            parts.get(name, backward)()
            if round_number:  # the first round warms up
                seconds[name].append(time.perf_counter() - began)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    result: dict[str, object] = {
        **{name: round(value / median["forward_and_backward"], 4) for name, value in median.items()},
        "galore_to_adamw": round(median["galore"] / median["adamw"], 2),
        "forward_and_backward_ms": round(1000 * median["forward_and_backward"], 1),
        "batch_size": options.batch_size,
        "rank": options.rank,
        "svd_to_projector": _svd_to_projector(projected),
    }
    print(json.dumps(result))


def _svd_to_projector(projected: Galore) -> dict[str, float]:
    """How many times as long as a projector a singular value decomposition takes, by shape of the gradient."""
    ratios = {}
    for shape in ((768, 3072), (3072, 768), (768, 768), (192, 64)):
        gradient = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        ways: tuple[Callable[[], object], ...] = (
            partial(torch.linalg.svd, gradient, full_matrices=False),
            partial(Projector.of, gradient, projected),
        )
        seconds: tuple[list[float], list[float]] = ([], [])
        for _ in range(5):
            for way, taken in zip(ways, seconds, strict=True):
                began = time.perf_counter()
                way()
                taken.append(time.perf_counter() - began)
        svd, projector = map(statistics.median, seconds)
        ratios["x".join(map(str, shape))] = round(svd / projector, 1)
    return ratios


PENALTIES = (Ewc(name="ewc"), Si(name="si"), L2Init(name="l2init"))


def _penalty(penalty: Ewc | Si | L2Init, parameters: dict[str, nn.Parameter]) -> Callable[[], None]:
    """What a penalty adds to a step, from the second task on."""
    pull, memory = penalties.build(penalty, parameters, carry=remembered(penalty, parameters), base={})

    def step() -> None:
        memory.before_step()
        pull.add_gradient()
        memory.after_step()

    return step


if __name__ == "__main__":
    main()
