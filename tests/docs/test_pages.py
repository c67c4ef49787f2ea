"""Pages of documentation: short where they have to be, without a dead link, and complete where they list something."""

import re
from pathlib import Path

import pytest

from study.definition.study import StudyDefinition
from study.running.cluster.connection import PASSED_ON
from study.running.retries import DEATHS
from tests.docs.pages import INDEX, LINKED, PAGES, ROOT, anchors, code_spans, links, name_of
from tests.docs.walk import command_names
from trainables.methods.method import METHODS

FOLDERS = "analysis|search_spaces|study|tests|trainables"

FIRST_SCREEN = 900
"""Words of the README at most; what is longer belongs into a page of docs/."""


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().split()) <= FIRST_SCREEN


def test_there_are_few_pages() -> None:
    assert len(list((ROOT / "docs").glob("**/*.md"))) == len(PAGES) - 1 <= 20


@pytest.mark.parametrize("page", LINKED, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for link in links(page):
        if re.match(r"https?:|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert not dead


def test_the_index_leads_to_every_page() -> None:
    linked = {(INDEX.parent / link.partition("#")[0]).resolve() for link in links(INDEX)}
    assert set(PAGES) - {INDEX, ROOT / "README.md"} <= linked


def test_every_command_is_on_a_page() -> None:
    said = " ".join(" ".join(page.read_text().split()) for page in PAGES)
    assert not [name for name in command_names() if not re.search(rf"{name}\b", said)]


@pytest.mark.parametrize("page", LINKED, ids=name_of)
def test_files_and_modules_that_the_page_names_are_there(page: Path) -> None:
    spans = list(code_spans(page))
    paths = [ROOT / span for span in spans if re.fullmatch(rf"(?:{FOLDERS})/[\w/.-]*", span)]
    named = re.findall(rf"python -m ((?:{FOLDERS})[\w.]*)", " ".join(spans))
    modules = [ROOT / name.replace(".", "/") for name in named if not name.endswith(".NAME")]
    assert not [str(path) for path in paths if not path.exists()]
    assert not [str(path) for path in modules if not path.is_dir() and not path.with_suffix(".py").is_file()]


def test_the_page_of_methods_names_every_one() -> None:
    page = (ROOT / "docs" / "methods.md").read_text()
    assert not [name for name in (*METHODS, "joint") if f"`{name}`" not in page]


def test_the_page_of_the_study_file_has_a_row_for_every_key() -> None:
    rows = [line.split("|")[1] for line in (ROOT / "docs" / "study-file.md").read_text().splitlines() if "|" in line]
    assert not [key for key in StudyDefinition.model_fields if not any(f"`{key}`" in row for row in rows)]


def test_the_page_of_clusters_says_what_the_code_does() -> None:
    page = (ROOT / "docs" / "clusters-and-stores.md").read_text()
    assert f"die of one trial {DEATHS + 1} times in a row" in page
    for name in PASSED_ON:
        assert f"`{name}" in page
