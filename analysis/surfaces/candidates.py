"""Configs that nobody tested, between those that somebody did.

Configs fall into groups of one method to which the same axes apply. Within a group a candidate keeps a combination of
choices that was tested (timeline, rule, schedule), and takes for each number a tested value or the middle of two on its
natural scale, rounded to two digits. Nothing lies outside of what was tested with the same choices.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from analysis.configs import PLAIN, AxisValue, Config, family_name, short, timeline_name
from analysis.roles import Roles
from analysis.surfaces.encoding import Axis

LIMIT = 500
DIGITS = 2
SHOWN = 3
KEPT = frozenset({"tasks", "pool_share", "new_share", "buffer_share"})
"""Axes without a middle: `tasks` is asked of all configs, and shares of a batch sum to 1 only together."""

Axes = Mapping[str, AxisValue]


def groups(configs: Sequence[Config]) -> Mapping[str, tuple[int, ...]]:
    """Rows of trained configs by method, and by which of the axes that vary in the study apply; each with a name."""
    trained = [row for row, config in enumerate(configs) if config.trained]
    names = configs[0].axes if configs else ()
    vary = [name for name in names if len({configs[row].axes[name] for row in trained} - {None}) > 1]
    found: dict[tuple[object, ...], list[int]] = {}
    for row in trained:
        axes = configs[row].axes
        parts = (axes.get(name) for name in ("method", "penalty", "projection", "peft_type"))
        found.setdefault((*parts, *(axes[name] is None for name in vary)), []).append(row)
    members = [[configs[row] for row in rows] for rows in found.values()]
    plain = [_name(group) for group in members]
    own = [[name for name in vary if group[0].axes[name] is not None] for group in members]
    shared = [set.intersection(*(set(o) for o, p in zip(own, plain, strict=True) if p == name)) for name in plain]
    more = [[name.replace("_", " ") for name in o if name not in s] for o, s in zip(own, shared, strict=True)]
    said = [f"{name} with {' and '.join(m)}" if m else name for name, m in zip(plain, more, strict=True)]
    return {name: tuple(rows) for name, rows in zip(said, found.values(), strict=True)}


def candidates(axes: Sequence[Axis], configs: Sequence[Config], *, seed: int) -> tuple[Axes, ...]:
    """Axis values of untested configs of a group; where there are too many, some drawn at random.

    Args:
        axes: those that vary in the group.
        configs: the group.
        seed: of the draw.
    """
    choices = [axis for axis in axes if axis.scale == "choice" or axis.name in KEPT]
    numeric = [axis for axis in axes if axis not in choices]
    strata: dict[tuple[AxisValue, ...], list[Config]] = {}
    for config in configs:
        strata.setdefault(tuple(config.axes[axis.name] for axis in choices), []).append(config)
    rng = np.random.default_rng(seed)
    share = max(1, LIMIT // len(strata))
    return tuple(found for members in strata.values() for found in _between(numeric, members, share=share, rng=rng))


def describe(axes: Axes, varying: Sequence[Axis], roles: Roles) -> str:
    """A candidate in words."""
    said = {"method", "timeline", "rank", "n", "peft_type", "penalty", "projection"}
    parts = [family_name(axes, roles)]
    if axes.get("timeline") not in (None, PLAIN):
        parts.append(timeline_name(str(axes["timeline"])))
    parts += [f"{axis.name.replace('_', ' ')} {short(axes[axis.name])}" for axis in varying if axis.name not in said]
    return ", ".join(parts)


def _name(configs: Sequence[Config]) -> str:
    """A group in words: its method and its timelines."""
    method = family_name({**configs[0].axes, "rank": None, "n": None}, configs[0].roles)
    timelines = sorted({timeline_name(config.timeline) for config in configs if config.timeline is not None})
    return ", ".join([method, *(timelines if len(timelines) <= SHOWN else [f"{len(timelines)} timelines"])])


def _between(
    numeric: Sequence[Axis], members: Sequence[Config], *, share: int, rng: np.random.Generator
) -> list[dict[str, AxisValue]]:
    """Untested combinations of the values of one stratum and of the middles between them."""
    steps = [_steps(axis, members) for axis in numeric]
    tested = {tuple(member.axes[axis.name] for axis in numeric) for member in members}
    sizes = [len(values) for values in steps]
    total = int(np.prod(sizes, dtype=np.int64)) if sizes else 0
    # Four times as many places as wanted are drawn, since repeated places and tested configs drop out.
    drawn = np.arange(total) if total <= 4 * share else np.unique(rng.integers(0, total, 4 * share))
    found = []
    for place in zip(*np.unravel_index(drawn, sizes), strict=True) if total else ():
        chosen = [values[i] for values, i in zip(steps, place, strict=True)]
        if tuple(one[axis.name] for axis, one in zip(numeric, chosen, strict=True)) not in tested:
            found.append({name: value for one in [members[0].axes, *chosen] for name, value in one.items()})
    if len(found) > share:
        found = [found[i] for i in sorted(rng.choice(len(found), share, replace=False).tolist())]
    return found


def _steps(axis: Axis, members: Sequence[Config]) -> list[dict[str, AxisValue]]:
    """The values of an axis and the middles between neighbours, each with those of the axes that go along."""
    tested = {member.axes[axis.name]: {name: member.axes[name] for name in axis.along} for member in members}
    levels = sorted(tested, key=lambda value: float(axis.natural([value])[0]))
    found = [{axis.name: level, **tested[level]} for level in levels]
    whole = all(float(str(level)).is_integer() for level in levels) and axis.natural([levels[-1]])[0] > 1
    for low, high in pairwise(levels):
        middle = _middle(axis, low, high, whole=whole)
        along = _along(axis, tested, middle)
        if middle not in (low, high) and along is not None:
            found.append({axis.name: middle, **along})
    return found


def _middle(axis: Axis, low: AxisValue, high: AxisValue, *, whole: bool) -> float | int:
    at = float(np.mean(axis.natural([low, high])))
    value = float(f"{np.exp(at) if axis.scale == 'log' else at:.{DIGITS}g}")
    return round(value) if whole else value


def _along(axis: Axis, tested: Mapping[AxisValue, Axes], value: float) -> dict[str, AxisValue] | None:
    """Values of the axes that go along with a new value: proportional to it as they are to the tested ones, or None."""
    found: dict[str, AxisValue] = {}
    for name in axis.along:
        ratios = set()
        for level, others in tested.items():
            other = others[name]
            if isinstance(other, str | bool | None) or isinstance(level, str | bool | None) or level == 0:
                return None
            ratios.add(round(other / level, 9))
        if len(ratios) > 1:
            return None
        found[name] = ratios.pop() * value
    return found
