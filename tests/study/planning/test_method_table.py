"""`retune methods`: every method with its parts, defaults, share and source; and every one plans as an axis value."""

import json
import re

import pytest

from study.commands import app
from study.definition.study import StudyDefinition
from study.planning import method_table
from study.planning.plan import make_plan
from trainables.frozen import parse
from trainables.methods.method import METHODS
from trainables.runtime import Runtime
from trainables.workloads.catalogue import open_workload
from trainables.workloads.pocket.settings import Pocket

NAMES = ["full", "joint", *(name for name in METHODS if name != "full")]


def test_json_lists_every_method(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["retune", "methods", "--json"])
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert not ended.value.code
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == NAMES
    for row in rows:
        assert row["parts"].keys() == {"trains", "adapter", "penalty", "projection"}
        assert re.fullmatch(r"\d{4}\.\d{5}", row["source"])
        assert (row["kind"] == "anchor") == (row["name"] in ("joint", "zeroshot"))
    lora = next(row for row in rows if row["name"] == "lora")
    assert lora["hyperparameters"] == {
        **{"targets": "all", "towers": "all", "layers": "all", "rank": 4, "alpha": 4.0, "logit_scale": False}
    }
    assert lora["parts"] == {"trains": "nothing", "adapter": "lora", "penalty": None, "projection": None}


def test_trainable_shares_of_the_pocket_model() -> None:
    """By hand: norms of 96 or 64 numbers, twice a block and three times outside; the image tower's share."""
    listed = {row.name: row for row in method_table.rows(open_workload(Pocket(), Runtime()))}
    size = listed["full"].trainable_parameters
    assert listed["lnfit"].trainable_parameters == 2 * (96 * (2 * 3 + 2) + 64 * (2 * 2 + 1))
    assert listed["locked_image"].trainable_parameters + listed["locked_text"].trainable_parameters == size
    assert listed["ia3"].trainable_parameters == 3 * (2 * 96 + 288) + 2 * (2 * 64 + 256)
    assert listed["lora"].trainable_parameters == 4 * (
        3 * (4 * (96 + 96) + 2 * (96 + 288)) + 2 * (4 * (64 + 64) + 2 * (64 + 256))
    )
    assert listed["zeroshot"].trainable_parameters == 0
    assert all(row.trainable_share == row.trainable_parameters / size for row in listed.values())
    lines = list(method_table.table(list(listed.values())))
    assert all(name in line for name, line in zip(NAMES, lines[1 : 1 + len(NAMES)], strict=True))
    assert {line.split()[0] for line in lines[2 + len(NAMES) :]} > {"rank", "xi", "gap", "side", "layers", "penalty"}


def test_every_method_is_an_axis_value_of_one_study() -> None:
    definition = parse(
        StudyDefinition, {"name": "all", "fixed": {"steps": 2, "lr": 1e-3}, "grid": [{"method": NAMES}]}, source="t"
    )
    planned = make_plan(definition, "t").trials
    assert sorted(trial.trial.method for trial in planned) == sorted(NAMES)
    anchors = {trial.trial.method for trial in planned if trial.trial.kind == "anchor"}
    assert anchors == {"joint", "zeroshot"}
    assert {len(trial.updates) for trial in planned} == {6, 1, 0}


def test_preset_runs_methods_of_every_group_at_three_learning_rates() -> None:
    from study.definition.files import load

    definition, source = load("methods")
    own = [trial.trial for trial in make_plan(definition, source).trials if trial.trial.kind == "trial"]
    rates: dict[str, set[float]] = {}
    for trial in own:
        rates.setdefault(trial.method, set()).add(trial.config.recipe.optimiser.lr)
    trained = METHODS.keys() - {"zeroshot"}
    assert rates.keys() <= trained
    assert {METHODS[name].group for name in rates} == {METHODS[name].group for name in trained}
    assert {len(found) for found in rates.values()} == {3}
    assert len({trial.config.block for trial in own}) == 5


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[str, str]:
    monkeypatch.setattr("sys.argv", ["retune", "methods", *arguments])
    with pytest.raises(SystemExit):
        app.main()
    said = capsys.readouterr()
    return said.out, said.err


def test_a_model_has_the_methods_that_its_parts_allow(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tower of convolutions takes no adapter."""
    out, err = run(capsys, monkeypatch, "--model", "RN50", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    adapters = {name for name in METHODS if METHODS[name].part == "adapter"}
    assert rows.keys() == set(NAMES) - adapters
    assert 0.6 < rows["locked_image"]["trainable_share"] < 0.7
    assert err.startswith("left out, since RN50 cannot have them at their defaults: lora, dora, ")
    assert "the image tower has no linear layer of its own" in err


def test_without_a_model_it_is_the_pocket_one_and_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, err = run(capsys, monkeypatch)
    assert err == "methods and shares of the pocket model; those of another: --model NAME\n"


def test_unknown_models_are_one_message(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = run(capsys, monkeypatch, "--model", "ViT-B-33")
    assert not out
    assert err.startswith("retune: model: 'ViT-B-33' is unknown to open_clip; such as ViT-B-32")
