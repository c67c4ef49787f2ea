"""Steps that a budget buys: by hand, by method, with passes after the steps, and what is refused."""

import pytest

from study.definition.study import StudyDefinition
from study.planning.prices import affordable_steps, price
from study.planning.trials import trials
from trainables.config import Recipe, TrialConfig
from trainables.frozen import ConfigError, parse
from trainables.runtime import Runtime
from trainables.workloads.pocket.settings import Pocket

METHODS = ["full", "locked_image", "lora", "ewc"]


def configs(budget: dict[str, object], **more: object) -> dict[str, TrialConfig]:
    value = {
        "name": "b",
        "fixed": {"batch_size": 32, "tasks": 4},
        "budget": budget,
        "grid": [{"method": METHODS}],
        **more,
    }
    found = trials(parse(StudyDefinition, value, source="b.yaml"), "b.yaml")
    return {trial.method: trial.config for trial in found}


def mafs(config: TrialConfig) -> float:
    return config.recipe.passes * price(config.recipe, config.workload, Runtime()).mafs


def test_steps_by_hand() -> None:
    assert affordable_steps(1419.68, lambda _: 0) == 1420  # full fine-tuning at 20 tasks in arXiv 2408.14471
    assert affordable_steps(0.4, lambda _: 0) == 0
    assert affordable_steps(100, lambda _: 30) == 70
    assert affordable_steps(100, lambda steps: min(steps, 98)) == 50
    assert affordable_steps(1, lambda steps: min(steps, 98)) == 0


def test_every_method_costs_the_same() -> None:
    found = configs({"relative_to_full_steps": 20})
    assert found["full"].recipe.steps == 20
    for method in METHODS:
        # To within half a pass, and with EWC's passes after the steps to within one and a half.
        assert mafs(found[method]) == pytest.approx(mafs(found["full"]), rel=1.5 / found[method].recipe.passes)
    assert found["locked_image"].recipe.steps > 2 * found["full"].recipe.steps
    assert found["joint"].recipe.steps == 4 * 20


def test_totals_are_of_all_tasks() -> None:
    recipe = Recipe(steps=1, batch_size=32)
    cost = price(recipe, Pocket(), Runtime())
    assert configs({"total_flops": 4 * 7 * cost.flops})["full"].recipe.steps == 7
    assert configs({"total_mafs": 4 * 7 * cost.mafs})["full"].recipe.steps == 7
    fixed = {"batch_size": 32, "tasks": 4, "steps_factors": "4, 1, 1, 1"}
    assert configs({"total_mafs": 7 * 7 * cost.mafs}, fixed=fixed)["full"].recipe.steps == 7
    assert {config.recipe.steps for name, config in configs({"steps_per_task": 3}).items() if name != "joint"} == {3}


def test_the_papers_accounting_makes_adapters_dearer() -> None:
    grid = [{"method": ["full", "lora"]}]
    ours, paper = (configs({"relative_to_full_steps": 50, "accounting": by}, grid=grid) for by in ("ours", "paper"))
    assert paper["lora"].recipe.steps < ours["lora"].recipe.steps
    assert paper["full"].recipe.steps == ours["full"].recipe.steps == 50


@pytest.mark.parametrize(
    ("budget", "more", "said"),
    [
        ({}, {}, "budget: one of total_mafs, total_flops, steps_per_task, relative_to_full_steps is needed, not 0"),
        ({"total_mafs": 1.0, "total_flops": 1.0}, {}, "is needed, not 2"),
        ({"total_mafs": 1.0}, {}, "budget.total_mafs: 1 buys full less than one step in each of 4 tasks; one step"),
        ({"steps_per_task": 3}, {"fixed": {"steps": 3}}, "steps: the budget says how many; remove one of the two"),
        ({"steps_per_task": 3}, {"grid": [{"steps": [1, 2]}]}, "steps: the budget says how many"),
        ({"steps_per_task": 3}, {"joint": {"steps": 5}}, "steps: the budget says how many"),
        ({"total_mafs": 1e40}, {}, "buys full more steps than can be run"),
        ({"relative_to_full_steps": 1}, {"grid": [{"method": "ewc"}]}, "buys ewc less than one step"),
    ],
)
def test_wrong_budgets_are_refused(budget: dict[str, object], more: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configs(budget, **more)
    assert said in str(caught.value)


def test_the_budget_of_one_step_that_is_named_is_enough() -> None:
    with pytest.raises(ConfigError) as caught:
        configs({"total_mafs": 1.0})
    smallest = float(str(caught.value).rsplit(" ", 1)[1])
    assert configs({"total_mafs": smallest}, grid=[{"method": "full"}])["full"].recipe.steps == 1
