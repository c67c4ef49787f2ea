"""Activations that are computed again: the same bits for every family and method, in less memory."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from search_spaces.space import Scalar
from tests.trainables import toys
from tests.trainables.workloads.clip.families import FAMILIES
from tests.trainables.workloads.clip.families import workload as family_workload
from trainables.config import Precision
from trainables.counting.passes import estimated_peak
from trainables.counting.steps import recomputed_peak, step_cost
from trainables.lineages import Lineages
from trainables.memory.recompute import recompute
from trainables.methods.attach import adapt
from trainables.methods.method import Method, named
from trainables.runtime import Runtime
from trainables.train import Start, Trained, train
from trainables.workloads.catalogue import identify, open_workload
from trainables.workloads.clip.batch import ClipBatch
from trainables.workloads.clip.workload import ClipWorkload
from trainables.workloads.noop.settings import Noop
from trainables.workloads.pocket.settings import Pocket
from trainables.workloads.pocket.workload import open_pocket

WORKLOAD = toys.workload()
POCKET = open_pocket(Pocket(), identify(Pocket()), Runtime())

METHODS: dict[str, dict[str, Scalar]] = {
    "full": {},
    "lora": {"method": "lora", "rank": 2},
    "locked image": {"method": "locked_image"},
    "locked text": {"method": "locked_text"},
    "ewc": {"method": "ewc"},
    "si": {"method": "si", "strength": 10.0},
    "galore": {"method": "galore", "rank": 2},
    "average": {"online_ema": 0.5},
}


def trained(runtime: Runtime, **axes: Scalar) -> list[Trained]:
    """Two tasks, of which the second has what the first has left."""
    first, second = (step.update for step in list(Lineages(toys.IDENTITY).of(toys.trial(steps=2, **axes)))[1:3])
    assert first is not None
    assert second is not None
    start = Start(state=WORKLOAD.base(), carry={})
    one = train(first, start, WORKLOAD, runtime)
    other = Start(state=start.state if second.continues else one.state, carry=one.carry)
    return [one, train(second, other, WORKLOAD, runtime)]


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("name", "precision"),
    [*((name, "fp32") for name in METHODS), *((name, "bf16") for name in METHODS if name not in ("galore", "average"))],
)
def test_tasks_have_the_same_losses_weights_and_carry(name: str, precision: str) -> None:
    axes = {**METHODS[name], "precision": precision}
    plain, again = (trained(Runtime(recompute=how), **axes) for how in ("off", "on"))
    for one, other in zip(plain, again, strict=True):
        assert other.losses == one.losses
        assert equal(other.state, one.state)
        assert equal(other.carry, one.carry)


class Passes(NamedTuple):
    """The loss, the gradients and the peak bytes of a forward and a backward pass on real tensors."""

    loss: Tensor
    gradients: dict[str, Tensor]
    peak: int


def passes(own: ClipWorkload, method: Method, batch: ClipBatch, *, again: bool, precision: Precision) -> Passes:
    model = own.architecture()
    model.load_state_dict(own.base())
    model = adapt(method, own, model).train()
    if again:
        recompute(own.blocks(model))
    own_loss, losses = own.loss, list[Tensor]()

    def loss(model: nn.Module, batch: ClipBatch) -> Tensor:
        losses.append(own_loss(model, batch))
        return losses[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own, "loss", loss)
        peak = estimated_peak(model, batch, own, precision)
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return Passes(losses[0].detach(), gradients, peak)


def assert_same(one: Passes, other: Passes) -> None:
    assert torch.equal(one.loss, other.loss)
    assert one.gradients
    assert equal(one.gradients, other.gradients)


def coloured(samples: int) -> ClipBatch:
    """A batch of the pocket's shapes with noise as images; no data is drawn for it."""
    batch = POCKET.example(samples)
    noise = np.random.default_rng(0).integers(0, 256, batch.images_BCHW.shape, dtype=np.uint8)
    return batch._replace(images_BCHW=torch.from_numpy(noise))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("method", ["full", "lora", "locked_image"])
def test_the_pocket_has_the_same_gradients_in_the_memory_that_is_estimated(method: str, precision: Precision) -> None:
    """What both ways keep besides, such as moments, is the same, so the difference is that of the passes alone."""
    which, samples = named(method), 24
    plain, again = (passes(POCKET, which, coloured(samples), again=how, precision=precision) for how in (False, True))
    assert_same(plain, again)
    saved = step_cost(which, POCKET, samples, precision=precision).peak_bytes - recomputed_peak(
        which, POCKET, samples, precision=precision
    )
    assert plain.peak - again.peak == pytest.approx(saved, rel=0.02, abs=4096)
    assert again.peak < (0.97 if method == "locked_image" else 0.75) * plain.peak


QUICK = ("clip", "resnet", "timm vit", "convnext", "roberta", "mt5")
"""Families of each kind of tower; the others are tried by `make test-all`."""


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=() if name in QUICK else pytest.mark.thorough) for name in FAMILIES]
)
def test_towers_of_all_libraries_have_blocks_and_the_same_gradients(family: str, cache: Path) -> None:
    """ResNets, timm's towers and those of transformers too, some of which have no switch of their own for this."""
    own = family_workload(family, cache)
    split = own.split(own.architecture())
    inside = [{id(module) for module in block.modules()} for block in own.blocks(split)]
    assert sum(map(len, inside)) == len(set().union(*inside))  # none lies in another
    image = {id(module) for name, module in split.named_modules() if name.startswith("visual.")}
    assert {id(block) in image for block in own.blocks(split)} == {True, False}
    batch = own.batch(np.arange(2), np.random.default_rng(0))
    assert_same(*(passes(own, named("full"), batch, again=how, precision="fp32") for how in (False, True)))


def test_a_model_of_one_layer_has_no_blocks() -> None:
    own = open_workload(Noop(), Runtime())
    assert own.blocks(own.architecture()) == ()


def test_copies_in_the_middle_of_a_task_are_as_ever() -> None:
    """`evaluate_at` folds a copy of the model whose blocks are computed again."""
    seen: list[dict[str, Tensor]] = []
    update = list(Lineages(toys.IDENTITY).of(toys.trial(steps=2, method="lora", rank=2)))[1].update
    assert update is not None
    for how in ("off", "on"):
        start = Start(state=WORKLOAD.base(), carry={})
        train(update, start, WORKLOAD, Runtime(recompute=how), watch={1: lambda state: seen.append(dict(state))})
    assert equal(*seen)
