"""GaLore against the paper's formulas in float64, and against AdamW where it has nothing to project."""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.methods.galore import GaloreAdamW, Projector, is_projected, state_numbers
from trainables.methods.parts import Galore, Optimiser

Side = Literal["std", "reverse_std", "left", "right", "full"]
Matrix = NDArray[np.float64]
SIDES: tuple[Side, ...] = ("std", "reverse_std", "left", "right", "full")
SHAPES = {"tall": (9, 6), "wide": (5, 8), "square": (6, 6)}
OPTIMISER = Optimiser(lr=1e-2, weight_decay=0.3, beta1=0.8, beta2=0.95, eps=1e-6)
LRS = (1e-2, 2e-2, 5e-3, 1e-2, 3e-2, 1e-3, 1e-2)


def galore(rank: int = 2, *, gap: int = 3, scale: float = 2.0, side: Side = "std") -> Galore:
    return Galore(name="galore", rank=rank, gap=gap, scale=scale, side=side)


def parameters(*shapes: tuple[int, ...], dtype: torch.dtype = torch.float32) -> list[nn.Parameter]:
    rng = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=rng, dtype=dtype)) for shape in shapes]


def gradients(step: int, weights: list[nn.Parameter]) -> list[Tensor]:
    """A gradient that depends on where the weight is, with some noise of the step."""
    rng = torch.Generator().manual_seed(100 + step)
    return [0.5 * w.detach() + torch.randn(w.shape, generator=rng, dtype=w.dtype) for w in weights]


def run(weights: list[nn.Parameter], projection: Galore | None, optimiser: Optimiser = OPTIMISER) -> list[Tensor]:
    """The weights after a step for each of `LRS`."""
    own = GaloreAdamW(weights, projection, optimiser)
    for step, lr in enumerate(LRS):
        own.zero_grad()
        own.set_lr(lr)
        for weight, gradient in zip(weights, gradients(step, weights), strict=True):
            weight.grad = gradient
        own.step()
    return [weight.detach().clone() for weight in weights]


def run_adamw(weights: list[nn.Parameter]) -> list[Tensor]:
    other = torch.optim.AdamW(
        weights,
        lr=OPTIMISER.lr,
        betas=(OPTIMISER.beta1, OPTIMISER.beta2),
        eps=OPTIMISER.eps,
        weight_decay=OPTIMISER.weight_decay,
        fused=True,
    )
    for step, lr in enumerate(LRS):
        other.param_groups[0]["lr"] = lr
        for weight, gradient in zip(weights, gradients(step, weights), strict=True):
            weight.grad = gradient
        other.step()
    return [weight.detach().clone() for weight in weights]


def run_paper(
    start: Matrix, projection: Galore, *, left: bool, right: bool, signs: Callable[[Matrix], Matrix]
) -> Matrix:
    """Algorithm 2 in float64 with Adam written out; `signs` fixes the signs of singular vectors, which are columns."""
    weight: Matrix = start.copy()
    rank = projection.rank
    first: Matrix = np.zeros(())
    second: Matrix = np.zeros(())
    for step, lr in enumerate(LRS):
        gradient = gradients(step, [nn.Parameter(torch.from_numpy(weight))])[0].numpy()
        if step % projection.gap == 0:
            u, _, vt = np.linalg.svd(gradient)
            p = signs(u[:, :rank]) if left else np.eye(len(u))
            q = signs(vt.T[:, :rank]) if right else np.eye(len(vt))
        low = p.T @ gradient @ q
        first = OPTIMISER.beta1 * first + (1 - OPTIMISER.beta1) * low
        second = OPTIMISER.beta2 * second + (1 - OPTIMISER.beta2) * low**2
        mean = first / (1 - OPTIMISER.beta1 ** (step + 1))
        square = second / (1 - OPTIMISER.beta2 ** (step + 1))
        move = p @ (mean / (np.sqrt(square) + OPTIMISER.eps)) @ q.T
        weight = weight * (1 - lr * OPTIMISER.weight_decay) - lr * projection.scale * move
    return weight


def largest_entry_positive(vectors: Matrix) -> Matrix:
    return np.stack([v if max(v, key=abs) > 0 else -v for v in vectors.T], axis=1)


PROJECTED = {
    ("std", "tall"): (False, True),
    ("std", "square"): (False, True),
    ("std", "wide"): (True, False),
    ("reverse_std", "tall"): (True, False),
    ("reverse_std", "square"): (True, False),
    ("reverse_std", "wide"): (False, True),
    **{("left", shape): (True, False) for shape in SHAPES},
    **{("right", shape): (False, True) for shape in SHAPES},
    **{("full", shape): (True, True) for shape in SHAPES},
}
"""Whether rows and columns are projected, as galore-torch does."""


@pytest.mark.parametrize("gap", [1, 3, 50])
@pytest.mark.parametrize(("side", "shape"), PROJECTED)
def test_equals_the_paper_in_float64(side: Side, shape: str, gap: int) -> None:
    weights = parameters(SHAPES[shape], dtype=torch.float64)
    projection = galore(gap=gap, side=side)
    left, right = PROJECTED[side, shape]
    start = weights[0].detach().numpy().copy()
    expected = run_paper(start, projection, left=left, right=right, signs=largest_entry_positive)
    (got,) = run(weights, projection)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("side", SIDES)
def test_signs_of_singular_vectors_cancel_while_a_projector_lives(side: Side) -> None:
    weights = parameters(SHAPES["tall"], dtype=torch.float64)
    projection = galore(gap=50, side=side)
    left, right = PROJECTED[side, "tall"]
    rng = np.random.default_rng(0)

    def any_signs(vectors: Matrix) -> Matrix:
        flips: Matrix = rng.choice([-1.0, 1.0], vectors.shape[1])
        return vectors * flips

    expected = run_paper(weights[0].detach().numpy().copy(), projection, left=left, right=right, signs=any_signs)
    np.testing.assert_allclose(run(weights, projection)[0].numpy(), expected, rtol=1e-9, atol=1e-10)


def test_singular_vectors_are_orthonormal_leading_and_signed() -> None:
    (weight,) = parameters((7, 5), dtype=torch.float64)
    gradient = weight.detach()
    projector = Projector.of(gradient, galore(3, side="full"))
    values = torch.linalg.svdvals(gradient)
    assert projector.left_MR is not None
    assert projector.right_NR is not None
    for vectors in projector:
        assert vectors is not None
        torch.testing.assert_close(vectors.T @ vectors, torch.eye(3, dtype=torch.float64))
        assert bool((vectors.max(0).values == vectors.abs().max(0).values).all())
    low = projector.down(gradient)
    torch.testing.assert_close(low.abs(), torch.diag(values[:3]))
    torch.testing.assert_close(gradient - projector.up(low), _without_leading(gradient, 3))


def spectrum(rows: int, columns: int, values: list[float]) -> Tensor:
    """A matrix in fp32 with random singular vectors and these singular values; those beyond are 0."""
    rng = torch.Generator().manual_seed(1)
    u, v = (torch.linalg.qr(torch.randn(n, n, generator=rng, dtype=torch.float64)).Q for n in (rows, columns))
    diagonal = torch.diag(torch.tensor(values, dtype=torch.float64))
    matrix: Tensor = (u[:, : len(values)] @ diagonal @ v[:, : len(values)].T).float()
    return matrix


SPECTRA = {
    "slow": [1.0 / (1 + i) for i in range(24)],
    "steep": [10.0**-i for i in range(6)],
    "tiny": [1e-25 / (1 + i) for i in range(24)],
    "large": [1e25 / (1 + i) for i in range(24)],
}


@pytest.mark.parametrize("kind", SPECTRA)
@pytest.mark.parametrize("shape", [(24, 96), (96, 24), (24, 24)])
def test_subspace_is_that_of_a_singular_value_decomposition(kind: str, shape: tuple[int, int]) -> None:
    """A Gram matrix in fp32 would lose all but the first 4 of the steep ones, and all of the tiny and the large."""
    gradient = spectrum(*shape, SPECTRA[kind])
    projector = Projector.of(gradient, galore(6, side="full"))
    u, _, vt = torch.linalg.svd(gradient.double(), full_matrices=False)
    for vectors, expected in zip(projector, (u[:, :6], vt[:6].T), strict=True):
        assert vectors is not None
        assert vectors.dtype == torch.float32
        across = expected.T @ vectors.double()  # cosines of the angles between the vectors of both
        torch.testing.assert_close(across.abs(), torch.eye(6, dtype=torch.float64), atol=2e-6, rtol=0)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("shape", [(24, 96), (96, 24), (24, 24)])
@pytest.mark.parametrize("rank", [0, 1, 3])
def test_projector_of_a_gradient_of_smaller_rank_is_orthonormal_and_loses_nothing(
    rank: int, shape: tuple[int, int], side: Side
) -> None:
    gradient = spectrum(*shape, [1.0, 0.1, 0.01][:rank])
    projector = Projector.of(gradient, galore(6, side=side))
    for vectors in projector:
        if vectors is not None:
            torch.testing.assert_close(vectors.T @ vectors, torch.eye(6), atol=1e-6, rtol=0)
    torch.testing.assert_close(projector.up(projector.down(gradient)), gradient, atol=1e-6, rtol=0)


def _without_leading(matrix: Tensor, rank: int) -> Tensor:
    u, s, vt = torch.linalg.svd(matrix, full_matrices=False)
    rest: Tensor = u[:, rank:] @ torch.diag(s[rank:]) @ vt[rank:]
    return rest


@pytest.mark.parametrize("side", SIDES)
def test_full_rank_is_adamw_to_the_bit(side: Side) -> None:
    shapes: list[tuple[int, ...]] = [(9, 6), (5, 8), (6,), (3, 2, 4, 4), ()]
    expected = run_adamw(parameters(*shapes))
    for projection in (galore(8, side=side), None):
        got = run(parameters(*shapes), projection)
        assert all(torch.equal(one, other) for one, other in zip(got, expected, strict=True))


def test_all_but_large_matrices_train_by_adamw_beside_them() -> None:
    shapes: list[tuple[int, ...]] = [(9, 6), (6,), (3, 2, 4, 4), (), (2, 30)]
    got, expected = run(parameters(*shapes), galore(2)), run_adamw(parameters(*shapes))
    assert all(torch.equal(one, other) for one, other in zip(got[1:], expected[1:], strict=True))
    assert not torch.allclose(got[0], expected[0])


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("shape", SHAPES)
def test_moves_of_one_projector_have_its_rank(side: Side, shape: str) -> None:
    (weight,) = parameters(SHAPES[shape], dtype=torch.float64)
    start = weight.detach().clone()
    (end,) = run([weight], galore(2, gap=50, side=side), Optimiser(weight_decay=0.0))
    values = torch.linalg.svdvals(end - start)
    assert values[1] > 1e-6
    assert values[2] < 1e-12


def test_scale_multiplies_the_move() -> None:
    moves = []
    for scale in (1.0, 3.0):
        (weight,) = parameters((6, 4), dtype=torch.float64)
        start = weight.detach().clone()
        own = GaloreAdamW([weight], galore(scale=scale), Optimiser(lr=0.1, weight_decay=0.0))
        weight.grad = gradients(0, [weight])[0]
        own.step()
        moves.append(weight.detach() - start)
    torch.testing.assert_close(3 * moves[0], moves[1])


def test_zero_gradient_leaves_decay_alone() -> None:
    (weight,) = parameters((6, 4))
    start = weight.detach().clone()
    own = GaloreAdamW([weight], galore(), Optimiser(lr=0.5, weight_decay=0.5))
    weight.grad = torch.zeros_like(weight)
    own.step()
    torch.testing.assert_close(weight.detach(), 0.75 * start, rtol=1e-7, atol=0)


def test_parameter_without_gradient_is_skipped_and_its_steps_are_not_counted() -> None:
    """As in torch: not even decayed. Its projector and moments start at the first gradient that it gets."""
    idle, alone = parameters((6, 4))[0], parameters((6, 4))[0]
    start = idle.detach().clone()
    late, only = GaloreAdamW([idle], galore(gap=2), OPTIMISER), GaloreAdamW([alone], galore(gap=2), OPTIMISER)
    late.step()
    assert torch.equal(idle, start)
    for step in range(3):
        for own, weight in ((late, idle), (only, alone)):
            weight.grad = gradients(step, [weight])[0]
            own.step()
        idle.grad = None
        late.step()
    assert torch.equal(idle, alone)
    assert not torch.equal(idle, start)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_gradient_that_is_not_finite_shows_in_the_weight(bad: float) -> None:
    (weight,) = parameters((6, 4))
    own = GaloreAdamW([weight], galore(), OPTIMISER)
    weight.grad = torch.full_like(weight, bad)
    own.step()
    assert not bool(weight.isfinite().any())


def test_gradients_are_dropped() -> None:
    weights = parameters((9, 6), (4,))
    own = GaloreAdamW(weights, galore(), OPTIMISER)
    for weight, gradient in zip(weights, gradients(0, weights), strict=True):
        weight.grad = gradient
    own.zero_grad()
    assert all(weight.grad is None for weight in weights)


def test_same_bits_again_and_no_random_numbers() -> None:
    before = torch.get_rng_state()
    first = run(parameters((9, 6)), galore())[0]
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert torch.equal(run(parameters((9, 6)), galore())[0], first)


def test_gradients_are_not_changed() -> None:
    weights = parameters((9, 6), (4,))
    own = GaloreAdamW(weights, galore(), OPTIMISER)
    given = gradients(0, weights)
    for weight, gradient in zip(weights, given, strict=True):
        weight.grad = gradient.clone()
    own.step()
    for weight, gradient in zip(weights, given, strict=True):
        assert weight.grad is not None
        assert torch.equal(weight.grad, gradient)


@pytest.mark.parametrize(
    ("side", "shape", "numbers"),
    [
        ("std", (192, 64), 2 * 192 * 4 + 64 * 4),
        ("std", (64, 192), 2 * 192 * 4 + 64 * 4),
        ("reverse_std", (192, 64), 2 * 64 * 4 + 192 * 4),
        ("left", (192, 64), 2 * 64 * 4 + 192 * 4),
        ("right", (192, 64), 2 * 192 * 4 + 64 * 4),
        ("full", (192, 64), 2 * 4 * 4 + (192 + 64) * 4),
        ("std", (192, 4), 2 * 192 * 4),
        ("std", (192,), 2 * 192),
        ("std", (8, 3, 4, 4), 2 * 8 * 3 * 16),
        ("std", (), 2),
    ],
)
def test_numbers_that_are_kept(side: Side, shape: tuple[int, ...], numbers: int) -> None:
    """Table 1 of the paper: m r + 2 n r for a weight of m x n with m <= n."""
    projection = galore(4, side=side)
    assert state_numbers(shape, projection) == numbers
    assert is_projected(shape, projection) == (numbers < 2 * math.prod(shape))
