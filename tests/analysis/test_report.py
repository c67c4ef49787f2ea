"""The report: deterministic, self-contained, complete, and written for every kind of study."""

import csv
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

from analysis.__main__ import main
from analysis.drawing.marks import View
from analysis.report import write_report
from analysis.tables.loading import load_tables
from tests.analysis.worlds import MORE_KINDS, World, frames, method_frames, write_study

SMALL = World(learned={("full", None): 0.85, ("lora", 2): 0.4}, rates=(1e-5, 1e-4), weights=(0.5,), tasks=3)
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Checks that tags nest, and collects what the page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.loads += [str(value) for name, value in attrs if name in ("src", "href", "xlink:href", "data", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag


def parsed(page: Path) -> Page:
    parser = Page()
    parser.feed(page.read_text(encoding="utf-8"))
    parser.close()
    assert parser.open == []
    return parser


def report_of(study_dir: Path) -> Path:
    """Write the report where a study has it."""
    definition = study_dir / "study.yaml"
    text = definition.read_text() if definition.is_file() else None
    return write_report(load_tables(study_dir), study_dir / "report", definition=text)


@pytest.fixture(scope="module")
def study_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_study(tmp_path_factory.mktemp("study") / "my-study", frames(SMALL))
    (folder / "study.yaml").write_text("name: <b>Small & quick</b>  # a comment\nstore: https://example.org/x\n")
    report_of(folder)
    return folder


@pytest.fixture(scope="module")
def methods_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of 26 methods at three learning rates."""
    world = World(tasks=4, noise_sd=0.0004)
    folder = write_study(tmp_path_factory.mktemp("study") / "methods", method_frames(world, MORE_KINDS))
    report_of(folder)
    return folder


class NoFigures(nullcontext[Any]):
    """In place of a process that draws."""

    def __enter__(self) -> Self:
        return self

    def draw(self, stem: Path, view: View) -> None:
        assert stem.parent.is_dir()
        assert view


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip matplotlib, which takes most of a report's time."""
    for place in ("analysis.report", "analysis.__main__"):
        monkeypatch.setattr(f"{place}.FigureProcess", NoFigures)


@pytest.fixture(scope="module")
def record(study_dir: Path) -> dict[str, object]:
    loaded: dict[str, object] = json.loads((study_dir / "report" / "report.json").read_text())
    return loaded


@pytest.mark.parametrize(
    ("module", "slow"),
    [
        ("analysis.report", ("matplotlib", "sklearn", "scipy.stats", "scipy.optimize")),
        ("analysis.drawing.figures", ("pandas", "scipy", "jinja2")),
        ("analysis.drawing.figure_process", ("pandas", "scipy", "numpy")),
    ],
)
def test_nothing_that_is_slow_is_imported_before_it_is_needed(module: str, slow: tuple[str, ...]) -> None:
    """Each of these takes from a fifth of a second to one second, and a small report three."""
    code = f"import {module}, sys; loaded = set(sys.modules) & set({slow}); assert not loaded, loaded"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_all_files_are_written(study_dir: Path) -> None:
    names = {str(path.relative_to(study_dir / "report")) for path in (study_dir / "report").rglob("*.*")}
    figures = {f"figures/{name}.{kind}" for name in ("plane", "paths", "gains") for kind in ("png", "pdf", "svg")}
    tables = {f"tables/{name}.csv" for name in ("configs", "methods", "pairs", "hull", "findings", "datasets")}
    tables.add("tables/methods.tex")
    assert names == {"index.html", "report.json"} | figures | tables


def test_same_tables_same_bytes(study_dir: Path, tmp_path: Path) -> None:
    again = write_study(tmp_path / "my-study", {n: f.sample(frac=1, random_state=1) for n, f in frames(SMALL).items()})
    (again / "study.yaml").write_bytes((study_dir / "study.yaml").read_bytes())
    report_of(again)
    for path in sorted((study_dir / "report").rglob("*.*")):
        assert path.read_bytes() == (again / "report" / path.relative_to(study_dir / "report")).read_bytes(), path.name


def test_page_is_self_contained(study_dir: Path) -> None:
    page = study_dir / "report" / "index.html"
    parser = parsed(page)
    assert all(load.startswith("#") for load in parser.loads)
    assert not parser.tags & {"link", "img", "iframe", "object", "base"}
    style = re.findall(r"<style>(.*?)</style>", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert "url(" not in "".join(style)
    assert "@import" not in "".join(style)
    assert "svg" in parser.tags


def test_what_a_study_says_of_itself_is_escaped(study_dir: Path) -> None:
    text = (study_dir / "report" / "index.html").read_text(encoding="utf-8")
    assert "<b>Small" not in text
    assert "<h1>&lt;b&gt;Small &amp; quick&lt;/b&gt;</h1>" in text


@pytest.mark.usefixtures("no_figures")
def test_labels_are_escaped_in_drawings(tmp_path: Path) -> None:
    tables = frames(SMALL)
    tables["trials"]["rule"] = tables["trials"]["rule"].replace("lerp", "<script>alert(1)</script>")
    tables["trials"].loc[tables["trials"]["timeline"] == "zs", "rule"] = 'a"b'
    page = report_of(write_study(tmp_path, tables))
    parsed(page)
    assert "<script>alert" not in page.read_text(encoding="utf-8")


def numbers(value: object) -> Iterator[float]:
    if isinstance(value, dict):
        for name, low in value.items():
            high = value.get(f"{name.removesuffix('_low')}_high")
            if name.endswith("_low") and isinstance(low, float) and isinstance(high, float):
                yield (high - low) / 2  # intervals are shown by their half widths
        for item in value.values():
            yield from numbers(item)
    elif isinstance(value, list):
        for item in value:
            yield from numbers(item)
    elif isinstance(value, float):
        yield value


@pytest.mark.parametrize("of", ["study_dir", "methods_dir"])
def test_every_accuracy_of_the_page_is_in_the_record(of: str, request: pytest.FixtureRequest) -> None:
    """Each number with two decimals on the page is one of report.json's: a fraction in percent, points, or a price."""
    folder: Path = request.getfixturevalue(of)
    record = json.loads((folder / "report" / "report.json").read_text())
    text = (folder / "report" / "index.html").read_text(encoding="utf-8")
    body = re.sub(r"<style>.*?</style>|<(?:path|line|g|text|circle|rect|svg)\b[^>]*>", " ", text, flags=re.DOTALL)
    shown = {match.replace("\u2212", "-") for match in re.findall(r"[-+\u2212]?\b\d+\.\d\d\b", body)}
    known = set()
    for value in numbers(record):
        for scaled in (value, 100 * value):
            known |= {f"{scaled:.2f}", f"{-scaled:.2f}"}
    zero_shot = record["anchors"]["zero_shot"]
    for config in record["configs"]:
        known |= {f"{100 * (config[axis] - zero_shot[axis]):.2f}" for axis in ("aka", "azs")}
    known |= {"-0.00", "0.00"}
    assert {number.lstrip("+") for number in shown} - known == set()
    assert len(shown) > 100


def test_many_methods_have_a_report_to_show(methods_dir: Path) -> None:
    page = methods_dir / "report" / "index.html"
    parsed(page)
    text = page.read_text(encoding="utf-8")
    assert page.stat().st_size < 500_000
    assert not re.search(r"\b(nan|inf|None|Undefined|True|False)\b", text)
    assert "LoRA r4 + EWC" in text
    methods = text[text.index('id="methods"') : text.index('id="pairs"')]
    assert methods.count("<tr>") == 1 + 25  # LoRA is one method, at two ranks
    assert "1.00\u00d7" in methods
    assert "<th>timeline" not in methods


def test_parts_of_a_finding_are_told_apart(methods_dir: Path) -> None:
    record = json.loads((methods_dir / "report" / "report.json").read_text())
    findings = {finding["number"]: finding for finding in record["findings"]}
    assert findings[3]["decisive"] == 3
    assert [part["comparison_verdict"] for part in findings[3]["comparisons"][:3]] == ["held"] * 3
    assert all(part["left_aka"] is not None for part in findings[6]["comparisons"])
    text = (methods_dir / "report" / "index.html").read_text(encoding="utf-8")
    shown = text[text.index('id="findings"') : text.index('id="prices"')]
    untested = sum(finding["verdict"] == "not tested" for finding in findings.values())
    assert untested == 15  # those on merges, and on what the study does not vary
    assert f"{untested} claims not tested by this study" in shown
    assert "arXiv 2408.14471, section 5" in shown


def test_record_agrees_with_csv(study_dir: Path, record: dict[str, object]) -> None:
    with (study_dir / "report" / "tables" / "configs.csv").open() as file:
        rows = list(csv.DictReader(file))
    configs = record["configs"]
    assert isinstance(configs, list)
    assert len(rows) == len(configs) == 12
    assert [float(row["gain"]) for row in rows] == [config["gain"] for config in configs]


def test_fractions_are_fractions(record: dict[str, object]) -> None:
    for config in record["configs"]:  # type: ignore[attr-defined]
        assert 0 < config["aka"] < 1
        assert 0 < config["azs"] < 1


@pytest.mark.parametrize(
    "world",
    [
        World(with_joint=False, rates=(1e-4,), tasks=2),
        World(blocks=1, rates=(1e-4,), tasks=2),
        World(blocks=2, rates=(1e-4,), tasks=2, joint_blocks=1),
        World(learned={("lora", 4): 0.5}, timelines=("ft",), weights=(0.5,), rates=(1e-4,), blocks=1, tasks=1),
        World(learned={("full", None): -0.4}, timelines=("finetune",), rates=(1e-4,), blocks=1, with_joint=False),
        World(learned={(f"method{i}", i): 0.5 for i in range(11)}, timelines=("other", "ema"), tasks=1),
    ],
    ids=["no joint", "one block", "two blocks", "one trial", "one bad trial", "many methods"],
)
@pytest.mark.usefixtures("no_figures")
def test_incomplete_studies_have_reports(world: World, tmp_path: Path) -> None:
    page = report_of(write_study(tmp_path, frames(world)))
    parsed(page)
    assert not re.search(r"\b(nan|inf|None|Undefined)\b", page.read_text(encoding="utf-8"))


@pytest.mark.usefixtures("no_figures")
def test_far_points_move_to_the_edge_and_are_counted(tmp_path: Path) -> None:
    tables = frames(SMALL)
    lost = tables["trials"]["config_id"].iloc[3]
    trials = tables["trials"].loc[tables["trials"]["config_id"] == lost, "trial"]
    collapsed = tables["tasks"]["trial"].isin(trials) & (tables["tasks"]["task"] > 0)
    tables["tasks"].loc[collapsed, ["aka", "azs", "gm"]] = 0.02
    text = report_of(write_study(tmp_path, tables)).read_text(encoding="utf-8")
    assert "Hollow marks at the edge lie outside the drawing (no. " in text


@pytest.mark.usefixtures("no_figures")
def test_many_trials(tmp_path: Path) -> None:
    world = World(rates=tuple(np.geomspace(1e-5, 1e-3, 20)), weights=(0.3, 0.5, 0.7, 0.9), tasks=1)
    page = report_of(write_study(tmp_path, frames(world)))
    assert page.stat().st_size < 1_000_000


@pytest.mark.usefixtures("no_figures")
def test_command_line(study_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(study_dir)]) == 0
    assert capsys.readouterr().out == f"{study_dir / 'report' / 'index.html'}\n"


def test_command_line_takes_what_a_user_says_of_columns(
    study_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "axes.yaml").write_text("columns: {thymeline: merging}")
    assert main([str(study_dir), "--axes", str(tmp_path / "axes.yaml")]) == 2
    assert "columns.thymeline: the trials table has no such axis; did you mean timeline?" in capsys.readouterr().err


def test_command_line_says_what_is_wrong_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "trials.parquet" in said.err
