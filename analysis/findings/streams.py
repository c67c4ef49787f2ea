"""Findings 19 to 21, data (arXiv 2408.14471): orderings, replay, and whether each data set teaches.

The two sides of a pair agree on every axis but the one that the claim is about.
"""

from collections.abc import Callable
from itertools import product

import numpy as np

from analysis.configs import ALONE, Config
from analysis.findings.evidence import CannotTest, Comparison, Evidence, Quantity, Test, by_context
from analysis.findings.pairs import Side, SideNames, between, comparison_of, lacks, of_best, of_pairs, placeless
from analysis.uncertainty import honest_choice

ORDER_AXES = ("ordering", "embedding", "start_concept")
SHARE_AXES = ("pool_share", "new_share", "buffer_share")
BUFFER_AXES = (*SHARE_AXES, "buffer_size", "buffer_policy")


def orderings_end_alike(evidence: Evidence) -> Test | CannotTest:
    """GM after the whole stream: every ordering equal to the random one to within the margin.

    GM after half of the tasks shows that the paths to this end differ.
    """
    names = sorted({str(evidence.configs[row].axes.get("ordering")) for row in evidence.rows()} - {"random"})
    decisive: list[Comparison] = []
    further: list[Comparison] = []
    for name in names:
        pairs = between(evidence, ORDER_AXES, _ordered(name), _ordered("random"))
        if pairs:
            shown = f"ordering {name.replace('_', ' ')}"
            alike = [([a], [b]) for a, b in pairs]
            decisive.append(of_best(evidence, alike, "GM", left=shown, right="random", margin=evidence.margins["GM"]))
            further += _half_way(evidence, pairs, shown)
    if not decisive:
        random = [row for row in evidence.rows() if _ordered("random")(evidence.configs[row])]
        others = [name for name in names if name != "None"]
        return lacks([(random, "ordering random"), (others, "another ordering than random")])
    return Test(decisive=tuple(decisive), further=tuple(further))


def buffer_matters_more_than_pool(evidence: Evidence) -> Test | CannotTest:
    """GM with both replays against GM without a buffer; then GM without the pool against GM without a buffer.

    Only ways of training that the study has with all three have a say. AKA and AZS show what the GM comes of.
    """

    def replays(config: Config) -> bool:
        return (config.number("buffer_share") or 0.0) > 0

    def pools(config: Config) -> bool:
        return (config.number("pool_share") or 0.0) > 0

    def both(config: Config) -> bool:
        return replays(config) and pools(config) and config.number("buffer_size") is None

    def no_buffer(config: Config) -> bool:
        return pools(config) and not replays(config)

    def no_pool(config: Config) -> bool:
        return replays(config) and not pools(config) and config.number("buffer_size") is None

    def limited(config: Config) -> bool:
        return replays(config) and pools(config) and config.number("buffer_size") is not None

    triples = [
        (a, b, c)
        for group in by_context(evidence, evidence.rows(), SHARE_AXES)
        for a, b, c in product(
            *([row for row in group if kind(evidence.configs[row])] for kind in (both, no_buffer, no_pool))
        )
    ]
    if not triples:
        rows = evidence.rows()
        return lacks(
            [
                ([row for row in rows if kind(evidence.configs[row])], need)
                for kind, need in (
                    (both, "replay of both earlier tasks and pretraining data"),
                    (no_buffer, "training without a buffer (buffer_share 0)"),
                    (no_pool, "training without the pretraining pool (pool_share 0)"),
                )
            ]
        )
    names = ("replay of both", "no buffer of earlier tasks", "no pretraining pool")

    def compared(left: int, right: int, quantity: Quantity) -> Comparison:
        pairs = [(triple[left], triple[right]) for triple in triples]
        return of_pairs(evidence, pairs, quantity, left=names[left], right=names[right])

    axes: tuple[Quantity, ...] = ("AKA", "AZS")
    further = [compared(a, b, axis) for a, b in ((0, 1), (2, 1), (0, 2)) for axis in axes]
    if kept := between(evidence, BUFFER_AXES, limited, both):
        sides: SideNames = {"left": "a buffer of limited size", "right": "all earlier samples"}
        further.append(of_pairs(evidence, kept, "GM", **sides))
    return Test(decisive=(compared(0, 1, "GM"), compared(2, 1, "GM")), further=tuple(further))


def every_data_set_teaches(evidence: Evidence) -> Test | CannotTest:
    """The score of each data set after training on it alone, at its best settings, minus its zero-shot score."""
    if not evidence.alone:
        return CannotTest(
            (
                f"configs trained on one data set alone (axis {ALONE}, which names it, as in the preset datasets; "
                "outside of a study, retune data verify shows the same)",
            )
        )
    rows_of: dict[str, list[int]] = {}
    for row in evidence.alone:
        rows_of.setdefault(str(evidence.configs[row].axes[ALONE]), []).append(row)
    decisive = []
    for name, rows in sorted(rows_of.items()):
        scores_CSQ = np.array([evidence.alone[row] for row in rows])
        place_S = honest_choice(scores_CSQ[..., 1])
        own_SQ = scores_CSQ[place_S, np.arange(len(place_S))]
        left = placeless(evidence, f"{name}, fine-tuned on it alone,", np.asarray(rows)[place_S], rows)
        decisive.append(
            comparison_of((own_SQ[:, 1] - own_SQ[:, 0])[np.newaxis], "score", left, Side(name="its zero-shot score"))
        )
    return Test(decisive=tuple(decisive))


def _half_way(evidence: Evidence, pairs: list[tuple[int, int]], name: str) -> list[Comparison]:
    """GM after half of the tasks."""
    if evidence.tasks < 2:
        return []
    assert evidence.paths is not None
    half = evidence.tasks // 2
    gm_CS = np.sqrt(evidence.paths[:, :, half, 0] * evidence.paths[:, :, half, 1])
    blocks = gm_CS.shape[1]
    left, right = (np.repeat(np.array(rows)[:, np.newaxis], blocks, axis=1) for rows in zip(*pairs, strict=True))
    difference = np.array([gm_CS[a] - gm_CS[b] for a, b in pairs])
    ours, theirs = placeless(evidence, f"{name} after {half} tasks", left, ()), placeless(evidence, "random", right, ())
    return [comparison_of(difference, "GM", ours, theirs)]


def _ordered(name: str) -> Callable[[Config], bool]:
    return lambda config: str(config.axes.get("ordering")) == name
