"""The commands that end in the analysis: cut and compared reports, tables of others, findings, next trials."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from study.definition.files import load
from study.planning.trials import trials
from tests.analysis.worlds import World, frames, write_study
from tests.study import command, quick

WIDER = quick.STUDY.replace("name: quick", "name: second").replace("lr: [0.01, 0.3]", "lr: [0.01, 0.1, 0.3]")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished studies on the same blocks, of which the second has two configs more."""
    folder = tmp_path_factory.mktemp("studies")
    for name, text in (("first", quick.STUDY), ("second", WIDER)):
        (folder / f"{name}.yaml").write_text(text)
        command.ok_here("run", folder / f"{name}.yaml", "--dir", folder / name, "--inline")
    return folder


def record(page: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(Path(page.strip()).with_name("report.json").read_text())
    return found


def test_a_report_at_a_task_is_of_that_task(home: Path) -> None:
    page = command.ok_here("report", home / "first", "--at", "2")
    assert Path(page.strip()) == home / "first" / "report-at-2" / "index.html"
    tasks = pd.read_parquet(home / "first" / "tables" / "tasks.parquet")
    rows = pd.read_parquet(home / "first" / "tables" / "trials.parquet")
    at = tasks[tasks["task"] == 2].merge(rows[rows["kind"] == "trial"], on="trial")
    means = at.groupby("config_id")["aka"].mean()
    for config in record(page)["configs"]:  # type: ignore[attr-defined]
        assert config["aka"] == pytest.approx(means[config["config_id"]])


def test_a_report_within_a_budget_reads_trials_at_their_last_task_that_fits(home: Path) -> None:
    tasks = pd.read_parquet(home / "first" / "tables" / "tasks.parquet")
    budget = float(tasks.loc[tasks["task"] == 2, "cost_flops"].max())
    page = command.ok_here("report", home / "first", "--budget", str(budget), "--unit", "flops")
    fitting = tasks[tasks["cost_flops"] <= budget].groupby("trial")["task"].max()
    assert fitting.max() == 2
    paths = record(page)["trajectories"]
    assert max(path["tasks"][-1] for path in paths) == 2  # type: ignore[attr-defined]


def test_two_studies_are_compared_in_one_plane(home: Path) -> None:
    page = command.ok_here("report", home / "first", "--compare", home / "second")
    configs = record(page)["configs"]
    assert {config["study"] for config in configs} == {"first", "second"}  # type: ignore[attr-defined]
    assert len(configs) == quick.CONFIGS + quick.CONFIGS + 2  # type: ignore[arg-type]


def test_tables_of_others_have_the_same_report(tmp_path: Path) -> None:
    """CSV files with nothing but what is required."""
    rows, frames = [], []
    for config, (x, y) in {"a": (0.4, 0.7), "b": (0.5, 0.6), "joint": (0.6, 0.6)}.items():
        for block in range(3):
            trial = f"{config}{block}"
            kind = "anchor" if config == "joint" else "trial"
            rows.append({"trial": trial, "config_id": config, "block": block, "method": config, "kind": kind})
            frames += [
                {"trial": trial, "task": 0, "aka": 0.3, "azs": 0.7},
                {"trial": trial, "task": 1, "aka": x + 0.001 * block, "azs": y},
            ]
    pd.DataFrame(rows).to_csv(tmp_path / "trials.csv", index=False)
    pd.DataFrame(frames).to_csv(tmp_path / "tasks.csv", index=False)
    page = command.ok_here("analyse", tmp_path, "--out", tmp_path / "out")
    found = {config["method"]: config for config in record(page)["configs"]}  # type: ignore[attr-defined]
    slope = (0.6 - 0.7) / (0.601 - 0.3)
    assert found["a"]["gain"] == pytest.approx(0.7 - (0.7 + slope * (0.401 - 0.3)))
    assert found["a"]["gain_low"] < found["a"]["gain"] < found["a"]["gain_high"]


def test_a_file_says_what_tables_of_others_hold(tmp_path: Path) -> None:
    study = write_study(tmp_path, frames(World(tasks=1, rates=(3e-4,), timelines=("finetune",))))
    axes = tmp_path / "axes.yaml"
    axes.write_text("methods: {lora: {name: Low rank, group: other}}\n")
    page = command.ok_here("analyse", study, "--out", tmp_path / "out", "--axes", axes)
    methods = {method["name"]: method["group"] for method in record(page)["methods"]}  # type: ignore[attr-defined]
    assert methods == {"full fine-tuning": "full", "Low rank": "other"}
    axes.write_text("columns: {rnak: method}\n")
    ended = command.here("analyse", study, "--out", tmp_path / "out", "--axes", axes)
    assert ended.returncode == 2
    assert f"{axes}: columns.rnak: the trials table has no such axis; did you mean rank? it has: " in ended.stderr
    assert "Traceback" not in ended.stderr


ALONE = """
name: alone
workload: {name: noop, datasets: 6}
fixed: {tasks: 1, steps: 8, batch_size: 64, method: full}
grid:
  - {dataset: [new0, new1, new2], lr: [0.01, 0.03]}
blocks: 3
joint: null
"""


def test_a_study_of_data_sets_alone_says_what_each_teaches(tmp_path: Path) -> None:
    (tmp_path / "alone.yaml").write_text(ALONE)
    command.ok_here("run", tmp_path / "alone.yaml", "--dir", tmp_path / "alone", "--inline")
    found = json.loads(command.ok_here("findings", tmp_path / "alone", "--json"))
    (tested,) = [one for one in found if one["verdict"] != "not tested"]
    assert (tested["number"], tested["verdict"]) == (21, "held")
    rises = {one["left"].split(",")[0]: one["difference"] for one in tested["comparisons"]}
    scores = pd.read_parquet(tmp_path / "alone" / "tables" / "scores.parquet")
    rows = pd.read_parquet(tmp_path / "alone" / "tables" / "trials.parquet").query("lr == 0.03")
    for name, rise in rises.items():
        own = scores[scores["trial"].isin(rows.loc[rows["dataset"] == name, "trial"]) & (scores["dataset"] == name)]
        means = own.groupby("task")["value"].mean()
        assert rise == pytest.approx(means[1] - means[0])
    assert sorted(rises) == ["new0", "new1", "new2"]


def test_findings_are_told_and_counted(home: Path) -> None:
    found = json.loads(command.ok_here("findings", home / "first", "--json"))
    assert [finding["number"] for finding in found] == list(range(1, 26))
    assert {finding["verdict"] for finding in found} <= {"held", "did not hold", "undecided", "not tested"}
    said = command.ok_here("findings", home / "first")
    for finding in found:
        assert finding["claim"] in said


def test_studies_of_one_plane_are_asked_as_one(home: Path) -> None:
    """The second has all configs of the first, and two more."""
    both = command.here("findings", home / "first", home / "second", "--json")
    assert both.stdout == command.ok_here("findings", home / "second", "--json")
    assert both.stderr == f"first and second: {quick.CONFIGS + 2} configs on 2 blocks\n"


def test_recommended_trials_are_a_study_that_runs(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "next.yaml"
    command.ok_here("recommend", home / "second", "--only", "--out", out)
    advice = json.loads(command.ok_here("recommend", home / "second", "--json"))
    text = out.read_text()
    assert all(item["label"] in text for item in advice["items"])
    wanted = [item for item in advice["items"] if item["trials"]]
    if not wanted:
        assert yaml.safe_load(text) is None
        return
    definition, source = load(str(out))
    planned = [trial for trial in trials(definition, source) if trial.kind == "trial"]
    assert len({trial.config.config_id for trial in planned}) == len(wanted)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("report", "{first}", "--at", "9"), "9"),
        (("report", "{first}", "--at", "1", "--budget", "1e12"), "--at and --budget"),
        (("report", "{first}", "--budget", "1"), "1"),
        (("report", "{first}", "--compare", "{nothing}"), "not a study's folder"),
        (("analyse", "{nothing}", "--out", "{out}"), "trials"),
        (
            ("analyse", "{first}", "--out", "{out}", "--axes", "{axes}"),
            "axes.yaml: columns.stepz: the trials table has",
        ),
        (("findings", "{nothing}"), "not a study's folder"),
        (("recommend", "{nothing}"), "not a study's folder"),
    ],
)
def test_wrong_input_is_told_once(home: Path, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    places = {"first": home / "first", "nothing": tmp_path, "out": tmp_path / "out", "axes": tmp_path / "axes.yaml"}
    places["axes"].write_text("columns: {stepz: training}\n")
    ended = command.here(*[argument.format(**places) for argument in arguments])
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_report_of_a_search_keeps_to_what_it_may_lose(tmp_path: Path) -> None:
    text = (
        "name: kept\nworkload: {name: noop}\nfixed: {tasks: 2, steps: 4, batch_size: 8}\nblocks: 1\njoint: {lr: 0.3}\n"
        "search: {spaces: [{lr: [0.001, 0.01, 0.1, 0.3]}], constraints: {retention_loss: 0.002}}\n"
    )
    folder = quick.finish(tmp_path, text)
    assert quick.retune("report", folder)[0] == 0
    decision = json.loads((folder / "report" / "report.json").read_text())["decision"]
    assert decision["max_loss"] == 0.002
    assert "If you may lose at most 0.2 points of AZS" in (folder / "report" / "index.html").read_text()
