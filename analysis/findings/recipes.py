"""Findings 11 to 18, recipes (arXiv 2408.14471, section 6): rates, schedules, sizes, compute, towers, temperature.

The two sides of a pair agree on every axis but the one that the claim is about.
"""

from collections.abc import Callable, Sequence

import numpy as np

from analysis.arrays import IntArray
from analysis.configs import PLAIN, Config
from analysis.findings.evidence import (
    NO_LINE,
    CannotTest,
    Comparison,
    Evidence,
    Quantity,
    Test,
    averaging,
    by_context,
)
from analysis.findings.pairs import (
    AlikeRows,
    Side,
    SideNames,
    at_common_rates,
    between,
    comparison_of,
    ends_of,
    lacks,
    of_best,
    of_pairs,
    of_paths,
    pairs_by,
    placeless,
    plus,
    side_of,
    trained_alike,
    values_of,
)
from analysis.findings.sizes import SIZE_AXES, TWO_SIZES, model_size, steps_of
from analysis.roles import RATE

Pairs = list[tuple[int, int]]
SCHEDULE_AXES = ("schedule", "cooldown", "peaks")
COSINE_META = ("autoregressive_cosine", "autoregressive_cosine_continued")
RSQRT_META = ("autoregressive_rsqrt", "matched_rsqrt", "continued_rsqrt")
FAMILIES = {"cosine": COSINE_META, "rsqrt": RSQRT_META}
RESTARTED = ("cosine", "rsqrt")
"""Schedules that begin anew with every task; a meta-schedule is compared with its own base, or else with the other."""


def learning_rates_have_a_middle(evidence: Evidence) -> Test | CannotTest:
    """The best rate but the ends against the largest, in AZS at the end and after the first task, and in AKA.

    It must learn more than the smallest rate, too. Without AKA against the largest, a rate that breaks the model would
    be enough for the claim.
    """
    found: list[list[AlikeRows]] = []
    for group in by_context(evidence, evidence.rows(), (RATE,)):
        rates = sorted({evidence.rate(row) for row in group})
        if len(rates) > 2:
            ends = [[row for row in group if evidence.rate(row) == end] for end in (rates[0], rates[-1])]
            middle = [row for row in group if rates[0] < evidence.rate(row) < rates[-1]]
            found.append([(middle, end) for end in ends])
    if not found:
        return CannotTest(("full fine-tuning without merging at three learning rates",))
    smallest, largest = [ends[0] for ends in found], [ends[1] for ends in found]
    best = "the best middle lr"
    decisive = [
        of_best(evidence, largest, "AZS", left=best, right="the largest lr"),
        of_best(evidence, smallest, "AKA", left=best, right="the smallest lr"),
        of_best(evidence, largest, "AKA", left=best, right="the largest lr"),
    ]
    if evidence.tasks > 1:
        early: SideNames = {"left": f"{best} after the first task", "right": "the largest lr"}
        decisive.append(of_paths(evidence, [_chosen(evidence, sides) for sides in largest], "AZS", 1, **early))
    sides: SideNames = {"left": "the smaller lr", "right": "the larger lr"}
    every = of_pairs(evidence, pairs_by(evidence, evidence.rows(), RATE), "AZS", **sides)
    return Test(decisive=tuple(decisive), further=(every,))


def schedules_within_a_task_are_alike(evidence: Evidence) -> Test | CannotTest:
    """Cosine and reciprocal square root, both restarted at every task, to within the margins on both axes."""
    pairs = _schedules(evidence, _alone("cosine"), _alone("rsqrt"))
    if not pairs:
        needs = [(_have(evidence, _alone(name)), f"schedule {name}") for name in RESTARTED]
        return lacks(needs)
    alike = [([a], [b]) for a, b in pairs]
    axes: tuple[Quantity, ...] = ("AKA", "AZS")
    return Test(
        decisive=tuple(
            of_best(evidence, alike, name, left="cosine", right="rsqrt", margin=evidence.margins[name]) for name in axes
        )
    )


def meta_schedules_retain_more(evidence: Evidence) -> Test | CannotTest:
    """AZS of each family of meta-schedules against a schedule that begins anew with every task."""
    decisive = []
    missing = []
    for base, family in FAMILIES.items():
        alone, pairs = _against_restarted(evidence, base, family)
        if pairs:
            decisive.append(of_pairs(evidence, pairs, "AZS", left=f"a meta-schedule of {base}", right=f"{alone} alone"))
        else:
            missing.append(_need_meta(evidence, base, family))
    if not decisive:
        return CannotTest(tuple(missing))
    return Test(decisive=tuple(decisive), further=_each_schedule(evidence, "AZS"), missing=tuple(missing))


def rsqrt_keeps_what_cosine_loses(evidence: Evidence) -> Test | CannotTest:
    """Meta-schedules of cosine lose more AKA than the margin; those of rsqrt lose less, and lie above the line.

    AZS of rsqrt's, which 13 decides, is shown.
    """
    found = {base: _against_restarted(evidence, base, family) for base, family in FAMILIES.items()}
    if not all(pairs for _, pairs in found.values()):
        return CannotTest(
            tuple(_need_meta(evidence, base, FAMILIES[base]) for base, (_, pairs) in found.items() if not pairs)
        )
    (of_cosine, cosine), (of_rsqrt, rsqrt) = found["cosine"], found["rsqrt"]
    turned = [(b, a) for a, b in cosine]
    margin = evidence.margins["AKA"]
    ours: SideNames = {"left": "a meta-schedule of rsqrt", "right": f"{of_rsqrt} alone"}
    lost: SideNames = {"left": f"{of_cosine} alone", "right": "a meta-schedule of cosine"}
    decisive = [
        of_pairs(evidence, turned, "AKA", **lost, allowance=-margin),
        of_pairs(evidence, rsqrt, "AKA", **ours, allowance=margin),
    ]
    missing: tuple[str, ...] = ()
    if "gain" in evidence.values:
        groups = by_context(evidence, sorted({a for a, _ in rsqrt}), (RATE,))
        best = np.array([evidence.highest(group, "GM") for group in groups])
        left = side_of(evidence, "a meta-schedule of rsqrt at its best lr", best, [a for a, _ in rsqrt])
        gains = values_of(evidence, "gain", best)
        decisive.append(comparison_of(gains, "gain", left, Side(name="the trade-off line")))
    else:
        missing = (NO_LINE,)
    further = (of_pairs(evidence, rsqrt, "AZS", **ours), *_each_schedule(evidence, "AKA"))
    return Test(decisive=tuple(decisive), further=further, missing=missing)


def larger_models_learn_more_and_forget_less(evidence: Evidence) -> Test | CannotTest:
    """Fine-tuning of the largest model against the smallest: the rise in AKA plus the margin, and the change in AZS.

    Rise and change start from each model's own zero-shot point, at the learning rate of its highest GM.
    """
    evidence = evidence.of_sizes
    alike = ends_of(evidence, averaging(evidence, PLAIN), model_size, (*SIZE_AXES, RATE))
    if not alike:
        return CannotTest((f"fine-tuning of {TWO_SIZES}",))
    if evidence.paths is None:
        return CannotTest(("as many tasks in every config",))
    rows = [row for sides in alike for side in sides for row in side]
    chosen = np.array([[evidence.highest(side, "GM") for side in sides] for sides in alike])
    change = evidence.paths[:, :, -1] - evidence.paths[:, :, 0]
    moved = change[chosen, np.arange(chosen.shape[-1])]
    difference = moved[:, 0] - moved[:, 1]
    names = "of the largest model", "that of the smallest"
    margin = evidence.margins["AKA"]
    rise = plus(f"the rise in AKA {names[0]}", margin)
    return Test(
        decisive=(
            comparison_of(
                difference[..., 0] + margin,
                "AKA",
                placeless(evidence, rise, chosen[:, 0], rows),
                placeless(evidence, names[1], chosen[:, 1], rows),
            ),
            comparison_of(
                difference[..., 1],
                "AZS",
                placeless(evidence, f"the change in AZS {names[0]}", chosen[:, 0], rows),
                placeless(evidence, names[1], chosen[:, 1], rows),
            ),
        )
    )


def compute_helps_merging_alone(evidence: Evidence) -> Test | CannotTest:
    """Gain at the most steps minus gain at the fewest: of EMA-merge above 0, of fine-tuning no more than the margin."""
    ema, plain = (
        ends_of(evidence, averaging(evidence, timeline), steps_of, ("steps", "w", RATE)) for timeline in ("ema", PLAIN)
    )
    if not ema or not plain:
        return lacks(
            [
                (ema, "EMA-merge (timeline ema) at two numbers of steps"),
                (plain, "fine-tuning without merging at two numbers of steps"),
            ]
        )
    if "gain" not in evidence.values:
        return CannotTest((NO_LINE,))
    turned = [(fewest, most) for most, fewest in plain]
    fewer: SideNames = {"left": "fine-tuning at the fewest steps", "right": "fine-tuning at the most"}
    merging: SideNames = {"left": "EMA-merge at the most steps", "right": "EMA-merge at the fewest"}
    return Test(
        decisive=(
            of_best(evidence, ema, "gain", **merging),
            of_best(evidence, turned, "gain", **fewer, allowance=evidence.margins["gain"]),
        )
    )


def both_towers_beat_one(evidence: Evidence) -> Test | CannotTest:
    """GM of full fine-tuning against that of a locked image and of a locked text tower, each at its best.

    The best is one of the learning rates that both have, so that neither has more to choose from.
    """
    full = evidence.rows(method="full", timeline=PLAIN)
    decisive = []
    missing = []
    for method, name in (("locked_image", "a locked image tower"), ("locked_text", "a locked text tower")):
        locked = evidence.rows(method=method, timeline=PLAIN)
        alike = trained_alike(evidence, full, locked, evidence.own_axes)
        if common := at_common_rates(evidence, alike):
            decisive.append(of_best(evidence, common, "GM", left="both towers", right=name))
        elif alike:
            missing.append(f"{name} at a learning rate of full fine-tuning")
        else:
            missing.append(f"{name} (method {method})" if full else "full fine-tuning without merging (method full)")
    if not decisive:
        return CannotTest(tuple(dict.fromkeys(missing)))
    return Test(decisive=tuple(decisive), missing=tuple(missing))


def pretrained_temperature_closes_the_gap(evidence: Evidence) -> Test | CannotTest:
    """AZS after the first task: from the pretrained temperature minus from a given one."""

    def reset(config: Config) -> bool:
        return (config.number("temperature") or 0.0) > 0

    def pretrained(config: Config) -> bool:
        return config.axes.get("temperature") is None

    pairs = between(evidence, ("temperature",), pretrained, reset)
    if not pairs:
        return CannotTest(
            ("a temperature that is reset (such as temperature 0.07) and the pretrained one, all else equal",)
        )
    if evidence.paths is None:
        return CannotTest(("as many tasks in every config",))
    sides: SideNames = {"left": "the pretrained temperature, after the first task", "right": "a reset one"}
    return Test(decisive=(of_paths(evidence, pairs, "AZS", 1, **sides),))


def _chosen(evidence: Evidence, sides: AlikeRows) -> tuple[IntArray, IntArray]:
    """Per block, the best row of each side."""
    left, right = (evidence.highest(rows, "GM") for rows in sides)
    return left, right


# -- schedules ---------------------------------------------------------------------------------------------------------


def _schedules(evidence: Evidence, left: Callable[[Config], bool], right: Callable[[Config], bool]) -> Pairs:
    """Pairs that differ in their schedule; two that both cool down do it for the same share of a task."""
    return [
        (a, b)
        for a, b in between(evidence, SCHEDULE_AXES, left, right)
        if len({evidence.configs[row].number("cooldown") for row in (a, b)} - {None}) < 2
    ]


def _alone(schedule: str) -> Callable[[Config], bool]:
    """The schedule itself, at its own peak in every task."""
    return lambda config: config.axes.get("schedule") == schedule and config.axes.get("peaks") is None


def _one_of(names: Sequence[str]) -> Callable[[Config], bool]:
    return lambda config: config.axes.get("schedule") in names


def _have(evidence: Evidence, wanted: Callable[[Config], bool]) -> list[int]:
    return [row for row in evidence.rows() if wanted(evidence.configs[row])]


def _against_restarted(evidence: Evidence, base: str, family: Sequence[str]) -> tuple[str, Pairs]:
    """Pairs of meta-schedules and the schedule they are made of; where the study lacks this schedule, the other one."""
    for name in (base, *(other for other in RESTARTED if other != base)):
        if pairs := _schedules(evidence, _one_of(family), _alone(name)):
            return name, pairs
    return base, []


def _need_meta(evidence: Evidence, base: str, family: Sequence[str]) -> str:
    if _have(evidence, _one_of(family)):
        return f"schedule {base} alone, all else equal"
    return f"a meta-schedule of {base} (such as schedule {family[0]})"


def _each_schedule(evidence: Evidence, quantity: Quantity) -> tuple[Comparison, ...]:
    """Every meta-schedule against a schedule that begins anew."""
    found = []
    for base, family in FAMILIES.items():
        for name in family:
            alone, pairs = _against_restarted(evidence, base, (name,))
            if pairs:
                shown = name.replace("_", " ")
                found.append(of_pairs(evidence, pairs, quantity, left=shown, right=f"{alone} alone"))
    return tuple(found)
