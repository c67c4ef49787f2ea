"""Search spaces: what applies is drawn, what does not is not, and a space knows its own points."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from search_spaces.domain import Choices, Domain
from search_spaces.search import SPACE, SearchSpace
from search_spaces.space import Scalar, expand
from trainables.frozen import ConfigError
from trainables.workloads.pocket.settings import Pocket

FIXED: dict[str, Scalar] = {"tasks": 3, "steps": 2, "batch_size": 32}
RATE = {"low": 1e-4, "high": 1e-2}


def space(*spaces: Mapping[str, Any], **fixed: Scalar) -> SearchSpace:
    return SearchSpace(spaces, fixed={**FIXED, **fixed}, workload=Pocket(), source="s.yaml")


def at_random(seed: int) -> Any:
    draw = random.Random(seed)

    def choose(_: str, one: Domain) -> Scalar:
        return draw.choice(one.values) if isinstance(one, Choices) else one.rounded(draw.uniform(one.low, one.high))

    return choose


CONDITIONAL = space(
    {"method": ["full", "lora"], "rank": [2, 4], "timeline": ["finetune", "ema"], "w": {"low": 0.3, "high": 0.9}},
    {"method": "ewc", "strength": {"low": 10, "high": 1e6}, "lr": RATE},
    {"start": ["base", "last"], "serve": ["last", "ema"], "rule": ["lerp", "ties"], "w": 0.5, "density": [0.2, 0.4]},
)


@pytest.mark.parametrize("seed", range(40))
def test_drawn_points_have_what_applies_and_are_found_again(seed: int) -> None:
    point = CONDITIONAL.draw(at_random(seed))
    values = point.values
    if "strength" not in values and "start" not in values:
        assert ("rank" in values) == (values["method"] == "lora")
        assert ("w" in values) == (values["timeline"] == "ema")
    if "serve" in values:
        assert ("density" in values) == ((values["serve"], values.get("rule")) == ("ema", "ties"))
    assert CONDITIONAL.point_of(values) == point
    assert point.drawn.keys() <= CONDITIONAL.choices.keys()
    config = CONDITIONAL.config(values)
    assert config.recipe.batch_size == 32


def test_points_of_other_spaces_are_not_found() -> None:
    point = CONDITIONAL.draw(at_random(0))
    assert CONDITIONAL.point_of({**point.values, "lr": 0.5}) is None
    assert CONDITIONAL.point_of({"method": "full"}) is None


def test_axes_have_one_name_where_they_range_over_the_same() -> None:
    alike = space({"method": "full", "lr": RATE}, {"method": "lora", "rank": [2, 4], "lr": RATE})
    assert list(alike.choices) == [SPACE, "lr", "rank"]
    other = space({"method": "full", "lr": RATE}, {"method": "lora", "lr": {"low": 1e-3, "high": 1e-1}})
    assert list(other.choices) == [SPACE, "lr of space 0", "lr of space 1"]
    assert list(space({"method": "full", "lr": RATE}).choices) == ["lr"]


def test_a_finite_space_is_the_grid_of_the_same_lists() -> None:
    timelines = {"timeline": ["finetune", "ema"], "w": [0.5, 0.8]}
    grid: dict[str, Any] = {"method": ["full", "lora"], "rank": [2, 4], **timelines}
    found = space(grid)
    configs = {found.config(point.values).config_id for point in found.points()}
    assert configs == {one.config_id for one in expand([grid], fixed=FIXED, workload=Pocket(), source="s")}
    assert found.size == len(configs) == 3 * 3
    assert space({"lr": RATE}).size is None
    assert list(space({"lr": RATE}).points()) == []


def test_probes_show_every_branch_at_both_ends_and_every_value() -> None:
    found = space({"method": ["full", "lora"], "rank": [2, 4, 8], "lr": RATE})
    values = [dict(point.values) for point in found.probes()]
    assert {"method": "full", "lr": 1e-4} in values
    assert {"method": "full", "lr": 1e-2} in values
    assert {one.get("rank") for one in values} == {None, 2, 4, 8}


@pytest.mark.parametrize(
    ("spaces", "fixed", "said"),
    [
        ([{"method": "full"}], {}, "there is nothing to search, for no axis has a choice"),
        ([], {}, "there is nothing to search"),
        ([{"lr": [1e-3, 1e-3]}], {}, "there is nothing to search"),
        ([{"lrr": RATE}], {}, r"search.spaces\[0\].lrr: unknown axis; did you mean lr\?"),
        ([{"lr": RATE, "method": ["full", "joint"]}], {}, "joint is an anchor and no method to search for"),
        ([{"lr": RATE, "dataset": ["a", "b"]}], {}, r"search.spaces\[0\].dataset: .*give it one value, under fixed"),
        ([{"lr": RATE}], {"lrr": 1}, "fixed.lrr: unknown axis"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    spaces: Sequence[Mapping[str, Any]], fixed: dict[str, Scalar], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        space(*spaces, **fixed)


@pytest.mark.parametrize(
    ("spaces", "fixed", "said"),
    [
        ([{"timeline": "ema", "w": {"low": 0.5, "high": 1.5}}], {}, r"search.spaces\[0\].w: 1.5 given"),
        ([{"lr": RATE, "rank": [2, 4]}], {}, r"search.spaces\[0\].rank: applies to no config of this space"),
        ([{"lr": RATE}], {"w": 0.5}, "fixed.w: applies to no config of the search"),
        ([{"method": ["full", "fulll"], "lr": RATE}], {}, "'fulll' is unknown; did you mean full"),
        ([{"pool_share": {"low": 0.1, "high": 0.4}}], {}, "must sum to 1"),
    ],
)
def test_a_look_at_the_probes_finds_what_is_not_allowed(
    spaces: Sequence[Mapping[str, Any]], fixed: dict[str, Scalar], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        space(*spaces, **fixed).check()
