"""From comparisons to a verdict, its p value, what multiple testing leaves of it, and the blocks that would decide it.

A claim held if all its k decisive comparisons held (an intersection-union test: its p is the largest of theirs). It did
not hold if one of them did not with the error shared over all k: its p is k times the smallest (Bonferroni), because
any of many parts fails by chance. Over all claims that a study tests, p values are adjusted by Holm (1979).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from analysis import uncertainty
from analysis.findings.evidence import Comparison, Test, Verdict
from analysis.uncertainty import LEVEL, MIN_BLOCKS

ALPHA = 1 - LEVEL


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A verdict with its reason if it is undecided, and the p value of the side to which it leans."""

    verdict: Verdict
    reason: str | None
    p_value: float | None


@dataclass(frozen=True, kw_only=True)
class More:
    """What would decide a claim: `blocks` more blocks of some configs; None where no number up to `MAX_BLOCKS` would.

    `at_least` says that there are too few blocks to tell how many.
    """

    blocks: int | None
    configs: tuple[int, ...]
    at_least: bool = False


def decide(test: Test) -> Decision:
    """All parts must hold; one that fails is enough against the claim."""
    parts = test.decisive
    p_values = [part.p_values for part in parts]
    known = [p for p in p_values if p is not None]
    if len(known) < len(parts):
        reasons = dict.fromkeys(part.reason for part in parts if part.reason is not None)
        return Decision(verdict="undecided", reason="; ".join(reasons), p_value=None)
    p_held = max(held for held, _ in known)
    p_fell = min(1.0, len(parts) * min(fell for _, fell in known))
    p_value = p_fell if test.missing else min(p_held, p_fell)
    if p_fell < ALPHA:
        return Decision(verdict="did not hold", reason=None, p_value=p_value)
    if p_held < ALPHA and not test.missing:
        return Decision(verdict="held", reason=None, p_value=p_value)
    return Decision(verdict="undecided", reason=_reason(test), p_value=p_value)


def more_blocks(test: Test) -> More:
    """The fewest further blocks that would decide an undecided claim if differences and their spread stay as they are.

    At that number the half width of an interval equals the distance to its threshold, so the odds are about even.
    """
    undecided = [part for part in test.decisive if part.verdict != "held"]
    have = max((part.difference.blocks for part in test.decisive), default=0)
    if have < MIN_BLOCKS and any(part.difference.se is None for part in test.decisive):
        return More(blocks=MIN_BLOCKS - have, configs=_candidates(undecided), at_least=True)
    level = ALPHA / len(test.decisive)
    fall = [(n, part) for part in test.decisive if (n := blocks_for(part, held=False, alpha=level)) is not None]
    hold = [blocks_for(part, held=True, alpha=ALPHA) for part in test.decisive]
    options: list[tuple[int, tuple[int, ...]]] = []
    if fall:
        blocks, part = min(fall, key=lambda option: option[0])
        options.append((blocks, _candidates([part])))
    if not test.missing and None not in hold:
        options.append((max(n for n in hold if n is not None), _candidates(undecided)))
    if not options:
        return More(blocks=None, configs=_candidates(undecided))
    blocks, configs = min(options, key=lambda option: option[0])
    return More(blocks=max(1, blocks - have), configs=configs)


def blocks_for(part: Comparison, *, held: bool, alpha: float) -> int | None:
    """The fewest blocks, and no fewer than there are, at which this difference and spread decide a part one way."""
    return uncertainty.blocks_for(part.difference, part.distances[0 if held else 1], alpha=alpha)


def _reason(test: Test) -> str:
    reasons = list(dict.fromkeys(part.reason for part in test.decisive if part.reason is not None))
    failed = sum(part.verdict == "did not hold" for part in test.decisive)
    if failed:
        count = len(test.decisive)
        reasons.insert(0, f"{failed} of {count} parts did not hold, which one of {count} does too often by chance")
    if test.missing:
        held = "what was tested holds, but " if not reasons else ""
        reasons.append(f"{held}the study lacks {'; '.join(test.missing)}")
    return "; ".join(reasons)


def _candidates(parts: Sequence[Comparison]) -> tuple[int, ...]:
    return tuple(sorted({number for part in parts for number in part.candidates}))
