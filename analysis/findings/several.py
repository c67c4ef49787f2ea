"""Findings over several studies, such as presets of one workload, which each vary something else.

Studies that have the same blocks, zero-shot and joint points lie in one plane and are asked as one study, with each
trial counted once. A finding that several planes can test is that of the plane which lacks least of what the claim
asks for, then of the one that compares most trials, and then of the one named first: no verdict has a say in that.
"""

from collections.abc import Hashable, Sequence

import numpy as np

from analysis.findings.claims import CLAIMS, find
from analysis.findings.evidence import evidence_of
from analysis.findings.findings import Finding, corrected
from analysis.frontier import build_frontier
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
    every = [evidence_of(build_frontier(tables), tables) for tables in planes]
    return corrected([max((find(one, number) for one in every), key=_substance) for number in CLAIMS])


def _place(tables: Tables) -> Hashable:
    """What has to be equal for two studies to lie in one plane: blocks, both anchors, and the images of the stream."""
    points = build_frontier(tables).points
    starts = tables.tasks[tables.tasks["task"] == 0].merge(tables.trials[["trial", "block"]], on="trial")
    seen = starts.groupby("block")[["aka", "azs"]].mean().to_numpy(dtype=float)
    anchors = (points.zero_shot, points.joint, seen)
    return tables.blocks, *(None if one is None else (np.round(one, DIGITS) + 0.0).tobytes() for one in anchors)


def _substance(finding: Finding) -> tuple[bool, int, int]:
    blocks = max((one.difference.blocks for one in finding.comparisons), default=0)
    return finding.verdict != "not tested", -len(finding.missing), blocks * len(finding.config_ids)
