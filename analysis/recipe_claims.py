"""Claims about learning rates and merging, of arXiv 2408.14471, sections 5 and 6, on pairs that differ in one axis."""

from analysis.configs import MERGE_AXES, METHOD_AXES, Config, family_name, matched, short
from analysis.evidence import (
    OWN_AXES,
    Case,
    Evidence,
    Sides,
    averaging,
    by_context,
    of_best,
    of_pairs,
    pairs_by,
    per_group,
)


def full_accumulates_more_than_lora(evidence: Evidence) -> Case | str:
    """Each at the learning rate of its highest AKA (chosen on the other blocks), then at every rate that both have."""
    ranks = [rank for row in evidence.rows(method="lora") if (rank := evidence.configs[row].number("rank")) is not None]
    full = evidence.rows(method="full", timeline="finetune")
    lora = evidence.rows(method="lora", timeline="finetune", rank=min(ranks, default=-1.0))
    if not full or not lora:
        return "it needs full fine-tuning and LoRA, both without merging"
    contests = [
        (left, right)
        for left in by_context(evidence, full, OWN_AXES)
        if (right := [r for r in lora if matched(evidence.configs[left[0]], evidence.configs[r], differ=OWN_AXES)])
    ]
    if not contests:
        return "no full and LoRA configs agree on all other axes"
    full_name, lora_name = (family_name(evidence.configs[rows[0]].axes) for rows in (full, lora))
    best = of_best(evidence, contests, "AKA", left=f"{full_name} at its best lr", right=f"{lora_name} at its best lr")
    same_lr = [
        (a, b)
        for a in full
        for b in lora
        if matched(evidence.configs[a], evidence.configs[b], differ=tuple(METHOD_AXES))
    ]
    rates = sorted({evidence.configs[a].number("lr") or 0.0 for a, _ in same_lr})
    each = tuple(
        of_pairs(
            evidence,
            [pair for pair in same_lr if (evidence.configs[pair[0]].number("lr") or 0.0) == rate],
            "AKA",
            left=f"{full_name} at lr {short(rate)}",
            right=f"{lora_name} at lr {short(rate)}",
        )
        for rate in rates
    )
    return Case(decisive=(best,), further=each)


def larger_learning_rate_lowers_retention(evidence: Evidence) -> Case | str:
    """AZS at the smaller minus AZS at the larger learning rate, over all pairs that agree on everything else."""
    pairs = [(low, high) for low, high in pairs_by(evidence, "lr")]
    if not pairs:
        return "it needs configs that differ in the learning rate only"
    sides: Sides = {"left": "the smaller lr", "right": "the larger lr"}
    return Case(
        decisive=(of_pairs(evidence, pairs, "AZS", **sides),),
        further=per_group(evidence, pairs, "AZS", _family_and_timeline, **sides),
    )


def ema_merge_gains_over_finetuning(evidence: Evidence) -> Case | str:
    """Gain of EMA-merge (best w, chosen on the other blocks; then every w) minus fine-tuning's, same method and lr.

    EMA-merge as in arXiv 2408.14471, which averages weights; other rules have claims of their own.
    """
    if "gain" not in evidence.values:
        return "the gain is not defined without a joint anchor that learned"
    ema, plain = averaging(evidence, "ema"), averaging(evidence, "finetune")
    if not ema or not plain:
        return "it needs EMA-merge and plain fine-tuning"
    # Merging folds adapters after each task: its twin is the fine-tuning that folds them, where there is one.
    plain = sorted(plain, key=lambda row: evidence.configs[row].axes.get("lifetime") == "continue")
    differ = tuple(MERGE_AXES)
    contests = [
        (left, right[:1])
        for left in by_context(evidence, ema, ("w",))
        if (right := [r for r in plain if _twins(evidence.configs[left[0]], evidence.configs[r], differ)])
    ]
    if not contests:
        return "no EMA-merge and fine-tuning configs agree on all other axes"
    pairs = [(row, right[0]) for left, right in contests for row in left]
    weights = sorted({evidence.configs[a].number("w") or 0.0 for a, _ in pairs})
    each = tuple(
        of_pairs(
            evidence,
            [pair for pair in pairs if (evidence.configs[pair[0]].number("w") or 0.0) == weight],
            "gain",
            left=f"EMA-merge at w={short(weight)}",
            right="fine-tuning",
        )
        for weight in weights
    )
    best = of_best(evidence, contests, "gain", left="EMA-merge at its best w", right="fine-tuning")
    return Case(decisive=(best,), further=each)


def larger_merge_weight_raises_retention(evidence: Evidence) -> Case | str:
    """AZS at the larger minus AZS at the smaller merge weight, over all pairs that agree on everything else."""
    pairs = [(high, low) for low, high in pairs_by(evidence, "w")]
    if not pairs:
        return "it needs configs that differ in the merge weight only"
    sides: Sides = {"left": "the larger w", "right": "the smaller w"}
    return Case(
        decisive=(of_pairs(evidence, pairs, "AZS", **sides),),
        further=per_group(evidence, pairs, "AZS", _family_and_timeline, **sides),
    )


def _twins(left: Config, right: Config, differ: tuple[str, ...]) -> bool:
    """Whether two configs are one method, trained alike."""
    return left.family == right.family and matched(left, right, differ=differ)


def _family_and_timeline(config: Config) -> str:
    return f"{config.family}, {config.timeline_name}"
