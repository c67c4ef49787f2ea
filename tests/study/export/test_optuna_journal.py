"""`retune export --optuna`: the journal as Optuna's own tools read it, the dashboard's server among them."""

import json
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from study.export.optuna_journal import distributions, export_study
from study.folder.folder import Folder
from study.results.gain import key_of
from study.status.observer import status
from tests.study import command, quick


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quick.finish(tmp_path_factory.mktemp("optuna"))


@pytest.fixture(scope="module")
def journal(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("journal") / "quick.log"
    status, said, err = quick.retune("export", finished, "--optuna", out)
    assert (status, err) == (0, "")
    assert "6 configs (6 COMPLETE)" in said
    return out


def loaded(journal: Path) -> optuna.Study:
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(journal)))
    (summary,) = optuna.get_all_study_summaries(storage)
    return optuna.load_study(study_name=summary.study_name, storage=storage)


def test_a_config_is_a_trial_with_its_means_and_the_axes_that_it_has(journal: Path, finished: Path) -> None:
    study, now = loaded(journal), status(Folder(path=finished))
    assert (study.study_name, study.metric_names) == ("quick", ["AKA", "AZS"])
    assert [one.name for one in study.directions] == ["MAXIMIZE", "MAXIMIZE"]
    best = {one.config_id: one.gain for one in now.best_configs}
    assert len(study.trials) == quick.CONFIGS
    for trial in study.trials:
        told = trial.user_attrs
        own = [one for one in now.by_trial if one.trial in told["trials"]]
        assert [one.block for one in own] == told["blocks"] == ["seed0-order0", "seed1-order1"]
        assert {one.config_id for one in own} == {told["config_id"]}
        assert trial.state == TrialState.COMPLETE
        assert trial.values == pytest.approx([sum(end[i] for one in own if (end := one.end)) / 2 for i in (0, 1)])
        assert trial.params.keys() == {"timeline", "lr"} | ({"w"} if trial.params["timeline"] != "finetune" else set())
        assert told["path"][-1] == [3, *trial.values]
        assert (told["status"], told["cost_mafs"]) == ({"done": 2}, own[0].cost_mafs)
        assert told["gain"] == pytest.approx(best.get(told["config_id"], told["gain"]))
        assert trial.duration is not None
    assert {trial.user_attrs["config_id"] for trial in study.trials} >= best.keys()


def test_the_same_study_gives_the_same_bytes_and_an_old_file_is_replaced(journal: Path, finished: Path) -> None:
    before = journal.read_bytes()
    export_study(Folder(path=finished), journal)
    assert journal.read_bytes() == before
    assert [path.name for path in journal.parent.iterdir()] == [journal.name]


def test_plots_of_optuna_open_it(journal: Path) -> None:
    study = loaded(journal)
    pareto = optuna.visualization.plot_pareto_front(study)
    assert sum(len(one.x) for one in pareto.data) == quick.CONFIGS
    assert (pareto.layout.xaxis.title.text, pareto.layout.yaxis.title.text) == ("AKA", "AZS")
    for objective in (lambda trial: -trial.values[0], lambda trial: -trial.values[1]):
        with pytest.warns(UserWarning, match="to achieve low `target` values"):  # said even of one that is negated
            importances = optuna.importance.get_param_importances(study, target=objective)
        assert set(importances) == {"timeline", "lr", "w"}
    for plot in (optuna.visualization.plot_slice, optuna.visualization.plot_parallel_coordinate):
        assert plot(study, target=lambda trial: trial.values[0], target_name="AKA").data


def test_the_dashboard_serves_it(journal: Path) -> None:
    with dashboard(journal) as ask:
        (summary,) = ask("studies")["study_summaries"]
        assert (summary["study_name"], summary["directions"]) == ("quick", ["maximize", "maximize"])
        study = ask(f"studies/{summary['study_id']}")
        assert len(study["trials"]) == quick.CONFIGS
        assert {trial["state"] for trial in study["trials"]} == {"Complete"}
        assert {one["name"] for one in study["union_search_space"]} == {"timeline", "lr", "w"}
        assert len(study["best_trials"]) >= 1
        importances = ask(f"studies/{summary['study_id']}/param_importances?evaluator=ped_anova")["param_importances"]
        assert [{one["name"] for one in of} for of in importances] == [{"timeline", "lr", "w"}] * 2


@contextmanager
def dashboard(journal: Path) -> Iterator[Any]:
    """The server of optuna-dashboard on a file; gives a function that asks its API."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command_line = [sys.executable, "-m", "optuna_dashboard._cli", str(journal), "--port", str(port)]
    process = subprocess.Popen(command_line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers() -> bool:
        assert process.poll() is None
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def ask(path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/{path}", timeout=30) as answer:
            return json.load(answer)

    try:
        command.wait_until(answers, what="optuna-dashboard")
        yield ask
    finally:
        process.kill()
        process.wait()


def test_a_config_is_as_far_as_its_trials(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    home = Folder(path=run)
    trials = [planned for planned in home.plan().trials if planned.trial.kind == "trial"]
    configs = list(dict.fromkeys(planned.trial.config.config_id for planned in trials))
    store = home.store()
    for planned in trials:
        config, block = planned.trial.config.config_id, planned.trial.config.seed
        if config in (configs[0], configs[3]) or (config == configs[1] and block == 1):
            for step in planned.steps[1:]:
                store.delete("scores", key_of(step, "path"))
    home.definition_file.write_text(
        home.definition_file.read_text().replace("early_stopping: null", "early_stopping: {at: [1]}")
    )
    for planned in trials:
        if planned.trial.config.config_id == configs[4]:
            home.decisions.stop(planned.trial.id, 1, "others were ahead")
    home.log("run_started")
    home.log(
        "trial_failed",
        trial=next(one.trial.id for one in trials if one.trial.config.config_id == configs[3]),
        error="x",
    )
    counts = export_study(home, tmp_path / "half.log")
    assert counts == {"WAITING": 1, "RUNNING": 1, "COMPLETE": 2, "FAIL": 1, "PRUNED": 1}
    waiting, running, *_ = loaded(tmp_path / "half.log").trials
    assert (waiting.state, waiting.values) == (TrialState.WAITING, None)
    assert (running.state, running.values) == (TrialState.RUNNING, None)
    assert running.user_attrs["status"] == {"done": 1, "waiting": 1}
    assert running.user_attrs["AKA"] > 0


SEARCH = """
name: find
workload: {name: noop}
fixed: {tasks: 3, steps: 4, batch_size: 8, timeline: finetune}
search:
  spaces: [{method: full, lr: {low: 0.01, high: 0.5, log: true}}]
  sampler: random
  constraints: {retention_loss: 0.15}
  stop: {trials: 10}
blocks: 1
joint: {lr: 0.3}
"""


def test_a_search_shows_what_keeps_to_its_constraints(tmp_path: Path) -> None:
    run = quick.finish(tmp_path, SEARCH)
    export_study(Folder(path=run), tmp_path / "find.log")
    study = loaded(tmp_path / "find.log")
    before = next(one.user_attrs["path"][0][2] for one in study.trials)
    for trial in study.get_trials(states=[TrialState.COMPLETE]):
        assert trial.constraints == {"retention_loss": pytest.approx(before - trial.values[1] - 0.15)}
    assert all(before - trial.values[1] <= 0.15 for trial in study.best_trials)
    assert any(before - trial.values[1] > 0.15 for trial in study.get_trials(states=[TrialState.COMPLETE]))


def test_a_name_has_one_distribution_over_all_its_values() -> None:
    found = distributions([{"lr": 1e-4, "rank": 4, "w": 0.5, "m": "a"}, {"lr": 1e-2, "rank": 64, "w": 0.8, "on": True}])
    assert found == {
        "lr": FloatDistribution(1e-4, 1e-2, log=True),
        "rank": IntDistribution(4, 64, log=True),
        "w": FloatDistribution(0.5, 0.8),
        "m": CategoricalDistribution(["a"]),
        "on": CategoricalDistribution([True]),
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--optuna", "{out}", "--trial", "a"], "--trial, --out and --task have no meaning beside it"),
        (["--optuna", "{folder}"], "is a folder; give a file"),
        ([], "--trial and --out are needed"),
    ],
)
def test_wrong_input_is_one_message_and_status_2(
    finished: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    given = [one.format(out=tmp_path / "x.log", folder=tmp_path) for one in arguments]
    status, _, err = quick.retune("export", finished, *given)
    assert status == 2
    assert said in err
