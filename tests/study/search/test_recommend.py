"""Trials that are recommended after a search: a grid of their own, with the anchor that the search had."""

from pathlib import Path

import yaml

from analysis.advice.next_study import recommended_study
from analysis.advice.recommend import Advice
from analysis.roles import STANDARD
from search_spaces.space import axis_values
from study.commands.recommend import as_grid
from study.definition.files import dump
from study.definition.study import StudyDefinition
from study.planning.trials import trials
from tests.study.search.driver import Driver, definition
from tests.study.search.test_search import SPACES, scores
from trainables.frozen import parse


def test_a_repeated_config_and_the_anchor_are_those_of_the_search(tmp_path: Path) -> None:
    searched = Driver(definition(search={"spaces": SPACES, "stop": {"trials": 4}}), tmp_path, scores)
    searched.run()
    plan = searched.plan()
    config = next(one.trial.config for one in plan.trials if one.trial.kind == "trial")
    axes = {name: value for name, value in axis_values(config).items() if not isinstance(value, dict)}
    advice = Advice(kind="repeat", label="", expected_gain=0.1, reason="", axes=axes, trials=1)
    grid = as_grid(yaml.safe_load(dump(searched.definition)), plan)
    found = parse(StudyDefinition, recommended_study(grid, [advice], tested=(), roles=STANDARD), source="r")
    assert found.search is None
    planned = {one.id for one in trials(found, "r")}
    assert config.trial_id in planned
    assert {one.trial.id for one in plan.trials if one.trial.kind == "anchor"} < planned
    assert len(planned) == 2 * 2
