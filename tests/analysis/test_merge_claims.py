"""Claims about merging, on configs whose truth is known: held, turned round, and what they say they need."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from analysis.configs import KNOWN_AXES, AxisValue, Config
from analysis.evidence import Case, Evidence, Verdict
from analysis.findings import _verdict
from analysis.merge_claims import (
    advantage_grows_with_tasks,
    first_update_of_merging_is_free,
    larger_merge_weight_lowers_accumulation,
    merging_ends_above_the_line,
    offline_merging_is_worse,
    places_change_much,
    rules_change_little,
)
from analysis.recipe_claims import ema_merge_gains_over_finetuning

BLOCKS, TASKS = 3, 6
NAMES = {
    ("last", "last"): "finetune",
    ("ema", "ema"): "ema",
    ("base", "ema"): "zs",
    ("base", "all"): "offline",
}
Way = tuple[Config, Sequence[float], Sequence[float]]


def way(
    start: str, serve: str, aka: float, azs: float, *, first: tuple[float, float] = (0.5, 0.8), **axes: AxisValue
) -> Way:
    """A config with its AKA and AZS after every task: zero-shot at (.4, .8), `first`, then straight to the end."""
    merges = {start, serve} & {"ema", "all"}
    values: dict[str, AxisValue] = dict.fromkeys(KNOWN_AXES)
    values |= {"method": "full", "lr": 1e-3, "start": start, "serve": serve, "wise_ft": None, "buffer_share": 0.33}
    values |= {"timeline": NAMES.get((start, serve), f"{start}-{serve}"), "rule": "lerp" if merges else None}
    values |= {"recency": "uniform" if "all" in merges else None, **axes}
    config = Config(
        config_id=f"{start}{serve}{sorted(map(str, axes.items()))}",
        label="",
        setting="",
        family="full fine-tuning",
        group="full",
        timeline=str(values["timeline"]),
        axes=values,
    )
    paths = [
        np.concatenate([[z], np.linspace(f, end, TASKS)]) for z, f, end in ((0.4, first[0], aka), (0.8, first[1], azs))
    ]
    return config, paths[0].tolist(), paths[1].tolist()


def evidence(*ways: Way, noise: float = 0.001, line: float = 0.7, seed: int = 0) -> Evidence:
    """Blocks differ by noise; the gain is AZS above a flat line."""
    rng = np.random.default_rng(seed)
    paths = np.array([[aka, azs] for _, aka, azs in ways]).transpose(0, 2, 1)[:, np.newaxis]
    paths = (paths + rng.normal(0, noise, (len(ways), BLOCKS, TASKS + 1, 2))).clip(0.01, 0.99)
    aka, azs = paths[:, :, -1, 0], paths[:, :, -1, 1]
    return Evidence(
        configs=tuple(config for config, _, _ in ways),
        values={"AKA": aka, "AZS": azs, "GM": np.sqrt(aka * azs), "gain": azs - line},
        criterion=azs - line,
        learned=None,
        zero_shot_aka=np.full(BLOCKS, 0.4),
        paths=paths,
    )


FINETUNE = way("last", "last", 0.6, 0.6)
EMA = [way("ema", "ema", 0.65, 0.75, w=0.5), way("ema", "ema", 0.6, 0.78, w=0.9)]
ZS = way("base", "ema", 0.62, 0.76, w=0.5)
OFFLINE = way("base", "all", 0.5, 0.79)
RULES = [way("ema", "ema", 0.65, 0.75, rule="ties", density=d) for d in (0.2, 0.5)]


def verdict(case: Case | str) -> Verdict:
    assert not isinstance(case, str), case
    return _verdict(case)[0]


HELD: dict[str, tuple[Callable[[Evidence], Case | str], list[Way]]] = {
    "weight": (larger_merge_weight_lowers_accumulation, EMA),
    "above the line": (merging_ends_above_the_line, [FINETUNE, *EMA, ZS]),
    "first update": (first_update_of_merging_is_free, [*EMA, ZS]),
    "offline": (offline_merging_is_worse, [*EMA, OFFLINE]),
    "rules": (rules_change_little, [*EMA, *RULES, way("ema", "ema", 0.2, 0.2, rule="random")]),
    "places": (places_change_much, [FINETUNE, *EMA, ZS, OFFLINE, *RULES]),
    "tasks": (advantage_grows_with_tasks, [FINETUNE, *EMA]),
}
TURNED: dict[str, list[Way]] = {
    "weight": [way("ema", "ema", 0.5, 0.7, w=0.5), way("ema", "ema", 0.6, 0.7, w=0.9)],
    "above the line": [FINETUNE, way("ema", "ema", 0.65, 0.65, w=0.5)],
    "first update": [way("ema", "ema", 0.65, 0.75, first=(0.5, 0.7), w=0.5)],
    "offline": [way("ema", "ema", 0.5, 0.7, w=0.5), way("base", "all", 0.6, 0.7)],
    "rules": [*EMA, way("ema", "ema", 0.75, 0.78, rule="ties", density=0.2)],
    "places": [way("last", "last", 0.8, 0.8), *EMA, ZS],
    "tasks": [way("last", "last", 0.9, 0.8), *EMA],
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
    assert verdict(claim(evidence(*ways, noise=0.1))) in ("undecided", "did not hold")


@pytest.mark.parametrize("name", HELD)
def test_claim_says_what_it_needs(name: str) -> None:
    needed = HELD[name][0](evidence(FINETUNE))
    assert isinstance(needed, str)
    assert "it needs" in needed


def test_configs_that_were_trained_otherwise_are_not_compared() -> None:
    other = way("base", "all", 0.9, 0.9, batch_size=64)
    assert isinstance(offline_merging_is_worse(evidence(*EMA, other)), str)


def test_replay_and_recency_are_shown_beside_offline_merging() -> None:
    more = [way("base", "all", 0.52, 0.79, recency="linear"), way("base", "all", 0.4, 0.7, buffer_share=0.0)]
    case = offline_merging_is_worse(evidence(*EMA, OFFLINE, *more))
    assert not isinstance(case, str)
    shown = {item.left: item.difference.value for item in case.further if item.quantity == "GM"}
    assert shown["offline merging weighted by recency"] == pytest.approx(0.0124, abs=0.003)
    assert shown["offline merging with replay"] == pytest.approx(0.0995, abs=0.003)


def test_places_are_compared_at_the_weighted_average_alone() -> None:
    tempting = way("base", "all", 0.9, 0.9, rule="ties")
    case = places_change_much(evidence(FINETUNE, *EMA, ZS, OFFLINE, tempting))
    assert verdict(case) == "held"


@pytest.mark.parametrize(
    ("name", "tempting"),
    [
        ("above the line", way("last", "last", 0.9, 0.78, wise_ft=0.5)),
        ("above the line", way("ema", "ema", 0.1, 0.79, rule="ties")),
        ("tasks", way("last", "last", 0.9, 0.85, wise_ft=0.5)),
        ("offline", way("base", "all", 0.9, 0.9, rule="ties")),
        ("places", way("base", "all", 0.9, 0.9, lines="linear")),
        ("places", way("base", "last", 0.1, 0.1)),
    ],
)
def test_other_ways_to_serve_do_not_stand_for_averages_or_for_fine_tuning(name: str, tempting: Way) -> None:
    claim, ways = HELD[name]
    assert verdict(claim(evidence(*ways, tempting))) == "held"


def test_ema_merge_is_compared_with_fine_tuning_that_serves_what_it_trained() -> None:
    tempting = [way("last", "last", 0.9, 0.9, wise_ft=0.8), way("ema", "ema", 0.1, 0.1, rule="ties")]
    for ways in ([FINETUNE, *EMA], [*tempting, FINETUNE, *EMA]):
        assert verdict(ema_merge_gains_over_finetuning(evidence(*ways))) == "held"


def test_merging_is_compared_with_what_fine_tuning_learns_at_most() -> None:
    """Its config of the best gain learns less than EMA-merge; another one learns more."""
    ways = [way("last", "last", 0.55, 0.72), way("last", "last", 0.8, 0.6, lr=1e-2), *EMA]
    assert verdict(merging_ends_above_the_line(evidence(*ways))) == "did not hold"


def test_leads_are_chosen_at_their_own_time() -> None:
    """The lead shrinks from .1 to .06 of AKA, though the config that leads in the end had none at half time."""
    late = way("ema", "ema", 0.66, 0.6, first=(0.45, 0.6), w=0.9)
    early = way("ema", "ema", 0.62, 0.6, first=(0.64, 0.6), w=0.5)
    plain = way("last", "last", 0.6, 0.6, first=(0.45, 0.6))
    assert verdict(advantage_grows_with_tasks(evidence(plain, late, early))) == "did not hold"


def test_wise_ft_is_no_cell_of_the_table() -> None:
    tempting = way("last", "last", 0.9, 0.9, wise_ft=0.5)
    assert verdict(places_change_much(evidence(FINETUNE, *EMA, ZS, OFFLINE, *RULES, tempting))) == "held"


def test_paths_of_unequal_length_leave_the_path_claims_untested() -> None:
    without = replace(evidence(FINETUNE, *EMA, ZS), paths=None)
    assert isinstance(first_update_of_merging_is_free(without), str)
    assert isinstance(advantage_grows_with_tasks(without), str)
