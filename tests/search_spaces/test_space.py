"""Spaces: conditions, canonical form, no duplicates, and errors that name the axis."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.space import AXES, Scalar, Values, axis_values, build, expand
from trainables.config import TrialConfig
from trainables.frozen import ConfigError
from trainables.merging.timeline import timeline
from trainables.methods.method import METHODS, named
from trainables.workloads.pocket.settings import Pocket

WORKLOAD = Pocket(pool=512)
FIXED: dict[str, Scalar] = {"steps": 10, "lr": 1e-3}


def grid(*grids: dict[str, Values], fixed: dict[str, Scalar] | None = None) -> tuple[TrialConfig, ...]:
    return expand(grids, fixed=FIXED if fixed is None else fixed, workload=WORKLOAD, source="s.yaml")


def test_grid_is_a_product_in_the_order_written() -> None:
    configs = grid({"lr": [1e-3, 1e-4], "steps": [5, 6]})
    got = [(config.recipe.optimiser.lr, config.recipe.steps) for config in configs]
    assert got == [(1e-3, 5), (1e-3, 6), (1e-4, 5), (1e-4, 6)]
    assert all(config.workload == WORKLOAD for config in configs)
    assert all((config.seed, config.order) == (0, 0) for config in configs)


def test_scalar_is_a_list_of_one() -> None:
    assert grid({"lr": 1e-3}) == grid({"lr": [1e-3]})


def test_defaults_are_full_fine_tuning() -> None:
    (config,) = grid({"lr": 1e-3})
    assert config.recipe.method == named("full")
    assert config.timeline == timeline("finetune")


def test_rank_only_where_there_is_an_adapter() -> None:
    configs = grid({"method": ["full", "lora"], "rank": [2, 4, 8]})
    assert [config.recipe.method for config in configs] == [
        named("full"),
        *(named("lora", rank=rank) for rank in (2, 4, 8)),
    ]


def test_weight_only_where_the_timeline_merges() -> None:
    configs = grid({"timeline": ["finetune", "ema", "zs"], "w": [0.5, 0.9]})
    merging = [timeline(name, w=w) for name in ("ema", "zs") for w in (0.5, 0.9)]
    assert [config.timeline for config in configs] == [timeline("finetune"), *merging]


def test_number_of_configs_of_a_full_grid_by_hand() -> None:
    configs = grid(
        {
            "method": ["full", "lora"],
            "rank": [2, 4],
            "timeline": ["finetune", "ema"],
            "w": [0.5, 0.9],
            "lr": [1e-3, 1e-4],
        }
    )
    assert len(configs) == (1 + 2) * (1 + 2) * 2
    assert len({config.config_id for config in configs}) == len(configs)


def test_union_keeps_the_first_of_equal_configs() -> None:
    first: dict[str, Values] = {"lr": [1e-3, 1e-4]}
    both = grid(first, {"lr": [1e-4, 1e-5]}, {"lr": 1e-3, "weight_decay": 0.2})
    assert [config.recipe.optimiser.lr for config in both] == [1e-3, 1e-4, 1e-5]
    assert grid({"lr": [1e-3, 1e-3]}) == grid({"lr": 1e-3})


def test_equal_values_written_differently_are_one_config() -> None:
    assert len(grid({"w": [1, 1.0], "timeline": "ema"})) == 1


def test_grid_overrides_fixed() -> None:
    (config,) = grid({"lr": 5e-3})
    assert config.recipe.optimiser.lr == 5e-3
    assert config.recipe.steps == 10


def test_fixed_may_not_apply_everywhere() -> None:
    configs = grid({"method": ["full", "lora"]}, fixed={**FIXED, "rank": 4})
    assert [config.recipe.method for config in configs] == [named("full"), named("lora", rank=4)]


def test_inputs_are_not_changed() -> None:
    mine: dict[str, Values] = {"lr": [1e-3], "timeline": ["ema"], "w": [0.5]}
    fixed: dict[str, Scalar] = dict(FIXED)
    grid(mine, fixed=fixed)
    assert mine == {"lr": [1e-3], "timeline": ["ema"], "w": [0.5]}
    assert fixed == FIXED


WRONG: dict[str, tuple[list[dict[str, Values]], str]] = {
    "unknown axis": ([{"learning_rate": 1e-3}], "s.yaml: grid[0].learning_rate: unknown axis; allowed: method, rank, "),
    "unknown axis later": (
        [{"lr": 1e-3}, {"lrr": 1e-3}],
        "s.yaml: grid[1].lrr: unknown axis; did you mean lr? allowed: ",
    ),
    "empty list": ([{"lr": []}], "s.yaml: grid[0].lr: an empty list; give at least one value or remove the axis"),
    "empty grid": ([{}], "s.yaml: grid: it is empty; give at least one value to at least one axis"),
    "no grid": ([], "s.yaml: grid: it is empty"),
    "rank without an adapter": (
        [{"method": "full", "rank": [2, 4]}],
        "s.yaml: grid[0].rank: applies to no config of this grid",
    ),
    "w without a merge": ([{"timeline": "finetune", "w": 0.5}], "s.yaml: grid[0].w: applies to no config of this grid"),
    "unknown method": (
        [{"method": ["full", "lorra"], "rank": 2}],
        "s.yaml: grid[0].method: 'lorra' is unknown; did you mean lora? allowed: full, zeroshot, lnfit",
    ),
    "unknown method alone": (
        [{"method": "lorra"}],
        "s.yaml: grid[0].method: 'lorra' is unknown; did you mean lora? allowed: full, zeroshot, lnfit",
    ),
    "unknown timeline": (
        [{"timeline": "emma", "w": 0.5}],
        "s.yaml: grid[0].timeline: 'emma' is unknown; did you mean ema? allowed: finetune, ema, ft, zs",
    ),
    "method that is a number": ([{"method": 3}], "s.yaml: grid[0].method: 3 is unknown; allowed: "),
    "rank 0": ([{"method": "lora", "rank": 0}], "s.yaml: grid[0].rank: 0 given; allowed: greater than or equal to 1"),
    "w 1.5": ([{"timeline": "ema", "w": [0.5, 1.5]}], "s.yaml: grid[0].w: 1.5 given; allowed: less than or equal to 1"),
    "negative lr": ([{"lr": -1.0}], "s.yaml: grid[0].lr: -1.0 given; allowed: greater than 0"),
    "text for lr": ([{"lr": "1e-3"}], "s.yaml: grid[0].lr: '1e-3' given; allowed: a valid number"),
    "no value for lr": ([{"lr": None}], "s.yaml: grid[0].lr: None given; allowed: a valid number"),
    "half a task": ([{"tasks": 1.5}], "s.yaml: grid[0].tasks: 1.5 given; allowed: "),
    "w missing": ([{"timeline": "ema"}], "s.yaml: grid[0].w: missing; it has no default"),
    "negative strength": (
        [{"method": "ewc", "strength": -1.0}],
        "s.yaml: grid[0].strength: -1.0 given; allowed: greater than or equal to 0",
    ),
    "unknown target": (
        [{"method": "lora", "targets": "z"}],
        "s.yaml: grid[0].targets: 'z' given; there is no target 'z'; ",
    ),
    "buffer of all": (
        [{"buffer_size": "all"}],
        "s.yaml: grid[0].buffer_size: 'all' given; allowed: a whole number of samples from 1, or none, ",
    ),
    "unknown penalty": (
        [{"penalty": "z"}],
        "s.yaml: grid[0].penalty: 'z' is unknown; allowed: none, ewc, si, l2init",
    ),
    "penalty on an adapter that is folded": (
        [{"method": "lora", "penalty": "ewc", "timeline": "ema", "w": 0.5}],
        "s.yaml: grid[0].penalty: ewc remembers parameters, and an adapter that is folded after each task leaves ",
    ),
    "penalty without a past": (
        [{"method": "ewc", "timeline": "zs", "w": 0.5}],
        "s.yaml: grid[0].penalty: ewc would do nothing: with the timeline zs every task starts from the base; ",
    ),
    "rank of the zero-shot model": (
        [{"method": "zeroshot", "rank": 4}],
        "s.yaml: grid[0].rank: applies to no config of this grid",
    ),
    "wrong value beside the zero-shot model": (
        [{"method": "zeroshot", "lr": -1.0}],
        "s.yaml: grid[0].lr: -1.0 given; allowed: greater than 0",
    ),
    "lifetime without an adapter": (
        [{"lifetime": "fold"}],
        "s.yaml: grid[0].lifetime: applies to no config of this grid",
    ),
    "arguments that are no mapping": (
        [{"method": "peft", "arguments": 3}],
        "s.yaml: grid[0].arguments: 3 given; a mapping of arguments by name is needed",
    ),
    "start without serve": ([{"start": "last"}], "s.yaml: grid[0].serve: missing beside start; "),
    "start beside a timeline": (
        [{"timeline": "zs", "start": "last", "serve": "all"}],
        "s.yaml: grid[0].timeline: a name and serve and start given; ",
    ),
    "serving the base": ([{"start": "last", "serve": "base"}], "s.yaml: grid[0].serve: 'base' would serve the "),
    "unknown start": (
        [{"start": "first", "serve": "all"}],
        "s.yaml: grid[0].start: 'first' given; allowed: 'base', 'last', ",
    ),
    "unknown rule": (
        [{"timeline": "offline", "rule": "tie"}],
        "s.yaml: grid[0].rule: 'tie' is unknown; did you mean ties? allowed: lerp",
    ),
    "rule without a merge": ([{"rule": "ties"}], "s.yaml: grid[0].rule: applies to no config of this grid"),
    "density above 1": (
        [{"timeline": "offline", "rule": "ties", "density": 1.5}],
        "s.yaml: grid[0].density: 1.5 given; allowed: less than or equal to 1",
    ),
    "unknown temperature policy": (
        [{"timeline": "offline", "merge_logit_scale": "x"}],
        "s.yaml: grid[0].merge_logit_scale: 'x' given; allowed: 'merge', 'base' or 'latest'",
    ),
    "rule for two of all": (
        [{"timeline": "offline", "rule": "slerp"}],
        "s.yaml: grid[0].rule: slerp merges 2, and `all` is any number of updates; ",
    ),
    "fisher without matrices": (
        [{"timeline": "offline", "rule": "fisher"}],
        "s.yaml: grid[0].rule: fisher needs Fisher matrices, which updates with the penalty ewc keep; ",
    ),
    "average over steps of an adapter": (
        [{"method": "lora", "online_ema": 0.9}],
        "s.yaml: grid[0].online_ema: it averages weights, and lora trains factors",
    ),
    "timeline that is a number": ([{"timeline": 3}], "s.yaml: grid[0].timeline: 3 is unknown; allowed: finetune, "),
    "schedule": ([{"schedule": "linear"}], "s.yaml: grid[0].schedule: 'linear' given; allowed: 'cosine', 'rsqrt', "),
}


@pytest.mark.parametrize("name", WRONG)
def test_error_names_the_axis_and_what_is_allowed(name: str) -> None:
    grids, message = WRONG[name]
    with pytest.raises(ConfigError) as caught:
        grid(*grids)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_unknown_fixed_axis() -> None:
    with pytest.raises(ConfigError, match=r"^s\.yaml: fixed\.lrr: unknown axis; did you mean lr\? allowed: "):
        grid({"lr": 1e-3}, fixed={"lrr": 1.0})


def test_steps_have_no_default() -> None:
    with pytest.raises(ConfigError, match=r"steps: missing"):
        grid({"lr": 1e-3}, fixed={})


def test_shares_must_sum_to_one() -> None:
    with pytest.raises(ConfigError, match=r"must sum to 1, not 1\.17"):
        grid({"pool_share": 0.5})
    (config,) = grid({"pool_share": 0.5, "new_share": 0.25, "buffer_share": 0.25})
    assert config.recipe.mixture.pool == 0.5


def test_every_axis_is_a_place_in_some_config() -> None:
    """All methods with all penalties, both lifetimes and a merge: every axis has a value somewhere, of its type."""
    composed: list[Scalar] = ["none", "ewc", "si", "l2init"]
    plain: dict[str, Values] = {"method": list(METHODS), "penalty": composed, "projection": ["none", "galore"]}
    merging: list[dict[str, Values]] = [
        {"timeline": "ema", "w": 0.5, "method": "full", "wise_ft": 0.5, "online_ema": 0.9},
        {"timeline": "offline", "rule": "breadcrumbs"},
        {"schedule": ["matched_rsqrt", "constant"], "peaks": "1, 0.5, 0.5, 0.2, 0.1, 0.1"},
        {"steps_factors": "2, 1, 1, 1, 1, 1"},
        {"buffer_size": 100, "temperature": 0.07},
        {"ordering": "similarity", "start_concept": "greek/alpha"},
        {"dataset": "greek"},
        {"timeline": "offline", "rule": ["lerp", "tall_masks"], "lines": [None, "sqrt"]},
        {"timeline": "offline", "rule": "fisher", "penalty": "ewc", "fisher_floor": 1e-6},
    ]
    configs = grid(plain, *merging)
    values = {name: {axis_values(config)[name] for config in configs} - {None} for name in AXES}
    for name, axis in AXES.items():
        assert values[name], name
        assert {type(value) for value in values[name]} == {axis.type}, name
        assert axis.meaning


def test_a_data_set_alone_is_none_of_the_zero_shot_model() -> None:
    configs = grid(
        {"lr": 1e-3, "dataset": ["none", "greek"]}, {"lr": 1e-3, "method": ["full", "zeroshot"], "dataset": "greek"}
    )
    named = [(axis_values(config)["method"], axis_values(config)["dataset"]) for config in configs]
    assert named == [("full", None), ("full", "greek"), ("zeroshot", None)]
    assert configs[0] == grid({"lr": 1e-3})[0]
    assert configs[2] == grid({"method": "zeroshot"})[0]
    with pytest.raises(ConfigError, match=r"grid\[0\].dataset: applies to no config of this grid"):
        grid({"method": "zeroshot", "dataset": "greek"})


@pytest.mark.parametrize("name", METHODS)
def test_method_is_an_axis_value(name: str) -> None:
    (config,) = grid({"method": name, "lr": 1e-3})
    values = axis_values(config)
    assert values["method"] == config.recipe.method.name == name
    assert values["penalty"] is None
    assert values["projection"] is None


def test_composed_penalty_is_that_of_the_named_method() -> None:
    named_so, composed = grid({"method": "ewc", "strength": 2.0}), grid({"penalty": "ewc", "strength": 2.0})
    assert named_so == composed
    (config,) = grid({"method": "lora", "penalty": "ewc"})
    assert (axis_values(config)["method"], axis_values(config)["penalty"]) == ("lora", "ewc")


def test_zero_shot_model_has_no_recipe() -> None:
    """Learning rates and the like say nothing about it, so all of them are one config."""
    (config,) = grid({"method": "zeroshot", "lr": [1e-3, 1e-2]})
    assert {name for name, value in axis_values(config).items() if value is not None} == {"method", "tasks", "ordering"}


def test_axis_that_does_not_apply_is_none() -> None:
    (config,) = grid({"lr": 1e-3})
    values = axis_values(config)
    assert {"rank", "alpha", "rule", "w", "strength", "lifetime", "penalty"} < {
        n for n, v in values.items() if v is None
    }
    assert values["lr"] == 1e-3
    assert values["method"] == "full"


points = st.fixed_dictionaries(
    {"steps": st.integers(1, 99), "lr": st.floats(1e-6, 1), "tasks": st.integers(1, 9), "warmup": st.floats(0, 0.9)}
)
variants = st.sampled_from(
    [
        {},
        {"method": "lora", "rank": 3},
        {"timeline": "zs", "w": 0.25},
        {"method": "lora", "rank": 1, "timeline": "ft", "w": 1.0},
        {"method": "lora", "lifetime": "fold", "targets": "q+v", "layers": "0"},
        {"method": "locked_image", "penalty": "si", "xi": 1e-6, "projection": "galore", "gap": 3},
        {"method": "peft", "peft_type": "HRA", "arguments": '{"r": 4}'},
        {"timeline": "ema", "rule": "breadcrumbs_ties", "density": 0.5, "merge_scale": 0.4, "chain": "first"},
        {"timeline": "last-all", "recency": "reversed_log", "wise_ft": 0.1, "online_ema": 0.99},
        {"timeline": "offline", "lines": "sqrt", "lines_first": 0.1, "merge_logit_scale": "base"},
        {"timeline": "finetune", "method": "lora", "lifetime": "fold"},
    ]
)


@given(points, variants)
def test_axis_values_build_the_same_config(point: dict[str, Scalar], variant: dict[str, Scalar]) -> None:
    values: dict[str, Scalar] = {"method": "full", "timeline": "finetune", **point, **variant}
    config, used = build(values, workload=WORKLOAD, source="s")
    assert used == set(values)
    flat = {name: value for name, value in axis_values(config).items() if value is not None}
    assert build(flat, workload=WORKLOAD, source="s")[0] == config


def test_build_says_which_axes_applied() -> None:
    _, used = build({"method": "full", "rank": 4, "timeline": "finetune", "steps": 1}, workload=WORKLOAD, source="s")
    assert used == {"method", "timeline", "steps"}


def test_build_refuses_an_unknown_axis() -> None:
    with pytest.raises(ConfigError, match=r"lrr: unknown axis"):
        build({"method": "full", "timeline": "finetune", "steps": 1, "lrr": 1.0}, workload=WORKLOAD, source="s")


@pytest.mark.parametrize("axis", ["wise_ft", "online_ema", "peaks", "steps_factors", "lines", "penalty"])
def test_none_turns_an_axis_off(axis: str) -> None:
    given: dict[str, Values] = {"timeline": "offline", "rule": "ties"} if axis == "lines" else {"lr": 1e-3}
    (config,) = grid({axis: "none", **given})
    assert config == grid(given)[0]


def test_settings_of_schedules_apply_where_they_have_them() -> None:
    configs = grid(
        {"schedule": ["cosine", "rsqrt", "matched_rsqrt"], "cooldown": [0.1, 0.2], "peaks": "1, 1, 1, 0.5, 1, 1"}
    )
    found = [(c.recipe.schedule.name, c.recipe.schedule.cooldown, c.recipe.schedule.peaks) for c in configs]
    given = "1, 1, 1, 0.5, 1, 1"
    assert found == [
        ("cosine", None, given),
        ("rsqrt", 0.1, given),
        ("rsqrt", 0.2, given),
        ("matched_rsqrt", 0.1, None),
        ("matched_rsqrt", 0.2, None),
    ]


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({"peaks": "1, 0.5"}, "grid[0].peaks: 2 given; one for each of 6 tasks is needed"),
        ({"peaks": "1; 0.5"}, "grid[0].peaks: '1; 0.5' given; allowed: above 0 to 1000"),
        ({"steps_factors": "1, 2"}, "grid[0].steps_factors: 1, 2 given; one for each of 6 tasks is needed"),
        ({"steps_factors": "no"}, "grid[0].steps_factors: 'no' given; allowed: above 0 to 1000"),
        ({"cooldown": 0.1}, "grid[0].cooldown: applies to no config"),
    ],
)
def test_wrong_schedules_are_said_by_their_axes(axes: dict[str, Values], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        grid(axes)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_factors_have_one_spelling() -> None:
    """What trains alike is one config, however its factors are written."""
    configs = grid({"peaks": ["1, 0.5, 1, 1, 1, 1", "1,.5,1,1,1,1.0"]}, {"steps_factors": ["1,1,1,1,1,1", "none"]})
    found = [(config.recipe.schedule.peaks, config.stream.steps_factors) for config in configs]
    assert found == [("1, 0.5, 1, 1, 1, 1", None), (None, None)]
