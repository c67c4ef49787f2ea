"""Findings 19 to 21, on configs whose truth is known: held, turned round, and what they say they need."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.findings.evidence import Evidence, evidence_of
from analysis.findings.streams import buffer_matters_more_than_pool, every_data_set_teaches, orderings_end_alike
from analysis.frontier import build_frontier
from analysis.tables.loading import make_tables
from tests.analysis.ways import BLOCKS, ClaimTest, Way, evidence, needs, parts, plain, the_test, verdict
from tests.analysis.worlds import World, frames

ORDERINGS = [plain(0.6, 0.7), plain(0.601, 0.7, ordering="time"), plain(0.6, 0.701, ordering="reversed_similarity")]
SHARES = [plain(0.6, 0.78), plain(0.4, 0.78, buffer_share=0.0), plain(0.6, 0.74, pool_share=0.0)]

HELD: dict[str, tuple[ClaimTest, list[Way]]] = {
    "orderings": (orderings_end_alike, ORDERINGS),
    "replay": (buffer_matters_more_than_pool, SHARES),
}
TURNED: dict[str, list[Way]] = {
    "orderings": [plain(0.6, 0.7), plain(0.5, 0.6, ordering="time")],
    "replay": [plain(0.6, 0.78), plain(0.6, 0.79, buffer_share=0.0), plain(0.5, 0.5, pool_share=0.0)],
}


@pytest.mark.parametrize("name", HELD)
def test_claim_holds_where_it_is_true(name: str) -> None:
    claim, ways = HELD[name]
    assert verdict(claim(evidence(*ways))) == "held"


@pytest.mark.parametrize("name", TURNED)
def test_claim_does_not_hold_where_its_effect_is_turned(name: str) -> None:
    assert verdict(HELD[name][0](evidence(*TURNED[name]))) == "did not hold"


@pytest.mark.parametrize("name", HELD)
def test_noise_leaves_a_claim_undecided(name: str) -> None:
    claim, ways = HELD[name]
    verdicts = [verdict(claim(evidence(*ways, noise=0.15, seed=seed))) for seed in range(5)]
    assert verdicts.count("undecided") >= 3


@pytest.mark.parametrize(
    ("name", "words"),
    [("orderings", ["another ordering"]), ("replay", ["buffer_share 0", "pool_share 0"])],
)
def test_claim_says_what_the_study_lacks(name: str, words: list[str]) -> None:
    said = needs(HELD[name][0](evidence(plain(0.6, 0.7))))
    assert all(word in said for word in words)


def test_sides_agree_on_everything_else() -> None:
    other = plain(0.601, 0.7, ordering="time", batch_size=64)
    assert "agree on everything else" in needs(orderings_end_alike(evidence(plain(0.6, 0.7), other)))


def test_buffers_of_limited_size_do_not_stand_for_replay() -> None:
    asked = the_test(buffer_matters_more_than_pool(evidence(*SHARES, plain(0.3, 0.6, buffer_size=3))))
    assert verdict(asked) == "held"
    assert asked.further[-1].left == "a buffer of limited size"


def test_both_axes_are_shown_of_replay() -> None:
    """GM alone would not say that leaving out the pool costs AZS, and the buffer AKA."""
    further = the_test(buffer_matters_more_than_pool(evidence(*SHARES))).further
    shown = {(item.left, item.right, item.quantity): item.difference.value for item in further}
    both, none, poolless = "replay of both", "no buffer of earlier tasks", "no pretraining pool"
    assert shown[both, none, "AKA"] == pytest.approx(0.2, abs=0.003)
    assert shown[both, poolless, "AZS"] == pytest.approx(0.04, abs=0.003)
    assert shown[poolless, none, "AKA"] == pytest.approx(0.2, abs=0.003)


def test_orderings_are_shown_half_way() -> None:
    late = plain(0.6, 0.7, first=(0.41, 0.8), ordering="time")
    asked = the_test(orderings_end_alike(evidence(plain(0.6, 0.7), late, noise=0.0005)))
    assert verdict(asked) == "held"
    assert asked.further[0].difference.value < -0.03


# -- data sets alone ---------------------------------------------------------------------------------------------------


def alone(scores: Mapping[str, tuple[float, float]], noise: float = 0.002) -> Evidence:
    """Data sets with their scores before and after training on each alone, at one rate; a worse rate beside it."""
    ways = [plain(0.5, 0.7, dataset=name, lr=rate) for name in scores for rate in (1e-3, 1e-2)]
    rng = np.random.default_rng(0)
    tables = {}
    for i, (before, after) in enumerate(scores.values()):
        for j, end in enumerate((after, 0.05)):
            tables[2 * i + j] = np.array([[before, end]] * BLOCKS) + rng.normal(0, noise, (BLOCKS, 2)) * [0, 1]
    return replace(evidence(*ways), alone=tables)


def test_every_data_set_must_teach() -> None:
    held = every_data_set_teaches(alone({"Birds": (0.4, 0.6), "Cars": (0.7, 0.75)}))
    assert verdict(held) == "held"
    assert [item.left.split(",")[0] for item in the_test(held).decisive] == ["Birds", "Cars"]
    assert the_test(held).decisive[0].left_configs == (1,)
    assert the_test(held).decisive[0].candidates == (1, 2)
    fallen = every_data_set_teaches(alone({"Birds": (0.4, 0.6), "Cars": (0.7, 0.65)}))
    assert parts(fallen) == ["held", "did not hold"]
    assert verdict(fallen) == "did not hold"
    said = needs(every_data_set_teaches(evidence(plain(0.5, 0.7))))
    assert all(words in said for words in ("axis dataset", "preset datasets", "retune data verify"))


def test_scores_of_single_data_sets_come_from_the_tables() -> None:
    """A column `dataset` on one config of a synthetic study: its scores at both ends, by block."""
    world = World(tasks=1, rates=(1e-4,), timelines=("finetune",))
    tables = frames(world)
    trials = tables["trials"]
    chosen = trials["method"].eq("lora") & trials["rank"].eq(2)
    trials = trials.assign(dataset=pd.Series("DTD", index=trials.index[chosen]))
    study = make_tables(trials, tables["tasks"], tables["scores"], name="study")
    found = evidence_of(build_frontier(study), study)
    [(row, values)] = found.alone.items()
    assert found.configs[row].axes["dataset"] == "DTD"
    own = pd.DataFrame(tables["scores"]).merge(trials[chosen], on="trial")
    own = own[own["dataset_x"] == "DTD"].sort_values(["block", "task"])
    assert values == pytest.approx(own["value"].to_numpy().reshape(world.blocks, 2))
