"""The ledger: what it says of trials, and what is read by it where this release would name them otherwise."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from study.commands.export import export
from study.folder.folder import Folder
from study.folder.ledger import Head, Ledger
from study.status.observer import status
from study.tracking.points import Source, Trials
from tests.study import command, quick
from trainables.frozen import ConfigError
from trainables.nodes import NUMERICS_VERSION

OTHER = 3


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quick.finish(tmp_path_factory.mktemp("made"), quick.STUDY + "evaluate_at: [0.5]\nsubset: {share: 0.5}\n")


@pytest.fixture
def finished(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


def edit(folder: Path, change: Callable[[dict[str, Any]], None], numerics: int = OTHER) -> None:
    """Have a study be one of another version, whose ledger says something else of its trials."""
    head, *lines = map(json.loads, (folder / "ledger.jsonl").read_text().splitlines())
    for line in lines:
        change(line)
    rows = [{**head, "numerics": numerics}, *lines]
    (folder / "ledger.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def nothing(line: dict[str, Any]) -> None:
    """All stays."""


def of_other_classes(line: dict[str, Any]) -> None:
    """A config of other fields, of which this release has not all axes, and lacks one of its own."""
    line["trial"]["brightness"] = 3
    del line["trial"]["batch_size"]
    recipe = line["config"]["recipe"]
    recipe["learning"] = recipe.pop("optimiser")


def test_a_ledger_says_what_the_plan_says(finished: Path) -> None:
    home = Folder(path=finished)
    planned, recorded = home.plan().trials, home.ledger.trials()
    assert len(recorded) == quick.TRIALS
    for one, other in zip(planned, recorded, strict=True):
        assert one.trial.row == other.trial.row
        assert one.trial.config == other.trial.config
        assert (one.cost, one.all_scores, one.updates) == (other.cost, other.all_scores, other.updates)
        assert [(step.task, step.steps, step.passes, step.full, step.inside) for step in one.steps] == [
            (step.task, step.steps, step.passes, step.full, step.inside) for step in other.steps
        ]


def test_a_study_of_another_version_needs_no_config_of_this_one(finished: Path) -> None:
    now, before = status(Folder(path=finished)), command.tables(finished)
    edit(finished, of_other_classes)
    found = status(Folder(path=finished))
    assert (found.state, found.done, found.numerics) == ("finished", quick.TRIALS, OTHER)
    assert found.best_configs == now.best_configs
    command.ok_here("report", finished)
    before["trials"]["batch_size"] = None
    after = command.tables(finished)
    assert after["trials"]["batch_size"].isna().all()
    for name in before.keys() - {"trials"}:
        assert before[name].equals(after[name])


def test_trackers_read_a_study_of_another_version(finished: Path) -> None:
    edit(finished, of_other_classes)
    source = Source(Folder(path=finished), Trials(Folder(path=finished)))
    trials = source.catch_up()
    assert len(trials) == quick.TRIALS
    assert source.is_finished
    assert len(list(source.points(trials[-1]))) == 4
    assert source.run(trials[-1]).params["seed"] == 1


def test_weights_that_this_release_makes_otherwise_are_not_exported(finished: Path) -> None:
    edit(finished, nothing)
    trial = Folder(path=finished).ledger.trials()[-1].trial.id
    with pytest.raises(
        ConfigError, match=f"made under version {OTHER} of .*, and this release makes its weights other"
    ):
        export(finished, trial=trial, out=finished / "model", layout="open_clip")


def test_early_stopping_ends_trials_of_a_ledger(finished: Path) -> None:
    definition = finished / "study.yaml"
    definition.write_text(definition.read_text().replace("early_stopping: null", "early_stopping: {at: [1], least: 2}"))
    edit(finished, nothing)
    home = Folder(path=finished)
    last = home.plan().trials[-1]
    home.decisions.stop(last.trial.id, 1, "others were ahead")
    stopped = home.plan().trials[-1]
    assert stopped.is_stopped
    assert [step.task for step in stopped.steps] == [0, 1]
    assert status(home).stopped == 1


def test_a_trial_stands_once_in_a_plan_however_often_it_was_added(finished: Path) -> None:
    home = Folder(path=finished)
    recorded = home.ledger.trials()
    home.ledger.add(recorded[3])
    with (finished / "ledger.jsonl").open("a") as file:
        file.write('{"trial": {"trial": "cut sho')
    assert home.ledger.trials() == recorded


def test_a_ledger_that_cannot_be_read_is_wrong_input(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    assert ledger.head() is None
    head = Head(numerics=NUMERICS_VERSION, release=None, asked="what", parameters=7)
    ledger.write(head, ())
    assert (ledger.head(), ledger.trials()) == (head, [])
    ledger.path.write_text(json.dumps({"numerics": 4, "retune": "0.7.0", "asked": None}) + "\n")  # of older releases
    assert ledger.head() == Head(numerics=4, release="0.7.0", asked=None, parameters=None)
    ledger.path.write_text("{}\n")
    with pytest.raises(ConfigError, match="the ledger of this study cannot be read"):
        ledger.head()


def test_a_folder_is_of_the_present_version_until_something_ran_in_it(tmp_path: Path) -> None:
    assert Folder(path=tmp_path / "new").numerics == NUMERICS_VERSION
    (tmp_path / "study.yaml").write_text(quick.STUDY)
    assert Folder(path=tmp_path).numerics == NUMERICS_VERSION
    assert not Folder(path=tmp_path).is_of_another_version
