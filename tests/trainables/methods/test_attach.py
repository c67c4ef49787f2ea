"""What every method must do: change nothing at first, move all that it trains, fold exactly, and learn."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.trainables import toys
from trainables.config import Full, Lora
from trainables.methods.attach import Attached, attach, snapshot
from trainables.workloads.clip.workload import ClipWorkload
from trainables.workloads.workload import Batch

METHODS: dict[str, Full | Lora] = {
    "full": Full(),
    "lora r=1": Lora(rank=1),
    "lora r=4": Lora(rank=4),
    "lora r=4, alpha=1": Lora(rank=4, alpha=1.0),
}
LORAS = [name for name, method in METHODS.items() if isinstance(method, Lora)]
WORKLOAD = toys.workload()


def attached(name: str, *, seed: int = 0, task: int = 1) -> Attached:
    return attach(METHODS[name], WORKLOAD, start(), seed=seed, task=task)


def start() -> dict[str, Tensor]:
    return WORKLOAD.base()


def batch(seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    return WORKLOAD.batch(rng.choice(80, 12, replace=False), rng)


def batches(count: int) -> list[Batch]:
    return [batch(seed) for seed in range(count)]


def train(what: Attached, batches: Sequence[Batch], lr: float = 3e-3) -> list[float]:
    optimiser = torch.optim.AdamW(what.trainable, lr=lr, weight_decay=0)
    losses = []
    for each in batches:
        loss = WORKLOAD.loss(what.model.train(), each)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def outputs(model: nn.Module) -> list[Tensor]:
    model.train()
    with torch.no_grad():
        return [model.encode_image(batch()[0]), model.encode_text(batch()[1])]  # type: ignore[operator]


@pytest.fixture(autouse=True)
def _random_state_is_untouched() -> Iterator[None]:
    before = torch.get_rng_state()
    yield
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", METHODS)
class TestEveryMethod:
    def test_step_zero_is_the_base_model(self, name: str) -> None:
        base = WORKLOAD.architecture()
        base.load_state_dict(start())
        for expected, got in zip(outputs(base), outputs(attached(name).model), strict=True):
            assert torch.equal(got, expected)
        folded = attached(name).fold()
        assert all(torch.equal(folded[key], tensor) for key, tensor in start().items())

    def test_two_steps_move_all_that_trains_and_nothing_else(self, name: str) -> None:
        """B of an adapter starts at zero, so that A has no gradient at the first step."""
        what = attached(name)
        trainable = {key for key, parameter in what.model.named_parameters() if parameter.requires_grad}
        assert len(trainable) == len(what.trainable) > 0
        before = snapshot(what.model)
        train(what, batches(2))
        after = snapshot(what.model)
        assert {key for key, tensor in after.items() if not torch.equal(tensor, before[key])} == trainable

    def test_folded_weights_are_the_adapted_function(self, name: str) -> None:
        what = attached(name)
        train(what, batches(3))
        expected = outputs(what.model)
        plain = WORKLOAD.architecture()
        plain.load_state_dict(what.fold())
        for one, other in zip(expected, outputs(plain), strict=True):
            # W x + B A x and (W + B A) x round differently: a few units in the last place of fp32 over two layers.
            torch.testing.assert_close(other, one, atol=1e-5, rtol=1e-5)

    def test_folded_state_has_the_layout_of_the_workload(self, name: str) -> None:
        what = attached(name)
        train(what, batches(2))
        folded = what.fold()
        assert {key: tensor.shape for key, tensor in folded.items()} == {k: t.shape for k, t in start().items()}
        assert not any(tensor.requires_grad for tensor in folded.values())

    def test_start_is_not_changed(self, name: str) -> None:
        mine = start()
        what = attach(METHODS[name], WORKLOAD, mine, seed=0, task=1)
        train(what, batches(2))
        what.fold()
        assert all(torch.equal(mine[key], tensor) for key, tensor in start().items())

    def test_loss_falls(self, name: str) -> None:
        """On one sample of each of the eight concepts, to a quarter of what guessing gives, log 8."""
        what = attached(name)
        eight = WORKLOAD.batch(np.arange(0, 80, 10), np.random.default_rng(0))
        losses = train(what, [eight] * 60, lr=1e-2)
        assert losses[0] > 2
        assert losses[-1] < 0.5

    def test_same_seed_and_task_same_bits(self, name: str) -> None:
        first, again = attached(name), attached(name)
        assert train(first, batches(3)) == train(again, batches(3))
        ours, theirs = first.fold(), again.fold()
        assert all(torch.equal(theirs[key], tensor) for key, tensor in ours.items())


@pytest.mark.parametrize("name", LORAS)
class TestLora:
    def test_only_factors_train(self, name: str) -> None:
        method = METHODS[name]
        assert isinstance(method, Lora)
        what = attached(name)
        with torch.random.fork_rng(devices=[]):
            split = WORKLOAD.split(WORKLOAD.architecture())
        widths = [split.get_parameter(f"{layer}.weight").shape for layer in WORKLOAD.adaptable(split)]
        expected = sum(method.rank * (rows + columns) for rows, columns in widths)
        assert sum(parameter.numel() for parameter in what.trainable) == expected

    def test_update_has_the_rank_and_touches_only_the_blocks(self, name: str) -> None:
        method = METHODS[name]
        assert isinstance(method, Lora)
        what = attached(name)
        train(what, batches(5))
        folded, base = what.fold(), start()
        moved = {key for key, tensor in folded.items() if not torch.equal(tensor, base[key])}
        assert all(".resblocks." in key and key.endswith(("weight", "in_proj_weight")) for key in moved)
        for key in moved:
            parts = 3 if key.endswith("in_proj_weight") else 1
            for delta in (folded[key] - base[key]).double().chunk(parts):
                values = torch.linalg.svdvals(delta)
                # What is beyond the rank is rounding: the fold adds to weights of size one in fp32.
                assert (values[method.rank :] < 1e-4 * values[0]).all()

    @pytest.mark.parametrize("change", [{"seed": 1}, {"task": 2}])
    def test_factors_depend_on_seed_and_task(self, name: str, change: dict[str, int]) -> None:
        first, other = attached(name).model.state_dict(), attached(name, **change).model.state_dict()
        drawn = [key for key in first if "lora_A" in key]
        assert drawn
        assert not any(torch.equal(first[key], other[key]) for key in drawn)


def test_scale_is_alpha_over_rank() -> None:
    """With equal factors, alpha = 1 at rank 4 folds a quarter of what alpha = rank folds."""
    deltas = []
    for name in ("lora r=4", "lora r=4, alpha=1"):
        what = attached(name)
        rng = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in what.trainable:
                parameter.copy_(torch.randn(parameter.shape, generator=rng) * 0.1)
        key = "visual.transformer.resblocks.0.mlp.c_fc.weight"
        deltas.append(what.fold()[key] - start()[key])
    torch.testing.assert_close(deltas[1], deltas[0] / 4, atol=1e-6, rtol=1e-4)


def test_full_trains_every_parameter() -> None:
    what = attached("full")
    assert len(what.trainable) == len(list(what.model.parameters()))
    assert any(parameter is what.model.logit_scale for parameter in what.trainable)


def test_toy_is_a_workload() -> None:
    assert isinstance(WORKLOAD, ClipWorkload)
