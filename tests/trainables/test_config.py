"""Configs: canonical, hashable, frozen, and errors that name key, value and what is allowed."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from trainables.config import Recipe, TrialConfig
from trainables.frozen import ConfigError, digest, parse, suggestion
from trainables.merging.rule import ROWS
from trainables.merging.timeline import timeline
from trainables.methods.method import METHODS, named
from trainables.methods.parts import Optimiser
from trainables.streams.mixture import Mixture
from trainables.streams.orderings import Stream

MINIMAL: dict[str, Any] = {"recipe": {"steps": 10}}


def config(**changes: object) -> TrialConfig:
    return parse(TrialConfig, {**MINIMAL, **changes}, source="test")


def test_defaults_are_those_of_the_paper() -> None:
    got = config()
    assert got.recipe.method == named("full")
    assert got.timeline == timeline("finetune")
    assert got.recipe.optimiser == Optimiser(lr=1e-5, weight_decay=0.2, beta1=0.9, beta2=0.999, eps=1e-8, clip_norm=1.0)
    assert got.recipe.batch_size == 512
    assert (got.recipe.mixture.pool, got.recipe.mixture.new, got.recipe.mixture.buffer) == (0.33, 0.34, 0.33)


def test_canonical_form_comes_back_through_json() -> None:
    for way in ({"name": "finetune"}, {"name": "ema", "w": 0.9}, {"name": "zs", "w": 1.0, "rule": "lerp"}):
        for method in ({"name": "full"}, {"name": "lora", "rank": 4, "alpha": 8.0}, {"name": "galore", "gap": 3}):
            got = config(recipe={"steps": 3, "method": method}, timeline=way, seed=5, order=6)
            again = parse(TrialConfig, json.loads(json.dumps(got.canonical())), source="again")
            assert again == got
            assert hash(again) == hash(got)
            assert again.trial_id == got.trial_id


def test_spelled_out_defaults_and_whole_floats_are_the_same_config() -> None:
    spelled = config(recipe={"steps": 10, "method": {"name": "full"}, "optimiser": {"weight_decay": 0.2}}, seed=0)
    assert spelled.trial_id == config().trial_id
    one = config(timeline={"name": "ema", "w": 1}, recipe={"steps": 1, "optimiser": {"clip_norm": 1}})
    other = config(timeline={"name": "ema", "w": 1.0}, recipe={"steps": 1, "optimiser": {"clip_norm": 1.0}})
    assert one.trial_id == other.trial_id


def test_names_of_trial_config_and_block() -> None:
    base, seed, order = config(), config(seed=1), config(order=1)
    assert len({base.trial_id, seed.trial_id, order.trial_id}) == 3
    assert base.config_id == seed.config_id == order.config_id
    assert config(recipe={"steps": 11}).config_id != base.config_id
    assert config(seed=3, order=4).block == "seed3-order4"
    assert len(base.trial_id) == len(base.config_id) == 12


def test_golden_names() -> None:
    got = config(recipe={"steps": 10, "method": {"name": "lora", "rank": 4}}, timeline={"name": "ema", "w": 0.9})
    assert (got.trial_id, got.config_id) == ("533b991e11e6", "5b96edd00f47")


def test_config_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        config().seed = 3  # type: ignore[misc]


@settings(max_examples=30, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_digest_ignores_the_order_of_keys(value: Any) -> None:
    def backwards(v: Any) -> Any:
        if isinstance(v, dict):
            return {k: backwards(v[k]) for k in reversed(list(v))}
        return [backwards(x) for x in v] if isinstance(v, list) else v

    assert digest(value) == digest(backwards(value))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_digest_refuses_what_json_has_not(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest(value)


def recipe(**changes: object) -> dict[str, object]:
    return {"recipe": {"steps": 10, **changes}}


WRONG: dict[str, tuple[dict[str, object], str]] = {
    "unknown key": (
        {**MINIMAL, "sed": 1},
        "f.json: sed: unknown key; did you mean seed? allowed here: order, recipe, seed, stream, timeline, workload",
    ),
    "unknown nested key": (
        recipe(optimiser={"rl": 1.0}),
        "f.json: recipe.optimiser.rl: unknown key; allowed here: beta1, beta2, clip_norm, eps, lr, weight_decay",
    ),
    "key of another variant": (
        recipe(method={"name": "full", "rank": 4}),
        "f.json: recipe.method: rank: unknown for full; allowed: logit_scale, penalty, projection",
    ),
    "unknown key of a variant": (
        recipe(method={"name": "lora", "rnk": 4, "rank": 4}),
        "f.json: recipe.method: rnk: unknown for lora; did you mean rank? allowed: targets, towers, layers, rank, "
        "alpha, logit_scale, "
        "penalty, projection",
    ),
    "w where nothing merges": (
        {**MINIMAL, "timeline": {"name": "finetune", "w": 0.5}},
        "f.json: timeline: w: has no effect in the timeline finetune; remove it",
    ),
    "unknown method": (
        recipe(method={"name": "lorra"}),
        f"f.json: recipe.method: name: 'lorra' is unknown; did you mean lora? allowed: {', '.join(METHODS)}",
    ),
    "method without a name": (
        recipe(method={"rank": 4}),
        "f.json: recipe.method.rank: unknown key; allowed here: adapter, logit_scale, penalty, projection, trains",
    ),
    "unknown timeline": (
        {**MINIMAL, "timeline": {"name": "emma"}},
        "f.json: timeline: name: 'emma' is unknown; did you mean ema? allowed: finetune, ema, ft, zs, offline, "
        "or a start and a serve "
        "such as last-all",
    ),
    "rank 0": (
        recipe(method={"name": "lora", "rank": 0}),
        "f.json: recipe.method.adapter.rank: 0 given; allowed: greater than or equal to 1",
    ),
    "rank of a half": (
        recipe(method={"name": "lora", "rank": 1.5}),
        "f.json: recipe.method.adapter.rank: 1.5 given; allowed: a valid integer",
    ),
    "adapter of an unknown kind": (
        recipe(method={"trains": {"train": "nothing"}, "adapter": {"name": "lorra"}}),
        "f.json: recipe.method.adapter.name: 'lorra' is unknown; did you mean lora? allowed: 'lora', 'dora', 'rslora', "
        "'pissa', 'loha', "
        "'lokr', 'vera', 'ia3', 'oft', 'fourierft', 'peft'",
    ),
    "w 1.5": (
        {**MINIMAL, "timeline": {"name": "ema", "w": 1.5}},
        "f.json: timeline.w: 1.5 given; allowed: less than or equal to 1",
    ),
    "w missing": (
        {**MINIMAL, "timeline": {"name": "zs"}},
        "f.json: timeline: w: missing; it has no default: the merge weight of the OLD weights, 0 to 1",
    ),
    "unknown rule": (
        {**MINIMAL, "timeline": {"name": "ema", "w": 0.5, "rule": "slurp"}},
        "f.json: timeline.rule.name: 'slurp' given; did you mean slerp? allowed: "
        f"{', '.join(map(repr, list(ROWS)[:-1]))} or 'random'",
    ),
    "negative lr": (
        recipe(optimiser={"lr": -1e-5}),
        "f.json: recipe.optimiser.lr: -1e-05 given; allowed: greater than 0",
    ),
    "lr nan": (recipe(optimiser={"lr": math.nan}), "f.json: recipe.optimiser.lr: nan given; allowed: a finite number"),
    "lr infinite": (
        recipe(optimiser={"lr": math.inf}),
        "f.json: recipe.optimiser.lr: inf given; allowed: a finite number",
    ),
    "string for a number": (
        recipe(optimiser={"lr": "1e-5"}),
        "f.json: recipe.optimiser.lr: '1e-5' given; allowed: a valid number",
    ),
    "bool for a number": ({**MINIMAL, "seed": True}, "f.json: seed: True given; allowed: a valid integer"),
    "warm-up of everything": (
        recipe(schedule={"warmup": 1.0}),
        "f.json: recipe.schedule.warmup: 1.0 given; allowed: less than 1",
    ),
    "shares": (
        recipe(mixture={"pool": 0.5}),
        "f.json: recipe.mixture: the shares pool + new + buffer must sum to 1, not 1.17",
    ),
    "steps missing": ({"recipe": {}}, "f.json: recipe.steps: missing; it has no default"),
    "recipe missing": ({}, "f.json: recipe: missing; it has no default"),
    "steps 0": ({"recipe": {"steps": 0}}, "f.json: recipe.steps: 0 given; allowed: greater than or equal to 1"),
    "batch of one": (recipe(batch_size=1), "f.json: recipe.batch_size: 1 given; allowed: greater than or equal to 2"),
    "precision": (recipe(precision="fp16"), "f.json: recipe.precision: 'fp16' given; allowed: 'fp32' or 'bf16'"),
    "tasks 0": (
        {**MINIMAL, "stream": {"tasks": 0}},
        "f.json: stream.tasks: 0 given; allowed: greater than or equal to 1",
    ),
    "negative seed": ({**MINIMAL, "seed": -1}, "f.json: seed: -1 given; allowed: greater than or equal to 0"),
    "small pool": (
        {**MINIMAL, "workload": {"pool": 3}},
        "f.json: workload.pool: 3 given; allowed: greater than or equal to 256",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_error_names_key_value_and_what_is_allowed(name: str) -> None:
    value, message = WRONG[name]
    with pytest.raises(ConfigError) as caught:
        parse(TrialConfig, value, source="f.json")
    assert str(caught.value) == message


def test_every_wrong_key_is_named_in_a_line_of_its_own() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(TrialConfig, {"recipe": {"steps": 0, "optimiser": {"lr": -1.0}}, "seed": "a"}, source="f.json")
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["recipe.optimiser.lr", "recipe.steps", "seed"]


@pytest.mark.parametrize("value", [None, 3, "text", [1]])
def test_document_that_is_no_object(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^f\.json: the whole document: "):
        parse(TrialConfig, value, source="f.json")


@pytest.mark.parametrize("w", [0.0, 1.0])
def test_ends_of_ranges_are_allowed(w: float) -> None:
    assert timeline("ema", w=w).w == w
    assert Mixture(pool=0.0, new=1.0, buffer=0.0).new == 1.0
    assert Recipe(steps=1, method=named("lora", rank=1)).steps == 1
    assert Stream(tasks=1).tasks == 1


@pytest.mark.parametrize("given", [0, -1, 2.5, "all", True])
def test_sizes_of_a_buffer_are_said_in_plain_words(given: object) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(TrialConfig, recipe(mixture={"buffer_size": given}), source="f.json")
    assert str(raised.value) == (
        f"f.json: recipe.mixture.buffer_size: {given!r} given; allowed: a whole number of samples from 1, or none, for "
        "a buffer without a limit, which holds all; no buffer at all is buffer_share: 0"
    )


def test_names_that_are_near_are_suggested() -> None:
    assert suggestion("Learning-Rat", ["learning_rate", "lr"]) == "did you mean learning_rate? "
    assert suggestion("zzz", ["learning_rate", "lr"]) == ""
