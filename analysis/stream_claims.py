"""Claims about learning rates, schedules, compute, temperature, orderings and replay, of arXiv 2408.14471, section 6.

The two sides of a pair agree on every axis but the one that the claim is about.
"""

from collections.abc import Callable, Sequence

from analysis.configs import PLAIN, Config
from analysis.contests import MARGIN
from analysis.evidence import (
    OWN_AXES,
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
)

Pairs = list[tuple[int, int]]
SCHEDULE_AXES = ("schedule", "cooldown", "peaks")
COSINE_META = ("autoregressive_cosine", "autoregressive_cosine_continued")
RSQRT_META = ("autoregressive_rsqrt", "matched_rsqrt", "continued_rsqrt")
ORDER_AXES = ("ordering", "embedding", "start_concept")
SHARE_AXES = ("pool_share", "new_share", "buffer_share")
BUFFER_AXES = (*SHARE_AXES, "buffer_size", "buffer_policy")


def learning_rates_have_a_middle(evidence: Evidence) -> Case | str:
    """Of three rates or more: AZS of the others against the largest's, AKA of those between against the smallest's."""
    groups = [
        sorted(rows, key=lambda row: _rate(evidence, row)) for rows in by_context(evidence, evidence.rows(), ("lr",))
    ]
    groups = [rows for rows in groups if len(rows) > 2]
    if not groups:
        return "it needs three learning rates in configs that agree on everything else"
    forgets = [(row, rows[-1]) for rows in groups for row in rows[:-1]]
    learns = [(row, rows[0]) for rows in groups for row in rows[1:-1]]
    return Case(
        decisive=(
            of_pairs(evidence, forgets, "AZS", left="a smaller lr", right="the largest lr"),
            of_pairs(evidence, learns, "AKA", left="a middle lr", right="the smallest lr"),
        )
    )


def schedules_within_a_task_are_alike(evidence: Evidence) -> Case | str:
    """Cosine and reciprocal square root, both restarted at every task, to within `MARGIN` on both axes."""
    pairs = _between(evidence, SCHEDULE_AXES, _alone("cosine"), _alone("rsqrt"))
    if not pairs:
        return "it needs cosine and rsqrt in configs that agree on everything else"
    contests = [([a], [b]) for a, b in pairs]
    axes: tuple[Quantity, ...] = ("AKA", "AZS")
    return Case(
        decisive=tuple(of_best(evidence, contests, name, left="cosine", right="rsqrt", margin=MARGIN) for name in axes)
    )


def meta_schedules_retain_more(evidence: Evidence) -> Case | str:
    """AZS of each family of meta-schedules against the schedule that it is made of."""
    decisive = []
    for base, family in (("cosine", COSINE_META), ("rsqrt", RSQRT_META)):
        if pairs := _between(evidence, SCHEDULE_AXES, _is("schedule", *family), _alone(base)):
            decisive.append(of_pairs(evidence, pairs, "AZS", left=f"meta-schedules of {base}", right=f"{base} alone"))
    if not decisive:
        return "it needs a meta-schedule, and the schedule that it is made of"
    return Case(decisive=tuple(decisive), further=_each_schedule(evidence, "AZS"))


def rsqrt_keeps_what_cosine_loses(evidence: Evidence) -> Case | str:
    """AKA over tasks: meta-schedules of rsqrt against those of cosine, and against rsqrt alone less `MARGIN`."""
    families = _between(evidence, SCHEDULE_AXES, _is("schedule", *RSQRT_META), _is("schedule", *COSINE_META))
    alone = _between(evidence, SCHEDULE_AXES, _is("schedule", *RSQRT_META), _alone("rsqrt"))
    if not families or not alone:
        return "it needs rsqrt, and meta-schedules of rsqrt and of cosine"
    return Case(
        decisive=(
            of_pairs(evidence, families, "AKA", left="meta-schedules of rsqrt", right="those of cosine"),
            of_pairs(evidence, alone, "AKA", left="meta-schedules of rsqrt", right="rsqrt alone", allowance=MARGIN),
        ),
        further=_each_schedule(evidence, "AKA"),
    )


def compute_helps_merging_alone(evidence: Evidence) -> Case | str:
    """Gain at the most steps minus gain at the fewest: of EMA-merge above 0, of fine-tuning `MARGIN` at most."""
    if "gain" not in evidence.values:
        return "the gain is not defined without a joint anchor that learned"
    differ = ("steps", "w", "lr")
    contests: dict[str, list[tuple[list[int], list[int]]]] = {PLAIN: [], "ema": []}
    for timeline, found in contests.items():
        for rows in by_context(evidence, averaging(evidence, timeline), differ):
            steps = sorted({evidence.configs[row].number("steps") or 0.0 for row in rows})
            if len(steps) > 1:
                most, fewest = (
                    [r for r in rows if evidence.configs[r].number("steps") == n] for n in (steps[-1], steps[0])
                )
                found.append((most, fewest))
    if not all(contests.values()):
        return "it needs EMA-merge and fine-tuning, each with two numbers of steps"
    turned = [(fewest, most) for most, fewest in contests[PLAIN]]
    plain: Sides = {"left": "fine-tuning at the fewest steps", "right": "fine-tuning at the most"}
    merging: Sides = {"left": "EMA-merge at the most steps", "right": "EMA-merge at the fewest"}
    return Case(
        decisive=(
            of_best(evidence, contests["ema"], "gain", **merging),
            of_best(evidence, turned, "gain", **plain, allowance=MARGIN),
        )
    )


def both_towers_beat_one(evidence: Evidence) -> Case | str:
    """GM of full fine-tuning against that of locked-image and of locked-text tuning, each at its best learning rate."""
    plain, full = averaging(evidence, PLAIN), evidence.rows(method="full", timeline=PLAIN)
    decisive = []
    for method, name in (("locked_image", "a locked image tower"), ("locked_text", "a locked text tower")):
        locked = evidence.rows(method=method, timeline=PLAIN)
        contests = [
            (ours, theirs)
            for group in by_context(evidence, plain, OWN_AXES)
            if (ours := [row for row in group if row in full]) and (theirs := [row for row in group if row in locked])
        ]
        if contests:
            decisive.append(of_best(evidence, contests, "GM", left="both towers", right=name))
    return Case(decisive=tuple(decisive)) if decisive else "it needs full fine-tuning, and a locked tower"


def pretrained_temperature_closes_the_gap(evidence: Evidence) -> Case | str:
    """AZS after the first task: from the pretrained temperature minus from a given one."""
    if evidence.paths is None:
        return "it needs as many tasks in every config"
    pairs = _between(evidence, ("temperature",), _is("temperature", None), _has("temperature"))
    if not pairs:
        return "it needs the pretrained temperature and another one, in configs that agree on everything else"
    ours, theirs = (evidence.paths[list(side), :, 1, 1] for side in zip(*pairs, strict=True))
    sides: Sides = {"left": "the pretrained temperature, after the first task", "right": "a reset one"}
    return Case(decisive=(comparison_of(ours - theirs, "AZS", **sides, points=(None, None)),))


def orderings_end_alike(evidence: Evidence) -> Case | str:
    """GM after the whole stream: every ordering equal to the random one to within `MARGIN`."""
    names = sorted({str(config.axes.get("ordering")) for config in evidence.configs if config.trained} - {"random"})
    decisive = []
    for name in names:
        if pairs := _between(evidence, ORDER_AXES, _is("ordering", name), _is("ordering", "random")):
            contests = [([a], [b]) for a, b in pairs]
            shown = name.replace("_", " ")
            decisive.append(of_best(evidence, contests, "GM", left=f"ordering {shown}", right="random", margin=MARGIN))
    if not decisive:
        return "it needs the random ordering and another one, in configs that agree on everything else"
    return Case(decisive=tuple(decisive))


def buffer_matters_more_than_pool(evidence: Evidence) -> Case | str:
    """GM with both replays against that without a buffer; then without the pool against without a buffer."""
    replays, pools = _has("buffer_share"), _has("pool_share")

    def both(config: Config) -> bool:
        return replays(config) and pools(config) and config.number("buffer_size") is None

    def no_buffer(config: Config) -> bool:
        return pools(config) and not replays(config)

    def no_pool(config: Config) -> bool:
        return replays(config) and not pools(config) and config.number("buffer_size") is None

    buffer, pool, against = (
        _between(evidence, SHARE_AXES, left, right)
        for left, right in ((both, no_buffer), (both, no_pool), (no_pool, no_buffer))
    )
    if not buffer or not against:
        return "it needs both replays, one without the buffer, and one without the pretraining pool"
    limited = _between(evidence, BUFFER_AXES, _has("buffer_size"), both)
    further = [of_pairs(evidence, pool, "GM", left="replay of both", right="no pretraining pool")]
    if limited:
        sides: Sides = {"left": "a buffer of limited size", "right": "all earlier samples"}
        further.append(of_pairs(evidence, limited, "GM", **sides))
    return Case(
        decisive=(
            of_pairs(evidence, buffer, "GM", left="replay of both", right="no buffer of earlier tasks"),
            of_pairs(evidence, against, "GM", left="no pretraining pool", right="no buffer of earlier tasks"),
        ),
        further=tuple(further),
    )


# -- pairs -------------------------------------------------------------------------------------------------------------


def _between(
    evidence: Evidence, differ: Sequence[str], left: Callable[[Config], bool], right: Callable[[Config], bool]
) -> Pairs:
    """All pairs of a left and a right config that agree outside `differ`."""
    return [
        (a, b)
        for group in by_context(evidence, evidence.rows(), differ)
        for a in group
        for b in group
        if left(evidence.configs[a]) and right(evidence.configs[b]) and _cool_alike(evidence, a, b)
    ]


def _alone(schedule: str) -> Callable[[Config], bool]:
    """The schedule itself, at its own peak in every task."""
    return lambda config: config.axes.get("schedule") == schedule and config.axes.get("peaks") is None


def _cool_alike(evidence: Evidence, a: int, b: int) -> bool:
    """Two schedules that both cool down do it for the same share of a task."""
    cooldowns = {evidence.configs[row].number("cooldown") for row in (a, b)} - {None}
    return len(cooldowns) < 2


def _is(axis: str, *values: str | None) -> Callable[[Config], bool]:
    return lambda config: config.axes.get(axis) in values


def _has(axis: str) -> Callable[[Config], bool]:
    return lambda config: (config.number(axis) or 0.0) > 0


def _rate(evidence: Evidence, row: int) -> float:
    return evidence.configs[row].number("lr") or 0.0


def _each_schedule(evidence: Evidence, quantity: Quantity) -> tuple[Comparison, ...]:
    """Every meta-schedule against the schedule that it is made of."""
    made_of = {**dict.fromkeys(COSINE_META, "cosine"), **dict.fromkeys(RSQRT_META, "rsqrt")}
    return tuple(
        of_pairs(evidence, pairs, quantity, left=name.replace("_", " "), right=f"{base} alone")
        for name, base in made_of.items()
        if (pairs := _between(evidence, SCHEDULE_AXES, _is("schedule", name), _alone(base)))
    )
