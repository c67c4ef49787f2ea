"""Tested configs whose place is not decided, and what one more block of them is expected to show.

Two places are asked for: whether a config has a larger gain than the best one, and whether it lies above the routing
hull of all others. Another block moves a mean; where that raises the hull the config is used, and where it does not the
others are, so that the expected area can only grow (the knowledge gradient, Frazier et al. 2008).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import special

from analysis import pareto
from analysis.arrays import FloatArray
from analysis.frontier import Frontier
from analysis.plane.areas import box_of
from analysis.plane.points import Means, jackknife
from analysis.surfaces.acquisition import expected_improvement, routed

UNDECIDED = (0.2, 0.8)
ASKED = 200
"""The most configs that may be repeated, the ones with the largest gains."""


@dataclass(frozen=True, kw_only=True)
class Open:
    """An undecided config: its row of the results, its probability nearest to 1/2, and its expected gain in boxes."""

    row: int
    probability: float
    expected_gain: float
    reason: str


def undecided(frontier: Frontier, means_C2: FloatArray, noise: FloatArray) -> Iterator[Open]:
    """Configs to repeat, in the order of the results.

    Args:
        frontier: a study with a line and at least two blocks.
        means_C2: the best guess of where the configs are.
        noise: variances (2,) of a config's mean AKA and AZS.
    """
    blocks = frontier.points.blocks
    box = box_of(frontier.points.means())
    trained = _asked(frontier)
    moves = np.sqrt(noise / (blocks + 1))[np.newaxis]  # sd of the change of the mean: noise - noise * S / (S + 1)
    for row, (probability, reason) in _open(frontier, trained).items():
        others = routed([*(means_C2[other] for other in trained if other != row), frontier.zero_shot.point])
        now, then = (
            expected_improvement(means_C2[[row]], sd, front_M2=others, reference=box.reference)[0]
            for sd in (np.zeros((1, 2)), moves)
        )
        gain = max(0.0, float(then - now) / box.area)
        yield Open(row=row, probability=probability, expected_gain=gain, reason=reason)


def _asked(frontier: Frontier) -> list[int]:
    """Rows of the Pareto set and of the largest gains; of very many configs, all others lie far below every hull."""
    trained = [row for row, result in enumerate(frontier.results) if result.config.trained]
    return sorted({*trained[:ASKED], *(row for row in trained if frontier.results[row].on_front)})


def _open(frontier: Frontier, trained: list[int]) -> dict[int, tuple[float, str]]:
    """The undecided rows, each with its probability and the reason."""
    found: dict[int, tuple[float, str]] = {}
    on_hull = jackknife(frontier.points.rows(trained), _height).pseudo
    for row, pseudo_S in zip(trained, on_hull, strict=True):
        probability = _probability(pseudo_S)
        if _is_open(probability):
            found[row] = (
                probability,
                f"Whether it lies above the routing hull of the others is open: {probability:.2f}.",
            )
    assert frontier.samples.gain is not None
    gain_CS, best = frontier.samples.gain, frontier.headline
    rivals = {row: _probability(gain_CS[row] - gain_CS[best.number - 1]) for row in trained if row != best.number - 1}
    rivals = {row: probability for row, probability in rivals.items() if _is_open(probability)}
    for row, probability in rivals.items():
        found[row] = (probability, f"Whether it has a larger gain than no. {best.number} is open: {probability:.2f}.")
    if rivals:
        closest = min(rivals, key=lambda row: abs(rivals[row] - 0.5))
        reason = f"Whether no. {closest + 1} has a larger gain is open: {rivals[closest]:.2f}."
        found[best.number - 1] = (rivals[closest], reason)
    return dict(sorted(found.items()))


def _height(means: Means) -> FloatArray:
    """Heights (C,) in AZS of configs above the routing hull of all others and zero-shot; right of it, above zero."""
    x, y = np.append(means.x, means.zero_shot[0]), np.append(means.y, means.zero_shot[1])
    heights = []
    for c in range(len(means.x)):
        others = np.arange(len(x)) != c
        vertices = pareto.hull(x[others], y[others])
        heights.append(y[c] - np.interp(x[c], x[others][vertices], y[others][vertices], right=0.0))
    return np.array(heights)


def _probability(pseudo_S: FloatArray) -> float:
    """The probability, by Student's t, of a positive mean."""
    n = len(pseudo_S)
    mean, se = float(np.mean(pseudo_S)), float(np.std(pseudo_S, ddof=1)) / np.sqrt(n)
    return float(special.stdtr(n - 1, mean / se)) if se > 0 else float(np.heaviside(mean, 0.5))


def _is_open(probability: float) -> bool:
    return UNDECIDED[0] < probability < UNDECIDED[1]
