"""Sentences that open a report: all questions are answered, and what is said stays true where nothing worked."""

import re
from dataclasses import replace

import pytest

from analysis.advice.decision import decide
from analysis.writing.answers import decision_sentences
from tests.analysis.curves import place, study_of
from tests.analysis.worlds import World, frames, frontier_of

SMALL = World(learned={("full", None): 0.8, ("lora", 2): 0.5}, timelines=("finetune", "ema"), rates=(1e-4,), tasks=1)


def answers_of(world: World, deciding: str | None = None) -> dict[str, str]:
    frontier = frontier_of(frames(world))
    return {
        answer.question: answer.text for answer in decision_sentences(frontier, decide(frontier), deciding=deciding)
    }


def test_the_usual_questions_are_answered() -> None:
    frontier = frontier_of(frames(SMALL))
    said = decision_sentences(frontier, decide(frontier), following="Run that.")
    found = {answer.question: answer.text for answer in said}
    assert [question.split(" you")[0] for question in found] == [
        "Choose",
        *["If"] * (len(found) - 4),
        "Against plain fine-tuning",
        "How sure that is",
        "Next",
    ]
    assert found["Next"] == "Run that."
    assert "AZS points more than routing requests between the zero-shot and the joint model" in found["Choose"]
    assert "(3 blocks)" in found["Choose"]
    assert "of what joint training learns" in found["Choose"]
    assert "with probability" in found["Against plain fine-tuning"]


def test_the_baseline_is_not_compared_with_itself() -> None:
    found = answers_of(replace(SMALL, timelines=("finetune",), learned={("full", None): 0.8}))
    assert "Against plain fine-tuning" not in found


def test_nothing_above_the_line_is_said() -> None:
    found = answers_of(replace(SMALL, base_lift=-0.05, merge_lift=-0.05))
    assert found["Choose"].startswith("No config that learned lies above the trade-off line")


def test_nothing_learned_is_said() -> None:
    found = answers_of(replace(SMALL, learned={("full", None): -0.4}, base_lift=-0.05))
    assert found["Choose"].endswith("it learned nothing.")
    assert "learns anything" in found["If you may lose at most 1 point of AZS"]


def test_none_of_configs_that_learn_different_data_is_chosen() -> None:
    def of(*names: str | None) -> list[str]:
        frontier = study_of([{"dataset": name, "lr": 1e-4} for name in names], lambda _: place(0.5, 0.0))
        return [answer.text for answer in decision_sentences(frontier, decide(frontier), following="Run that.")]

    for names in (("Birds", "Cars"), ("Birds", None)):
        (said,) = of(*names)
        assert said.startswith("There is nothing to choose: configs were trained on different data sets alone")
    assert len(of("Birds")) > 1


def test_what_is_undecided_names_what_decides_it() -> None:
    noisy = replace(SMALL, noise_sd=0.03, seed=1)
    text = answers_of(noisy, deciding="Run that.")["How sure that is"]
    assert "The interval of its gain contains zero" in text
    assert text.endswith("too little to tell them apart. Run that.")


def test_without_joint_the_reason_is_given() -> None:
    found = answers_of(replace(SMALL, with_joint=False))
    assert "A gain over the trade-off line is not defined: there is no finished joint anchor" in found["Choose"]
    assert "If you must learn at least half of what joint training learns" not in found


@pytest.mark.parametrize("blocks", [1, 2])
def test_few_blocks_have_no_interval(blocks: int) -> None:
    found = answers_of(replace(SMALL, blocks=blocks))
    assert f"With {blocks} block" in found["How sure that is"]
    assert not re.search(r"\b(nan|None)\b", " ".join(found.values()))


def test_one_config_for_both_limits_is_said_once() -> None:
    world = replace(SMALL, learned={("full", None): 0.8}, timelines=("finetune",), base_lift=0.04)
    questions = list(answers_of(world))
    assert questions[1].startswith("If you may lose at most 1 point of AZS, or you must learn")


def test_a_gain_that_is_not_shown_is_doubted_at_once() -> None:
    found = answers_of(replace(SMALL, noise_sd=0.03, seed=1))
    assert found["Choose"].startswith("Best so far, but not shown to beat routing: no. ")
    assert re.search(r"(About \d+ more blocks? would|More blocks will hardly) tell", found["How sure that is"])


def test_a_choice_beyond_what_the_study_may_lose_is_said() -> None:
    frontier = frontier_of(frames(SMALL))
    headline = decide(frontier).headline
    lost = frontier.zero_shot.azs.value - headline.azs.value
    for most, beyond in ((lost / 2, True), (2 * lost, False)):
        found = decision_sentences(frontier, decide(frontier, max_loss=most))
        assert found[1].question.startswith(f"If you may lose at most {100 * most:g} points of AZS")
        assert ("larger loss than" in found[0].text) is beyond
