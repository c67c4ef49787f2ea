"""Timelines: the table row by row, and the closed forms of the merging chains."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from tests.trainables import toys
from trainables.config import TIMELINES as CONFIGS
from trainables.config import Finetune, Merging, Recipe
from trainables.cycle import Step, lineage
from trainables.lineage import Base, Merge, Update, Weights
from trainables.merging import timeline
from trainables.merging.rules import lerp
from trainables.merging.timeline import TIMELINES, History
from trainables.streams.tasks import Task
from trainables.workloads.anatomy import Anatomy
from trainables.workloads.identity import Identity

TASKS = 20
IDENTITY = Identity(
    base="b",
    data="d",
    suite="s",
    concepts=tuple(f"c/{i}" for i in range(TASKS)),
    test_samples=1,
    anatomy=Anatomy(parameters=(), projections=()),
)

BASE = Base(model="b")
RECIPE = Recipe(steps=1)


def update(start: Weights, index: int) -> Update:
    return Update(start=start, task=Task(index=index, new=("x",), earlier=()), recipe=RECIPE, data="d", seed=0)


LAST = update(BASE, 1)
SERVED = Merge(rule="lerp", w=0.5, old=BASE, new=LAST)
NEXT = update(SERVED, 2)
HISTORY = History(base=BASE, last=LAST, served=SERVED)


def test_table_has_a_row_for_every_config() -> None:
    assert set(TIMELINES) == set(CONFIGS)


@pytest.mark.parametrize(
    ("name", "starts_from", "old"),
    [("ema", SERVED, SERVED), ("ft", SERVED, BASE), ("zs", BASE, SERVED)],
)
def test_merging_rows(name: str, starts_from: Weights, old: Weights) -> None:
    row = Merging.model_validate({"name": name, "w": 0.9})
    assert timeline.start(row, HISTORY) is starts_from
    served = timeline.serve(row, HISTORY, NEXT)
    assert isinstance(served, Merge)
    assert served.old is old
    assert served.new is NEXT
    assert (served.rule, served.w) == ("lerp", 0.9)


def test_finetune_starts_from_and_serves_the_last_update() -> None:
    assert timeline.start(Finetune(), HISTORY) is LAST
    assert timeline.serve(Finetune(), HISTORY, NEXT) is NEXT


@pytest.mark.parametrize("name", TIMELINES)
def test_all_chains_begin_at_the_base(name: str) -> None:
    config = Finetune() if name == "finetune" else Merging.model_validate({"name": name, "w": 0.9})
    assert timeline.start(config, History(base=BASE, last=BASE, served=BASE)) is BASE


def chain(name: str, w: float | None) -> tuple[Step, ...]:
    merging = {} if w is None else {"w": w}
    return tuple(lineage(toys.trial(timeline=name, tasks=TASKS, **merging), IDENTITY))


def evaluate(steps: Sequence[Step], base: Tensor, deltas: Tensor) -> list[Tensor]:
    """The served weights when training adds deltas[t - 1] to whatever task t starts from."""
    known: dict[str, Tensor] = {}

    def value(node: Weights) -> Tensor:
        if node.key not in known:
            match node:
                case Base():
                    known[node.key] = base
                case Update():
                    known[node.key] = value(node.start) + deltas[node.task.index - 1]
                case Merge():
                    known[node.key] = lerp({"x": value(node.old)}, {"x": value(node.new)}, w=node.w)["x"]
        return known[node.key]

    return [value(step.served) for step in steps]


def numbers() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    return torch.randn(4, generator=rng), torch.randn(TASKS, 4, generator=rng)


def coefficient(name: str, w: float, *, task: int, of: int) -> float:
    """Weight of the displacement of task `of` in what is served after `task`."""
    match name:
        case "ema":
            return 1 - w
        case "zs":
            return (1 - w) * w ** (task - of)
        case _:
            return float((1 - w) ** (task - of + 1))


@pytest.mark.parametrize("name", ["ema", "zs", "ft"])
@pytest.mark.parametrize("w", [0.0, 0.5, 0.9, 1.0])
def test_chain_is_its_closed_form(name: str, w: float) -> None:
    base, deltas = numbers()
    served = evaluate(chain(name, w), base, deltas)
    for task in range(TASKS + 1):
        weights = torch.tensor([coefficient(name, w, task=task, of=i) for i in range(1, task + 1)])
        expected = base + (weights[:, None] * deltas[:task]).sum(dim=0)
        torch.testing.assert_close(served[task], expected)


def test_finetune_adds_up() -> None:
    base, deltas = numbers()
    served = evaluate(chain("finetune", None), base, deltas)
    for task in range(TASKS + 1):
        torch.testing.assert_close(served[task], base + deltas[:task].sum(dim=0))


@pytest.mark.parametrize("name", ["ema", "zs", "ft"])
def test_all_weight_on_the_old_serves_the_base_for_ever(name: str) -> None:
    base, deltas = numbers()
    assert all(torch.equal(served, base) for served in evaluate(chain(name, 1.0), base, deltas))


@pytest.mark.parametrize("name", ["ema", "ft"])
def test_no_weight_on_the_old_is_fine_tuning_to_the_bit(name: str) -> None:
    base, deltas = numbers()
    merged, plain = evaluate(chain(name, 0.0), base, deltas), evaluate(chain("finetune", None), base, deltas)
    assert all(torch.equal(one, other) for one, other in zip(merged, plain, strict=True))
