"""Findings over several studies, such as presets of one workload, which each vary something else.

Studies that have the same blocks, zero-shot and joint points lie in one plane and are asked as one study, with each
trial counted once. A finding that several planes can test is that of the plane which lacks least of what the claim
asks for, then of the one that compares most trials, and then of the one named first: no verdict has a say in that.

Planes of models of different sizes, on the same blocks and test sets, stay planes of their own; a claim about sizes
compares them, by the configs that all sizes have, so that none has more to choose its best from. Where a size has
several zero-shot points nobody knows which of them belongs to those of other sizes, and it is left out.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce

import numpy as np

from analysis.arrays import FloatArray
from analysis.configs import Config, short
from analysis.findings.claims import CLAIMS, find
from analysis.findings.evidence import Evidence, Quantity, evidence_of
from analysis.findings.findings import Finding, corrected
from analysis.findings.sizes import SIZE_AXES, said_size
from analysis.frontier import build_frontier
from analysis.tables.column_roles import joined
from analysis.tables.suites import suite_of
from analysis.tables.tables import Tables
from analysis.tables.two_studies import together

DIGITS = 9
"""Points are the same up to this decimal: a mean over more trials of one zero-shot point differs in its last bit."""


def planes_of(studies: Sequence[Tables]) -> tuple[Tables, ...]:
    """The studies, those of one plane together."""
    if len(studies) == 1:
        return tuple(studies)
    found: dict[Hashable, list[Tables]] = {}
    for tables in studies:
        found.setdefault(_place(tables), []).append(tables)
    return tuple(one[0] if len(one) == 1 else together(one, [tables.name for tables in one]) for one in found.values())


def findings_of(planes: Sequence[Tables]) -> tuple[Finding, ...]:
    """Every claim on the plane with the most to say of it, corrected over all."""
    every = evidence_of_planes(planes)
    return corrected([max((find(one, number) for one in every), key=_substance) for number in CLAIMS])


def evidence_of_planes(planes: Sequence[Tables]) -> list[Evidence]:
    """The evidence of every plane, with that on the size of the model where planes of other sizes are beside it."""
    frontiers = [build_frontier(tables) for tables in planes]
    every = [evidence_of(frontier, tables) for frontier, tables in zip(frontiers, planes, strict=True)]
    groups: dict[Hashable, dict[float, list[_OfSize]]] = {}
    for place, (tables, frontier, evidence) in enumerate(zip(planes, frontiers, every, strict=True)):
        configs = [_marked(config, tables.parameters) for config in evidence.configs]
        if (said := _one_size(configs)) is not None:
            axis, size = said
            found = _OfSize(
                place=place,
                tables=tables,
                evidence=evidence,
                configs=tuple(_labelled(config, axis) for config in configs),
                zero_shot=_rounded(frontier.samples.zero_shot),
            )
            suites = (frozenset(suite_of(part).items()) for part in (tables.end_scores, tables.scores))
            groups.setdefault((tables.blocks, axis, *suites), {}).setdefault(size, []).append(found)
    sizes = {own.place: _over_sizes(own, others) for own, others in _beside(groups.values())}
    return [replace(evidence, sizes=sizes.get(place)) for place, evidence in enumerate(every)]


# -- sizes -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _OfSize:
    """A plane of models of one size; `configs` are those of its evidence, with the size in their axes and labels."""

    place: int
    tables: Tables
    evidence: Evidence
    configs: tuple[Config, ...]
    zero_shot: bytes

    @cached_property
    def rows(self) -> Mapping[Hashable, int]:
        """A row for all that a config is but its size; of configs that no axis tells apart, the first."""
        found: dict[Hashable, int] = {}
        for row, config in enumerate(self.configs):
            axes = (item for item in config.axes.items() if item[1] is not None and item[0] not in SIZE_AXES)
            found.setdefault(frozenset(axes), row)
        return found

    def in_common(self, other: "_OfSize") -> int:
        """The number of configs that both have."""
        return len(self.rows.keys() & other.rows.keys())


def _beside(groups: Iterable[Mapping[float, Sequence[_OfSize]]]) -> Iterable[tuple[_OfSize, list[_OfSize]]]:
    """Every plane with one of each other size that has configs of it: of several, the one with most of them."""
    for by_size in groups:
        known = {size: found for size, found in by_size.items() if len({one.zero_shot for one in found}) == 1}
        for size, found in known.items():
            for own in found:
                others = [max(one, key=own.in_common) for other, one in known.items() if other != size]
                if others := [one for one in others if own.in_common(one)]:
                    yield own, others


def _over_sizes(own: _OfSize, others: Sequence[_OfSize]) -> Evidence | None:
    """The evidence of a plane, and after its configs those that all sizes have, which alone are kept; without a line.

    The margins are the means of those of all sizes. None if no config is in all of them.
    """
    planes = (own, *others)
    shared = [way for way in own.rows if all(way in plane.rows for plane in others)]
    if not shared:
        return None
    rows = [[plane.rows[way] for way in shared] for plane in planes]
    roles = reduce(
        lambda first, plane: joined(first, plane.tables.roles, (own.tables.name, plane.tables.name)),
        others,
        own.tables.roles,
    )
    added = [plane.configs[row] for plane, chosen in zip(planes, rows, strict=True) for row in chosen]
    names = dict.fromkeys(name for config in added for name in config.axes)
    alike = [replace(config, axes={name: config.axes.get(name) for name in names}) for config in added]
    configs = tuple(replace(config, roles=roles) for config in (*own.evidence.configs, *alike))

    def stacked(parts: Sequence[FloatArray]) -> FloatArray:
        return np.concatenate([parts[0], *(part[chosen] for part, chosen in zip(parts, rows, strict=True))])

    quantities: list[Quantity] = [name for name in own.evidence.values if name != "gain"]
    paths = [plane.evidence.paths for plane in planes]
    known = [one for one in paths if one is not None]
    return replace(
        own.evidence,
        configs=configs,
        values={name: stacked([plane.evidence.values[name] for plane in planes]) for name in quantities},
        margins={
            name: float(np.mean([plane.evidence.margins[name] for plane in planes])) for name in own.evidence.margins
        },
        paths=stacked(known) if len({one.shape[1:] for one in known}) == 1 and len(known) == len(paths) else None,
        kept=frozenset(range(len(own.evidence.configs), len(configs))),
    )


def _one_size(configs: Iterable[Config]) -> tuple[str, float] | None:
    """The axis that says the size of all models that train, and the size; None if there is no such axis or size."""
    said = {said_size(config) for config in configs if config.trained}
    return said.pop() if len(said) == 1 else None


def _marked(config: Config, parameters: int | None) -> Config:
    """A config with the number of parameters of its model, if the tables say it and no axis does."""
    if parameters is None or config.axes.get("parameters") is not None:
        return config
    return replace(config, axes={**config.axes, "parameters": parameters})


def _labelled(config: Config, axis: str) -> Config:
    """A config whose label says its size."""
    return replace(config, label=f"{config.label}, {axis} {short(config.axes.get(axis))}")


# -- planes ------------------------------------------------------------------------------------------------------------


def _place(tables: Tables) -> Hashable:
    """What has to be equal for two studies to lie in one plane: blocks, both anchors, and the images of the stream."""
    points = build_frontier(tables).points
    starts = tables.tasks[tables.tasks["task"] == 0].merge(tables.trials[["trial", "block"]], on="trial")
    seen = starts.groupby("block")[["aka", "azs"]].mean().to_numpy(dtype=float)
    anchors = (points.zero_shot, points.joint, seen)
    return tables.blocks, *(None if one is None else _rounded(one) for one in anchors)


def _rounded(points: FloatArray) -> bytes:
    return (np.round(points, DIGITS) + 0.0).tobytes()


def _substance(finding: Finding) -> tuple[bool, int, int]:
    blocks = max((one.difference.blocks for one in finding.comparisons), default=0)
    return finding.verdict != "not tested", -len(finding.missing), blocks * len(finding.config_ids)
