"""Claims about recipes and data, on configs whose truth is known: held, turned round, and what they say they need."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from analysis.configs import AxisValue
from analysis.evidence import Case, Evidence
from analysis.stream_claims import (
    both_towers_beat_one,
    buffer_matters_more_than_pool,
    compute_helps_merging_alone,
    learning_rates_have_a_middle,
    meta_schedules_retain_more,
    orderings_end_alike,
    pretrained_temperature_closes_the_gap,
    rsqrt_keeps_what_cosine_loses,
    schedules_within_a_task_are_alike,
)
from tests.analysis.test_merge_claims import Way, evidence, verdict, way


def plain(aka: float, azs: float, *, first: tuple[float, float] = (0.5, 0.8), **axes: AxisValue) -> Way:
    base: dict[str, Any] = {"schedule": "cosine", "temperature": None, "ordering": "random", "steps": 14}
    return way("last", "last", aka, azs, first=first, **{**base, "pool_share": 0.33, **axes})


def ema(aka: float, azs: float, steps: int = 14) -> Way:
    return way("ema", "ema", aka, azs, w=0.5, steps=steps)


RATES = [plain(0.45, 0.8, lr=1e-4), plain(0.6, 0.78, lr=1e-3), plain(0.55, 0.6, lr=1e-2)]
SCHEDULES = [
    plain(0.6, 0.7),
    plain(0.601, 0.702, schedule="rsqrt"),
    plain(0.45, 0.79, schedule="autoregressive_cosine"),
    plain(0.6, 0.75, schedule="autoregressive_rsqrt"),
    plain(0.598, 0.75, schedule="matched_rsqrt"),
]
COMPUTE = [plain(0.6, 0.75), plain(0.65, 0.745, steps=56), ema(0.6, 0.76), ema(0.6, 0.79, steps=56)]
TOWERS = [plain(0.7, 0.78), plain(0.5, 0.8, method="locked_image"), plain(0.55, 0.75, method="locked_text")]
TEMPERATURES = [plain(0.6, 0.7, first=(0.5, 0.8)), plain(0.6, 0.7, first=(0.5, 0.75), temperature=0.07)]
ORDERINGS = [plain(0.6, 0.7), plain(0.601, 0.7, ordering="time"), plain(0.6, 0.701, ordering="reversed_similarity")]
SHARES = [plain(0.6, 0.78), plain(0.4, 0.78, buffer_share=0.0), plain(0.6, 0.74, pool_share=0.0)]

HELD: dict[str, tuple[Callable[[Evidence], Case | str], list[Way]]] = {
    "rates": (learning_rates_have_a_middle, RATES),
    "within": (schedules_within_a_task_are_alike, SCHEDULES),
    "meta": (meta_schedules_retain_more, SCHEDULES),
    "families": (rsqrt_keeps_what_cosine_loses, SCHEDULES),
    "compute": (compute_helps_merging_alone, COMPUTE),
    "towers": (both_towers_beat_one, TOWERS),
    "temperature": (pretrained_temperature_closes_the_gap, TEMPERATURES),
    "orderings": (orderings_end_alike, ORDERINGS),
    "replay": (buffer_matters_more_than_pool, SHARES),
}
TURNED: dict[str, list[Way]] = {
    "rates": [plain(0.45, 0.7, lr=1e-4), plain(0.4, 0.7, lr=1e-3), plain(0.4, 0.7, lr=1e-2)],
    "within": [plain(0.6, 0.7), plain(0.65, 0.7, schedule="rsqrt")],
    "meta": [plain(0.6, 0.7), plain(0.6, 0.65, schedule="autoregressive_cosine")],
    "families": [*SCHEDULES[:3], plain(0.4, 0.75, schedule="autoregressive_rsqrt")],
    "compute": [plain(0.6, 0.7), plain(0.6, 0.76, steps=56), *COMPUTE[2:]],
    "towers": [plain(0.5, 0.7), plain(0.6, 0.8, method="locked_image")],
    "temperature": [TEMPERATURES[0], plain(0.6, 0.7, first=(0.5, 0.85), temperature=0.07)],
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
    assert verdicts.count("held") <= 1


@pytest.mark.parametrize("name", HELD)
def test_claim_says_what_it_needs(name: str) -> None:
    needed = HELD[name][0](evidence(plain(0.6, 0.7)))
    assert isinstance(needed, str)
    assert "it needs" in needed


def test_sides_agree_on_everything_else() -> None:
    other = plain(0.601, 0.7, ordering="time", batch_size=64)
    assert isinstance(orderings_end_alike(evidence(plain(0.6, 0.7), other)), str)


@pytest.mark.parametrize(
    ("name", "tempting"),
    [
        ("within", plain(0.4, 0.8, peaks="1, 0.5, 0.25, 0.1, 0.1, 0.1")),
        ("meta", plain(0.4, 0.79, peaks="1, 0.5, 0.25, 0.1, 0.1, 0.1")),
        ("replay", plain(0.3, 0.6, buffer_size=3)),
        ("rates", plain(0.1, 0.2, lr=1.0)),
    ],
)
def test_others_do_not_stand_for_the_sides_of_a_claim(name: str, tempting: Way) -> None:
    claim, ways = HELD[name]
    assert verdict(claim(evidence(*ways, tempting))) == "held"


def test_every_meta_schedule_is_shown() -> None:
    case = meta_schedules_retain_more(evidence(*SCHEDULES))
    assert not isinstance(case, str)
    assert [item.left for item in case.further] == ["autoregressive cosine", "autoregressive rsqrt", "matched rsqrt"]


def test_paths_of_unequal_length_leave_the_gap_untested() -> None:
    assert isinstance(pretrained_temperature_closes_the_gap(replace(evidence(*TEMPERATURES), paths=None)), str)
