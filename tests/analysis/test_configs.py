"""Names of configs: families, groups, and labels that say what varies and nothing else."""

import numpy as np
import pandas as pd
import pytest

from analysis.configs import AxisValue, configs_of, family_name, group_of
from analysis.roles import STANDARD, STANDARD_METHODS
from tests.analysis.worlds import KINDS, MORE_KINDS, World, frames, method_frames

WORLD = World(tasks=1, blocks=1)


def trials_of(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return tables["trials"][tables["trials"]["kind"] == "trial"]


@pytest.mark.parametrize(
    ("axes", "family", "group"),
    [
        ({"method": "full"}, "full fine-tuning", "full"),
        ({"method": "lnfit", "rank": None}, "LNFit", "selective"),
        ({"method": "ia3"}, "(IA)3", "adapter"),
        ({"method": "lora", "rank": 4}, "LoRA r4", "adapter"),
        ({"method": "lora", "rank": 4, "penalty": "ewc"}, "LoRA r4 + EWC", "penalised"),
        ({"method": "full", "projection": "galore", "rank": 8}, "full fine-tuning + GaLore r8", "projected"),
        ({"method": "freeze_first_layers", "n": 2}, "freeze first 2 layers", "selective"),
        ({"method": "freeze_last_layers", "n": 1}, "freeze last 1 layer", "selective"),
        ({"method": "peft", "peft_type": "HRA"}, "PEFT HRA", "adapter"),
        ({"method": "galore", "rank": 8}, "GaLore r8", "projected"),
        ({"method": "something_new"}, "something_new", "other"),
    ],
)
def test_families_and_groups(axes: dict[str, AxisValue], family: str, group: str) -> None:
    assert family_name(axes, STANDARD) == family
    assert group_of(axes, STANDARD) == group


def test_every_method_of_the_worlds_has_a_name() -> None:
    assert {name.split()[0] for name in MORE_KINDS} <= set(STANDARD_METHODS)


def test_labels_name_only_what_varies_within_a_family() -> None:
    labels = {config.label for config in configs_of(trials_of(method_frames(WORLD, KINDS)))}
    assert len(labels) == 3 * len(KINDS)
    assert "LoRA r4, lr 1e-5" in labels
    assert "EWC, lr 1e-3" in labels
    assert all(label.split(", ")[1].startswith("lr ") and label.count(", ") == 1 for label in labels)


def test_labels_name_a_hyperparameter_where_its_family_varies_it() -> None:
    configs = configs_of(trials_of(method_frames(WORLD, MORE_KINDS)))
    assert {config.label for config in configs if config.family == "EWC"} == {
        f"EWC, lr {rate}, strength {strength}" for rate in ("1e-5", "1e-4", "1e-3") for strength in (1, 100)
    }
    assert {config.label.count(", ") for config in configs if config.family != "EWC"} == {1}


def test_truth_values_and_strings_are_axes() -> None:
    trials = trials_of(method_frames(WORLD, {"lora": KINDS["lora"]}))
    twin = trials.assign(trial="x" + trials["trial"], config_id="x" + trials["config_id"], logit_scale=True)
    other = trials.assign(trial="y" + trials["trial"], config_id="y" + trials["config_id"], towers="image")
    labels = {config.label for config in configs_of(pd.concat([trials.assign(logit_scale=False), twin, other]))}
    assert "LoRA r4, lr 1e-4, logit scale, towers all" in labels
    assert "LoRA r4, lr 1e-4, no logit scale, towers image" in labels
    assert len(labels) == 9


def test_plain_fine_tuning_is_not_mentioned_and_merging_is() -> None:
    configs = configs_of(trials_of(frames(World(tasks=1, blocks=1, rates=(1e-4,)))))
    named = {config.label: config for config in configs}
    assert named["full fine-tuning"].timeline_name == "no merging"
    assert named["LoRA r2, EMA-merge w=0.8"].setting == "r2, w=0.8"


def test_labels_name_what_varies() -> None:
    trials = frames(World(rates=(3e-4,), with_joint=False))["trials"]
    labels = {config.label for config in configs_of(trials)}
    assert "LoRA r16, EMA-merge w=0.8" in labels
    assert "full fine-tuning" in labels
    assert not any("lr" in label for label in labels)


def test_further_columns_are_axes_if_constant_within_configs() -> None:
    trials = frames(World(rates=(3e-4,)))["trials"]
    trials["replay"] = np.where(trials["w"] == 0.5, 0.25, 0.5)
    trials["host"] = [f"h{i}" for i in range(len(trials))]
    trials["train_s"] = 3.0
    configs = configs_of(trials)
    assert any("replay 0.25" in config.label for config in configs)
    assert not any("host" in config.axes or "train_s" in config.axes for config in configs)


def test_equal_labels_are_told_apart() -> None:
    trials = frames(World(rates=(3e-4,), timelines=("finetune",), learned={("full", None): 0.5}))["trials"]
    again = trials.assign(config_id="another-config", trial=trials["trial"] + "x")
    configs = configs_of(pd.concat([trials, again]))
    assert len({config.label for config in configs}) == len(configs)


def test_labels_of_one_family_that_merges_go_without_it() -> None:
    trials = frames(World(rates=(3e-4,), learned={("full", None): 0.5}, weights=(0.8,)))["trials"]
    trials = trials[trials["kind"] == "trial"]
    assert {config.label for config in configs_of(trials)} == {"full fine-tuning", "EMA-merge w=0.8", "ZS-merge w=0.8"}


def test_defaults_of_rules_are_not_named_and_switches_are() -> None:
    """Scales and beginnings of chains that only follow from the rule say nothing; LiNeS off and on does."""
    trials = frames(World(rates=(3e-4,), learned={("full", None): 0.5}, timelines=("ema",), weights=(0.8,)))["trials"]
    first = trials[trials["kind"] == "trial"]
    rules = [("ties", 1.0, "base", None), ("model_stock", None, "first", None), ("ties", 1.0, "base", "linear")]
    rows = [
        first.assign(config_id=f"c{i}", rule=rule, merge_scale=scale, chain=chain, lines=lines, w=np.nan)
        for i, (rule, scale, chain, lines) in enumerate(rules)
    ]
    assert {config.label for config in configs_of(pd.concat(rows))} == {
        "EMA-merge, rule ties",
        "EMA-merge, rule model_stock",
        "EMA-merge, rule ties, lines linear",
    }
