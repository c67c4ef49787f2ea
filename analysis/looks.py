"""How configs are drawn: colours, shapes and names, and the legend that explains them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from analysis.configs import GROUP_NAMES, OTHER, PLAIN, Config
from analysis.frontier import Frontier, MethodSummary, Result

COLOURS = 8
MARKERS = ("circle", "diamond", "square", "triangle", "down", "cross", "star")
SHARED = MARKERS[-1]
"""Shape of the timelines that are left when all others are taken."""
TIMELINE_ORDER = ("finetune", "ema", "zs", "ft", "offline")
GROUP_LOOKS: Mapping[str, tuple[int, str]] = {
    "full": (0, "star"),
    "selective": (2, "square"),
    "adapter": (1, "circle"),
    "projected": (3, "diamond"),
    "penalised": (4, "triangle"),
    "nothing trained": (7, "cross"),
    OTHER: (6, "down"),
}
"""Colour and shape of a group, where a study has more families than colours."""


class Entry(NamedTuple):
    """One entry of the legend; without a colour it explains a shape."""

    name: str
    colour: int | None
    shape: str


@dataclass(frozen=True, kw_only=True)
class Look:
    """Colours by family and shapes by family and timeline.

    With few families these tell families and timelines apart. With more than there are colours they show the group of
    the method, and the best config of every family is `named` in the drawings.
    """

    colours: Mapping[str, int]
    shapes: Mapping[tuple[str, str], str]
    legend: tuple[Entry, ...]
    named: bool

    def colour(self, config: Config) -> int:
        """Number of a config's colour."""
        return self.colours[config.family]

    def shape(self, config: Config) -> str:
        """Name of a config's marker."""
        return self.shapes[config.family, str(config.timeline)]

    def name(self, result: Result) -> str:
        """What stands at the end of a config's way: its family and the timeline that merges, or its number."""
        if not self.named:
            return str(result.number)
        config = result.config
        return config.family if config.timeline in (None, PLAIN) else f"{config.family}, {config.timeline_name}"


def shown_methods(frontier: Frontier) -> tuple[MethodSummary, ...]:
    """The methods that train (all, if none does): what trains nothing is the zero-shot point."""
    return tuple(method for method in frontier.methods if method.best.config.trained) or frontier.methods


def look_of(frontier: Frontier) -> Look:
    """Colours by family as long as they last, in the order of their best configs; else by group."""
    families = {method.family: method.group for method in frontier.methods}
    timelines = {str(method.timeline): method.timeline_name for method in frontier.methods}
    by_group = len(families) > COLOURS and len(set(families.values())) > 1
    shown = {method.group for method in shown_methods(frontier)}
    groups = [group for group in GROUP_LOOKS if group in shown]
    if by_group:
        colours = {family: GROUP_LOOKS[group][0] for family, group in families.items()}
        entries = [Entry(GROUP_NAMES[group], *GROUP_LOOKS[group]) for group in groups]
    else:
        colours = {family: min(i, COLOURS - 1) for i, family in enumerate(families)}
        entries = [Entry(family, colour, MARKERS[0]) for family, colour in colours.items()]
    keys = [(method.family, str(method.timeline)) for method in frontier.methods]
    if by_group and len(timelines) == 1:
        return Look(
            colours=colours,
            shapes={key: GROUP_LOOKS[families[key[0]]][1] for key in keys},
            legend=tuple(entries),
            named=True,
        )
    shapes = _timeline_shapes(set(timelines))
    of_timelines = [Entry(timelines[name], None, shape) for name, shape in shapes.items()]
    sharing = [entry for entry in of_timelines if entry.shape == SHARED]
    if len(sharing) > 1:
        of_timelines = [entry for entry in of_timelines if entry.shape != SHARED]
        of_timelines.append(Entry("other start and serve", None, SHARED))
    return Look(
        colours=colours,
        shapes={key: shapes[key[1]] for key in keys},
        legend=tuple(
            [*([e._replace(shape=MARKERS[0]) for e in entries]), *(of_timelines if len(timelines) > 1 else [])]
        ),
        named=by_group,
    )


def _timeline_shapes(timelines: Collection[str]) -> Mapping[str, str]:
    """Shapes in a fixed order for the known timelines, and the spare ones for others."""
    known = [name for name in TIMELINE_ORDER if name in timelines]
    ordered = [*known, *sorted(set(timelines) - set(known))]
    fixed = {name: MARKERS[i] for i, name in enumerate(TIMELINE_ORDER)}
    spare = [marker for marker in MARKERS if marker not in {fixed.get(name) for name in known}]
    others = {name: spare[i] if i < len(spare) else SHARED for i, name in enumerate(ordered[len(known) :])}
    return {name: fixed.get(name) or others[name] for name in ordered}
