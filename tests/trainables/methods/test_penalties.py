"""EWC, SI and L2 init: the gradient against autograd and differences, importance against closed forms."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from trainables.methods.parts import Ewc, L2Init, Si
from trainables.methods.penalties import Penalised, build

Penalty = Ewc | Si | L2Init
Parameters = dict[str, nn.Parameter]
STRENGTH = 0.7
PENALTIES: tuple[Penalty, ...] = (
    Ewc(name="ewc", strength=STRENGTH),
    Si(name="si", strength=STRENGTH),
    L2Init(name="l2init", strength=STRENGTH),
)
NAMES = [penalty.name for penalty in PENALTIES]
PREFIX = {"ewc": "fisher/", "si": "omega/"}


def parameters(seed: int = 0, dtype: torch.dtype = torch.float64) -> Parameters:
    rng = torch.Generator().manual_seed(seed)
    shapes = {"weight": (3, 2), "bias": (3,), "scale": ()}
    return {n: nn.Parameter(torch.randn(shape, generator=rng, dtype=dtype)) for n, shape in shapes.items()}


def state(own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in own.items()}


def importance(prefix: str) -> dict[str, Tensor]:
    return {prefix + name: parameter.detach().square() for name, parameter in parameters(seed=9).items()}


def start(penalty: Penalty, own: Parameters) -> Penalised:
    """The penalty of a second task on `own`, with the base at seed 5."""
    carry = importance(PREFIX[penalty.name]) if penalty.name in PREFIX else {}
    return build(penalty, own, carry=carry, base=state(parameters(seed=5)))


def formula(penalty: Penalty, own: Mapping[str, Tensor], anchor: Mapping[str, Tensor]) -> Tensor:
    """The penalty as the papers write it."""
    total = torch.zeros((), dtype=torch.float64)
    for name, parameter in own.items():
        squares = (parameter - anchor[name]) ** 2
        match penalty:
            case Ewc():
                total = total + STRENGTH / 2 * (importance("fisher/")[f"fisher/{name}"] * squares).sum()
            case Si():
                total = total + STRENGTH * (importance("omega/")[f"omega/{name}"] * squares).sum()
            case L2Init():
                total = total + STRENGTH * squares.sum()
    return total


def moved(penalty: Penalty) -> tuple[Penalised, Parameters, dict[str, Tensor]]:
    """A penalty after the parameters have moved, the parameters and their anchor."""
    own = parameters()
    anchor = state(parameters(seed=5)) if isinstance(penalty, L2Init) else state(own)
    active = start(penalty, own)
    with torch.no_grad():
        for name, move in parameters(seed=3).items():
            own[name].add_(move)
    return active, own, anchor


@pytest.mark.parametrize("penalty", PENALTIES, ids=NAMES)
def test_gradient_is_that_of_the_formula(penalty: Penalty) -> None:
    active, own, anchor = moved(penalty)
    losses = torch.autograd.grad(formula(penalty, own, anchor), list(own.values()))
    for parameter in own.values():
        parameter.grad = torch.full_like(parameter, 0.25)
    active.pull.add_gradient()
    for parameter, expected in zip(own.values(), losses, strict=True):
        torch.testing.assert_close(parameter.grad, expected + 0.25)
    assert active.pull.value() == pytest.approx(formula(penalty, own, anchor).item(), rel=1e-12)


@pytest.mark.parametrize("penalty", PENALTIES, ids=NAMES)
def test_gradient_is_that_of_finite_differences(penalty: Penalty) -> None:
    active, own, _ = moved(penalty)
    active.pull.add_gradient()
    for parameter in own.values():
        assert parameter.grad is not None
        flat, gradient = parameter.detach().view(-1), parameter.grad.view(-1)
        for i in range(len(flat)):
            values = []
            for shift in (1e-4, -1e-4):
                flat[i] += shift
                values.append(active.pull.value())
                flat[i] -= shift
            assert gradient[i].item() == pytest.approx((values[0] - values[1]) / 2e-4, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("penalty", PENALTIES[:2], ids=NAMES[:2])
def test_nothing_pulls_in_the_first_task(penalty: Penalty) -> None:
    own = parameters()
    pull, _ = build(penalty, own, carry={"adapter/weight": torch.zeros(3)}, base={})
    with torch.no_grad():
        own["bias"].add_(1.0)
    pull.add_gradient()
    assert pull.value() == 0.0
    assert all(parameter.grad is None for parameter in own.values())


@pytest.mark.parametrize("penalty", PENALTIES[:2], ids=NAMES[:2])
def test_start_of_the_task_is_the_anchor(penalty: Penalty) -> None:
    own = parameters()
    pull, _ = start(penalty, own)
    pull.add_gradient()
    assert pull.value() == 0.0
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in own.values())


# -- training with and without ----------------------------------------------------------------------------------------


def quadratic(own: Parameters, step: int) -> Tensor:
    """A loss with another target at each step; what it does not depend on has no gradient."""
    rng = torch.Generator().manual_seed(step)
    weight, bias = own["weight"], own["bias"]
    target = torch.randn(weight.shape, generator=rng, dtype=weight.dtype)
    return (weight - target).square().sum() + (weight.sum(1) * bias).sum()


def train(own: Parameters, active: Penalised, *, steps: int = 10, passes: int = 0) -> dict[str, Tensor]:
    """Steps of AdamW, as the training loop takes them; the carry."""
    optimiser = torch.optim.AdamW(own.values(), lr=1e-2, weight_decay=0.2, fused=True)
    for step in range(steps):
        optimiser.zero_grad()
        quadratic(own, step).backward()
        active.memory.before_step()
        active.pull.add_gradient()
        torch.nn.utils.clip_grad_norm_(own.values(), 1.0)
        optimiser.step()
        active.memory.after_step()
    for extra in range(passes):
        optimiser.zero_grad()
        quadratic(own, steps + extra).backward()
        active.memory.after_extra_pass()
    return active.memory.carry()


@pytest.mark.parametrize("penalty", PENALTIES, ids=NAMES)
def test_strength_zero_is_no_penalty_to_the_bit(penalty: Penalty) -> None:
    weak = penalty.model_copy(update={"strength": 0.0})
    plain, own, strong = parameters(dtype=torch.float32), parameters(dtype=torch.float32), parameters()
    train(plain, build(None, plain, carry={}, base={}))
    train(own, start(weak, own), passes=2)
    train(strong, start(penalty, strong), passes=2)
    assert all(torch.equal(own[name], plain[name]) for name in own)
    assert not torch.allclose(strong["weight"].float(), plain["weight"])


def test_no_penalty_keeps_nothing() -> None:
    own = parameters()
    assert train(own, build(None, own, carry=importance("fisher/"), base={})) == {}


@pytest.mark.parametrize("penalty", PENALTIES, ids=NAMES)
def test_a_strong_penalty_holds_the_weights(penalty: Penalty) -> None:
    """A pull, not a push: it halves the distance, though EWC and SI hold unimportant weights loosely."""
    distances = []
    for strength in (0.0, 300.0):
        own = parameters(seed=5)
        anchor = state(own)
        train(own, start(penalty.model_copy(update={"strength": strength}), own), steps=100, passes=1)
        distances.append((own["weight"] - anchor["weight"]).norm().item())
    assert distances[1] < 0.5 * distances[0]


@pytest.mark.parametrize("penalty", PENALTIES, ids=NAMES)
def test_carry_is_named_on_the_cpu_and_feeds_the_next_task(penalty: Penalty) -> None:
    own = parameters(dtype=torch.float32)
    carry = train(own, build(penalty, own, carry={}, base={}), passes=2)
    prefix = PREFIX.get(penalty.name, "init/")
    assert set(carry) == {prefix + name for name in own}
    for name, parameter in own.items():
        tensor = carry[prefix + name]
        assert (tensor.shape, tensor.dtype, tensor.device.type) == (parameter.shape, torch.float32, "cpu")
        assert bool(tensor.isfinite().all())
    kept = state(carry)
    pull, memory = build(penalty, own, carry=carry, base={})
    with torch.no_grad():
        own["weight"].add_(0.1)
    assert pull.value() > 0
    train(own, Penalised(pull, memory), passes=1)
    assert all(torch.equal(carry[name], kept[name]) for name in kept)


# -- EWC ---------------------------------------------------------------------------------------------------------------


def test_fisher_matrix_of_a_linear_model() -> None:
    """Squared loss of a linear model: the gradient of a batch is 2 / B * (X^T (X w - y)), written out."""
    rng = torch.Generator().manual_seed(1)
    batches = [torch.randn(6, 4, generator=rng, dtype=torch.float64) for _ in range(5)]
    weight = nn.Parameter(torch.randn(3, generator=rng, dtype=torch.float64))
    _, memory = build(PENALTIES[0], {"weight": weight}, carry={}, base={})
    expected = torch.zeros(3, dtype=torch.float64)
    for batch in batches:
        x, y = batch[:, :3], batch[:, 3]
        weight.grad = None
        ((x @ weight - y) ** 2).mean().backward()
        memory.after_extra_pass()
        expected += (2 / 6 * x.T @ (x @ weight.detach() - y)) ** 2 / 5
    torch.testing.assert_close(memory.carry()["fisher/weight"], expected)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
def test_gamma_is_how_much_of_the_earlier_fisher_matrix_is_kept(gamma: float) -> None:
    first, again = parameters(), parameters()
    penalty = Ewc(name="ewc", strength=0.0, gamma=gamma)
    own = train(first, build(penalty, first, carry={}, base={}), passes=2)
    both = train(again, build(penalty, again, carry=importance("fisher/"), base={}), passes=2)
    for name, tensor in both.items():
        torch.testing.assert_close(tensor, gamma * importance("fisher/")[name] + own[name])


def test_parameter_that_the_loss_does_not_touch_has_no_fisher_information() -> None:
    own = parameters()
    assert train(own, build(PENALTIES[0], own, carry={}, base={}), passes=1)["fisher/scale"] == 0.0


# -- SI ----------------------------------------------------------------------------------------------------------------


def descend(
    own: nn.Parameter, active: Penalised, *, lr: float, steps: int, curvature: Tensor
) -> tuple[float, dict[str, Tensor]]:
    """Gradient descent on sum of curvature / 2 * w^2: how far the loss fell, and the carry."""

    def loss() -> Tensor:
        return (curvature / 2 * own.square()).sum()

    before = loss().item()
    for _ in range(steps):
        own.grad = None
        loss().backward()
        active.memory.before_step()
        active.pull.add_gradient()
        with torch.no_grad():
            assert own.grad is not None
            own.add_(own.grad, alpha=-lr)
        active.memory.after_step()
    return before - loss().item(), active.memory.carry()


def test_path_integral_sums_to_the_fall_of_the_loss() -> None:
    """With w_k = (1 - lr c)^k w_0, omega is lr c^2 times a geometric sum; at small steps it is the loss's fall."""
    lr, steps = 1e-4, 4000
    curvature = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    first = torch.tensor([1.0, -0.5, 2.0], dtype=torch.float64)
    own, xi = nn.Parameter(first.clone()), 1e-7
    active = build(Si(name="si", xi=xi), {"w": own}, carry={}, base={})
    fall, carry = descend(own, active, lr=lr, steps=steps, curvature=curvature)
    omega = carry["omega/w"] * ((own.detach() - first).square() + xi)
    ratio = (1 - lr * curvature) ** 2
    torch.testing.assert_close(omega, lr * (curvature * first) ** 2 * (1 - ratio**steps) / (1 - ratio))
    assert omega.sum().item() == pytest.approx(fall, rel=2e-4)


def test_penalty_of_moving_as_far_again_is_about_the_fall_of_the_loss() -> None:
    """At the default xi, with moves of 1e-3 as in fine-tuning: SI acts. At the xi of its paper it would not."""
    curvature = torch.tensor([1.0, 2.0, 0.5])
    penalties = {}
    for xi in (Si.model_fields["xi"].default, 1e-3):
        own = nn.Parameter(torch.tensor([1.0, -0.5, 2.0]))
        first = own.detach().clone()
        penalty = Si(name="si", strength=1.0, xi=xi)
        fall, carry = descend(
            own, build(penalty, {"w": own}, carry={}, base={}), lr=1e-4, steps=10, curvature=curvature
        )
        move = own.detach() - first
        assert 1e-4 < move.abs().max() < 2e-3
        pull, _ = build(penalty, {"w": own}, carry=carry, base={})
        with torch.no_grad():
            own.add_(move)
        penalties[xi] = pull.value() / fall
    assert 0.5 < penalties[1e-7] <= 1.01
    assert penalties[1e-3] < 2e-3


def test_importance_of_tasks_adds_up() -> None:
    first, again = parameters(), parameters()
    penalty = Si(name="si", strength=0.0)
    own = train(first, build(penalty, first, carry={}, base={}))
    both = train(again, build(penalty, again, carry=importance("omega/"), base={}))
    for name, tensor in both.items():
        torch.testing.assert_close(tensor, importance("omega/")[name] + own[name])


def test_move_against_the_gradient_gives_no_importance() -> None:
    """Clamped at 0, or the penalty would push away from the anchor."""
    own = nn.Parameter(torch.tensor([1.0, -0.5, 2.0]))
    active = build(Si(name="si"), {"w": own}, carry={}, base={})
    fall, carry = descend(own, active, lr=-1e-3, steps=5, curvature=torch.ones(3))
    assert fall < 0
    assert not carry["omega/w"].any()


def test_gradient_is_that_of_the_loss_alone() -> None:
    """The pull and the clipping change `.grad` between the two calls; the integral does not see it."""
    own = nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))
    _, memory = build(Si(name="si", xi=1.0), {"w": own}, carry={}, base={})
    own.grad = torch.tensor([3.0, 5.0], dtype=torch.float64)
    memory.before_step()
    own.grad.zero_()
    with torch.no_grad():
        own.sub_(torch.tensor([0.5, 0.25], dtype=torch.float64))
    memory.after_step()
    expected = torch.tensor([3 * 0.5 / (0.5**2 + 1), 5 * 0.25 / (0.25**2 + 1)], dtype=torch.float64)
    torch.testing.assert_close(memory.carry()["omega/w"], expected)


# -- L2 init -----------------------------------------------------------------------------------------------------------


def test_pull_to_the_pretrained_weights_and_to_an_adapters_first_values() -> None:
    """Over two tasks: an adapter's parameters, which the base lacks, stay anchored where they first were."""
    base = {"w": torch.tensor([1.0, 2.0])}
    own = {"w": nn.Parameter(torch.tensor([1.5, 2.5])), "lora": nn.Parameter(torch.tensor([3.0]))}
    penalty = L2Init(name="l2init", strength=0.1)
    pull, memory = build(penalty, own, carry={}, base=base)
    assert pull.value() == pytest.approx(0.1 * 2 * 0.25)
    with torch.no_grad():
        own["lora"].fill_(5.0)
    assert pull.value() == pytest.approx(0.1 * (2 * 0.25 + 4))
    carry = memory.carry()
    assert carry.keys() == {"init/lora"}
    assert carry["init/lora"] == 3.0
    later, memory = build(penalty, own, carry=carry, base=base)
    assert later.value() == pytest.approx(0.1 * (2 * 0.25 + 4))
    later.add_gradient()
    torch.testing.assert_close(own["w"].grad, torch.tensor([0.1, 0.1]))
    torch.testing.assert_close(own["lora"].grad, torch.tensor([0.4]))
    assert memory.carry()["init/lora"] == 3.0
    assert torch.equal(base["w"], torch.tensor([1.0, 2.0]))
