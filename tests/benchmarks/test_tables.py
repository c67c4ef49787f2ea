"""The tables of the pages: made of grids of finished studies, and refused where a page says something else."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from analysis.findings.claims import CLAIMS
from analysis.tables.loading import load_tables
from study.folder.folder import Folder
from tests.benchmarks.search import Lookup
from tests.benchmarks.tables import KINDS, PUBLISHED, main
from tests.docs.pages import PAGES
from tests.study import quick

SUBSET = quick.STUDY.replace("name: quick", "name: subset").replace("name: noop", "name: noop, datasets: 6")
SUBSET += "subset: {share: 0.5}\n"
PAGE = "\n\n".join(
    f"<!-- table: {kind} -->\nold\n<!-- end of table -->"
    for kind in (
        "findings",
        "findings 9 10",
        "directions",
        "frontier quick",
        "methods quick",
        "decision quick 1",
        "times",
    )
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two finished studies; one scores a subset of the test images within its stream."""
    return [quick.finish(tmp_path_factory.mktemp("study"), text) for text in (quick.STUDY, SUBSET)]


@pytest.fixture(scope="module")
def grids(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their grids."""
    folder = tmp_path_factory.mktemp("grids")
    assert main(["--collect", *map(str, runs)], pages=[], grids=folder) == 0
    return folder


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(f"before\n\n{PAGE}\n\nafter\n")
    return path


def tables_of(page: Path) -> list[list[str]]:
    found = re.findall(r"<!-- table: .+? -->\n\n(.*?)\n\n<!-- end of table -->", page.read_text(), re.DOTALL)
    return [table.splitlines() for table in found]


def test_a_page_has_the_tables_of_its_grids(page: Path, grids: Path) -> None:
    """And a page that says something else is found."""
    assert main([], pages=[page], grids=grids) == 0
    every, some, directions, frontier, methods, decision, times = tables_of(page)
    before = page.read_text()
    assert before.isascii()
    assert (before.splitlines()[0], before.splitlines()[-1]) == ("before", "after")
    assert [line.split(" | ")[0].strip("| ") for line in every[2:]] == [str(number) for number in CLAIMS]
    assert some[2:] == [line for line in every if line.startswith(("| 9 |", "| 10 |"))]
    assert len(directions) == 2 + len(PUBLISHED)
    for lines in (every, directions, frontier, methods, times):
        assert len({line.count(" | ") for line in lines}) == 1
    assert [frontier[2].split(" | ")[0], frontier[-1].split(" | ")[0]] == ["| zero-shot", "| joint"]
    assert len(decision) == 1
    counts = [str(count) for count in (quick.CONFIGS, 2, quick.TRIALS, quick.UPDATES)]
    assert [line.split(" | ")[:5] for line in times[2:]] == [["| `quick`", *counts], ["| `subset`", *counts]]

    assert main(["--check"], pages=[page], grids=grids) == 0
    page.write_text(before.replace("| joint |", "| joint, nearly |"))
    assert main(["--check"], pages=[page], grids=grids) == 1
    assert page.read_text() != before


def test_a_grid_is_small_and_has_the_numbers_of_its_study(runs: list[Path], grids: Path) -> None:
    for run, files in zip(
        runs, ({"trials", "tasks", "scores"}, {"trials", "tasks", "full", "full_scores"}), strict=True
    ):
        grid = grids / Folder(path=run).definition().name
        assert {path.stem for path in (grid / "tables").iterdir()} == files
        assert sum(path.stat().st_size for path in grid.rglob("*.*")) < 40_000
        assert json.loads((grid / "run.json").read_text())["updates"] == quick.UPDATES
        for part in ("trials", "tasks", "ends"):
            one, other = (getattr(load_tables(folder), part) for folder in (grid, run))
            pd.testing.assert_frame_equal(one, other, check_exact=True)
        assert load_tables(grid).parameters == load_tables(run).parameters == 1
        assert Lookup(grid).configs == quick.CONFIGS


def test_another_draw_of_the_world_has_a_column(runs: list[Path], page: Path, tmp_path: Path) -> None:
    given = ["--collect", str(runs[0])]
    assert main(given, pages=[], grids=tmp_path) == 0
    assert main([*given, "--draw", "draw-1"], pages=[page], grids=tmp_path) == 0
    every, _, directions, *_ = tables_of(page)
    assert every[0] == "| no. | finding | verdict | draw-1 | numbers |"
    assert directions[0] == "| no. | real CLIP, as published | here | draw-1 | AKA / AZS here |"


def test_a_table_without_its_grid_stays(page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = page.read_text()
    assert main([], pages=[page], grids=tmp_path) == 0
    assert page.read_text() == before
    assert "frontier quick: stays as it is, as there is no grid of quick" in capsys.readouterr().out


def test_an_unfinished_study_is_no_grid(tmp_path: Path) -> None:
    run = quick.finish(tmp_path)
    study = run / "study.yaml"
    study.write_text(study.read_text().replace("blocks:", "blocks:\n- {seed: 7, order: 7}", 1))
    with pytest.raises(ValueError, match=r"7 trials are not done; `retune run` goes on with them"):
        main(["--collect", str(run)], pages=[], grids=tmp_path / "grids")
    assert not (tmp_path / "grids").exists()


def test_the_pages_say_what_the_grids_say() -> None:
    """Each table is of a known kind, and closed; numbers of other studies than those in `grids/` are in none."""
    assert main(["--check"]) == 0
    texts = [page.read_text() for page in PAGES]
    placed = [kind for text in texts for kind in re.findall(r"<!-- table: (\w+)", text)]
    assert set(placed) == set(KINDS)
    assert len(placed) == sum(text.count("<!-- end of table -->") for text in texts)
