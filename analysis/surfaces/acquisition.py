"""Expected hypervolume improvement of two objectives in closed form (Emmerich et al. 2011; Yang et al. 2019).

The area that a point adds to a front is a sum over the strips between neighbouring front points. For a prediction with
independent normal errors the expectation of each strip is a product of one-dimensional ones:

    EHVI = sum_i [psi_x(x_i) - psi_x(x_(i+1))] * psi_y(y_i),   psi(a) = E max(value - a, 0)

with strips (x_i, x_(i+1)) in which the front has height y_i. Both objectives are maximised.
"""

import numpy as np
import numpy.typing as npt
from scipy import special

from analysis.arrays import FloatArray
from analysis.pareto import hull, nondominated

STEPS = 200


def expected_improvement(
    mean_N2: npt.ArrayLike, sd_N2: npt.ArrayLike, *, front_M2: npt.ArrayLike, reference: tuple[float, float]
) -> FloatArray:
    """Expected area (N,) that each prediction adds to what the front dominates above and right of the reference.

    Args:
        mean_N2: predicted points.
        sd_N2: standard deviations of the predictions; with 0 the improvement of the very point.
        front_M2: points, dominated ones and ones outside the reference allowed.
        reference: the corner that areas are measured from.
    """
    mean, sd = np.asarray(mean_N2, dtype=float), np.asarray(sd_N2, dtype=float)
    front = np.asarray(front_M2, dtype=float).reshape(-1, 2)
    front = np.unique(front[(front > np.asarray(reference)).all(axis=1)], axis=0)  # by rising x
    front = front[nondominated(front[:, 0], front[:, 1])]
    left_K = np.concatenate(([reference[0]], front[:, 0]))
    height_K = np.concatenate((front[:, 1], [reference[1]]))
    beyond_NK = _excess(mean[:, :1], sd[:, :1], left_K)
    width_NK = beyond_NK - np.concatenate((beyond_NK[:, 1:], np.zeros((len(mean), 1))), axis=1)
    return np.asarray(np.sum(width_NK * _excess(mean[:, 1:], sd[:, 1:], height_K), axis=1))


def routed(points_M2: npt.ArrayLike) -> FloatArray:
    """Points along the edges of the routing hull, whose staircase stands for it: what needs no new config."""
    points = np.asarray(points_M2, dtype=float)
    vertices = points[hull(points[:, 0], points[:, 1])]
    x = np.unique(np.concatenate((vertices[:, 0], np.linspace(vertices[0, 0], vertices[-1, 0], STEPS))))
    return np.stack((x, np.interp(x, vertices[:, 0], vertices[:, 1])), axis=1)


def _excess(mean_N1: FloatArray, sd_N1: FloatArray, level_K: FloatArray) -> FloatArray:
    """E max(value - level, 0) of normal values (N, K)."""
    above = mean_N1 - level_K
    safe = np.where(sd_N1 > 0, sd_N1, 1.0)  # a prediction without an error has no z, and its excess is plain
    z = above / safe
    density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    return np.asarray(np.where(sd_N1 > 0, safe * density + above * special.ndtr(z), np.maximum(above, 0.0)))
