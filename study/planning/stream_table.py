"""What each task of a stream teaches: its data sets, their concepts, and the training images that these have."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from study.planning.plan import Plan
from trainables.streams.orderings import Stream, ordered
from trainables.streams.tasks import Task, cut
from trainables.workloads.workload import Workload


@dataclass(frozen=True, kw_only=True)
class Part:
    """The part of a data set that a task teaches: names of concepts, and the number of their training images."""

    dataset: str
    concepts: tuple[str, ...]
    images: int


@dataclass(frozen=True, kw_only=True)
class TaughtTask:
    """A task with its parts, data sets by name."""

    task: int
    datasets: tuple[Part, ...]


@dataclass(frozen=True, kw_only=True)
class TaughtStream:
    """A stream, the blocks that run it, and its tasks."""

    ordering: str
    embedding: str | None
    start_concept: str | None
    dataset: str | None
    order: int
    blocks: tuple[str, ...]
    tasks: tuple[TaughtTask, ...]


def streams(plan: Plan, workload: Workload) -> tuple[TaughtStream, ...]:
    """The streams of a plan, each once; blocks of one order, and configs that cut it alike, share a stream."""
    blocks: dict[tuple[Stream, int], dict[str, None]] = {}
    for planned in plan.trials:
        config = planned.trial.config
        if planned.trial.kind == "trial":
            stream = config.stream.model_copy(update={"steps_factors": None})
            blocks.setdefault((stream, config.order), {})[config.block] = None
    return tuple(_taught(*key, tuple(names), workload) for key, names in blocks.items())


def as_json(found: Sequence[TaughtStream]) -> str:
    """The streams as a JSON list, with the names of all concepts."""
    return json.dumps([asdict(one) for one in found], indent=2)


def table(found: Sequence[TaughtStream]) -> Iterator[str]:
    """The streams as lines of text: of each data set how many concepts, and in brackets how many training images."""
    for one in found:
        alone = None if one.dataset is None else f"{one.dataset} alone"
        path = "".join(f", {said}" for said in (one.embedding, one.start_concept, alone) if said is not None)
        yield f"ordering {one.ordering}{path}, order {one.order}, in {', '.join(one.blocks)}:"
        for task in one.tasks:
            concepts, images = sum(len(part.concepts) for part in task.datasets), sum(p.images for p in task.datasets)
            parts = ", ".join(f"{part.dataset} {len(part.concepts)} ({part.images})" for part in task.datasets)
            yield f"  task {task.task:<3} {concepts:4} concepts ({images} images): {parts}"


def _taught(stream: Stream, order: int, blocks: tuple[str, ...], workload: Workload) -> TaughtStream:
    identity = workload.identity
    concepts = ordered(stream, order, concepts=identity.concepts, facts=identity.facts)
    return TaughtStream(
        ordering=stream.ordering,
        embedding=stream.embedding,
        start_concept=stream.start_concept,
        dataset=stream.dataset,
        order=order,
        blocks=blocks,
        tasks=tuple(
            TaughtTask(task=task.index, datasets=tuple(_parts(task, workload))) for task in cut(concepts, stream.tasks)
        ),
    )


def _parts(task: Task, workload: Workload) -> Iterator[Part]:
    by_dataset: dict[str, list[str]] = {}
    for concept in sorted(task.new):
        by_dataset.setdefault(concept.partition("/")[0], []).append(concept)
    for dataset, concepts in by_dataset.items():
        names = tuple(concept.partition("/")[2] for concept in concepts)
        yield Part(dataset=dataset, concepts=names, images=len(workload.samples(concepts)))
