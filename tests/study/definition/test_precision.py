"""Precisions are settled once, by the definition and its folder alone, and stay what they are."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from study.definition.precision import settled, slow_on_gpus, training_precisions
from study.definition.study import StudyDefinition
from study.planning.plan import make_plan
from tests.study import quick
from trainables.frozen import parse

GPU = {"gpus": 1}


def definition(**parts: Any) -> StudyDefinition:
    value = {"name": "p", "workload": {"name": "noop"}, "fixed": {"steps": 2}, "grid": [{"lr": 0.1}], **parts}
    return parse(StudyDefinition, value, source="p")


def precisions(of: StudyDefinition) -> tuple[object, object]:
    return of.fixed["precision"], of.evaluation_precision


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({}, ("fp32", "fp32")),
        ({"resources": GPU}, ("bf16", "tf32")),
        ({"resources": {"device": "cuda"}}, ("bf16", "tf32")),
        ({"resources": {"by_method": {"ewc": {"gpus": 0.5}}}}, ("bf16", "tf32")),
        ({"resources": {**GPU, "device": "cpu"}}, ("fp32", "fp32")),
        ({"resources": GPU, "fixed": {"steps": 2, "precision": "fp32"}}, ("fp32", "tf32")),
        ({"resources": GPU, "evaluation_precision": "bf16"}, ("bf16", "bf16")),
    ],
)
def test_what_a_definition_leaves_open_follows_from_its_resources(parts: Any, expected: tuple[str, str]) -> None:
    found = settled(definition(**parts), None)
    assert precisions(found) == expected
    assert settled(found, None) == found


def test_a_folder_keeps_what_it_was_made_with() -> None:
    made = settled(definition(), None)
    assert precisions(settled(definition(resources=GPU), made)) == ("fp32", "fp32")
    assert precisions(settled(definition(resources=GPU, fixed={"precision": "bf16"}), made)) == ("bf16", "fp32")
    of_an_older_release = definition()
    assert precisions(settled(definition(resources=GPU), of_an_older_release)) == ("bf16", "tf32")


def test_a_grid_may_say_it_itself() -> None:
    found = settled(definition(grid=[{"lr": 0.1, "precision": ["fp32", "bf16"]}], resources=GPU), None)
    plan = make_plan(found, "p")
    own = {one.trial.config.recipe.precision for one in plan.trials if one.trial.kind == "trial"}
    assert own == {"bf16", "fp32"}
    assert training_precisions(found) == ("bf16", "fp32")
    assert slow_on_gpus(found) is not None
    assert slow_on_gpus(settled(definition(resources=GPU), None)) is None


def test_names_are_those_of_before_where_all_is_fp32_and_scores_have_their_own_elsewhere() -> None:
    before = make_plan(definition(), "p")
    assert make_plan(settled(definition(), None), "p") == before
    other = make_plan(definition(evaluation_precision="tf32"), "p")
    assert other.unique_updates.keys() == before.unique_updates.keys()
    assert not other.unique_scores & before.unique_scores


def test_a_study_says_its_precisions_in_its_plan_its_folder_and_its_tables(tmp_path: Path) -> None:
    study = quick.write(tmp_path, f"{quick.STUDY}evaluation_precision: tf32\n")
    status, said, err = quick.retune("plan", study, "--dir", tmp_path / "run", "--json")
    assert status == 0, err
    assert json.loads(said)["training_precision"] == ["fp32"]
    assert json.loads(said)["evaluation_precision"] == "tf32"
    assert quick.retune("run", study, "--dir", tmp_path / "run", "--inline")[0] == 0
    made = yaml.safe_load((tmp_path / "run" / "study.yaml").read_text())
    assert (made["fixed"]["precision"], made["evaluation_precision"]) == ("fp32", "tf32")
    trials = pd.read_parquet(tmp_path / "run" / "tables" / "trials.parquet")
    assert set(trials["precision"]) == {"fp32"}
    assert set(trials["evaluation_precision"]) == {"tf32"}
    study.write_text(quick.STUDY + "resources: {gpus: 1}\n")  # for another machine, and the same results
    status, said, err = quick.retune("plan", study, "--dir", tmp_path / "run")
    assert "precision training fp32, evaluation tf32\n" in said
    assert quick.retune("report", tmp_path / "run")[0] == 0
    assert "evaluation_precision" in (tmp_path / "run" / "report" / "index.html").read_text()
