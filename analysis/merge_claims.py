"""Claims about merging over time, of arXiv 2408.14471, section 5.2, and of TIME, arXiv 2412.06712.

A timeline or a rule is judged at its best settings (w, learning rate, density, ...), which are chosen on the blocks
that do not score it: by GM, as TIME ranks, or by gain where the claim is about the trade-off line.
"""

from collections.abc import Sequence

import numpy as np

from analysis.configs import MERGE_AXES, PLAIN
from analysis.contests import MARGIN
from analysis.evidence import (
    AVERAGE,
    Case,
    Comparison,
    Evidence,
    Quantity,
    Sides,
    averaging,
    by_context,
    comparison_of,
    of_best,
    of_pairs,
    pairs_by,
    per_group,
)
from analysis.pareto import FloatArray, IntArray
from analysis.uncertainty import honest_choice

DIFFER = (*sorted(MERGE_AXES), "lr", "lifetime")
"""In these the two sides of a claim may differ: both merge the same updates, each as is best for it."""

CONTROL = "random"
NAMES = {"ema": "EMA-merge", "zs": "ZS-merge"}
TEMPORAL = tuple(NAMES)
PLACES = ("base", "last", "ema", "all")
FORGETS = ("base", "last")
"""Start and serve of the one pair that is not in the TIME table: what each task teaches is gone with the next."""


def larger_merge_weight_lowers_accumulation(evidence: Evidence) -> Case | str:
    """AKA at the smaller minus AKA at the larger merge weight, over all pairs that agree on everything else."""
    pairs = pairs_by(evidence, "w")
    if not pairs:
        return "it needs configs that differ in the merge weight only"
    sides: Sides = {"left": "the smaller w", "right": "the larger w"}
    return Case(
        decisive=(of_pairs(evidence, pairs, "AKA", **sides),),
        further=per_group(evidence, pairs, "AKA", lambda config: config.timeline_name, **sides),
    )


def merging_ends_above_the_line(evidence: Evidence) -> Case | str:
    """Gain of EMA- and ZS-merge, each at its best gain; their AKA there against fine-tuning's highest less `MARGIN`."""
    if "gain" not in evidence.values:
        return "the gain is not defined without a joint anchor that learned"
    decisive: list[Comparison] = []
    for timeline in TEMPORAL:
        contests = _contests(evidence, averaging(evidence, timeline), averaging(evidence, PLAIN))
        if not contests:
            continue
        merged = [evidence.best(ours) for ours, _ in contests]
        plain = [_best(evidence, theirs, "AKA") for _, theirs in contests]
        name = f"{NAMES[timeline]} at its best"
        decisive.append(
            comparison_of(
                _values(evidence, "gain", merged),
                "gain",
                left=name,
                right="the trade-off line",
                points=(_point(evidence, merged), None),
            )
        )
        decisive.append(
            comparison_of(
                _values(evidence, "AKA", merged) - _values(evidence, "AKA", plain) + MARGIN,
                "AKA",
                left=name,
                right=f"fine-tuning less {100 * MARGIN:g} point",
                points=(_point(evidence, merged), _point(evidence, plain)),
            )
        )
    return Case(decisive=tuple(decisive)) if decisive else "it needs fine-tuning and EMA- or ZS-merge"


def first_update_of_merging_is_free(evidence: Evidence) -> Case | str:
    """After the first task: AZS against zero-shot's less `MARGIN`, and its rise in AKA against the mean later rise."""
    if evidence.paths is None or evidence.paths.shape[2] < 3:
        return "it needs two tasks or more, as many in every config"
    decisive: list[Comparison] = []
    for timeline in TEMPORAL:
        merged = [evidence.best(rows) for rows in by_context(evidence, averaging(evidence, timeline), DIFFER)]
        if not merged:
            continue
        path_KSTQ = np.array([evidence.paths[chosen, np.arange(len(chosen))] for chosen in merged])
        aka, azs = path_KSTQ[..., 0], path_KSTQ[..., 1]
        later = (aka[..., -1] - aka[..., 1]) / (aka.shape[-1] - 2)
        first = float(aka[..., 1].mean()), float(azs[..., 1].mean())
        start = float(aka[..., 0].mean()), float(azs[..., 0].mean())
        name = f"{NAMES[timeline]} after the first task"
        decisive += [
            comparison_of(
                azs[..., 1] - azs[..., 0] + MARGIN,
                "AZS",
                left=name,
                right=f"zero-shot less {100 * MARGIN:g} point",
                points=(first, start),
            ),
            comparison_of(
                aka[..., 1] - aka[..., 0] - later,
                "AKA",
                left=f"the rise of {NAMES[timeline]} over the first task",
                right="its mean rise over a later one",
                points=(None, None),
            ),
        ]
    return Case(decisive=tuple(decisive)) if decisive else "it needs EMA- or ZS-merge"


def offline_merging_is_worse(evidence: Evidence) -> Case | str:
    """EMA-merge minus offline merging of all updates; then with weights by recency, and what replay is worth to it."""
    offline, ema = averaging(evidence, "offline"), averaging(evidence, "ema")
    contests = _contests(evidence, ema, offline)
    if not contests:
        return "it needs EMA-merge and offline merging of the same updates"
    uniform = [row for row in offline if evidence.configs[row].axes.get("recency") in (None, "uniform")]
    recent = [row for row in offline if row not in uniform]
    left, right = "EMA-merge at its best", "offline merging at its best"
    axes: tuple[Quantity, ...] = ("AKA", "AZS")
    further = [of_best(evidence, contests, name, left=left, right=right) for name in axes]
    if weighted := _contests(evidence, recent, uniform):
        further.append(
            of_best(evidence, weighted, "GM", left="offline merging weighted by recency", right="offline, all alike")
        )
    replaying = {row for row in uniform if _number(evidence, row, "buffer_share") > 0}
    replay = [
        ([row for row in group if row in replaying], [row for row in group if row not in replaying])
        for group in by_context(evidence, uniform, (*DIFFER, "buffer_share", "new_share", "pool_share"))
    ]
    if replay := [(some, none) for some, none in replay if some and none]:
        further.append(of_best(evidence, replay, "GM", left="offline merging with replay", right="without"))
    return Case(decisive=(of_best(evidence, contests, "GM", left=left, right=right),), further=tuple(further))


def rules_change_little(evidence: Evidence) -> Case | str:
    """With start and serve fixed, the weighted average plus `MARGIN` against the best of all other rules."""
    contests, rules = _by_rule(evidence)
    if not contests:
        return f"it needs another rule beside {AVERAGE} (other than the control, {CONTROL}) in one timeline"
    turned = [(right, left) for left, right in contests]
    best = of_best(evidence, turned, "GM", left="the weighted average", right="the best other rule", allowance=MARGIN)
    further = tuple(
        of_best(evidence, pairs, "GM", left=f"rule {rule}", right="the weighted average")
        for rule in rules
        if (pairs := [([r for r in left if _rule(evidence, r) == rule], right) for left, right in contests])
        and all(left for left, _ in pairs)
    )
    return Case(decisive=(best,), further=further)


def places_change_much(evidence: Evidence) -> Case | str:
    """For the weighted average: EMA/EMA against the best other pair of places; their spread against that of rules."""
    cells = _cells(evidence, [row for row in _in_table(evidence) if row in averaging(evidence)])
    if ("ema", "ema") not in cells or len(cells) < 3:
        return "it needs EMA-merge and at least two other pairs of start and serve, with the weighted average"
    others = [row for cell, rows in cells.items() if cell != ("ema", "ema") for row in rows]
    ema = cells["ema", "ema"]
    decisive = [
        of_best(
            evidence, [(ema, others)], "GM", left="start ema, serve ema", right="the best other pair of start and serve"
        )
    ]
    contests, rules = _by_rule(evidence)
    in_ema = [(left, right) for left, right in contests if set(right) <= set(ema)]
    if in_ema:
        left, right = in_ema[0]
        ways = [[row for row in left if _rule(evidence, row) == rule] for rule in rules]
        spread = _spread(evidence, list(cells.values())) - _spread(evidence, [right, *(way for way in ways if way)])
        decisive.append(
            comparison_of(
                spread[np.newaxis],
                "GM",
                left="best less worst pair of start and serve",
                right="best less worst rule",
                points=(None, None),
            )
        )
    further = tuple(
        of_best(evidence, [(ema, rows)], "GM", left="start ema, serve ema", right=f"start {start}, serve {serve}")
        for (start, serve), rows in cells.items()
        if (start, serve) != ("ema", "ema")
    )
    return Case(decisive=tuple(decisive), further=further)


def advantage_grows_with_tasks(evidence: Evidence) -> Case | str:
    """GM of EMA-merge minus that of fine-tuning, each at its best by then: after the last task, less after half."""
    contests = _contests(evidence, averaging(evidence, "ema"), averaging(evidence, PLAIN))
    if not contests:
        return "it needs EMA-merge and fine-tuning"
    if evidence.paths is None or evidence.paths.shape[2] < 5:
        return "it needs four tasks or more, as many in every config"
    half = (evidence.paths.shape[2] - 1) // 2
    gm_CST = np.sqrt(evidence.paths[..., 0] * evidence.paths[..., 1])

    def advantage(task: int) -> FloatArray:
        ahead = []
        for ema, plain in contests:
            chosen = [np.asarray(rows)[honest_choice(gm_CST[rows, :, task])] for rows in (ema, plain)]
            blocks = np.arange(len(chosen[0]))
            ahead.append(gm_CST[chosen[0], blocks, task] - gm_CST[chosen[1], blocks, task])
        return np.array(ahead)

    last = gm_CST.shape[2] - 1
    return Case(
        decisive=(
            comparison_of(
                advantage(last) - advantage(half),
                "GM",
                left=f"the lead of EMA-merge over fine-tuning after {last} tasks",
                right=f"that after {half}",
                points=(None, None),
            ),
        )
    )


# -- sides -------------------------------------------------------------------------------------------------------------


def _contests(evidence: Evidence, left: Sequence[int], right: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Rows of both sides for every way of training that both have."""
    groups = by_context(evidence, [*left, *right], DIFFER)
    pairs = [([row for row in group if row in left], [row for row in group if row in right]) for group in groups]
    return [(ours, theirs) for ours, theirs in pairs if ours and theirs]


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
    groups = by_context(evidence, rows, DIFFER)
    cells: dict[tuple[str, str], list[int]] = {}
    for row in max(groups, key=len, default=[]):
        axes = evidence.configs[row].axes
        cells.setdefault((str(axes["start"]), str(axes["serve"])), []).append(row)
    return cells


def _by_rule(evidence: Evidence) -> tuple[list[tuple[list[int], list[int]]], list[str]]:
    """For every pair of places the rows of all other rules and those of the weighted average; the other rules."""
    merged = [row for row in _in_table(evidence) if _rule(evidence, row) is not None]
    averages = averaging(evidence)
    differ = tuple(name for name in DIFFER if name not in ("start", "serve", "timeline"))
    contests = []
    for group in by_context(evidence, merged, differ):
        plain = [row for row in group if row in averages]
        others = [row for row in group if _rule(evidence, row) not in (AVERAGE, CONTROL)]
        if plain and others:
            contests.append((others, plain))
    return contests, sorted({str(_rule(evidence, row)) for others, _ in contests for row in others})


def _rule(evidence: Evidence, row: int) -> str | None:
    rule = evidence.configs[row].axes.get("rule")
    return None if rule is None else str(rule)


def _best(evidence: Evidence, rows: Sequence[int], quantity: Quantity = "GM") -> IntArray:
    """Per block, the row of the highest value on the other blocks."""
    return np.asarray(rows)[honest_choice(evidence.values[quantity][list(rows)])]


def _spread(evidence: Evidence, ways: Sequence[Sequence[int]]) -> FloatArray:
    """GM of the best way minus that of the worst (blocks,), each at its best settings; all chosen on other blocks."""
    bests = np.array([_best(evidence, rows) for rows in ways])
    gm, blocks = evidence.values["GM"], np.arange(bests.shape[1])
    values_WS = gm[bests, blocks]
    top, bottom = honest_choice(values_WS), honest_choice(-values_WS)
    return np.asarray(values_WS[top, blocks] - values_WS[bottom, blocks])


def _values(evidence: Evidence, quantity: Quantity, choices: Sequence[IntArray]) -> FloatArray:
    """(contests, blocks)."""
    return np.array([evidence.values[quantity][chosen, np.arange(len(chosen))] for chosen in choices])


def _point(evidence: Evidence, choices: Sequence[IntArray]) -> tuple[float, float]:
    return float(_values(evidence, "AKA", choices).mean()), float(_values(evidence, "AZS", choices).mean())


def _number(evidence: Evidence, row: int, axis: str) -> float:
    return evidence.configs[row].number(axis) or 0.0
