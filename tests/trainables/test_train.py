"""The training loop: a pure function of its update, with the batches, clipping and schedule that it promises."""

import math
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from search_spaces.space import Scalar
from tests.trainables import toys
from trainables.config import Precision
from trainables.frozen import ConfigError
from trainables.lineages import Lineages
from trainables.nodes import Update
from trainables.runtime import Runtime, TrainingError
from trainables.schedules import factor
from trainables.train import Batches, Start, Trained, train
from trainables.workloads.clip.batch import ClipBatch
from trainables.workloads.clip.workload import MAX_LOGIT_SCALE

WORKLOAD = toys.workload()


def captioned(batches: Batches, step: int) -> ClipBatch:
    batch = batches.batch(step)
    assert isinstance(batch, ClipBatch)
    return batch


def update(task: int = 1, /, **axes: Scalar) -> Update:
    steps = list(Lineages(toys.IDENTITY).of(toys.trial(**axes)))
    found = steps[task].update
    assert found is not None
    return found


def trained(what: Update) -> Trained:
    return train(what, Start(state=WORKLOAD.base(), carry={}), WORKLOAD, Runtime())


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("axes", [{}, {"method": "lora", "rank": 2}, {"precision": "bf16"}])
def test_same_update_same_bits(axes: dict[str, Scalar]) -> None:
    first = trained(update(**axes))
    torch.manual_seed(123)
    torch.rand(7)
    again = trained(update(**axes))
    assert first.losses == again.losses
    assert equal(first.state, again.state)
    assert len(first.losses) == 3


def test_every_precision_trains_on_the_same_crops() -> None:
    workload, seen, losses = toys.workload(crop=0.5), dict[str, list[Tensor]](), dict[str, tuple[float, ...]]()
    for precision in get_args(Precision):
        images = seen[precision] = []
        with _watched_images(images):
            result = train(update(precision=precision), Start(state=workload.base(), carry={}), workload, Runtime())
        losses[precision] = result.losses
    assert all(len(images) == 3 for images in seen.values())
    assert all(torch.equal(torch.stack(images), torch.stack(seen["fp32"])) for images in seen.values())
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)
    assert losses["bf16"] != losses["fp32"]


@contextmanager
def _watched_images(images: list[Tensor]) -> Iterator[None]:
    """Keep what image towers are given."""

    def watch(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, VisionTransformer):
            images.append(inputs[0])

    handle = register_module_forward_pre_hook(watch)
    yield
    handle.remove()


@pytest.mark.parametrize("axes", [{}, {"method": "lora", "rank": 2}])
def test_seed_changes_the_numbers(axes: dict[str, Scalar]) -> None:
    first, other = trained(update(**axes)), trained(update(seed=1, **axes))
    assert first.losses[0] != other.losses[0]
    assert not equal(first.state, other.state)


def test_random_state_of_the_process_is_untouched() -> None:
    before, numpy_before = torch.get_rng_state(), pickle.dumps(np.random.get_state())  # noqa: NPY002
    trained(update(method="lora", rank=2))
    assert torch.equal(torch.get_rng_state(), before)
    assert pickle.dumps(np.random.get_state()) == numpy_before  # noqa: NPY002


def test_start_is_not_changed() -> None:
    start = WORKLOAD.base()
    train(update(), Start(state=start, carry={}), WORKLOAD, Runtime())
    assert equal(start, WORKLOAD.base())


def test_result_is_finite_and_in_the_layout_of_the_workload() -> None:
    state = trained(update()).state
    base = WORKLOAD.base()
    assert {name: tensor.shape for name, tensor in state.items()} == {n: t.shape for n, t in base.items()}
    assert all(bool(tensor.isfinite().all()) for tensor in state.values())
    assert 0 <= state["logit_scale"].item() <= math.log(100)


def test_parameters_stay_in_the_allowed_set() -> None:
    start = WORKLOAD.base()
    start["logit_scale"].fill_(9.0)
    state = train(update(), Start(state=start, carry={}), WORKLOAD, Runtime()).state
    assert 4.5 < state["logit_scale"].item() <= MAX_LOGIT_SCALE


def test_loop_is_adamw_on_the_batches_of_the_task() -> None:
    """The same few lines without the parts: one optimiser, one clipping, the schedule, the batches of each step."""
    what = update(2, schedule="cosine", warmup=0.4, clip_norm=0.5, weight_decay=0.3, steps=5)
    model = WORKLOAD.architecture()
    model.load_state_dict(WORKLOAD.base())
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1.0, weight_decay=0.3)
    losses, batches = [], Batches(what, WORKLOAD)
    for step in range(5):
        optimiser.param_groups[0]["lr"] = 1e-2 * factor(what.recipe.schedule, step=step, steps=5)
        loss = WORKLOAD.loss(model, captioned(batches, step))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimiser.step()
        WORKLOAD.after_step(model)
        losses.append(loss.item())
    got = trained(what)
    # The fused kernel of AdamW rounds differently from the plain one; Adam's division lets early steps differ more.
    assert got.losses == pytest.approx(losses, rel=1e-3)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(got.state[name], tensor, atol=1e-3, rtol=0)


def test_learning_rate_that_is_too_high_is_named() -> None:
    with pytest.raises(TrainingError, match=r"the loss was (nan|inf) at step 1 of task 1 \(lr 1e\+30\); lower"):
        trained(update(lr=1e30))


def ids(what: Update, step: int) -> NDArray[np.int64]:
    return drawn(what, step)[0]


def drawn(what: Update, step: int) -> tuple[NDArray[np.int64], float]:
    """The ids of a batch and the first number for its captions, by a workload that hands them on."""
    seen: list[tuple[NDArray[np.int64], float]] = []

    class Spy:
        def samples(self, concepts: tuple[str, ...]) -> NDArray[np.int64]:
            return WORKLOAD.samples(concepts)

        def pool(self) -> NDArray[np.int64]:
            return WORKLOAD.pool()

        def batch(self, samples: NDArray[np.int64], rng: np.random.Generator) -> None:
            seen.append((samples, float(rng.random())))

    Batches(what, Spy()).batch(step)  # type: ignore[arg-type]
    return seen[0]


def test_batch_is_new_then_pool_then_buffer() -> None:
    what = update(2, batch_size=12)
    got = ids(what, 0)
    new, earlier = WORKLOAD.samples(what.task.new), WORKLOAD.samples(what.task.earlier)
    assert len(got) == 12
    assert set(got[:4]) <= set(new)
    assert set(got[4:8]) <= set(WORKLOAD.pool())
    assert set(got[8:]) <= set(earlier)


def test_first_task_has_no_buffer() -> None:
    what = update(1, batch_size=12)
    got = ids(what, 0)
    assert set(got[:6]) <= set(WORKLOAD.samples(what.task.new))
    assert set(got[6:]) <= set(WORKLOAD.pool())


def test_mixture_without_a_pool_draws_none() -> None:
    axes: dict[str, Scalar] = {"pool_share": 0.0, "new_share": 0.5, "buffer_share": 0.5}
    for task in (1, 2):
        assert not set(ids(update(task, **axes), 0)) & set(WORKLOAD.pool())


def test_choice_of_captions_depends_on_seed_task_and_step() -> None:
    numbers = [drawn(update(task, seed=seed), step)[1] for seed in (0, 1) for task in (1, 2) for step in (0, 1)]
    assert len(set(numbers)) == 8
    assert drawn(update(2, seed=1), 1)[1] == numbers[-1]


def test_captions_differ_from_step_to_step_and_repeat_for_the_step() -> None:
    batches = Batches(update(), WORKLOAD)
    first, again, other = (captioned(batches, step) for step in (0, 0, 1))
    assert torch.equal(first.tokens_UL, again.tokens_UL)
    assert torch.equal(first.caption_B, again.caption_B)
    assert torch.equal(first.images_BCHW, again.images_BCHW)
    assert not torch.equal(first.images_BCHW, other.images_BCHW)


def test_weights_that_blow_up_in_the_last_step_are_refused() -> None:
    """The loss of a step is taken before its update, so no loss shows this."""
    broken = update(lr=1e38, weight_decay=10.0, steps=1, warmup=0.0, schedule="constant")
    with pytest.raises(TrainingError, match="weights were not finite at the end of task 1"):
        trained(broken)


# -- temperature and buffers -------------------------------------------------------------------------------------------


def test_a_task_starts_from_the_given_temperature() -> None:
    """With a rate of next to nothing it also ends there; a frozen one stays exactly."""
    held = trained(update(temperature=0.5, lr=1e-12, weight_decay=0.0))
    assert float(held.state["logit_scale"]) == pytest.approx(math.log(2), abs=1e-6)
    frozen = trained(update(temperature=0.5, logit_scale=False))
    assert float(frozen.state["logit_scale"]) == pytest.approx(math.log(2), abs=1e-7)
    assert trained(update(temperature=0.5)).losses[0] != trained(update()).losses[0]


def test_adapters_keep_a_temperature_only_where_they_train_it() -> None:
    with pytest.raises(ConfigError, match="temperature: lora stores its adapter alone; add logit_scale: true"):
        toys.trial(method="lora", rank=2, temperature=0.5)
    toys.trial(method="lora", rank=2, temperature=0.5, logit_scale=True)


def test_a_buffer_of_limited_size_replays_what_it_holds() -> None:
    task = 3
    unlimited, limited = (update(task, **axes, tasks=4) for axes in ({}, {"buffer_size": 5}))
    ids = [set(map(int, Batches(one, WORKLOAD)._parts[-1][1])) for one in (unlimited, limited)]
    assert len(ids[1]) == 5
    assert ids[1] < ids[0]
    assert not equal(trained(unlimited).state, trained(limited).state)
