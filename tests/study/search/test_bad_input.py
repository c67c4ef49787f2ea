"""Wrong searches get one clear message and status 2, before anything runs."""

from pathlib import Path

import pytest

from tests.study import command
from tests.study.commands.test_bad_input import invoke

SEARCH = """
name: found
workload: {name: pocket, pool: 512}
fixed: {tasks: 2, steps: 1, batch_size: 16}
search:
  spaces:
    - {method: full, timeline: [finetune, ema], w: {low: 0.3, high: 0.9}, lr: {low: 1e-4, high: 1e-2}}
    - {method: lora, rank: [2, 4, 8], lr: {low: 1e-3, high: 3e-2}}
  stop: {trials: 7}
early_stopping: {at: [1], least: 2}
blocks: 2
joint: {lr: 1e-3}
"""
TRIALS = "stop: {trials: 7}"


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        (
            TRIALS,
            "sampler: tpee",
            ["search.sampler", "'tpee' is unknown", "did you mean tpe?", "tpe, nsga2, gp, random"],
        ),
        (TRIALS, "objectives: gian", ["search.objectives", "'gian' is unknown", "did you mean gain?"]),
        (TRIALS, "objectives: [aka, azs, gm]", ["search.objectives", "one or two different ones"]),
        (TRIALS, "constraints: {retention: 1}", ["search.constraints.retention", "did you mean retention_loss?"]),
        (TRIALS, "stop: {trails: 9}", ["search.stop.trails", "did you mean trials?"]),
        (TRIALS, "stop: {trials: 0}", ["search.stop.trials", "0 given"]),
        (TRIALS, "seed: 1", ["search.stop", "never end", "trials, mafs, hours"]),
        (TRIALS, f"{TRIALS}\n  first_blocks: 3", ["search.first_blocks", "3 given", "2 blocks"]),
        (TRIALS, f"{TRIALS}\n  warm_start: [nowhere]", ["search.warm_start[0]", "is no study's folder"]),
        ("joint: {lr: 1e-3}", "joint: null", []),
        ("lr: {low: 1e-4, high: 1e-2}", "lr: {low: 1e-2, high: 1e-4}", ["search.spaces[0].lr", "low has to be below"]),
        ("rank: [2, 4, 8]", "rank: [2, 400]", ["lora", "rank", "400", "1 to 64"]),
        ("w: {low: 0.3, high: 0.9}", "w: {low: 0.3, high: 1.9}", ["search.spaces[0].w", "1.9 given"]),
        ("search:", "grid: [{lr: 1e-3}]\nsearch:", ["search: given beside a grid"]),
        ("at: [1]", "at: [2]", ["early_stopping.at", "trials have 2 tasks"]),
        ("tasks: 2", "tasks: 3000", ["tasks", "3000", "concepts"]),
    ],
)
def test_a_wrong_search_is_refused(
    old: str,
    new: str,
    parts: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert old in SEARCH
    text = SEARCH.replace(old, new)
    if not parts:
        text, parts = text.replace(TRIALS, f"{TRIALS}\n  objectives: gain"), ["gain", "joint: null", "[aka, azs]"]
    study = command.write_study(tmp_path, text)
    for verb in ("run", "plan"):
        code, errors = invoke(capsys, monkeypatch, verb, study, "--dir", tmp_path / "run")
        assert code == 2, errors
        assert not [part for part in parts if part not in errors], errors
    assert not (tmp_path / "run").exists()


def test_a_search_without_choices_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    head, tail = SEARCH.split("  spaces:")[0], SEARCH.split("lr: {low: 1e-3, high: 3e-2}}\n")[1]
    study = command.write_study(tmp_path, f"{head}  spaces: [{{method: full, lr: 1e-3}}]\n{tail}")
    code, errors = invoke(capsys, monkeypatch, "run", study, "--dir", tmp_path / "run")
    assert (code, "there is nothing to search" in errors) == (2, True), errors
