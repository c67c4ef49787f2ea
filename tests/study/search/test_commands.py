"""A search as a user runs it: real trials, killed and gone on with, on Ray and without."""

import json
from functools import partial
from pathlib import Path

import pytest

from study.search.search_bounds import Outlook, lines
from tests.study import command

SEARCH = """
name: found
workload: {name: noop}
fixed: {tasks: 12, steps: 5, batch_size: 16}
search:
  spaces:
    - {method: full, timeline: [finetune, ema], w: {low: 0.3, high: 0.9}, lr: {low: 0.1, high: 100.0}}
    - {method: ewc, strength: [1.0, 10.0, 100.0], lr: {low: 0.1, high: 50.0}}
  stop: {trials: 7}
early_stopping: {at: [1], least: 2}
blocks: 2
joint: {lr: 1e-3}
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return command.write_study(tmp_path_factory.mktemp("study"), SEARCH)


@pytest.fixture(scope="module")
def undisturbed(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search, one trial at a time."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    command.ok_here("run", study, "--dir", folder, "--inline")
    return folder


def reached(folder: Path, updates: int) -> bool:
    return len(command.updates(folder)) >= updates


def decisions(folder: Path) -> list[dict[str, object]]:
    path = folder / "decisions.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def test_a_killed_search_asks_for_the_same_and_ends_with_the_same_tables(
    undisturbed: Path, study: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    for moment in (1, 20):  # within the anchor or just after it, and within the configs
        driver = command.start("run", study, "--dir", folder, "--inline")
        command.wait_until(partial(reached, folder, moment), what=f"{moment} updates")
        command.kill(driver)
    before = command.updates(folder)
    command.ok_here("run", study, "--dir", folder, "--inline")
    assert before.items() <= command.updates(folder).items()
    assert decisions(folder) == decisions(undisturbed)
    command.assert_same_tables(undisturbed, folder)


def test_a_finished_search_is_finished(undisturbed: Path, study: Path) -> None:
    before = command.updates(undisturbed)
    said = command.here("run", study, "--dir", undisturbed, "--inline").stderr
    assert "the search ended: 7 trials, as asked" in said
    assert command.updates(undisturbed) == before
    now = json.loads(command.ok_here("status", undisturbed, "--json"))
    trials = command.tables(undisturbed)["trials"]
    assert (now["state"], now["done"], now["stopped"]) == (
        "finished",
        (trials["status"] == "done").sum(),
        (trials["status"] == "stopped").sum(),
    )
    assert now["stopped"] > 0
    assert len(trials) == 7 + trials["kind"].eq("anchor").sum()
    assert Path(command.ok_here("report", undisturbed).strip()).is_file()


def test_on_ray_trials_run_side_by_side_and_stop_early(study: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command.ok("run", study, "--dir", folder)
    trials = command.tables(folder)["trials"]
    assert set(trials["status"]) == {"done", "stopped"}
    assert (trials["kind"] == "trial").sum() == 7
    assert decisions(folder)[-1]["reason"] == "7 trials, as asked"
    stopped = {row["trial"] for row in decisions(folder) if row["decision"] == "stop"}
    assert stopped == set(trials.loc[trials["status"] == "stopped", "trial"])
    tasks = command.tables(folder)["tasks"].groupby("trial")["task"].max()
    assert (tasks[tasks.index.isin(stopped)] < 12).all()


def test_a_plan_gives_bounds(study: Path, undisturbed: Path) -> None:
    bounds = json.loads(command.ok_here("plan", study, "--dir", undisturbed, "--json"))
    assert bounds["done"] == bounds["trials"] == 7
    assert bounds["mafs"] == 7 * bounds["mafs_per_trial"]
    said = "\n".join(lines(Outlook(**bounds)))
    assert "by tpe for aka and azs, in a space without end" in said
    assert "at most 7 trials of 12 tasks each, on 1 of 2 blocks first; " in said
    assert "ends      with 7 trials\n" in said
    assert bounds["choices"] == {
        "space": 2,
        "timeline": 2,
        "w": None,
        "lr of space 0": None,
        "strength": 3,
        "lr of space 1": None,
    }
