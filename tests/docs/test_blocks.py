"""Every fenced block of README.md and docs/: commands are run, studies planned, in the order of the page."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, PageError, blocks, code_spans, commands, goes_on_from, name_of
from tests.docs.walk import follow, misused

SLOW = [page for page in PAGES if any(block.run == "slow" for block in blocks(page))]


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """The folder in which a page was followed to its end, without its slow blocks."""

    @cache
    def walk(page: Path) -> Path:
        folder = begin(page, tmp_path_factory.mktemp(page.stem), walk)
        for block in blocks(page):
            if block.run == "always":
                follow(block, folder)
        return folder

    return walk


def begin(page: Path, folder: Path, walk: Callable[[Path], Path]) -> Path:
    """A folder as a page begins with it."""
    before = goes_on_from(page)
    if before is not None:
        shutil.copytree(walk(before), folder, dirs_exist_ok=True)
    return folder


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_reader_can_follow_the_page(page: Path, walked: Callable[[Path], Path]) -> None:
    walked(page)


@pytest.mark.thorough
@pytest.mark.parametrize("page", SLOW, ids=name_of)
def test_a_reader_can_follow_it_with_what_takes_longer(
    page: Path, walked: Callable[[Path], Path], tmp_path: Path
) -> None:
    begin(page, tmp_path, walked)
    for block in blocks(page):
        if block.run != "never":
            follow(block, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_retune_has_the_commands_and_options_that_the_page_names(page: Path) -> None:
    """In blocks that are not run and in sentences, too."""
    typed = [line for block in blocks(page) if block.language in {"sh", "console"} for line, _ in commands(block)]
    named = [line for line in [*typed, *code_spans(page)] if line.startswith("retune ")]
    assert not [f"{line}: {wrong}" for line in named if (wrong := misused(line)) is not None]


# -- what a writer is told ---------------------------------------------------------------------------------------------


def page_of(folder: Path, text: str) -> Path:
    path = folder / "page.md"
    path.write_text(text)
    return path


def follow_page(folder: Path, text: str) -> None:
    for block in blocks(page_of(folder, text)):
        if block.run == "always":
            follow(block, folder)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("```\nls\n```\n", r"page.md:1: a block of language ''; write one of sh, console"),
        ("<!-- not-run: slow -->\n```sh\nls\n```\n", r"page.md:2: the comment before it, 'not-run: slow', is none of"),
        ("Text.\n\n```sh\nfalse\n```\n", r"(?s)page.md:3: false\nended with status 1.*<!-- not run: REASON -->"),
        ("```sh\nretune plan none.yaml\n```\n", r"(?s)ended with status 2 .*neither a YAML file nor a preset"),
        ("```sh\nretune methods | head\n```\n", r"one command a line"),
        ("```console\n$ echo one\ntwo\n```\n", r"(?s)echo one\ndoes not print \['two'\], but\none"),
        ("```console\nls\n```\n", r"a console block begins with"),
        ("```yaml\ngrid: [{method: lorra}]\n```\n", r"(?s)page.md:1: no study, nor a part of one: .*lorra"),
        ("```yaml\nbudget: {total_mafs: 1\n```\n", r"page.md:1: "),
        ("```dockerfile\nFROM x\n```\n", r"no test builds an image"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(PageError, match=told):
        follow_page(tmp_path, text)


def test_blocks_share_a_folder_and_what_needs_a_cluster_is_left_out(tmp_path: Path) -> None:
    follow_page(
        tmp_path,
        "<!-- file: a.json; in tests: {n: 2} -->\n```json\n"
        '{"n": 1, "m": 1}\n'
        "```\n<!-- not run: needs a cluster -->\n```sh\nfalse\n```\n"
        "<!-- first: echo made >b -->\n```sh\ncat b a.json \\\n    >c  # both\n```\n",
    )
    assert (tmp_path / "c").read_text().split() == ["made", "{", '"n":', "2,", '"m":', "1", "}"]


def test_commands_and_options_that_retune_does_not_have() -> None:
    assert misused("retune plan first.yaml --stream  # what is taught") is None
    assert misused("retune data import folder new --out m.parquet") is None
    assert misused("retune plann first.yaml") == "there is no command plann"
    assert misused("retune data import floder new") == "there is no command floder"
    assert misused("retune run first.yaml --dri=x") == "there is no option --dri"
