"""The path of a dial: where a method goes in the plane as one number (w, rank, lr) is turned and all else is kept.

AKA and AZS are each a smooth function of the dial, fitted apart and traced together. A curve of AZS over AKA would take
noisy AKA for exact and come out too flat; a path knows where each config is along it. A dial has a natural scale, in
which it acts evenly: weights as they are, ranks and learning rates by their logarithm. Theory may pin an end: merging
at w = 1 keeps the old weights, which are the zero-shot model's as long as nothing else was ever kept.

The curve is quadratic, which averages noise out, as long as the means scatter around it no more than their blocks do
among themselves (F test of lack of fit); where it cannot follow, it is the monotone interpolation of Fritsch & Carlson
(1980) through the means, which bends with the data and never overshoots them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from analysis.arrays import FloatArray
from analysis.configs import PLAIN, AxisValue, Config, context, family_name, short, timeline_name
from analysis.plane.points import Means, Points, jackknife

Fit = Literal["quadratic", "interpolated"]

WEIGHTS = frozenset({"w", "wise_ft"})
RATES = frozenset({"rank", "lr"})
WIDE = 10.0
"""The ratio of largest to smallest value from which on any other dial is taken by its logarithm."""
LACK = 0.01
"""The level of the F test; 5 % would refuse 13 % of the quadratics that fit, as AKA and AZS are both tested."""
EXACT = 1e-18
"""The sum of squared deviations up to which these are rounding."""

STEPS = 41


@dataclass(frozen=True, kw_only=True)
class Dial:
    """Configs that differ in one numeric axis alone, by its rising values; `rows` are their rows among all configs."""

    name: str
    axis: str
    rows: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def logarithmic(self) -> bool:
        """Whether the natural scale is the logarithm."""
        if self.values[0] <= 0 or self.axis in WEIGHTS:
            return False
        return self.axis in RATES or self.values[-1] >= WIDE * self.values[0]


@dataclass(frozen=True, kw_only=True)
class Path:
    """AKA `x` and AZS `y` along the values of a dial (N,), with jackknife standard errors (None with one block).

    It runs over the values tested, and on to the pin where there is one. `why` says why it has this kind of fit.
    """

    dial: Dial
    values: FloatArray
    x: FloatArray
    y: FloatArray
    x_se: FloatArray | None
    y_se: FloatArray | None
    fit: Fit
    why: str


def dials_of(configs: Sequence[Config]) -> tuple[Dial, ...]:
    """All groups of at least two trained configs that differ in one numeric axis alone, by axis and name.

    Alpha goes with the rank if their ratio, which scales an adapter, is the same.
    """
    found: list[Dial] = []
    for axis in sorted({name for config in configs for name in config.axes if config.number(name) is not None}):
        groups: dict[object, list[tuple[float, int]]] = {}
        for row, config in enumerate(configs):
            if config.trained and (value := config.number(axis)) is not None:
                groups.setdefault(_rest(config, axis), []).append((value, row))
        members = [sorted(group) for group in groups.values() if 1 < len(group) == len({value for value, _ in group})]
        firsts = [configs[group[0][1]] for group in members]
        for group, first in zip(members, firsts, strict=True):
            found.append(
                Dial(
                    name=_name(first, axis, firsts),
                    axis=axis,
                    rows=tuple(row for _, row in group),
                    values=tuple(value for value, _ in group),
                )
            )
    return tuple(sorted(found, key=lambda dial: (dial.axis, dial.name)))


def path_of(points: Points, dial: Dial, *, pin: float | None = None) -> Path:
    """The path of a dial through the means of its configs.

    Args:
        points: all configs, in the order that the dial's rows are of.
        dial: which of them, and their values.
        pin: the value at which the zero-shot model comes out, where theory says that there is one.
    """
    if pin is not None and pin <= 0 and dial.logarithmic:
        raise ValueError(f"the {dial.name} is taken by its logarithm, so it has no pin at {pin:g}")
    ends = [*dial.values] if pin is None else [*dial.values, pin]
    low, high = _scaled(dial, [min(ends), max(ends)])
    pinned = None if pin is None else float((_scaled(dial, pin) - low) / (high - low))
    # A config at the pin gives way to it.
    kept = [place for place, value in enumerate(dial.values) if value != pin]
    own = points.rows([dial.rows[place] for place in kept])
    tested = (_scaled(dial, [dial.values[place] for place in kept]) - low) / (high - low)
    places = np.unique(np.concatenate([np.linspace(0.0, 1.0, STEPS), tested]))
    fit, why = _choose_fit(own, tested, pinned)
    trace = _quadratic if fit == "quadratic" else _interpolated

    def statistic(means: Means) -> FloatArray:
        plane_C2 = np.stack([means.x, means.y], axis=1)
        return trace(tested, plane_C2, places, pinned, means.zero_shot)

    found = jackknife(own, statistic)
    se_N2 = None if own.blocks < 2 else found.pseudo.std(axis=-1, ddof=1) / np.sqrt(own.blocks)
    values = low + places * (high - low)
    return Path(
        dial=dial,
        values=np.exp(values) if dial.logarithmic else values,
        x=found.value[:, 0],
        y=found.value[:, 1],
        x_se=None if se_N2 is None else se_N2[:, 0],
        y_se=None if se_N2 is None else se_N2[:, 1],
        fit=fit,
        why=why,
    )


# -- curves: places (C,) in [0, 1], what was measured there (C, K), and the places (N,) to trace -> (N, K) -------------


def _quadratic(
    tested: FloatArray, values: FloatArray, places: FloatArray, pinned: float | None, zero_shot: FloatArray
) -> FloatArray:
    """The least-squares quadratic (a line through two configs without a pin)."""
    if pinned is None:
        powers = range(min(3, len(tested)))
        origin, base = 0.0, np.zeros(values.shape[1])
    else:
        powers = range(1, min(3, len(tested) + 1))
        origin, base = pinned, zero_shot
    design, target = (np.stack([(at - origin) ** power for power in powers], axis=1) for at in (tested, places))
    return np.asarray(base + target @ np.linalg.lstsq(design, values - base, rcond=None)[0], dtype=float)


def _interpolated(
    tested: FloatArray, values: FloatArray, places: FloatArray, pinned: float | None, zero_shot: FloatArray
) -> FloatArray:
    """The monotone interpolation."""
    from scipy.interpolate import PchipInterpolator  # takes a tenth of a second, and few dials need it

    if pinned is not None:
        tested, values = np.append(tested, pinned), np.concatenate([values, zero_shot[np.newaxis]])
    order = np.argsort(tested)
    return np.asarray(PchipInterpolator(tested[order], values[order])(places), dtype=float)


def _choose_fit(points: Points, tested: FloatArray, pinned: float | None) -> tuple[Fit, str]:
    """Quadratic unless the means of AKA or of AZS deviate from it by more than blocks do from their mean."""
    spare = len(tested) - (3 if pinned is None else 2)
    if spare <= 0:
        return "quadratic", "it passes through all configs"
    if points.blocks < 2:
        return "interpolated", "with one block nothing says what is noise"
    for name, values_CS, zero_shot_S in (
        ("AKA", points.x, points.zero_shot[:, 0]),
        ("AZS", points.y, points.zero_shot[:, 1]),
    ):
        rest_CS = values_CS - _quadratic(tested, values_CS, tested, pinned, zero_shot_S)
        lack = points.blocks * float(np.sum(rest_CS.mean(axis=1) ** 2))
        noise = float(np.sum((rest_CS - rest_CS.mean(axis=1, keepdims=True)) ** 2)) / (points.blocks - 1)
        if lack < EXACT:
            continue
        chance = special.fdtrc(spare, spare * (points.blocks - 1), lack / noise) if noise > 0 else 0.0
        if chance < LACK:
            return "interpolated", f"{name} bends in a way that a quadratic cannot follow (p = {chance:.2g})"
    return "quadratic", "configs deviate from it no more than their noise explains"


def _scaled(dial: Dial, values: npt.ArrayLike) -> FloatArray:
    return np.asarray(np.log(values) if dial.logarithmic else values, dtype=float)


# -- names -------------------------------------------------------------------------------------------------------------


def _rest(config: Config, axis: str) -> object:
    """All that must be equal in a group."""
    rank, alpha = config.number("rank"), config.number("alpha")
    if axis == "rank" and rank is not None and alpha is not None:
        return context(config, differ=("rank", "alpha")), alpha / rank
    return context(config, differ=(axis,))


def _name(config: Config, axis: str, others: Sequence[Config]) -> str:
    """The axis, and what tells this group from the other groups of the axis."""
    family = _family(config, axis)
    alike = [other for other in others if (_family(other, axis), other.timeline) == (family, config.timeline)]
    parts = [family]
    if config.timeline not in (None, PLAIN):
        weight = "" if axis == "w" or config.axes["w"] is None else f" w={short(config.axes['w'])}"
        parts.append(f"{timeline_name(str(config.timeline))}{weight}")
    said = {axis, "method", "rank", "timeline", "start", "serve", "w", "n", "peft_type", "penalty", "projection"}
    if axis == "rank":
        said.add("alpha")
    varying = [name for name in config.axes if name not in said and len({other.axes[name] for other in alike}) > 1]
    parts += [_setting(name, config.axes[name]) for name in varying if config.axes[name] is not None]
    return f"{axis.replace('_', ' ')} of {', '.join(parts)}"


def _family(config: Config, axis: str) -> str:
    return family_name({**config.axes, axis: None}, config.roles)


def _setting(name: str, value: AxisValue) -> str:
    words = name.replace("_", " ")
    if isinstance(value, bool):
        return words if value else f"no {words}"
    return f"{words} {short(value)}"
