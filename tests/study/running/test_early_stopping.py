"""Early stopping: who is ahead of whom, at which tasks, and whom a trial is compared with."""

import moocore
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.definition.search import EarlyStopping
from study.running.early_stopping import Reached, Rungs, fronts, net_order, standing
from tests.study.search.driver import definition
from trainables.frozen import ConfigError

GRID_VALUES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=30)


@given(GRID_VALUES)
def test_fronts_are_those_of_another_implementation(points: list[tuple[int, int]]) -> None:
    """Coordinates of seven values each make many ties."""
    xy = np.array(points, dtype=float)
    np.testing.assert_array_equal(fronts(xy), moocore.pareto_rank(xy, maximise=True))


@given(GRID_VALUES)
def test_a_net_takes_every_point_once_the_rightmost_first(points: list[tuple[int, int]]) -> None:
    xy = np.array(points, dtype=float)
    order = net_order(xy)
    assert sorted(order) == list(range(len(xy)))
    assert points[order[0]] == max(points)


def test_a_net_spreads() -> None:
    line = np.array([[0, 10], [1, 9], [2, 8], [5, 5], [10, 0]], dtype=float)
    assert net_order(line)[:3] == [4, 0, 3]


@given(GRID_VALUES)
def test_a_place_counts_all_better_fronts(points: list[tuple[int, int]]) -> None:
    xy = np.array(points, dtype=float)
    ranks = fronts(xy)
    for i in range(len(points)):
        ahead, place = standing(points, i)
        assert (ahead > 0) == (ranks[i] > 0)
        assert (ranks < ranks[i]).sum() <= place < len(points) if ahead else place == 0


def at(trial: str, aka: float, azs: float, *, task: int = 2, block: str = "b0", tasks: int = 6) -> Reached:
    return Reached(trial=trial, config=f"c{trial}", block=block, tasks=tasks, task=task, aka=aka, azs=azs)


def rungs(**settings: object) -> Rungs:
    return Rungs(EarlyStopping.model_validate({"at": [2, 4], "least": 2, **settings}), {})


def test_the_dominated_half_stops_and_trade_offs_never_do() -> None:
    found = rungs()
    for i in range(6):  # a frontier: everything is a trade-off
        assert not found.decide(at(str(i), 0.1 * i, 0.9 - 0.1 * i)).stops
    verdict = found.decide(at("worse", 0.25, 0.55))
    assert verdict.stops
    assert verdict.reason == "1 of 6 trials of its block were ahead in AKA and AZS after task 2"


def test_a_dominated_trial_in_the_better_share_goes_on() -> None:
    found = rungs(keep=0.75)
    for i in range(3):
        found.decide(at(str(i), 0.5 - 0.1 * i, 0.5 - 0.1 * i))
    assert not found.decide(at("second", 0.45, 0.45)).stops  # place 1 of 4, and three may go on
    assert rungs(keep=0.25).decide(at("a", 0, 0)).stops is False  # nobody to compare it with


def test_only_trials_of_the_same_block_stream_and_task_are_compared() -> None:
    found = rungs()
    ahead = [at("p", 0.9, 0.9, block="b1"), at("q", 0.9, 0.9, tasks=12), at("r", 0.9, 0.9, task=4)]
    assert not any(found.decide(one).stops for one in ahead)
    assert not found.decide(at("a", 0.1, 0.1)).stops  # the first of its kind
    assert not found.decide(at("b", 0.0, 0.0, task=3)).stops  # no rung
    assert not found.decide(at("b", 0.0, 0.0, task=6)).stops  # its end
    assert found.decide(at("c", 0.0, 0.0)).stops


def test_a_trial_that_is_tried_again_is_not_judged_twice() -> None:
    found = rungs()
    found.decide(at("a", 0.2, 0.2))
    assert not found.decide(at("b", 0.3, 0.3)).stops
    found.decide(at("c", 0.9, 0.9))
    assert not found.decide(at("b", 0.3, 0.3)).stops


def test_a_config_that_came_to_the_end_on_a_block_is_not_stopped_on_others() -> None:
    found = Rungs(EarlyStopping(at=[2], least=2), {}, ["ca"])
    assert not found.decide(at("x", 0.9, 0.9)).stops
    assert not found.decide(at("a", 0.1, 0.1)).stops
    assert found.decide(at("b", 0.05, 0.05)).stops
    found.finish("cc")
    assert not found.decide(at("c", 0.0, 0.0)).stops


def test_a_config_that_was_stopped_elsewhere_ends_with_the_next_rung() -> None:
    found = Rungs(EarlyStopping(at=[2]), {"ca": "b1"})
    assert found.stopped_elsewhere("ca", "b0")
    assert not found.stopped_elsewhere("ca", "b1")
    assert found.decide(at("a", 0.9, 0.9)).reason == "its config was stopped on b1"
    assert not Rungs(None, {}).decide(at("a", 0.0, 0.0)).stops


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"at": [2]}, "early_stopping.at: [2] given; trials have 2 tasks"),
        ({"at": []}, "early_stopping: at: [] given; tasks in rising order"),
        ({"at": [2, 1]}, "early_stopping: at: [2, 1] given; tasks in rising order"),
        ({"at": [1], "keep": 1.0}, "early_stopping.keep: 1.0 given; allowed: less than 1"),
        ({"at": [1], "kep": 0.5}, "early_stopping.kep: unknown key; did you mean keep?"),
        ({}, "early_stopping.at: missing"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, object], said: str) -> None:
    from study.planning.plan import make_plan

    with pytest.raises(ConfigError) as error:
        make_plan(definition(grid=[{"lr": [1e-3]}], early_stopping=settings), "s.yaml")
    assert said in str(error.value)
