"""Whether the pocket benchmark behaves like CLIP: room to learn, a price for it, and a basin without a barrier.

It prints the zero-shot and the joint point and the slope between them, the loss at the start of the first of six tasks,
points of the straight line from the zero-shot weights to fine-tuned ones against its chord (WiSE-FT, arXiv 2109.01903),
and what fine-tuning on each adaptation set alone does to its score. About two minutes on one core for size s.

    python -m tests.benchmarks.connectivity [--size s] [--world FOLDER] [--lr 1e-3] [--set-steps 28]
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from trainables.config import Recipe
from trainables.merging.merge import lerp_
from trainables.methods.parts import Optimiser
from trainables.metrics import Score, summarise
from trainables.nodes import Base, Update
from trainables.runtime import Runtime, cache_folder
from trainables.streams.mixture import Mixture
from trainables.streams.tasks import Task
from trainables.train import Start, Trained, train
from trainables.workloads.catalogue import open_workload
from trainables.workloads.pocket.settings import Pocket
from trainables.workloads.workload import State, Workload

TASKS, STEPS, BATCH = 6, 14, 128
"""The cycle of the demo."""

MIXTURE = Mixture(pool=0.33, new=0.67, buffer=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("s", "m"), default="s")
    parser.add_argument("--world", default=None, help="folder of another draw of the world")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--set-steps", type=int, default=28, help="steps on each adaptation set alone; 0: none")
    parser.add_argument("--cache", type=Path, default=cache_folder())
    options = parser.parse_args()

    runtime = Runtime(threads=1, cache=options.cache)
    runtime.apply()
    workload = open_workload(Pocket(size=options.size, pool=12_000, world=options.world), runtime)
    concepts = workload.identity.concepts
    base = workload.base()
    zero_shot = scores(workload, base)
    show("zero-shot", zero_shot)

    joint = learn(workload, runtime, concepts, lr=options.lr, steps=TASKS * STEPS)
    show("joint", scores(workload, joint.state), zero_shot)

    order = np.random.default_rng(0).permutation(len(concepts))[: len(concepts) // TASKS]
    first = learn(workload, runtime, tuple(concepts[i] for i in sorted(order)), lr=options.lr, steps=STEPS)
    print(f"first task: loss {first.losses[0]:.2f} at its start, {first.losses[-1]:.2f} at its end")
    print_line(workload, base, joint.state)

    if options.set_steps:
        print(f"each set alone, {options.set_steps} steps at {options.lr:g}:")
    for name in dict.fromkeys(concept.split("/")[0] for concept in concepts) if options.set_steps else ():
        own = tuple(concept for concept in concepts if concept.startswith(f"{name}/"))
        after = scores(workload, learn(workload, runtime, own, lr=options.lr, steps=options.set_steps).state)
        before = {score.dataset: score.value for score in zero_shot}[name]
        value = {score.dataset: score.value for score in after}[name]
        print(f"  {name:12} {100 * before:5.1f} -> {100 * value:5.1f}  {100 * (value - before):+5.1f}", flush=True)


def learn(workload: Workload, runtime: Runtime, concepts: tuple[str, ...], *, lr: float, steps: int) -> Trained:
    """The base model after plain fine-tuning on some concepts."""
    recipe = Recipe(steps=steps, batch_size=BATCH, optimiser=Optimiser(lr=lr), mixture=MIXTURE)
    task = Task(index=1, new=concepts, earlier=())
    start = Base(model=workload.identity.base)
    update = Update(start=start, task=task, recipe=recipe, data=workload.identity.data, seed=0)
    return train(update, Start(state=workload.base(), carry={}), workload, runtime)


def scores(workload: Workload, state: State) -> tuple[Score, ...]:
    """Scores of weights on the whole suite."""
    model = workload.architecture()
    model.load_state_dict(state)
    return workload.evaluate(model)


def print_line(workload: Workload, start: State, end: State) -> None:
    """Points between two weights, and how far above the chord they are."""
    points: Mapping[float, tuple[float, float]] = {
        share: summarise(scores(workload, between(start, end, share)))[:2] for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    }
    (aka_0, azs_0), (aka_1, azs_1) = points[0.0], points[1.0]
    print("from zero-shot to joint weights: AKA, AZS (above the chord)")
    for share, (aka, azs) in points.items():
        over = (aka - aka_0 - share * (aka_1 - aka_0), azs - azs_0 - share * (azs_1 - azs_0))
        print(f"  {share:.2f}  {100 * aka:5.1f} {100 * azs:5.1f}  ({100 * over[0]:+.1f}, {100 * over[1]:+.1f})")


def between(start: State, end: State, share: float) -> State:
    """(1 - share) * start + share * end."""
    mixed = {name: tensor.clone() for name, tensor in start.items()}
    lerp_(mixed, end, w=1 - share)
    return mixed


def show(name: str, found: tuple[Score, ...], before: tuple[Score, ...] = ()) -> None:
    summary = summarise(found)
    print(f"{name}: AKA {100 * summary.aka:.1f}, AZS {100 * summary.azs:.1f}")
    old = {score.dataset: score.value for score in before}
    for group in ("adapt", "holdout", "extra"):
        cells = (
            f"{score.dataset} {100 * score.value:.0f}"
            + (f" ({100 * (score.value - old[score.dataset]):+.0f})" if before else "")
            for score in found
            if score.group == group
        )
        print(f"  {group}: {', '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
