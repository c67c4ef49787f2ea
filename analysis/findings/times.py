"""Findings 22 to 25, merging over time (TIME, arXiv 2412.06712).

A timeline or a rule is judged at its best settings (w, learning rate, density, ...), which are chosen on the blocks
that do not score it, by GM.
"""

from collections.abc import Callable, Sequence

import numpy as np

from analysis.arrays import FloatArray, IntArray
from analysis.configs import PLAIN, Config
from analysis.findings.evidence import (
    AVERAGE,
    CannotTest,
    Comparison,
    Evidence,
    Quantity,
    Test,
    averaging,
    by_context,
)
from analysis.findings.merges import free_axes
from analysis.findings.pairs import (
    AlikeRows,
    SideNames,
    comparison_of,
    ends_of,
    lacks,
    of_best,
    placeless,
    trained_alike,
    values_of,
)
from analysis.findings.sizes import SIZE_AXES, TWO_SIZES, model_size, steps_of
from analysis.uncertainty import honest_choice

CONTROL = "random"
PLACES = ("base", "last", "ema", "all")
FORGETS = ("base", "last")
"""Start and serve of the one pair outside the TIME table: what a task teaches is gone with the next task."""

EMA, FINETUNING = "EMA-merge (timeline ema)", f"fine-tuning without merging (timeline {PLAIN})"


def offline_merging_is_worse(evidence: Evidence) -> Test | CannotTest:
    """EMA-merge minus offline merging of all updates; then with weights by recency, and what replay is worth to it.

    Replay is asked of all configs, since a way of training without it is not the usual one.
    """
    offline, ema = averaging(evidence, "offline"), averaging(evidence, "ema")
    alike = trained_alike(evidence, ema, offline, free_axes(evidence))
    if not alike:
        return lacks([(ema, EMA), (offline, "offline merging (timeline offline)")])
    uniform = [row for row in offline if _uniform(evidence, row)]
    recent = [row for row in offline if row not in uniform]
    left, right = "EMA-merge at its best", "offline merging at its best"
    axes: tuple[Quantity, ...] = ("AKA", "AZS")
    further = [of_best(evidence, alike, name, left=left, right=right) for name in axes]
    if weighted := trained_alike(evidence, recent, uniform, free_axes(evidence)):
        further.append(
            of_best(evidence, weighted, "GM", left="offline merging weighted by recency", right="offline, all alike")
        )
    every = [row for row in averaging(evidence.whole, "offline") if _uniform(evidence, row)]
    replaying = {row for row in every if (evidence.configs[row].number("buffer_share") or 0.0) > 0}
    replay = [
        ([row for row in group if row in replaying], [row for row in group if row not in replaying])
        for group in by_context(evidence, every, (*free_axes(evidence), "buffer_share", "new_share", "pool_share"))
    ]
    if replay := [(some, none) for some, none in replay if some and none]:
        further.append(of_best(evidence, replay, "GM", left="offline merging with replay", right="without"))
    return Test(decisive=(of_best(evidence, alike, "GM", left=left, right=right),), further=tuple(further))


def rules_change_little(evidence: Evidence) -> Test | CannotTest:
    """With start and serve fixed, the weighted average plus the margin against the best of all other rules."""
    alike, rules = _by_rule(evidence)
    if not alike:
        return CannotTest((f"another rule beside {AVERAGE} and the control {CONTROL}, in one timeline with {AVERAGE}",))
    turned = [(right, left) for left, right in alike]
    sides: SideNames = {"left": "the weighted average", "right": "the best other rule"}
    best = of_best(evidence, turned, "GM", **sides, allowance=evidence.margins["GM"])
    further = tuple(
        of_best(evidence, pairs, "GM", left=f"rule {rule}", right="the weighted average")
        for rule in rules
        if (pairs := [([r for r in left if _rule(evidence, r) == rule], right) for left, right in alike])
        and all(left for left, _ in pairs)
    )
    return Test(decisive=(best,), further=further)


def places_change_much(evidence: Evidence) -> Test | CannotTest:
    """EMA/EMA against the best other pair of places, and the spread of places against that of rules.

    Places are compared by the weighted average alone.
    """
    cells = _cells(evidence, [row for row in _in_table(evidence) if row in averaging(evidence)])
    if ("ema", "ema") not in cells:
        return CannotTest((EMA,))
    if len(cells) < 3:
        return CannotTest((f"more pairs of start and serve, by rule {AVERAGE}: it has {len(cells)} of three at least",))
    ema = cells["ema", "ema"]
    others = [row for cell, rows in cells.items() if cell != ("ema", "ema") for row in rows]
    decisive = [
        of_best(
            evidence, [(ema, others)], "GM", left="start ema, serve ema", right="the best other pair of start and serve"
        )
    ]
    alike, rules = _by_rule(evidence)
    in_ema = [(left, right) for left, right in alike if set(right) <= set(ema)]
    missing: tuple[str, ...] = ()
    if in_ema:
        left, right = in_ema[0]
        ways = [right, *(way for rule in rules if (way := [row for row in left if _rule(evidence, row) == rule]))]
        (places, one), (spread, other) = _spread(evidence, list(cells.values())), _spread(evidence, ways)
        decisive.append(
            comparison_of(
                (places - spread)[np.newaxis],
                "GM",
                placeless(evidence, "best less worst pair of start and serve", one, [*ema, *others]),
                placeless(evidence, "best less worst rule", other, [row for way in ways for row in way]),
            )
        )
    else:
        missing = (f"another rule beside {AVERAGE} and the control {CONTROL} with start ema and serve ema",)
    further = tuple(
        of_best(evidence, [(ema, rows)], "GM", left="start ema, serve ema", right=f"start {start}, serve {serve}")
        for (start, serve), rows in cells.items()
        if (start, serve) != ("ema", "ema")
    )
    return Test(decisive=tuple(decisive), further=further, missing=missing)


def advantage_grows(evidence: Evidence) -> Test | CannotTest:
    """GM of EMA-merge minus that of fine-tuning, each at its best: with more tasks, more steps, a larger model.

    Over tasks, the lead after the last task is compared with the lead after half of them, each side at its best by
    then. Without models of two sizes the claim may hold on tasks and steps, and says that sizes were not asked.
    Sizes may be those of several studies, and tasks and steps are of one.
    """
    ema, plain = averaging(evidence, "ema"), averaging(evidence, PLAIN)
    free = free_axes(evidence)
    if not trained_alike(evidence, ema, plain, free):
        return lacks([(ema, EMA), (plain, FINETUNING)])
    missing: list[str] = []
    unasked: list[str] = []
    decisive: list[Comparison] = []
    usual = evidence.usual()
    alike = trained_alike(evidence, averaging(usual, "ema"), averaging(usual, PLAIN), free)
    if evidence.tasks < 4 or not alike:
        missing.append("four tasks or more, as many in every config")
    else:
        decisive.append(_lead_over_tasks(evidence, alike))
    steps = _lead_by_size(evidence, ("steps",), steps_of, "steps")
    sizes = _lead_by_size(evidence.of_sizes, SIZE_AXES, model_size, "parameters")
    for found, absent, needs in (
        (steps, missing, "EMA-merge and fine-tuning at two numbers of steps"),
        (sizes, unasked, f"EMA-merge and fine-tuning at {TWO_SIZES}"),
    ):
        if found is None:
            absent.append(needs)
        else:
            decisive.append(found)
    if not decisive:
        return CannotTest((*missing, *unasked))
    return Test(decisive=tuple(decisive), missing=tuple(missing), unasked=tuple(unasked))


# -- leads -------------------------------------------------------------------------------------------------------------


def _lead_over_tasks(evidence: Evidence, alike: Sequence[AlikeRows]) -> Comparison:
    assert evidence.paths is not None
    gm_CST = np.sqrt(evidence.paths[..., 0] * evidence.paths[..., 1])
    last = evidence.tasks
    half = last // 2
    rows = [row for sides in alike for side in sides for row in side]

    def lead(task: int) -> tuple[FloatArray, list[IntArray]]:
        chosen = [np.asarray(side)[honest_choice(gm_CST[side, :, task])] for sides in alike for side in sides]
        values = np.array([gm_CST[one, np.arange(len(one)), task] for one in chosen])
        return values[::2] - values[1::2], chosen

    (at_last, ours), (at_half, theirs) = lead(last), lead(half)
    return comparison_of(
        at_last - at_half,
        "GM",
        placeless(evidence, f"the lead of EMA-merge over fine-tuning after {last} tasks", ours, rows),
        placeless(evidence, f"that after {half}", theirs, rows),
    )


def _lead_by_size(
    evidence: Evidence, axes: Sequence[str], size: Callable[[Config], float | None], word: str
) -> Comparison | None:
    """The lead at the most steps (or parameters) minus that at the fewest, where both sides have both."""
    ema, plain = averaging(evidence, "ema"), averaging(evidence, PLAIN)
    usual = [row for row in evidence.usual(axes).rows() if row in ema or row in plain]
    alike = ends_of(evidence, usual, size, (*free_axes(evidence), *axes))
    found: list[list[IntArray]] = []
    for ends in alike:
        sides = [[row for row in end if (row in ema) == merges] for end in ends for merges in (True, False)]
        if all(sides):
            found.append([evidence.highest(side, "GM") for side in sides])
    if not found:
        return None
    chosen = np.array(found)
    values = [values_of(evidence, "GM", chosen[:, side]) for side in range(4)]
    rows = [row for ends in alike for end in ends for row in end]
    return comparison_of(
        values[0] - values[1] - values[2] + values[3],
        "GM",
        placeless(evidence, f"the lead of EMA-merge over fine-tuning at the most {word}", chosen[:, :2], rows),
        placeless(evidence, "that at the fewest", chosen[:, 2:], rows),
    )


# -- sides -------------------------------------------------------------------------------------------------------------


def _in_table(evidence: Evidence) -> list[int]:
    """Configs of the TIME table: no interpolation with the base on top, and places that stand in it."""
    return [
        row
        for row in evidence.rows()
        if (axes := evidence.configs[row].axes).get("wise_ft") is None
        and {axes.get("start"), axes.get("serve")} <= set(PLACES)
        and (axes.get("start"), axes.get("serve")) != FORGETS
    ]


def _cells(evidence: Evidence, rows: Sequence[int]) -> dict[tuple[str, str], list[int]]:
    """Rows by start and serve, of the largest group that was trained alike."""
    groups = by_context(evidence, rows, free_axes(evidence))
    cells: dict[tuple[str, str], list[int]] = {}
    for row in max(groups, key=len, default=[]):
        axes = evidence.configs[row].axes
        cells.setdefault((str(axes["start"]), str(axes["serve"])), []).append(row)
    return cells


def _by_rule(evidence: Evidence) -> tuple[list[AlikeRows], list[str]]:
    """Rows of all other rules and of the weighted average, for every pair of places; then the other rules by name."""
    merged = [row for row in _in_table(evidence) if _rule(evidence, row) is not None]
    averages = averaging(evidence)
    differ = tuple(name for name in free_axes(evidence) if name not in ("start", "serve", "timeline"))
    alike = []
    for group in by_context(evidence, merged, differ):
        plain = [row for row in group if row in averages]
        others = [row for row in group if _rule(evidence, row) not in (AVERAGE, CONTROL)]
        if plain and others:
            alike.append((others, plain))
    return alike, sorted({str(_rule(evidence, row)) for others, _ in alike for row in others})


def _uniform(evidence: Evidence, row: int) -> bool:
    return evidence.configs[row].axes.get("recency") in (None, "uniform")


def _rule(evidence: Evidence, row: int) -> str | None:
    rule = evidence.configs[row].axes.get("rule")
    return None if rule is None else str(rule)


def _spread(evidence: Evidence, ways: Sequence[Sequence[int]]) -> tuple[FloatArray, list[IntArray]]:
    """GM of the best way minus that of the worst (blocks,), each at its best settings, and the rows of both.

    All choices are made on the blocks that do not score them.
    """
    bests = np.array([evidence.highest(rows, "GM") for rows in ways])
    blocks = np.arange(bests.shape[1])
    values_WS = values_of(evidence, "GM", bests)
    top, bottom = honest_choice(values_WS), honest_choice(-values_WS)
    ends = [np.asarray(bests[way, blocks], dtype=np.int64) for way in (top, bottom)]
    return np.asarray(values_WS[top, blocks] - values_WS[bottom, blocks]), ends
