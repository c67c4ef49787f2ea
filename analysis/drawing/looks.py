"""How configs are drawn: colours, shapes and names, and the legend that explains them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from analysis.configs import PLAIN, Config
from analysis.drawing.marks import Entry
from analysis.frontier import Frontier, Result, shown_methods
from analysis.roles import OTHER

COLOURS = 8
MARKERS = ("circle", "diamond", "square", "triangle", "down", "cross", "star")
SHARED = MARKERS[-1]
"""The shape of all timelines without a shape of their own."""
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
"""Colour and shape of a group, where a study has more approaches than colours; one not here looks like `OTHER`."""
GROUP_NAMES: Mapping[str, str] = {
    "full": "full fine-tuning",
    "selective": "some parameters",
    "adapter": "adapters",
    "projected": "projected gradients",
    "penalised": "penalties",
    "nothing trained": "nothing trained",
    OTHER: "other methods",
}


@dataclass(frozen=True, kw_only=True)
class Look:
    """Colours by approach and shapes by approach and timeline.

    With few approaches these tell approaches and timelines apart. With more than there are colours they show the group
    of the method, and the best config of every approach is `named` in the drawings.
    """

    colours: Mapping[str, int]
    shapes: Mapping[tuple[str, str], str]
    legend: tuple[Entry, ...]
    named: bool

    def colour(self, config: Config) -> int:
        """Number of a config's colour."""
        return self.colours[config.approach]

    def shape(self, config: Config) -> str:
        """Name of a config's marker."""
        return self.shapes[config.approach, str(config.timeline)]

    def key(self, config: Config) -> tuple[str, str]:
        """Keys of the entries of the legend that explain a config's mark."""
        return f"c{self.colour(config)}", self.shape(config)

    def name(self, result: Result) -> str:
        """What stands at the end of a config's way: its approach and the timeline that merges, or its number."""
        if not self.named:
            return str(result.number)
        config = result.config
        return config.approach if config.timeline in (None, PLAIN) else f"{config.approach}, {config.timeline_name}"


def look_of(frontier: Frontier) -> Look:
    """Colours by approach as long as they last, in the order of their best configs; else by group."""
    approaches = {method.approach: _looks_like(method.group) for method in frontier.methods}
    timelines = {str(method.timeline): method.timeline_name for method in frontier.methods}
    by_group = len(approaches) > COLOURS and len(set(approaches.values())) > 1
    shown = {_looks_like(method.group) for method in shown_methods(frontier)}
    groups = [group for group in GROUP_LOOKS if group in shown]
    if by_group:
        colours = {approach: GROUP_LOOKS[group][0] for approach, group in approaches.items()}
        entries = [Entry(GROUP_NAMES[group], *GROUP_LOOKS[group]) for group in groups]
    else:
        colours = {approach: min(i, COLOURS - 1) for i, approach in enumerate(approaches)}
        entries = [Entry(approach, colour, MARKERS[0]) for approach, colour in colours.items()]
    keys = [(method.approach, str(method.timeline)) for method in frontier.methods]
    if by_group and len(timelines) == 1:
        return Look(
            colours=colours,
            shapes={key: GROUP_LOOKS[approaches[key[0]]][1] for key in keys},
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


def _looks_like(group: str) -> str:
    return group if group in GROUP_LOOKS else OTHER


def _timeline_shapes(timelines: Collection[str]) -> Mapping[str, str]:
    """Shapes in a fixed order for the known timelines, and the spare ones for others."""
    known = [name for name in TIMELINE_ORDER if name in timelines]
    ordered = [*known, *sorted(set(timelines) - set(known))]
    fixed = {name: MARKERS[i] for i, name in enumerate(TIMELINE_ORDER)}
    spare = [marker for marker in MARKERS if marker not in {fixed.get(name) for name in known}]
    others = {name: spare[i] if i < len(spare) else SHARED for i, name in enumerate(ordered[len(known) :])}
    return {name: fixed.get(name) or others[name] for name in ordered}
