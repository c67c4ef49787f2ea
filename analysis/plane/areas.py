"""Area scores of methods: how much of what could be had, learning all and losing nothing, a set of configs reaches.

The box spans from the zero-shot point's AKA to the joint point's, and from a reference `y_ref` below both up to the
zero-shot point's AZS. An area is a share of the box. 1 is one config that learns as much as joint training and retains
as much as zero-shot. 0.5 is half of that: the Z-J line would have it if the box ended at the joint point's AZS; since
it ends half the anchors' distance lower, the line has 2/3 (a little more, as `y_ref` is rounded down), and its own area
is always given next to the others. The lower and the left side are cut; what lies beyond the other two counts, so that
an area may exceed 1. The box is a convention, not an estimate: intervals are of areas in the box that is stated.

The hypervolume is of the staircase of what was tested, and grows with the number of configs even where they all lie on
one curve. The hull may also route requests between configs and the zero-shot model, which is free: it hardly grows.
Both are also given at k configs, the number that the least tuned method has, on average over all choices of k.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis import pareto
from analysis.arrays import FloatArray
from analysis.plane.points import Means, Points, jackknife
from analysis.plane.subsets import expected_hull_area, expected_staircase_area
from analysis.uncertainty import Estimate, estimate

ROUNDING = 1e-9
NO_LINE = "there is no line from the zero-shot to the joint point, so nothing says how large the box is"


@dataclass(frozen=True, kw_only=True)
class Box:
    """The unit of areas: a box of the plane, in fractions; (`left`, `bottom`) is the reference point."""

    left: float
    right: float
    bottom: float
    top: float

    @property
    def reference(self) -> tuple[float, float]:
        """The reference point: zero-shot AKA and `y_ref`."""
        return self.left, self.bottom

    @property
    def area(self) -> float:
        """The area of the box, AKA times AZS."""
        return (self.right - self.left) * (self.top - self.bottom)

    def outside(self, means: Means) -> tuple[int, ...]:
        """Rows of configs that are not in the box."""
        across = (means.x < self.left - ROUNDING) | (means.x > self.right + ROUNDING)
        along = (means.y < self.bottom - ROUNDING) | (means.y > self.top + ROUNDING)
        return tuple(np.flatnonzero(across | along).tolist())


@dataclass(frozen=True, kw_only=True)
class MethodAreas:
    """Areas of the configs of one method as shares of the box; `excess` is the hull's above the Z-J line's.

    Rows in `outside` are not in the box: left of it or below it they add nothing, beyond it more than the box has.
    """

    name: str
    rows: tuple[int, ...]
    hypervolume: Estimate
    hull: Estimate
    excess: Estimate
    hypervolume_at_k: Estimate
    hull_at_k: Estimate
    outside: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Areas:
    """Areas of all methods, and of the Z-J line itself; `no_areas` is the reason why there are none."""

    box: Box | None
    k: int | None
    line: Estimate | None
    methods: tuple[MethodAreas, ...]
    no_areas: str | None


def areas_of(points: Points, groups: Mapping[str, Sequence[int]]) -> Areas:
    """Areas of named groups of rows, bias-corrected, with delete-one-block intervals in the box of all blocks."""
    if points.joint is None or not groups:
        reason = NO_LINE if points.joint is None else "there are no methods to compare"
        return Areas(box=None, k=None, line=None, methods=(), no_areas=reason)
    if empty := [name for name, rows in groups.items() if not len(rows)]:
        raise ValueError(f"methods without configs have no area: {empty}")
    means = points.means()
    box = box_of(means)
    k = min(len(rows) for rows in groups.values())
    line = jackknife(points, lambda left: line_area(left, box=box))
    outside = set(box.outside(means))
    methods = []
    for name, rows in groups.items():
        found = jackknife(points.rows(rows), lambda left: scores_of(left, box=box, k=k))
        hypervolume, hull, hypervolume_at_k, hull_at_k = (estimate(pseudo_S) for pseudo_S in found.pseudo)
        methods.append(
            MethodAreas(
                name=name,
                rows=tuple(rows),
                hypervolume=hypervolume,
                hull=hull,
                excess=estimate(found.pseudo[1] - line.pseudo),
                hypervolume_at_k=hypervolume_at_k,
                hull_at_k=hull_at_k,
                outside=tuple(row for row in rows if row in outside),
            )
        )
    return Areas(box=box, k=k, line=estimate(line.pseudo), methods=tuple(methods), no_areas=None)


def box_of(means: Means) -> Box:
    """The box of a study, which must have a line.

    `y_ref` lies half the distance of the anchors' AZS below the lower of them, rounded down to a whole accuracy point,
    and at least one point below zero-shot, so that a joint model that forgets nothing still leaves a box.
    """
    assert means.joint is not None
    (left, top), (right, joint_y) = means.zero_shot.tolist(), means.joint.tolist()
    wanted = min(top, joint_y) - 0.5 * abs(top - joint_y)
    # Rounded to a whole point so that the box can be stated in print; the summand keeps 57.0 from becoming 56.
    bottom = math.floor(100 * min(wanted, top - 0.01) + ROUNDING) / 100
    return Box(left=left, right=right, bottom=bottom, top=top)


def line_area(means: Means, *, box: Box) -> float:
    """Area below the Z-J line as a share of the box."""
    assert means.joint is not None
    (x, y), (joint_x, joint_y) = means.zero_shot, means.joint
    return pareto.hull_area([x, joint_x], [y, joint_y], reference=box.reference) / box.area


def hull_area(means: Means, *, box: Box) -> float:
    """Area below the hull of configs and the zero-shot point as a share of the box."""
    x, y = np.append(means.x, means.zero_shot[0]), np.append(means.y, means.zero_shot[1])
    return pareto.hull_area(x, y, reference=box.reference) / box.area


def scores_of(means: Means, *, box: Box, k: int) -> FloatArray:
    """Hypervolume and hull area of all configs, and both of k of them, as shares of the box (4,)."""
    zero_shot = (float(means.zero_shot[0]), float(means.zero_shot[1]))
    hypervolume = pareto.staircase_area(means.x, means.y, reference=box.reference) / box.area
    at_k = expected_staircase_area(means.x, means.y, k=k, reference=box.reference) / box.area
    hull_at_k = expected_hull_area(means.x, means.y, k=k, reference=box.reference, free=zero_shot) / box.area
    return np.array([hypervolume, hull_area(means, box=box), at_k, hull_at_k])
